import json
import subprocess
import sys

import numpy as np
import pytest

from dsin_tf import files, models
from dsin_tf.models import storage
from tests.dsin_tf.models import lively

IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from dsin_tf import models

for folder in sys.argv[1:]:
    folder = Path(folder)
    model = models.load(folder)
    x = np.load(folder / "x.npy")
    assert model.compress(x) == (folder / "blob").read_bytes(), "other bytes"
    side = [np.load(folder / "y.npy")] if model.uses_side else []
    x_hat = model.decompress((folder / "blob").read_bytes(), *side)
    np.testing.assert_array_equal(x_hat, np.load(folder / "x_hat.npy"))
    print(model.identity.hex(), model.preset, int(model.step))
"""


def test_a_model_read_in_another_process_writes_and_reads_the_same_files(prepared, tmp_path):
    x = lively.picture(70, 90)
    for name, model in prepared.items():
        models.save(model, tmp_path / name)
        blob = model.compress(x)
        (tmp_path / name / "blob").write_bytes(blob)
        np.save(tmp_path / name / "x.npy", x)
        np.save(tmp_path / name / "y.npy", lively.side(70, 90))
        np.save(tmp_path / name / "x_hat.npy", model.decompress(blob))
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *(str(tmp_path / name) for name in prepared)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [f"{model.identity.hex()} tiny 0" for model in prepared.values()]


def test_settings_and_step_are_kept(tmp_path):
    model = models.create("balle2017", "tiny", lmbda=0.123, distortion="ms-ssim", seed=8)
    model.step.assign(77)
    models.save(model, tmp_path)
    read = models.load(tmp_path)
    assert read.settings == model.settings
    assert (read.preset, int(read.step), read.is_prepared) == ("tiny", 77, False)
    for one, other in zip(model.trainable_variables, read.trainable_variables):
        np.testing.assert_array_equal(one, other)


def test_weights_are_float32_under_readable_names(tmp_path):
    models.save(models.create("balle2018", "tiny"), tmp_path)
    with np.load(tmp_path / "weights.npz") as archive:
        assert archive["weights/analysis/conv1/kernel"].shape == (5, 5, 3, 8)
        assert archive["weights/synthesis/igdn2/reparam_gamma"].shape == (8, 8)
        assert {archive[name].dtype for name in archive.files if name.startswith("weights/")} == {np.dtype("float32")}


def test_a_model_trained_on_since_is_saved_without_its_old_tables(tmp_path):
    model = lively.make("balle2017")
    model.prepare_for_coding()
    model.step.assign_add(1)
    models.save(model, tmp_path)
    assert not models.load(tmp_path).is_prepared


def test_a_failed_write_leaves_the_old_model(prepared, tmp_path, monkeypatch):
    models.save(prepared["balle2017"], tmp_path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(files.OutputError, match="No space left"):
        models.save(lively.make("balle2017", seed=5), tmp_path)
    monkeypatch.undo()
    assert models.load(tmp_path).identity == prepared["balle2017"].identity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "weights.npz"]


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(storage.ModelFilesError, match="holds no model"):
        models.load(tmp_path / "nothing")


def test_missing_weights_are_named(prepared, tmp_path):
    models.save(prepared["balle2017"], tmp_path)
    (tmp_path / "weights.npz").unlink()
    with pytest.raises(storage.ModelFilesError, match=r"weights\.npz: does not exist"):
        models.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "balle2017"}', '{"name": "balle2017", "preset": "tiny", "settings": 3}']
)
def test_damaged_settings_are_refused(prepared, tmp_path, text):
    models.save(prepared["balle2017"], tmp_path)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(storage.ModelFilesError, match=r"model\.json"):
        models.load(tmp_path)


def test_weights_of_another_size_are_refused(prepared, tmp_path):
    models.save(prepared["balle2017"], tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["settings"]["filters"] = 9
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(storage.ModelFilesError, match=r"\[9, 9, 3, 8\].*expects \[9, 9, 3, 9\]|expects \[9\]"):
        models.load(tmp_path)


def test_damaged_weights_are_refused(prepared, tmp_path):
    models.save(prepared["balle2018"], tmp_path)
    path = tmp_path / "weights.npz"
    whole = path.read_bytes()
    model = models.create("balle2018", "tiny")
    rng = np.random.default_rng(0)
    for length in [0, 1, 100, *rng.integers(0, len(whole), 10)]:
        path.write_bytes(whole[:length])
        with pytest.raises(storage.ModelFilesError, match=r"weights\.npz"):
            storage.load_weights(model, tmp_path)
    for place in rng.integers(0, len(whole), 50):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            storage.load_weights(model, tmp_path)
        except storage.ModelFilesError:
            continue
        assert model.identity == prepared["balle2018"].identity  # a byte of the archive that says nothing


def test_tables_that_do_not_fit_are_refused(prepared, tmp_path):
    models.save(prepared["balle2018"], tmp_path)
    path = tmp_path / "weights.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["coding/exact_scales/0.kernel"]
    np.savez(path, **arrays)
    with pytest.raises(storage.ModelFilesError, match="coding tables cannot be used"):
        models.load(tmp_path)
