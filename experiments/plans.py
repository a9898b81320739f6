"""Everything that is run for a paper, as steps: trainings, measurements, figures; and what it takes.

Disk is that of parameters: a checkpoint holds them with up to three slots of the optimiser, two checkpoints are kept,
and the model once more. TensorBoard's strips of pictures, up to 0.1 GB a run, and the files and pictures of evaluation
come on top.
"""

import dataclasses
import fnmatch
import itertools
import shlex
from pathlib import Path
from typing import Optional

from eval import claims, exhibits, tables
from experiments import trainings
from experiments.steps import Step

BPP = "0.02,0.04,0.06,0.08,0.1,0.15,0.2,0.3,0.4"  # of the classical codecs
_CODECS = {"dsin": "jpeg,webp,jpeg2000,bpg"}  # those that each paper compares with, where they are not these two:
_USUAL_CODECS = "jpeg2000,bpg"
_PICTURES = 2  # images whose pictures are kept
_COPIES = 2 * 4 + 1  # of its parameters, that a run directory holds
# {method or model: parameters of preset small and of preset paper}
PARAMETERS = {
    "cpm": (681_903, 10_057_147),
    "dsin": (701_394, 10_132_990),
    "balle2017": (123_722, 3_937_164),
    "balle2018": (287_338, 10_141_260),
    "ndic_balle2017": (467_757, 16_323_279),
    "ndic_balle2018": (709_741, 25_025_103),
    "ndic_cam": (848_621, 24_992_943),
    "lee2019": (1_077_035, 8_581_898),
    "dsc_msf": (999_786, 8_907_264),
    "dsc_msf-grdn": (22_962_983, 30_449_271),
    "content_weighted": (1_263_909, 8_833_229),
    "multichannel": (606_429, 30_688_998),
}
# {paper: figures made of results, and those made of pictures, all by one driver}
_FIGURES = {
    "dsin": (("5", "8", "11"), ("6", "10")),
    "ndic": (("curves", "bd"), ("visual",)),
    "dsc_msf": (("psnr", "ms_ssim", "grdn", "msf", "ir_ien", "reference", "depth"), ("visual",)),
    "multichannel": (("table", "curves", "sweep"), ("visual",)),
}


@dataclasses.dataclass(frozen=True)
class Planned:
    """A step of a plan.

    Attributes:
      step: the `Step`.
      methods: as claims name them, that it trains or measures.
      figure: which one it makes.
      runs: how many models it trains.
      hours: that these take together; None where nobody says.
      gigabytes: of their run directories.
    """

    step: Step
    methods: tuple = ()
    figure: str = ""
    runs: int = 0
    hours: Optional[float] = None
    gigabytes: float = 0.0


def of_paper(paper, scale, found, folder):
    """All that is run for a paper.

    Args:
      paper: one of `eval.claims.PAPERS`.
      scale: one of `trainings.SCALES`.
      found: what `trainings.find_data` found.
      folder: where all is written.

    Returns:
      List of `Planned`, in order.
    """
    return _Planner(paper, scale, Path(folder)).plan(found)


def results_of(planned):
    """The paths of the results files that the steps of a plan left."""
    outs = [each.step.out for each in planned if each.methods]
    return [path for out in outs for path in ([out] if out.suffix == ".json" else sorted(out.glob("*.json")))]


class _Planner:
    """Makes the steps of a paper."""

    def __init__(self, paper, scale, folder):
        self.paper, self.scale, self.folder = paper, scale, folder
        self.measures_elsewhere = False  # whether any model is measured on more than one data set
        self.models = trainings.of_paper(paper, scale)
        # {method: folder of the training that pictures and figures show}
        self.usual = {model.method: folder / model.name for model in reversed(self.models) if model.method}

    def plan(self, found):
        """All steps."""
        steps, tests = [], {}
        for images in trainings.data_of_paper(self.paper, self.scale, found, self.folder / "street"):
            tests.update(images.tests)
            self.measures_elsewhere |= len(images.tests) > 1
            for model in trainings.of_paper(self.paper, self.scale, images.only):
                steps.append(self._train(model, images))
                steps += [self._measure(model, images, *way, test) for way in _ways(model) for test in images.tests]
        steps += [self._classical(*test) for test in tests.items()]
        needs = tuple(each.step.name for each in steps)
        return [*steps, *(self._draw(*figure, needs) for figure in self._figures(tests))]

    def _train(self, model, images):
        name, (rate, values) = model.name + images.suffix, model.rates
        flags = ["--mode=train", *shlex.split(model.flags), f"--preset={self.scale}"]
        flags += [f"--{rate}={','.join(f'{value:g}' for value in values)}", *shlex.split(images.train)]
        flags += [f"--init_from={self.folder / (model.start + images.suffix)}"] if model.start else []
        flags += [f"--workdir={self.folder / name}"]
        needs = (f"{model.start}{images.suffix}: training",) if model.start else ()
        parameters = PARAMETERS.get(model.method, PARAMETERS[model.model])[trainings.SCALES.index(self.scale)]
        return Planned(
            Step(f"{name}: training", model.driver, tuple(flags), self.folder / name, needs),
            (model.method,) if model.method else (),
            runs=len(values),
            hours=None if model.hours is None else model.hours * len(values),
            gigabytes=4e-9 * _COPIES * len(values) * parameters,
        )

    def _measure(self, model, images, method, way, test):
        name = model.name + images.suffix
        in_place = test == next(iter(images.tests))
        out = self.folder / name if in_place else self.folder / f"on_{test}" / name
        flags = ["--mode=evaluate", *way.split(), *shlex.split(images.tests[test]), f"--workdir={self.folder / name}"]
        flags += [] if in_place else [f"--out={out}"]
        # Pictures have the name of their method: of two trainings of one, those of the first are kept.
        if self.usual[model.method.partition(" ")[0]] == self.folder / model.name:
            flags += [f"--pictures={_PICTURES}", f"--pictures_dir={self._pictures(test)}", *self._picture_rate()]
        variant = f"-{way.rpartition('=')[2]}" if way else ""
        step = f"{name}{variant.replace('-', ', ')}: on {test}"
        results = out / f"results{variant}.json"
        return Planned(Step(step, model.driver, tuple(flags), results, (f"{name}: training",)), (method,))

    def _classical(self, test, chosen):
        codecs, workdir = _CODECS.get(self.paper, _USUAL_CODECS), self.folder / "anchors" / test
        flags = [f"--codecs={codecs}", *shlex.split(chosen), f"--bpp={BPP}", f"--workdir={workdir}"]
        flags += [f"--pictures={_PICTURES}", *self._picture_rate()]
        flags += ["--colour"] if self.paper == "multichannel" else []
        step = Step(f"classical codecs: on {test}", "anchors", tuple(flags), workdir)
        return Planned(step, tuple(codecs.split(",")))

    def _draw(self, driver, figure, flags, out, needs):
        name = f"figure {figure}{out.removeprefix(f'{self.paper}_figures').replace('_', ' ')}".strip()
        flags = [*([] if driver == figure else [f"--figure={figure}"]), *flags, f"--out={self.folder / out}"]
        return Planned(Step(name, driver, tuple(flags), self.folder / out, needs, optional=True), figure=figure)

    def _figures(self, tests):
        """(driver, figure, flags, folder) of each."""
        driver, (of_results, of_pictures) = f"{self.paper}_figures", _FIGURES[self.paper]
        groups = ["", "ms-ssim/"] if self.paper == "ndic" and self.scale == "paper" else [""]
        for figure, group in itertools.product(of_results, groups):
            yield driver, figure, [f"--results={self._results(group)}"], f"{driver}_{group[:-1]}".rstrip("_")
        for figure in of_pictures:
            for test in tests:
                yield driver, figure, [f"--pictures={self._pictures(test)}"], f"{driver}_{test}"
        chosen, usual = shlex.split(next(iter(tests.values()))), self.usual
        if self.paper == "dsin":
            for run in next(model for model in self.models if model.name == "dsin").runs:
                pair = [f"--workdir={usual['dsin'] / run}", f"--baseline={usual['cpm'] / run}"]
                yield driver, "7", [*pair, *chosen], f"{driver}_{run}"
                yield driver, "9", [pair[0], *chosen], f"{driver}_{run}"
            yield driver, "match", [f"--workdir={usual['dsin']}", "--dataset=street", "--limit=34"], driver
            yield "y_check", "y_check", [f"--workdirs={usual['dsin']}", *chosen], driver
        elif self.paper == "ndic":
            weighted = [str(self.folder / model.name) for model in self.models if model.name.startswith("weights_")]
            yield driver, "alpha_beta", [f"--workdirs={','.join(weighted)}", *chosen], driver
            with_side = [str(place) for method, place in usual.items() if method.startswith("ndic")]
            yield "y_check", "y_check", [f"--workdirs={','.join(with_side)}", *chosen], driver
        elif self.paper == "dsc_msf":
            yield driver, "tree", chosen, driver
        else:
            places = [f"--workdirs={','.join(map(str, usual.values()))}"]
            yield driver, "map", [*places, *chosen], driver
            yield driver, "channels", places, driver

    def _results(self, group):
        """Patterns of results files; `group`: "ms-ssim/" for the trainings in there."""
        found = [f"{group}*/results*.json", "anchors/*/*.json"]
        found += [f"on_*/{group}*/results*.json"] if self.measures_elsewhere else []
        return ",".join(f"{self.folder}/{pattern}" for pattern in found)

    def _pictures(self, test):
        return self.folder / "anchors" / test / "pictures"

    def _picture_rate(self):
        return ["--picture_bpp=0.5"] if self.paper == "multichannel" else []


def _ways(model):
    """(method, flags) of each way to measure a model."""
    return [(model.method, ""), *model.ways.items()] if model.method else []


# ---------------------------------------------------------------------------------------------------------------------
# Showing.


def table(paper, scale, planned):
    """What is run and what it takes, as a `tables.Table`; the last row is the sum."""
    rows = [(each.step.name, each, _serves(paper, each)) for each in planned]
    hours = [each.hours for each in planned if each.hours is not None]
    whole = Planned(None, (), "", sum(e.runs for e in planned), sum(hours), sum(e.gigabytes for e in planned))
    made = []
    for name, each, serves in [*rows, ("all", whole, "")]:
        numbers = [tables.Cell(each.runs or None, 0), tables.Cell(each.hours or None, 1)]
        cells = [*numbers, tables.Cell(each.gigabytes or None, 2), tables.Cell(serves or None)]
        made.append(tables.Row((name,), tuple(cells)))
    unknown = sum(each.runs for each in planned if each.runs and each.hours is None)
    who = "of two CPU cores, as measured here" if scale == "small" else "of one GPU, as the paper has them"
    note = f"Hours of training {who}" + (
        f"; those of {unknown} runs are not known and come on top." if unknown else "."
    )
    note += " GB: of checkpoints and weights. Serves: claims of eval/published/claims.json and figures of the paper."
    columns = ("runs", "hours", "GB", "serves")
    return tables.Table(f"{claims.PAPERS[paper]}, scale {scale}", ("step",), columns, tuple(made), note)


def claims_of(paper, planned):
    """The claims of a paper that need a step, as a list of `claims.Claim`."""
    found = []
    for claim in (claim for claim in claims.load() if claim.paper == paper and claim.measure):
        methods = {claim.measure[key].name for key in ("of", "over") if key in claim.measure}
        figure = claim.measure["figure"].file if "figure" in claim.measure else ""
        stem = f"{'fig' if planned.figure.isdigit() else ''}{planned.figure}.json"
        if methods & set(planned.methods) or (planned.figure and fnmatch.fnmatchcase(stem, figure)):
            found.append(claim)
    return found


def _serves(paper, planned):
    count = len(claims_of(paper, planned))
    shown = [
        each.exhibit
        for each in exhibits.load()
        if planned.figure and f"experiments.{planned.step.driver} --figure={planned.figure} " in f"{each.command} "
    ]
    return "; ".join([f"{count} claim{'s' * (count > 1)}"] * bool(count) + shown)
