import json

import pytest

from dsin_tf.training import schedules

# What NDIC's rule does, worked out by hand: the validation loss of each epoch, and the rate after it.
FLAT = [(1.0, 1e-4)] * 11 + [(1.0, 1e-5)] * 11 + [(1.0, 1e-6)] * 11 + [(1.0, 1e-7)] * 40
TABLES = {
    # The first epoch improves on nothing; those with index 1 to 11 are the eleven without improvement.
    "flat": FLAT,
    "better by less than 1e-4 of the best is no improvement": (
        [(2.0, 1e-4)] + [(1.9999, 1e-4)] * 10 + [(1.9999, 1e-5)]
    ),
    "better by more than 1e-4 of the best begins the count anew": (
        [(2.0, 1e-4)] + [(2.0, 1e-4)] * 10 + [(1.9997, 1e-4)] + [(1.9997, 1e-4)] * 10 + [(1.9997, 1e-5)]
    ),
    "improvement is measured from the best, not from the epoch before": (
        [(2.0, 1e-4), (3.0, 1e-4)] + [(2.5, 1e-4)] * 9 + [(2.4, 1e-5)]
    ),
    # -1 is below -1 * (1 - 1e-4).
    "a constant negative loss always improves": [(-1.0, 1e-4)] * 40,
}


@pytest.mark.parametrize("name", TABLES)
def test_plateau_follows_the_table(name):
    schedule = schedules.Plateau(1e-4)
    for epoch, (loss, rate) in enumerate(TABLES[name]):
        schedule.observe(loss)
        assert schedule.rate(step=0) == pytest.approx(rate, rel=1e-12), f"epoch {epoch}"


@pytest.mark.parametrize("stop", range(0, 73, 5))
def test_a_restored_plateau_goes_on_with_the_table(stop):
    schedule = schedules.Plateau(1e-4)
    for loss, _ in FLAT[:stop]:
        schedule.observe(loss)
    restored = schedules.Plateau(1e-4)
    restored.restore(json.loads(json.dumps(schedule.state())))
    for loss, rate in FLAT[stop:]:
        restored.observe(loss)
        assert restored.rate(step=0) == pytest.approx(rate, rel=1e-12)


def test_staircase_drops_at_every_stair():
    schedule = schedules.Staircase(1e-4, every=31_520)  # DSIN on KITTI Stereo
    rates = {0: 1e-4, 31_519: 1e-4, 31_520: 1e-5, 63_039: 1e-5, 63_040: 1e-6, 299_999: 1e-13}
    for step, rate in rates.items():
        assert schedule.rate(step) == pytest.approx(rate, rel=1e-12)


def test_constant_stays():
    schedule = schedules.Constant(5e-4)
    schedule.observe(float("inf"))
    assert (schedule.rate(0), schedule.rate(10**9)) == (5e-4, 5e-4)


def test_make_takes_every_name():
    assert [type(schedules.make(name, 1e-4, 10)).__name__.lower() for name in schedules.NAMES] == list(schedules.NAMES)
