"""Installs the library `dsin_tf` alone; the drivers and the evaluation are run from a checkout.

`requirements.txt` pins one complete set of versions that is known to work together; the ranges here say
what the library itself can live with.
"""

import re
import sys
from pathlib import Path

if not (3, 9) <= sys.version_info[:2] <= (3, 11):
    sys.exit(
        "error: dsin_tf needs Python 3.9, 3.10 or 3.11, because TensorFlow 2.14 exists for no other; "
        f"this is Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}). "
        "Make the environment with one of those, e.g. python3.11 -m venv .venv"
    )

from setuptools import find_packages, setup  # noqa: E402  the sentence above comes before any other failure

HERE = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "dsin_tf" / "__init__.py").read_text(), re.MULTILINE).group(1)

SETS = ["opencv-python-headless>=4.8,<4.12", "scipy>=1.9"]
EVAL = ["av>=12", "bjontegaard>=1.2,<2", "scipy>=1.9"]
TEST = [
    "hypothesis>=6",
    "pytest>=8",
    "pytest-timeout>=2",
    "pytest-xdist>=3",
    "ruff",
    "scikit-image>=0.19",
    *SETS,
    *EVAL,
]

setup(
    name="dsin_tf",
    version=VERSION,
    description="Image compression with decoder-only side information, in TensorFlow 2 / Keras",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["dsin_tf", "dsin_tf.*"]),
    package_data={"dsin_tf": ["zoo/*/*"]},
    python_requires=">=3.9,<3.12",
    install_requires=[
        "absl-py>=1.4",
        "constriction>=0.4,<0.6",
        "matplotlib>=3.7",
        "numpy>=1.23,<2",
        "pillow>=10",
        "rich>=13",
        "tensorflow>=2.14,<2.15",
        "tensorflow-compression>=2.14,<2.15",
    ],
    extras_require={
        "sets": SETS,
        "eval": EVAL,
        "gpu": ["tensorflow[and-cuda]>=2.14,<2.15"],
        "test": TEST,
    },
)
