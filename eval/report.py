"""One page of everything measured: report.html, which needs no other file and asks no other machine.

    python -m eval.report --results=runs/anchors/jpeg2000.json,runs/anchors/bpg.json --out=runs/report/report.html

First what the four papers claim and what was measured; then for each paper its claims, its tables and curves beside
ours, ablations, and with --figures=FOLDER,FOLDER what the commands of its figures wrote there; plots, tables and
pictures, sorted by data set and protocol; and where each number comes from. Claims are checked with what the page is
made of, or with what lies in the folders of --claims. The same plots are written as PNG and SVG into `figures/` and the
tables as CSV and Markdown into `tables/`, beside the page.
"""

import collections
import html
import json
import sys
from pathlib import Path

from absl import app, flags

from dsin_tf import files
from eval import (
    claims,
    evidence,
    figures,
    published_numbers,
    rd_results,
    report_claims,
    report_groups,
    report_measured,
    report_page,
    report_papers,
    report_pictures,
)

# The commands of figures sort their results as the page does.
from eval.report_groups import DATASETS, RATES, Group, find, group, matching, unique

__all__ = ["DATASETS", "RATES", "TITLE", "Group", "build", "find", "group", "matching", "unique"]

TITLE = "Image compression with side information: what was measured"

_LEAD = (
    "Four papers let the decoder use a picture that the encoder never sees. Here is what they claim, beside what was "
    "measured from files that were written and decoded again."
)
# Without the papers.
_LEAD_ALONE = "Rate and quality of image codecs, measured from files that were written and decoded again."


def build(result_paths, out_html, published=True, pictures_dir=None, title=TITLE, figure_folders=(), claim_folders=()):
    """Writes the report, and beside it `figures/` (PNG, SVG) and `tables/` (CSV, Markdown).

    Args:
      result_paths: results files (`eval/rd_results.py`), ours; files that hold numbers of single images instead, as
        commands of figures write them, serve to check claims.
      out_html: where the page is to be.
      published: show the papers, too: claims, published numbers and curves.
      pictures_dir: folder with a folder of pictures for each image (`eval/strips.py`); by default `pictures` beside
        each results file.
      title: heading of the page.
      figure_folders: where commands of figures wrote theirs; see `report_pictures.drawn`. Each figure stands with its
        paper, others in a section for each folder.
      claim_folders: with what lies in these, however deep, claims are checked; by default with what the page shows.

    Returns:
      The path of the page.

    Raises:
      ResultError, StripError, FigureError: a file cannot be used.
      ValueError: a folder is not there.
      OutputError: something could not be written.
    """
    out = Path(out_html)
    loaded, numbers = _load(map(Path, result_paths))
    results = [result for result, _ in loaded]
    groups = group(loaded)
    known = published_numbers.curves() if published else []
    style = figures.styles(results, known)
    page = report_page.Page(out.parent)
    drawn, others = _sorted_figures(figure_folders, published)
    checked = _check(results, numbers, figure_folders, claim_folders) if published else []
    if published:
        claims.write(checked, out.parent / "tables")
        page.add("Start", "What was reproduced", "overview", _overview(checked, claim_folders))
        for name, heading in claims.PAPERS.items():
            body = report_papers.section(page, name, checked, results, groups, known, style, drawn[name])
            page.add("Papers", heading, report_claims.address(name), body)
    for each, slug in zip(groups, unique([g.slug for g in groups])):
        folders = report_pictures.folders_of(each.folders if pictures_dir is None else [], pictures_dir)
        shown_here = folders if pictures_dir is None or len(groups) == 1 else []
        body = report_measured.section(page, each, slug, known, style, shown_here)
        page.add("Measured on", each.heading, slug, body)
    if pictures_dir is not None and len(groups) != 1:
        strips = report_pictures.strips_of(page, report_pictures.folders_of([], pictures_dir), "pictures")
        page.add("Further", "Pictures", "pictures", strips)
    for folder, slug in zip(others, unique([report_groups.slug(folder.name) for folder in others])):
        body = "\n".join(each.html for each in others[folder])
        page.add("Further", f"Figures: {folder.name}", f"figures_{slug}", body)
    if published:
        name = report_papers.BASELINES
        body = report_papers.section(page, name, checked, results, groups, known, style, drawn[name])
        page.add("Further", "Baselines", name, body)
    provenance = report_measured.provenance(loaded, [path for path, _ in numbers])
    page.add("Further", "Where the numbers come from", "provenance", provenance)
    reading = report_claims.reading() if published else ""
    files.write_text(out, page.render(title, _header(results, groups, checked), reading))
    return out


def _load(paths):
    """Results as (`RDResult`, path) pairs, and numbers of single images as (path, document) pairs."""
    loaded, numbers = [], []
    for path in paths:
        document = _numbers(path)
        if document is None:
            loaded.append((rd_results.load(path), path))
        else:
            numbers.append((path, document))
    return loaded, numbers


def _numbers(path):
    """What a file holds that says what it was measured on, but is no results file; None for every other file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_numbers = isinstance(document, dict) and {"dataset", "models"} & set(document) and "results" not in document
    return document if is_numbers else None


def _sorted_figures(folders, published):
    """Figures of folders: {section of a paper: list of `Drawn`}, and what has none as {folder: list of `Drawn`}."""
    of_papers, others = collections.defaultdict(list), collections.defaultdict(list)
    for folder in map(Path, folders):
        for each in report_pictures.drawn(folder):
            name = report_papers.section_of(each) if published else None
            (others[folder] if name is None else of_papers[name]).append(each)
    return of_papers, others


def _check(results, numbers, figure_folders, claim_folders):
    """All claims, checked with what lies in folders, or with what the page shows."""
    if claim_folders:
        return claims.check(claim_folders)
    shown = evidence.load(figure_folders)
    documents = [(path.name, document) for path, document in numbers]
    return claims.check_with(evidence.Evidence((*results, *shown.results), (*documents, *shown.figures)))


def _overview(checked, claim_folders):
    where = f"what lies in {', '.join(map(str, claim_folders))}" if claim_folders else "what is on this page"
    about = f"<p>Checked with {html.escape(where)}; each verdict by one rule, and nothing chosen by its outcome.</p>"
    return about + report_claims.overview(checked)


def _header(results, groups, checked):
    codecs = report_page.counted(len({r.name for r in results}), "codec")
    sets = report_page.counted(len(groups), "set")
    measured = f"{codecs}, measured on {sets} of images." if groups else "Nothing of ours."
    return (
        f'<p class="lead">{_LEAD if checked else _LEAD_ALONE}</p>\n{report_claims.summary(checked)}'
        f'<p class="soft">On this page: {html.escape(measured)}</p>'
    )


def _define_flags():
    flags.DEFINE_list(
        "results",
        None,
        "Results files (JSON), comma-separated; * and ? stand for any letters. Files with numbers of single images, of "
        "commands of figures, serve to check claims.",
    )
    flags.DEFINE_string("out", "runs/report/report.html", "The page to write; figures and tables go beside it.")
    flags.DEFINE_bool("published", True, "Show the papers' claims, numbers and curves beside ours.")
    flags.DEFINE_string(
        "pictures", None, "Folder of pictures; by default the folder pictures beside each results file."
    )
    flags.DEFINE_list(
        "figures", [], "Folders that commands of figures wrote, may hold * and ?; each figure is shown with its paper."
    )
    flags.DEFINE_list(
        "claims",
        [],
        "Folders of results and figures' numbers to check claims with; by default --results and --figures.",
    )
    flags.DEFINE_string("title", TITLE, "Heading of the page.")
    flags.mark_flag_as_required("results")


def _main(argv):
    del argv
    values = flags.FLAGS
    try:
        out = build(
            find(values.results),
            values.out,
            values.published,
            values.pictures,
            values.title,
            find(values.figures),
            values.claims,
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(out)


if __name__ == "__main__":
    _define_flags()
    app.run(_main)
