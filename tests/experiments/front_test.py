"""The picture of x, y and both decoded pictures: rates of whole files, none to the model's advantage."""

import json

import numpy as np
import pytest

from dsin_tf import data, images
from eval import anchors, metrics
from experiments import common, front
from tests.experiments import driving

NATIVE = data.protocols.get("native")
PAIRS = driving.Pairs("test", 64, 96, 16)


class Stand:
    """A codec of so many bytes whose picture is y."""

    name, variant, preset, step, uses_side = "dsin", "", "tiny", 5, True

    def __init__(self, size_bytes):
        self.settings, self._size_bytes = {"target_bpp": 0.1}, size_bytes

    def compress(self, x):
        return bytes(self._size_bytes)

    def decompress(self, blob, y):
        return y


@pytest.mark.parametrize("size_bytes", [600, 1200])
def test_jpeg_2000_has_the_next_larger_file(size_bytes):
    made = front.compare(Stand(size_bytes), PAIRS, NATIVE, 1)
    x, y = PAIRS.read(1)
    (label, jpeg2000), (model, ours) = made.data["coded"].items()
    assert (label, model) == ("JPEG 2000", "DSIN (tiny), decoded with y")
    assert ours == {"bpp": 8 * size_bytes / (64 * 96), "psnr-rgb": metrics.psnr(x, y)}
    assert ours["bpp"] < jpeg2000["bpp"] < 1.2 * ours["bpp"]
    again = anchors.get("jpeg2000").encode_at(x, jpeg2000["bpp"])
    assert again.bpp == jpeg2000["bpp"]
    assert metrics.psnr(x, anchors.get("jpeg2000").decode(again.data)) == jpeg2000["psnr-rgb"]
    assert made.data["image"] == PAIRS.names[1]


def test_a_file_larger_than_any_of_jpeg_2000_is_named():
    with pytest.raises(common.UserError, match=r"test 0: JPEG 2000 has no file of more than 130\.2083 bpp"):
        front.compare(Stand(100_000), PAIRS, NATIVE)


def test_it_is_drawn_from_the_command_line(tmp_path):
    for side, shift in (("left", 0), ("right", 8)):
        picture = np.roll(PAIRS.read_x(0), shift, axis=1)
        images.write(tmp_path / "pairs" / side / "a.png", picture)
    flags = ["--dataset=pairs", f"--data_dir={tmp_path / 'pairs'}", f"--out={tmp_path / 'out'}"]
    done = driving.drive("front", "--workdir=ndic_balle2017-kitti-small-0.0024", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "front_pairs.json").read_text())
    assert set(found["coded"]) == {"JPEG 2000", "NDIC (Ballé 2017) (small), decoded with y"}
    assert images.read(tmp_path / "out" / "front_pairs.png").std() > 10
    assert f"{found['coded']['JPEG 2000']['bpp']:.4f}" in done.stdout

    wrong = driving.drive("front", "--workdir=ndic_balle2017-kitti-small-0.0024", "--index=1", *flags)
    assert "--index=1: there are 1 images. Name one below that." in wrong.stderr
    blind = driving.drive("front", "--workdir=balle2017-kitti-small-0.0024", *flags)
    assert "balle2017-kitti-small-0.0024: decodes without side information" in blind.stderr
