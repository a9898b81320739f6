"""The benchmark of the 2-D context model runs; the times are not judged here, the bits are."""

import pytest

from dsin_tf import bitstream, data, models
from eval.bench import context2d


@pytest.mark.parametrize("context", ["ar", "none"])
def test_measures_times_and_bits(context):
    model = models.create("lee2019", "tiny", context=context)
    model.prepare_for_coding()
    x = data.load("street", "test", size=(64, 128), limit=1).read_x(0)
    found = context2d.measure(model, x, repeats=1)
    assert found["latents"] == 4 * 8 * 12
    assert min(found[name] for name in ("encode", "decode", "analysis", "synthesis", "float")) > 0
    assert found["estimate"] == pytest.approx(model.estimate(x) * x[..., 0].size, rel=1e-5)
    assert found["payload"] == 8 * sum(bitstream.inspect(model.compress(x)).lengths)
    assert abs(found["payload"] - found["estimate"]) <= 0.01 * found["estimate"] + 8 * 16
    assert 0 <= found["other_means"] < 0.2
