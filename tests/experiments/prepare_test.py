"""The check before training: counts, every bad file by name, exit status."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from dsin_tf import data
from dsin_tf.data import kitti, kitti_scenes, protocols
from experiments import common, prepare
from tests.experiments import driving


def _picture(path, size=(6, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 77, np.uint8)).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for side in ("left", "right"):
        for name in "abcd":
            _picture(tmp_path / side / f"{name}.png")
    return tmp_path


def _run(*arguments):
    return driving.drive("prepare", *arguments)


def test_complete_folder(folder):
    result = _run("--dataset=pairs", f"--data_dir={folder}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "complete"
    assert ["all", "4", "4", "0", "0", "0"] in [line.split()[:6] for line in result.stdout.splitlines()]


def test_every_kind_of_trouble_is_named_and_ends_in_status_1(folder):
    whole = (folder / "left/a.png").read_bytes()
    (folder / "left/a.png").write_bytes(whole[: len(whole) - 16])
    _picture(folder / "right/b.png", size=(6, 9))
    (folder / "right/c.png").unlink()
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(folder / "left/d.png")
    result = _run("--dataset=pairs", f"--data_dir={folder}")
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert [line.split()[0] for line in lines[:4]] == ["missing", "unreadable", "unreadable", "wrong"]
    assert str(folder / "right/c.png") in lines[0]
    assert str(folder / "left/a.png") in lines[1]
    assert str(folder / "left/d.png") in lines[2]
    assert "16 bits" in lines[2]
    assert f"{folder}/left/b.png is 6x8, {folder}/right/b.png is 6x9" in lines[3]
    assert lines[-1] == "incomplete: 4 problems, named above"


def test_headers_alone_do_not_show_a_file_that_is_cut_off(folder):
    whole = (folder / "left/a.png").read_bytes()
    (folder / "left/a.png").write_bytes(whole[: len(whole) - 16])
    assert prepare.check("pairs", folder, decode=False).complete
    assert not prepare.check("pairs", folder).complete


@pytest.mark.parametrize("lost", [12, 14, 300])
def test_a_file_that_lost_its_end_is_found_even_where_all_pixels_are_there(folder, lost):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / "left/a.png")
    whole = (folder / "left/a.png").read_bytes()
    (folder / "left/a.png").write_bytes(whole[: max(60, len(whole) - lost)])
    report = prepare.check("pairs", folder)
    assert len(report.problems) == 1
    assert report.problems[0].startswith(f"unreadable  {folder}/left/a.png")


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_wrong_byte_is_found(folder, place):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / "left/a.png")
    content = bytearray((folder / "left/a.png").read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / "left/a.png").write_bytes(content)
    assert len(prepare.check("pairs", folder).problems) == 1


def test_converted_files_are_named_with_a_word_and_are_no_problem(folder):
    _picture(folder / "left/a.png", mode="L")
    _picture(folder / "left/b.png", mode="P")
    report = prepare.check("pairs", folder)
    assert report.complete
    assert len(report.notes) == 2
    assert "left/a.png: grey" in report.notes[0]
    assert "left/b.png: palette" in report.notes[1]
    assert report.parts[0].converted == 2


def test_transparent_file_is_refused_by_name(folder):
    Image.fromarray(np.full((6, 8, 4), 100, np.uint8), "RGBA").save(folder / "left/a.png")
    report = prepare.check("pairs", folder)
    assert len(report.problems) == 1
    assert "left/a.png: has transparent pixels" in report.problems[0]


def test_a_directory_where_a_file_is_expected(folder):
    (folder / "list.txt").write_text("left/a.png\nright/a.png\nleft/b.png\nright\n")
    report = prepare.check("list", folder, list_file=str(folder / "list.txt"))
    assert report.problems == (f"missing     {folder}/right (is a directory)",)


def test_images_too_small_for_the_protocol(folder):
    report = prepare.check("pairs", folder, protocol=protocols.get("dsin"))
    assert len(report.problems) == report.parts[0].unusable == 8
    assert "left/a.png: The image is 6x8" in report.problems[0]


def test_a_list_that_names_the_same_pair_both_ways_tells_a_wrong_size_once(folder):
    _picture(folder / "left/a.png", size=(6, 9))
    (folder / "list.txt").write_text("left/a.png\nright/a.png\nright/a.png\nleft/a.png\n")
    assert len(prepare.check("list", folder, list_file=str(folder / "list.txt")).problems) == 1


def test_kitti_stereo_expected_counts_and_absent_folders(tmp_path):
    report = prepare.check("kitti_stereo", tmp_path)
    assert [(part.split, part.expected, part.found) for part in report.parts] == [
        ("train", 1576, 0),
        ("val", 790, 0),
        ("test", 790, 0),
    ]
    line = f"missing     {tmp_path}/data_scene_flow_multiview/testing/image_3/ with 200 files"
    assert line in report.problems
    assert len(report.problems) == 8


def test_whole_kitti_stereo_is_complete_and_one_lost_file_is_found(tmp_path):
    _picture(tmp_path / "one.png")
    lines = {line for split in ("train", "val", "test") for pair in kitti.stereo_pairs(split) for line in pair}
    for line in lines:
        (tmp_path / line).parent.mkdir(parents=True, exist_ok=True)
        os.link(tmp_path / "one.png", tmp_path / line)
    report = prepare.check("kitti_stereo", tmp_path, decode=False)
    assert report.complete
    assert [part.found for part in report.parts] == [1576, 790, 790]
    lost = "data_stereo_flow_multiview/testing/image_2/000123_11.png"
    (tmp_path / lost).unlink()
    report = prepare.check("kitti_stereo", tmp_path, decode=False)
    assert report.problems == (f"missing     {tmp_path}/{lost}",)
    assert [part.found for part in report.parts] == [1576, 788, 790]


def test_kitti_scenes_are_checked_whole(tmp_path):
    _picture(tmp_path / "one.png")
    for folder, number in kitti_scenes.scenes_of("val"):
        for k in range(42):
            path = tmp_path / folder / f"image_{2 + k % 2}" / f"{number:06d}_{k // 2:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(tmp_path / "one.png", path)
    assert prepare.check("kitti_scenes", tmp_path, ("val",), decode=False).complete
    lost = tmp_path / "data_scene_flow_multiview/training/image_3/000112_20.png"
    lost.unlink()
    report = prepare.check("kitti_scenes", tmp_path, ("val",), decode=False)
    assert report.problems == (f"missing     {lost}",)
    assert (report.parts[0].expected, report.parts[0].found) == (26, 25)


def test_kitti_sample_counts(sample_data):
    report = prepare.check("kitti_stereo", sample_data / "kitti_sample", ("test",), protocol=protocols.get("dsin"))
    part = report.parts[0]
    assert (part.expected, part.found, len(part.missing), part.unusable) == (790, 10, 780, 0)


def test_general_reads_each_parts_list(sample_data):
    lists = str(sample_data / "kitti_lists/KITTI_general_{split}.txt")
    report = prepare.check("kitti_general", sample_data / "kitti_sample", list_file=lists, decode=False)
    assert [(part.split, part.expected) for part in report.parts] == [
        ("train", 175332),
        ("heldout", 4560),
        ("val", 912),
        ("test", 3607),
    ]
    with pytest.raises(common.UserError, match="say whose with --split"):
        prepare.check("kitti_general", sample_data / "kitti_sample", list_file="one.txt")


def test_empty_cityscapes_is_incomplete(tmp_path):
    report = prepare.check("cityscapes", tmp_path)
    assert len(report.problems) == 3
    assert not report.complete


def test_zip_unpacks_and_checks(tmp_path):
    _picture(tmp_path / "one.png")
    png = (tmp_path / "one.png").read_bytes()
    archive = tmp_path / "data_stereo_flow_multiview.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for side in ("colored_0", "colored_1"):
            file.writestr(f"testing/{side}/000000_10.png", png)
    arguments = ("--dataset=kitti_stereo", "--split=test", f"--data_dir={tmp_path}/data", f"--zip={archive}")
    result = _run(*arguments)
    assert result.returncode == 1
    assert "2 colour images to unpack" in " ".join(result.stderr.split())
    assert ["test", "790", "2", "788", "0", "0"] in [line.split()[:6] for line in result.stdout.splitlines()]
    assert (tmp_path / "data/data_stereo_flow_multiview/testing/colored_1/000000_10.png").read_bytes() == png
    assert "0 colour images to unpack" in " ".join(_run(*arguments).stderr.split())


def test_zip_is_for_kitti(tmp_path):
    with pytest.raises(common.UserError, match="not for cityscapes"):
        prepare.unpack(["a.zip"], tmp_path, "cityscapes")


def test_mistakes_end_in_one_line(tmp_path):
    for arguments, message in (
        ((), "--data_dir is not given"),
        ((f"--data_dir={tmp_path}/none",), "none: does not exist"),
        ((f"--data_dir={tmp_path}", "--dataset=pairs"), "no pairs found"),
        ((f"--data_dir={tmp_path}", "--dataset=kitti_stereo", "--split=valid"), "no split 'valid'"),
    ):
        result = _run(*arguments)
        assert result.returncode == 1
        assert message in result.stdout + result.stderr
        assert "Traceback" not in result.stderr


def test_unknown_data_set_lists_the_valid_ones(tmp_path):
    with pytest.raises(data.DataError, match="kitti_stereo"):
        prepare.check("kiti", tmp_path)
