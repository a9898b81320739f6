"""Decoding with the true, a wrong and a blank y: which y is wrong, the numbers, what is drawn and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsin_tf import data, models
from dsin_tf.data import kitti_recordings
from eval import metrics, rd_results
from experiments import common, y_check
from tests.dsin_tf.models import lively
from tests.experiments import driving, figure_cases

NATIVE = data.protocols.get("native")
PAIRS = driving.Pairs("test", 104, 112, 16)  # large enough for MS-SSIM
WRONG = (1, 2, 0)  # of three images the one half the data set further on
GREY = np.full((104, 112, 3), 128, np.uint8)


class Source:
    """Pairs of given pictures."""

    name, split, kind, digest = "made_up", "test", "pairs", "d2"

    def __init__(self, pairs, names=None):
        self._pairs = pairs
        self.names = names or tuple(f"picture {k}" for k in range(len(pairs)))

    def __len__(self):
        return len(self._pairs)

    def read(self, index):
        return self._pairs[index]

    def read_x(self, index):
        return self._pairs[index][0]


class Stand:
    """A codec of so many bytes whose picture is y, or is black whatever y is."""

    name, variant, preset, step, identity, uses_side = "dsin", "", "tiny", 5, b"\x01\x02", True

    def __init__(self, size_bytes=100, ignores_y=False, **settings):
        self._size_bytes, self._ignores_y = size_bytes, ignores_y
        self.settings = {"target_bpp": size_bytes / 1000, "seed": size_bytes, **settings}

    def compress(self, x):
        return bytes(self._size_bytes)

    def decompress(self, blob, y):
        return np.zeros_like(y) if self._ignores_y else y


def save(name, folder, **settings):
    model = lively.make(name, **settings)
    model.prepare_for_coding()
    models.save(model, folder)


def result(path, **other):
    """A results file of PAIRS, with what is `other` in its meta."""
    meta = {"method": "cpm", "dataset": "made_up", "split": "test", "protocol": "native", "rate": "file", "images": 3}
    points = {"bpp": [0.05, 0.1], "psnr-rgb": [20.0, 22.0]}
    images = [rd_results.ImagePoints("test 0", 104, 112, {**points, "psnr-rgb": [7.0, 8.0]})]
    rd_results.save(rd_results.RDResult("CPM", "", {**meta, "data_digest": "d1", **other}, points, images), path)
    return str(path)


# The wrong y.


def test_wrong_y_of_small_kitti_is_of_another_drive():
    drive_of = {scene: drive for drive in (range(7, 13), range(34, 43), range(62, 70)) for scene in drive}
    drive_of.update({scene: drive for drive in (range(112, 118), range(144, 149)) for scene in drive})
    scenes = [int(x[len("image_2/") :][:6]) for x, _ in kitti_recordings.small_pairs("test")]
    level, place_of = y_check.places("kitti_small", [f"image_2/{scene:06d}_10.png" for scene in scenes])
    assert level == "recording"
    for index, scene in enumerate(scenes):
        others = y_check.strangers(place_of, index)
        assert {scenes[k] for k in others} == {k for k in scenes if drive_of[k] != drive_of[scene]}
        halfway = scenes[(index + 17) % 34]
        assert drive_of[halfway] == drive_of[scene] or scenes[others[0]] == halfway


@pytest.mark.parametrize(
    ("dataset", "names", "level", "wrong"),
    [
        # The other way round is the same scene; of the last nobody knows the drive.
        (
            "kitti_stereo",
            [
                f"data_stereo_flow_multiview/{name}_10.png"
                for name in ("testing/image_2/000081", "training/image_2/000023", "testing/image_3/000081")
                + ("training/image_3/000023", "testing/image_2/000003", "training/image_2/000001")
            ],
            "recording",
            [4, 4, 5, 4, 1, 2],
        ),
        (
            "kitti_general",
            [
                "data_scene_flow_multiview/testing/image_2/000029_03.png+"
                f"data_scene_flow_multiview/testing/image_3/000029_0{frame}.png"
                for frame in (4, 5, 6)
            ]
            + ["data_scene_flow_multiview/testing/image_2/000079_01.png"],
            "recording",
            [3, 3, 3, 1],
        ),
        (
            "cityscapes",
            [f"leftImg8bit/test/{name}_leftImg8bit.png" for name in ("berlin/a", "berlin/b", "bonn/c", "berlin/d")],
            "recording",
            [2, 2, 0, 2],
        ),
        ("street", ["seed0/0", "seed0/1", "seed0/2"], "scene", [1, 2, 0]),
        ("kitti_small", ["image_2/000007_10.png", "image_2/000008_10.png"], "scene", [1, 0]),
    ],
)
def test_places_by_name(dataset, names, level, wrong):
    found, place_of = y_check.places(dataset, names)
    assert found == level
    assert [y_check.strangers(place_of, index)[0] for index in range(len(names))] == wrong


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_strangers_are_all_of_other_places_from_halfway_on(place_of, draw):
    index = draw.draw(st.integers(0, len(place_of) - 1))
    found = y_check.strangers(place_of, index)
    assert sorted(found) == [k for k, place in enumerate(place_of) if place != place_of[index]]
    steps = [(k - index - len(place_of) // 2) % len(place_of) for k in found]
    assert steps == sorted(steps)


def test_wrong_y_shows_neither_picture_of_the_pair_and_fits():
    a, b, c, d = (lively.picture(40, 48, seed) for seed in range(4))
    (made, *_) = y_check.check([Stand()], Source([(a, b), (c, c), (b, a), (d, d)]), NATIVE)
    # Halfway on from 0 is 2, whose y is a, x of 0; halfway on from 2 is 0, whose y is b, x of 2.
    assert list(made.data["wrong y of"].values()) == ["picture 3", "picture 3", "picture 1", "picture 1"]
    tall = lively.picture(48, 40)
    with pytest.raises(common.UserError, match="of 2 images of another place none has a y of 48x40 .*--protocol"):
        y_check.check([Stand()], Source([(a, b), (c, d), (tall, tall)]), NATIVE)


# Numbers.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a sweep of NDIC, of one rate, and a run of DSIN, which to save time searches no patches."""
    folder = tmp_path_factory.mktemp("runs")
    save("ndic_balle2017", folder / "ndic" / "lmbda_0.001", lmbda=0.001)
    save("dsin", folder / "dsin", side="raw_y")
    return folder


@pytest.fixture(scope="module")
def checked(runs):
    """The models by identity, and what checking them made."""
    loaded = y_check.load_models([runs / "ndic", runs / "dsin", runs / "ndic/lmbda_0.001"])
    return {model.identity.hex(): model for model in loaded}, y_check.check(loaded, PAIRS, NATIVE, count=1)


def decoded(model, index):
    """The file of an image of PAIRS, and {which y: its picture}."""
    x, y = PAIRS.read(index)
    blob = model.compress(x)
    ys = {"true": y, "wrong": PAIRS.read(WRONG[index])[1], "blank": GREY}
    return blob, {which: model.decompress(blob, side) for which, side in ys.items()}


def test_each_model_is_checked_once(checked, tmp_path):
    own, (made, _) = checked
    content, rows, picture = figure_cases.written(made, tmp_path)
    assert made.stem == "y_check_made_up"
    assert content["wrong y of"] == {"test 0": "test 1", "test 1": "test 2", "test 2": "test 0"}
    assert content["wrong y from"] == "another scene"
    assert [entry["identity"] for entry in content["models"]] == list(own)
    assert [entry["model"] for entry in content["models"]] == ["ndic_balle2017", "dsin"]
    labels = ["NDIC (Ballé 2017) (tiny)", "DSIN with y as it is (tiny)"]
    assert [entry["label"] for entry in content["models"]] == [row["model"] for row in rows] == labels
    assert picture.std() > 5


def test_numbers_are_those_of_one_file_and_three_ys(checked):
    own, (made, _) = checked
    for entry, row in zip(made.data["models"], made.table.rows):
        psnr, wins = [], 0
        for index, of_image in enumerate(entry["images"]):
            x = PAIRS.read_x(index)
            blob, x_hat = decoded(own[entry["identity"]], index)
            psnr.append({which: metrics.psnr(x, picture) for which, picture in x_hat.items()})
            ms_ssim = {which: metrics.ms_ssim(x, picture, window=7) for which, picture in x_hat.items()}
            wins += psnr[-1]["true"] > psnr[-1]["wrong"] and psnr[-1]["true"] > psnr[-1]["blank"]
            assert of_image["bpp"] == pytest.approx(8 * len(blob) / (104 * 112))
            for key, values in (("psnr-rgb", psnr[-1]), ("ms-ssim-rgb", ms_ssim)):
                differences = {f"true - {other}": values["true"] - values[other] for other in ("wrong", "blank")}
                assert of_image[key] == pytest.approx({**values, **differences})
        means = {which: np.mean([of_image[which] for of_image in psnr]) for which in ("true", "wrong", "blank")}
        differences = {f"true - {other}": means["true"] - means[other] for other in ("wrong", "blank")}
        assert entry["psnr-rgb"] == pytest.approx({**means, **differences})
        assert [cell.value for cell in row.cells[1:4]] == pytest.approx(list(means.values()))
        assert row.cells[0].value == pytest.approx(np.mean([of_image["bpp"] for of_image in entry["images"]]))
        assert entry["images where the true y is best"]["psnr-rgb"] == wins


def test_a_strip_shows_what_each_model_makes_of_each_y(checked, tmp_path):
    own, (_, strip) = checked
    content, rows, picture = figure_cases.written(strip, tmp_path)
    assert strip.stem == "y_check_made_up_00000-test_0"
    assert (content["image"], content["wrong y of"]) == ("test 0", "test 1")
    assert [each["identity"] for each in content["models"]] == list(own)
    assert [float(row["bpp"]) for row in rows] == pytest.approx([each["bpp"] for each in content["models"]], abs=1e-4)
    x, y = PAIRS.read(0)
    for at, entry in enumerate(content["models"]):
        _, x_hat = decoded(own[entry["identity"]], 0)
        panels = strip.figure.axes[6 * at : 6 * at + 6]
        expected = (x, y, x_hat["true"], PAIRS.read(1)[1], x_hat["wrong"], x_hat["blank"])
        for axes, shown in zip(panels, expected):
            np.testing.assert_array_equal(axes.get_images()[0].get_array(), shown)
        for axes, which in zip((panels[2], panels[4], panels[5]), ("true", "wrong", "blank")):
            assert axes.get_title(loc="left") == f"x_hat with {which} y, {metrics.psnr(x, x_hat[which]):.2f} dB"
    assert picture.std() > 10


def test_a_decoder_that_ignores_y_gains_nothing():
    (made, *_) = y_check.check([Stand(ignores_y=True)], PAIRS, NATIVE)
    (entry,) = made.data["models"]
    for key in ("psnr-rgb", "ms-ssim-rgb"):
        assert entry[key]["true - wrong"] == entry[key]["true - blank"] == 0
    assert entry["images where the true y is best"] == {"psnr-rgb": 0, "ms-ssim-rgb": 0}


def test_images_too_small_for_ms_ssim_have_psnr():
    (made, *_) = y_check.check([Stand()], driving.Pairs("test"), NATIVE)
    assert "ms-ssim-rgb" not in made.data["models"][0]
    assert [cell.text for cell in made.table.rows[0].cells[4:]] == ["–"] * 3
    assert len(made.figure.axes) == 1


@pytest.mark.parametrize("count", [1, 2, 9])
def test_as_many_strips_as_asked_for(count):
    made = y_check.check([Stand()], driving.Pairs("test"), NATIVE, count=count)
    assert [each.data["image"] for each in made[1:]] == {1: ["test 0"], 2: ["test 0", "test 2"], 9: [*PAIRS.names]}[
        count
    ]


def test_a_sweep_is_in_order_of_rate_and_its_lowest_rate_is_drawn():
    other = Stand(200)
    other.name = "ndic_balle2018"
    curve, *strips = y_check.check([Stand(140), other, Stand(70)], PAIRS, NATIVE)
    found = [(entry["model"], entry["bpp"] * 104 * 112 / 8) for entry in curve.data["models"]]
    assert found == [("dsin", pytest.approx(70)), ("dsin", pytest.approx(140)), ("ndic_balle2018", pytest.approx(200))]
    for strip in strips:
        assert [entry["bpp"] * 104 * 112 / 8 for entry in strip.data["models"]] == pytest.approx([70, 200])


# Curves.


def test_curves_go_through_the_means_of_models_and_references(tmp_path):
    references = y_check.load_references([result(tmp_path / "cpm.json")], PAIRS, NATIVE)
    (made, *_) = y_check.check([Stand(140), Stand(70)], PAIRS, NATIVE, references)
    psnr, ms_ssim = made.figure.axes
    rates = [8 * 70 / (104 * 112), 8 * 140 / (104 * 112)]
    drawn = [line.get_xydata().tolist() for line in psnr.get_lines()]
    pairs = [PAIRS.read(k) for k in range(3)]
    expected = [
        np.mean([metrics.psnr(x, y) for x, y in pairs]),
        np.mean([metrics.psnr(x, pairs[WRONG[k]][1]) for k, (x, _) in enumerate(pairs)]),
        np.mean([metrics.psnr(x, GREY) for x, _ in pairs]),
    ]
    assert drawn[0] == [[0.05, 20.0], [0.1, 22.0]]  # its means, not its first image
    for line, mean in zip(drawn[1:], expected):
        assert np.ravel(line) == pytest.approx([rates[0], mean, rates[1], mean])
    assert len(ms_ssim.get_lines()) == 4
    assert not len(ms_ssim.get_lines()[0].get_xydata())  # the reference has none
    styles = {(line.get_linestyle(), line.get_markerfacecolor(), line.get_fillstyle()) for line in psnr.get_lines()[1:]}
    assert len(styles) == 3
    legend = {text.get_text() for legend in made.figure.legends for text in legend.get_texts()}
    assert legend == {"true y", "wrong y", "blank y", "DSIN (tiny)", "CPM"}
    low, high = psnr.get_xlim()
    assert low < rates[0] < rates[1] < high


# What is refused.


def test_images_that_cannot_be_checked_are_refused():
    with pytest.raises(common.UserError, match=r"made_up test holds one scene \(images: 1\)"):
        y_check.check([Stand()], Source([PAIRS.read(0)]), NATIVE)
    same_scene = Source([PAIRS.read(0), PAIRS.read(1)], ("image_2/000007_10.png", "image_2/000007_11.png"))
    same_scene.name = "kitti_stereo"
    with pytest.raises(common.UserError, match=r"kitti_stereo test holds one scene \(images: 2\)"):
        y_check.check([Stand()], same_scene, NATIVE)
    single = driving.Pairs("test")
    single.kind = "images"
    with pytest.raises(common.UserError, match="made_up is a source of images, pairs were expected"):
        y_check.check([Stand()], single, NATIVE)


def test_models_that_cannot_be_checked_are_refused(tmp_path):
    save("balle2017", tmp_path / "balle")
    save("dsin", tmp_path / "no_si", side="none")
    for name, label in (("balle", r"Ballé 2017 \(tiny\)"), ("no_si", r"DSIN without side information \(tiny\)")):
        with pytest.raises(common.UserError, match=f"{name}: {label} decodes without side information.*--results"):
            y_check.load_models([tmp_path / name])
    with pytest.raises(common.UserError, match="--workdirs: dsin-9 is no folder, and .* dsin-kitti-small-0.08"):
        y_check.load_models(["dsin-9"])
    with pytest.raises(common.UserError, match="no model; one at least was expected"):
        y_check.load_models([])
    with pytest.raises(common.UserError, match="holds no trained model"):
        y_check.load_models([tmp_path])
    with pytest.raises(
        common.UserError, match=r"DSIN \(tiny\) comes with alpha 0.7 and 0.5; one model at several target"
    ):
        y_check.check([Stand(70, alpha=0.7), Stand(90, alpha=0.5)], PAIRS, NATIVE)


@pytest.mark.parametrize("other", [{"data_digest": "d9"}, {"protocol": "dsin"}, {"rate": "estimated"}])
def test_results_of_other_images_are_refused(tmp_path, other):
    path = result(tmp_path / "cpm.json", **other)
    with pytest.raises(
        common.UserError, match=r"cpm.json: was measured on made_up test \(3 images\), protocol"
    ) as error:
        y_check.load_references([path], PAIRS, NATIVE)
    assert all(value in str(error.value) for key, value in other.items() if key != "data_digest")


def test_a_check_by_flags(runs, tmp_path):
    flags = ("--dataset=street", "--limit=2", "--size=32x48", f"--out={tmp_path}")
    shown = driving.drive("y_check", f"--workdirs={runs / 'ndic'}", *flags, "--count=1")
    assert shown.returncode == 0, shown.stderr
    assert "NDIC" in shown.stdout
    assert json.loads((tmp_path / "y_check_street.json").read_text())["models"][0]["split"] == "test"
    assert len(list(tmp_path.glob("y_check_street_00000-*.png"))) == 1
