import os

import numpy as np
import pytest

from dsin_tf import files
from dsin_tf.training import checkpoints, fitting
from tests.dsin_tf.training import tiny_model


def compiled(seed=0):
    model = tiny_model.TinyModel(seed=seed)
    fitting.compile_model(model, fitting.Config(steps=1))
    return model


def trained(steps, seed=0):
    model = compiled(seed)
    for k in range(steps):
        model.train_on_batch(tiny_model.Noise().read(k)[None])
    return model


def state(step, best_step=None):
    return {"step": step, "best_step": best_step, "best_loss": None}


def test_the_optimisers_slots_come_back_with_the_weights(tmp_path):
    model = trained(3)
    assert any("vhat" in v.name and v.numpy().any() for v in model.optimizer.variables)
    store = checkpoints.Checkpoints(tmp_path)
    store.save(model, state(3))
    other = compiled(seed=9)
    assert tiny_model.digest(other) != tiny_model.digest(model)
    checkpoints.Checkpoints(tmp_path).restore(other, store.newest())
    assert tiny_model.digest(other) == tiny_model.digest(model)


def test_a_model_without_optimiser_takes_the_weights_alone(tmp_path):
    model = trained(2)
    store = checkpoints.Checkpoints(tmp_path)
    store.save(model, state(2))
    plain = tiny_model.TinyModel(seed=5)
    store.restore(plain, store.newest())
    for ours, theirs in zip(plain.weights, model.weights):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_the_newest_and_the_best_are_kept(tmp_path):
    model, store = trained(1), checkpoints.Checkpoints(tmp_path)
    for step, best in ((10, None), (20, 20), (30, 20), (40, 20), (50, 50), (60, 50)):
        store.save(model, state(step, best))
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            {f"{kept:09d}" for kept in (step, best) if kept is not None}
        )
    assert (store.newest()["step"], store.best()["step"]) == (60, 50)


def test_an_empty_folder_has_none(tmp_path):
    store = checkpoints.Checkpoints(tmp_path / "missing")
    assert (store.newest(), store.best()) == (None, None)


def test_what_a_killed_process_left_is_not_seen_and_goes_away(tmp_path):
    model, store = trained(1), checkpoints.Checkpoints(tmp_path)
    store.save(model, state(10))
    (tmp_path / ".000000020.abc.part").mkdir()
    (tmp_path / ".000000020.abc.part" / "state.json").write_text('{"step": 20, "best_step": null}')
    assert store.newest()["step"] == 10
    store.remove_leftovers()
    assert [path.name for path in tmp_path.iterdir()] == ["000000010"]


@pytest.mark.parametrize("at", ["write", "rename"])
def test_a_failed_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch, at):
    model, store = trained(1), checkpoints.Checkpoints(tmp_path)
    store.save(model, state(10))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync" if at == "write" else "rename", full)
    if at == "rename":
        monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(files.OutputError, match=r"checkpoint .*000000020: No space left on device\..*earlier ones"):
        store.save(model, state(20))
    assert [path.name for path in tmp_path.iterdir()] == ["000000010"]
    assert store.newest()["step"] == 10


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damage_is_named(tmp_path, damage):
    store = checkpoints.Checkpoints(tmp_path)
    store.save(trained(1), state(10))
    (path,) = (tmp_path / "000000010").glob("variables.data*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    with pytest.raises(checkpoints.CheckpointError, match="000000010"):
        store.restore(compiled(), store.newest())


def test_another_models_checkpoint_is_refused(tmp_path):
    store = checkpoints.Checkpoints(tmp_path)
    store.save(trained(1), state(10))
    other = tiny_model.TinyModel(trains_on="pairs")
    with pytest.raises(checkpoints.CheckpointError, match="does not fit this model"):
        store.restore(other, store.newest())


def test_a_damaged_state_is_named(tmp_path):
    store = checkpoints.Checkpoints(tmp_path)
    store.save(trained(1), state(10))
    (tmp_path / "000000010" / "state.json").write_text('{"step": 10,')
    with pytest.raises(checkpoints.CheckpointError, match=r"000000010/state\.json: cannot be read"):
        store.newest()
