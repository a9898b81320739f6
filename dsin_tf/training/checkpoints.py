"""Checkpoints of a training run: all that is needed to go on as if nothing had happened.

    checkpoints/000001200/variables.*   the model's and the optimiser's variables, as `tf.train.Checkpoint` writes them
    checkpoints/000001200/state.json    the step, the schedule, the best validation loss and its step

A checkpoint is written under another name, forced to disk and then renamed, so a folder with a number for a name is
whole. The newest one and the best one are kept.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from dsin_tf import files

_VARIABLES, _STATE = "variables", "state.json"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; says which, why, and what to do."""


class Checkpoints:
    """The checkpoints in one folder."""

    def __init__(self, folder):
        self._folder = Path(folder)

    def newest(self):
        """The state of the newest checkpoint as `save` was given it, or None where there is none."""
        steps = self._steps()
        return self._read_state(steps[-1]) if steps else None

    def best(self):
        """The state of the checkpoint with the lowest validation loss, or None where nothing was validated."""
        state = self.newest()
        step = state and state["best_step"]
        return None if step is None else self._read_state(step)

    def save(self, model, state, keep=True):
        """Writes a checkpoint and removes those that are neither newest nor best.

        Args:
          model: a compiled `tf.keras.Model`.
          state: what JSON can hold; "step" names the checkpoint, "best_step" is the best one's step or None.
          keep: off in all processes but one, which take part in the writing (variables may be spread over them)
            and leave nothing.

        Raises:
          files.OutputError: it could not be written. The earlier ones are as they were.
        """
        target = self._path(state["step"])
        temporary = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=self._folder))
            _checkpoint(model).write(str(temporary / _VARIABLES))
            (temporary / _STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
            if keep:
                for path in (*temporary.iterdir(), temporary):
                    _force_to_disk(path)
                temporary.chmod(0o755)  # mkdtemp makes folders that only their owner reads
                shutil.rmtree(target, ignore_errors=True)
                temporary.rename(target)
                _force_to_disk(self._folder)
                self._remove_others({state["step"], state["best_step"]})
        except (OSError, tf.errors.OpError) as error:
            raise files.OutputError(
                f"Cannot write checkpoint {target}: {getattr(error, 'strerror', None) or error}. The earlier ones are "
                "as they were; make room, and the same command goes on from the newest."
            ) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    def restore(self, model, state):
        """Gives a model the variables of a checkpoint.

        Args:
          model: built; if it is compiled, with a built optimiser, the optimiser's variables are set, too.
          state: from `newest` or `best`.

        Raises:
          CheckpointError: the checkpoint is damaged, or another model's.
        """
        path = self._path(state["step"])
        try:
            _checkpoint(model).read(str(path / _VARIABLES)).expect_partial().assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, LookupError, ValueError) as error:
            raise CheckpointError(
                f"{path}: does not fit this model, or is damaged ({str(error).splitlines()[0]}). "
                "Use the model and the version that wrote it; or remove this folder, and the run goes on from an "
                "earlier checkpoint if there is one."
            ) from error

    def remove_leftovers(self):
        """Removes what a killed process left half-written."""
        for path in self._folder.glob(".*.part"):
            shutil.rmtree(path, ignore_errors=True)

    def _steps(self):
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit())

    def _path(self, step):
        return self._folder / f"{step:09d}"

    def _read_state(self, step):
        path = self._path(step) / _STATE
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error}); a checkpoint's state was expected. Remove the folder "
                f"{path.parent}, and the run goes on from an earlier checkpoint if there is one."
            ) from error

    def _remove_others(self, kept):
        for step in self._steps():
            if step not in kept:
                shutil.rmtree(self._path(step), ignore_errors=True)


def _checkpoint(model):
    """The model's object graph; its optimiser, where it has one, is a part of that."""
    return tf.train.Checkpoint(model=model)


def _force_to_disk(path):
    """Waits until a file's or folder's content would survive a power failure."""
    with contextlib.suppress(PermissionError):  # some systems open no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
