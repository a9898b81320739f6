"""Fixtures that every test may use."""

from pathlib import Path

import pytest

_SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def sample_data():
    """Folder of real sample images kept beside the project; not part of it, so tests that need them may skip."""
    if not (_SAMPLES / "README.md").is_file():
        pytest.skip("no ../shared/data beside the project: the real sample images are not distributed with it")
    return _SAMPLES
