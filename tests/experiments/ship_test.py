"""Shipped weights made of a run, in a zoo of the test's own."""

import json

import numpy as np
import pytest

from dsin_tf import data, models, training, zoo
from dsin_tf.models import storage
from eval import rd_results
from experiments import balle, codec_driver, common, ship
from tests.dsin_tf.models import lively
from tests.experiments.driving import Pairs

ABOUT = {key: f"The sentence of {key}." for key in ship.SENTENCES}
NAME = "balle2017-made_up-0.0008"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "PLACE", tmp_path / "zoo")
    return tmp_path / "zoo"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = training.Config(steps=4, schedule="constant", steps_per_epoch=2, log_every=1)
    native = data.protocols.get("native")
    codec_driver.train("balle2017", "tiny", [{"lmbda": 0.0008}], Pairs(), None, native, config, folder)
    return folder


def test_what_is_shipped_is_the_run_with_16_bits_a_weight(run, place):
    ship.ship(run, "made_up", ABOUT)
    assert zoo.names() == (NAME,)
    shipped, trained = models.load(zoo.folder(NAME)), codec_driver.load(run, "last")
    variables = storage.named_variables(trained.layers)
    for name, variable in storage.named_variables(shipped.layers).items():
        np.testing.assert_array_equal(variable, variables[name].numpy().astype(np.float16).astype(np.float32))
    x = lively.picture(32, 48)
    assert shipped.decompress(shipped.compress(x)).shape == x.shape
    card = zoo.card(NAME)
    assert card["identity"] == shipped.identity.hex() != trained.identity.hex()
    assert (card["steps"], card["lmbda"], card["began_with"]) == (4, 0.0008, "weights of its own")
    assert card["limits"] == "The sentence of limits."
    assert place.joinpath(NAME, "weights.npz").stat().st_size < (run / "weights.npz").stat().st_size


@pytest.mark.parametrize(
    ("losses", "validated", "expected"),
    [
        ([4.0, 3.0, 2.0], {}, "yes: training loss -33.3 % over the last tenth of the steps"),
        ([4.0, 2.0, 3.0], {}, "no: training loss +50.0 % over the last tenth of the steps"),
        ([4.0, 3.0, 2.0], {2: 5.0}, "yes: training loss -33.3 % over the last tenth of the steps"),
        ([4.0, 3.0, 2.0], {0: 9.0, 1: 5.0, 2: 6.0}, "no: validation loss +20.0 % from step 20 to 30"),
        ([4.0, 3.0, 5.0], {0: 5.0, 2: 4.0}, "yes: validation loss -20.0 % from step 10 to 30"),
        ([4.0, 3.0, 5.0], {0: 5.0, 1: 8.0, 2: 6.0}, "no: validation loss +20.0 % from step 10 to 30"),
    ],
)
def test_the_card_says_by_validation_where_there_was_one_whether_training_still_improved(
    tmp_path, losses, validated, expected
):
    rows = [f"{10 * (at + 1)},{loss},{validated.get(at, '')}" for at, loss in enumerate(losses)]
    (tmp_path / "metrics.csv").write_text("\n".join(["step,loss,val_loss", *rows]) + "\n")
    assert ship.improvement(tmp_path / "metrics.csv") == expected


def test_the_card_names_the_shipped_weights_that_training_began_with(run, place, tmp_path):
    ship.ship(run, "made_up", ABOUT)
    config = training.Config(steps=2, schedule="constant", steps_per_epoch=2, log_every=1)
    native = data.protocols.get("native")
    setting = [{"lmbda": 0.0024}]
    codec_driver.train("balle2017", "tiny", setting, Pairs(), None, native, config, tmp_path / "b", init_from=NAME)
    ship.ship(tmp_path / "b", "made_up", ABOUT)
    assert zoo.card("balle2017-made_up-0.0024")["began_with"] == f"{NAME} of 4 steps"


def test_the_overview_has_what_the_cards_say(run, place):
    ship.ship(run, "made_up", ABOUT)
    (row,) = ship.overview().rows
    card = zoo.card(NAME)
    assert row.labels == (NAME,)
    values = [cell.value for cell in row.cells]
    assert values == [4, card["seconds"] / 60, card["still_improving"][:3].rstrip(":"), None, None, None]


def test_every_card_that_is_shipped_is_in_the_overview():
    table = ship.overview()
    assert [row.labels[0] for row in table.rows] == list(zoo.names())
    for row in table.rows:
        assert all(cell.value is not None for cell in (row.cells[0], *row.cells[2:]))


def test_results_of_the_shipped_weights_go_into_the_card(run, place, tmp_path):
    ship.ship(run, "made_up", ABOUT)
    native = data.protocols.get("native")
    with pytest.raises(common.UserError, match="shipped weights are not written to"):
        codec_driver.evaluate(NAME, Pairs("test"), native, balle.FAMILY.models)
    path = codec_driver.evaluate(NAME, Pairs("test"), native, balle.FAMILY.models, out=tmp_path / "out")
    ship.amend(NAME, {}, path)
    measured = rd_results.load(path)
    assert measured.meta["settings"]["trained on"] == "The sentence of trained_on."
    assert zoo.card(NAME)["results"]["psnr-rgb"] == round(measured.results["psnr-rgb"][0], 4)
    assert sorted(path.name for path in place.joinpath(NAME).iterdir()) == ["card.json", "model.json", "weights.npz"]
    card = json.loads(place.joinpath(NAME, "card.json").read_text())
    place.joinpath(NAME, "card.json").write_text(json.dumps({**card, "lmbda": 0.5}))
    with pytest.raises(common.UserError, match="holds no lmbda of 0.5"):
        ship.amend(NAME, {}, path)


def test_missing_sentences_are_named(tmp_path):
    (tmp_path / "some.json").write_text(json.dumps({"use": "Some."}))
    with pytest.raises(common.UserError, match="some.json: lacks trained_on, licence_of_the_data, tested_on, limits"):
        ship._sentences(tmp_path / "some.json")


def test_weights_that_16_bits_do_not_hold_are_refused(tmp_path):
    model = lively.make("balle2017")
    with pytest.raises(ValueError, match="more than 16 bits. Call round_to_half"):
        models.save(model, tmp_path, half=True)
    bias = model.analysis.layers[0].bias_parameter
    bias.assign(np.full(bias.shape, 1e5))
    with pytest.raises(ValueError, match="holds 100000; at most 65504"):
        models.round_to_half(model)
