"""Shows what the four papers show: from the weights that come with the package, or from trainings of one's own.

    make reproduce                     shipped weights, on rendered streets: within ten minutes on two cores
    make reproduce DATA=DIR            the same, and on the KITTI images found in DIR
    python -m experiments.reproduce --paper=dsin --scale=small --plan
    python -m experiments.reproduce --paper=dsin --scale=small --data_dir=DIR
    python -m experiments.reproduce --paper=dsin --scale=paper --data_dir=DIR

With --paper it prints all that is to be run, what it takes and what it serves, and then runs it: each training in run
directories of its own, then what is measured and drawn of them. Scale paper is for a GPU and weeks of it.

Either way real files are written and decoded again, tables have what was published beside what was measured, claims
have a verdict, and report.html shows everything and needs nothing beside it. What an earlier run finished is not done
again, so the same command goes on where it was stopped. DIR is searched, three folders deep, for data in their owners'
layout: data_scene_flow_multiview and data_stereo_flow_multiview (KITTI), leftImg8bit (Cityscapes), kodim01.png
(Kodak), image_2 and image_3 of 256x128 (small KITTI pairs), KITTI_general_test.txt (published lists), and `train` in
DIR itself (photographs to train on).
"""

import dataclasses
import os
import time
from pathlib import Path

from absl import flags

from eval import anchors as codecs
from eval import claims, comparison, curves, evidence, published_numbers, rd_results, report, tables
from experiments import common, plans, shipped, steps, trainings

_METRICS = ("psnr-rgb", "ms-ssim-rgb")
_KINDS = {"street": False, "street_sets": True}  # data set of claims: whether its items are sets
_MEMBERS = {"ndic": ("ndic", "ndic_cam")}  # papers of a method and its successor


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Data"):
        flags.DEFINE_string("data_dir", None, "Folder with data in their owners' layout; Street needs none.")
        flags.DEFINE_integer("images", 8, "Images of each data set, without --paper; more take longer.", lower_bound=2)
    with common.flag_group("Paper"):
        flags.DEFINE_enum("paper", None, list(claims.PAPERS), "Train and measure all that this paper shows.")
        flags.DEFINE_enum("scale", "small", trainings.SCALES, "Of --paper: for two CPU cores, or as published.")
        flags.DEFINE_bool("plan", False, "Of --paper: print what would be run, and end.")
    with common.flag_group("Run"):
        flags.DEFINE_list("codecs", ",".join(codecs.names()), "Classical codecs to measure, without --paper.")
        flags.DEFINE_integer(
            "jobs", None, "Steps that run at once; by default one a core, and of --paper one.", lower_bound=1
        )
    with common.flag_group("Output"):
        flags.DEFINE_string(
            "workdir", None, "Folder for everything; by default runs/reproduce, of --paper runs/PAPER_SCALE."
        )


def main(argv):
    """Reads the flags and runs."""
    del argv
    values = flags.FLAGS
    if values.paper is None:
        workdir = Path(values.workdir or "runs/reproduce")
        run(workdir, values.codecs, values.images, values.data_dir, values.jobs or os.cpu_count() or 1)
    else:
        workdir = Path(values.workdir or f"runs/{values.paper}_{values.scale}")
        run_paper(values.paper, values.scale, values.data_dir, workdir, values.plan, values.jobs or 1)


# ---------------------------------------------------------------------------------------------------------------------
# With shipped weights.


def run(workdir, names, count, data_dir=None, jobs=1):
    """Measures shipped weights and classical codecs, prints tables and claims, and writes the report.

    Args:
      workdir: folder for everything.
      names: classical codecs.
      count: images of each data set.
      data_dir: folder with KITTI images, or None.
      jobs: how many steps run at once.

    Returns:
      The report's path.

    Raises:
      common.UserError: there is no KITTI in `data_dir`, or a step failed.
    """
    start = time.monotonic()
    images = shipped.images_of_street(count, workdir / "images")
    if data_dir is not None:
        of_kitti = shipped.images_of_kitti(trainings.find_data(data_dir), count)
        if not of_kitti:
            raise common.UserError(
                f"--data_dir={data_dir}: holds neither {' nor '.join(trainings.KITTI)} nor small KITTI pairs. Name the "
                "folder that KITTI's archives were unpacked in; experiments.prepare does that and checks it."
            )
        images += of_kitti
    common.show_table(_weights_table(images))
    steps.run([step for each in images for step in shipped.steps_of(each, workdir, names)], workdir, jobs)
    paths = [f"{workdir}/{each.name}/{of}" for each in images for of in ("*/results.json", "anchors/*.json")]
    checked = {}
    found = evidence.load([workdir])
    for title in dict.fromkeys(each.title for each in images):
        asked = _asked_of([each for each in images if each.title == title], others=not checked)
        checked[title] = claims.check_with(found, asked)
    written = _show(report.find(paths), workdir, checked)
    print(f"Report: {written} ({time.monotonic() - start:.0f} s)")
    return written


def _weights_table(images):
    """Which weights are measured on what."""
    rows = []
    for each in images:
        for method, (kind, names) in shipped.weights_for(each).items():
            cells = [tables.Cell(kind), tables.Cell(", ".join(names))]
            rows.append(tables.Row((each.name, method), tuple(cells)))
    note = "Of each method those that were trained on data of the kind, where such are shipped, and others elsewhere."
    return tables.Table("Shipped weights", ("images", "method"), ("trained on", "weights"), tuple(rows), note)


def _asked_of(images, others=True):
    """The claims that Street's pictures can decide, asked of these images, and `others`, asked of their own data.

    Rates that a claim names may be out of reach on other images: then the mean over those that both codecs have counts.
    """
    of_kind = {kind: each for kind, sets in _KINDS.items() for each in images if each.sets == sets and not each.apart}
    asked = []
    for claim in claims.load():
        each = next((of_kind[kind] for kind in of_kind if claim.may_use(kind)), None)
        if each is not None:
            claim = claim.on(each.data_set)
            if isinstance(claim.measure.get("rate"), list):
                claim = dataclasses.replace(claim, measure={"else": {"rate": "mean"}, **claim.measure})
        if each is not None or others:
            asked.append(claim)
    return asked


# ---------------------------------------------------------------------------------------------------------------------
# A paper, with trainings.


def run_paper(paper, scale, data_dir, workdir, only_plan=False, jobs=1):
    """Prints all that is run for a paper, and runs it.

    Args:
      paper: one of `claims.PAPERS`.
      scale: one of `trainings.SCALES`.
      data_dir: folder with data, or None.
      workdir: folder for everything.
      only_plan: end with the plan; data that are not there are then called DIR.
      jobs: how many steps run at once.

    Returns:
      The report's path, or None with `only_plan`.

    Raises:
      common.UserError: data are missing, or a step failed.
    """
    found = trainings.find_data(data_dir)
    missing = [what for what in trainings.NEEDED[paper] if scale == "paper" and what not in found]
    if missing and not only_plan:
        raise common.UserError(
            f"--data_dir={data_dir}: {', '.join(missing)} for scale paper was not found there; --help says by what. "
            "Name the folder, or take --scale=small."
        )
    planned = plans.of_paper(paper, scale, {**dict.fromkeys(missing, "DIR"), **found}, workdir)
    common.show_table(plans.table(paper, scale, planned))
    if only_plan:
        print("\n".join(each.step.command for each in planned))
        return None
    steps.run([each.step for each in planned], workdir, jobs)
    checked = claims.check_with(evidence.load([workdir]))
    written = _show(plans.results_of(planned), workdir, {"": checked}, [paper])
    print(f"Report: {written}")
    return written


# ---------------------------------------------------------------------------------------------------------------------
# What both show in the end.


def _show(paths, workdir, checked, papers=tuple(claims.PAPERS)):
    """Prints tables, claims and a line for each paper, and writes the report; its path.

    Args:
      paths: of results files.
      workdir: where the report goes, and where folders of figures are.
      checked: {title of data: list of `claims.Checked`}.
      papers: those that are printed.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in paths]
    for group in report.group(loaded):
        for key in _METRICS:
            having = [result for result in group.results if key in result.results]
            rates = [
                rate for rate in report.RATES if any(curves.mean_at(r, key, rate).value is not None for r in having)
            ]
            if rates:
                table = tables.rate_table(having, key, rates)
                common.show_table(dataclasses.replace(table, title=f"{table.title}: {group.title}"))
    for table in _published_beside([result for result, _ in loaded], papers):
        common.show_table(table)
    for title, of_title in checked.items():
        overview = claims.overview([each for each in of_title if each.claim.paper in papers])
        common.show_table(dataclasses.replace(overview, title=": ".join(filter(None, (overview.title, title)))))
    for title, of_title in checked.items():
        for each in of_title:
            if each.claim.headline and each.claim.paper in papers:
                print(_line(each, title))
    figures = [folder for folder in sorted(Path(workdir).glob("*_figures*")) if any(folder.glob("*.json"))]
    return report.build(paths, Path(workdir) / "report.html", figure_folders=figures)


def _published_beside(results, papers):
    """Tables and curves of papers with ours beside them, where any of ours is.

    Curves of KITTI are shown beside whatever was measured, Street included; others beside ours of such data only.
    """
    families = {"kitti", *(_family(result.meta["dataset"]) for result in results)}
    known, found = published_numbers.curves(), []
    for paper in (name for each in papers for name in _MEMBERS.get(each, (each,))):
        covered = set()
        for printed in published_numbers.tables(paper):
            table, rows = comparison.printed_table(printed, known, results)
            covered |= rows
            found.append(table)
        for on, theirs in comparison.curve_sets(known).items():
            if on[0] == paper and on not in covered and _family(on[1]) in families:
                found.append(comparison.curve_table(theirs, on[-1], results))
    return [table for table in found if any(_is_measured(row) for row in table.rows)]


def _family(dataset):
    return dataset.partition("_")[0]


def _is_measured(row):
    return row.labels[-1] == "measured" and any(cell.value is not None for cell in row.cells)


def _line(each, title):
    """The headline claim of a paper in a line."""
    found = claims.measured(each)
    what = f"measured {found}: {each.verdict}" if found else f"not measured: {each.missing}"
    who = ", ".join(filter(None, (claims.PAPERS[each.claim.paper], title)))
    return f"{who}: {each.claim.statement} Published: {each.claim.published.text}; {what}"


if __name__ == "__main__":
    define_flags()
    common.run(main)
