"""Reads the published numbers that measurements are compared with: curves and tables in `eval/published`.

The formats, and where every number comes from, are described in `eval/published/README.md`.
"""

import dataclasses
import json
from pathlib import Path
from typing import Union

from eval import rd_results

FOLDER = Path(__file__).parent / "published"

_TABLES = "_tables.json"


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table, or numbers from running text in the form of one.

    `columns` are the heads, units included; every row has as many cells: numbers, texts, or None where the source has
    nothing. `source` names the work and the place in it, `note` says what to know before comparing.
    """

    paper: str
    title: str
    source: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Union[float, str, None], ...], ...]


def papers():
    """Names of all papers that something is stored of, sorted."""
    return tuple(sorted({c.meta["paper"] for c in _all_curves()} | {t.paper for t in _all_tables()}))


def curves(paper=None, dataset=None, metric=None):
    """Published rate-distortion curves, in the order of their file names.

    Args:
      paper: only those of this paper, such as "ndic".
      dataset: only those on this data set, such as "kitti_stereo".
      metric: only those that have this column, such as "psnr-rgb".

    Returns:
      List of `rd_results.RDResult` without images. `meta` says what was read and how well; empty if none fits.

    Raises:
      ValueError: no such paper.
    """
    _check_paper(paper)
    return [
        curve
        for curve in _all_curves()
        if paper in (None, curve.meta["paper"])
        and dataset in (None, curve.meta["dataset"])
        and (metric is None or metric in curve.results)
    ]


def tables(paper=None):
    """Published tables, in the order of their files.

    Args:
      paper: only those of this paper, such as "dsin".

    Returns:
      List of `Table`.

    Raises:
      ValueError: no such paper.
    """
    _check_paper(paper)
    return [table for table in _all_tables() if paper in (None, table.paper)]


def _all_curves():
    return [rd_results.load(path) for path in sorted(FOLDER.glob("*_*.json")) if not path.name.endswith(_TABLES)]


def _all_tables():
    found = []
    for path in sorted(FOLDER.glob(f"*{_TABLES}")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for table in document["tables"]:
            rows = tuple(tuple(row) for row in table["rows"])
            found.append(
                Table(document["paper"], table["title"], table["source"], table["note"], tuple(table["columns"]), rows)
            )
    return found


def _check_paper(paper):
    if paper is not None and paper not in papers():
        raise ValueError(f"Nothing published is stored of paper {paper!r}; there is {', '.join(papers())}.")
