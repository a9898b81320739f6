"""What papers need to train, and the data that are found in a folder."""

import numpy as np
import pytest

from dsin_tf import images
from eval import claims
from experiments import trainings

GREY = np.full((128, 256, 3), 128, np.uint8)


def test_data_are_known_by_their_layout(tmp_path):
    for name in ("small/image_2/000000_10.png", "small/image_3/000000_10.png"):
        images.write(tmp_path / name, GREY)
    for camera in ("image_2", "image_3"):  # of full size: not the small pairs
        images.write(tmp_path / "kitti/data_scene_flow_multiview/training" / camera / "000000_10.png", GREY[:64])
    (tmp_path / "city" / "leftImg8bit").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    (tmp_path / "kodak").mkdir()
    (tmp_path / "kodak" / "kodim01.png").touch()
    (tmp_path / "kodak" / "train").mkdir()
    (tmp_path / "KITTI_general_test.txt").touch()
    expected = {"kitti_small": "small", "kitti": "kitti", "cityscapes": "city", "kodak": "kodak"}
    expected.update(photographs="train", lists=".")
    assert trainings.find_data(tmp_path) == {what: (tmp_path / name).resolve() for what, name in expected.items()}


def test_without_a_folder_nothing_is_found(tmp_path):
    assert trainings.find_data(None) == trainings.find_data(tmp_path) == {}


@pytest.mark.parametrize("paper", claims.PAPERS)
@pytest.mark.parametrize("scale", trainings.SCALES)
def test_a_training_begins_with_one_before_it_of_the_same_rates(paper, scale):
    done = {}
    for each in trainings.of_paper(paper, scale):
        assert each.name not in done
        if each.start:
            assert set(each.rates[1]) <= set(done[each.start].rates[1])
        done[each.name] = each


def test_runs_are_named_as_the_driver_names_them():
    dsin = next(each for each in trainings.of_paper("dsin", "paper") if each.name == "dsin")
    assert dsin.runs == ["target_bpp_0.02", "target_bpp_0.04", "target_bpp_0.08", "target_bpp_0.16"]
    alone = next(each for each in trainings.of_paper("ndic", "small") if each.name == "weights_1_0.001")
    assert alone.runs == [""]


def test_only_some_methods_come_with_what_they_begin_with():
    names = [each.name for each in trainings.of_paper("dsin", "small", ("dsin-no_mask",))]
    assert names == ["base", "no_mask"]


def test_the_published_hours_are_those_of_dsin_alone():
    hours = {paper: {each.hours for each in trainings.of_paper(paper, "paper")} for paper in claims.PAPERS}
    assert hours == {"dsin": {None, 24}, "ndic": {None}, "dsc_msf": {None}, "multichannel": {None}}


@pytest.mark.parametrize("paper", claims.PAPERS)
def test_without_data_the_small_scale_takes_rendered_streets(paper):
    for each in trainings.data_of_paper(paper, "small", {}, "cache"):
        for text in (each.train, *each.tests.values()):
            assert text.startswith("--dataset=street")
            assert "--data_dir" not in text


def test_folders_may_hold_spaces():
    (data,) = trainings.data_of_paper("dsc_msf", "paper", {"kitti": "my data"}, "cache")
    assert data.train == "--dataset=kitti_scenes --data_dir='my data' --protocol=dsin"
