"""The benchmark of coding runs; the times are not judged here, the bits are."""

import pytest

from dsin_tf import data, models
from eval.bench import coding


@pytest.mark.parametrize(("name", "has_hyperprior"), [("balle2017", False), ("balle2018", True)])
def test_measures_times_and_bits(name, has_hyperprior):
    model = models.create(name, "tiny")
    model.prepare_for_coding()
    x = data.load("street", "test", size=(64, 128), limit=1).read_x(0)
    found = coding.measure(model, x, repeats=1)
    assert found["bpp"] == pytest.approx(8 * len(model.compress(x)) / (64 * 128))
    assert min(found["encode"], found["decode"]) > 0
    assert ("more" in found) == has_hyperprior
    if has_hyperprior:
        assert abs(found["more"]) < 0.005
