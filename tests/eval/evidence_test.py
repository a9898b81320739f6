"""What claims are checked with is found by what it says of itself, and never mixed."""

import dataclasses
import json

import pytest

from eval import evidence, rd_results
from tests.eval.claim_cases import DATA, A, B, lines

RATES, PSNR = (0.1, 0.2), (30.0, 33.0)


def test_results_are_found_in_any_folder_under_any_name(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    rd_results.save(lines("a", RATES, PSNR), tmp_path / "deep" / "er" / "results.json")
    rd_results.save(lines("b", RATES, PSNR), tmp_path / "whatever.json")
    (tmp_path / "config.json").write_text("[1, 2]")
    (tmp_path / "notes.txt").write_text("{")
    found = evidence.load([tmp_path]).results_of((A, B), DATA)
    assert [r.meta["method"] for r in found] == ["a", "b"]


def test_a_damaged_file_and_a_folder_that_is_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: is no folder"):
        evidence.load([tmp_path / "nowhere"])
    (tmp_path / "broken.json").write_text('{"meta": ')
    with pytest.raises(rd_results.ResultError, match=r"broken\.json: is not JSON"):
        evidence.load([tmp_path])
    (tmp_path / "broken.json").write_text('{"meta": {}, "results": {"bpp": []}}')
    with pytest.raises(rd_results.ResultError, match=r"broken\.json.*'name'"):
        evidence.load([tmp_path])


def test_settings_tell_results_of_one_method_apart():
    l1, ms_ssim = (lines("a", RATES, PSNR, settings={"distortion": d}) for d in ("mae", "ms-ssim"))
    found = evidence.Evidence((l1, ms_ssim))
    for wanted, settings in ((l1, {"distortion": "mae"}), (ms_ssim, {"distortion": "ms-ssim"})):
        assert found.results_of((evidence.Method("a", "a", settings),), DATA) == [wanted]
    with pytest.raises(evidence.Missing, match="2 results of a on made_up fit"):
        found.results_of((A,), DATA)


def test_a_sweep_counts_and_not_its_runs():
    run, sweep = lines("a", RATES[:1], PSNR[:1]), lines("a", RATES, PSNR)
    assert evidence.Evidence((run, sweep, run)).results_of((A,), DATA) == [sweep]


@pytest.mark.parametrize(
    "other", [{"data_digest": "e"}, {"rate": "estimated"}, {"split": "val"}, {"protocol": "dsin"}], ids=str
)
def test_results_of_other_images_or_other_rates_are_not_compared(other):
    found = evidence.Evidence((lines("a", RATES, PSNR), lines("b", RATES, PSNR, **other)))
    with pytest.raises(evidence.Missing, match="^[ab] not measured on made_up$") as missing:
        found.results_of((A, B), DATA)
    assert missing.value.found == 1


def test_what_is_absent_is_named():
    with pytest.raises(evidence.Missing, match="^a, b not measured on made_up$") as missing:
        evidence.Evidence().results_of((A, B), DATA)
    assert missing.value.found == 0
    elsewhere = lines("a", RATES, PSNR, dataset="kodak")
    published = dataclasses.replace(lines("a", RATES, PSNR), images=[])
    with pytest.raises(evidence.Missing, match="^a not measured"):
        evidence.Evidence((elsewhere, published)).results_of((A,), DATA)


def test_of_a_data_set_in_two_forms_the_one_with_more_images_counts():
    few, many = (lines("a", RATES, PSNR, shifts=[0.0] * n, data_digest=f"{n}") for n in (2, 5))
    assert evidence.Evidence((few, many)).results_of((A,), DATA) == [many]


# ---------------------------------------------------------------------------------------------------------------------
# Numbers of figures.

RUNS = {
    "dataset": "made_up",
    "protocol": "native",
    "table": {},
    "runs": [
        {"beta": 1.0, "settings": {"steps": 7}, "images": [{"image": "one", "bpp": 1}, {"image": "two", "bpp": 2}]},
        {"beta": 0.001, "settings": {"steps": 9}, "images": [{"image": "one", "bpp": 3}]},
        {"beta": 0.001, "settings": {"steps": 9}, "images": [{"image": "one", "bpp": 6}, {"image": "two", "bpp": 0}]},
    ],
}
FIGURE = evidence.Figure("runs", "runs*.json")


def test_numbers_are_read_along_a_path_and_averaged_over_what_fits(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "runs_of_today.json").write_text(json.dumps(RUNS))
    found = evidence.load([tmp_path])
    read = found.values_of(FIGURE, "runs[beta=0.001]/images/bpp", DATA)
    assert read == ({"one": 4.5, "two": 0.0}, RUNS, (9,))
    assert found.values_of(FIGURE, "runs[beta=1]/images/bpp", DATA)[0] == {"one": 1.0, "two": 2.0}
    assert found.values_of(FIGURE, "runs/images/bpp", DATA)[::2] == ({"one": 10 / 3, "two": 1.0}, (7, 9))


def test_a_figure_may_say_in_its_models_what_it_is_of():
    about = {"dataset": "made_up", "protocol": "native"}
    document = {"models": [{**about, "model": "x", "images": [{"image": "one", "psnr": {"true y": 3.5}}]}]}
    found = evidence.Evidence(figures=(("runs.json", document),))
    assert found.values_of(FIGURE, "models[model=x]/images/psnr/true y", DATA)[0] == {"one": 3.5}


def test_missing_numbers_are_named_with_their_path():
    found = evidence.Evidence(figures=(("runs.json", RUNS), ("runs_2.json", {"models": []})))
    with pytest.raises(evidence.Missing, match=r"runs\*\.json of made_up has no number.*at runs/images/colour"):
        found.values_of(FIGURE, "runs/images/colour", DATA)
    with pytest.raises(evidence.Missing, match=r"no number"):
        found.values_of(FIGURE, "runs[beta=2]/images/bpp", DATA)
    with pytest.raises(evidence.Missing, match=r"no runs\*\.json of kodak"):
        found.values_of(FIGURE, "runs/images/bpp", evidence.DataSet("kodak", {"dataset": "kodak"}))
    with pytest.raises(evidence.Missing, match=r"no other\.json of made_up"):
        found.values_of(evidence.Figure("other", "other.json"), "runs/images/bpp", DATA)
