"""What the four papers claim, each statement beside what was measured: reproduced or not.

    python -m eval.claims
    python -m eval.claims --results=runs/mine --out=runs/claims

`eval/published/claims.json` holds the statements, what was published, how each is measured (`eval/claim_measures.py`)
and which commands measure it again; `eval/published/README.md` describes it. Where a claim names several data sets,
the first counts on which all that it needs was measured. Nothing is chosen by its outcome.

A measured value has a 95 % interval, of the bootstrap over images, and with it a verdict:

    contradicted   the interval lies wholly on the other side of zero than the paper claims
    not seen       it holds zero
    reproduced     it lies on the claimed side; and the published number, where there is one, is within a factor of two
                   of the measured one, or the published range overlaps the interval
    same sign      it lies on the claimed side, but the published number is another one, or it is of a quality that was
                   not reached, and what was measured is of another
    not measured   something is missing, and the row says what

Where a paper claims that something gains nothing (`better` is "none"), an interval wholly above zero contradicts it,
and any other one reproduces it.
"""

import collections
import dataclasses
import json
import sys
from pathlib import Path
from typing import Optional

from absl import app, flags
from rich.console import Console

from dsin_tf import files
from eval import claim_measures, curves, evidence, published_numbers, tables

FILE = published_numbers.FOLDER / "claims.json"
RESULTS = Path(__file__).with_name("results")
PAPERS = {
    "dsin": "DSIN",
    "ndic": "NDIC, NDIC-CAM",
    "dsc_msf": "DSC-MSF",
    "multichannel": "Multi-channel",
}
VERDICTS = ("reproduced", "same sign", "not seen", "contradicted", "not measured")
FAILED = ("not seen", "contradicted")
SIGNS = {"positive": 1, "negative": -1, "none": 1}

_FACTOR = 2  # between a published and a measured number that still agree
_DIGITS = {"%": 1, "dB": 2, "degrees": 3, "ΔE": 3, "bpp": 4, "": 4}  # by unit
_WIDE = 220  # letters, of tables that are printed into a file


class ClaimError(ValueError):
    """The file of claims is not what it should be; the message names the claim and the entry."""


@dataclasses.dataclass(frozen=True)
class Published:
    """What a paper says: as a reader should see it, and as a number, or a range, if there is one."""

    text: str
    value: Optional[float] = None
    low: Optional[float] = None
    high: Optional[float] = None
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of a paper; `eval/published/README.md` describes the entries.

    `measure` names its sources as objects of `eval/evidence.py`; `support` is pairs of such a measure and its unit.
    """

    id: str
    paper: str
    statement: str
    source: str
    published: Published
    better: str
    measure: Optional[dict] = None
    headline: bool = False
    explanation: str = ""
    support: tuple = ()
    not_measurable: str = ""

    def may_use(self, name):
        """Whether the claim can be decided on the data set of this name alone."""
        return self.measure is not None and any([each.name for each in data] == [name] for data in self.measure["data"])

    def on(self, data):
        """The same claim asked of another `evidence.DataSet` alone; support that is of data of its own stays so."""
        moved = tuple(
            ({**measure, "data": ((data,),)} if measure["data"] == self.measure["data"] else measure, unit)
            for measure, unit in self.support
        )
        return dataclasses.replace(self, measure={**self.measure, "data": ((data,),)}, support=moved)

    def commands(self, data):
        """What measures the claim again on `data`, some `evidence.DataSet`s."""
        sources = [self.measure[name] for name in ("of", "over", "figure") if name in self.measure]
        pairs = [(source, each) for source in sources for each in data]
        return tuple(dict.fromkeys(_filled(line, each) for source, each in pairs for line in each.commands_of(source)))


@dataclasses.dataclass(frozen=True)
class Checked:
    """A claim and what was found.

    Attributes:
      claim: the `Claim`.
      verdict: one of `VERDICTS`.
      value, low, high: measured, with its interval; None if nothing was.
      images: how many, "34", or of each of two data sets.
      data: what it was measured on.
      steps: of training, of each model.
      missing: why nothing was measured.
      explanation: what explains the outcome or limits it, with what was measured in support; "" if that is missing.
      commands: what measures it again, with DIR for a folder of data and RUN for one to write to.
    """

    claim: Claim
    verdict: str
    value: Optional[float] = None
    low: Optional[float] = None
    high: Optional[float] = None
    images: str = ""
    data: str = ""
    steps: str = ""
    missing: str = ""
    explanation: str = ""
    commands: tuple = ()


def load(path=FILE):
    """Reads the claims.

    Args:
      path: the file.

    Returns:
      A list of `Claim`, in the order of the file.

    Raises:
      ClaimError: an entry is missing, unknown or out of place; the message names the claim.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        sources = {
            "methods": {k: evidence.Method(k, **_with_commands(v)) for k, v in document["methods"].items()},
            "figures": {k: evidence.Figure(k, **_with_commands(v)) for k, v in document["figures"].items()},
            "data": {k: evidence.DataSet(k, **v) for k, v in document["data"].items()},
        }
        entries = document["claims"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClaimError(f"{path}: is no file of claims ({error!r}); see eval/published/README.md.") from error
    claims = []
    for at, entry in enumerate(entries):
        name = entry.get("id", f"number {at}")
        try:
            claims.append(_claim(entry, sources))
        except (ValueError, KeyError, TypeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else error
            raise ClaimError(f"{path}: claim {name!r}: {what}. See eval/published/README.md, and mend it.") from error
        if name in (claim.id for claim in claims[:-1]):
            raise ClaimError(f"{path}: claim {name!r}: this id comes twice. Give each claim its own.")
    return claims


def check(folders, claims=None):
    """Measures claims with what lies in folders.

    Args:
      folders: paths of folders with results and figures' numbers, such as `eval/results`.
      claims: list of `Claim`; by default all.

    Returns:
      A list of `Checked`, one for each claim, in order.

    Raises:
      ResultError: a results file is damaged.
      ValueError: a folder is not there.
    """
    return check_with(evidence.load(folders), claims)


def check_with(found, claims=None):
    """The same as `check`, with an `evidence.Evidence` instead of folders."""
    return [_check(claim, found) for claim in (load() if claims is None else claims)]


def verdict(claim, value, low, high, comparable=True):
    """What a measured value says of a claim, by the rules of the module's docstring.

    Args:
      claim: the `Claim`.
      value: what was measured.
      low, high: its interval.
      comparable: whether it was measured where the published number was.

    Returns:
      One of `VERDICTS`.
    """
    sign, published = SIGNS[claim.better], claim.published
    least, most = sorted((sign * low, sign * high))
    if claim.better == "none":
        return "contradicted" if least > 0 else "reproduced"
    if most < 0:
        return "contradicted"
    if least <= 0:
        return "not seen"
    agrees = True
    if published.low is not None:
        agrees = comparable and published.low <= high and low <= published.high
    elif published.value is not None:
        agrees = comparable and sign * published.value / _FACTOR <= sign * value <= sign * published.value * _FACTOR
    return "reproduced" if agrees else "same sign"


def table(checked, paper=None):
    """Claims with what was published, what was measured and the verdict.

    Args:
      checked: list of `Checked`.
      paper: only those of this paper, one of `PAPERS`.

    Returns:
      A `tables.Table`.
    """
    rows = []
    for each in checked:
        claim = each.claim
        if paper not in (None, claim.paper):
            continue
        again = f"Measured again by: {' ; '.join(each.commands)}" if each.commands else ""
        cells = (
            tables.Cell(claim.published.text),
            tables.Cell(claim.source),
            tables.Cell(measured(each), note=" ".join(filter(None, (each.missing, each.explanation)))),
            *(tables.Cell(text or None) for text in (each.images, each.data, each.steps)),
            tables.Cell(each.verdict, note=again),
        )
        rows.append(tables.Row((claim.statement,), cells))
    columns = ("published", "source", "measured", "images", "data", "steps", "verdict")
    note = (
        "Measured: value [95 % interval], of the bootstrap over images, which takes those of one recording for "
        "independent. Rates are those of whole files. Steps: of the last stage of training, of each model. Reproduced: "
        f"the sign is the claimed one, and the published number within a factor of {_FACTOR}. In commands DIR is a "
        "folder of data and RUN one to write to; what they measured is checked by python -m eval.claims --results=RUN."
    )
    title = "Claims" if paper is None else f"Claims: {PAPERS[paper]}"
    return tables.Table(title, ("claim",), columns, tuple(rows), note)


def overview(checked):
    """The papers' headline claims, and how many claims of each have which verdict, as a `tables.Table`."""
    rows = []
    for paper, name in PAPERS.items():
        of_paper = [each for each in checked if each.claim.paper == paper]
        counts = collections.Counter(each.verdict for each in of_paper)
        for each in (each for each in of_paper if each.claim.headline):
            cells = (each.claim.published.text, measured(each), each.verdict)
            numbers = tuple(tables.Cell(counts[word], 0) for word in VERDICTS)
            rows.append(tables.Row((name, each.claim.statement), (*map(tables.Cell, cells), *numbers)))
    columns = ("published", "measured", "verdict", *VERDICTS)
    note = "The verdict is that of the headline claim; the last columns count all claims of the paper."
    return tables.Table("What was reproduced", ("paper", "headline claim"), columns, tuple(rows), note)


def measured(each):
    """What was measured, as people read it: "+38.5 % [+35.2, +41.0]", or None if nothing was."""
    if each.value is None:
        return None
    return _with_interval(each.value, each.low, each.high, each.claim.published.unit)


def write(checked, folder):
    """Writes claims.json, and each paper's table and the overview as CSV and Markdown, into a folder."""
    made = {"claims": overview(checked)} | {f"claims_{paper}": table(checked, paper) for paper in PAPERS}
    for name, each in made.items():
        files.write_text(Path(folder) / f"{name}.csv", tables.to_csv(each))
        files.write_text(Path(folder) / f"{name}.md", tables.to_markdown(each))
    content = {"claims": [_document(each) for each in checked]}
    files.write_text(Path(folder) / "claims.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------------------------------------------------------------
# Reading.


def _filled(command, data):
    """A command with the words that stand for a data set replaced."""
    words = {"DATASET": data.name, "DATA": data.flags, "WEIGHTS": data.weights, "TRAINING": data.training}
    for word, text in words.items():
        command = command.replace(word, text)
    return command


def _with_commands(entry):
    return {**entry, "commands": tuple(entry["commands"])}


def _claim(entry, sources):
    """The `Claim` of an entry, whose measure names its sources."""
    support = tuple(entry.get("support", ()))
    claim = Claim(**{**entry, "published": Published(**entry["published"]), "support": support})
    for name, allowed in (("paper", PAPERS), ("better", SIGNS)):
        if getattr(claim, name) not in allowed:
            raise ValueError(f"{name} is {getattr(claim, name)!r}, one of {', '.join(allowed)} was expected")
    empty = [name for name in ("id", "statement", "source") if not getattr(claim, name)]
    if empty or not claim.published.text:
        raise ValueError(f"{', '.join(empty) or 'the text of published'} is empty")
    if claim.support and "{0}" not in claim.explanation:
        raise ValueError("the explanation has no {0} for what supports it")
    if (claim.measure is None) == (not claim.not_measurable):
        raise ValueError("either measure or not_measurable was expected")
    if claim.measure is None:
        return claim
    same_data = {"data": claim.measure["data"]}
    named = tuple((_measure({**same_data, **each["measure"]}, sources), each["unit"]) for each in claim.support)
    return dataclasses.replace(claim, measure=_measure(claim.measure, sources), support=named)


def _measure(entry, sources):
    """A measure with the objects that it names."""
    kinds = claim_measures.KINDS
    if entry["kind"] not in kinds:
        raise ValueError(f"kind is {entry['kind']!r}, one of {', '.join(kinds)} was expected")
    needed = {"data", *kinds[entry["kind"]][1]}
    absent, unknown = needed - set(entry), {*entry, *entry.get("else", ())} - needed - {"kind", "else"}
    if absent or unknown:
        wrong = f"lacks {', '.join(sorted(absent))}" if absent else f"knows no {', '.join(sorted(unknown))}"
        raise ValueError(f"a measure of kind {entry['kind']} {wrong}")
    words = {"metric": tuple(curves.METRICS), "statistic": claim_measures.STATISTICS}
    words.update(dict.fromkeys(("rate", "quality"), claim_measures.RANGE))
    for part in (entry, *(value for value in entry.values() if isinstance(value, dict))):
        for name in (name for name in words if isinstance(part.get(name), str) and part[name] not in words[name]):
            raise ValueError(f"{name} is {part[name]!r}, one of {', '.join(words[name])} was expected")
    found = dict(entry)
    for name in {"of", "over"} & set(entry):
        found[name] = _named(entry[name], "methods", sources)
    if "figure" in entry:
        found["figure"] = _named(entry["figure"], "figures", sources)
    found["data"] = tuple(
        tuple(_named(name, "data", sources) for name in ([names] if isinstance(names, str) else names))
        for names in entry["data"]
    )
    return found


def _named(name, kind, sources):
    if name not in sources[kind]:
        raise ValueError(f"{name!r} is none of the file's {kind}: {', '.join(sources[kind])}")
    return sources[kind][name]


# ---------------------------------------------------------------------------------------------------------------------
# Checking.


def _check(claim, found):
    """The `Checked` of a claim, by the first of its data sets, and of its ways to measure, that has a value."""
    if claim.measure is None:
        return Checked(claim, "not measured", missing=claim.not_measurable, explanation=claim.explanation)
    ways = [claim.measure] + ([{**claim.measure, **claim.measure["else"]}] if "else" in claim.measure else [])
    failed = []
    for data in claim.measure["data"]:
        for way in ways:
            try:
                sample = claim_measures.KINDS[way["kind"]][0](found, way, data)
                value, (low, high) = sample.value, sample.interval()
            except evidence.Missing as missing:
                failed.append((missing, data))
                continue
            images, steps = (" and ".join(map(str, numbers)) for numbers in (sample.counts, sample.steps))
            result = verdict(claim, value, low, high, comparable=way is claim.measure)
            told = {"explanation": _explanation(claim, result, found, data), "commands": claim.commands(data)}
            return Checked(claim, result, value, low, high, images, sample.data, steps, **told)
    # The data set that lacks least; of those that lack as much the last, which is the easiest to have.
    most = max(missing.found for missing, _ in failed)
    data = [data for missing, data in failed if missing.found == most][-1]
    reason = next(str(missing) for missing, of in failed if of is data and missing.found == most)
    told = {"explanation": _explanation(claim, "not measured"), "commands": claim.commands(data)}
    return Checked(claim, "not measured", missing=f"{reason}.", **told)


def _explanation(claim, result, found=None, data=()):
    """The explanation of a verdict that was found on `data`.

    One with support is told where the claim failed and all of the support was measured: on the same data, or on the
    first of its own that has it.
    """
    if not claim.support:
        return claim.explanation
    if result not in FAILED:
        return ""
    places = ((data,) if m["data"] == claim.measure["data"] else m["data"] for m, _ in claim.support)
    texts = [_supporting(measure, unit, found, at) for (measure, unit), at in zip(claim.support, places)]
    return claim.explanation.format(*texts) if all(texts) else ""


def _supporting(measure, unit, found, places):
    """What was measured in support of an explanation, on the first data that has it; None if none has."""
    for data in places:
        try:
            sample = claim_measures.KINDS[measure["kind"]][0](found, measure, data)
            return _with_interval(sample.value, *sample.interval(), unit)
        except evidence.Missing:
            continue
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Showing.


def _with_interval(value, low, high, unit):
    value, low, high = (tables.Cell(number, _DIGITS[unit], signed=True).text for number in (value, low, high))
    return f"{value}{' ' if unit else ''}{unit} [{low}, {high}]"


def _document(each):
    """A `Checked` as JSON has it."""
    claim = each.claim
    found = {name: getattr(each, name) for name in ("value", "low", "high", "images", "data", "steps")}
    return {
        **{name: getattr(claim, name) for name in ("id", "paper", "statement", "source", "headline", "better")},
        "published": {k: v for k, v in dataclasses.asdict(claim.published).items() if v is not None},
        "measured": {**found, "unit": claim.published.unit} if each.value is not None else None,
        "verdict": each.verdict,
        "missing": each.missing,
        "explanation": each.explanation,
        "commands": list(each.commands),
    }


def _define_flags():
    flags.DEFINE_list("results", [str(RESULTS)], "Folders with results and figures' numbers, however deep inside.")
    flags.DEFINE_string("out", "runs/claims", "Folder for the tables (CSV, Markdown) and claims.json.")


def _main(argv):
    del argv
    values = flags.FLAGS
    try:
        checked = check(values.results)
        write(checked, values.out)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    for each in (*(table(checked, paper) for paper in PAPERS), overview(checked)):
        console.print(tables.to_terminal(each))
    print(f"Written: {Path(values.out) / 'claims.json'}, and the tables beside it")


if __name__ == "__main__":
    _define_flags()
    app.run(_main)
