"""A file has the same latents wherever it is decoded: threads, oneDNN, eager, graph or XLA, alone or in a batch."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf import models
from tests.dsin_tf.models import lively

ROOT = Path(__file__).resolve().parents[3]
SIZES = [(64, 64), (64, 128), (37, 90), (128, 64), (100, 129)]


class Running:
    """The integer hyper synthesis, computed in one of TensorFlow's ways, `batch` images at a time."""

    def __init__(self, network, way, batch):
        import tensorflow as tf

        self.output, self.state = network.output, network.state
        self._batch, self._run = batch, network
        if way == "graph":
            self._run = tf.function(network, input_signature=[tf.TensorSpec([None, None, None, None], tf.int32)])
        elif way == "xla":
            self._run = tf.function(network, jit_compile=True)

    def __call__(self, z):
        import tensorflow as tf

        # The others of the batch are other pictures; where this one stands among them is its own business.
        others = [np.roll(z + k, k, axis=-1) for k in range(1, self._batch)]
        place = int(np.abs(z).sum()) % self._batch
        batch = np.concatenate([*others[:place], z, *others[place:]])
        return self._run(tf.constant(batch, tf.int32)).numpy()[place : place + 1]


def digest(latents):
    total = hashlib.sha256()
    for name in sorted(latents):
        total.update((64 * np.asarray(latents[name])).astype("<i4").tobytes())  # lee2019's are 64ths
    return total.hexdigest()


def decode_everything(folder):
    """Decodes each file in each way; prints "way batch mismatches"."""
    import tensorflow as tf

    threads = int(os.environ["MATRIX_TEST_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    expected = (folder / "digests").read_text().splitlines()
    blobs = [(folder / f"{k}.dsin").read_bytes() for k in range(len(expected))]
    model = models.load(folder)
    (holder,) = (part for name, part in model.coder.parts.items() if name.startswith("exact"))
    network = holder.network
    for way, batch in itertools.product(("eager", "graph", "xla"), (1, 4)):
        holder.network = Running(network, way, batch)
        found = [digest(model.decode_latents(blob)[1]) for blob in blobs]
        print(way, batch, sum(one != other for one, other in zip(found, expected)), flush=True)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "images", "cells"),
    [
        ("balle2018", 10, "10 11 20 21"),
        ("lee2019", 4, "10 21"),
        pytest.param("balle2018", 500, "10 11 20 21", marks=pytest.mark.slow),
        pytest.param("lee2019", 500, "10 11 20 21", marks=pytest.mark.slow),
    ],
)
def test_files_have_the_same_latents_in_every_cell(name, images, cells, tmp_path):
    """Cells are numbers of threads, with oneDNN off or on."""
    model = lively.make(name)
    model.prepare_for_coding()
    models.save(model, tmp_path)
    digests = []
    for k in range(images):
        x = lively.picture(*SIZES[k % len(SIZES)], seed=k)
        blob = model.compress(x)
        (tmp_path / f"{k}.dsin").write_bytes(blob)
        # Where there are means, integers and floats may round them to different 64ths.
        latents = model.decode_latents(blob)[1] if lively.has_means(model) else model(x[None], training=False)
        digests.append(digest({key: latents[key] for key in ("y", "z")}))
    assert len(set(digests)) == images
    (tmp_path / "digests").write_text("\n".join(digests))
    processes = []
    for threads, onednn in cells.split():
        way = {"MATRIX_TEST_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "TF_ENABLE_ONEDNN_OPTS": onednn}
        command, env = [sys.executable, __file__, str(tmp_path)], {**os.environ, **way, "PYTHONPATH": str(ROOT)}
        processes.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
    for process in processes:
        printed = process.communicate()[0].splitlines()
        assert process.returncode == 0
        assert printed == [f"{way} {batch} 0" for way in ("eager", "graph", "xla") for batch in (1, 4)]


if __name__ == "__main__":
    decode_everything(Path(sys.argv[1]))
