"""Picture strips: one detail of x, y and each codec's result at equal rate, with maps of the error.

A strip is read from a folder that holds `x.png`, `y.png` where there is side information, and for each codec
`<method>.png` with `<method>.json` ({"label", "bpp", "psnr-rgb", "ms-ssim-rgb", "target_bpp"}), or the JSON alone with
{"label", "missing": reason} where the codec cannot reach the rate.
"""

import dataclasses
import json
import textwrap
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from dsin_tf import images
from eval import figures

ERROR_MAP = "magma_r"  # light where there is no error: kind to a printer, and its greys rise evenly
ERROR_UNIT = "mean absolute error of R, G and B (grey levels of 255)"


class StripError(ValueError):
    """A folder of pictures is not what it should be; the message names the file."""


@dataclasses.dataclass(frozen=True)
class Window:
    """A detail of an image: its upper left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image):
        """The detail of an image of the same size as the one it was chosen in."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One picture of a strip. `image` is None where the codec has none; then `numbers` is the reason.

    `error` is float [h, w], grey levels, or None (x itself, y, a missing picture). `about` is what the codec's JSON
    says of the picture, empty where there is none.
    """

    key: str
    label: str
    numbers: str
    image: Optional[np.ndarray]
    error: Optional[np.ndarray]
    about: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Strip:
    """All panels of an image, the window they show, the whole x, and the end of the error maps' common scale."""

    name: str
    x: np.ndarray
    window: Window
    panels: tuple
    error_end: float
    target_bpp: Optional[float]


def choose_window(image, height=None, width=None):
    """The detail of an image that holds most structure.

    Structure is what has an edge in one direction: √λ₁ − √λ₂ of the structure tensor, so that a car or a sign wins
    over leaves, where every codec fails alike, and over an empty sky. Its root is taken, so that many edges win over
    one strong edge.

    Args:
      image: uint8 [H, W, 3].
      height: of the window; by default half the image's, at most 128.
      width: by default half as much again as the height. Neither is larger than the image.

    Returns:
      A `Window`; the topmost, then leftmost of equals.
    """
    height = min(height or max(min(image.shape[0] // 2, 128), 1), image.shape[0])
    width = min(width or height * 3 // 2, image.shape[1])
    luma = ndimage.gaussian_filter(image.astype(np.float64) @ (0.299, 0.587, 0.114), 1)
    dy, dx = np.gradient(luma) if min(luma.shape) > 1 else (np.zeros_like(luma),) * 2
    yy, xx, xy = (ndimage.gaussian_filter(product, 2) for product in (dy * dy, dx * dx, dx * dy))
    # √λ₁ − √λ₂ squared is λ₁ + λ₂ − 2 √(λ₁ λ₂): trace and determinant are enough.
    determinant = np.maximum(xx * yy - xy * xy, 0)
    structure = np.maximum(xx + yy - 2 * np.sqrt(determinant), 0) ** 0.25
    summed = np.pad(structure, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    top, left = np.unravel_index(np.argmax(np.round(inside, 6)), inside.shape)
    return Window(int(top), int(left), height, width)


def load(folder, window=None, methods=None):
    """Reads a strip.

    Args:
      folder: see the module's docstring.
      window: the `Window` to show; by default the one `choose_window` finds in x.
      methods: the codecs to show; by default all that are there.

    Returns:
      A `Strip`; panels x, y, then the codecs by descending PSNR, then those that are missing, by label.

    Raises:
      StripError: no x.png, a picture of another size than x, a JSON that is broken or lacks its picture.
    """
    folder = Path(folder)
    x = images.read(folder / "x.png")
    window = window or choose_window(x)
    paths = [path for path in sorted(folder.glob("*.json")) if methods is None or path.stem in methods]
    found = [_read(folder, path, x, window) for path in paths]
    found.sort(key=lambda f: (f[0].image is None, -f[1].get("psnr-rgb", 0), f[0].label))
    panels = [Panel("x", "x, to be coded", "24 bpp", window.cut(x), None)]
    if (folder / "y.png").exists():
        y = images.read(folder / "y.png")
        if y.shape == x.shape:  # side information of another size has no such place
            panels.append(Panel("y", "y, side information", "never sent", window.cut(y), None))
    panels += [panel for panel, _ in found]
    # The scale ends where 1 % of the pixels of the worst picture lie beyond; a few outliers would darken all maps.
    errors = [np.percentile(p.error, 99) for p in panels if p.error is not None]
    targets = {d["target_bpp"] for _, d in found if d.get("target_bpp") is not None}
    end = float(np.ceil(max(errors, default=0) / 4) * 4) or 4.0
    return Strip(folder.name, x, window, tuple(panels), end, targets.pop() if len(targets) == 1 else None)


def error_image(error, end):
    """An error map as uint8 [h, w, 3]: `ERROR_MAP` from 0 to `end` grey levels."""
    return (matplotlib.colormaps[ERROR_MAP](np.clip(error / end, 0, 1))[..., :3] * 255).round().astype(np.uint8)


def located(strip):
    """The whole x as uint8 [H, W, 3], all but the window dimmed and the window framed."""
    w, dimmed = strip.window, (strip.x * 0.45 + 255 * 0.35).astype(np.uint8)
    line = max(round(strip.x.shape[1] / 400), 1)
    for grow, colour in ((2 * line, 255), (line, 0)):
        top, left = max(w.top - grow, 0), max(w.left - grow, 0)
        dimmed[top : w.top + w.height + grow, left : w.left + w.width + grow] = colour
    dimmed[w.top : w.top + w.height, w.left : w.left + w.width] = w.cut(strip.x)
    return dimmed


def figure(strip):
    """A strip as a matplotlib `Figure`: where the detail lies, the details, below them their error maps and scale."""
    columns = len(strip.panels)
    shape = strip.window.height / strip.window.width
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False, "font.size": 8}):
        width = 1.75 * columns
        whole = min(width, 7) * strip.x.shape[0] / strip.x.shape[1]
        heights = (whole + 0.35, 2 * 1.75 * shape + 1.2)
        drawn = Figure(figsize=(width, sum(heights)), layout="constrained")
        top, details = drawn.subfigures(2, 1, height_ratios=heights)
        axes = top.subplots()
        axes.imshow(strip.x)
        w = strip.window
        for colour, line in (("white", 3), ("black", 1.2)):
            axes.add_patch(Rectangle((w.left, w.top), w.width, w.height, fill=False, edgecolor=colour, lw=line))
        axes.set_title(f"{strip.name}: the frame is what is shown below", loc="left", fontsize=9)
        grid = details.subplots(2, columns, squeeze=False)
        for panel, (upper, lower) in zip(strip.panels, grid.T):
            upper.set_title(textwrap.fill(panel.label, 24), fontsize=8, fontweight="bold")
            if panel.image is None:
                upper.text(0.5, 0.5, textwrap.fill(panel.numbers, 20), ha="center", va="center")
                upper.set_box_aspect(shape)
                upper.set_facecolor("#eeeeee")
            else:
                upper.imshow(panel.image, interpolation="nearest")
                upper.set_xlabel(textwrap.fill(panel.numbers, 24))
            if panel.error is not None:
                shown = lower.imshow(panel.error, cmap=ERROR_MAP, vmin=0, vmax=strip.error_end, interpolation="nearest")
            else:
                lower.set_visible(False)
        for each in (axes, *grid.flat):
            each.set_xticks([])
            each.set_yticks([])
            each.spines[:].set_visible(False)
        if any(p.error is not None for p in strip.panels):
            bar = details.colorbar(shown, ax=list(grid[1]), location="bottom", shrink=0.6, aspect=40, extend="max")
            bar.set_label(ERROR_UNIT)
    return drawn


def _read(folder, path, x, window):
    """(Panel, the JSON's contents) of one codec."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        label = data.get("label", path.stem)
        if "missing" in data:
            return Panel(path.stem, label, str(data["missing"]), None, None), data
        numbers = f"{data['bpp']:.4f} bpp, {data['psnr-rgb']:.2f} dB"
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StripError(
            f"{path}: cannot be read ({error!r}); an object with label, bpp and psnr-rgb was expected. Make it again."
        ) from error
    if data.get("ms-ssim-rgb") is not None:
        numbers += f", MS-SSIM {data['ms-ssim-rgb']:.4f}"
    image = images.read(path.with_suffix(".png"))
    if image.shape != x.shape:
        raise StripError(f"{path.with_suffix('.png')} is {image.shape[:2]}, x.png {x.shape[:2]}; both must be alike.")
    error = np.abs(window.cut(image).astype(np.float32) - window.cut(x)).mean(axis=-1)
    return Panel(path.stem, label, numbers, window.cut(image), error, data), data
