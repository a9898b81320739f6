"""What a page shows of a data set in a protocol: plots, pictures, tables; and of each results file where it is from."""

import dataclasses
import hashlib
import html

import numpy as np

from dsin_tf import files
from eval import comparison, curves, figures, report_groups, report_page, report_pictures, tables


def section(page, group, slug, known, style, folders):
    """A section of a page, as HTML: what every paper reports is open, the rest is folded.

    Args:
      page: the `report_page.Page`; plots, pictures and tables are written beside it.
      group: the `report_groups.Group`.
      slug: begins the names of its files.
      known: published curves, a list of `RDResult`; those of such images are drawn beside ours.
      style: of the plots; see `figures.styles`.
      folders: of single images' pictures.
    """
    about = f"{group.images} of {group.title}; {report_groups.protocol(group.meta['protocol'])}."
    parts = [f"<p>{html.escape(about)}</p>"]
    plots = {key: _plot(page, group, key, slug, known, style) for key in group.keys}
    shown = dict.fromkeys((None, *group.keys), "")
    for i, (key, table) in enumerate(tables_of(group), 1):
        shown[key] += page.table(table, f"{slug}_{i}", _with_values(table))
    main = [key for key in group.keys if key in report_groups.MAIN_METRICS]
    others = [key for key in group.keys if key not in main]
    parts.append(report_page.plots(plots[key] for key in main))
    if known and not any(report_groups.matching(known, group.meta, key) for key in group.keys):
        parts.append(
            '<p class="soft">No curve was published for this data set and protocol, so none is drawn here. The papers’ '
            "sections have those of other data; their levels cannot be compared with these.</p>"
        )
    parts.append(report_pictures.strips_of(page, folders, slug))
    parts += ["<h3>Tables</h3>", *(shown[key] for key in main)]
    names = ", ".join(curves.metric(key).label for key in others)
    folded = report_page.plots(plots[key] for key in others) + "".join(shown[key] for key in others)
    parts.append(report_page.fold(f"Other measures: {names}", folded))
    parts.append(report_page.fold("Settings of the codecs, and the lowest rates they reach", shown[None]))
    points = tables.to_csv(tables.points_table(group.results))
    files.write_text(page.folder / "tables" / f"{slug}_points.csv", points)
    return "\n".join(parts)


def tables_of(group):
    """(metric, `tables.Table`) of all tables of a `Group`: reach of the codecs, of no metric, then those of each."""
    found = [(None, _reach_table(group.results))]
    anchor = next((r for r in group.results if r.meta["method"] == "jpeg2000"), group.results[0])
    for key in group.keys:
        having = [r for r in group.results if key in report_groups.columns(r)]
        rates = report_groups.reached(having, key)
        own = tables.rate_table(having, key, rates)
        common = tables.rate_table(having, key, rates, common=True)
        found.append((key, own))
        if len(having) > 1 and _values(own) != _values(common):
            found.append((key, common))
        if len(having) > 1 and anchor in having:
            differences = tables.bd_table(having, anchor, key)
            if report_page.filled(differences).rows:
                found.append((key, differences))
    return found


def provenance(loaded, numbers=()):
    """Where each number comes from, as HTML.

    Args:
      loaded: (`RDResult`, path of its file) pairs.
      numbers: paths of files that hold no rates, but numbers of single images.
    """
    if not loaded and not numbers:
        return "<p>No results file was given.</p>"
    parts = ["<p>Each results file, what made it, and the programs that were used.</p>"]
    for result, path in loaded:
        meta = result.meta
        on = comparison.measured_on(result)
        entries = {
            "Codec": result.description or result.name,
            "Measured on": on,
            "List of images": f"digest {meta['data_digest']}" if meta.get("data_digest") else "digest not recorded",
            "Command": meta.get("command"),
            "Settings": _listed(meta.get("settings")),
            "Versions": _listed(meta.get("versions")),
            "Revision": meta.get("revision") or meta.get("git_revision"),
            "File": _file(path),
        }
        rows = [f"<dt>{k}</dt><dd>{_code(k, v)}</dd>" for k, v in entries.items() if v]
        parts.append(report_page.fold(f"{result.name}: {on}", f'<dl class="record">{"".join(rows)}</dl>'))
    if numbers:
        rows = [f"<li>{html.escape(_file(path))}</li>" for path in numbers]
        parts.append(f"<p>Numbers of single images, with which claims are checked:</p><ul>{''.join(rows)}</ul>")
    return "\n".join(parts)


def _plot(page, group, key, slug, known, style):
    """The group's curves of a metric, with those published of such images."""
    protocol = report_groups.protocol(group.meta["protocol"])
    theirs = report_groups.matching(known, group.meta, key)
    caption = f"{group.title}, {protocol}; ours: mean of {group.images}."
    if theirs:
        papers = dict.fromkeys(report_groups.paper(p.meta["paper"]) for p in theirs)
        caption += f" Dashed: as published by {'; '.join(papers)}, on the papers’ own list of images."
        if report_groups.published_as(group.meta) != (group.meta["dataset"], group.meta["protocol"]):
            caption += " Ours were prepared in the same way, but they are other scenes."
    ours = [comparison.on_published_terms(r, theirs, key) for r in group.results]
    caption += report_groups.on_other_terms(ours)
    label = curves.metric(key).label
    alt = f"{label} against rate on {group.title}: {', '.join(r.name for r in group.results)}. Numbers in the tables."
    figure = figures.rate_distortion(ours, key, theirs, label, style=style)
    return page.plot(figure, f"{slug}_{key}", alt, caption)


def _reach_table(results):
    """Each codec's settings and the lowest rate that it reaches."""
    rows = []
    for label, r in zip(tables.row_labels(results), results):
        floors = sorted(i.extra.get("floor_bpp", i.points["bpp"][0]) for i in r.images if i.points["bpp"])
        lowest = [floors[0], float(np.median(floors)), floors[-1]] if floors else [None] * 3
        cells = [tables.Cell(r.description or None), *(tables.Cell(f, 4) for f in lowest)]
        rows.append(tables.Row((label,), (*cells, tables.Cell(len(r.images), 0))))
    columns = ("settings", "least of images", "median", "most", "images")
    note = "The lowest rate (bpp) that was measured, of each image; below it a codec has no picture to show."
    return tables.Table("Codecs and the lowest rates they reach", ("codec",), columns, tuple(rows), note)


def _with_values(table):
    """A table without the rows that hold nothing but reasons; its note names them, and the written table has all."""
    kept = report_page.filled(table)
    absent = [row.labels[0] for row in table.rows if row not in kept.rows]
    note = f" Without a value, for too few points or other rates: {', '.join(absent)}." if absent else ""
    return dataclasses.replace(kept, note=kept.note + note)


def _values(table):
    return [[(c.value, c.shown_count) for c in row.cells] for row in table.rows]


def _file(path):
    return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _listed(entries):
    return ", ".join(f"{k} {v}" for k, v in sorted(entries.items())) if isinstance(entries, dict) else entries


def _code(name, value):
    text = html.escape(str(value))
    return f"<code>{text}</code>" if name == "Command" else text
