"""Rate-distortion curves: a metric at a rate, means over images, Bjøntegaard differences.

The rules, the same for every table and figure:

* A value at a rate is read between the two neighbouring measured points of *one image*, linearly in log(bpp),
  and never outside the image's measured range: there it is None, printed as "–".
* A mean is over images, and always comes with the number of images behind it. Codecs that reach different
  images at a rate are compared on the images that all of them reach (`common_means`).
* Bjøntegaard differences come from the `bjontegaard` package with piecewise cubic Hermite interpolation ("pchip",
  which does not overshoot between points) over the range that both curves cover. MS-SSIM enters them in decibels,
  -10 log10(1 - MS-SSIM), because its own axis is nearly flat at the good end.
* A curve need not rise everywhere: a codec may spend more bits for a worse picture. Values at a rate take the points
  as they are; Bjøntegaard differences need curves that can be inverted and take the upper envelope (`envelope`).
* Rates of different kinds (the whole file, the payload, an estimate) are compared only on request, and then the
  result's label says so.
"""

import dataclasses
import statistics
import warnings
from typing import Optional

import numpy as np

METHOD = "pchip"
MIN_POINTS = 4  # as in Bjøntegaard's own definition; fewer points do not fix the shape of a curve
SAMPLES = 65  # of a mean curve between its two ends, equally spaced in log(bpp)


class CurveError(ValueError):
    """Curves cannot be compared as asked; the message says what is missing."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A column of a results file: how it is called, printed and compared."""

    key: str
    label: str
    unit: str = ""
    digits: int = 4
    larger_is_better: bool = True
    decibel: bool = False  # Bjøntegaard differences take -10 log10(1 - value)

    @property
    def title(self):
        """The label with its unit, for an axis or a heading."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS = {
    m.key: m
    for m in (
        Metric("psnr-rgb", "PSNR", "dB", 2),
        Metric("psnr-unclipped", "PSNR of unclipped images", "dB", 2),
        Metric("ms-ssim-rgb", "MS-SSIM", decibel=True),
        Metric("ms-ssim-dsin", "MS-SSIM (DSIN)", decibel=True),
        Metric("psnr-y", "PSNR of luma", "dB", 2),
        Metric("ssim", "SSIM of luma"),
        Metric("cmssim", "CMSSIM (ours)"),
        Metric("mse", "Mean squared error", "", 2, larger_is_better=False),
        Metric("lab-difference", "Colour difference ΔE76", "", 3, larger_is_better=False),
        Metric("lab-difference-00", "Colour difference ΔE00", "", 3, larger_is_better=False),
        Metric("lab-mae", "Mean error of L*, a*, b*", "", 3, larger_is_better=False),
        Metric("rgb-angle", "RGB angle", "degrees", 3, larger_is_better=False),
    )
}


def metric(key):
    """The `Metric` of a column; a column nobody has described is taken as it is, larger being better."""
    return METRICS.get(key) or Metric(key, key)


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over images. `value` is None when no image has the cell; `count` images of `of` are behind it.

    A curve without images of its own (a published one) has neither count.
    """

    value: Optional[float]
    count: Optional[int] = None
    of: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """A Bjøntegaard difference, test against anchor.

    `value` is in `unit`: percent of rate (negative: the test needs less), or the metric's unit at equal rate.
    `low` and `high` bound the range compared: of the metric for a BD-rate, of bpp for a BD-PSNR; for a mean over
    images they are the outermost bounds. `count` of `of` images are behind the value.
    """

    value: float
    unit: str
    count: Optional[int]
    of: Optional[int]
    low: float
    high: float
    label: str


def value_at(rates, values, rate):
    """Reads a curve at one rate.

    Args:
      rates: measured bpp, ascending, greater than zero. Of points at equal rate the last counts.
      values: the metric at each rate; None where it was not measured.
      rate: bpp to read at.

    Returns:
      The metric, linear in log(bpp) between the neighbouring points; None outside the measured range.
    """
    measured = [r for r, v in zip(rates, values) if v is not None]
    if not measured or not measured[0] <= rate <= measured[-1]:
        return None
    return float(_interpolate(rates, values, rate))


def image_values(result, key, rate):
    """{image name: metric at `rate`} for those images of a result that cover the rate."""
    values = {i.name: value_at(i.points["bpp"], i.points.get(key, ()), rate) for i in result.images}
    return {name: value for name, value in values.items() if value is not None}


def mean_at(result, key, rate):
    """The mean at `rate` over every image that covers it.

    Args:
      result: an `RDResult`. Without images (a published curve) its `results` are read as one curve.
      key: column, such as "psnr-rgb".
      rate: bpp.

    Returns:
      A `Mean`.
    """
    if not result.images:
        return Mean(value_at(result.results["bpp"], result.results.get(key, ()), rate))
    return _mean(image_values(result, key, rate).values(), len(result.images))


def common_means(results, key, rate):
    """Means at `rate` over the images that every compared codec covers.

    A codec that covers the rate on no image at all (its coarsest setting costs more) has no mean and does not
    narrow the images of the others.

    Returns:
      A `Mean` for each result, in order; every one that has a value has the same count.
    """
    cells = [image_values(r, key, rate) for r in results]
    shared = set.intersection(*(set(c) for c in cells if c)) if any(cells) else set()
    return [_mean([c[name] for name in sorted(shared)] if c else [], len(r.images)) for r, c in zip(results, cells)]


def mean_curve(result, key, names=None):
    """The mean over images as a curve, where every image counts.

    Args:
      result: an `RDResult`.
      key: column.
      names: the images to use; all of them by default.

    Returns:
      (bpp, metric), two float arrays with ascending bpp from the highest of the images' lowest rates to the
      lowest of their highest. Both are empty when no rate is covered by every image or the column is missing.
      A result without images gives its own `results`.
    """
    if not result.images:
        points = [(r, v) for r, v in zip(result.results["bpp"], result.results.get(key, ())) if v is not None]
        return tuple(np.array(sorted(points), dtype=float).reshape(-1, 2).T)
    images = [i for i in result.images if names is None or i.name in names]
    ranges = [[r for r, v in zip(i.points["bpp"], i.points.get(key, ())) if v is not None] for i in images]
    if not ranges or not all(ranges):
        return np.empty(0), np.empty(0)
    low, high = max(r[0] for r in ranges), min(r[-1] for r in ranges)
    if low > high:
        return np.empty(0), np.empty(0)
    rates = np.geomspace(low, high, SAMPLES) if low < high else np.array([low])
    return rates, np.mean([_interpolate(i.points["bpp"], i.points[key], rates) for i in images], axis=0)


def envelope(rates, values, larger_is_better=True):
    """The points that no other point beats: each costs more than the one before and is strictly better.

    Args:
      rates: bpp, any order.
      values: the metric at each rate; None is left out.
      larger_is_better: False for errors.

    Returns:
      (rates, values), two float arrays, ascending in rate and strictly improving in value.
    """
    sign = 1 if larger_is_better else -1
    points = sorted((r, -sign * v) for r, v in zip(rates, values) if v is not None)
    kept = []
    for rate, cost in points:
        if not kept or cost < kept[-1][1]:
            kept.append((rate, cost))
    rates, costs = np.array(kept, dtype=float).reshape(-1, 2).T
    return rates, -sign * costs


def bd_rate(anchor, test, key="psnr-rgb", per_image=False, mixed_rates=False, min_points=MIN_POINTS):
    """How many percent more rate `test` needs than `anchor` for an equal metric, over the metric's common range.

    Args:
      anchor: an `RDResult`, the reference.
      test: an `RDResult` of the same data.
      key: column that is held equal.
      per_image: average the differences of the images' own curves; otherwise compare the mean curves.
      mixed_rates: allow rates of different kinds; the label then names both.
      min_points: fewest points of a curve that is compared.

    Returns:
      A `Difference` in percent.

    Raises:
      CurveError: other data or another kind of rate, too few points, no common range.
    """
    return _bd(anchor, test, key, "rate", per_image, mixed_rates, min_points)


def bd_psnr(anchor, test, key="psnr-rgb", per_image=False, mixed_rates=False, min_points=MIN_POINTS):
    """How much better `test` is than `anchor` at equal rate, over the common range of rates.

    Arguments and errors are those of `bd_rate`. The difference is in the metric's unit, in dB for MS-SSIM
    (see the module's docstring), and positive when the test's metric is larger.
    """
    return _bd(anchor, test, key, "metric", per_image, mixed_rates, min_points)


def rate_kind(results, mixed_rates=False):
    """What bpp counts in these results: "file", "payload" or "estimated".

    Returns:
      The one kind of all, or with `mixed_rates` every kind in order, joined by " against ".

    Raises:
      CurveError: more than one kind, and that was not asked for.
    """
    kinds = list(dict.fromkeys(r.meta.get("rate", "unknown") for r in results))
    if len(kinds) > 1 and not mixed_rates:
        found = ", ".join(f"{r.name}: {r.meta.get('rate', 'unknown')}" for r in results)
        raise CurveError(
            f"Rates of different kinds ({found}) in one comparison; one kind was expected. "
            "Compare results of one kind, or ask for mixed rates, which the label will then say."
        )
    return " against ".join(kinds)


def require_same_data(results):
    """Checks that results were measured on the same images in the same form.

    Raises:
      CurveError: data set, split, protocol or data digest differ; both values are named.
    """
    for entry in ("dataset", "split", "protocol", "data_digest"):
        values = {r.meta[entry]: r.name for r in results if r.meta.get(entry) is not None}
        if len(values) > 1:
            found = ", ".join(f"{name}: {value!r}" for value, name in values.items())
            raise CurveError(f"Results differ in {entry} ({found}); curves are compared on the same images only.")


def _interpolate(rates, values, at):
    """The curve at rates `at` (a number or an array) that lie inside its measured range."""
    points = {r: v for r, v in zip(rates, values) if v is not None}
    return np.interp(np.log(at), np.log(list(points)), list(points.values()))


def _mean(values, of):
    values = list(values)
    return Mean(statistics.fmean(values) if values else None, len(values), of)


def _bd(anchor, test, key, what, per_image, mixed_rates, min_points):
    kind = rate_kind([anchor, test], mixed_rates)
    require_same_data([anchor, test])
    label = f"{test.name} against {anchor.name}, {metric(key).label}, bpp of {kind}, {METHOD}"
    compare = _bd_of_images if per_image else _bd_of_means
    value, count, of, low, high = compare(anchor, test, metric(key), what, min_points)
    unit = "%" if what == "rate" else "dB" if metric(key).decibel else metric(key).unit
    return Difference(value, unit, count, of, low, high, label)


def _bd_of_means(anchor, test, m, what, min_points):
    """(value, images, images, low, high) of the mean curves, over the images that both results have."""
    names = _shared_names(anchor, test)
    curves = []
    for result in (anchor, test):
        points = _typical_points(result, m, names)
        if points < min_points:
            raise CurveError(
                f"{result.name} has {points:g} points of {m.label} that improve with rate "
                f"(median over images), {min_points} are needed. Measure more operating points."
            )
        rates, values = mean_curve(result, m.key, names)
        if not len(rates):
            raise CurveError(f"{result.name}: no rate is covered by every image. Compare per image instead.")
        curves.append(_curve(rates, values, m))
    count = len(names) if names is not None else None
    value, low, high = _bd_of_curves(*curves, m, what, f"{test.name} and {anchor.name}")
    return value, count, count, low, high


def _bd_of_images(anchor, test, m, what, min_points):
    """The same, each image's difference for itself; images without enough points or overlap are not counted."""
    names = _shared_names(anchor, test)
    if names is None:
        raise CurveError(
            f"{test.name} or {anchor.name} has no points of single images, so no mean over images can be made. "
            "Compare the mean curves instead."
        )
    images = [{i.name: i.points for i in r.images} for r in (anchor, test)]
    found, reason = [], None
    for name in sorted(names):
        curves = [_curve(i[name]["bpp"], i[name].get(m.key, ()), m) for i in images]
        try:
            if min(len(c[0]) for c in curves) < min_points:
                raise CurveError(f"{name} has {min(len(c[0]) for c in curves)} points, {min_points} are needed")
            found.append(_bd_of_curves(*curves, m, what, name))
        except CurveError as error:
            reason = error
    if not found:
        raise CurveError(f"{test.name} against {anchor.name}: none of {len(names)} images can be compared ({reason}).")
    values, lows, highs = zip(*found)
    return statistics.fmean(values), len(found), len(names), min(lows), max(highs)


def _bd_of_curves(anchor, test, m, what, where):
    """(value, low, high) of two curves as `_curve` gives them."""
    sign = 1 if m.larger_is_better else -1
    axes = (anchor[1], test[1]) if what == "rate" else (anchor[0], test[0])
    low, high = max(a.min() for a in axes), min(a.max() for a in axes)
    if low >= high:
        over = m.label if what == "rate" else "bpp"
        raise CurveError(
            f"{where}: no common range of {over} ({axes[1].min():.4g} to {axes[1].max():.4g} against "
            f"{axes[0].min():.4g} to {axes[0].max():.4g}). Measure both over rates that overlap."
        )
    import bjontegaard  # not above: it takes a second, since it imports pyplot, and few processes come here

    function = bjontegaard.bd_rate if what == "rate" else bjontegaard.bd_psnr
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing the package could warn about is left by now
        value = function(*anchor, *test, METHOD, require_matching_points=False, min_overlap=0)
    if what == "rate":
        ends = sorted((sign * low, sign * high))
        if m.decibel:
            ends = [1 - 10 ** (-e / 10) for e in ends]
        return float(value), *map(float, ends)
    return float(sign * value), float(low), float(high)


def _curve(rates, values, m):
    """(rates, values) of the envelope on the axis of Bjøntegaard differences, where values rise with rate."""
    rates, values = envelope(rates, values, m.larger_is_better)
    if not m.larger_is_better:
        return rates, -values
    if not m.decibel:
        return rates, values
    finite = values < 1  # a perfect picture lies at infinity
    return rates[finite], -10 * np.log10(1 - values[finite])


def _shared_names(anchor, test):
    """Names of the images that both results have; None when one of them has no images (a published curve)."""
    if not anchor.images or not test.images:
        return None
    return {i.name for i in anchor.images} & {i.name for i in test.images}


def _typical_points(result, m, names):
    """How many usable points the curve of a typical image has: the median over images."""
    if not result.images:
        return len(_curve(result.results["bpp"], result.results.get(m.key, ()), m)[0])
    points = [i.points for i in result.images if names is None or i.name in names]
    counts = [len(_curve(p["bpp"], p.get(m.key, ()), m)[0]) for p in points]
    return statistics.median(counts) if counts else 0
