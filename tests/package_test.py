"""The package as it is installed and imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsin_tf

ROOT = Path(__file__).resolve().parents[1]


def _python(code, **environment):
    """Runs `code` in a fresh process without the quiet that this one may already have set."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "code", ["import dsin_tf", "import dsin_tf; import tensorflow, tensorflow_compression; tensorflow.zeros(1)"]
)
def test_import_prints_nothing(code):
    result = _python(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_users_own_log_level_is_left_alone():
    result = _python("import dsin_tf, tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert "tensorflow" in result.stderr


def test_images_and_data_lists_do_not_cost_tensorflow():
    result = _python(
        "import sys, dsin_tf; dsin_tf.images.SUFFIXES; dsin_tf.data.names(); print('tensorflow' in sys.modules)"
    )
    assert result.stdout.strip() == "False", result.stderr


def test_unknown_name_lists_what_there_is():
    with pytest.raises(AttributeError, match="'imagse'; it has: .*images"):
        _ = dsin_tf.imagse


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 12, 1)])
def test_setup_refuses_other_pythons(version):
    """setup.py itself speaks first, so that the user reads a sentence and not a resolver's puzzle."""
    code = f"import sys; sys.version_info = {version!r}; exec(open('setup.py').read(), {{'__file__': 'setup.py'}})"
    result = _python(code)
    assert result.returncode == 1
    assert f"this is Python {version[0]}.{version[1]}" in result.stderr
    assert result.stderr.startswith("error: dsin_tf needs Python 3.9, 3.10 or 3.11")


def test_every_requirement_of_setup_is_pinned():
    """A name in setup.py that requirements.txt lacks would be installed in whatever version is newest."""
    code = (
        "import setuptools, json; seen = {}\n"
        "setuptools.setup = lambda **keywords: seen.update(keywords)\n"
        "exec(open('setup.py').read(), {'__file__': 'setup.py'})\n"
        "rows = seen['install_requires'] + sum((v for k, v in seen['extras_require'].items() if k != 'gpu'), [])\n"
        "print(*rows, sep='\\n')"
    )
    rows = _python(code).stdout.split("\n")[:-1]
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(rows) > 10
    assert all("==" in line for line in pinned)
    names = {line.split("==")[0] for line in pinned}
    assert {row.replace("<", ">").split(">")[0] for row in rows} <= names
