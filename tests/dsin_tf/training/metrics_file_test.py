import pytest

from dsin_tf.training import metrics_file


def steps(path):
    return [row["step"] for row in metrics_file.read(path)]


def test_rows_are_read_back_to_float32_precision(tmp_path):
    path = tmp_path / "run" / "metrics.csv"
    file = metrics_file.MetricsFile(path)
    file.append({"step": 10, "loss": 0.1234567890123, "val_loss": None})
    file.append({"step": 20, "loss": 1e-7, "val_loss": 2.0})
    assert path.read_text() == "step,loss,val_loss\n10,0.123456789,\n20,1e-07,2\n"
    assert metrics_file.read(path) == [
        {"step": 10, "loss": 0.123456789, "val_loss": None},
        {"step": 20, "loss": 1e-7, "val_loss": 2.0},
    ]


@pytest.mark.parametrize(("after", "kept"), [(25, [10, 20]), (20, [10, 20]), (9, []), (100, [10, 20, 30])])
def test_rows_after_the_step_that_a_run_goes_on_from_are_dropped(tmp_path, after, kept):
    path = tmp_path / "metrics.csv"
    file = metrics_file.MetricsFile(path)
    for step in (10, 20, 30):
        file.append({"step": step, "loss": 1.0})
    metrics_file.MetricsFile(path, after_step=after).append({"step": 101, "loss": 2.0})
    assert steps(path) == [*kept, 101]


@pytest.mark.parametrize("cut", range(1, 17))
def test_half_a_row_is_dropped(tmp_path, cut):
    """However much of the file a killed process left."""
    path = tmp_path / "metrics.csv"
    file = metrics_file.MetricsFile(path)
    for step in (1, 2):
        file.append({"step": step, "loss": 0.25})
    whole = path.read_bytes()  # a header and two rows
    path.write_bytes(whole[:-cut])
    resumed = metrics_file.MetricsFile(path, after_step=1 if cut <= 7 else 0)
    for step in (1, 2)[1 if cut <= 7 else 0 :]:
        resumed.append({"step": step, "loss": 0.25})
    assert path.read_bytes() == whole


def test_a_new_run_begins_a_new_file(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics_file.MetricsFile(path).append({"step": 1, "loss": 1.0})
    metrics_file.MetricsFile(path).append({"step": 1, "bpp": 2.0})
    assert path.read_text() == "step,bpp\n1,2\n"
