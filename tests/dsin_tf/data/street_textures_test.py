"""Textures: averages at every resolution, the same at every place that the tile repeats."""

import numpy as np
import pytest

from dsin_tf.data.street import textures


@pytest.fixture(scope="module")
def plane():
    return np.random.default_rng(0).random((16, 16), dtype=np.float32)


@pytest.fixture(scope="module")
def texture(plane):
    return textures.Texture(0.5, tone=plane)


def at(texture, u, v, foot_u, foot_v):
    arrays = [np.atleast_1d(np.asarray(part, np.float32)) for part in (u, v, foot_u, foot_v)]
    return texture.at(*np.broadcast_arrays(*arrays), "tone")


def test_texel_centers_give_the_texels(plane, texture):
    rows, columns = np.indices((16, 16))
    found = at(texture, (columns.ravel() + 0.5) * 0.5, (rows.ravel() + 0.5) * 0.5, 0.1, 0.1)
    np.testing.assert_array_equal(found, plane.ravel())


def test_between_texels_is_bilinear(plane, texture):
    expected = 0.75 * (0.5 * plane[4, 7] + 0.5 * plane[4, 8]) + 0.25 * (0.5 * plane[5, 7] + 0.5 * plane[5, 8])
    assert at(texture, 8 * 0.5, 4.75 * 0.5, 0.1, 0.1) == pytest.approx(expected, abs=1e-6)


def test_a_long_footprint_averages_along_its_own_direction_only(plane, texture):
    # Four texels long across, one down: the mean of texels 4 to 7 of row 3.
    assert at(texture, 6 * 0.5, 3.5 * 0.5, 4 * 0.5, 0.1) == pytest.approx(plane[3, 4:8].mean(), abs=1e-6)
    assert at(texture, 3.5 * 0.5, 6 * 0.5, 0.1, 4 * 0.5) == pytest.approx(plane[4:8, 3].mean(), abs=1e-6)


def test_a_footprint_beyond_the_tile_gives_its_mean(plane, texture):
    assert at(texture, 3.3, -7.7, 1e6, 1e6) == pytest.approx(plane.mean(), abs=1e-6)


def test_tile_repeats(texture):
    u, v = np.linspace(0, 3, 40), np.linspace(1, 2, 40)
    np.testing.assert_allclose(at(texture, u, v, 0.1, 0.1), at(texture, u - 16, v + 8, 0.1, 0.1), atol=2e-5)


def test_one_footprint_for_all_equals_an_array_of_it(texture):
    u = v = np.linspace(0, 9, 50, dtype=np.float32)
    one = texture.at(u, v, np.float32(1.3), np.float32(0.4), "tone")
    np.testing.assert_array_equal(one, at(texture, u, v, 1.3, 0.4))


@pytest.mark.parametrize("name", ["mineral", "grass", "leaves", "brick", "paving", "tiles", "bark", "clouds"])
def test_every_texture_stays_in_its_range(name):
    texture = getattr(textures, name)()
    for channel, plane in texture._planes.items():
        low, high = (-0.6, 1.4) if channel == "cover" else (0, 1)
        assert plane.min() >= low, channel
        assert plane.max() <= high, channel
        assert plane.std() > 0.01, channel
