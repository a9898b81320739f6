"""Maps of wrong colours: by hand at single pixels, and with the metrics as their means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import colour_maps, metrics


def picture(*pixels):
    return np.array([pixels], np.uint8)


def test_angles_by_hand():
    x = picture((200, 0, 0), (200, 0, 0), (100, 100, 100), (10, 20, 30))
    x_hat = picture((0, 0, 9), (50, 50, 0), (30, 30, 30), (10, 20, 30))
    np.testing.assert_allclose(colour_maps.rgb_angle(x, x_hat), [[90, 45, 0, 0]], atol=1e-6)


def test_black_has_no_angle():
    angles = colour_maps.rgb_angle(picture((0, 0, 0), (1, 2, 3), (1, 2, 3)), picture((1, 2, 3), (0, 0, 0), (1, 2, 3)))
    assert np.isnan(angles).tolist() == [[True, True, False]]


def test_difference_of_black_and_white_is_that_of_their_lightness():
    np.testing.assert_allclose(
        colour_maps.lab_difference(picture((0, 0, 0), (9, 9, 9)), picture((255, 255, 255), (9, 9, 9))), [[100, 0]]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_means_are_the_metrics(seed, spread):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (5, 6, 3)).astype(np.uint8) * 60
    x_hat = np.clip(x + rng.integers(-spread, spread + 1, x.shape), 0, 255).astype(np.uint8)
    assert np.mean(colour_maps.lab_difference(x, x_hat)) == pytest.approx(metrics.lab_difference(x, x_hat))
    assert np.nanmean(colour_maps.rgb_angle(x, x_hat)) == pytest.approx(metrics.rgb_angle(x, x_hat), abs=1e-9)
