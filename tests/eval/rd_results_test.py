"""The results file: what is written is read back, what is wrong is refused by name."""

import json
import subprocess
import sys

import pytest

from eval import rd_results

META = {"method": "jpeg2000", "dataset": "street", "protocol": "dsin", "rate": "file"}


def _result(**changes):
    fields = {
        "name": "JPEG 2000",
        "description": "9/7",
        "meta": META,
        "results": {"bpp": [0.02, 0.1], "psnr-rgb": [20.0, 24.0]},
        "images": [
            rd_results.ImagePoints("a", 320, 1224, {"bpp": [0.1, 0.2], "psnr-rgb": [24.0, 25.0]}, {"floor": 0.05})
        ],
    }
    return rd_results.RDResult(**{**fields, **changes})


def test_round_trip(tmp_path):
    rd_results.save(_result(), tmp_path / "a.json")
    assert rd_results.load(tmp_path / "a.json") == _result()


def test_file_has_compressais_keys_in_a_fresh_process(tmp_path):
    rd_results.save(_result(), tmp_path / "a.json")
    code = "import json, sys; d = json.load(open(sys.argv[1])); print(d['name'], d['results']['psnr-rgb'])"
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "a.json"], capture_output=True, text=True, check=True)
    assert out.stdout == "JPEG 2000 [20.0, 24.0]\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta": {"method": "m", "dataset": "d", "protocol": "p"}}, "meta lacks rate"),
        ({"meta": {**META, "rate": "guess"}}, "'guess'"),
        ({"results": {"psnr-rgb": [1.0]}}, "no column 'bpp'"),
        ({"results": {"bpp": [0.1], "psnr-rgb": [1.0, 2.0]}}, "'psnr-rgb' has 2 entries, 'bpp' has 1"),
        ({"results": {"bpp": [0.1], "psnr-rgb": [float("inf")]}}, "holds inf"),
        ({"images": [rd_results.ImagePoints("b", 1, 1, {"bpp": [0.2, 0.1]})]}, "image b: bpp .* does not ascend"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(rd_results.ResultError, match=message):
        _result(**changes)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(rd_results.ResultError, match=r"a\.json: cannot be read"):
        rd_results.load(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(rd_results.ResultError, match="lacks the key 'results'"):
        rd_results.load(tmp_path / "a.json")
