import hashlib
import json
import shutil
from collections import Counter

import numpy as np
import pytest

import dsin_tf
from dsin_tf import data, zoo

RATE_SETTINGS = ("target_bpp", "lmbda", "rate_weight", "target_share")
PLACE, NAME = zoo.PLACE, "balle2017-kitti-small-0.0008"
ON_SCENES = ("content_weighted", "dsc_msf", "lee2019", "multichannel")  # trained on KITTI and Street


@pytest.fixture(scope="module")
def street():
    return data.load("street", "test", size=(128, 256), limit=1).read(0)


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_weights_code_a_street(name, street):
    model = dsin_tf.load(name)
    card = zoo.card(name)
    setting = next(name for name in RATE_SETTINGS if name in model.settings)
    rate = model.settings[setting]
    data_names = ("scenes-small",) if model.name in ON_SCENES else ("kitti-small", "street-small")
    parts = (filter(None, (model.name, model.variant, data_name, f"{rate:g}")) for data_name in data_names)
    assert name in map("-".join, parts)
    assert (model.identity.hex(), int(model.step)) == (card["identity"], card["steps"])
    x, *side = street if model.uses_side else street[:1]
    blob = model.compress(x)
    x_hat = model.decompress(blob, *side)
    error = np.mean((x_hat.astype(float) - x) ** 2)
    # Pictures of another kind than the training's, for most.
    assert 10 * np.log10(255**2 / error) > (20 if setting == "lmbda" and rate > 0.0005 else 17)
    assert 8 * len(blob) < 0.75 * x[..., 0].size


def test_how_many_rates_there_are_of_each_model():
    expected = {
        ("balle2017", "kitti"): 2,
        ("balle2017", "street"): 2,
        ("balle2018", "kitti"): 2,
        ("balle2018", "street"): 2,
        ("content_weighted", "scenes"): 2,
        ("cpm", "kitti"): 2,
        ("cpm", "street"): 2,
        ("dsc_msf", "scenes"): 2,
        ("dsin", "kitti"): 2,
        ("dsin", "street"): 2,
        ("lee2019", "scenes"): 4,  # with context model and without
        ("multichannel", "scenes"): 8,  # with fusion, without, with half of the channels, with side information
        ("ndic_balle2017", "kitti"): 2,
        ("ndic_balle2017", "street"): 2,
        ("ndic_balle2018", "kitti"): 2,
        ("ndic_balle2018", "street"): 2,
        ("ndic_cam", "kitti"): 2,
        ("ndic_cam", "street"): 2,
    }
    found = Counter((name.split("-")[0], name.split("-")[-3]) for name in zoo.names())
    assert found == expected


@pytest.mark.parametrize("name", zoo.names())
def test_every_card_has_the_checksums_of_its_files(name):
    for file, expected in zoo.card(name)["sha256"].items():
        assert hashlib.sha256((zoo.folder(name) / file).read_bytes()).hexdigest() == expected
    assert set(zoo.card(name)["sha256"]) == {"model.json", "weights.npz"}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Shipped weights in a place of their own, and a way to change their card."""
    monkeypatch.setattr(zoo, "PLACE", tmp_path)
    shutil.copytree(PLACE / NAME, tmp_path / NAME)

    def change(**entries):
        card = {**zoo.card(NAME), **entries}
        (tmp_path / NAME / "card.json").write_text(json.dumps(card))

    return tmp_path / NAME, change


@pytest.mark.parametrize("file", ["weights.npz", "model.json"])
def test_weights_that_do_not_match_their_checksum_are_refused_by_name(copy, file):
    folder, _ = copy
    dsin_tf.load(NAME)
    with (folder / file).open("ab") as stream:
        stream.write(b"\n")  # which numpy and JSON read as if it were not there
    with pytest.raises(ValueError, match=rf"{NAME}/{file}: has the SHA-256 .* install it again"):
        dsin_tf.load(NAME)


def test_weights_that_the_code_makes_another_model_of_are_refused_by_name(copy):
    folder, change = copy
    change(identity="00000000")
    with pytest.raises(ValueError, match=rf"{NAME}: is model [0-9a-f]{{8}} in this version .* says 00000000"):
        dsin_tf.load(NAME)
    (folder / "card.json").write_text("{")
    with pytest.raises(ValueError, match=rf"{NAME}/card\.json: cannot be read"):
        dsin_tf.load(NAME)


def test_missing_weights_are_told_as_such(copy):
    folder, _ = copy
    (folder / "weights.npz").unlink()
    with pytest.raises(ValueError, match=r"weights\.npz: does not exist"):
        dsin_tf.load(NAME)


def test_all_weights_together_take_at_most_60_mb():
    assert sum(path.stat().st_size for path in zoo.PLACE.rglob("*") if path.is_file()) < 60e6


def test_other_names_are_directories_or_refused():
    with pytest.raises(ValueError, match="no shipped weights 'balle'; the names are: balle2017-kitti-small-0.0008, "):
        zoo.folder("balle")
    with pytest.raises(ValueError, match="nowhere: holds no model"):
        dsin_tf.load("nowhere")
