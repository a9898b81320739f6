"""Checks a data set before anybody trains on it, and unpacks KITTI's official archives.

Counts what each list expects and what is there, and names every file that is missing, cut off, unreadable, of
another size than its partner, or too small for the protocol; exit status 1 when there is any.

    python -m experiments.prepare --dataset=kitti_stereo --data_dir=DIR
    python -m experiments.prepare --dataset=kitti_stereo --data_dir=DIR \\
        --zip=data_stereo_flow_multiview.zip,data_scene_flow_multiview.zip

Decoding takes about 17 ms of one processor for an image of KITTI's size: half a minute for KITTI Stereo on two.
"""

import collections
import concurrent.futures
import dataclasses
import os
from pathlib import Path
from typing import Optional

from absl import flags, logging
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from dsin_tf import data, images
from dsin_tf.data import kitti_archives, kitti_scenes, protocols
from experiments import common

FLAGS = flags.FLAGS

_DATASETS = tuple(name for name in data.names() if not name.startswith("street"))
_OF_ARCHIVES = ("kitti_stereo", "kitti_stereo_clean", "kitti_general", "kitti_scenes")
_PARTS = ("train", "val", "test")


@dataclasses.dataclass
class Part:
    """What was found of one list.

    Attributes:
      split: the part's name.
      expected, found: items (pairs, images or sets) of the list, and those of them that are there wholly.
      missing: paths that are not there.
      files: paths that are.
      pairs: (x, y) of the pairs that are there; empty for images and sets.
      digest: of the list, as far as it is there.
      error: why there is no list.
      unusable: how many files and pairs are there and cannot be used.
      converted: how many files are not 8-bit RGB and become it when read.
      sizes: the different (height, width).
    """

    split: str
    expected: Optional[int] = None
    found: int = 0
    missing: tuple = ()
    files: tuple = ()
    pairs: tuple = ()
    digest: str = ""
    error: str = ""
    unusable: int = 0
    converted: int = 0
    sizes: tuple = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found. `problems` and `notes` are lines; the data set is complete without problems."""

    parts: tuple
    problems: tuple
    notes: tuple

    @property
    def complete(self):
        """Whether everything the lists name is there and usable."""
        return not self.problems


def main(_):
    logging.set_verbosity(logging.ERROR)  # that something is missing is this driver's own subject
    if FLAGS.data_dir is None:
        raise common.UserError("--data_dir is not given; name the folder that holds the data set, or is to hold it.")
    damaged = unpack(FLAGS.zip, FLAGS.data_dir, FLAGS.dataset) if FLAGS.zip else []
    report = check(
        FLAGS.dataset,
        FLAGS.data_dir,
        parts=None if FLAGS.split == "all" else (FLAGS.split,),
        list_file=FLAGS.list_file,
        protocol=protocols.get(FLAGS.protocol),
        decode=FLAGS.decode,
        workers=FLAGS.workers,
    )
    show(report, Console(soft_wrap=True), FLAGS.dataset, extra=damaged)
    return 0 if report.complete and not damaged else 1


def unpack(archives, data_dir, dataset):
    """Unpacks KITTI's archives below `data_dir`; returns a line for each damaged image.

    Args:
      archives: paths of the .zip files.
      data_dir: where to; made when it is missing.
      dataset: the data set's name; only those made from the two archives have something to unpack.

    Raises:
      common.UserError: the data set is not made from these archives.
      data.DataError: an archive is not what it should be.
      files.OutputError: no room on the disk, or it cannot be written.
    """
    if dataset not in _OF_ARCHIVES:
        raise common.UserError(f"--zip unpacks KITTI's archives for {', '.join(_OF_ARCHIVES)}, not for {dataset}.")
    plans = [kitti_archives.plan(path, data_dir) for path in archives]
    kitti_archives.check_space(plans, data_dir)
    damaged = []
    for plan in plans:
        common.console.print(
            f"{plan.path}: {len(plan.members)} colour images to unpack ({plan.size_bytes / 2**30:.2f} GiB), "
            f"{plan.present} are there already."
        )
        with common.progress(f"Unpacking {plan.path.name}", len(plan.members)) as advance:
            damaged += [f"damaged in {plan.path}: {name} ({why})" for name, why in kitti_archives.unpack(plan, advance)]
    return damaged


def check(dataset, data_dir, parts=None, list_file=None, protocol=None, decode=True, workers=None):
    """Checks a data set's lists and files.

    Args:
      dataset: one of `dsin_tf.data.names()` that is made of files.
      data_dir: its folder.
      parts: names of the parts to check; None for all it has.
      list_file: see `dsin_tf.data.load`; for list and kitti_general.
      protocol: images must be large enough for this `protocols.Protocol`; None for native.
      decode: decode every pixel and compare checksums, which finds files that are cut off or damaged; else only
        headers are read.
      workers: files read at once; None for one a processor.

    Returns:
      A `Report`.

    Raises:
      data.DataError: unknown name, no such folder, or a list file that cannot be read.
    """
    protocol = protocol or protocols.get("native")
    found = [_look_up(dataset, part, data_dir, list_file) for part in parts or _parts(dataset, data_dir, list_file)]
    seen = _read_all(list(dict.fromkeys(path for part in found for path in part.files)), decode, workers)
    problems = {}  # a dict for its order: lists share files, and each problem is said once
    for part in found:
        if part.error:
            problems[part.error] = None
        problems.update(dict.fromkeys(_missing_lines(part.missing)))
        bad = _unusable(part, seen, protocol)
        problems.update(dict.fromkeys(bad.values()))
        part.unusable = len(bad)
        part.converted = sum(1 for path in part.files if seen[path].conversion)
        part.sizes = tuple(sorted({seen[path].size for path in part.files if seen[path].size}))
        if part.expected is not None and part.found < part.expected and not part.missing:
            problems[f"incomplete  {dataset} {part.split}: {part.found} of {part.expected} items are there"] = None
    notes = tuple(f"converted   {path}: {file.conversion}" for path, file in seen.items() if file.conversion)
    return Report(tuple(found), tuple(problems), notes)


def show(report, console, dataset, extra=()):
    """Prints a report: every problem on a line, then the table of counts, then the verdict."""
    for line in (*extra, *report.problems, *report.notes):
        console.print(line, highlight=False, markup=False)
    table = Table(title=f"{dataset}: what the lists expect and what is there", box=box.SIMPLE_HEAD)
    table.title_justify = "left"
    table.add_column("part")
    for column in ("expected", "found", "files missing", "unusable", "converted"):
        table.add_column(column, justify="right")
    table.add_column("list digest")
    for part in report.parts:
        expected = "–" if part.expected is None else str(part.expected)
        counts = (part.found, len(part.missing), part.unusable, part.converted)
        table.add_row(part.split, expected, *map(str, counts), part.digest[:8] or "–")
    console.print(table)
    sizes = sorted({size for part in report.parts for size in part.sizes})
    shown = [f"{height}x{width}" for height, width in (sizes if len(sizes) <= 8 else (sizes[0], sizes[-1]))]
    if shown:
        joined = ", ".join(shown) if len(sizes) <= 8 else f"{len(sizes)} different, {shown[0]} to {shown[1]}"
        console.print(f"sizes (height x width): {joined}", highlight=False)
    problems = len(report.problems) + len(extra)
    console.print(f"incomplete: {problems} problems, named above" if problems else "complete", highlight=False)


@dataclasses.dataclass(frozen=True)
class _File:
    """What reading a file gave: its size, or why it cannot be used, and what it was converted from."""

    size: Optional[tuple] = None
    conversion: Optional[str] = None
    error: str = ""


def _parts(dataset, data_dir, list_file):
    """The parts that `--split=all` means."""
    declared = data.splits(dataset)
    by_list = [part for part in _PARTS if list_file and os.path.isfile(list_file.replace("{split}", part))]
    if dataset == "kitti_general":
        if list_file and "{split}" not in list_file:
            raise common.UserError(
                f"--list_file={list_file} is one list; say whose with --split, or put {{split}} where train, val or "
                "test stands in the name."
            )
        return ("train", "heldout", *(part for part in by_list if part != "train"))
    if declared is not None:
        return declared
    if dataset == "list":
        return tuple(by_list) if list_file and "{split}" in list_file else ("all",)
    return tuple(part for part in _PARTS if (Path(data_dir) / part).is_dir()) or ("all",)


def _look_up(dataset, split, data_dir, list_file):
    # KITTI General's train and heldout parts are made by rule, whatever list file the other two come from.
    by_rule = dataset == "kitti_general" and split not in ("val", "test")
    options = {"list_file": list_file} if list_file and not by_rule else {}
    # Scenes are checked whole: which of their pictures make a set is drawn later, and from what is there if partial.
    whole = dataset == "kitti_scenes"
    if whole:
        options["set_size"] = kitti_scenes.PICTURES
    try:
        source = data.load(dataset, split, data_dir, partial=not whole, **options)
    except data.MissingFilesError as error:
        there = tuple(path for path in error.files if path not in set(error.missing))
        return Part(split, error.expected, error.found, error.missing, there)
    except data.DataError as error:
        if not os.path.isdir(data_dir) or data.splits(dataset) is None:
            raise
        return Part(split, error=str(error))
    items = tuple(source.files(k) for k in range(len(source)))
    paths = tuple(dict.fromkeys(path for item in items for path in item))
    pairs = items if source.kind == "pairs" else ()  # only a pair's images must agree in size
    return Part(split, source.expected, len(source), source.missing, paths, pairs, source.digest)


def _read_all(paths, decode, workers):
    """path -> _File. Threads do: Pillow lets the others run while it decodes."""
    workers = workers or os.cpu_count()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool, common.progress("Reading", len(paths)) as advance:
        results = {}
        for path, result in zip(paths, pool.map(lambda path: _read(path, decode), paths)):
            results[path] = result
            advance()
        return results


def _read(path, decode):
    try:
        info = images.inspect(path)
        size = (info.height, info.width)
        if decode:
            _verify(path)
            size = images.read(path).shape[:2]
    except images.ImageError as error:
        return _File(error=str(error))
    except OSError as error:  # the disk or the network failed in mid-file
        return _File(error=f"{path}: cannot be read ({error}).")
    return _File(size, info.conversion)


def _verify(path):
    """Walks through a PNG's chunks and their checksums; a file that lost only its last bytes still decodes."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise images.ImageError(f"{path}: is cut off or damaged ({error}); get a whole copy.") from error


def _missing_lines(missing):
    """A line for each missing file; a folder that is missing altogether gets one line for all it should hold."""
    folders = collections.Counter(os.path.dirname(path) for path in missing)
    absent = {folder for folder in folders if not os.path.isdir(folder)}
    yield from (f"missing     {folder}/ with {folders[folder]} files" for folder in sorted(absent))
    for path in missing:
        if os.path.dirname(path) not in absent:
            yield f"missing     {path}" + (" (is a directory)" if os.path.isdir(path) else "")


def _unusable(part, seen, protocol):
    """File or pair -> what is wrong with it."""
    bad = {}
    for path in part.files:
        file = seen[path]
        if file.error:
            bad[path] = f"unreadable  {file.error}"
            continue
        try:
            protocol.check_size(*file.size, training=part.split == "train")
        except images.ImageError as error:
            bad[path] = f"too small   {path}: {error}"
    for x, y in part.pairs:
        if seen[x].size != seen[y].size and not (seen[x].error or seen[y].error):
            first, second = sorted((x, y))  # once, though a list may have the pair both ways round
            bad[first, second] = (
                f"wrong size  {first} is {_size(seen[first])}, {second} is {_size(seen[second])} (height x width)"
            )
    return bad


def _size(file):
    return "x".join(map(str, file.size))


def _define_flags():
    with common.flag_group("Data"):
        flags.DEFINE_enum("dataset", "kitti_stereo", _DATASETS, "Data set to check.")
        flags.DEFINE_string("data_dir", None, "Folder that holds the data set as its owners distribute it.")
        flags.DEFINE_string("split", "all", "Part to check: all, or one such as train, val or test.")
        flags.DEFINE_string(
            "list_file",
            None,
            "Text file with two lines a pair, for list and for kitti_general's val and test; {split} in its name "
            "stands for the part.",
        )
    with common.flag_group("Check"):
        flags.DEFINE_enum("protocol", "native", protocols.names(), "Images must be large enough for this protocol.")
        flags.DEFINE_bool(
            "decode",
            True,
            "Decode every pixel. Off reads only headers: quick, but files that are cut off go unnoticed.",
        )
        flags.DEFINE_integer("workers", None, "Files read at once; none means one a processor.", lower_bound=1)
    with common.flag_group("Unpack"):
        flags.DEFINE_list(
            "zip",
            None,
            "Official archives, data_stereo_flow_multiview.zip and data_scene_flow_multiview.zip, to unpack below "
            "--data_dir before checking. Colour images only; can be stopped and run again.",
        )


if __name__ == "__main__":
    _define_flags()
    common.run(main)
