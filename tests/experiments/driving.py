"""Drivers as a user runs them, and little pairs to run them on."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.dsin_tf.models import lively

ROOT = Path(__file__).resolve().parents[2]

# Drivers' processes are forked off one that has imported TensorFlow and computed nothing, which saves seconds each.
# What depends on the order of imports is tested in common_test.py, in processes of its own.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def drive(driver, *arguments, timeout=250):
    """Runs experiments.DRIVER in a process of its own, as `python -m` does; returns what subprocess.run does."""
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder) / name for name in ("stdout", "stderr")]
        for path in printed:
            path.touch()
        process = _PROCESSES.Process(target=_be_driver, args=(driver, [str(a) for a in arguments], *printed))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([driver, *arguments], timeout)
        return subprocess.CompletedProcess(
            [driver, *arguments], process.exitcode, *(path.read_text() for path in printed)
        )


def _be_driver(driver, arguments, stdout, stderr):
    for stream, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY), stream)
    os.chdir(ROOT)
    sys.argv[1:] = arguments
    runpy.run_module(f"experiments.{driver}", run_name="__main__", alter_sys=True)


class Pairs:
    """Three pairs; x and y are two parts of one picture."""

    name, kind, digest = "made_up", "pairs", "d1"

    def __init__(self, split="train", height=24, width=40, shift=8):
        self.split = split
        self.names = tuple(f"{split} {k}" for k in range(3))
        self._height, self._width, self._shift = height, width, shift

    def __len__(self):
        return len(self.names)

    def read(self, index):
        scene = lively.picture(self._height, self._width + self._shift, index + len(self.split))
        return np.ascontiguousarray(scene[:, : self._width]), np.ascontiguousarray(scene[:, self._shift :])

    def read_x(self, index):
        return self.read(index)[0]
