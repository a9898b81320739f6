"""Claims: the shipped file is whole, verdicts follow their rules, and what is missing is said."""

import csv
import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dsin_tf.data
from dsin_tf import zoo
from eval import claim_measures, claims, evidence, published_numbers, rd_results, tables
from eval.rd_results import ImagePoints
from tests.eval.claim_cases import lines

SHIPPED = claims.load()
ROOT = Path(__file__).parents[2]

FILE = {
    "methods": {
        "a": {"method": "a", "commands": ["run a DATA --out=RUN/DATASET/a"]},
        "b": {"method": "b", "commands": []},
    },
    "figures": {"f": {"file": "f*.json", "commands": ["draw f DATA"]}},
    "data": {
        "large": {"meta": {"dataset": "large"}, "flags": "--dataset=large --data_dir=DIR"},
        "made_up": {"meta": {"dataset": "made_up"}, "flags": "--dataset=made_up"},
    },
    "claims": [],
}
GAIN = {"kind": "gain", "of": "a", "over": "b", "metric": "psnr-rgb", "rate": "mean", "data": ["large", "made_up"]}


def entry(**changes):
    found = {
        "id": "a_over_b",
        "paper": "dsin",
        "statement": "A is better than B.",
        "source": "Fig. 1",
        "published": {"text": "+1 dB", "value": 1, "unit": "dB"},
        "better": "positive",
        "measure": GAIN,
        **changes,
    }
    return {key: value for key, value in found.items() if value is not None}


def read(folder, *entries, file=FILE):
    path = folder / "the_claims.json"
    path.write_text(json.dumps({**file, "claims": entries}))
    return claims.load(path)


def measured(folder, a=(31, 37), b=(30, 36), **meta):
    """Saves results of methods a and b; images differ."""
    for method, values in (("a", a), ("b", b)):
        made = lines(method, (0.1, 0.4), values, shifts=(0, 1, 2) if method == "a" else (0.1, 1, 2), **meta)
        rd_results.save(made, folder / f"{method}_{len(list(folder.glob('*')))}.json")


# ---------------------------------------------------------------------------------------------------------------------
# The shipped file.


def test_every_claim_has_a_name_of_its_own_a_source_and_a_command():
    assert len({claim.id for claim in SHIPPED}) == len(SHIPPED)
    assert all(claim.id.startswith(claim.paper) for claim in SHIPPED)
    for paper in claims.PAPERS:
        assert sum(claim.headline for claim in SHIPPED if claim.paper == paper) == 1
    for claim in SHIPPED:
        for data in claim.measure["data"] if claim.measure else ():
            commands = claim.commands(data)
            assert commands, claim.id
            for command in commands:
                module = re.match(r"(?:cp -r dsin_tf/zoo/\S+ RUN/\S+|python -m experiments\.(\w+) )", command)
                assert module, command
                assert module[1] is None or (ROOT / "experiments" / f"{module[1]}.py").is_file(), command
                for name in re.findall(r"[a-z0-9_]+(?:-[a-z0-9_]+)*-small-[0-9.]*[0-9]", command):
                    assert name in zoo.names(), command
                assert not re.search(r"\bDATA(SET)?\b", command), command


def test_every_kind_of_measure_is_used():
    assert {claim.measure["kind"] for claim in SHIPPED if claim.measure} == set(claim_measures.KINDS)


# Of Cityscapes by their words; or in a metric that Street's 128x256 are too small for, or of rates that mean nothing
# there, since a file's header alone takes more.
NOT_ON_STREET = re.compile("ndic_cityscapes_.*|multichannel_(fusion|fusion_8|li)_cmssim|dsin_lowest_rate_.*")


def test_street_is_the_last_choice_wherever_it_can_be_measured_on():
    for claim in SHIPPED:
        if claim.measure:
            on_street = {each.meta["dataset"].startswith("street") for each in claim.measure["data"][-1]}
            assert (True in on_street) != bool(NOT_ON_STREET.fullmatch(claim.id)), claim.id


@pytest.mark.parametrize("name", ["street", "street_general", "street_sets"])
def test_street_is_known_by_what_results_say_of_it(name):
    chosen = [each for claim in SHIPPED if claim.measure for row in claim.measure["data"] for each in row]
    known = next(each for each in chosen if each.name == name)
    source = dsin_tf.data.load(name, "test", limit=1)
    source = dsin_tf.data.chains.Flat(source) if source.kind == "sets" else source
    assert known.fits({"dataset": source.name, "split": source.split, "protocol": "native"})
    assert f"--dataset={name} " in known.flags


# Claims whose published number is not printed but lies on published curves, and the curves' data set.
ON_CURVES = {
    **dict.fromkeys(("ndic_over_dsin", "ndic_balle2018_over_dsin", "ndic_over_dsin_psnr"), ("ndic", "kitti_stereo")),
    **{f"ndic_over_{name}": ("ndic", "kitti_stereo") for name in ("bpg_psnr", "bpg_ms_ssim")},
    **{
        f"ndic_over_balle{year}_{key}": ("ndic", "kitti_stereo") for year in (2017, 2018) for key in ("psnr", "ms_ssim")
    },
    "ndic_over_jpeg2000": ("ndic_preprint", "kitti_stereo"),
    **dict.fromkeys(("ndic_cityscapes_psnr", "ndic_cityscapes_ms_ssim"), ("ndic", "cityscapes")),
    **dict.fromkeys(("ndic_cam_over_ndic", "ndic_cam_over_dsin"), ("ndic_cam", "kitti_stereo")),
    **{
        f"dsc_msf_over_{name}_{key}": ("dsc_msf", "kitti_scenes")
        for name in ("codec", "lee2019", "jpeg2000", "bpg")
        for key in ("psnr", "ms_ssim")
    },
    "dsc_msf_ien_over_grdn": ("dsc_msf", "kitti_scenes"),
}
AS_PUBLISHED = {"lee2019-no_context": "lee2019", "dsc_msf-grdn_lite": "dsc_msf_grdn"}


@pytest.mark.parametrize("name", ON_CURVES)
def test_numbers_off_published_curves_are_what_the_same_measure_gives_there(name):
    (claim,) = (claim for claim in SHIPPED if claim.id == name)
    paper, dataset = ON_CURVES[name]
    about = {"split": None, "protocol": "published", "rate": "estimated", "data_digest": None}
    curves = [
        dataclasses.replace(
            curve, meta={**curve.meta, **about}, images=[ImagePoints(i, 1, 1, curve.results) for i in "ab"]
        )
        for curve in published_numbers.curves(paper, dataset, claim.measure["metric"])
    ]
    way = dict(claim.measure)
    for arm in ("of", "over"):
        method = AS_PUBLISHED.get(way[arm].method, way[arm].method)
        way[arm] = evidence.Method(method, method)
    data = (evidence.DataSet(dataset, {"dataset": dataset}),)
    found = claim_measures.KINDS[way["kind"]][0](evidence.Evidence(tuple(curves)), way, data).value
    assert claim.published.value == pytest.approx(found, rel=0.01)


def test_other_numbers_are_those_that_are_printed():
    numbers = {claim.id: claim.published for claim in SHIPPED}
    (rates,) = (t for t in published_numbers.tables("dsin") if t.title.startswith("Rate at equal"))
    for name, (_, without, with_side, saved) in zip(("093", "094"), rates.rows):
        published = numbers[f"dsin_rate_saving_{name}"]
        assert published.value == saved
        assert f"{with_side:g} for {without:g} bpp" in published.text
    (weights,) = (t for t in published_numbers.tables("ndic") if t.title.startswith("Rate at similar"))
    rates = {f"{alpha:g}_{beta:g}": rate for alpha, beta, rate in weights.rows}
    for other in ("1_1", "0_0", "0_1"):
        expected = 100 * (1 - rates["1_0.001"] / rates[other])
        assert numbers[f"ndic_alpha_beta_{other}"].value == pytest.approx(expected, abs=0.06)
    (poster,) = (t for t in published_numbers.tables("multichannel") if "MSE" in t.columns)
    rows = {row[0]: dict(zip(poster.columns, row)) for row in poster.rows}
    heads = {"psnr": "PSNR (dB)", "mse": "MSE", "ssim": "SSIM", "cmssim": "CMSSIM", "lab": "Lab", "angle": "RGB angle"}
    for start, row in (("multichannel_fusion", "Without fusion"), ("multichannel_li", "[7]")):
        for word, head in heads.items():
            if f"{start}_{word}" in numbers:
                expected = rows["With fusion"][head] - rows[row][head]
                assert numbers[f"{start}_{word}"].value == pytest.approx(expected, abs=1e-9)
    known = {name for name, published in numbers.items() if published.value is not None} - set(ON_CURVES)
    assert all(re.match("dsin_rate_saving_09|ndic_alpha_beta|multichannel_(fusion|li)_", name) for name in known)


@pytest.fixture(scope="module")
def shipped():
    return {each.claim.id: each for each in claims.check([claims.RESULTS])}


def test_what_is_shipped_gives_finite_values_inside_their_intervals(shipped):
    assert list(shipped) == [claim.id for claim in SHIPPED]
    for each in shipped.values():
        assert each.verdict in claims.VERDICTS
        if each.value is None:
            assert each.missing
            assert each.verdict == "not measured"
        else:
            assert all(map(math.isfinite, (each.value, each.low, each.high)))
            assert each.low <= each.value <= each.high
            assert each.data


def test_what_is_shipped_says_what_its_bd_rates_and_correlations_say(shipped):
    bd = json.loads((claims.RESULTS / "ndic_figures" / "bd_psnr-rgb_kitti_small_test_native.json").read_text())
    for year in (2017, 2018):
        expected = -bd["measured"][f"NDIC (Ballé {year})"][f"Ballé {year}"]
        assert shipped[f"ndic_over_balle{year}_psnr"].value == pytest.approx(expected)
    found = shipped["dsin_right_y"]
    assert (found.images, found.data, found.steps) == ("34", "kitti_small test", "2500")
    checks = json.loads((claims.RESULTS / "ndic_figures" / "y_check_kitti_small.json").read_text())["models"]
    gains = [model["psnr-rgb"]["true - wrong"] for model in checks if model["model"] == "dsin"]
    assert found.value == pytest.approx(sum(gains) / len(gains))


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts.


def claim(better="positive", **published):
    return claims.Claim("c", "dsin", "s", "Fig. 1", claims.Published("+1", **published), better)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, "reproduced"),
        (0.0, 0.3, "not seen"),
        (-0.1, 0.3, "not seen"),
        (-0.3, 0.0, "not seen"),
        (-0.3, -0.1, "contradicted"),
        (0.0, 0.0, "not seen"),
    ],
)
def test_the_verdict_on_a_claim_without_a_number_follows_the_side_of_the_interval(low, high, verdict):
    middle = (low + high) / 2
    assert claims.verdict(claim(), middle, low, high) == verdict
    assert claims.verdict(claim("negative"), -middle, -high, -low) == verdict
    nothing = "contradicted" if low > 0 else "reproduced"
    assert claims.verdict(claim("none"), middle, low, high) == nothing


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.49, "same sign"), (0.5, "reproduced"), (2.0, "reproduced"), (2.01, "same sign")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_published_number_is_reproduced_within_a_factor_of_two(value, verdict, sign):
    expected = claim("positive" if sign > 0 else "negative", value=1.0 * sign)
    interval = sorted((0.4 * sign, 2.1 * sign))
    assert claims.verdict(expected, value * sign, *interval) == verdict
    assert claims.verdict(expected, -value * sign, *sorted((-0.4 * sign, -2.1 * sign))) == "contradicted"
    assert claims.verdict(claim(value=-1.0), value, 0.4, 2.1) == "same sign"  # published on the other side


def test_a_published_range_is_reproduced_where_it_overlaps_the_interval():
    expected = claim(low=10.0, high=50.0)
    assert claims.verdict(expected, 8, 6, 10) == "reproduced"
    assert claims.verdict(expected, 8, 6, 9.9) == "same sign"
    assert claims.verdict(expected, 55, 50, 60) == "reproduced"
    assert claims.verdict(expected, 55, 50.1, 60) == "same sign"


def test_what_was_measured_elsewhere_is_not_compared_with_a_published_number():
    assert claims.verdict(claim(value=1.0), 1.0, 0.9, 1.1, comparable=False) == "same sign"
    assert claims.verdict(claim(low=0.5, high=2.0), 1.0, 0.9, 1.1, comparable=False) == "same sign"
    assert claims.verdict(claim(), 1.0, 0.9, 1.1, comparable=False) == "reproduced"


# ---------------------------------------------------------------------------------------------------------------------
# Checking.


def test_a_claim_is_checked_on_the_first_of_its_data_sets_that_was_measured(tmp_path):
    measured(tmp_path)
    (made,) = claims.check([tmp_path], read(tmp_path, entry()))
    assert (made.verdict, made.images, made.steps) == ("reproduced", "3", "10")
    assert made.value == pytest.approx(1 - 0.1 / 3)
    assert (made.low, made.high) == pytest.approx((0.9, 1))
    assert made.data == "made_up test, at 0.100–0.400 bpp"
    assert made.commands == ("run a --dataset=made_up --out=RUN/made_up/a",)
    measured(tmp_path, (36, 42), dataset="large")
    (made,) = claims.check([tmp_path], read(tmp_path, entry()))
    assert made.value == pytest.approx(6 - 0.1 / 3)
    assert made.verdict == "same sign"
    assert made.commands == ("run a --dataset=large --data_dir=DIR --out=RUN/large/a",)


def test_images_may_have_a_codec_made_in_another_way(tmp_path):
    other = {**FILE["data"]["made_up"], "commands": {"a": ["make a", "run it DATA"]}}
    file = {**FILE, "data": {**FILE["data"], "made_up": other}}
    measured(tmp_path)
    (made,) = claims.check([tmp_path], read(tmp_path, entry(), file=file))
    assert made.commands == ("make a", "run it --dataset=made_up")


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    (made,) = claims.check([tmp_path], read(tmp_path, entry()))
    assert (made.verdict, made.value, made.missing) == ("not measured", None, "a, b not measured on made_up.")
    rd_results.save(lines("b", (0.1, 0.4), (1, 2), dataset="large"), tmp_path / "b.json")
    (made,) = claims.check([tmp_path], read(tmp_path, entry()))
    assert made.missing == "a not measured on large."
    assert made.commands == ("run a --dataset=large --data_dir=DIR --out=RUN/large/a",)
    drawn = {"kind": "values", "figure": "f", "first": "x", "second": "y", "statistic": "difference", "data": ["large"]}
    (made,) = claims.check([tmp_path], read(tmp_path, entry(measure=drawn)))
    assert made.missing == "no f*.json of large."
    assert made.commands == ("draw f --dataset=large --data_dir=DIR",)
    (made,) = claims.check([tmp_path], read(tmp_path, entry(measure=None, not_measurable="Nobody can.")))
    assert (made.verdict, made.missing, made.commands) == ("not measured", "Nobody can.", ())


def test_another_way_to_measure_is_taken_where_the_first_has_no_value(tmp_path):
    measured(tmp_path)
    way = {**GAIN, "rate": [0.2], "else": {"rate": "low"}}
    (first,) = claims.check([tmp_path], read(tmp_path, entry(measure=way)))
    (second,) = claims.check([tmp_path], read(tmp_path, entry(measure={**way, "rate": [0.05]})))
    assert (first.data, first.verdict) == ("made_up test, at 0.200 bpp", "reproduced")
    assert (second.data, second.verdict) == ("made_up test, at 0.100 bpp", "same sign")
    (none,) = claims.check([tmp_path], read(tmp_path, entry(measure={**way, "rate": [0.05], "else": {"rate": [5.0]}})))
    assert none.missing == "A and B share no rate and PSNR of an image on made_up."


# ---------------------------------------------------------------------------------------------------------------------
# Damaged files.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ""}, "source is empty"),
        ({"published": {"text": ""}}, "the text of published is empty"),
        ({"published": None}, "'published' is missing"),
        ({"paper": "dsinn"}, "paper is 'dsinn', one of dsin, ndic"),
        ({"better": "up"}, "better is 'up', one of positive"),
        ({"colour": "red"}, "'colour'"),
        ({"measure": None}, "either measure or not_measurable"),
        ({"not_measurable": "why"}, "either measure or not_measurable"),
        ({"measure": {**GAIN, "kind": "loss"}}, "kind is 'loss', one of gain"),
        ({"measure": {**GAIN, "of": "c"}}, "'c' is none of the file's methods: a, b"),
        ({"measure": {**GAIN, "data": ["made_up", "small"]}}, "'small' is none of the file's data"),
        ({"measure": {**GAIN, "metric": "psnr"}}, "metric is 'psnr', one of psnr-rgb"),
        ({"measure": {**GAIN, "rate": "lowest"}}, "rate is 'lowest', one of low, high, mean"),
        ({"measure": {**GAIN, "else": {"rate": "lowest"}}}, "rate is 'lowest'"),
        ({"measure": {k: v for k, v in GAIN.items() if k != "rate"}}, "a measure of kind gain lacks rate"),
        ({"measure": {**GAIN, "quality": 3}}, "a measure of kind gain knows no quality"),
    ],
)
def test_a_damaged_entry_is_named(tmp_path, changes, message):
    with pytest.raises(claims.ClaimError, match=rf"the_claims\.json: claim 'a_over_b': .*{re.escape(message)}"):
        read(tmp_path, entry(**changes))


def test_a_damaged_file_is_named(tmp_path):
    with pytest.raises(claims.ClaimError, match="claim 'a_over_b': this id comes twice"):
        read(tmp_path, entry(), entry())
    with pytest.raises(claims.ClaimError, match="claim 'number 0': "):
        read(tmp_path, entry(id=None))
    for text in ("{", "[]", '{"methods": {}}', json.dumps({**FILE, "methods": {"a": {"commands": [], "name": "x"}}})):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(claims.ClaimError, match=r"other\.json: is no file of claims"):
            claims.load(tmp_path / "other.json")


# ---------------------------------------------------------------------------------------------------------------------
# Explanations.

SUPPORT = {"measure": {**GAIN, "of": "b", "over": "a"}, "unit": "dB"}
WITH_SUPPORT = {"explanation": "B is better by {0}.", "support": [SUPPORT]}


def explained(folder, a, b=(30, 36), **changes):
    measured(folder, a, b)
    (found,) = claims.check([folder], read(folder, entry(**{**WITH_SUPPORT, **changes})))
    return found.verdict, found.explanation


def test_an_explanation_quotes_what_was_measured_in_its_support(tmp_path):
    # Of three images the methods differ by -0.9 dB once and by -1 dB twice.
    told = explained(tmp_path, (29, 35))
    assert told == ("contradicted", "B is better by +1.03 dB [+1.00, +1.10].")


def test_an_explanation_with_support_is_not_told_where_the_claim_holds(tmp_path):
    assert explained(tmp_path, (31, 37)) == ("reproduced", "")


@pytest.mark.parametrize("missing", [{"over": "b", "metric": "ssim"}, {"data": ["large"]}])
def test_an_explanation_is_not_told_where_its_support_was_not_measured(tmp_path, missing):
    support = [SUPPORT, {"measure": {**SUPPORT["measure"], **missing}, "unit": "dB"}]
    assert explained(tmp_path, (29, 35), support=support) == ("contradicted", "")


def test_support_may_be_of_data_of_its_own(tmp_path):
    support = [{"measure": {**SUPPORT["measure"], "data": ["large"]}, "unit": "dB"}]
    (tmp_path / "large").mkdir()
    measured(tmp_path / "large", (27, 33), dataset="large")
    claim = entry(**{**WITH_SUPPORT, "support": support, "measure": {**GAIN, "data": ["made_up"]}})
    measured(tmp_path, (29, 35))
    (found,) = claims.check([tmp_path], read(tmp_path, claim))
    assert found.explanation == "B is better by +3.03 dB [+3.00, +3.10]."


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"explanation": "It is so."}, "the explanation has no {0}"),
        ({"support": [{"measure": SUPPORT["measure"]}]}, "'unit' is missing"),
        ({"support": [{"measure": {**GAIN, "kind": "odd"}, "unit": ""}]}, "kind is 'odd'"),
    ],
)
def test_wrong_support_is_named(tmp_path, changes, match):
    with pytest.raises(claims.ClaimError, match=re.escape(match)):
        read(tmp_path, entry(**{**WITH_SUPPORT, **changes}))


# ---------------------------------------------------------------------------------------------------------------------
# Tables.


@pytest.fixture
def checked(tmp_path):
    measured(tmp_path)
    return claims.check(
        [tmp_path],
        read(
            tmp_path,
            entry(headline=True, explanation="Because."),
            entry(id="b_over_a", better="negative", published={"text": "less", "unit": "dB"}),
            entry(id="other", paper="ndic", measure=None, not_measurable="Nobody can."),
        ),
    )


def test_a_paper_s_table_has_a_row_for_each_of_its_claims(checked):
    table = claims.table(checked, "dsin")
    assert [row.labels for row in table.rows] == [("A is better than B.",)] * 2
    cells = dict(zip(table.columns, table.rows[0].cells))
    assert {name: cell.text for name, cell in cells.items()} == {
        "published": "+1 dB",
        "source": "Fig. 1",
        "measured": "+0.97 dB [+0.90, +1.00]",
        "images": "3",
        "data": "made_up test, at 0.100–0.400 bpp",
        "steps": "10",
        "verdict": "reproduced",
    }
    assert cells["measured"].note == "Because."
    assert cells["verdict"].note == "Measured again by: run a --dataset=made_up --out=RUN/made_up/a"
    assert len(claims.table(checked).rows) == 3
    (row,) = claims.table(checked, "ndic").rows
    assert [cell.text for cell in row.cells] == ["+1 dB", "Fig. 1", "–", "–", "–", "–", "not measured"]
    assert row.cells[2].note == "Nobody can."


def test_the_overview_shows_headlines_and_counts_verdicts(checked):
    table = claims.overview(checked)
    assert [row.labels for row in table.rows] == [("DSIN", "A is better than B.")]
    assert dict(zip(table.columns, (cell.text for cell in table.rows[0].cells))) == {
        "published": "+1 dB",
        "measured": "+0.97 dB [+0.90, +1.00]",
        "verdict": "reproduced",
        "reproduced": "1",
        "same sign": "0",
        "not seen": "0",
        "contradicted": "1",
        "not measured": "0",
    }


def test_the_command_writes_all_tables_and_numbers(tmp_path):
    run = [sys.executable, "-m", "eval.claims", f"--out={tmp_path / 'out'}"]
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run([*run, f"--results={empty}"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Side information at the decoder saves rate" in done.stdout
    assert "What was reproduced" in done.stdout
    content = json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert [each["id"] for each in content] == [claim.id for claim in SHIPPED]
    assert {each["verdict"] for each in content} == {"not measured"}
    for paper in claims.PAPERS:
        rows = list(csv.DictReader((tmp_path / "out" / f"claims_{paper}.csv").open(encoding="utf-8")))
        assert [row["claim"] for row in rows] == [claim.statement for claim in SHIPPED if claim.paper == paper]
    assert (tmp_path / "out" / "claims.md").read_text(encoding="utf-8").startswith("**What was reproduced**")
    missing = subprocess.run([*run, "--results=nowhere"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert missing.stderr.strip().endswith(
        "nowhere: is no folder; one that holds results was expected. Name one that is there."
    )


def test_what_is_written_holds_the_numbers(checked, tmp_path):
    claims.write(checked, tmp_path / "out")
    first, second, third = json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert first["measured"]["value"] == pytest.approx(1 - 0.1 / 3)
    assert first["published"] == {"text": "+1 dB", "value": 1, "unit": "dB"}
    assert second["verdict"] == "contradicted"
    assert third["measured"] is None
    assert tables.to_markdown(claims.table(checked, "dsin")) == (tmp_path / "out" / "claims_dsin.md").read_text("utf-8")
