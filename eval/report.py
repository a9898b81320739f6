"""One page of everything measured: report.html, which needs no other file and asks no other machine.

    python -m eval.report --results=runs/anchors/jpeg2000.json,runs/anchors/bpg.json --out=runs/report/report.html

Plots, tables and pictures, sorted by data set and protocol; with --figures=FOLDER,FOLDER what the commands of the
papers' figures wrote there; every published table of the papers with ours beside it; and where each number comes from.
The same plots are written as PNG and SVG into `figures/` and the tables as CSV and Markdown into `tables/`, beside the
page.
"""

import base64
import dataclasses
import glob
import hashlib
import html
import io
import json
import re
import string
import sys
from pathlib import Path

import matplotlib
import numpy as np
from absl import app, flags
from PIL import Image

from dsin_tf import files
from eval import comparison, curves, figures, published_numbers, rd_results, strips, tables

TITLE = "Image compression with side information: what was measured"
# Columns of the rate tables; those that no codec reaches are left out.
RATES = (*tables.RATES, 0.40, 0.80, 1.60)

_TEMPLATE = Path(__file__).with_name("report_template.html")
_METRICS = ("psnr-rgb", "ms-ssim-rgb", "ms-ssim-dsin", "cmssim", "lab-difference", "rgb-angle")
DATASETS = {
    "kitti_stereo": "KITTI Stereo",
    "kitti_stereo_clean": "KITTI Stereo, split by recording",
    "kitti_general": "KITTI General",
    "kitti_small": "KITTI, small",
    "kitti_scenes": "KITTI image sets",
    "cityscapes": "Cityscapes",
    "kodak": "Kodak",
    "street": "Street",
    "street_general": "Street, frames apart",
    "street_sets": "Street, image sets",
}
_PROTOCOLS = {
    "dsin": "protocol dsin: centre crop of 320×1224",
    "ndic": "protocol ndic: centre crop of 370×740, made 128×256",
    "native": "protocol native: images as they are",
    "unstated": "protocol not stated",
}
# Images that were prepared by a protocol before they were put into a folder: published curves of that are beside them.
_PREPARED = {("kitti_small", "native"): ("kitti_stereo", "ndic")}
_PAPERS = {
    "dsin": "DSIN (Ayzik and Avidan, 2020)",
    "ndic": "NDIC (Mital et al., 2022)",
    "ndic_preprint": "NDIC, first preprint",
    "ndic_cam": "NDIC-CAM (Mital et al., 2023)",
    "dsc_msf": "DSC and multi-scale fusion (Wang et al., 2022)",
    "multichannel": "Multi-channel, multi-loss",
    "li2018": "Baseline: Li et al., 2018",
    "lee2019": "Baseline: Lee et al., 2019",
}


class FigureError(ValueError):
    """A folder of figures is not what it should be; the message names the file."""


@dataclasses.dataclass
class Group:
    """Results of the same images in the same form, with the folders of their pictures."""

    results: list
    folders: list

    @property
    def meta(self):
        return self.results[0].meta

    @property
    def slug(self):
        """Begins the names of the group's files."""
        parts = (self.meta["dataset"], self.meta.get("split"), self.meta["protocol"])
        return _slug("_".join(filter(None, parts)))

    @property
    def title(self):
        return ", ".join(filter(None, (_dataset(self.meta["dataset"]), self.meta.get("split"))))

    @property
    def heading(self):
        """The title, with the protocol where that is not the images as they are."""
        protocol = self.meta["protocol"]
        return self.title if protocol == "native" else f"{self.title}, protocol {protocol}"

    @property
    def keys(self):
        """The metrics that some result of the group has."""
        return [key for key in _METRICS if any(key in _columns(r) for r in self.results)]


def build(result_paths, out_html, published=True, pictures_dir=None, extra_tables=(), title=TITLE, figure_folders=()):
    """Writes the report, and beside it `figures/` (PNG, SVG) and `tables/` (CSV, Markdown).

    Args:
      result_paths: results files (`eval/rd_results.py`), ours.
      out_html: where the page is to be.
      published: show published numbers and curves, too.
      pictures_dir: folder with a folder of pictures for each image (`eval/strips.py`); by default `pictures` beside
        each results file.
      extra_tables: `tables.Table`s that stand before all others.
      title: heading of the page.
      figure_folders: where commands of figures wrote theirs, each a section; see `figure_section`.

    Returns:
      The path of the page.

    Raises:
      ResultError, StripError, FigureError: a file cannot be used.
      OutputError: something could not be written.
    """
    out = Path(out_html)
    loaded = [(rd_results.load(path), Path(path)) for path in result_paths]
    results = [result for result, _ in loaded]
    groups = group(loaded)
    known = published_numbers.curves() if published else []
    style = figures.styles(results, known)
    page = _Page(out.parent)
    if extra_tables:
        page.add("Overview", "overview", "".join(page.table(t, f"overview_{i}") for i, t in enumerate(extra_tables, 1)))
    for each, slug in zip(groups, unique([g.slug for g in groups])):
        folders = _picture_folders(each.folders if pictures_dir is None else [], pictures_dir)
        shown_here = folders if pictures_dir is None or len(groups) == 1 else []
        page.add(each.heading, slug, _group_section(page, each, slug, known, style, shown_here))
    if pictures_dir is not None and len(groups) != 1:
        page.add("Pictures", "pictures", _pictures(page, _picture_folders([], pictures_dir), "pictures"))
    for folder, slug in zip(figure_folders, unique([_slug(Path(folder).name) for folder in figure_folders])):
        page.add(f"Figures: {Path(folder).name}", f"figures_{slug}", figure_section(folder))
    if published:
        page.add("Published and measured", "published", _published_section(page, results, known, style))
    page.add("Where the numbers come from", "provenance", _provenance(loaded))
    files.write_text(out, page.render(title, _header(groups)))
    return out


def find(patterns):
    """The files of paths that may hold * and ?; a pattern that nothing fits stands for itself."""
    return [path for pattern in patterns for path in sorted(glob.glob(pattern)) or [pattern]]


def group(loaded):
    """Sorts results by what they were measured on.

    Args:
      loaded: (`RDResult`, path of its file) pairs.

    Returns:
      List of `Group`, in the order given.
    """
    found = {}
    for result, path in loaded:
        on = tuple(result.meta.get(k) for k in ("dataset", "split", "protocol", "data_digest"))
        each = found.setdefault(on, Group([], []))
        each.results.append(result)
        if path.parent / "pictures" not in each.folders:
            each.folders.append(path.parent / "pictures")
    return list(found.values())


def unique(slugs):
    """The same names, those that come again with a number."""
    return [s if slugs.index(s) == i else f"{s}_{slugs[:i].count(s) + 1}" for i, s in enumerate(slugs)]


def tables_of(each):
    """The tables of a `Group`, in the order of the page: reach of the codecs, then for each metric its tables."""
    found = [_reach_table(each.results)]
    anchor = next((r for r in each.results if r.meta["method"] == "jpeg2000"), each.results[0])
    for key in each.keys:
        having = [r for r in each.results if key in _columns(r)]
        rates = [x for x in RATES if any(curves.mean_at(r, key, x).value is not None for r in having)]
        own = tables.rate_table(having, key, rates)
        common = tables.rate_table(having, key, rates, common=True)
        found.append(own)
        if len(having) > 1 and _values(own) != _values(common):
            found.append(common)
        if len(having) > 1 and anchor in having:
            found.append(tables.bd_table(having, anchor, key))
    return found


def figure_section(folder):
    """What commands of figures wrote into a folder, as HTML: each figure, in the order of their names, and its table.

    Args:
      folder: holds NAME.json of each figure, of which "table" is its table as `dataclasses.asdict` gives it, and its
        picture as NAME.svg or NAME.png, at its own size.

    Raises:
      FigureError: there is no figure, or one has no table or no picture.
    """
    parts = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            table = _table(json.loads(path.read_text(encoding="utf-8"))["table"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FigureError(
                f"{path}: holds no table of a figure ({error!r}). Make the figure again, or name another folder."
            ) from error
        kinds = {"svg": "svg+xml", "png": "png"}
        picture = next((path.with_suffix(f".{end}") for end in kinds if path.with_suffix(f".{end}").is_file()), None)
        if picture is None:
            raise FigureError(f"{path}: has no picture of its name beside it, .svg or .png. Make the figure again.")
        data = base64.b64encode(picture.read_bytes()).decode("ascii")
        title = html.escape(table.title)
        parts.append(
            f'<figure><img class="plot" style="width: auto" src="data:image/{kinds[picture.suffix[1:]]};base64,{data}" '
            f'alt="{title}: numbers in the table."></figure>\n{tables.to_html(table)}'
        )
    if not parts:
        raise FigureError(f"{folder}: holds no figure. Name the --out of a command that makes figures.")
    return "\n".join(parts)


class _Page:
    """Sections in order, and the files that are written beside the page."""

    def __init__(self, folder):
        self.folder = folder
        self.sections = []

    def add(self, title, anchor, body):
        self.sections.append((title, anchor, body))

    def table(self, table, name):
        """A table as HTML; also written as CSV and Markdown."""
        files.write_text(self.folder / "tables" / f"{name}.csv", tables.to_csv(table))
        files.write_text(self.folder / "tables" / f"{name}.md", tables.to_markdown(table))
        return tables.to_html(table)

    def plot(self, figure, name, alt, caption):
        """A figure as HTML; also written as PNG and SVG. Nothing for no figure."""
        if figure is None:
            return ""
        figures.save(figure, self.folder / "figures" / name)
        data = base64.b64encode((self.folder / "figures" / f"{name}.svg").read_bytes()).decode("ascii")
        return (
            f'<figure><img class="plot" src="data:image/svg+xml;base64,{data}" alt="{html.escape(alt)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
        )

    def render(self, title, header):
        parts = [f'<h2 id="{anchor}">{html.escape(name)}</h2>\n{body}' for name, anchor, body in self.sections]
        links = [f'<li><a href="#{anchor}">{html.escape(name)}</a></li>' for name, anchor, _ in self.sections]
        return string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
            title=html.escape(title),
            header=header,
            contents="\n".join(links),
            main="\n".join(f"<section>\n{part}\n</section>" for part in parts),
            footer="Made by dsin_tf, eval/report.py. Nothing on this page is loaded from elsewhere.",
        )


def _header(groups):
    codecs = list(dict.fromkeys(r.name for g in groups for r in g.results))
    lead = (
        "Rate and quality of image codecs, measured from files that were written and decoded again, "
        "beside the numbers published for decoder-only side information."
    )
    on = [f"{html.escape(g.title)} ({_images(g)}, {html.escape(_protocol(g.meta['protocol']))})" for g in groups]
    return (
        f'<p class="lead">{lead}</p>\n<p class="soft">Data: {"; ".join(on) or "none"}.<br>'
        f"Codecs: {html.escape(', '.join(codecs)) or 'none'}.</p>"
    )


def _group_section(page, each, slug, known, style, folders):
    """Everything about one data set in one protocol."""
    meta, parts = each.meta, []
    parts.append(f"<p>{_images(each)} of {html.escape(each.title)}; {html.escape(_protocol(meta['protocol']))}.</p>")
    plots, beside = [], []
    for key in each.keys:
        theirs = matching(known, meta, key)
        beside += theirs
        caption = f"{each.title}, {_protocol(meta['protocol'])}; ours: mean of {_images(each)}."
        if theirs:
            papers = dict.fromkeys(_paper(p.meta["paper"]) for p in theirs)
            caption += f" Dashed: as published by {'; '.join(papers)}, on the papers’ own list of images."
            if _published_as(meta) != (meta["dataset"], meta["protocol"]):
                caption += " Ours were prepared in the same way, but they are other scenes."
        ours = [comparison.on_published_terms(r, theirs, key) for r in each.results]
        caption += _on_other_terms(ours)
        m = curves.metric(key)
        alt = (
            f"{m.label} against rate on {each.title}: {', '.join(r.name for r in each.results)}. Numbers in the tables."
        )
        figure = figures.rate_distortion(ours, key, theirs, m.label, style=style)
        plots.append(page.plot(figure, f"{slug}_{key}", alt, caption))
    parts.append(f'<div class="plots">{"".join(plots)}</div>')
    if known and not beside:
        parts.append(
            '<p class="soft">No curve was published for this data set and protocol, so none is drawn here. Published '
            'curves of other data are <a href="#published">below</a>; their levels cannot be compared with these.</p>'
        )
    parts.append(_pictures(page, folders, slug))
    parts.append("<h3>Tables</h3>")
    parts += [page.table(t, f"{slug}_{i}") for i, t in enumerate(tables_of(each), 1)]
    points = tables.to_csv(tables.points_table(each.results))
    files.write_text(page.folder / "tables" / f"{slug}_points.csv", points)
    return "\n".join(parts)


def _on_other_terms(results):
    """A sentence for a plot's caption if some of ours are measured as published curves are, not as in our tables."""
    named = [r.name for r in results if r.meta.get("measured_as")]
    if not named:
        return ""
    return f" PSNR of {', '.join(named)} is, as published, of unclipped images; in our tables it is of 8-bit images."


def matching(known, meta, key):
    """Published curves of a metric on the same data and protocol; of a method with several, that of the first paper."""
    on = _published_as(meta)
    fitting = [p for p in known if key in p.results and (p.meta["dataset"], p.meta["protocol"]) == on]
    order = list(_PAPERS)
    fitting.sort(key=lambda p: order.index(p.meta["paper"]) if p.meta["paper"] in order else len(order))
    first = {}
    for p in fitting:
        first.setdefault(p.meta["method"], p)
    return list(first.values())


def _published_as(meta):
    """(dataset, protocol) under which curves of such images were published."""
    on = (meta["dataset"], meta["protocol"])
    return _PREPARED.get(on, on)


def _published_section(page, results, known, style):
    """For each paper its printed tables and its curves, each beside what was measured."""
    parts = [
        "<p>Every table that the papers print, and every curve that they draw, read at round rates. Below each "
        "published row stands what was measured for the same method, and a footnote says on what. A difference is "
        "given only where the data are of one family; even then images, crop and kind of rate may differ.</p>"
    ]
    printed = published_numbers.tables()
    sets = comparison.curve_sets(known)
    named = [*_PAPERS, *sorted({t.paper for t in printed} | {s[0] for s in sets})]
    for paper in dict.fromkeys(named):
        body, covered = [], set()
        for i, table in enumerate([t for t in printed if t.paper == paper], 1):
            shown, rows = comparison.printed_table(table, known, results)
            covered |= rows
            body.append(page.table(shown, f"published_{paper}_{i}"))
        plots = []
        for on, theirs in sets.items():
            if on[0] != paper:
                continue
            _, dataset, protocol, key = on
            name = f"published_{paper}_{dataset}_{protocol}_{key}"
            ours = [r for r in results if _published_as(r.meta) == (dataset, protocol)]
            ours = [comparison.on_published_terms(r, theirs, key) for r in ours]
            where = f"{_dataset(dataset)}, {_protocol(protocol)}"
            if ours:
                caption = f"{where}. Dashed: published; solid: ours, on {comparison.measured_on(ours[0])}."
                caption += _on_other_terms(ours)
            else:
                caption = f"{where}. Published values only: nothing of ours was measured on these data."
            title = f"{curves.metric(key).label}, {_dataset(dataset)}"
            limits = _limits(theirs)
            figure = figures.rate_distortion(ours, key, theirs, title, limits=limits, style=style)
            plots.append(page.plot(figure, name, f"{title}, as published: numbers in the tables.", caption))
            if on not in covered:
                body.append(page.table(comparison.curve_table(theirs, key, results), name))
        if body or plots:
            parts.append(f"<h3>{html.escape(_paper(paper))}</h3>")
            parts.append(f'<div class="plots">{"".join(plots)}</div>' if plots else "")
            parts += body
    return "\n".join(parts)


def _pictures(page, folders, slug):
    """Picture strips as HTML; also written as PNG and SVG."""
    parts = []
    for folder in folders:
        strip = strips.load(folder)
        figures.save(strips.figure(strip), page.folder / "figures" / f"{slug}_{strip.name}")
        parts.append(_strip(strip))
    return "\n".join(parts)


def _strip(strip):
    at = f" at about {strip.target_bpp:g} bpp" if strip.target_bpp is not None else ""
    name = html.escape(strip.name)
    parts = [
        f"<h3>{name}{at}</h3>",
        f'<figure class="located"><img src="{_jpeg(strips.located(strip))}" alt="The whole image {name}, a frame '
        'around the detail shown below."><figcaption>The framed detail is where the image has most structure. Below, '
        "each codec’s result and, under it, its error; the numbers are those of the whole image.</figcaption></figure>",
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
        shown = [f'<img src="{_png(panel.image)}" alt="Detail, {label}: {numbers}">']
        if panel.error is not None:
            error = _png(strips.error_image(panel.error, strip.error_end))
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


def _provenance(loaded):
    parts = ["<p>Each results file, what made it, and the programs that were used.</p>"]
    for result, path in loaded:
        meta = result.meta
        versions = meta.get("versions") or {}
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries = {
            "Codec": result.description or result.name,
            "Measured on": comparison.measured_on(result),
            "List of images": f"digest {meta['data_digest']}" if meta.get("data_digest") else "digest not recorded",
            "Command": meta.get("command"),
            "Settings": _listed(meta.get("settings")),
            "Versions": _listed(versions),
            "Revision": meta.get("revision") or meta.get("git_revision"),
            "File": f"{path.name}, SHA-256 {digest[:16]}",
        }
        rows = [f"<dt>{k}</dt><dd>{_code(k, v)}</dd>" for k, v in entries.items() if v]
        parts.append(f'<h3>{html.escape(result.name)}</h3><dl class="record">{"".join(rows)}</dl>')
    if not loaded:
        parts.append("<p>No results file was given.</p>")
    return "\n".join(parts)


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


def _table(data):
    """The `tables.Table` that `dataclasses.asdict` made this of."""
    rows = ((row["labels"], tuple(tables.Cell(**cell) for cell in row["cells"])) for row in data["rows"])
    return tables.Table(**{**data, "rows": tuple(tables.Row(*row) for row in rows)})


def _picture_folders(beside, given):
    """Folders of single images that hold an x.png."""
    roots = beside if given is None else [Path(given)]
    return [f for root in roots if root.is_dir() for f in sorted(root.iterdir()) if (f / "x.png").is_file()]


def _slug(text):
    """A text as part of a file's name or of an address within the page."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower())


def _columns(result):
    """The columns of a result: those of its images, or of its means where it has none."""
    return {k for i in result.images for k in i.points} if result.images else set(result.results)


def _values(table):
    return [[(c.value, c.shown_count) for c in row.cells] for row in table.rows]


def _limits(theirs):
    rates = [rate for r in theirs for rate in r.results["bpp"] if rate > 0]
    return min(rates) / 1.1, max(rates) * 1.1


def _images(each):
    counts = sorted({len(r.images) for r in each.results if r.images})
    if not counts:
        return "means only"
    return (
        f"{counts[-1]} image{'s' if counts[-1] > 1 else ''}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]} images"
    )


def _dataset(name):
    return DATASETS.get(name, name)


def _protocol(name):
    return _PROTOCOLS.get(name, f"protocol {name}")


def _paper(name):
    return _PAPERS.get(name, name)


def _listed(entries):
    return ", ".join(f"{k} {v}" for k, v in sorted(entries.items())) if isinstance(entries, dict) else entries


def _code(name, value):
    text = html.escape(str(value))
    return f"<code>{text}</code>" if name == "Command" else text


def _png(image):
    """Pixels as a data URI, without loss."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _jpeg(image, width=1000):
    """A picture for orientation, not for judging, as a data URI."""
    picture = Image.fromarray(image)
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.LANCZOS)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _define_flags():
    flags.DEFINE_list("results", None, "Results files (JSON), comma-separated; * and ? stand for any letters.")
    flags.DEFINE_string("out", "runs/report/report.html", "The page to write; figures and tables go beside it.")
    flags.DEFINE_bool("published", True, "Show the papers' numbers and curves beside ours.")
    flags.DEFINE_string(
        "pictures", None, "Folder of pictures; by default the folder pictures beside each results file."
    )
    flags.DEFINE_list("figures", [], "Folders that commands of figures wrote, shown in a section each.")
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
            title=values.title,
            figure_folders=values.figures,
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(out)


if __name__ == "__main__":
    _define_flags()
    app.run(_main)
