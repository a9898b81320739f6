"""A run directory: everything that says what a training run is, and everything that it leaves.

config.json         what decides the result: model, data, training. Another configuration is refused
environment.json    each start of the run: time, step, command, versions, git revision, devices
metrics.csv         training and validation figures by step
events/             the same for TensorBoard, and pictures
checkpoints/        the newest and the best state; see checkpoints.py
"""

import contextlib
import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

from dsin_tf import files
from dsin_tf.training import checkpoints

try:
    import fcntl
except ImportError:  # not a Unix: two runs in one directory go unnoticed
    fcntl = None

# May differ between two starts of one run: how long it goes on, and how often it says where it is.
CHANGEABLE = ("training.steps", "training.log_every", "training.checkpoint_every")

_PACKAGES = ("dsin_tf", "tensorflow", "tensorflow-compression", "keras", "numpy", "pillow", "constriction")


class RunError(ValueError):
    """A run directory cannot be used as asked; says what differs or what is missing, and what to do."""


class Run:
    """The run directory `folder`. Making this object touches no file."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.checkpoints = checkpoints.Checkpoints(self.folder / "checkpoints")
        self.metrics_path = self.folder / "metrics.csv"
        self.events_path = self.folder / "events"

    def configuration(self):
        """What config.json says, or None where there is none.

        Raises:
          RunError: the file is not JSON.
        """
        return _read_json(self.folder / "config.json")

    def begin(self, configuration):
        """Makes the directory's config.json, or checks that the one there is the same.

        Args:
          configuration: nested dicts of what JSON can hold.

        Raises:
          RunError: the directory holds a run of another configuration; names the values that differ.
        """
        configuration = json.loads(json.dumps(configuration))
        there = self.configuration()
        if there is not None:
            changed = [line for key, line in _differences(there, configuration) if key not in CHANGEABLE]
            if changed:
                raise RunError(
                    f"{self.folder} holds a run of another configuration: {'; '.join(changed)}. Name another workdir, "
                    "or give the values that are there, to resume that run."
                )
        if there != configuration:
            files.write_text(self.folder / "config.json", json.dumps(configuration, indent=1) + "\n")

    def record_start(self, step, **about):
        """Adds a start at this step to environment.json: the command, versions, git revision and `about`."""
        path = self.folder / "environment.json"
        starts = _read_json(path) or []
        starts.append({"started": _now(), "step": step, "command": sys.argv, **environment(), **about})
        files.write_text(path, json.dumps(starts, indent=1) + "\n")

    @contextlib.contextmanager
    def locked(self):
        """Keeps a second process from training in the same directory. The lock goes with the process, even killed.

        Raises:
          RunError: another process holds it.
        """
        if fcntl is None:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(
                    f"{self.folder}: another process is training there at this moment. Wait for it, stop it, or name "
                    "another workdir."
                ) from error
            yield


def environment():
    """Versions of what computes, the git revision of this package ("-dirty" with changes) or None, the machine."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "git_revision": _git_revision(),
        "platform": platform.platform(),
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision():
    """None where the package is installed, or git is missing."""
    here = Path(__file__).resolve()
    try:
        # An installed package may lie inside somebody else's repository, which knows nothing of this file.
        subprocess.run(["git", "ls-files", "--error-unmatch", here.name], cwd=here.parent, check=True, **_CAPTURED)
        revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here.parent, check=True, **_CAPTURED).stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"], cwd=here.parent, check=True, **_CAPTURED
        ).stdout
        return revision + ("-dirty" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return None


_CAPTURED = {"capture_output": True, "text": True, "timeout": 20}


def _differences(there, here, prefix=""):
    """Pairs of (dotted key, what differs in words)."""
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield prefix + key, f"{prefix}{key} is {json.dumps(old)} there, {json.dumps(new)} was asked for"


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); JSON was expected. Restore it, or name another workdir."
        ) from error


def _now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
