"""Published numbers beside measured ones: the published table's own columns, and below each of its rows ours.

Every measured cell names in a footnote what it was measured on, because a published number can hardly ever be measured
again on the same terms. The measurement taken is the one of the same method on the closest data: the same data set
and protocol, else the same data set, else the same protocol, else any. A difference is given between data sets of one
family (KITTI, Cityscapes, Kodak) only; between others it would say nothing.
"""

import dataclasses
import re

from eval import curves
from eval.tables import Cell, Row, Table

READ_AT = (0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.50, 1.00, 1.50, 2.00)
_RATE_COLUMN = re.compile(r"([0-9.]+) bpp")
_KINDS = {"file": "bpp of the whole file", "payload": "bpp of the payload alone", "estimated": "estimated bpp"}


def curve_sets(published):
    """Sorts published curves into those that belong in one plot.

    Args:
      published: list of `RDResult` whose meta names its paper.

    Returns:
      {(paper, dataset, protocol, metric key): list of `RDResult`}, in the order given.
    """
    found = {}
    for r in published:
        for key in r.results:
            if key in curves.METRICS:
                found.setdefault((r.meta.get("paper"), r.meta["dataset"], r.meta["protocol"], key), []).append(r)
    return found


def curve_table(published, key, results):
    """A table of published curves, read at round rates, with what was measured.

    Args:
      published: the list of `RDResult` of one of the `curve_sets`.
      key: its metric.
      results: list of `RDResult`, ours.

    Returns:
      A `Table`.
    """
    grids = {tuple(r.results["bpp"]) for r in published}
    rates = grids.pop() if len(grids) == 1 and len(published) > 1 else READ_AT
    rates = [r for r in rates if any(curves.mean_at(p, key, r).value is not None for p in published)]
    entries = [
        _measured_row(p.name, [curves.mean_at(p, key, r).value for r in rates], p, key, rates, results)
        for p in published
    ]
    meta = published[0].meta
    errors = {(p.meta.get("reading_error") or {}).get(key) for p in published} - {None, 0}
    note = f"{meta.get('source', '')}. " + ", ".join(f"{p.name}: {_KINDS[p.meta['rate']]}" for p in published) + "."
    if errors:
        note += f" Read off a plot, ±{max(errors):g}; between its points linearly in log(bpp)."
    title = f"{curves.metric(key).title}, {meta['dataset']}, protocol {meta['protocol']}"
    return _beside(title, "bpp", [f"{r:.2f}" for r in rates], entries, note)


def printed_table(printed, published, results):
    """A table that a paper prints, with what was measured where it is a table of a metric at rates.

    Args:
      printed: one of `published_numbers.tables()`.
      published: all published curves; a row that has the numbers of a curve of the same paper is that curve, whence
        its method, metric, data set and protocol.
      results: list of `RDResult`, ours.

    Returns:
      (Table, the (paper, dataset, protocol, metric key) of the curves that are its rows).
    """
    corner, *columns = printed.columns
    rows = printed.rows
    if all(isinstance(row[0], float) for row in rows) and "(bpp)" in corner + printed.title:  # a value, not a label
        rows = [("" if len(rows) == 1 else f"row {at}", *row) for at, row in enumerate(rows, 1)]
        corner, columns = "", [corner, *columns]
    rates = [_RATE_COLUMN.fullmatch(column) for column in columns]
    rates = [float(match[1]) for match in rates] if all(rates) else []
    entries, covered = [], set()
    for label, *values in rows:
        curve, key = _curve_of(printed.paper, rates, values, published)
        if curve is None:
            entries.append((str(label), [Cell(v, _decimals(v)) for v in values], [], []))
        else:
            entries.append(_measured_row(str(label), values, curve, key, rates, results))
            covered.add((printed.paper, curve.meta["dataset"], curve.meta["protocol"], key))
    note = f"{printed.source}. {printed.note}".strip()
    return _beside(printed.title, corner, columns, entries, note), covered


def closest(curve, key, results):
    """The measurement of a curve's method on the closest data.

    Returns:
      (`RDResult` or None, whether its data set is of the same family).
    """

    def closeness(r):
        wanted, found = curve.meta, r.meta
        return (
            _family(found) == _family(wanted),
            (found["dataset"], found["protocol"]) == (wanted["dataset"], wanted["protocol"]),
            found["dataset"] == wanted["dataset"],
            found["protocol"] == wanted["protocol"],
        )

    same = [r for r in results if r.meta["method"] == curve.meta["method"] and len(curves.mean_curve(r, key)[0])]
    best = max(same, key=closeness, default=None)
    return best, best is not None and _family(best.meta) == _family(curve.meta)


def on_published_terms(result, published, key):
    """A result of ours whose column `key` is measured as the published curve of its method was.

    Published curves say in `meta["measured_as"]` which column of ours that is, where it is not the one of this name:
    NDIC's PSNR is of images that were neither clipped nor rounded. Results without such a column stay as they are.

    Args:
      result: an `RDResult`, ours.
      published: list of `RDResult`, published curves.
      key: metric.

    Returns:
      An `RDResult`.
    """
    terms = {p.meta["method"]: p.meta.get("measured_as", {}).get(key) for p in published if key in p.results}
    column = terms.get(result.meta["method"])
    if column is None or column not in result.results:
        return result
    images = [dataclasses.replace(i, points={**i.points, key: i.points[column]}) for i in result.images]
    return dataclasses.replace(
        result,
        meta={**result.meta, "measured_as": {key: column}},
        results={**result.results, key: result.results[column]},
        images=images,
    )


def measured_on(result):
    """What a result was measured on, in a line."""
    meta = result.meta
    parts = [" ".join(filter(None, (meta["dataset"], meta.get("split")))), f"protocol {meta['protocol']}"]
    parts += [f"{len(result.images)} images"] if result.images else []
    parts += [f"preset {meta['preset']}"] if meta.get("preset") else []
    parts += [f"{meta['steps']} steps"] if meta.get("steps") else []
    parts += [curves.metric(column).label for column in meta.get("measured_as", {}).values()]
    return ", ".join([*parts, _KINDS[meta["rate"]]])


def _measured_row(label, values, curve, key, rates, results):
    """(label, published cells, measured cells, difference cells) of one published row."""
    digits = curves.metric(key).digits
    printed = [Cell(v, digits) for v in values]
    result, same_family = closest(curve, key, results)
    if result is None:
        return label, printed, [], []
    result = on_published_terms(result, [curve], key)
    note = measured_on(result)
    measured, differences = [], []
    for published, rate in zip(values, rates):
        mean = curves.mean_at(result, key, rate)
        if mean.value is None:
            measured.append(Cell(None))
            differences.append(Cell(None))
            continue
        measured.append(Cell(mean.value, digits, mean.count, note))
        known = published is not None and same_family
        differences.append(Cell(mean.value - published if known else None, digits, signed=True))
    return label, printed, measured, differences


def _beside(title, corner, columns, entries, note):
    """The table of entries (label, published, measured, differences); texts alone have no line for a measurement."""
    rows = []
    if all(isinstance(c.value, str) for _, printed, _, _ in entries for c in printed):
        rows = [Row((label,), tuple(printed)) for label, printed, _, _ in entries]
        return Table(title, (corner,), tuple(columns), tuple(rows), note)
    for label, printed, measured, differences in entries:
        rows.append(Row((label, "published"), tuple(printed)))
        rows.append(Row((label, "measured"), tuple(measured or [Cell(None)] * len(columns))))
        if any(c.value is not None for c in differences):
            rows.append(Row((label, "difference"), tuple(differences)))
    if not any(c.value is not None for _, _, measured, _ in entries for c in measured):
        note += " Not measured yet."
    return Table(title, (corner, ""), tuple(columns), tuple(rows), note)


def _curve_of(paper, rates, values, published):
    """(curve, metric key) of the paper that has exactly these values at these rates, or (None, None)."""
    row = {rate: value for rate, value in zip(rates, values) if value is not None}
    for curve in published if row else ():
        if curve.meta.get("paper") == paper:
            for key in curves.METRICS:
                if dict(zip(curve.results["bpp"], curve.results.get(key, ()))) == row:
                    return curve, key
    return None, None


def _family(meta):
    """The first word of a data set's name: "kitti" of "kitti_stereo"."""
    return meta["dataset"].split("_")[0]


def _decimals(value):
    """How many decimals a stored number has: 3 for 2.903."""
    return len(f"{value:g}".partition(".")[2]) if isinstance(value, (int, float)) else 0
