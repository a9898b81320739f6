"""The pipeline's benchmark runs; what it measures is not judged here."""

from dsin_tf import data, images
from eval.bench import data_pipeline


def test_measures_a_rate_on_pairs_of_its_own(tmp_path):
    data_pipeline.make_pairs(tmp_path, 2, size=(40, 60))
    assert images.read(tmp_path / "right/000001.png").shape == (40, 60, 3)
    source = data.load("pairs", "train", tmp_path)
    for memory_mb in (0, 16):
        assert data_pipeline.measure(source, data.protocols.get("native"), memory_mb, seconds=0.0) > 0
