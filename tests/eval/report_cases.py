"""Results, figures and claims made by hand for tests of the report, and a reader of its page."""

import dataclasses
import html.parser
import json

import numpy as np
from PIL import Image

from eval import claims, evidence, rd_results, tables
from eval.rd_results import ImagePoints, RDResult
from eval.tables import Cell, Row, Table

RATES = [0.019, 0.04, 0.09, 0.21]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="2000pt" height="9pt"/>'  # wider than any page


def result(method, name, lift=0.0, rates=tuple(RATES), **meta):
    """A result on two images."""
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
    return RDResult(name, f"{name}, as set", meta, {**points, "images": [2] * len(rates)}, images)


def save_result(folder, method, name, *args, **meta):
    """Writes a result on two images and returns the path."""
    path = folder / f"{method}.json"
    rd_results.save(result(method, name, *args, **meta), path)
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


def write_y_check(path):
    """Writes numbers of single images, with which a claim of DSIN is checked: y is worth 4, 4 and 2 dB."""
    images = [{"image": f"i{at}", "psnr-rgb": {"true": 24.0 + at, "wrong": 20.0 + at**2}} for at in range(3)]
    about = {"model": "dsin", "dataset": "kitti_small", "split": "test", "protocol": "native"}
    path.write_text(json.dumps({"models": [{**about, "settings": {"steps": 7}, "images": images}]}))
    return path


def checked(verdict="reproduced", commands=(), missing="", explanation="", **about):
    """A `claims.Checked` of a claim that is measured as +2 dB, unless nothing is."""
    published = claims.Published("+3 <dB>", 3.0, unit="dB")
    claim = claims.Claim(
        **{"id": "c", "paper": "dsin", "statement": "A <is> better.", "source": "Fig. 1", **about},
        published=published,
        better="positive",
    )
    told = {"explanation": explanation, "commands": commands}
    if verdict == "not measured":
        return claims.Checked(claim, verdict, missing=missing, **told)
    return claims.Checked(claim, verdict, 2.0, 1.0, 3.0, "34", "kitti_small test", "9", **told)


def nothing_measured():
    """All claims, checked with nothing."""
    return claims.check_with(evidence.Evidence())


class Page(html.parser.HTMLParser):
    """All tags with their attributes and what they stand in, and the text; complains of what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.folded, self.sections = [], "", "", {}
        self._open, self._section = [], ""
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self._section = dict(attrs)["id"]
            self.sections[self._section] = ""
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "details" in self._open and "summary" not in self._open:
            self.folded += data
        if "section" in self._open and self._section:
            self.sections[self._section] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]
