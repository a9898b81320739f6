"""The page of a report: its sections, its contents, and the files that are written beside it.

What is long and not needed by everybody is folded; a browser unfolds it at a click, and on paper everything is open.
"""

import base64
import dataclasses
import html
import io
import string
from pathlib import Path

from PIL import Image

from dsin_tf import files
from eval import figures, tables

TEMPLATE = Path(__file__).with_name("report_template.html")


class Page:
    """Sections in order, and the files that are written beside the page: figures (PNG, SVG), tables (CSV, Markdown)."""

    def __init__(self, folder):
        self.folder = folder
        self._sections = []  # (part of the contents, title, anchor, body)

    def add(self, part, title, anchor, body, short=""):
        """Adds a section.

        Args:
          part: the line of the contents that its link stands in.
          title: its heading.
          anchor: its address within the page.
          body: HTML.
          short: what the contents call it, if not by the title.
        """
        heading = f'<h2 id="{anchor}">{html.escape(title)}</h2>'
        self._sections.append((part, short or title, anchor, f"<section>\n{heading}\n{body}\n</section>"))

    def table(self, table, name, shown=None):
        """A table as HTML, or what is `shown` of it; also written as CSV and Markdown, all of it."""
        files.write_text(self.folder / "tables" / f"{name}.csv", tables.to_csv(table))
        files.write_text(self.folder / "tables" / f"{name}.md", tables.to_markdown(table))
        return tables.to_html(shown or table)

    def plot(self, figure, name, alt, caption):
        """A figure as HTML; also written as PNG and SVG. Nothing for no figure."""
        if figure is None:
            return ""
        figures.save(figure, self.folder / "figures" / name)
        data = embedded((self.folder / "figures" / f"{name}.svg").read_bytes(), "svg+xml")
        return (
            f'<figure><img class="plot" src="{data}" alt="{html.escape(alt)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
        )

    def render(self, title, header, reading=""):
        """The whole page as HTML, `header` between its title and its contents, `reading` in how to read it."""
        parts = {"Start": ['<a href="#how-to-read">How to read this</a>']}
        for part, name, anchor, _ in self._sections:
            parts.setdefault(part, []).append(f'<a href="#{anchor}">{html.escape(name)}</a>')
        lines = [f"<li><span>{html.escape(part)}</span>{' '.join(links)}</li>" for part, links in parts.items()]
        return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            title=html.escape(title),
            header=header,
            reading=reading,
            contents="\n".join(lines),
            main="\n".join(body for *_, body in self._sections),
            footer="Made by dsin_tf, eval/report.py. Nothing on this page is loaded from elsewhere.",
        )


def fold(summary, body):
    """HTML that is folded under its summary, a text; nothing where there is nothing to fold."""
    return f"<details><summary>{html.escape(summary)}</summary>\n{body}\n</details>\n" if body else ""


def plots(parts):
    """Plots beside one another, as many as there is room for."""
    shown = "".join(parts)
    return f'<div class="plots">{shown}</div>\n' if shown else ""


def filled(table):
    """A table without the rows that hold no value."""
    rows = (row for row in table.rows if any(cell.value is not None for cell in row.cells))
    return dataclasses.replace(table, rows=tuple(rows))


def counted(count, noun):
    """A number with its noun: "1 claim", "3 claims"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def embedded(data, kind):
    """A picture's bytes as a data URI; `kind` is "png", "jpeg" or "svg+xml"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def png(image):
    """Pixels as a data URI, without loss."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG", optimize=True)
    return embedded(data.getvalue(), "png")


def jpeg(image, width=1000):
    """A picture for orientation, not for judging, as a data URI."""
    picture = Image.fromarray(image)
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.LANCZOS)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return embedded(data.getvalue(), "jpeg")
