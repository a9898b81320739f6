"""The report: complete, in order, self-contained, and whole in a real browser."""

import csv
import html
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from eval import claims, figures, published_numbers, rd_results, report, report_page
from tests.eval.report_cases import RATES, Page, save_result, write_figure, write_y_check

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module", autouse=True)
def _quick_png():
    """Pages hold no PNG of a plot, and drawing them takes most of the time; the command draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "to_png", lambda figure: b"PNG")
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Reports of results on KITTI, among them DSIN and an ablation, one on Street, pictures of one image, figures."""
    root = tmp_path_factory.mktemp("site")
    kitti, street = root / "kitti", root / "street"
    paths = [
        save_result(kitti, "jpeg2000", "JPEG 2000 <9/7>"),
        save_result(kitti, "bpg", "BPG", 1.0, RATES[1:] + [0.5]),
        save_result(kitti, "dsin", "DSIN", 3.0),
        save_result(kitti, "dsin-no_si", "DSIN without y", 2.0),
        save_result(street, "bpg", "BPG", 8.0, dataset="street", protocol="native", data_digest="77"),
        write_y_check(root / "y_check.json"),
    ]
    picture = kitti / "pictures" / "an_image_with_a_name_too_long_to_fit_on_one_line_of_a_telephone_000010"
    picture.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 240, (128, 256, 3), dtype=np.uint8)
    for name, off in (("x", 0), ("y", 3), ("jpeg2000", 9)):
        Image.fromarray(noise + np.uint8(off)).save(picture / f"{name}.png")
    about = {"label": "JPEG 2000", "bpp": 0.0397, "psnr-rgb": 29.05, "ms-ssim-rgb": 0.91, "target_bpp": 0.04}
    (picture / "jpeg2000.json").write_text(json.dumps(about))
    (picture / "bpg.json").write_text(json.dumps({"label": "BPG", "missing": "floor above 0.04 bpp"}))
    for folder, stem in (("drawn", "wide"), ("dsin_figures", "fig5_kitti"), ("dsin_figures", "match")):
        write_figure(root / folder, stem)
    report.build(paths, root / "out" / "report.html", figure_folders=[root / "drawn", root / "dsin_figures"])
    return root / "out"


@pytest.fixture(scope="module")
def page(site):
    return Page((site / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def anchors(site, tmp_path_factory):
    """The page of a classical codec alone."""
    out = tmp_path_factory.mktemp("anchors") / "report.html"
    report.build([site.parent / "street" / "bpg.json"], out)
    return Page(out.read_text(encoding="utf-8"))


def test_the_page_needs_no_other_file(page):
    used = [a[key] for _, a in page.tags for key in ("src", "href", "srcset", "data", "action") if key in a]
    assert all(u.startswith(("data:", "#")) for u in used)
    assert not page.all("script")
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_every_link_within_the_page_has_its_end(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} == set(ids)


def test_the_page_can_be_read_aloud(page):
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("img")
    assert all(a["alt"].strip() for a in page.all("img"))
    assert all(a["scope"] in ("col", "row", "rowgroup") for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("summary")) == len(page.all("details"))


def test_names_and_commands_are_shown_as_they_are(page):
    assert "JPEG 2000 <9/7>" in page.text
    assert "--codecs=bpg <&>" in page.text


def test_sections_stand_in_order_papers_first(page):
    assert list(page.sections) == [
        "how-to-read",
        "overview",
        *(f"paper_{paper}" for paper in claims.PAPERS),
        "kitti_stereo_test_ndic",
        "street_test_native",
        "figures_drawn",
        "baselines",
        "provenance",
    ]


def test_every_claim_stands_in_the_section_of_its_paper(page):
    for claim in claims.load():
        found = {s for s in page.sections if s.startswith("paper_") and claim.statement in page.sections[s]}
        assert found == {f"paper_{each.paper}" for each in claims.load() if each.statement == claim.statement}
        assert (claim.statement in page.sections["overview"]) == claim.headline


def test_claims_are_checked_with_what_the_page_shows(page):
    assert "Checked with what is on this page" in page.sections["overview"]
    assert "+3.33 dB [+2.00, +4.00]" in page.sections["paper_dsin"]  # of y_check.json
    assert "kitti_small test; 3 images; 7 steps" in page.sections["paper_dsin"]
    assert "y_check.json, SHA-256" in page.sections["provenance"]
    assert "y_check" not in page.sections["overview"]


def test_every_verdict_is_a_word_and_is_explained(page):
    for verdict in claims.VERDICTS:
        assert verdict in page.sections["how-to-read"]
    counts = re.findall(rf"(\d+) ({'|'.join(claims.VERDICTS)})", page.sections["overview"])
    assert sum(int(count) for count, _ in counts) == len(claims.load())
    assert f"{len(claims.load())} claims: " in page.text


def test_papers_have_their_tables_curves_ablations_and_figures(page):
    dsin = page.sections["paper_dsin"]
    for part in ("Claims", "Ablations", "Figures", "PSNR (dB) at equal rate, same images in every row"):
        assert part in dsin
    order = [dsin.index(text) for text in ("Fig. 5", "Gains of fig5_kitti & more", "Others", "Gains of match & more")]
    assert order == sorted(order)
    assert "Published and measured: NDIC (Mital et al., 2022)" in page.sections["paper_ndic"]
    assert "Gains of wide & more" in page.sections["figures_drawn"]
    assert "Li et al." in page.sections["baselines"]


def test_every_published_table_is_there(page):
    titles = [table.title for table in published_numbers.tables()]
    assert titles
    assert all(title in page.text for title in titles)


def test_matching_published_curves_are_drawn_and_others_are_explained(page):
    assert "Dashed: as published by NDIC" in page.sections["kitti_stereo_test_ndic"]
    assert "No curve was published for this data set and protocol" in page.sections["street_test_native"]


def test_what_few_people_need_is_folded(page):
    assert "MS-SSIM (DSIN) at equal rate" in page.folded
    assert "Codecs and the lowest rates they reach" in page.folded
    assert "--codecs=bpg <&>" in page.folded
    assert "PSNR (dB) at equal rate" not in page.folded.replace("PSNR (dB) at equal rate, same", "")
    assert not any("open" in a for a in page.all("details"))


def test_a_page_of_a_classical_codec_alone_is_short(anchors, page):
    assert list(anchors.sections) == [s for s in page.sections if s not in ("kitti_stereo_test_ndic", "figures_drawn")]
    for paper in claims.PAPERS:
        count = sum(claim.paper == paper for claim in claims.load())
        assert f"{count} not measured here: which, and what is missing" in anchors.text
        assert "Published and measured" not in anchors.sections[f"paper_{paper}"]
    absent = [claim.statement for claim in claims.load() if not claim.headline]
    assert all(statement in anchors.folded for statement in absent)
    assert all(table.title in anchors.folded for table in published_numbers.tables())
    assert f"{len(claims.load())} claims" not in anchors.text  # no bar of nothing but grey


def test_numbers_alone_make_a_page_of_claims(site, tmp_path, monkeypatch):
    monkeypatch.setattr(published_numbers, "curves", lambda *args: [])
    text = report.build([site.parent / "y_check.json"], tmp_path / "report.html").read_text(encoding="utf-8")
    made = Page(text)
    assert "Nothing of ours." in made.text
    assert "+3.33 dB" in made.sections["paper_dsin"]
    assert "y_check.json" in made.sections["provenance"]


def test_claims_can_be_checked_with_folders_that_are_not_shown(site, tmp_path, monkeypatch):
    monkeypatch.setattr(published_numbers, "curves", lambda *args: [])
    (tmp_path / "kept").mkdir()
    write_y_check(tmp_path / "kept" / "y_check.json")
    out = report.build([], tmp_path / "report.html", claim_folders=[tmp_path / "kept"])
    made = Page(out.read_text(encoding="utf-8"))
    assert f"Checked with what lies in {tmp_path / 'kept'};" in made.text
    assert "+3.33 dB" in made.sections["paper_dsin"]
    assert "No results file was given" in made.sections["provenance"]
    rows = json.loads((tmp_path / "tables" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert [row["verdict"] for row in rows if row["id"] == "dsin_right_y"] == ["reproduced"]


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
    assert "ablations_dsin_kitti_stereo_test_ndic_psnr-rgb" in stems
    assert all((site / "figures" / f"{s}{e}").is_file() for s in stems for e in (".png", ".svg"))
    assert (site / "tables" / "kitti_stereo_test_ndic_1.md").is_file()
    assert (site / "tables" / "claims_dsin.csv").is_file()
    rows = list(csv.DictReader((site / "tables" / "kitti_stereo_test_ndic_points.csv").open()))
    assert [r["bpp"] for r in rows[:2]] == ["0.0190", "0.0400"]


def test_without_the_papers_there_are_measurements_alone(site, tmp_path):
    paths = [site.parent / "street" / "bpg.json"]
    pages = [report.build(paths, tmp_path / n / "report.html", published=False).read_bytes() for n in "ab"]
    assert pages[0] == pages[1]  # and the same input gives the same page
    made = Page(pages[0].decode())
    assert list(made.sections) == ["how-to-read", "street_test_native", "provenance"]
    assert not any("reproduced" in text for text in made.sections.values())


def test_folders_of_figures_are_sections_with_tables_and_pictures(tmp_path):
    first, second = tmp_path / "Wang 2022", tmp_path / "more" / "Wang 2022"
    shown = [write_figure(first, "b_0.08"), write_figure(first, "a"), write_figure(second, "c", ".png")]
    path = report.build([], tmp_path / "report.html", published=False, figure_folders=[first, second])
    made = Page(path.read_text(encoding="utf-8"))
    assert list(made.sections) == ["how-to-read", "figures_wang_2022", "figures_wang_2022_2", "provenance"]
    assert made.text.count("Figures: Wang 2022") == 4  # two headings, and the contents
    order = [made.text.index(table.title) for table in (shown[1], shown[0], shown[2])]
    assert order == sorted(order)


def test_bad_files_are_named_and_no_page_is_written(tmp_path):
    for content, message in (("{", r"bad\.json: cannot be read"), ('{"models": [], "results": {}}', r"bad\.json")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(rd_results.ResultError, match=message):
            report.build([tmp_path / "bad.json"], tmp_path / "report.html")
    (tmp_path / "bad.json").write_text('{"lost": 1}')
    with pytest.raises(rd_results.ResultError, match=r"bad\.json: lacks the key 'name'"):
        report.build([tmp_path / "bad.json"], tmp_path / "report.html")
    with pytest.raises(ValueError, match="nowhere: is no folder"):
        report.build([], tmp_path / "report.html", claim_folders=[tmp_path / "nowhere"])
    assert not (tmp_path / "report.html").exists()


def test_the_command_writes_the_page_and_names_a_bad_file(site, tmp_path):
    def run(*args):
        command = [sys.executable, "-m", "eval.report", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=report_page.TEMPLATE.parents[1])

    out = tmp_path / "page.html"
    table = write_figure(tmp_path / "drawn", "a")
    done = run(
        f"--results={site.parent}/street/*.json", f"--figures={tmp_path / 'drawn'}", f"--out={out}", "--nopublished"
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(out))
    assert table.title in Page(out.read_text(encoding="utf-8")).text
    with Image.open(tmp_path / "figures" / "street_test_native_psnr-rgb.png") as plot:
        assert plot.width > 500
    failed = run(f"--results={site.parent}/street/*.json", f"--out={out}", f"--claims={tmp_path}/nothing")
    assert failed.returncode == 1
    assert re.fullmatch(r"error: .*nothing: is no folder.*\n", failed.stderr)


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
@pytest.mark.parametrize(("width", "folds"), [(400, "open"), (700, "open"), (1200, "")])
def test_in_a_browser_every_picture_loads_and_nothing_overflows(site, page, tmp_path, width, folds):
    text = (site / "report.html").read_text(encoding="utf-8").replace("<details>", f"<details {folds}>")
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
