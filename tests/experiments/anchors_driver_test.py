import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from dsin_tf import data
from eval import anchors, rd_results
from experiments import anchors as driver
from experiments import common

ROOT = Path(__file__).resolve().parents[2]
NATIVE = data.protocols.get("native")
TARGETS = [1.0, 2.0]


class Pairs:
    """Three rendered pairs, 40x56, or of the sizes given."""

    name, split, kind, digest = "made_up", "test", "pairs", "d1"

    def __init__(self, sizes=((40, 56),) * 3):
        self.sizes = sizes
        self.names = tuple(f"folder/image {k}.png" for k in range(len(sizes)))

    def __len__(self):
        return len(self.sizes)

    def read_x(self, index):
        rows, columns = np.mgrid[: self.sizes[index][0], : self.sizes[index][1]]
        noise = np.random.default_rng(index).integers(0, 30, rows.shape)
        return np.stack([rows * 4, columns * 4, rows + columns + noise], axis=-1).astype(np.uint8)

    def read(self, index):
        return self.read_x(index), 255 - self.read_x(index)


@pytest.fixture
def encodes(monkeypatch):
    """Counts encodes of the data set's images (checksums of the configuration are 64x64)."""
    seen = []
    original = anchors.Codec.encode

    def counted(self, image, setting):
        if image.shape[:2] != (64, 64):
            seen.append((self.name, image.shape))
        return original(self, image, setting)

    monkeypatch.setattr(anchors.Codec, "encode", counted)
    return seen


def run(workdir, codecs=("jpeg",), source=None, targets=TARGETS, **more):
    return driver.run(codecs, Pairs() if source is None else source, NATIVE, targets, workdir, jobs=1, **more)


def test_writes_one_results_file_a_codec(tmp_path):
    paths = run(tmp_path, ["jpeg", "jpeg2000"])
    assert paths == [tmp_path / "jpeg.json", tmp_path / "jpeg2000.json"]
    for path, method in zip(paths, ("jpeg", "jpeg2000")):
        result = rd_results.load(path)
        expected = {"method": method, "dataset": "made_up", "split": "test", "protocol": "native", "rate": "file"}
        assert {key: result.meta[key] for key in expected} == expected
        assert result.meta["data_digest"] == "d1"
        assert result.meta["versions"] == anchors.get(method).versions()
        assert [image.name for image in result.images] == list(Pairs().names)
        for index, image in enumerate(result.images):
            assert image.extra["floor_bpp"] == anchors.get(method).floor(Pairs().read_x(index))
            assert image.points["bpp"] == sorted(set(image.points["bpp"]))


def test_prints_the_table_and_where_the_files_are(tmp_path, capsys):
    run(tmp_path, targets=[0.1, 3.0])
    out = capsys.readouterr().out
    assert "made_up test, protocol native, 3 images" in out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith("JPEG")]
    assert rows[0] == ["JPEG", "0.1", "–", "–", "–", "0/3"]
    assert rows[1][:2] == ["JPEG", "3"]
    assert rows[1][-2:] == ["–", "3/3"]  # too small for MS-SSIM
    assert f"Results: {tmp_path}" in out


def test_the_same_command_again_encodes_nothing(tmp_path, encodes, capsys):
    (path,) = run(tmp_path, pictures=2)
    before, table = path.read_bytes(), capsys.readouterr().out
    encodes.clear()
    run(tmp_path, pictures=2)
    assert encodes == []
    assert path.read_bytes() == before
    again = capsys.readouterr()
    assert again.out == table
    assert "3 of 3 measurements are there from an earlier run" in again.err


def test_only_what_is_not_finished_is_done(tmp_path, encodes):
    (path,) = run(tmp_path, source=Pairs(((40, 56), (48, 48), (32, 60))))
    before = path.read_bytes()
    encodes.clear()
    (part,) = tmp_path.glob("parts/jpeg-*/00001.json")
    part.write_text(part.read_text()[:50])  # as a disk that filled up might leave it
    run(tmp_path, source=Pairs(((40, 56), (48, 48), (32, 60))))
    assert {shape for _, shape in encodes} == {(48, 48, 3)}
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"targets": [1.0, 3.0]}, "targets was [1.0, 2.0], is [1.0, 3.0]"),
        ({"digest": "d2"}, "data_digest was d1, is d2"),
        ({"version": "99"}, "versions was"),
        ({"pixels": 1}, "first_image was"),
    ],
)
def test_a_changed_configuration_is_measured_again_with_a_word(tmp_path, encodes, capsys, monkeypatch, change, word):
    (path,) = run(tmp_path)
    first = path.read_bytes()
    encodes.clear()
    capsys.readouterr()
    with monkeypatch.context() as changed:
        if "digest" in change:
            changed.setattr(Pairs, "digest", change["digest"])
        if "pixels" in change:
            changed.setattr(Pairs, "read_x", lambda self, index: np.full((40, 56, 3), 9, np.uint8))
        if "version" in change:
            changed.setattr(anchors.Jpeg, "versions", lambda self: {"libjpeg": change["version"]})
        run(tmp_path, targets=change.get("targets", TARGETS))
    assert encodes
    assert word in capsys.readouterr().err
    # What was measured first is still there.
    encodes.clear()
    run(tmp_path)
    assert encodes == []
    assert path.read_bytes() == first


def test_colours_are_measured_anew_and_then_kept(tmp_path, encodes, capsys):
    (path,) = run(tmp_path)
    plain = rd_results.load(path)
    encodes.clear()
    capsys.readouterr()
    run(tmp_path, colour=True)
    assert encodes
    assert "colour was None, is True" in capsys.readouterr().err
    found = rd_results.load(path)
    assert found.meta == {**plain.meta, "colour": True}
    assert {"ssim", "psnr-y", "lab-difference-00", "rgb-angle"} <= set(found.results) - set(plain.results)
    assert {column: found.results[column] for column in plain.results} == plain.results
    encodes.clear()
    run(tmp_path, colour=True)
    run(tmp_path)
    assert encodes == []
    assert rd_results.load(path) == plain


def test_pictures_at_one_rate_for_images_spread_over_the_data(tmp_path):
    run(tmp_path, ["jpeg", "jpeg2000"], source=Pairs(((40, 56),) * 5), pictures=3, picture_bpp=2.5)
    folders = sorted((tmp_path / "pictures").iterdir())
    assert [folder.name for folder in folders] == [f"0000{k}-folder_image_{k}" for k in (0, 2, 4)]
    x, y = Pairs().read(2)
    np.testing.assert_array_equal(np.array(Image.open(folders[1] / "x.png")), x)
    np.testing.assert_array_equal(np.array(Image.open(folders[1] / "y.png")), y)
    encoded = anchors.get("jpeg").encode_at(x, 2.5)
    about = json.loads((folders[1] / "jpeg.json").read_text())
    assert (about["label"], about["target_bpp"], about["bpp"]) == ("JPEG", 2.5, encoded.bpp)
    decoded = np.array(Image.open(folders[1] / "jpeg.png"))
    np.testing.assert_array_equal(decoded, anchors.get("jpeg").decode(encoded.data))
    assert about["psnr-rgb"] == pytest.approx(10 * np.log10(255**2 / np.mean((decoded.astype(float) - x) ** 2)))


def test_a_rate_below_the_floor_gives_no_picture_and_the_reason(tmp_path):
    run(tmp_path, pictures=1, picture_bpp=5.0)
    (png,) = tmp_path.glob("pictures/*/jpeg.png")
    run(tmp_path, pictures=1, picture_bpp=0.1)
    assert not png.exists()
    about = json.loads(png.with_suffix(".json").read_text())
    assert "needs at least" in about["missing"]
    assert about["target_bpp"] == 0.1


def test_pictures_asked_for_later_do_not_measure_again(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(driver.anchor_points, "operating_points", lambda *args: pytest.fail("measured again"))
    run(tmp_path, pictures=2, picture_bpp=3.0)
    assert len(list(tmp_path.glob("pictures/*/jpeg.png"))) == 2


def test_single_images_have_no_y(tmp_path, monkeypatch):
    monkeypatch.setattr(Pairs, "kind", "images")
    run(tmp_path, pictures=1)
    (folder,) = (tmp_path / "pictures").iterdir()
    assert (folder / "x.png").exists()
    assert not (folder / "y.png").exists()


def test_a_missing_library_costs_its_row_only(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif")
    assert run(tmp_path, ["avif", "jpeg"], pictures=1, picture_bpp=3.0) == [tmp_path / "jpeg.json"]
    out = capsys.readouterr().out
    assert "AVIF" in out
    assert "without libavif" in out
    (about,) = tmp_path.glob("pictures/*/avif.json")
    assert "without libavif" in json.loads(about.read_text())["missing"]
    with pytest.raises(common.UserError, match="No codec can run: AVIF.*libavif"):
        run(tmp_path, ["avif"])


def test_an_image_that_a_codec_refuses_is_named(tmp_path):
    if anchors.get("bpg").missing:
        pytest.skip(anchors.get("bpg").missing)
    (path,) = run(tmp_path, ["bpg"], source=Pairs(((8, 30), (32, 40))), pictures=2, picture_bpp=3.0)
    result = rd_results.load(path)
    assert list(result.meta["refused"]) == ["folder/image 0.png"]
    assert "HEVC needs 16" in result.meta["refused"]["folder/image 0.png"]
    assert [image.name for image in result.images] == ["folder/image 1.png"]
    assert result.results["bpp"] == []
    reasons = [json.loads(p.read_text()).get("missing", "") for p in sorted(tmp_path.glob("pictures/*/bpg.json"))]
    assert "HEVC needs 16" in reasons[0]
    assert reasons[1] == ""


def test_wrong_wishes_are_refused(tmp_path):
    with pytest.raises(common.UserError, match="holds no image"):
        run(tmp_path, source=Pairs(()))
    with pytest.raises(common.UserError, match="none was named"):
        run(tmp_path, [])
    with pytest.raises(common.UserError, match=r"\[-1.0\].*positive"):
        run(tmp_path, targets=[-1])
    with pytest.raises(common.UserError, match="--bpp=0.1,much"):
        run(tmp_path, targets=["0.1", "much"])
    assert not any(tmp_path.iterdir())


def write_images(folder, sizes):
    """A folder of images as --dataset=images takes them."""
    folder.mkdir()
    for index in range(len(sizes)):
        Image.fromarray(Pairs(sizes).read_x(index)).save(folder / f"{index:02d}.png")
    return folder


def command(folder, *more):
    flags = ["--dataset=images", f"--data_dir={folder}", f"--workdir={folder.parent / 'out'}", "--bpp=1,2", *more]
    return [sys.executable, "-m", "experiments.anchors", *flags]


def test_worker_processes_measure_the_same_and_keep_quiet(tmp_path):
    """From the command line, with MS-SSIM (and so TensorFlow) in the workers."""
    folder = write_images(tmp_path / "images", ((120, 128),) * 2)
    found = subprocess.run(
        command(folder, "--codecs=jpeg,jpeg2000", "--jobs=2"), cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert [line for line in found.stderr.splitlines() if "has no part" not in line] == []
    source = data.load("images", data_dir=str(folder))
    for path in driver.run(["jpeg", "jpeg2000"], source, NATIVE, [1, 2], tmp_path / "here", jobs=1):
        here, there = rd_results.load(path), rd_results.load(folder.parent / "out" / path.name)
        assert there.meta == {**here.meta, "command": there.meta["command"]}  # here no driver was started
        assert there.meta["ms_ssim_window"] == 7
        assert [image.points.keys() for image in there.images] == [image.points.keys() for image in here.images]
        for image, other in zip(here.images, there.images):
            for column in ("bpp", "psnr-rgb", "ms-ssim-rgb"):
                assert image.points[column] == pytest.approx(other.points[column], abs=1e-6)


def test_wrong_flags_end_in_one_line(tmp_path):
    folder = write_images(tmp_path / "images", ((8, 8),))
    found = subprocess.run(command(folder, "--codecs=jpeg,gif"), cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stderr.splitlines() == ["error: There is no codec 'gif'. Use one of: jpeg, webp, jpeg2000, bpg, avif."]


def wait_for(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def children(pid):
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for child processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_an_interrupted_run_keeps_what_is_finished_and_leaves_no_process(tmp_path, how):
    folder = write_images(tmp_path / "images", ((48, 64),) * 40)
    arguments = ["--codecs=bpg", "--jobs=2"]
    if anchors.get("bpg").missing:
        pytest.skip(anchors.get("bpg").missing)
    parts = folder.parent / "out" / "parts"
    process = subprocess.Popen(
        command(folder, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background of a shell, Ctrl-C is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: len(list(parts.glob("bpg-*/0*.json"))) >= 2 or process.poll() is not None, "nothing finished")
    workers = children(process.pid)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to the driver and its workers
    else:
        process.send_signal(how)
    _, errors = process.communicate(timeout=120)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), f"still there: {workers}")
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert errors.splitlines()[-1].startswith("error: Stopped. What was finished is kept")
        assert "Traceback" not in errors

    finished = len(list(parts.glob("bpg-*/0*.json")))
    assert 2 <= finished < 40
    again = subprocess.run(command(folder, *arguments), cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"{finished} of 40 measurements are there from an earlier run" in again.stderr
    assert len(rd_results.load(folder.parent / "out" / "bpg.json").images) == 40
