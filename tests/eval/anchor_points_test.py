import io
import math

import numpy as np
import pytest
from PIL import Image

from eval import anchor_points, anchors, metrics, rd_results, tables


@pytest.fixture
def picture():
    """120x128, so that MS-SSIM fits with window 7 and not with 11."""
    rows, columns = np.mgrid[:120, :128]
    return np.stack([rows * 2, columns * 2, (rows * columns) % 251], axis=-1).astype(np.uint8)


def part(name, bpp, psnr, **more):
    points = {"bpp": bpp, "psnr-rgb": psnr, "setting": list(range(len(bpp)))}
    return {"name": name, "height": 4, "width": 6, "points": points, "floor_bpp": bpp[0], **more}


CONFIGURATION = {"method": "jpeg", "dataset": "d", "protocol": "native", "ms_ssim_window": None}


@pytest.mark.parametrize(
    ("size", "window"), [((161, 300), 11), ((300, 160), 7), ((97, 97), 7), ((96, 500), None), ((1, 1), None)]
)
def test_window_fits_sixteen_times(size, window):
    assert anchor_points.ms_ssim_window(np.zeros((*size, 3), np.uint8)) == window


def test_points_surround_every_target_in_ascending_order(picture):
    sweep = anchors.Sweep(anchors.get("jpeg"), picture)
    points = anchor_points.operating_points(sweep, [1.5, 1.0, 1.51], window=7)
    assert points["bpp"] == sorted(set(points["bpp"]))
    assert {len(column) for column in points.values()} == {len(points["bpp"])}
    for target in (1.0, 1.5, 1.51):
        assert sum(b <= target for b in points["bpp"]) >= 1
        assert sum(b > target for b in points["bpp"]) >= 1
    assert len(points["bpp"]) <= 6
    colour = anchor_points.operating_points(sweep, [1.5, 1.0, 1.51], window=7, colour=True)
    assert len(colour["rgb-angle"]) == len(points["bpp"])
    assert {column: colour[column] for column in points} == points


def test_a_point_is_what_its_setting_gives(picture):
    sweep = anchors.Sweep(anchors.get("jpeg"), picture)
    points = anchor_points.operating_points(sweep, [1.5], window=7)
    for at, quality in enumerate(points["setting"]):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2, optimize=True, progressive=True)
        error = np.mean((np.array(Image.open(file)).astype(float) - picture) ** 2)
        assert points["psnr-rgb"][at] == pytest.approx(10 * math.log10(255**2 / error))
        assert points["bytes"][at] == points["bytes_written"][at] == len(file.getvalue())
        assert points["bpp"][at] == 8 * len(file.getvalue()) / (120 * 128)
        assert 0 < points["ms-ssim-rgb"][at] < 1


def test_targets_below_the_floor_leave_the_floor_as_first_point(picture):
    sweep = anchors.Sweep(anchors.get("jpeg"), picture)
    points = anchor_points.operating_points(sweep, [0.01, 0.02], window=None)
    assert points["bpp"] == [sweep.floor.bpp]
    assert points["setting"] == [1]
    assert "ms-ssim-rgb" not in points


def test_bpg_records_both_sizes(picture):
    codec = anchors.get("bpg")
    if codec.missing:
        pytest.skip(codec.missing)
    points = anchor_points.operating_points(anchors.Sweep(codec, picture), [1.0], window=None)
    for bpp, counted, written in zip(points["bpp"], points["bytes"], points["bytes_written"]):
        assert bpp == 8 * counted / (120 * 128)
        assert 40 < written - counted < 80


def test_a_perfect_copy_has_finite_psnr(picture):
    measured = anchor_points.measure(picture, picture, window=7)
    assert measured == {"psnr-rgb": 100.0, "ms-ssim-rgb": pytest.approx(1), "ms-ssim-dsin": pytest.approx(1)}


def test_an_image_smaller_than_the_data_sets_window_has_no_ms_ssim(picture):
    assert "ms-ssim-rgb" not in anchor_points.measure(picture, picture, window=11)


def test_brightness_and_colours_are_measured_apart():
    rows, columns = np.mgrid[:161, :170]
    image = np.stack([rows, columns, (rows + columns) // 2], axis=-1).astype(np.uint8) + 40
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    decoded = np.array(Image.open(file))
    plain, found = (anchor_points.measure(image, decoded, 11, colour) for colour in (False, True))
    assert {**found, **plain} == found
    assert list(found) == [*plain, *(c for c in found if c not in plain)]
    assert set(found) == set(anchor_points.METRICS)
    errors = image.astype(float) - decoded
    assert found["mse"] == pytest.approx(np.mean(errors**2))
    luma = errors @ [0.299, 0.587, 0.114]
    assert found["psnr-y"] == pytest.approx(10 * math.log10(255**2 / np.mean(luma**2)))
    a, b = image.reshape(-1, 3).astype(float), decoded.reshape(-1, 3).astype(float)
    cosines = np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert found["rgb-angle"] == pytest.approx(np.degrees(np.arccos(np.minimum(cosines, 1))).mean(), rel=1e-4)
    assert found["ssim"] == pytest.approx(metrics.ssim(image, decoded))
    assert found["cmssim"] == pytest.approx(metrics.cmssim(image, decoded))
    for column, kind in (("lab-difference", "76"), ("lab-difference-00", "00"), ("lab-mae", "mae")):
        assert found[column] == pytest.approx(metrics.lab_difference(image, decoded, kind))
    assert len({found[c] for c in ("lab-difference", "lab-difference-00", "lab-mae")}) == 3


def test_colours_of_a_perfect_copy_and_of_a_small_picture_are_finite(picture):
    perfect = anchor_points.measure(picture, picture, 7, colour=True)
    assert (perfect["mse"], perfect["psnr-y"], perfect["ssim"], perfect["lab-difference"]) == (0, 100, 1, 0)
    assert "cmssim" not in perfect  # which needs 161 pixels a side


def test_means_stand_only_where_every_image_reaches():
    parts = [part("a", [0.1, 0.25, 0.4], [20.0, 25.0, 28.0]), part("b", [0.2, 0.3], [30.0, 33.0])]
    result = anchor_points.result(anchors.get("jpeg"), CONFIGURATION, [0.1, 0.3, 0.5], parts)
    assert result.results == {
        "bpp": [pytest.approx((0.25 + 0.3) / 2), pytest.approx((0.4 + 0.3) / 2)],
        "psnr-rgb": [pytest.approx((25 + 33) / 2), pytest.approx((28 + 33) / 2)],
        "target_bpp": [0.3, 0.5],
        "images": [2, 2],
    }
    assert result.meta["unreached"] == {"0.1": {"reached": 1, "of": 2}}
    assert [image.extra["floor_bpp"] for image in result.images] == [0.1, 0.2]


def test_a_column_that_some_image_lacks_has_no_mean():
    parts = [part("a", [0.1], [20.0]), part("b", [0.1], [30.0])]
    parts[0]["points"]["ms-ssim-rgb"] = [0.9]
    result = anchor_points.result(anchors.get("jpeg"), CONFIGURATION, [0.1], parts)
    assert "ms-ssim-rgb" not in result.results
    assert result.images[0].points["ms-ssim-rgb"] == [0.9]


def test_a_refused_image_is_named_and_counts_as_not_reached(tmp_path):
    parts = [part("a", [0.1], [20.0]), {"name": "b", "height": 1, "width": 1, "refused": "too small"}]
    result = anchor_points.result(anchors.get("bpg"), CONFIGURATION, [0.1], parts)
    assert result.meta["refused"] == {"b": "too small"}
    assert result.meta["unreached"] == {"0.1": {"reached": 1, "of": 2}}
    assert result.results["bpp"] == []
    rd_results.save(result, tmp_path / "bpg.json")
    assert [image.name for image in rd_results.load(tmp_path / "bpg.json").images] == ["a"]


def test_table_shows_achieved_rates_counts_and_what_is_missing():
    class Absent(anchors.WebP):
        missing = "Pillow was built without libwebp"

    parts = [part("a", [0.1, 0.28], [20.0, 25.0]), part("b", [0.2, 0.3], [30.0, 33.0])]
    codecs = [anchors.get("jpeg"), Absent()]
    result = anchor_points.result(codecs[0], CONFIGURATION, [0.1, 0.3], parts)
    lines = tables.to_csv(anchor_points.table("t", codecs, {"jpeg": result}, [0.1, 0.3])).splitlines()
    assert lines[1:] == [
        "JPEG,0.1,,,,,1/2",
        "JPEG,0.3,0.2900,,29.0000,,2/2",
        "WebP,all,,Pillow was built without libwebp,,,",
    ]
