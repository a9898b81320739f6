"""Steps on several devices and in several processes, on the loopback interface."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf import models, training
from dsin_tf.training import metrics_file, strategy
from tests.dsin_tf.training import tiny_model

ROOT = Path(__file__).resolve().parents[3]

# Trains on batches of two with a strategy and keeps the weights of this process.
TRAIN = """if True:
    import sys
    import numpy as np
    import tensorflow as tf
    from dsin_tf import data, models, training
    from tests.dsin_tf.training import tiny_model

    name, kind, workdir, kept = sys.argv[1:]
    if name == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        devices = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        devices = training.strategy.make(name)
    assert devices.num_replicas_in_sync == (1 if name == "one_device" else 2)
    with devices.scope():
        model = tiny_model.TinyModel() if kind == "toy" else models.create(kind, "tiny")
    config = training.Config(steps=5, batch_size=2, steps_per_epoch=3, log_every=1, checkpoint_every=2)
    sources = tiny_model.Noise(), tiny_model.Noise(3, split="val")
    training.fit(model, *sources, data.protocols.get("native"), config, workdir)
    np.savez(kept, *[variable.numpy() for variable in model.trainable_variables])
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return train_in_all_ways("toy", tmp_path_factory.mktemp("toy"))


def train_in_all_ways(kind, root):
    """{name: (run directory, weights)} of one process, two devices, and two processes."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    jobs = {"one_device": ("one_device", {}), "mirrored": ("mirrored", {})}
    for index in range(2):
        task = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        jobs[f"worker {index}"] = ("multi_worker", {"TF_CONFIG": task})
    processes = {
        job: subprocess.Popen(
            [sys.executable, "-c", TRAIN, name, kind, str(root / name), str(root / f"{job}.npz")],
            cwd=ROOT,
            env={**os.environ, **environment, "CUDA_VISIBLE_DEVICES": "-1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for job, (name, environment) in jobs.items()
    }
    try:
        for job, process in processes.items():
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, f"{job}: {errors[-3000:]}"
    finally:
        for process in processes.values():
            process.kill()
            process.wait()

    def weights(job):
        with np.load(root / f"{job}.npz") as archive:
            return [archive[name] for name in archive.files]

    return {job: (root / name, weights(job)) for job, (name, _) in jobs.items()}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.parametrize("job", ["mirrored", "worker 0", "worker 1"])
def test_two_devices_take_the_step_of_one_with_both_their_images(runs, job):
    moved = [np.abs(a - b).max() for a, b in zip(weights_of(tiny_model.TinyModel()), runs["one_device"][1])]
    assert min(moved) > 1e-4  # five steps of 1e-4, of which a wrong share of the batch would turn some round
    for ours, single in zip(runs[job][1], runs["one_device"][1]):
        np.testing.assert_allclose(ours, single, rtol=0, atol=1e-5)


@pytest.mark.timeout(700)
@pytest.mark.slow
def test_two_workers_take_the_step_of_one_process_with_a_published_model(tmp_path):
    runs = train_in_all_ways("balle2018", tmp_path)
    untrained = weights_of(models.create("balle2018", "tiny"))
    assert min(np.abs(a - b).max() for a, b in zip(untrained, runs["one_device"][1])) > 1e-4
    for job in ("mirrored", "worker 0", "worker 1"):
        for ours, single in zip(runs[job][1], runs["one_device"][1]):
            np.testing.assert_allclose(ours, single, rtol=0, atol=1e-5)


@pytest.mark.parametrize("job", ["mirrored", "worker 0"])
def test_rows_and_validation_are_those_of_one_device(runs, job):
    single = metrics_file.read(runs["one_device"][0] / "metrics.csv")
    several = metrics_file.read(runs[job][0] / "metrics.csv")
    assert len(single) == len(several) == 5
    for ours, theirs in zip(several, single):
        assert ours == {
            key: value if value is None else pytest.approx(value, rel=1e-4) for key, value in theirs.items()
        }


def test_one_of_the_processes_writes_and_the_others_leave_nothing(runs):
    folder, weights = runs["worker 0"]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["000000005"]
    (start,) = json.loads((folder / "environment.json").read_text())
    assert start["step"] == 0
    model = tiny_model.TinyModel(seed=1)
    assert training.restore(model, folder, "last") == 5
    for ours, theirs in zip(weights_of(model), weights):
        np.testing.assert_array_equal(ours, theirs)


def weights_of(model):
    return [variable.numpy() for variable in model.trainable_variables]


def test_a_batch_that_cannot_be_shared_out_is_refused():
    class Three:
        num_replicas_in_sync = 3

    with pytest.raises(strategy.StrategyError, match="batch of 4 cannot be shared out evenly over 3 devices"):
        strategy.train_batches(Three(), tiny_model.Noise(), None, 4, seed=0, start_step=0)


def test_an_unknown_strategy_lists_the_known_ones():
    with pytest.raises(strategy.StrategyError, match="'tpu'; the names are: one_device, mirrored, multi_worker"):
        strategy.make("tpu")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "boss", "index": 0}}',
        "[]",
    ],
)
def test_several_machines_need_a_tf_config_that_names_them(monkeypatch, text):
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(strategy.StrategyError) as caught:
        strategy.make("multi_worker")
    assert str(caught.value).startswith(f"TF_CONFIG is {text!r};")
    assert '{"cluster": {"worker": ["host0:12345"' in str(caught.value)


def test_one_device_writes_the_run_directory():
    assert strategy.is_chief(strategy.make("one_device"))
