"""Measures the results that are kept in eval/results again, by the commands that they name, and compares.

    python -m experiments.results --data_dir=DIR
    python -m experiments.results --data_dir=DIR --only='dsin_*'
    python -m experiments.results --data_dir=DIR --only=dsin_kitti_small --update

What stands for a folder of data in a command is looked for in --data_dir, some folders deep: it is the one whose list
of images has the digest that the result keeps. Street needs no folder. Of results whose weights are not shipped, or
whose images are not at hand, the table says so. Every image's points are compared: rates, sizes and settings must be
the same, metrics and estimates within 0.02 %, for a decoded picture may differ by a grey level between machines;
seconds are not compared. The exit status is 1 where something changed. --update then writes what was measured into
eval/results; README and claims that quote it are to be looked at after that.
"""

import contextlib
import dataclasses
import fnmatch
import logging
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from absl import flags

from dsin_tf import data, zoo
from eval import rd_results, tables
from experiments import codec_driver, common

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "eval" / "results"
TOLERANCE = 2e-4  # of a value
_COMPUTED = ("psnr", "ms-ssim", "bpp-estimated", "mse", "ssim", "cmssim", "lab-", "rgb-angle", "map-share")
_SECONDS = ("encode-s", "decode-s")


class NotAtHand(Exception):
    """A result cannot be measured again here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A column of a result that is not what was kept: by how much at most, and in how many images."""

    column: str
    most: float
    images: int

    def __str__(self):
        return f"{self.column} by up to {self.most:.4g} in {self.images} images"


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Results"):
        flags.DEFINE_string("data_dir", None, "Folder that holds the data sets, each in a folder of its own.")
        flags.DEFINE_string("only", "*", "Only results of this name in eval/results; may hold * and ?.")
        flags.DEFINE_bool("update", False, "Keep what was measured in place of what changed.")
        flags.DEFINE_string("workdir", "runs/results", "Folder for what is measured.")


def main(argv):
    """Reads the flags and runs; the exit status."""
    del argv
    values = flags.FLAGS
    paths = [path for path in kept() if fnmatch.fnmatchcase(path.stem, values.only)]
    if not paths:
        raise common.UserError(f"--only={values.only}: fits no result in {KEPT}. Name one of those.")
    changed = run(paths, values.data_dir, Path(values.workdir), values.update)
    return int(bool(changed) and not values.update)


def kept():
    """Paths of the results that are kept, those of images that were trained on last."""
    return [path for folder in (KEPT, KEPT / "training_images") for path in sorted(folder.glob("*.json"))]


def run(paths, data_dir, workdir, update=False):
    """Measures results again, compares them with those kept, and prints a table to stdout.

    Args:
      paths: of the results that are kept.
      data_dir: see the module's docstring; None where there is none.
      workdir: folder for what is measured.
      update: whether what changed is kept from now on.

    Returns:
      The paths of those that changed.
    """
    rows, changed = [], []
    for path in paths:
        kept = rd_results.load(path)
        try:
            again = measure(kept, data_dir, workdir / path.stem)
        except NotAtHand as reason:
            rows.append((path.stem, "not measured again", str(reason)))
            continue
        changes = compare(kept, rd_results.load(again))
        rows.append((path.stem, "changed" if changes else "equal", "; ".join(map(str, changes))))
        if changes:
            changed.append(path)
            if update:
                shutil.copyfile(again, path)
    common.show_table(_table(rows))
    if changed and update:
        print(f"Updated: {', '.join(map(str, changed))}. README.md and explanations of claims may quote these.")
    return changed


def measure(kept, data_dir, folder):
    """Measures a result again by its command, in a process of its own.

    Args:
      kept: the `RDResult`.
      data_dir: where data are looked for, or None.
      folder: for what is measured.

    Returns:
      The path of the new results file.

    Raises:
      NotAtHand: it cannot be measured here.
      common.UserError: the command failed.
    """
    words = _runnable(kept, data_dir)
    is_anchor = "experiments.anchors" in words
    command = [sys.executable, *words[1:], f"--{'workdir' if is_anchor else 'out'}={Path(folder).resolve()}"]
    common.console.print(f"Measuring: {shlex.join(command)}", soft_wrap=True, highlight=False, markup=False)
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        raise common.UserError(
            f"This command, of {kept.name}, failed; what it said stands above: {shlex.join(command)}"
        )
    return next(p for p in Path(folder).glob("*.json") if rd_results.load(p).meta["method"] == kept.meta["method"])


def settings_of(command):
    """{flag: text} of a command; of a switch "true" or "false"."""
    found = {}
    for word in shlex.split(command)[3:]:
        name, has_value, text = word.removeprefix("--").partition("=")
        switched_off = not has_value and name.startswith("no")
        found[name[2:] if switched_off else name] = text if has_value else "false" if switched_off else "true"
    return found


def shipped_weights(command):
    """The names of shipped weights in a command; none where it names a run.

    Raises:
      NotAtHand: it names a run instead.
    """
    names = tuple(filter(None, settings_of(command).get("workdir", "").split(",")))
    missing = [name for name in names if name not in zoo.names()]
    if missing:
        what = "a training that is not kept" if missing == [common.PLACES["workdir"]] else ", ".join(missing)
        raise NotAtHand(f"its weights are not shipped: {what}")
    return names


def find_source(meta, data_dir):
    """The images that a result was measured on.

    Args:
      meta: the result's.
      data_dir: folder that they lie in, some folders deep; None for data that need none.

    Returns:
      (the data set, singly; its folder, or None).

    Raises:
      NotAtHand: they are not there.
    """
    given = settings_of(meta["command"])
    options = {name: given[name] for name in ("list_file", "views", "scenes") if name in given}
    options.update({name: int(given[name]) for name in ("set_size",) if name in given})
    options.update({name: codec_driver.size(name, given[name]) for name in ("size",) if name in given})
    about = given.get("dataset", "street"), given.get("split", "test")
    needs_folder = "data_dir" in given
    limit = int(given["limit"]) if "limit" in given else None
    logging.disable(logging.WARNING)  # what data sets say of folders that are not theirs
    try:
        for folder in common.folders_in(data_dir) if needs_folder else (None,):
            with contextlib.suppress(data.DataError):
                source = common.singly(data.load(*about, folder, given.get("partial") == "true", limit, **options))
                if source.digest == meta["data_digest"]:
                    return source, folder
    finally:
        logging.disable(logging.NOTSET)
    why = "they are rendered differently now"
    if needs_folder:
        why = f"not in {data_dir}" if data_dir else "there is no --data_dir"
    what = f"{meta['images']} images of {meta['dataset']} {meta['split']}, digest {meta['data_digest'][:12]}"
    raise NotAtHand(f"its data are not at hand ({what}): {why}")


def compare(kept, again):
    """What of a result changed.

    Args:
      kept, again: two `RDResult`s, of which the second has what the first has, or more.

    Returns:
      List of `Change`; empty if they are equal.
    """
    ours, theirs = ({image.name: image.points for image in result.images} for result in (kept, again))
    found = [Change("the list of images", len(set(ours) ^ set(theirs)), len(set(ours) ^ set(theirs)))]
    for column in dict.fromkeys(column for points in ours.values() for column in points if column not in _SECONDS):
        most = [
            _difference(column, points[column], theirs[name].get(column, ()))
            for name, points in ours.items()
            if name in theirs and column in points
        ]
        found.append(Change(column, max(most, default=0), sum(value > 0 for value in most)))
    return [change for change in found if change.images]


def _difference(column, kept, again):
    """The largest difference of two lists of numbers, 0 within the tolerance."""
    if len(kept) != len(again):
        return float("inf")
    tolerance = TOLERANCE if column.startswith(_COMPUTED) else 0
    return max((abs(a - b) for a, b in zip(kept, again) if abs(a - b) > tolerance * abs(a)), default=0)


def _runnable(kept, data_dir):
    """The words of a result's command with the folder of its data; see `measure`."""
    command = kept.meta.get("command")
    if command is None:
        raise NotAtHand("it names no command")
    shipped_weights(command)
    _, folder = find_source(kept.meta, data_dir)
    return [f"--data_dir={folder}" if word.startswith("--data_dir=") else word for word in shlex.split(command)]


def _table(rows):
    rows = [tables.Row((name,), (tables.Cell(state), tables.Cell(what or None))) for name, state, what in rows]
    note = f"Metrics and estimates may differ by {100 * TOLERANCE:g} %, all else but seconds not at all."
    return tables.Table("Results measured again", ("result",), ("", "what"), tuple(rows), note)


if __name__ == "__main__":
    define_flags()
    common.run(main)
