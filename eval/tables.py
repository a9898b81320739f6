"""Tables: one object, printed on a terminal and written as CSV, Markdown and HTML.

A cell holds a value, the number of images behind it and, where it needs one, a note (a protocol, a reason for a
missing value). Notes are numbered as footnotes, each distinct note once. A value of None is printed as "–".
"""

import csv
import dataclasses
import html
import io
from typing import Optional, Union

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from eval import curves

MISSING = "–"
RATES = (0.02, 0.04, 0.06, 0.08, 0.10, 0.20)
_SHORT = 20  # letters of a text that stands like a number


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number, a text, or None where there is nothing.

    `count` is the number of images behind a mean. `best` marks the best of a column.
    """

    value: Union[float, str, None]
    digits: int = 2
    count: Optional[int] = None
    note: str = ""
    signed: bool = False
    best: bool = False

    @property
    def text(self):
        """The value as printed; a true minus sign, so that columns of numbers line up."""
        if self.value is None:
            return MISSING
        if isinstance(self.value, str):
            return self.value
        return f"{self.value:{'+' if self.signed else ''}.{self.digits}f}".replace("-", "−")

    @property
    def shown_count(self):
        """The count, where there is a value that it can be said of."""
        return None if self.value is None else self.count


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: one or more labels (the outer first), then the cells."""

    labels: tuple
    cells: tuple


@dataclasses.dataclass(frozen=True)
class Table:
    """A titled table. `corner` heads the label columns, `columns` heads the cells; `note` says what it rests on."""

    title: str
    corner: tuple
    columns: tuple
    rows: tuple
    note: str = ""

    def __post_init__(self):
        for row in self.rows:
            if len(row.labels) != len(self.corner) or len(row.cells) != len(self.columns):
                raise ValueError(
                    f"Table {self.title!r}: row {row.labels} has {len(row.labels)} labels and {len(row.cells)} cells; "
                    f"{len(self.corner)} and {len(self.columns)} were expected. Give every row the table's shape."
                )

    @property
    def footnotes(self):
        """The distinct notes of the cells, in reading order; a cell's mark is its place here plus one."""
        return tuple(dict.fromkeys(c.note for row in self.rows for c in row.cells if c.note))

    @property
    def counted(self):
        """Whether any cell tells how many images are behind it."""
        return any(c.shown_count is not None for row in self.rows for c in row.cells)


def rate_table(results, key, rates=RATES, common=False):
    """A metric at equal rates: a row for each result, a column for each rate, each cell with its image count.

    Args:
      results: list of `RDResult` of the same data.
      key: the metric's column.
      rates: bpp of the columns.
      common: means over the images that all results reach at a rate, and the best of each column marked;
        otherwise each result's own mean.

    Returns:
      A `Table`.

    Raises:
      CurveError: the results were not measured on the same data.
    """
    curves.require_same_data(results)
    m = curves.metric(key)
    columns = []
    for rate in rates:
        means = curves.common_means(results, key, rate) if common else [curves.mean_at(r, key, rate) for r in results]
        values = [mean.value for mean in means if mean.value is not None]
        best = (max if m.larger_is_better else min)(values) if common and len(values) > 1 else None
        columns.append([Cell(x.value, m.digits, x.count, best=x.value is not None and x.value == best) for x in means])
    which = "over the images that every codec reaches at that rate" if common else "over the images it reaches"
    note = f"Mean {which}; n images. {MISSING} means out of the measured range of every image; nothing is extrapolated."
    rows = [Row((label,), cells) for label, cells in zip(row_labels(results), zip(*columns))]
    title = f"{m.title} at equal rate" + (", same images in every row" if common else "")
    return Table(title, ("bpp",), tuple(f"{r:.2f}" if r >= 0.01 else f"{r:g}" for r in rates), tuple(rows), note)


def bd_table(results, anchor, key):
    """Bjøntegaard differences of all results against one of them.

    Args:
      results: list of `RDResult` of the same data.
      anchor: the one of them that the others are compared with.
      key: the metric's column.

    Returns:
      A `Table`; a difference that cannot be given is missing, and its note says why.
    """
    m = curves.metric(key)
    unit = "dB" if m.decibel else m.unit
    rows = []
    others = [r for r in results if r is not anchor]
    for label, test in zip(row_labels(others, beside=anchor), others):
        cells = [
            _difference(function, anchor, test, key, per_image)
            for function in (curves.bd_rate, curves.bd_psnr)
            for per_image in (False, True)
        ]
        rows.append(Row((label,), (*cells, _compared(anchor, test, key))))
    name = "BD-PSNR" if key.startswith("psnr") else f"BD-{m.label}"
    columns = [
        f"{what}, {how}"
        for what in ("BD-rate (%)", f"{name} ({unit})" if unit else name)
        for how in ("mean curve", "mean of images")
    ]
    columns.append("compared over, mean curve")
    note = (
        f"Against {anchor.name}. A negative BD-rate needs fewer bits for the same {m.label}. n images; over the range "
        "that both cover; piecewise cubic (pchip)" + (", MS-SSIM as −10 log₁₀(1 − MS-SSIM)." if m.decibel else ".")
    )
    return Table(f"Bjøntegaard differences in {m.label}", ("codec",), tuple(columns), tuple(rows), note)


def points_table(results):
    """The operating points as measured, means over images: achieved bpp and every metric, one row a point."""
    keys = [k for k in curves.METRICS if any(k in r.results for r in results)]
    rows = []
    for label, r in zip(row_labels(results), results):
        for at, rate in enumerate(r.results["bpp"]):
            images = r.results.get("images")
            cells = [Cell(rate, 4), Cell(images[at] if images else None, 0)]
            cells += [Cell(r.results[k][at] if k in r.results else None, curves.metric(k).digits) for k in keys]
            rows.append(Row((label,), tuple(cells)))
    columns = ("bpp", "images", *(curves.metric(k).title for k in keys))
    return Table("Measured operating points", ("codec",), columns, tuple(rows), "Achieved rates, not targets.")


def row_labels(results, beside=None):
    """Names of results; with what bpp counts where that is not the same for all (`beside` is looked at, too)."""
    kinds = {r.meta.get("rate") for r in [*results, *([beside] if beside else [])]}
    return [r.name if len(kinds) == 1 else f"{r.name} ({r.meta.get('rate')} rate)" for r in results]


def to_terminal(table):
    """A table as a `rich` object, for `Console.print`."""
    caption = "\n".join([*([table.note] if table.note else []), *_numbered(table)])
    is_wide = len(table.columns) >= 8  # eighty letters are what many terminals have
    shown = RichTable(
        title=Text(table.title, style="bold"),
        caption=Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        padding=0 if is_wide else (0, 1),
    )
    # Where a line is too short, headings go on in the next one, between words.
    for at, heading in enumerate(table.corner):
        words = (_longest_word(text) for text in (heading, *(row.labels[at] for row in table.rows)))
        shown.add_column(Text(heading), min_width=max(words))
    for heading in table.columns:
        heading = heading.replace(" ", "\n") if is_wide else heading
        shown.add_column(Text(heading), justify="right", min_width=_longest_word(heading))
    for row in table.rows:
        shown.add_row(
            *map(Text, row.labels),
            *(Text(_plain(table, c), style="bold" if c.best else "") for c in row.cells),
        )
    return shown


def to_csv(table):
    """A table as CSV: plain numbers; beside a column its counts and notes, where it has any."""
    heads, fields = list(table.corner), []
    for at, heading in enumerate(table.columns):
        column = [row.cells[at] for row in table.rows]
        heads.append(heading)
        fields.append((at, lambda c: "" if c.value is None else _csv_value(c)))
        if any(c.shown_count is not None for c in column):
            heads.append(f"{heading} n")
            fields.append((at, lambda c: "" if c.shown_count is None else c.shown_count))
        if any(c.note for c in column):
            heads.append(f"{heading} note")
            fields.append((at, lambda c: c.note))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([*row.labels, *(field(row.cells[at]) for at, field in fields)] for row in table.rows)
    return text.getvalue()


def to_markdown(table):
    """A table as GitHub-flavoured Markdown, counts in brackets, footnotes below."""
    lines = [f"**{_escape_markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(map(_escape_markdown, (*table.corner, *table.columns))) + " |")
    lines.append("|" + "---|" * len(table.corner) + "---:|" * len(table.columns))
    for row in table.rows:
        cells = [_escape_markdown(_plain(table, c)) for c in row.cells]
        cells = [f"**{text}**" if c.best else text for c, text in zip(row.cells, cells)]
        lines.append("| " + " | ".join([*map(_escape_markdown, row.labels), *cells]) + " |")
    for line in [*([table.note] if table.note else []), *_numbered(table)]:
        lines += ["", _escape_markdown(line)]
    return "\n".join(lines) + "\n"


def to_html(table):
    """A table as an HTML fragment: caption, headings with scope, equal outer labels joined, footnotes below."""
    parts = ['<figure class="table"><div class="scroll" tabindex="0" role="region" ']
    grouped = ' class="grouped"' if len(table.corner) > 1 else ""
    parts.append(
        f'aria-label="{html.escape(table.title)}"><table{grouped}><caption>{html.escape(table.title)}</caption>'
    )
    heads = [f'<th scope="col" class="label">{html.escape(h)}</th>' for h in table.corner]
    for at, heading in enumerate(table.columns):
        is_text = all(_is_prose(row.cells[at].value) for row in table.rows)
        heads.append(f'<th scope="col"{" class=text" if is_text else ""}>{html.escape(heading)}</th>')
    parts.append(f"<thead><tr>{''.join(heads)}</tr></thead>")
    for group in _groups(table):
        parts.append("<tbody>")
        for at, row in enumerate(group):
            span = f' rowspan="{len(group)}"' if len(group) > 1 else ""
            scope = "rowgroup" if len(group) > 1 else "row"
            # The span keeps narrow columns from breaking labels after every word.
            labels = [f'<th scope="{scope}"{span}><span>{html.escape(row.labels[0])}</span></th>'] if at == 0 else []
            labels += [f'<th scope="row"><span>{html.escape(label)}</span></th>' for label in row.labels[1:]]
            parts.append(f"<tr>{''.join(labels)}{''.join(_html_cell(table, c) for c in row.cells)}</tr>")
        parts.append("</tbody>")
    parts.append("</table></div>")
    if table.note or table.footnotes:
        parts.append("<figcaption>")
        parts.append(f"<p>{html.escape(table.note)}</p>" if table.note else "")
        parts.append("<ol>" if table.footnotes else "")
        parts += [f"<li>{html.escape(note)}</li>" for note in table.footnotes]
        parts.append("</ol>" if table.footnotes else "")
        parts.append("</figcaption>")
    return "".join([*parts, "</figure>\n"])


def _difference(function, anchor, test, key, per_image):
    """A Bjøntegaard difference as a cell; missing, with the reason as its note, where it cannot be given."""
    try:
        found = function(anchor, test, key, per_image=per_image)
    except curves.CurveError as error:
        return Cell(None, note=str(error))
    return Cell(found.value, 1 if found.unit == "%" else 2, found.count, signed=True)


def _compared(anchor, test, key):
    """The range of the metric and of the rate that a difference of mean curves rests on, as a cell."""
    m = curves.metric(key)
    try:
        metric, rate = curves.bd_rate(anchor, test, key), curves.bd_psnr(anchor, test, key)
    except curves.CurveError:
        return Cell(None)
    unit = f" {m.unit}" if m.unit else ""
    return Cell(f"{metric.low:.{m.digits}f}–{metric.high:.{m.digits}f}{unit}; {rate.low:.3g}–{rate.high:.3g} bpp")


def _groups(table):
    """The rows, those in a run that share their outer label together. A table with one label has no runs."""
    groups = []
    for row in table.rows:
        if groups and len(table.corner) > 1 and groups[-1][0].labels[0] == row.labels[0]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _html_cell(table, cell):
    kind = "none" if cell.value is None else "text" if _is_prose(cell.value) else "number"
    text = html.escape(cell.text)
    if cell.best:
        text = f"<strong>{text}</strong>"
    if cell.note:
        text += f"<sup>{table.footnotes.index(cell.note) + 1}</sup>"
    if cell.shown_count is not None:
        text += f' <span class="n">n&nbsp;{cell.shown_count}</span>'
    elif table.counted and kind == "none":
        text += ' <span class="n"></span>'  # so that the dash stands below the numbers
    return f'<td class="{kind}">{text}</td>'


def _is_prose(value):
    """Whether a cell's value is text of more than a word or two, such as "5 of 6", which stand like numbers."""
    return isinstance(value, str) and len(value) > _SHORT


def _longest_word(text):
    return max(map(len, text.split()), default=0)


def _plain(table, cell):
    """A cell for terminal and Markdown: "24.06 (n 13) [1]"."""
    count = f" (n {cell.shown_count})" if cell.shown_count is not None else ""
    mark = f" [{table.footnotes.index(cell.note) + 1}]" if cell.note else ""
    return cell.text + count + mark


def _csv_value(cell):
    return cell.value if isinstance(cell.value, str) else f"{cell.value:.{max(cell.digits, 4)}f}"


def _numbered(table):
    return [f"[{at}] {note}" for at, note in enumerate(table.footnotes, 1)]


def _escape_markdown(text):
    return str(text).replace("|", "\\|").replace("\n", " ")
