"""Kinds of measure that claims are checked with, each a statistic of single images that can be resampled.

    gain                  metric of a method less that of another at equal rate, image by image
    difference_of_gains   a gain less another one: at another rate, or of other data
    rate_saving           percent of rate that a method does without at equal quality, of curves of means over images
    values                of two numbers of each image in a figure's JSON: difference, percent less, or correlation
    lowest_rate           how far the least rate that a codec reaches lies above a given one

The rules of `eval/curves.py` hold: between measured points linearly in log(bpp), nothing is extrapolated. Quality is
held equal on the axis of Bjøntegaard differences, MS-SSIM in decibels; of curves of two points each the mean rate
saving is the BD-rate with its sign turned.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from eval import curves
from eval.evidence import Missing

RANGE = ("low", "high", "mean")  # words for rates and qualities: an end of what two curves share, or all of it
STATISTICS = ("difference", "percent less", "correlation")  # of `values`
RESAMPLES = 2000
SEED = 0
FEWEST_IMAGES = 2  # that can be resampled
_MOST_UNDEFINED = 0.1  # of the resamples


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a measure is computed from.

    Attributes:
      statistic: takes for each of `counts` an array of indices of images and gives a number, NaN where there is none.
      counts: numbers of images that are resampled by themselves: one, or two for gains on two data sets.
      data: what it was measured on, in words.
      steps: of training, of each model.
    """

    statistic: Callable
    counts: tuple
    data: str
    steps: tuple

    @property
    def value(self):
        """The statistic of all images."""
        return float(self.statistic(*map(np.arange, self.counts)))

    def interval(self):
        """(low, high), the 95 % interval of the bootstrap over images: percentiles of 2000 resamples, always the same.

        Raises:
          Missing: more than a tenth of the resamples have no value.
        """
        random = np.random.default_rng(SEED)
        draws = (tuple(random.integers(count, size=count) for count in self.counts) for _ in range(RESAMPLES))
        found = np.array([self.statistic(*indices) for indices in draws])
        undefined = np.count_nonzero(np.isnan(found))
        if undefined > _MOST_UNDEFINED * RESAMPLES:
            raise Missing(f"{undefined} of {RESAMPLES} resamples of the images have no value ({self.data})", 2)
        return tuple(map(float, np.nanpercentile(found, (2.5, 97.5))))


# ---------------------------------------------------------------------------------------------------------------------
# Gains at equal rate.


def gain(evidence, measure, data):
    """The metric of `of` less that of `over` at equal rate, a mean over images.

    All kinds take an `evidence.Evidence`, the parameters of the measure, which `eval/published/README.md` describes,
    and one or two `evidence.DataSet`; they return a `Sample` and raise `Missing`.
    """
    found = _gains(evidence, measure, data[0])
    values = _enough(found.gains.values(), found.images)
    return Sample(lambda i: values[i].mean(), (len(values),), f"{found.images}, {found.rates}", found.steps)


def difference_of_gains(evidence, measure, data):
    """The gain with the changes of `first` less that with those of `second`, of the same images or two data sets."""
    one, other = (
        _gains(evidence, {**measure, **measure[side]}, of_side)
        for side, of_side in (("first", data[0]), ("second", data[-1]))
    )
    steps = tuple(dict.fromkeys(one.steps + other.steps))
    if len(data) == 1:
        differences = [one.gains[name] - other.gains[name] for name in one.gains if name in other.gains]
        values = _enough(differences, one.images)
        about = f"{one.images}, {one.rates} − {other.rates}"
        return Sample(lambda i: values[i].mean(), (len(values),), about, steps)
    first, second = (_enough(found.gains.values(), found.images) for found in (one, other))
    about = f"{one.images}, {one.rates} − {other.images}, {other.rates}"
    return Sample(lambda i, j: first[i].mean() - second[j].mean(), (len(first), len(second)), about, steps)


@dataclasses.dataclass(frozen=True)
class _Gains:
    """Gains of single images, {name: gain}; in words which images and at which rates, means over them; steps."""

    gains: dict
    images: str
    rates: str
    steps: tuple


def _gains(evidence, measure, data):
    """The `_Gains` of two methods. Images on which not both have the rate do not count."""
    pair = evidence.results_of((measure["of"], measure["over"]), data)
    m, gains, rates = curves.metric(measure["metric"]), {}, []
    of, over = ({image.name: image.points for image in result.images if m.key in image.points} for result in pair)
    for name in (name for name in of if name in over):
        found = _image_gain(of[name], over[name], m.key, measure["rate"])
        if found is not None:
            gains[name] = found[0]
            rates.append(found[1:])
    if not gains:
        raise Missing(f"{pair[0].name} and {pair[1].name} share no rate and {m.label} of an image on {data.name}", 2)
    low, high = np.mean(rates, axis=0)
    words = f"at {low:.3f}–{high:.3f} bpp" if low < high else f"at {low:.3f} bpp"
    return _Gains(gains, _images(pair[0].meta), words, _steps(pair))


def _image_gain(of, over, key, rate):
    """(gain, lowest rate, highest rate) of one image, or None where not both are measured there.

    `rate` is "low" or "high" for an end of the range that both cover, "mean" for the mean over it, evenly in log(bpp),
    or a list of rates, over which the mean is taken.
    """
    measured = [[r for r, v in zip(points["bpp"], points[key]) if v is not None] for points in (of, over)]
    if not all(measured):
        return None
    low, high = max(rates[0] for rates in measured), min(rates[-1] for rates in measured)
    if isinstance(rate, str) and low > high:
        return None
    knots = sorted({low, high, *(r for rates in measured for r in rates if low < r < high)})
    at = {"low": [low], "high": [high], "mean": knots}[rate] if isinstance(rate, str) else rate
    found = [[curves.value_at(points["bpp"], points[key], r) for r in at] for points in (of, over)]
    if None in found[0] + found[1]:
        return None
    gains = np.subtract(*found)
    over_range = rate == "mean" and low < high
    return _mean_between(np.log(at), gains) if over_range else float(gains.mean()), at[0], at[-1]


# ---------------------------------------------------------------------------------------------------------------------
# Rates at equal quality.


def rate_saving(evidence, measure, data):
    """Percent of rate that `of` does without, beside `over`, at equal quality of the curves of means over images."""
    pair = evidence.results_of((measure["of"], measure["over"]), data[0])
    m, quality = curves.metric(measure["metric"]), measure["quality"]
    points = [_operating_points(result, m) for result in pair]
    names = _enough(sorted(set(points[0]) & set(points[1])), _images(pair[0].meta))
    of, over = (np.array([of_images[name] for name in names]) for of_images in points)  # image, bpp or metric, point

    def statistic(i):
        return _saving(_curve(of[i], m), _curve(over[i], m), quality, m)

    everything = np.arange(len(names))
    ends = [[_metric(curve[0][at], m) for at in (0, -1)] for curve in (_curve(of, m), _curve(over, m))]
    if np.isnan(statistic(everything)):
        reached = ", ".join(f"{r.name} {low:.{m.digits}f}–{high:.{m.digits}f}" for r, (low, high) in zip(pair, ends))
        asked = "no range" if isinstance(quality, str) else f"{quality:g} not"
        raise Missing(f"{asked} in common on {data[0].name}: in {m.label} {reached}", 2)
    low, high = (_metric(quality, m) for quality in _common(_curve(of, m), _curve(over, m)))
    at = f"{low:.{m.digits}f}–{high:.{m.digits}f}"
    if quality != "mean":
        at = f"{ ({'low': low, 'high': high}.get(quality, quality)):.{m.digits}f}"
    return Sample(statistic, (len(names),), f"{_images(pair[0].meta)}, at {m.label} {at}", _steps(pair))


def _operating_points(result, m):
    """{image: ([bpp, ...], [metric, ...])}: of every image the same operating points, in the same order.

    Of a learned codec these are its models, told apart by what sets their rate; of a classical codec, whose settings
    differ from image to image, the rates aimed at that every image reaches.
    """
    key, images = m.key, result.images
    if any(None in image.points.get(key, [None]) for image in images):
        raise Missing(f"{result.name} has no {m.label} of every image", 2)
    if "targets" in result.meta:
        at = {rate: curves.image_values(result, key, rate) for rate in result.meta["targets"]}
        reached = [rate for rate, found in at.items() if len(found) == len(images)]
        points = {image.name: (reached, [at[rate][image.name] for rate in reached]) for image in images}
    else:
        points, settings = {}, result.meta.get("settings", {})
        for image in images:
            columns = image.points
            swept = next((columns[name] for name in columns if name in settings), columns["bpp"])
            rows = sorted(zip(swept, columns["bpp"], columns[key]))
            points[image.name] = [[row[at] for row in rows] for at in (1, 2)]
    counts = {len(rates) for rates, _ in points.values()}
    if len(counts) > 1 or 0 in counts:
        raise Missing(f"{result.name} has no operating points that all its images share", 2)
    return points


def _curve(points, m):
    """(quality, ascending; log of the rate) of the means over images of [image, bpp or metric, operating point].

    Points that another one beats are left out.
    """
    rates, values = curves.envelope(*points.mean(axis=0), m.larger_is_better)
    return _quality(values, m), np.log(rates)


def _quality(values, m):
    """A metric on an axis that rises with quality, MS-SSIM in decibels."""
    if m.decibel:
        return -10 * np.log10(1 - np.asarray(values))
    return np.asarray(values) * (1 if m.larger_is_better else -1)


def _metric(quality, m):
    """The metric at a place of that axis."""
    return float(1 - 10 ** (-quality / 10) if m.decibel else quality * (1 if m.larger_is_better else -1))


def _common(of, over):
    """(low, high) of the quality that two curves cover; nothing where the low end is above the high one."""
    return max(of[0][0], over[0][0]), min(of[0][-1], over[0][-1])


def _saving(of, over, quality, m):
    """Percent of rate that curve `of` takes less than `over`, NaN where not both are measured.

    `quality` is "low" or "high" for an end of the range that both cover, "mean" for the mean over it, or a metric.
    """
    low, high = _common(of, over)
    if isinstance(quality, str):
        at = {"low": [low], "high": [high], "mean": [low, *(q for q in [*of[0], *over[0]] if low < q < high), high]}
        at = np.sort(at[quality])
    else:
        at = np.array([_quality(quality, m)])
    if at[0] < low or at[-1] > high or (quality == "mean" and low == high):
        return np.nan
    less = np.interp(at, *over) - np.interp(at, *of)
    return 100 * (1 - np.exp(-(_mean_between(at, less) if quality == "mean" else less[0])))


# ---------------------------------------------------------------------------------------------------------------------
# Numbers of figures, and lowest rates.


def values(evidence, measure, data):
    """The `statistic` of two numbers of each image, at the paths `first` and `second` of a figure's JSON.

    "difference" and "percent less" compare their means, first with second; "correlation" is Pearson's.
    """
    first, meta, steps = evidence.values_of(measure["figure"], measure["first"], data[0])
    second, _, other_steps = evidence.values_of(measure["figure"], measure["second"], data[0])
    pairs = [(first[name], second[name]) for name in first if name in second]
    one, other = _enough(pairs, _images(meta)).T
    statistic = {
        "difference": lambda i: one[i].mean() - other[i].mean(),
        "percent less": lambda i: 100 * (1 - one[i].mean() / other[i].mean()),
        "correlation": lambda i: _correlation(one[i], other[i]),
    }[measure["statistic"]]
    return Sample(statistic, (len(pairs),), _images(meta), tuple(dict.fromkeys(steps + other_steps)))


def lowest_rate(evidence, measure, data):
    """How far the least rate of `of` lies above `than` bpp, a mean over images."""
    (result,) = evidence.results_of((measure["of"],), data[0])
    about = _images(result.meta)
    floors = _enough([i.extra.get("floor_bpp", i.points["bpp"][0]) - measure["than"] for i in result.images], about)
    return Sample(lambda i: floors[i].mean(), (len(floors),), about, _steps([result]))


# {kind: (its function, the parameters that it needs)}.
KINDS = {
    "gain": (gain, ("of", "over", "metric", "rate")),
    "difference_of_gains": (difference_of_gains, ("of", "over", "metric", "first", "second")),
    "rate_saving": (rate_saving, ("of", "over", "metric", "quality")),
    "values": (values, ("figure", "first", "second", "statistic")),
    "lowest_rate": (lowest_rate, ("of", "than")),
}


# ---------------------------------------------------------------------------------------------------------------------
# What they share.


def _mean_between(places, values):
    """The mean of a piecewise linear function between its first and its last place."""
    return float(np.trapz(values, places) / (places[-1] - places[0]))


def _correlation(one, other):
    return np.corrcoef(one, other)[0, 1] if one.std() > 0 and other.std() > 0 else np.nan


def _enough(entries, about):
    """What there is of each image, as an array."""
    entries = list(entries)
    if len(entries) < FEWEST_IMAGES:
        raise Missing(f"{len(entries)} of at least {FEWEST_IMAGES} images on {about}", 2)
    return np.array(entries)


def _images(meta):
    """Which images, in words: "kitti_scenes test (protocol dsin)"."""
    form = "" if meta["protocol"] == "native" else f"(protocol {meta['protocol']})"
    return " ".join(filter(None, (meta["dataset"], meta.get("split"), form)))


def _steps(results):
    return tuple(dict.fromkeys(result.meta["steps"] for result in results if result.meta.get("steps")))
