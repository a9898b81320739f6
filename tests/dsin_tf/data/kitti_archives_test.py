"""Unpacking KITTI's archives: where files go, what is refused, what a stop leaves."""

import shutil
import zipfile

import pytest

from dsin_tf import files
from dsin_tf.data import DataError, kitti_archives

_SCENE, _STEREO = kitti_archives.ARCHIVES


def _archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _unpacked(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("above", ["", f"{_STEREO}/"])
def test_colour_images_go_where_the_lists_look(tmp_path, above):
    members = {
        f"{above}training/colored_0/000000_10.png": b"left",
        f"{above}testing/colored_1/000001_11.png": b"right",
        f"{above}training/image_0/000000_10.png": b"grey",
        f"{above}training/colored_0/readme.txt": b"text",
    }
    path = _archive(tmp_path / f"{_STEREO}.zip", members)
    plan = kitti_archives.plan(path, tmp_path / "data")
    assert (len(plan.members), plan.present, plan.size_bytes) == (2, 0, 9)
    assert kitti_archives.unpack(plan) == []
    assert _unpacked(tmp_path / "data") == {
        f"{_STEREO}/training/colored_0/000000_10.png": b"left",
        f"{_STEREO}/testing/colored_1/000001_11.png": b"right",
    }


def test_a_second_run_takes_up_where_the_first_stopped(tmp_path):
    names = [f"training/image_2/{k:06d}_10.png" for k in range(5)]
    path = _archive(tmp_path / f"{_SCENE}.zip", {name: name.encode() for name in names})

    class Stop(Exception):
        pass

    calls = []

    def advance():
        calls.append(1)
        if len(calls) == 2:
            raise Stop

    with pytest.raises(Stop):
        kitti_archives.unpack(kitti_archives.plan(path, tmp_path / "data"), advance)
    assert len(_unpacked(tmp_path / "data")) == 2
    plan = kitti_archives.plan(path, tmp_path / "data")
    assert (plan.present, [name for name, _, _ in plan.members]) == (2, names[2:])
    kitti_archives.unpack(plan)
    assert _unpacked(tmp_path / "data") == {f"{_SCENE}/{name}": name.encode() for name in names}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("where", ["header", "content"])
def test_damaged_image_is_named_and_left_out(tmp_path, compression, where):
    good, bad = "training/image_2/000000_10.png", "training/image_2/000001_10.png"
    path = _archive(tmp_path / f"{_SCENE}.zip", {good: b"g" * 1000, bad: bytes(range(250)) * 4}, compression)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(bad).header_offset
    content = bytearray(path.read_bytes())
    content[start + (0 if where == "header" else 30 + len(bad) + 50)] ^= 0x55
    path.write_bytes(content)
    damaged = kitti_archives.unpack(kitti_archives.plan(path, tmp_path / "data"))
    assert [name for name, _ in damaged] == [bad]
    assert list(_unpacked(tmp_path / "data")) == [f"{_SCENE}/{good}"]


@pytest.mark.parametrize(
    "name",
    ["../training/image_2/000000_10.png", "/training/image_2/000000_10.png", "a/../../b.png", "..\\x.png", "C:x.png"],
)
def test_names_that_point_out_of_the_folder_refuse_the_archive(tmp_path, name):
    path = _archive(tmp_path / f"{_SCENE}.zip", {"training/image_2/000000_10.png": b"", name: b"evil"})
    with pytest.raises(DataError, match="points out of the folder"):
        kitti_archives.plan(path, tmp_path / "data")


def test_archives_that_are_something_else(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        kitti_archives.plan(tmp_path / "none.zip", tmp_path)
    with pytest.raises(DataError, match="is a directory"):
        kitti_archives.plan(tmp_path, tmp_path)
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(DataError, match="is not a whole .zip file"):
        kitti_archives.plan(tmp_path / "text.zip", tmp_path)
    other = _archive(tmp_path / f"{_SCENE}.zip", {"training/velodyne/000000.bin": b""})
    with pytest.raises(DataError, match="holds no training/image_2"):
        kitti_archives.plan(other, tmp_path)
    nameless = _archive(tmp_path / "download.zip", {"training/image_2/000000_10.png": b""})
    with pytest.raises(DataError, match="which archive it is"):
        kitti_archives.plan(nameless, tmp_path)


def test_a_download_that_was_cut_off(tmp_path):
    path = _archive(tmp_path / f"{_SCENE}.zip", {"training/image_2/000000_10.png": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is not a whole .zip file.*cut off"):
        kitti_archives.plan(path, tmp_path)


def test_disk_space_is_checked_before_anything_is_written(tmp_path, monkeypatch):
    path = _archive(tmp_path / f"{_SCENE}.zip", {"training/image_2/000000_10.png": b"x" * 1000})
    plan = kitti_archives.plan(path, tmp_path / "data")
    kitti_archives.check_space([plan], tmp_path / "data")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 1 << 40, 5000))
    with pytest.raises(files.OutputError, match="free. Nothing was unpacked"):
        kitti_archives.check_space([plan], tmp_path / "data")
    assert not (tmp_path / "data").exists()
