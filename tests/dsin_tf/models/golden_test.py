"""Files that were written once decode for ever: models, files and what came out are kept in golden/.

python -m tests.dsin_tf.models.golden_test NAME     # adds those of a new model; never replaces any
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf import bitstream, models
from tests.dsin_tf.models import lively

GOLDEN = Path(__file__).resolve().parent / "golden"
SIZES = {name: [(1, 1), (61, 83), (128, 192)] for name in lively.ANY_SIZE} | {"ndic_cam": [(64, 64)]}
CASES = [(name, size) for name, sizes in SIZES.items() for size in sizes]


def test_every_model_has_files():
    assert sorted(SIZES) == sorted(models.names())


def stem(size):
    return f"{size[0]}x{size[1]}"


@pytest.fixture(scope="module")
def stored():
    return {name: models.load(GOLDEN / name) for name in models.names()}


@pytest.mark.parametrize(("name", "size"), CASES)
def test_a_stored_file_decodes_for_ever(stored, name, size):
    model = stored[name]
    blob = (GOLDEN / name / f"{stem(size)}.dsin").read_bytes()
    with np.load(GOLDEN / name / f"{stem(size)}.npz") as expected:
        _, latents = model.decode_latents(blob)
        assert sorted(latents) == sorted(key for key in expected.files if key != "x_hat")
        for key, values in latents.items():
            np.testing.assert_array_equal(values, expected[key])
        x_hat = model.decompress(blob, *side(model, size)).astype(int)
        off = np.abs(x_hat - expected["x_hat"]) > 1  # the synthesis is a float network
        # Where y is searched for patches, two places may be as good as each other.
        assert np.mean(off) <= (0.02 if model.uses_side else 0)


def side(model, size):
    """What decompress takes besides the file."""
    return (lively.picture(*size, seed=1 + sum(size)),) if model.uses_side else ()


def whole_if_possible(values):
    """Latents as integers; as float32 where they are multiples of 1/64."""
    integers = values.astype(np.int32)
    return integers if np.array_equal(integers, values) else values


def make(name):
    """Writes the golden files of a model that has none yet."""
    folder = GOLDEN / name
    if folder.exists():
        sys.exit(f"{folder} is there; it stays as it is for ever.")
    model = lively.make(name)
    model.prepare_for_coding()
    models.save(model, folder)
    for size in SIZES[name]:
        # Stripes of black and white: latents further out than the tables reach.
        x = lively.picture(*size, seed=sum(size))
        x[: size[0] // 4] = 255 * (np.arange(size[1]) // 8 % 2)[:, None]
        blob = model.compress(x)
        _, latents = model.decode_latents(blob)
        arrays = {key: whole_if_possible(values.numpy()) for key, values in latents.items()}
        (folder / f"{stem(size)}.dsin").write_bytes(blob)
        np.savez_compressed(folder / f"{stem(size)}.npz", x_hat=model.decompress(blob, *side(model, size)), **arrays)
        print(name, size, len(blob), bitstream.inspect(blob).lengths)


if __name__ == "__main__":
    make(sys.argv[1])
