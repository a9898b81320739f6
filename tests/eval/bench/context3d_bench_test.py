"""The benchmark of the context model runs; the times are not judged here, the bits are."""

import numpy as np
import pytest

from dsin_tf import bitstream, data, models
from eval.bench import context3d


def test_measures_times_and_bits():
    model = models.create("cpm", "tiny")
    model.prepare_for_coding()
    x = data.load("street", "test", size=(64, 128), limit=1).read_x(0)
    found = context3d.measure(model, x, repeats=1)
    assert found["symbols"] == 8 * 16 * 8
    assert min(found[name] for name in ("encode", "decode", "analysis", "synthesis")) > 0
    out = model(x[None])
    assert found["estimate"] == pytest.approx(float(out["bpp_estimated"][0]) * x[..., 0].size, rel=1e-5)
    assert found["integers"] == pytest.approx(found["estimate"], rel=0.005)
    assert found["payload"] == 8 * bitstream.inspect(model.compress(x)).lengths[0]
    assert found["masked"] == np.sum(out["mask"].numpy() == 0)
    assert 0 < found["masked_bits"] < found["estimate"]
