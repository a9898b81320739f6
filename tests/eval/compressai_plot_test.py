"""CompressAI's plotting tool reads our results files: this test takes a file apart by that tool's rules.

The rules (compressai/utils/plot): the document is an object with `results`; that has `bpp` and the column asked for;
the curve is called `name`, or after the file where there is none; MS-SSIM is drawn in decibels; x and y are lists of
numbers of equal length. Keys that it does not know are passed over.
"""

import json
import math

import pytest

from eval import rd_results
from eval.rd_results import ImagePoints, RDResult


def curve(path, column):
    """(name, xs, ys) of a results file as that tool takes them."""
    document = json.loads(path.read_text())
    if "results" not in document or "bpp" not in document["results"]:
        raise ValueError("no rates")
    if column not in document["results"]:
        raise ValueError(f"no {column} in {list(document['results'])}")
    ys = document["results"][column]
    if column.startswith("ms-ssim"):
        ys = [-10 * math.log10(1 - y) for y in ys]
    return document.get("name", path.stem), document["results"]["bpp"], ys


@pytest.fixture
def path(tmp_path):
    meta = {"method": "jpeg2000", "dataset": "street", "protocol": "native", "rate": "file", "versions": {"x": "1"}}
    columns = {"bpp": [0.02, 0.04], "psnr-rgb": [24.5, 26.0], "ms-ssim-rgb": [0.9, 0.99], "images": [1, 1]}
    image = ImagePoints("a", 8, 8, {k: columns[k] for k in ("bpp", "psnr-rgb", "ms-ssim-rgb")}, {"floor_bpp": 0.01})
    rd_results.save(RDResult("JPEG 2000", "9/7", meta, columns, [image]), tmp_path / "jpeg2000.json")
    return tmp_path / "jpeg2000.json"


def test_the_tool_finds_name_rates_and_quality(path):
    assert curve(path, "psnr-rgb") == ("JPEG 2000", [0.02, 0.04], [24.5, 26.0])
    name, xs, ys = curve(path, "ms-ssim-rgb")
    assert (name, xs) == ("JPEG 2000", [0.02, 0.04])
    assert ys == pytest.approx([10, 20])


def test_the_tools_own_keys_are_all_there(path):
    assert {"name", "description", "meta", "results"} <= set(json.loads(path.read_text()))
