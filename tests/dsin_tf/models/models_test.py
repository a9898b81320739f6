import numpy as np
import pytest

from dsin_tf import models


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
