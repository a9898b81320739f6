"""The file in which one method's rate-distortion measurements on one data set are kept.

JSON with CompressAI's keys, so that its plotting tool reads ours, and more:

    {"name": "JPEG 2000", "description": "9/7, MCT, .jp2 file",
     "meta": {"method": "jpeg2000", "dataset": "kitti_stereo", "split": "test", "protocol": "dsin",
              "data_digest": "...", "rate": "file", "versions": {...}, "settings": {...}},
     "results": {"bpp": [...], "psnr-rgb": [...], "ms-ssim-rgb": [...], "images": [...]},
     "images": [{"name": "...", "height": 320, "width": 1224,
                 "points": {"bpp": [...], "psnr-rgb": [...], "ms-ssim-rgb": [...], ...}}]}

`results` holds means over images, one entry an operating point; `images` (ours) holds each image's own
points in ascending rate, from which tables and BD-rates are made. `rate` says what bpp counts: "file" (all bytes),
"payload" (range-coded bytes alone) or "estimated" (cross-entropy); rates of different kinds are never compared
without a word.
"""

import dataclasses
import json
import math
from pathlib import Path

from dsin_tf import files

RATES = ("file", "payload", "estimated")
REQUIRED_META = ("method", "dataset", "protocol", "rate")


class ResultError(ValueError):
    """A results file is not what it should be; the message names the file and the entry."""


@dataclasses.dataclass
class ImagePoints:
    """One image's operating points. `points` maps a column ("bpp", "psnr-rgb", ...) to equally long lists,
    sorted by ascending bpp."""

    name: str
    height: int
    width: int
    points: dict[str, list]
    extra: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class RDResult:
    """One method on one data set. See the module's docstring for what each field holds."""

    name: str
    description: str
    meta: dict
    results: dict[str, list]
    images: list[ImagePoints] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        missing = [key for key in REQUIRED_META if key not in self.meta]
        if missing:
            raise ResultError(
                f"{self.name}: meta lacks {', '.join(missing)}; every result says what it was measured on."
            )
        if self.meta["rate"] not in RATES:
            raise ResultError(f"{self.name}: meta.rate is {self.meta['rate']!r}, one of {RATES} was expected.")
        _check_columns(f"{self.name}: results", self.results)
        for image in self.images:
            _check_columns(f"{self.name}: image {image.name}", image.points)
            rates = image.points["bpp"]
            if any(a > b for a, b in zip(rates, rates[1:])):
                raise ResultError(f"{self.name}: image {image.name}: bpp {rates} does not ascend.")


def save(result, path):
    """Writes an RDResult as JSON, wholly or not at all."""
    document = {
        "name": result.name,
        "description": result.description,
        "meta": result.meta,
        "results": result.results,
        "images": [
            {"name": i.name, "height": i.height, "width": i.width, "points": i.points, **i.extra} for i in result.images
        ],
    }
    files.write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def load(path):
    """Reads a results file, CompressAI's own included (those have no `images`).

    Raises:
      ResultError: not JSON, a key is missing, or columns differ in length.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        images = [
            ImagePoints(i.pop("name"), i.pop("height"), i.pop("width"), i.pop("points"), extra=i)
            for i in document.get("images", [])
        ]
        return RDResult(
            document["name"], document.get("description", ""), document.get("meta", {}), document["results"], images
        )
    except (OSError, json.JSONDecodeError) as error:
        raise ResultError(f"{path}: cannot be read as a results file ({error}).") from error
    except KeyError as error:
        raise ResultError(f"{path}: lacks the key {error}; see eval/rd_results.py for the format.") from error


def _check_columns(where, columns):
    """Every column has as many entries as "bpp", and every number is finite."""
    if "bpp" not in columns:
        raise ResultError(f"{where}: has no column 'bpp' (columns: {', '.join(columns) or 'none'}).")
    for key, values in columns.items():
        if len(values) != len(columns["bpp"]):
            raise ResultError(f"{where}: {key!r} has {len(values)} entries, 'bpp' has {len(columns['bpp'])}.")
        bad = [v for v in values if isinstance(v, float) and not math.isfinite(v)]
        if bad:
            raise ResultError(f"{where}: {key!r} holds {bad[0]}, finite numbers were expected.")
