"""Which shipped weights are measured on what, and by which commands."""

import pytest

from experiments import shipped
from tests.eval.exhibits_test import figures_of, flags_of

NAMES = (
    "cpm-kitti-small-0.08",
    "cpm-kitti-small-0.24",
    "cpm-street-small-0.24",
    "cpm-street-small-0.08",
    "dsin-kitti-small-0.08",
    "multichannel-no_fusion_8-street-small-10",
    "multichannel-no_fusion_8-street-small-2",
    "lee2019-no_context-scenes-small-1e-05",
    "lee2019-no_context-scenes-small-0.0012",
    "a folder of someone",
)


def test_weights_of_the_kind_of_data_come_first():
    of_street, of_kitti = shipped.choose(("street", "scenes"), NAMES), shipped.choose(("kitti", "scenes"), NAMES)
    assert of_street["cpm"] == ("street", ("cpm-street-small-0.08", "cpm-street-small-0.24"))
    assert of_kitti["cpm"] == ("kitti", ("cpm-kitti-small-0.08", "cpm-kitti-small-0.24"))


def test_where_there_are_none_others_are_taken_and_said():
    assert shipped.choose(("street",), NAMES)["dsin"] == ("kitti", ("dsin-kitti-small-0.08",))


def test_variants_are_methods_of_their_own_and_rates_are_in_order():
    chosen = shipped.choose(("street",), NAMES)
    assert sorted(chosen) == ["cpm", "dsin", "lee2019-no_context", "multichannel-no_fusion_8"]
    assert [name.rpartition("-")[2] for name in chosen["multichannel-no_fusion_8"][1]] == ["2", "10"]
    assert chosen["lee2019-no_context"][1][0].endswith("-1e-05")


@pytest.fixture
def everything(monkeypatch):
    """The steps of Street, as if all weights were there that the package may have."""
    names = [
        *NAMES[:-1],
        "dsc_msf-scenes-small-0.0012",
        "multichannel-street-small-5",
        "content_weighted-street-small-0.2",
    ]
    names += [f"ndic_{of}-kitti-small-0.0008" for of in ("balle2017", "balle2018", "cam")] + ["balle2017-kitti-small-1"]
    monkeypatch.setattr(shipped.zoo, "names", lambda: tuple(names))
    monkeypatch.setattr(shipped.zoo, "folder", lambda name: f"zoo/{name}")
    return {each.name: shipped.steps_of(each, "here", ["jpeg", "bpg"]) for each in shipped.images_of_street(8, "cache")}


def test_every_step_has_flags_that_its_driver_knows(everything):
    for step in (step for steps in everything.values() for step in steps):
        given = {flag.removeprefix("--").partition("=")[0] for flag in step.flags}
        assert given <= flags_of(f"experiments.{step.driver}"), step.command
        figure = [flag.partition("=")[2] for flag in step.flags if flag.startswith("--figure=")]
        assert set(figure) <= (figures_of(f"experiments.{step.driver}") if figure else set())


def test_models_are_evaluated_by_their_driver_on_what_they_are_for(everything):
    drivers = {
        name: {step.name.partition(": ")[2]: step.driver for step in steps if "--mode=evaluate" in step.flags}
        for name, steps in everything.items()
    }
    assert drivers["street_sets"] == {"dsc_msf": "dsc_msf", "lee2019-no_context": "dsc_msf"}
    assert drivers["street"] == {
        **dict.fromkeys(("cpm", "dsin"), "dsin"),
        **dict.fromkeys(("ndic_balle2017", "ndic_balle2018", "ndic_cam"), "ndic"),
        **dict.fromkeys(("multichannel", "multichannel-no_fusion_8", "content_weighted"), "multichannel"),
        "balle2017": "balle",
    }
    with_y = {method for method in drivers["street"] if not method.startswith(("multichannel", "content_weighted"))}
    assert set(drivers["street_general"]) == with_y


def test_figures_are_drawn_when_all_is_measured_and_can_be_done_without(everything):
    for steps in everything.values():
        measured = {step.name for step in steps if not step.optional}
        figures = [step for step in steps if step.optional]
        assert figures
        assert all(set(step.needs) == measured for step in figures)


def test_of_kitti_there_is_what_is_at_hand(sample_data):
    from experiments import trainings

    images = shipped.images_of_kitti(trainings.find_data(sample_data), 8)
    assert [each.name for each in images] == ["kitti_small", "kitti_stereo", "kitti_scenes"]
    assert images[1].meta["split"] == "test"  # of the list there are ten pairs
    assert "--protocol=ndic" in images[1].flags
    assert shipped.images_of_kitti({}, 8) == []
