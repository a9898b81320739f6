"""Figures about sets as such: gains by depth and by size, and trees."""

import numpy as np
import pytest

from dsin_tf import data, sets
from experiments import common, set_figures
from tests.experiments import figure_cases, set_cases

NATIVE = data.protocols.get("native")


class Sets:
    """A set of three views of one noisy wall and a set of a single image."""

    name, split, kind, digest = "made_up", "test", "sets", "d1"
    names = ("wall", "one")

    def __len__(self):
        return 2

    def count(self, index):
        return (3, 1)[index]

    def read_image(self, index, k):
        coarse = np.random.default_rng(index).integers(0, 255, (24, 32, 3), np.uint8)
        wall = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
        return np.ascontiguousarray(wall[8 * k : 8 * k + 128, 16 * k : 16 * k + 160])


def test_gains_are_means_over_the_images_of_a_depth(tmp_path):
    gains = ((0.1, 0.2), (1, 0.5), (0.3, 0.2), (2, 1))
    set_cases.sets(tmp_path / "tree.json", gains=gains)
    set_cases.sets(tmp_path / "chain.json", "dsc_msf-no_ir", gains, depths=(0, 1, 2, 3))
    set_cases.sets(tmp_path / "no_msf.json", "dsc_msf-no_msf", gains)
    (made,) = set_figures.gain_by_depth([str(tmp_path / "*.json")])
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert made.stem == "depth"
    assert [(line["method"], line["lmbda"]) for line in content["lines"]] == [
        ("dsc_msf", 0.0002),
        ("dsc_msf", 0.0012),
        ("dsc_msf-no_ir", 0.0002),
        ("dsc_msf-no_ir", 0.0012),
    ]
    first, second = content["lines"][0]["depths"]
    assert (first["depth"], first["images"], first["gain"]) == (0, 2, pytest.approx(0.2))
    # Of 1 and 2: deviation (1/2)**0.5, over the root of two.
    assert (second["gain"], second["standard error"]) == (pytest.approx(1.5), pytest.approx(0.5))
    assert content["lines"][2]["depths"][3] == {"depth": 3, "images": 1, "gain": 2.0, "standard error": None}
    assert [row["depth 3"] for row in rows] == [*[""] * 4, "2.0000", "", "1.0000", ""]
    assert rows[0]["depth 0 n"] == "2"
    assert rows[0]["data"] == "KITTI image sets, test, 2 sets of 2"
    assert picture.std() > 5


def test_each_data_set_has_its_lines(tmp_path):
    set_cases.sets(tmp_path / "kitti.json")
    set_cases.sets(tmp_path / "street.json", dataset="street_sets", data_digest="e")
    (made,) = set_figures.gain_by_depth([str(tmp_path / "*.json")])
    assert len({(line["data"], line["lmbda"]) for line in made.data["lines"]}) == 4


def test_gain_and_rate_by_set_size(tmp_path):
    set_cases.sets(tmp_path / "two.json")
    one = {
        "bpp": [0.1],
        "bpp-payload": [0.09],
        "psnr-rgb": [30.0],
        "psnr-codec": [29.5],
        "depth": [0],
        "lmbda": [0.0002],
    }
    set_cases.save(tmp_path / "one.json", "dsc_msf", {"s/0": one, "t/0": one}, data_digest="one")
    set_cases.save(tmp_path / "mixed.json", "dsc_msf", {"s/0": one, "t/0": one, "t/1": one}, data_digest="mixed")
    (made,) = set_figures.gain_by_set_size([str(tmp_path / "*.json")])
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert [(row["lmbda"], row["images a set"]) for row in rows] == [
        ("0.0002", "1"),
        ("0.0002", "1–2"),
        ("0.0002", "2"),
        ("0.0012", "2"),
    ]
    assert [float(row["gain (dB)"]) for row in rows] == [0.5, 0.5, 1.5, 0.75]
    assert [float(row["of it headers"]) for row in rows] == [0.01, 0.01, 0.004, 0.004]
    assert [int(float(row["images"])) for row in rows] == [2, 3, 4, 4]
    assert content["rows"][1]["images a set"] == 1.5
    assert content["rows"][2]["standard error"] == pytest.approx((1 / 3) ** 0.5 / 2)  # of 1, 2, 1, 2
    assert len(content["data"]) == 3
    assert picture.std() > 5


def test_data_sets_that_differ_in_size_alone_have_names_of_their_own(tmp_path):
    set_cases.sets(tmp_path / "a.json")
    set_cases.sets(tmp_path / "b.json", data_digest="e")
    found = set_figures.load([str(tmp_path / "*.json")], ["dsc_msf"])
    assert [each.slug for each in found] == [f"kitti_scenes_test_native_sets_of_2{end}" for end in ("", "_2")]


def test_two_results_of_one_method_are_named(tmp_path):
    paths = [set_cases.sets(tmp_path / f"{name}.json") for name in "ab"]
    with pytest.raises(common.UserError, match=rf"{paths[0]} and {paths[1]} are both of dsc_msf on KITTI image sets"):
        set_figures.load(paths, ["dsc_msf"])


def test_results_without_the_methods_are_refused(tmp_path):
    path = set_cases.codec(tmp_path / "codec.json")
    with pytest.raises(common.UserError, match=r"codec\.json: holds no data set with 1 of dsc_msf\."):
        set_figures.gain_by_set_size([path])
    with pytest.raises(common.UserError, match="1 of dsc_msf, dsc_msf-no_ir"):
        set_figures.gain_by_depth([path])


def test_trees_are_those_of_the_plan(tmp_path):
    made, single = set_figures.trees(Sets(), NATIVE, 4)
    content, rows, picture = figure_cases.written(made, tmp_path)
    assert made.stem == "tree_made_up_test_wall"
    images = [Sets().read_image(0, k) for k in range(3)]
    tree, weights = sets.plan(images, "sift", 4, workers=1), sets.weights(images, "sift", workers=1)
    assert content["parents"] == list(tree.parents)
    for k, row in enumerate(rows):
        if k == tree.root:
            assert (row["depth"], row["reference"], row["weight"]) == ("0.0000", "", "")
        else:
            assert float(row["reference"]) == tree.parents[k]
            assert float(row["weight"]) == pytest.approx(weights[k, tree.parents[k]], abs=1e-4)
            assert float(row["weight"]) < 1  # they are of one wall
    assert picture.std() > 10
    assert single.data["parents"] == (0,)


def test_trees_need_sets():
    with pytest.raises(common.UserError, match="pictures is a source of images; trees are of sets. Choose"):
        set_figures.trees(type("Source", (), {"name": "pictures", "kind": "images"})(), NATIVE, 4)
