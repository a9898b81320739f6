"""The report: complete, self-contained, and whole in a real browser."""

import base64
import csv
import dataclasses
import html
import html.parser
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from eval import published_numbers, rd_results, report, tables
from eval.rd_results import ImagePoints, RDResult
from eval.tables import Cell, Row, Table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RATES = [0.019, 0.04, 0.09, 0.21]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="2000pt" height="9pt"/>'  # wider than any page


def save_result(folder, method, name, lift=0.0, rates=tuple(RATES), **meta):
    """Writes a result on two images and returns the path."""
    points = {
        "bpp": list(rates),
        "psnr-rgb": [30 + lift + 4 * np.log2(r) for r in rates],
        "ms-ssim-rgb": [1 - 0.02 / r**0.5 - 0.001 * lift for r in rates],
        "ms-ssim-dsin": [1 - 0.01 / r**0.5 for r in rates],
    }
    meta = {
        "method": method,
        "dataset": "kitti_stereo",
        "split": "test",
        "protocol": "ndic",
        "rate": "file",
        "data_digest": "5f2b90",
        "versions": {"pillow": "13.0.0"},
        "command": f"python -m experiments.anchors --codecs={method} <&>",
        **meta,
    }
    images = [ImagePoints(n, 128, 256, points, {"floor_bpp": rates[0]}) for n in ("one", "two")]
    path = folder / f"{method}.json"
    means = {**points, "images": [2] * len(rates)}
    rd_results.save(RDResult(name, f"{name}, as set", meta, means, images), path)
    return path


def write_figure(folder, stem, picture=".svg"):
    """Writes a figure with its table as commands of figures do, and returns the table."""
    cells = (Cell(1.43, 2, 3, signed=True), Cell(None, note="measure <it>"))
    table = Table(
        f"Gains of {stem} & more", ("codec", ""), ("0.02", "0.04"), (Row(("A", "ours"), cells),), "Compare gains."
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps({"metric": "psnr-rgb", "table": dataclasses.asdict(table)}))
    (folder / f"{stem}.csv").write_text(tables.to_csv(table))
    if picture == ".svg":
        (folder / f"{stem}.svg").write_bytes(SVG)
    if picture:
        Image.new("RGB", (4, 4)).save(folder / f"{stem}.png")
    return table


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with two codecs' results on KITTI, one on Street, pictures of one image, and the report of them."""
    root = tmp_path_factory.mktemp("site")
    kitti, street = root / "kitti", root / "street"
    paths = [
        save_result(kitti, "jpeg2000", "JPEG 2000 <9/7>"),
        save_result(kitti, "bpg", "BPG", 1.0, RATES[1:] + [0.5]),
        save_result(street, "bpg", "BPG", 8.0, dataset="street", protocol="native", data_digest="77"),
    ]
    picture = kitti / "pictures" / "an_image_with_a_name_too_long_to_fit_on_one_line_of_a_telephone_000010"
    picture.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 240, (128, 256, 3), dtype=np.uint8)
    for name, off in (("x", 0), ("y", 3), ("jpeg2000", 9)):
        Image.fromarray(noise + np.uint8(off)).save(picture / f"{name}.png")
    about = {"label": "JPEG 2000", "bpp": 0.0397, "psnr-rgb": 29.05, "ms-ssim-rgb": 0.91, "target_bpp": 0.04}
    (picture / "jpeg2000.json").write_text(json.dumps(about))
    (picture / "bpg.json").write_text(json.dumps({"label": "BPG", "missing": "floor above 0.04 bpp"}))
    overview = Table("Verdicts", ("paper",), ("verdict",), (Row(("DSIN",), (Cell("same sign"),)),))
    write_figure(root / "drawn", "wide")
    report.build(paths, root / "out" / "report.html", extra_tables=[overview], figure_folders=[root / "drawn"])
    return root / "out"


class Page(html.parser.HTMLParser):
    """All tags with their attributes, ids, and the text; complains of what is not closed."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(site):
    return Page(site / "report.html")


def test_the_page_needs_no_other_file(page):
    used = [a[key] for _, a in page.tags for key in ("src", "href", "srcset", "data", "action") if key in a]
    assert all(u.startswith(("data:", "#")) for u in used)
    assert not page.all("script")
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_every_link_within_the_page_has_its_end(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)


def test_the_page_can_be_read_aloud(page):
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("img")
    assert all(a["alt"].strip() for a in page.all("img"))
    assert all(a["scope"] in ("col", "row", "rowgroup") for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_names_and_commands_are_shown_as_they_are(page):
    assert "JPEG 2000 <9/7>" in page.text
    assert "--codecs=bpg <&>" in page.text


def test_data_of_different_kinds_have_sections_of_their_own(page):
    assert [a["id"] for a in page.all("h2")] == [
        "how-to-read",
        "overview",
        "kitti_stereo_test_ndic",
        "street_test_native",
        "figures_drawn",
        "published",
        "provenance",
    ]


def test_matching_published_curves_are_drawn_and_others_are_explained(page):
    assert "Dashed: as published by NDIC" in page.text
    assert "No curve was published for this data set and protocol" in page.text  # Street


def test_a_method_that_several_papers_drew_is_shown_once_in_a_plot():
    known = published_numbers.curves()
    meta = {"dataset": "kitti_stereo", "protocol": "ndic"}
    for key in ("psnr-rgb", "ms-ssim-rgb"):
        methods = [p.meta["method"] for p in report.matching(known, meta, key)]
        assert len(methods) == len(set(methods)) > 5
    assert report.matching(known, {"dataset": "street", "protocol": "ndic"}, "psnr-rgb") == []


def test_images_prepared_as_ndic_does_are_beside_its_curves():
    known = published_numbers.curves()
    small, stereo = {"dataset": "kitti_small", "protocol": "native"}, {"dataset": "kitti_stereo", "protocol": "ndic"}
    assert report.matching(known, small, "psnr-rgb") == report.matching(known, stereo, "psnr-rgb") != []
    assert report.matching(known, {**small, "protocol": "dsin"}, "psnr-rgb") == []


def test_every_published_table_is_there(page):
    titles = [table.title for table in published_numbers.tables()]
    assert titles
    assert all(title in page.text for title in titles)


def test_pictures_print_their_numbers_and_say_what_is_missing(page):
    assert "0.0397 bpp, 29.05 dB, MS-SSIM 0.9100" in page.text
    assert "floor above 0.04 bpp" in page.text
    assert "grey levels of 255" in page.text


def test_provenance_names_digest_versions_and_command(page):
    assert "digest 5f2b90" in page.text
    assert "pillow 13.0.0" in page.text
    assert "kitti_stereo test, protocol ndic, 2 images, bpp of the whole file" in page.text


def test_figures_and_tables_are_written_beside_the_page(site):
    stems = {p.stem for p in (site / "figures").iterdir()}
    assert {"kitti_stereo_test_ndic_psnr-rgb", "street_test_native_ms-ssim-rgb"} <= stems
    assert all((site / "figures" / f"{s}{e}").is_file() for s in stems for e in (".png", ".svg"))
    assert (site / "tables" / "kitti_stereo_test_ndic_1.md").is_file()
    rows = list(csv.DictReader((site / "tables" / "kitti_stereo_test_ndic_points.csv").open()))
    assert [r["bpp"] for r in rows[:2]] == ["0.0190", "0.0400"]


def test_the_same_input_gives_the_same_page(site, tmp_path):
    paths = [site.parent / "street" / "bpg.json"]
    pages = [report.build(paths, tmp_path / n / "report.html", published=False).read_bytes() for n in "ab"]
    assert pages[0] == pages[1]


def test_tables_of_a_group_are_those_of_the_page(site):
    loaded = [(rd_results.load(p), p) for p in sorted((site.parent / "kitti").glob("*.json"))]
    (group,) = report.group(loaded)
    titles = [t.title for t in report.tables_of(group)]
    assert titles[0] == "Codecs and the lowest rates they reach"
    assert "PSNR (dB) at equal rate, same images in every row" not in titles  # both codecs reach the same images
    assert "Bjøntegaard differences in PSNR" in titles
    own = report.tables_of(group)[1]
    assert own.columns == ("0.02", "0.04", "0.06", "0.08", "0.10", "0.20", "0.40")
    assert [c.text for c in own.rows[0].cells[:2]] == ["–", "12.42" if own.rows[0].labels == ("BPG",) else "11.42"]


def test_no_results_give_a_page_of_published_numbers(tmp_path):
    page = Page(report.build([], tmp_path / "report.html"))
    assert "No results file was given" in page.text
    assert "Published values only" in page.text


def test_folders_of_figures_are_sections_with_tables_and_pictures(tmp_path):
    first, second = tmp_path / "Wang 2022", tmp_path / "more" / "Wang 2022"
    shown = [write_figure(first, "b_0.08"), write_figure(first, "a"), write_figure(second, "c", ".png")]
    path = report.build([], tmp_path / "report.html", published=False, figure_folders=[first, second])
    page = Page(path)
    assert [a["id"] for a in page.all("h2")] == [
        "how-to-read",
        "figures_wang_2022",
        "figures_wang_2022_2",
        "provenance",
    ]
    assert page.text.count("Figures: Wang 2022") == 4  # two headings, and the contents
    text = path.read_text(encoding="utf-8")
    assert all(tables.to_html(table) in text for table in shown)
    assert text.index("Gains of a ") < text.index("Gains of b_0.08 ") < text.index("Gains of c ")
    pictures = page.all("img")
    assert [p["src"] for p in pictures[:2]] == ["data:image/svg+xml;base64," + base64.b64encode(SVG).decode()] * 2
    png = base64.b64encode((second / "c.png").read_bytes()).decode()
    assert pictures[2]["src"] == "data:image/png;base64," + png
    assert pictures[0]["alt"] == "Gains of a & more: numbers in the table."


def test_folders_without_whole_figures_are_named(tmp_path):
    def build(folder):
        report.build([], tmp_path / "report.html", published=False, figure_folders=[folder])

    with pytest.raises(report.FigureError, match="empty: holds no figure. Name the --out"):
        build(tmp_path / "empty")
    write_figure(tmp_path / "bare", "a", None)
    with pytest.raises(report.FigureError, match=r"a\.json: has no picture of its name"):
        build(tmp_path / "bare")
    (tmp_path / "old").mkdir()
    for content in ('{"metric": 1}', "{", '{"table": {"title": "t"}}', "[]"):
        (tmp_path / "old" / "b.json").write_text(content)
        with pytest.raises(report.FigureError, match=r"b\.json: holds no table of a figure"):
            build(tmp_path / "old")
    assert not (tmp_path / "report.html").exists()


def test_a_broken_results_file_is_named(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(rd_results.ResultError, match=r"bad\.json"):
        report.build([tmp_path / "bad.json"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_command_writes_the_page_and_names_a_bad_file(site, tmp_path):
    def run(*args):
        command = [sys.executable, "-m", "eval.report", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=report._TEMPLATE.parents[1])

    out = tmp_path / "page.html"
    table = write_figure(tmp_path / "drawn", "a")
    done = run(
        f"--results={site.parent}/street/*.json", f"--figures={tmp_path / 'drawn'}", f"--out={out}", "--nopublished"
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(out))
    assert table.title in Page(out).text
    failed = run(f"--results={tmp_path}/nothing.json", f"--out={out}")
    assert failed.returncode == 1
    assert re.fullmatch(r"error: .*nothing\.json.*\n", failed.stderr)


# The page is opened in a frame, which can be as narrow as a telephone, and tells the outer page what it finds.
PROBE = """
<script>
addEventListener("load", () => {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(
    (e) => !e.closest(".scroll") && e.getBoundingClientRect().right > width + 0.5);
  parent.postMessage({
    width,
    pictures: document.images.length,
    broken: [...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.alt),
    requests: performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - width,
    wide: wide.map((e) => e.outerHTML.slice(0, 120)),
  }, "*");
});
</script>
"""
OUTER = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><pre></pre><script>
addEventListener("message", (e) => { document.querySelector("pre").textContent = JSON.stringify(e.data); });
</script><iframe src="page.html" style="border: 0; width: %dpx; height: 900px"></iframe>
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is checked as text only")
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser_every_picture_loads_and_nothing_overflows(site, page, tmp_path, width):
    text = (site / "report.html").read_text(encoding="utf-8")
    probed = text.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    assert probed != text
    (tmp_path / "page.html").write_text(probed.replace("</head>", PROBE + "</head>"), encoding="utf-8")
    (tmp_path / "outer.html").write_text(OUTER % width, encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1300,900",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
        (tmp_path / "outer.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = re.search(r"<pre>(.+?)</pre>", done.stdout)
    assert said, done.stderr[-2000:]
    found = json.loads(html.unescape(said[1]))
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert found == {
        "width": width,
        "pictures": len(page.all("img")),
        "broken": [],
        "requests": [],
        "overflow": 0,
        "wide": [],
    }


def test_rates_of_the_report_hold_those_of_the_papers():
    assert set(tables.RATES) <= set(report.RATES)
