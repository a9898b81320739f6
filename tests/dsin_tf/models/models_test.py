import numpy as np
import pytest

from dsin_tf import models
from dsin_tf.models import balle2017


def test_every_model_has_the_three_presets():
    for name in models.names():
        assert list(models.presets(name)) == ["paper", "small", "tiny"]


@pytest.mark.parametrize("name", ["balle2017", "balle2018"])
def test_models_carry_their_name_and_settings(name):
    model = models.create(name, "tiny", lmbda=0.5, seed=4)
    assert model.name == name
    assert model.preset == "tiny"
    assert model.settings == {"filters": 8, "lmbda": 0.5, "distortion": "mse", "seed": 4}
    assert not model.uses_side


@pytest.mark.parametrize("name", models.names())
def test_settings_are_what_makes_the_same_model(name):
    model = models.create(name, "tiny", seed=4)
    again = models.create(name, **model.settings)
    assert (again.name, again.settings) == (name, model.settings)
    for one, same in zip(model.trainable_variables, again.trainable_variables):
        np.testing.assert_array_equal(one, same)


def test_the_default_preset_is_the_published_one():
    model = models.create("balle2017", filters=8)
    assert model.preset == "paper"
    assert models.presets("balle2017")["paper"]["filters"] == 192
    assert (model.lmbda, model.distortion) == (3e-5, "ms-ssim")


def test_the_seed_decides_the_initial_weights():
    first, again, other = (models.create("balle2018", "tiny", seed=seed) for seed in (1, 1, 2))
    for one, same in zip(first.trainable_variables, again.trainable_variables):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first.trainable_variables[0], other.trainable_variables[0])


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"no model 'balle2019'; the names are: balle2017, balle2018"):
        models.create("balle2019")
    with pytest.raises(ValueError, match=r"balle2017 has no preset 'huge'; it has: paper, small, tiny"):
        models.create("balle2017", "huge")
    with pytest.raises(ValueError, match=r"no setting 'lambda_'; its settings: filters, lmbda, distortion, seed"):
        models.create("balle2017", "tiny", lambda_=1)


def test_presets_are_copies():
    models.presets("balle2017")["tiny"]["filters"] = 1
    assert models.presets("balle2017")["tiny"]["filters"] == 8


class Mine(balle2017.Balle2017):
    """A model from outside the package."""


@pytest.fixture
def own_presets(monkeypatch):
    """Presets of `Mine`, which is registered until the test ends."""
    monkeypatch.setattr(models, "_REGISTERED", {})
    presets = {"only": {"filters": 4, "lmbda": 0.1}}
    models.register(Mine, presets)
    return presets


def test_a_registered_model_is_made_and_loaded_by_its_name(own_presets, tmp_path):
    assert models.names()[-1] == "mine"
    assert models.presets("mine") == own_presets
    model = models.create("mine", "only", seed=3)
    models.save(model, tmp_path)
    again = models.load(tmp_path)
    assert (type(again), again.name, again.preset, again.settings) == (Mine, "mine", "only", model.settings)
    np.testing.assert_array_equal(again.trainable_variables[0], model.trainable_variables[0])


def test_a_model_that_is_registered_again_is_replaced(own_presets):
    models.register(Mine, {"other": {"filters": 5, "lmbda": 0.1}})
    assert list(models.presets("mine")) == ["other"]
    assert models.names().count("mine") == 1


def test_a_model_of_the_package_is_not_replaced(own_presets):
    class Balle2018(Mine):
        pass

    with pytest.raises(ValueError, match="'balle2018' is a model of the package. Give Balle2018 a model_name"):
        models.register(Balle2018, own_presets)
    Balle2018.model_name = "balle2018_of_mine"
    models.register(Balle2018, own_presets)
    assert models.create("balle2018_of_mine", "only").name == "balle2018_of_mine"


def test_a_model_that_is_not_registered_here_is_not_loaded(own_presets, tmp_path, monkeypatch):
    models.save(models.create("mine", "only"), tmp_path)
    monkeypatch.setattr(models, "_REGISTERED", {})
    with pytest.raises(ValueError, match="no model 'mine'; the names are: balle2017, .* and those you register"):
        models.load(tmp_path)
