"""The plan of every paper can be run: its steps name drivers' flags, hold what claims need, and come in order."""

import itertools
import shlex

import numpy as np
import pytest

from dsin_tf import models
from eval import claims, tables
from experiments import plans, trainings
from tests.eval.exhibits_test import figures_of, flags_of

EVERYTHING = {what: f"DIR/{what}" for what in ("kitti_small", "kitti", "cityscapes", "kodak", "photographs", "lists")}
PLANS = {
    (paper, scale, at_hand): plans.of_paper(paper, scale, found, "runs/here")
    for paper, scale, (at_hand, found) in itertools.product(
        claims.PAPERS, trainings.SCALES, {"all": EVERYTHING, "nothing": {}}.items()
    )
    if found or scale == "small"
}
each_plan = pytest.mark.parametrize("key", PLANS, ids="-".join)


@each_plan
def test_every_step_has_flags_that_its_driver_knows(key):
    for each in PLANS[key]:
        known = flags_of(f"experiments.{each.step.driver}")
        given = [flag.removeprefix("--").partition("=")[0] for flag in each.step.flags]
        assert set(given) <= known, each.step.command
        assert len(set(given)) == len(given), each.step.command
        if "--figure" in each.step.command:
            assert each.figure in figures_of(f"experiments.{each.step.driver}")


@each_plan
def test_steps_need_only_what_comes_before(key):
    done = set()
    for step in (each.step for each in PLANS[key]):
        assert step.name not in done
        assert set(step.needs) <= done
        done.add(step.name)


@each_plan
def test_a_step_reads_only_what_one_that_it_needs_has_written(key):
    written = {each.step.name: each.step.out for each in PLANS[key] if each.runs}
    for step in (each.step for each in PLANS[key] if not each.figure):
        read = [flag.partition("=")[2] for flag in step.flags if flag.startswith(("--init_from=", "--workdir="))]
        own = str(written.get(step.name, step.out))
        assert {place for place in read if place != own} <= {
            str(written[name]) for name in step.needs if name in written
        }


@each_plan
def test_the_plan_measures_every_method_that_claims_name(key):
    paper, measured = key[0], {method for each in PLANS[key] for method in each.methods if not each.runs}
    for claim in (claim for claim in claims.load() if claim.paper == paper and claim.measure):
        named = {claim.measure[word].name for word in ("of", "over") if word in claim.measure}
        assert named <= measured, claim.id
        if "figure" in claim.measure:
            assert any(claim in plans.claims_of(paper, each) for each in PLANS[key] if each.figure), claim.id


def test_evaluation_leaves_its_results_where_the_plan_looks_for_them():
    steps = {each.step.name: each.step for each in PLANS["dsc_msf", "small", "all"]}
    in_place = steps["no_ien, no_ir: on kitti_scenes"]
    assert "--ablation=no_ir" in in_place.flags
    assert str(in_place.out) == "runs/here/no_ien/results-no_ir.json"
    elsewhere = next(each.step for each in PLANS["dsin", "small", "all"] if each.step.name == "cpm: on street_general")
    assert "--out=runs/here/on_street_general/cpm" in elsewhere.flags
    assert str(elsewhere.out) == "runs/here/on_street_general/cpm/results.json"


def test_pictures_of_a_method_are_those_of_one_training():
    for key, plan in PLANS.items():
        kept = [
            (each.methods[0].partition(" ")[0], flag)
            for each in plan
            for flag in each.step.flags
            if flag.startswith("--pictures_dir=")
        ]
        assert len(set(kept)) == len(kept), key


def test_hours_and_disk_are_summed():
    plan = plans.of_paper("dsin", "paper", {"kitti": "DIR"}, "runs/here")
    table = plans.table("dsin", "paper", plan)
    (whole,) = (row for row in table.rows if row.labels == ("all",))
    # dsin, no_mask, no_si, raw_y and dsin for MS-SSIM at four rates, a day each; their two first stages besides
    assert [cell.value for cell in whole.cells[:2]] == [28, 5 * 4 * 24]
    assert "those of 8 runs are not known" in table.note
    one = 4 * 9 / 1e9  # GB of a parameter: float32, in a model and two checkpoints of four each
    assert whole.cells[2].value == pytest.approx(one * (8 * 10_057_147 + 20 * 10_132_990))
    (base,) = (row for row in table.rows if row.labels == ("base: training",))
    assert base.cells[1] == tables.Cell(None, 1)


@pytest.mark.parametrize("model", ["balle2017", "ndic_balle2018"])
def test_parameters_are_those_of_the_models(model):
    weights = models.create(model, "small").weights
    assert plans.PARAMETERS[model][0] == sum(int(np.prod(weight.shape)) for weight in weights)


def test_commands_are_as_one_types_them():
    step = PLANS["dsin", "small", "nothing"][0].step
    assert shlex.split(step.command)[:4] == ["python", "-m", "experiments.dsin", "--mode=train"]
    assert "--cache_dir=runs/here/street" in step.flags
