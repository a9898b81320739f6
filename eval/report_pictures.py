"""Pictures of a report: strips of details, and the figures that commands of figures wrote into folders."""

import collections
import dataclasses
import html
import json
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np

from eval import figures, report_page, strips, tables

_LONG = 20  # rows of a table that is folded
_KINDS = {".svg": "svg+xml", ".png": "png"}


class FigureError(ValueError):
    """A folder of figures is not what it should be; the message names the file."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure that a command wrote: the path of its JSON, its `tables.Table`, and the path of its picture if kept."""

    path: Path
    table: tables.Table
    picture: Optional[Path] = None

    @property
    def html(self):
        """The picture at its own size, and the table, folded if it is long."""
        table, count = tables.to_html(self.table), len(self.table.rows)
        if count > _LONG:
            table = report_page.fold(f"{self.table.title}: {count} rows", table)
        if self.picture is None:
            return table
        data = report_page.embedded(self.picture.read_bytes(), _KINDS[self.picture.suffix])
        alt = f"{html.escape(self.table.title)}: numbers in the table."
        return f'<figure><img class="plot own-size" src="{data}" alt="{alt}"></figure>\n' + table


def drawn(folder):
    """The figures in a folder, in the order of their names.

    Args:
      folder: holds NAME.json of each figure, of which "table" is its table as `dataclasses.asdict` gives it, and its
        picture as NAME.svg or NAME.png. Without a picture, as in folders that keep numbers alone, the table is shown.

    Returns:
      List of `Drawn`.

    Raises:
      FigureError: there is no figure, or one has no table.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            table = _table(json.loads(path.read_text(encoding="utf-8"))["table"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FigureError(
                f"{path}: holds no table of a figure ({error!r}). Make the figure again, or name another folder."
            ) from error
        picture = next((path.with_suffix(end) for end in _KINDS if path.with_suffix(end).is_file()), None)
        found.append(Drawn(path, table, picture))
    if not found:
        raise FigureError(f"{folder}: holds no figure. Name the --out of a command that makes figures.")
    return found


def made_for(figure, listed):
    """The exhibits that a figure is for, of a list of `exhibits.Exhibit`.

    They are told by the figure's folder and name; by the name alone where the folder is called as no command, as a
    folder into which several commands wrote, and only if the name tells one command.
    """
    fitting = [each for each in listed if each.made([figure.path])]
    if fitting or any(command_of(each) in figure.path.parent.name for each in listed if each.command):
        return fitting
    fitting = [each for each in listed if each.made([figure.path.name])]
    return fitting if len({each.module for each in fitting}) == 1 else []


def command_of(exhibit):
    """The last part of the name of an exhibit's module: "dsin_figures"."""
    return exhibit.module.rpartition(".")[2]


def by_exhibit(figures_drawn, listed):
    """Figures as HTML, under the exhibits of a paper that they are for, in the paper's order; others last."""
    sorted_out = collections.defaultdict(list)
    for figure in figures_drawn:
        fitting = made_for(figure, listed)
        sorted_out[tuple(listed.index(each) for each in fitting)].append(figure)
    parts = []
    for places in sorted(sorted_out, key=lambda places: places or (len(listed),)):
        if places:
            names = "; ".join(dict.fromkeys(listed[at].exhibit for at in places))
            parts.append(f"<h4>{html.escape(names)}</h4>\n<p class=soft>{html.escape(listed[places[0]].shows)}</p>")
        elif len(sorted_out) > 1:
            parts.append("<h4>Others</h4>")
        parts += [figure.html for figure in sorted_out[places]]
    return "\n".join(parts)


def strips_of(page, folders, slug):
    """Picture strips as HTML; also written as PNG and SVG."""
    parts = []
    for folder in folders:
        strip = strips.load(folder)
        figures.save(strips.figure(strip), page.folder / "figures" / f"{slug}_{strip.name}")
        parts.append(_strip(strip))
    return "\n".join(parts)


def folders_of(beside, given=None):
    """Folders of single images that hold an x.png, in the folders `beside` results or in the one that is `given`."""
    roots = beside if given is None else [Path(given)]
    return [f for root in roots if root.is_dir() for f in sorted(root.iterdir()) if (f / "x.png").is_file()]


def _strip(strip):
    at = f" at about {strip.target_bpp:g} bpp" if strip.target_bpp is not None else ""
    name = html.escape(strip.name)
    parts = [
        f"<h3>{name}{at}</h3>",
        f'<figure class="located"><img src="{report_page.jpeg(strips.located(strip))}" alt="The whole image {name}, '
        'a frame around the detail shown below."><figcaption>The framed detail is where the image has most structure. '
        "Below, each codec’s result and, under it, its error; the numbers are those of the whole image.</figcaption>"
        "</figure>",
        '<div class="panels">',
    ]
    ratio = f"aspect-ratio: {strip.window.width} / {strip.window.height}"
    for panel in strip.panels:
        label, numbers = html.escape(panel.label), html.escape(panel.numbers)
        if panel.image is None:
            parts.append(
                f'<figure><div class="absent" style="{ratio}">{numbers}</div>'
                f"<figcaption><strong>{label}</strong>–</figcaption></figure>"
            )
            continue
        shown = [f'<img src="{report_page.png(panel.image)}" alt="Detail, {label}: {numbers}">']
        if panel.error is not None:
            error = report_page.png(strips.error_image(panel.error, strip.error_end))
            shown.append(f'<img src="{error}" alt="Error of {label}, mean {panel.error.mean():.1f} grey levels">')
        parts.append(f"<figure>{''.join(shown)}<figcaption><strong>{label}</strong>{numbers}</figcaption></figure>")
    parts.append("</div>")
    if any(p.error is not None for p in strip.panels):
        colours = [matplotlib.colors.to_hex(c) for c in matplotlib.colormaps[strips.ERROR_MAP](np.linspace(0, 1, 9))]
        ends = "".join(f"<span>{strip.error_end * part:g}</span>" for part in (0, 0.25, 0.5, 0.75))
        parts.append(
            f'<div class="scale"><div class="bar" style="background: linear-gradient(to right, {", ".join(colours)})">'
            f'</div><div class="ends">{ends}<span>{strip.error_end:g} and more</span></div>{strips.ERROR_UNIT}</div>'
        )
    return "\n".join(parts)


def _table(data):
    """The `tables.Table` that `dataclasses.asdict` made this of."""
    rows = ((row["labels"], tuple(tables.Cell(**cell) for cell in row["cells"])) for row in data["rows"])
    return tables.Table(**{**data, "rows": tuple(tables.Row(*row) for row in rows)})
