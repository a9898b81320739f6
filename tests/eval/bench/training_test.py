"""The benchmark of training runs; what it measures is not judged here."""

from eval.bench import training


def test_measures_a_rate():
    assert training.measure("balle2017", filters=4, size=(32, 48), batch_size=2, seconds=0.0) > 0
