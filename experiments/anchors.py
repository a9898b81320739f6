"""Measures classical codecs (JPEG, WebP, JPEG 2000, the BPG stand-in, AVIF) on a data set, at given rates.

    python -m experiments.anchors --codecs=jpeg2000,bpg --dataset=kitti_stereo --data_dir=DIR --protocol=dsin \\
        --bpp=0.02,0.04,0.06,0.08,0.10,0.20 --workdir=runs/anchors

For each image and each rate the codec's best file at or under the rate is made, and the next one above it, so that
a curve can be read at the rate itself. Every file is decoded again from its bytes and measured on 8-bit RGB.

    runs/anchors/jpeg2000.json          one file a codec, in the format of eval/rd_results.py
    runs/anchors/pictures/IMAGE/        with --pictures: x.png, y.png, jpeg2000.png, jpeg2000.json, ...
    runs/anchors/parts/                 finished images; the same command goes on from there

Means stand only at rates that every image reaches. A codec that cannot go as low as a rate has "–" there.
At six rates an image of 320x1224 takes one core about 7 s for JPEG 2000, 4 s for BPG, 1 s for JPEG and WebP, and
30 s for AVIF (3 s with --avif_speed=6).
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Optional

import numpy as np
from absl import flags

from dsin_tf import data, files
from eval import anchor_points, anchors, rd_results
from experiments import common, kept_pictures

# Part of every configuration: raise it when what a finished image records changes its meaning.
_FORMAT = 1


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    common.define_data_flags()
    with common.flag_group("Codecs"):
        flags.DEFINE_list(
            "codecs",
            "jpeg,webp,jpeg2000,bpg",
            f"Codecs to measure, of {','.join(anchors.names())}. AVIF takes longest.",
        )
        flags.DEFINE_list("bpp", "0.02,0.04,0.06,0.08,0.10,0.20", "Rates to reach, in bits a pixel of the whole file.")
        flags.DEFINE_integer(
            "avif_speed",
            3,
            "AVIF's effort, 0 (slowest) to 10. 6 takes a tenth of 3's time and loses about 0.5 dB.",
            lower_bound=0,
            upper_bound=10,
        )
        flags.DEFINE_bool(
            "colour", False, "Also measure brightness and colours apart: SSIM, CMSSIM, colour differences, RGB angle."
        )
        flags.DEFINE_integer("jobs", None, "Processes that work at once; none means one a core.", lower_bound=1)
    with common.flag_group("Output"):
        flags.DEFINE_string("workdir", "runs/anchors", "Folder for results; finished images are kept there.")
        flags.DEFINE_integer("pictures", 0, "How many images, spread over the data set, to keep as PNG.", lower_bound=0)
        flags.DEFINE_float("picture_bpp", 0.10, "Rate of the pictures kept, in bits a pixel.", lower_bound=1e-6)


def main(argv):
    """Reads the flags and runs."""
    del argv
    values = flags.FLAGS
    options = {"avif": {"speed": values.avif_speed}}
    codecs = [anchors.get(name, **options.get(name, {})) for name in dict.fromkeys(values.codecs)]
    targets = _rates(values.bpp)
    run(
        codecs,
        common.singly(common.load_data()),
        data.protocols.get(values.protocol),
        targets,
        values.workdir,
        jobs=values.jobs,
        pictures=values.pictures,
        picture_bpp=values.picture_bpp,
        colour=values.colour,
    )


def run(codecs, source, protocol, targets, workdir, jobs=None, pictures=0, picture_bpp=0.10, colour=False):
    """Measures codecs on a data set, writes one results file each and prints a table to stdout.

    What an earlier run finished in `workdir` under the same configuration (data, protocol, rates, codec and its
    versions) is not done again. Interrupted, it keeps every finished image.

    Args:
      codecs: names of `anchors.names()`, or codecs as `anchors.get` returns them.
      source: a data set of `dsin_tf.data`.
      protocol: a protocol of `dsin_tf.data.protocols`.
      targets: rates in bpp.
      workdir: folder for all files.
      jobs: processes; None for one a core, 1 works in this process.
      pictures: how many images, spread over the data set, are kept as PNG with each codec's result.
      picture_bpp: rate of those.
      colour: whether brightness and colours are also measured apart; see `anchor_points.measure`.

    Returns:
      The paths of the results files, in the order of `codecs`; a codec whose library is missing has none.

    Raises:
      common.UserError: no codec can run, there is no image, or a worker process died.
    """
    codecs = [anchors.get(codec) if isinstance(codec, str) else codec for codec in dict.fromkeys(codecs)]
    targets = _rates(targets)
    usable = [codec for codec in codecs if not codec.missing]
    if not usable:
        reasons = "; ".join(f"{codec.label}: {codec.missing}" for codec in codecs) or "none was named"
        raise common.UserError(f"No codec can run: {reasons}. One of {', '.join(anchors.names())} was expected.")
    if not len(source):
        raise common.UserError(f"{source.name} {source.split} holds no image; at least one was expected.")
    workdir = Path(workdir)
    first = protocol.evaluate(source.read_x(0))
    work = _Work(
        source=source,
        protocol=protocol,
        targets=targets,
        first_image=hashlib.sha256(first.tobytes()).hexdigest()[:16],
        window=anchor_points.ms_ssim_window(first),
        folders={},
        picture_folders=kept_pictures.folders(source, workdir / "pictures", pictures),
        picture_bpp=picture_bpp,
        colour=colour,
    )
    configurations = {codec.name: _configuration(codec, work) for codec in usable}
    for name, configuration in configurations.items():
        work.folders[name] = _part_folder(workdir / "parts", name, configuration)
    kept_pictures.write_originals(source, protocol, work.picture_folders)
    for codec in codecs:
        if codec.missing:
            for folder in work.picture_folders.values():
                kept_pictures.write(folder, codec.name, codec.label, None, {"missing": codec.missing})

    every = [(codec, index) for index in range(len(source)) for codec in usable]
    tasks = [task for task in every if not (_is_measured(work, *task) and _is_pictured(work, *task))]
    if len(tasks) < len(every):
        _say(common.console, f"{len(every) - len(tasks)} of {len(every)} measurements are there from an earlier run.")
    _do_all(work, tasks, jobs or os.cpu_count() or 1)

    results, paths = {}, []
    for codec in usable:
        parts = [_read_json(_part(work, codec, index)) for index in range(len(source))]
        results[codec.name] = anchor_points.result(codec, configurations[codec.name], targets, parts)
        others = {} if codec.name == "avif" else {"avif_speed": None}
        results[codec.name].meta["command"] = common.command(workdir=None, codecs=codec.name, **others)
        paths.append(workdir / f"{codec.name}.json")
        rd_results.save(results[codec.name], paths[-1])
    title = f"{source.name} {source.split}, protocol {protocol.name}, {len(source)} images"
    common.show_table(anchor_points.table(title, codecs, results, targets))
    print(f"Results: {', '.join(map(str, paths))}")
    if pictures:
        print(f"Pictures: {workdir / 'pictures'}")
    return paths


# ---------------------------------------------------------------------------------------------------------------------
# One image, one codec: runs in a worker process and leaves its result in a file.


@dataclasses.dataclass(frozen=True)
class _Work:
    """What all tasks of a run share."""

    source: Any
    protocol: Any
    targets: list
    first_image: str  # digest of its pixels
    window: Optional[int]  # of MS-SSIM; None for images too small for any
    folders: dict  # codec name -> folder of its finished images
    picture_folders: dict  # image index -> folder of its pictures
    picture_bpp: float
    colour: bool  # of `anchor_points.measure`


def _do(work, codec, index):
    """Measures one image with one codec and keeps its picture; what of the two is there already stays."""
    sweep = anchors.Sweep(codec, work.protocol.evaluate(work.source.read_x(index)))
    if not _is_measured(work, codec, index):
        height, width = sweep.image.shape[:2]
        part = {"name": work.source.names[index], "height": height, "width": width}
        try:
            part["points"] = anchor_points.operating_points(sweep, work.targets, work.window, work.colour)
            part["floor_bpp"] = sweep.floor.bpp
        except anchors.AnchorError as error:
            part["refused"] = str(error)
        files.write_text(_part(work, codec, index), json.dumps(part))
    if not _is_pictured(work, codec, index):
        _keep_picture(work, codec, sweep, work.picture_folders[index])


def _keep_picture(work, codec, sweep, folder):
    """Writes what the codec makes of an image at the pictures' rate, or why it makes nothing."""
    target = work.picture_bpp
    about = {"target_bpp": target, "configuration": work.folders[codec.name].name}
    try:
        encoded = sweep.under(target)
        if encoded is not None:
            decoded = codec.decode(encoded.data)
            about.update(bpp=encoded.bpp, **anchor_points.measure(sweep.image, decoded, work.window, work.colour))
            kept_pictures.write(folder, codec.name, codec.label, decoded, about)
            return
        about["missing"] = f"needs at least {sweep.floor.bpp:.4f} bpp for this image, {target:g} was asked for"
    except anchors.AnchorError as error:
        about["missing"] = str(error)
    kept_pictures.write(folder, codec.name, codec.label, None, about)


# ---------------------------------------------------------------------------------------------------------------------
# All of them: worker processes that stay quiet, keep to one core and do not outlive this one.


def _do_all(work, tasks, jobs):
    """Works through (codec, image index) pairs under a progress bar."""
    with common.progress("measuring", len(tasks)) as advance:
        if jobs == 1 or len(tasks) <= 1:
            for codec, index in tasks:
                _do(work, codec, index)
                advance(note=f"{codec.label}, {work.source.names[index]}")
            return
        other_children = set(multiprocessing.active_children())
        pool = concurrent.futures.ProcessPoolExecutor(
            min(jobs, len(tasks)), multiprocessing.get_context("spawn"), _start_worker, (work,)
        )
        try:
            with _interrupts_ignored():  # which the workers, started here, inherit: Ctrl-C is this process's to handle
                futures = {pool.submit(_do_shared, *task): task for task in tasks}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                codec, index = futures[future]
                advance(note=f"{codec.label}, {work.source.names[index]}")
        except BrokenProcessPool as error:
            raise common.UserError(
                "A worker process died, perhaps for want of memory. Finished images are kept; run the same command "
                "again, with a smaller --jobs if it happens again."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - other_children:
                process.terminate()
            raise
        finally:
            pool.shutdown()


_shared = None  # a worker's `_Work`; sent once and not with every task


def _start_worker(work):
    global _shared
    _shared = work
    # One process a core is the parallelism; TensorFlow reads these when its first operation runs.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """Ends this worker when the driver is gone, even by kill -9; a pool's workers would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _do_shared(codec, index):
    _do(_shared, codec, index)


@contextlib.contextmanager
def _interrupts_ignored():
    """No KeyboardInterrupt inside the block. Only a main thread can say so; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------------------------------------------------------------
# What is kept between runs.


def _configuration(codec, work):
    """Everything that the points of a codec depend on. A run goes on only from parts with the same."""
    return {
        "format": _FORMAT,
        "method": codec.name,
        "description": codec.description,
        "versions": codec.versions(),
        "checksum": codec.checksum(),
        "dataset": work.source.name,
        "split": work.source.split,
        "data_digest": work.source.digest,  # of the list alone, so look at some pixels, too
        "first_image": work.first_image,
        "protocol": work.protocol.name,
        "targets": work.targets,
        "ms_ssim_window": work.window,
        **({"colour": True} if work.colour else {}),  # what was measured before there was such a thing stays valid
    }


def _part_folder(parts, name, configuration):
    """The folder for the finished images of one configuration; says so when another one was used before."""
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12]
    folder = parts / f"{name}-{digest}"
    if not folder.is_dir():
        others = sorted(parts.glob(f"{name}-*/configuration.json"), key=lambda path: path.stat().st_mtime)
        before = others and _read_json(others[-1])
        if before:
            keys = dict.fromkeys([*before, *configuration])
            changed = [key for key in keys if before.get(key) != configuration.get(key)]
            what = ", ".join(f"{key} was {before.get(key)}, is {configuration.get(key)}" for key in changed)
            _say(common.console, f"{name}: measuring again, because the configuration changed ({what}).")
    files.write_text(folder / "configuration.json", json.dumps(configuration, indent=1) + "\n")
    return folder


def _part(work, codec, index):
    """The file that holds what is measured of one image."""
    return work.folders[codec.name] / f"{index:05d}.json"


def _is_measured(work, codec, index):
    return _read_json(_part(work, codec, index)) is not None


def _is_pictured(work, codec, index):
    """Whether an image's picture is there, from this configuration and at this rate, or is not asked for."""
    if index not in work.picture_folders:
        return True
    about = _read_json(work.picture_folders[index] / f"{codec.name}.json") or {}
    wanted = (work.folders[codec.name].name, work.picture_bpp)
    return (about.get("configuration"), about.get("target_bpp")) == wanted


def _read_json(path):
    """The document in a file, or None where there is no whole one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _say(console, text):
    """Prints a line as it is; names of files may hold what rich would take for markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _rates(values):
    """Target rates as ascending floats, each once."""
    try:
        rates = sorted({float(value) for value in values})
    except ValueError as error:
        raise common.UserError(f"--bpp={','.join(map(str, values))}: {error}. Numbers with commas between.") from error
    if not rates or not rates[0] > 0 or not np.isfinite(rates[-1]):
        raise common.UserError(f"Rates {rates} were given, one or more positive numbers of bits a pixel were expected.")
    return rates


if __name__ == "__main__":
    define_flags()
    common.run(main)
