"""kill -9 at random moments, the same call again: the same weights as without."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]

# Imports TensorFlow once and forks a process for each start, which saves most of the time that starts would take.
NURSERY = """if True:
    import json, os, random, signal, sys, time
    from dsin_tf import data, training
    from tests.dsin_tf.training import tiny_model

    workdir, steps = sys.argv[1], int(sys.argv[2])
    kills, whole, chance = int(sys.argv[3]), float(sys.argv[4]), random.Random(sys.argv[5])

    def train():
        model = tiny_model.TinyModel()
        config = training.Config(
            steps=steps, batch_size=2, learning_rate=1e-3, steps_per_epoch=37, log_every=5, checkpoint_every=10
        )
        sources = tiny_model.Noise(), tiny_model.Noise(2, split="val")
        training.fit(model, *sources, data.protocols.get("native"), config, workdir)
        with open(os.path.join(workdir, "digest"), "w") as file:
            file.write(tiny_model.digest(model))

    def start():
        child = os.fork()
        if not child:
            try:
                train()
            finally:
                os._exit(0)
        return child

    def newest():
        folder = os.path.join(workdir, "checkpoints")
        return max((name for name in os.listdir(folder) if name.isdigit()), default="") if os.path.isdir(folder) else ""

    killed = []
    for k in range(kills):
        before, child = newest(), start()
        if k % 3:  # while it trains, validates or writes; else anywhere, the start included
            while newest() == before and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.001)
        time.sleep(chance.uniform(0, whole / (30 if k % 3 else 3)))
        os.kill(child, signal.SIGKILL)
        killed.append(os.WIFSIGNALED(os.waitpid(child, 0)[1]))
    begun = time.monotonic()
    os.waitpid(start(), 0)
    print(json.dumps([sum(killed), time.monotonic() - begun]))
"""


def train(workdir, steps, kills=0, whole=0, chance=""):
    """Trains so many steps through so many kills.

    Args:
      workdir, steps, kills: where, how many steps, through how many kills.
      whole: seconds that training takes without a kill, by which the moments are chosen.
      chance: seed of the moments.

    Returns:
      How many of the kills hit a process that was at work, and the seconds that the last start took.
    """
    result = subprocess.run(
        [sys.executable, "-c", NURSERY, *(str(value) for value in (workdir, steps, kills, whole, chance))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(("steps", "kills"), [(300, 3), pytest.param(1000, 60, marks=pytest.mark.slow)])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, steps, kills):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    _, whole = train(calm, steps)
    chance = str(np.random.SeedSequence().entropy)
    print("random moments:", chance)  # pytest shows it when the test fails
    hits, _ = train(killed, steps, kills, whole, chance)
    assert hits >= min(kills, 8)
    assert (killed / "digest").read_text() == (calm / "digest").read_text()
    assert (killed / "metrics.csv").read_bytes() == (calm / "metrics.csv").read_bytes()
    assert [path.name for path in (killed / "checkpoints").glob(".*")] == []
    states = [json.loads((run / f"checkpoints/{steps:09d}/state.json").read_text()) for run in (calm, killed)]
    for state in states:
        state.pop("seconds")
    assert states[0] == states[1]
