"""Measures what exists on the built-in data, prints the tables and writes one report.

    make reproduce                     the rendered Street images
    make reproduce DATA=DIR            the same, and KITTI images found in DIR

What an earlier run finished is not measured again, so the same command goes on where it was stopped. The
report is runs/reproduce/report.html, one file that needs nothing beside it.
"""

import time
from pathlib import Path

from absl import flags

from dsin_tf import data
from eval import anchors as codecs
from eval import report
from experiments import anchors, common

RATES = (0.02, 0.04, 0.06, 0.08, 0.10, 0.20, 0.40)  # those of the published tables, and one that every codec reaches
PICTURE_BPP = 0.20
KITTI_SIZE = (375, 1242)
# Where a folder of KITTI data may stand inside the one that the user names.
KITTI_FOLDERS = ("data_scene_flow_multiview", "data_stereo_flow_multiview")


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Data"):
        flags.DEFINE_string("data_dir", None, "Folder with KITTI images in their owners' layout; Street needs none.")
        flags.DEFINE_integer("images", 8, "Images of each data set; more take longer.", lower_bound=1)
    with common.flag_group("Run"):
        flags.DEFINE_list("codecs", ",".join(codecs.names()), "Codecs to measure.")
        flags.DEFINE_integer("jobs", None, "Processes that work at once; by default one a core.", lower_bound=1)
    with common.flag_group("Output"):
        flags.DEFINE_string("workdir", "runs/reproduce", "Folder for results, pictures and report.html.")


def main(argv):
    """Reads the flags and runs."""
    del argv
    values = flags.FLAGS
    run(Path(values.workdir), values.codecs, values.images, values.data_dir, values.jobs)


def run(workdir, names, count, data_dir=None, jobs=None):
    """Measures codecs on Street and, where `data_dir` is given, on KITTI; writes the report.

    Args:
      workdir: folder for results, pictures and the report.
      names: codecs to measure.
      count: images of each data set.
      data_dir: folder with KITTI data, or None.
      jobs: processes; None for one a core.

    Returns:
      The report's path.
    """
    start = time.monotonic()
    street = data.load("street", split="test", limit=count, size=KITTI_SIZE, cache_dir=workdir / "street" / "images")
    sources = [street] if data_dir is None else [street, open_kitti(data_dir, count)]
    paths = []
    for source in sources:
        paths += anchors.run(
            [_codec(name) for name in names],
            source,
            data.protocols.get("dsin"),
            RATES,
            workdir / source.name,
            jobs=jobs,
            pictures=2,
            picture_bpp=PICTURE_BPP,
        )
    written = report.build(paths, workdir / "report.html")
    print(f"Report: {written} ({time.monotonic() - start:.0f} s)")
    return written


def open_kitti(data_dir, count):
    """The KITTI Stereo list, of which as much is used as is there: a few sample scenes will do.

    Raises:
      common.UserError: there is no KITTI folder in `data_dir`.
    """
    roots = sorted({path.parent for name in KITTI_FOLDERS for path in Path(data_dir).glob(f"**/{name}")})
    if not roots:
        raise common.UserError(
            f"--data_dir={data_dir}: holds neither {' nor '.join(KITTI_FOLDERS)}. Name the folder that KITTI's "
            "archives were unpacked in; experiments.prepare does that and checks it."
        )
    splits = [
        data.load("kitti_stereo", split=split, data_dir=roots[0], partial=True, limit=count)
        for split in ("test", "train")
    ]
    return max(splits, key=len)


def _codec(name):
    """AVIF at the speed that fits into the minutes this command may take."""
    return codecs.get(name, **({"speed": 6} if name == "avif" else {}))


if __name__ == "__main__":
    define_flags()
    common.run(main)
