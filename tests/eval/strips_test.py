"""Picture strips: the detail that is chosen, the error that is shown, what is said of missing pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from eval import figures, strips


def stripes(height=100, width=200, top=30, left=120):
    """Grey, with a patch of strong edges 40x60 at (top, left)."""
    image = np.full((height, width, 3), 128, np.uint8)
    columns = np.arange(60) // 5 % 2 * 200
    image[top : top + 40, left : left + 60] = columns[None, :, None]
    return image


@pytest.fixture
def folder(tmp_path):
    """x, y, one codec that is off by 8 everywhere, one by 4, and one that is missing."""
    x = stripes()
    x = np.clip(x, 0, 240)
    Image.fromarray(x).save(tmp_path / "x.png")
    Image.fromarray(x[:, ::-1]).save(tmp_path / "y.png")
    for name, off, psnr in (("worse", 8, 30.07), ("better", 4, 36.09)):
        Image.fromarray(x + np.uint8(off)).save(tmp_path / f"{name}.png")
        about = {"label": name.title(), "bpp": 0.0591, "psnr-rgb": psnr, "ms-ssim-rgb": 0.99, "target_bpp": 0.06}
        (tmp_path / f"{name}.json").write_text(json.dumps(about))
    (tmp_path / "none.json").write_text(json.dumps({"label": "None", "missing": "floor above 0.06 bpp"}))
    return tmp_path


def test_the_window_goes_where_the_structure_is():
    window = strips.choose_window(stripes(), 40, 60)
    assert abs(window.top - 30) <= 4
    assert abs(window.left - 120) <= 4


def test_structure_wins_over_noise():
    image = stripes()
    image[:, :80] = np.random.default_rng(0).integers(60, 200, (100, 80, 3))
    assert strips.choose_window(image, 40, 60).left >= 100


def test_the_window_fits_any_image():
    for shape in ((1, 1, 3), (1, 300, 3), (64, 64, 3)):
        window = strips.choose_window(np.zeros(shape, np.uint8), 128, 192)
        assert (window.top, window.left) == (0, 0)
        assert (window.height, window.width) == (min(shape[0], 128), min(shape[1], 192))
        window = strips.choose_window(np.zeros(shape, np.uint8))
        assert 1 <= window.height <= shape[0]
        assert 1 <= window.width <= shape[1]
    window = strips.choose_window(np.zeros((320, 1224, 3), np.uint8))
    assert (window.height, window.width) == (128, 192)


def test_a_strip_goes_from_x_and_y_over_the_best_codec_to_the_missing(folder):
    strip = strips.load(folder)
    assert [p.key for p in strip.panels] == ["x", "y", "better", "worse", "none"]
    assert strip.panels[2].numbers == "0.0591 bpp, 36.09 dB, MS-SSIM 0.9900"
    assert strip.panels[4].image is None
    assert strip.panels[4].numbers == "floor above 0.06 bpp"
    assert strip.target_bpp == 0.06


def test_errors_are_mean_absolute_grey_levels_on_one_scale(folder):
    strip = strips.load(folder)
    better, worse = strip.panels[2], strip.panels[3]
    assert np.all(better.error == 4)
    assert np.all(worse.error == 8)
    assert strip.error_end == 8
    images = [strips.error_image(p.error, strip.error_end) for p in (better, worse)]
    assert images[0].shape == (*better.error.shape, 3)
    assert images[0].mean() > images[1].mean()  # more error is darker


def test_side_information_of_another_size_is_not_shown(folder):
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(folder / "y.png")
    assert [p.key for p in strips.load(folder).panels] == ["x", "better", "worse", "none"]


def test_the_frame_shows_where_the_detail_is_from(folder):
    strip = strips.load(folder, strips.Window(20, 30, 40, 50))
    shown = strips.located(strip)
    np.testing.assert_array_equal(shown[20:60, 30:80], strip.x[20:60, 30:80])
    assert not shown[19, 30:80].any()  # a black frame, and a white one around it
    assert np.all(shown[18, 30:80] == 255)


def test_broken_folders_are_named(folder):
    (folder / "better.json").write_text('{"label": "Better"}')
    with pytest.raises(strips.StripError, match=r"better\.json.*'bpp'"):
        strips.load(folder)
    (folder / "better.json").write_text('{"bpp": 1, "psnr-rgb": 1}')
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(folder / "better.png")
    with pytest.raises(strips.StripError, match=r"better\.png is \(10, 20\), x\.png \(100, 200\)"):
        strips.load(folder)


def test_a_strip_becomes_a_figure_of_the_same_bytes(folder):
    first, second = (figures.to_png(strips.figure(strips.load(folder)), dpi=50) for _ in range(2))
    assert first == second


def test_only_the_methods_asked_for_are_shown(folder):
    strip = strips.load(folder, methods=("better", "none"))
    assert [panel.key for panel in strip.panels] == ["x", "y", "better", "none"]
    assert [panel.about.get("bpp") for panel in strip.panels] == [None, None, 0.0591, None]
