"""Drivers' commands, one after the other or side by side, each done once: an interrupted run goes on where it stopped.

A step is done when its command ended well. That is kept in a file, with the command and with the identity of the
shipped weights that it names; it is done again when one of these is another, when what it wrote is gone, or when a
step that it needs was done after it. A training that was stopped goes on from its last checkpoint.
"""

import concurrent.futures
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from dsin_tf import files, zoo
from experiments import common

_ROOT = Path(__file__).resolve().parents[1]
_TOLD = 12  # lines of what a failed step said


@dataclasses.dataclass(frozen=True)
class Step:
    """A driver's command.

    Attributes:
      name: unique among the steps that are run together.
      driver: name of the module in `experiments`.
      flags: its arguments.
      out: the file or folder that it writes.
      needs: names of steps that are to be done before.
      optional: what it makes can be done without: where it fails it is told, and the others go on.
    """

    name: str
    driver: str
    flags: tuple
    out: Path
    needs: tuple = ()
    optional: bool = False

    @property
    def command(self):
        """What one types in a checkout."""
        return shlex.join(_words(self))


def run(steps, folder, jobs=1):
    """Runs the steps that are not done yet.

    Args:
      steps: list of `Step`, each after those that it needs.
      folder: where it is kept what was done, and what steps said that ran side by side.
      jobs: how many may run at once. One alone has the terminal and all cores; of several each has one core.

    Returns:
      {name: how it failed} of optional steps.

    Raises:
      common.UserError: a step failed; the message has its command.
    """
    waiting, failed, running, processes = _not_done(steps, Path(folder)), {}, {}, []
    if len(waiting) < len(steps):
        _say(f"{len(steps) - len(waiting)} of {len(steps)} steps are done from before.")
    count, finished = len(waiting), 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                unfinished = {each.name for each in (*waiting, *running.values())}
                ready = [each for each in waiting if not unfinished & set(each.needs)]
                for step in ready[: jobs - len(running)]:
                    waiting.remove(step)
                    running[pool.submit(_do, step, Path(folder), jobs > 1, processes)] = step
                for future in concurrent.futures.wait(running, return_when="FIRST_COMPLETED").done:
                    step, error, finished = running.pop(future), future.result(), finished + 1
                    if error and not step.optional:
                        raise common.UserError(f"{step.name} failed: {error}\nIts command: {step.command}")
                    if error:
                        failed[step.name] = error
                    _say(f"[{finished}/{count}] {step.name}{f': not made. {error}' if error else ''}")
        except BaseException:
            for process in processes:
                process.terminate()
            raise
    return failed


def is_done(step, folder):
    """Whether a step was done, as it is now, after all that it needs."""
    stamp = _stamp(folder, step.name)
    try:
        done, when = stamp.read_text(encoding="utf-8") == _key(step), stamp.stat().st_mtime_ns
        before = [_stamp(folder, name).stat().st_mtime_ns for name in step.needs]
    except FileNotFoundError:
        return False
    return done and Path(step.out).exists() and all(earlier <= when for earlier in before)


def _not_done(steps, folder):
    """The steps that are to be done; what needs one of them is done again."""
    found = []
    for step in steps:
        if {each.name for each in found} & set(step.needs) or not is_done(step, folder):
            found.append(step)
    return found


def _do(step, folder, aside, processes):
    """Runs a step; how it failed, or None. `aside`: on one core, and what it says goes to a file."""
    log = folder / "logs" / f"{_as_name(step.name)}.txt"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if aside:
        environment.update(dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"))
    if not aside:
        _say(f"{step.name}: {step.command}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        to = {"stdout": out, "stderr": subprocess.STDOUT} if aside else {}
        process = subprocess.Popen([sys.executable, *_words(step)[1:]], cwd=_ROOT, env=environment, **to)
        processes.append(process)
        status = process.wait()
        processes.remove(process)
    if status:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_TOLD:] if aside else []
        said = [line for line in said if line.startswith("error: ")][-1:] or said
        return "\n".join(said).removeprefix("error: ") or f"exit status {status}"
    files.write_text(_stamp(folder, step.name), _key(step))
    return None


def _words(step):
    return ["python", "-m", f"experiments.{step.driver}", *step.flags]


def _key(step):
    """What a step's result depends on, as text."""
    named = {name for flag in step.flags for name in re.split("[=,/]", flag)} & set(zoo.names())
    weights = {name: zoo.card(name)["identity"] for name in sorted(named)}
    return json.dumps({"command": step.command, "weights": weights}, indent=1) + "\n"


def _stamp(folder, name):
    return Path(folder) / "done" / f"{_as_name(name)}.json"


def _as_name(name):
    return name.replace("/", "_").replace(" ", "_")


def _say(text):
    common.console.print(text, markup=False, highlight=False, soft_wrap=True)
