"""Drivers as a user runs them, and little pairs to run them on."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.dsin_tf.models import lively

ROOT = Path(__file__).resolve().parents[2]


def drive(driver, *arguments, timeout=250):
    """Runs `python -m experiments.DRIVER ARGUMENTS` and returns what subprocess.run does."""
    command = [sys.executable, "-m", f"experiments.{driver}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)


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
