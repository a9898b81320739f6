"""DSC-MSF: what each of its parts sees, against the same done step by step. The models are untrained."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, images, layers, models
from dsin_tf.layers import strips
from dsin_tf.models import dsc_msf, storage
from tests.dsin_tf.models import lively

CODEC = {"analysis", "synthesis", "hyper_analysis", "hyper_synthesis", "prior"}


@pytest.fixture(scope="module")
def model():
    """Prepared for coding; not to be changed."""
    model = lively.make("dsc_msf")
    lively.settle_means(model)
    model.prepare_for_coding()
    return model


@pytest.fixture(scope="module")
def trainees():
    """{stage: a compiled model}."""
    made = {stage: lively.make("dsc_msf", stage=stage) for stage in dsc_msf.STAGES}
    for model in made.values():
        for variable in model.enhance.weights:
            if "squeeze/bias" in variable.name:  # a single ReLU, which may be dead at the start
                variable.assign(tf.ones_like(variable))
        model.compile(optimizer=tf.keras.optimizers.Adam(1e-3))
    return made


@functools.cache
def views():
    """Three views of one scene, uint8 [3, 40, 56, 3]."""
    scene = lively.picture(60, 90)
    return np.stack([scene[2 * k : 2 * k + 40, 5 * k : 5 * k + 56] for k in range(3)])


def chains(*items):
    """A batch `(x, r, s)` of chains of views."""
    return tuple(tf.constant(views()[list(part)]) for part in zip(*items))


def codec_weights(model):
    return {name: v.numpy() for name, v in storage.named_variables(model.layers).items() if name.split("/")[0] in CODEC}


def trained_parts(model):
    """Names of the layers that training changes."""
    trained = {variable.ref() for variable in model.trainable_variables}
    named = storage.named_variables(model.layers).items()
    return {name.split("/")[0] for name, variable in named if variable.ref() in trained}


def step_by_step(model, x, r, s, original=False):
    """What a chain of single images is decoded with and to, by the public methods."""
    x, r, s = x[None], r[None], s[None]
    x_dec = model(x)["x_dec"]
    if np.array_equal(x, r):
        side = model.without_reference(x_dec)
    else:
        r_dec = model.autoencode(r)
        if original:
            y = r
        elif np.array_equal(r, s):
            y = r_dec
        else:
            s_dec = model.autoencode(s)
            _, y = model.reconstruct(r_dec, *model.side_information(r_dec, s_dec, s_dec))
        side = model.side_information(x_dec, r_dec, y)
    return dict(zip(("y_syn", "score", "x_msf", "x_hat"), (*side, *model.reconstruct(x_dec, *side))))


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": "left"}, "no context 'left'; there are: ar, none"),
        ({"enhancement": "edsr"}, "no enhancement 'edsr'; there are: ien, grdn, grdn_lite, none"),
        ({"references": "best"}, "no references 'best'; there are: decoded, original"),
        ({"stage": "codec"}, "no stage 'codec'; there are: fusion, joint"),
        ({"distortion": "ms-ssim"}, "no distortion 'ms-ssim'; there are: mse"),
        ({"lmbda": 0}, "lmbda is 0; a number above 0"),
        ({"filters": 0}, "filters is 0; 1 or more"),
        ({"enhancement_filters": -1}, "enhancement_filters is -1"),
        ({"seed": 2**31}, "seed is 2147483648"),
        ({"scales": 3}, "no setting 'scales'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("dsc_msf", "tiny", **settings)


@pytest.mark.parametrize(
    ("settings", "variant", "trains_on"),
    [
        ({}, "", "chains"),
        ({"side": False, "context": "ar", "seed": 2**31 - 1}, "no_side", "images"),
        ({"multi_scale": False, "enhancement": "none"}, "no_msf-no_ien", "chains"),
        ({"enhancement": "grdn_lite", "references": "original"}, "grdn_lite-original_training", "chains"),
        ({"enhancement": "grdn", "stage": "joint"}, "grdn-joint", "chains"),
    ],
)
def test_every_variant_has_a_name_and_begins_at_what_the_codec_makes(settings, variant, trains_on, monkeypatch):
    if settings.get("enhancement") == "grdn":
        monkeypatch.setattr(layers, "GRDN", functools.partial(layers.GRDN, groups=1, blocks=1, convs=1))
    model = models.create("dsc_msf", "tiny", **settings)
    assert (model.name, model.variant, model.trains_on) == ("dsc_msf", variant, trains_on)
    assert {name: model.settings[name] for name in settings} == settings
    ours = {layer.name for layer in (model.fusion, model.enhance) if layer is not None}
    assert trained_parts(model) == (ours | CODEC if "stage" in settings else ours)
    x, y, _ = views()[:, None]
    for inputs in (x, (x, y)) if model.uses_side else (x,):
        out = model(inputs)
        for name in ("x_msf", "x_hat"):
            np.testing.assert_allclose(out[name], out["x_dec"], atol=1e-3)


def test_parameters_are_as_many_as_the_layers_say():
    model = models.create("dsc_msf")

    def count(*parts):
        return sum(int(np.prod(v.shape)) for v in storage.named_variables(parts).values())

    baseline = models.create("lee2019", context="none")
    assert count(model.fusion) == 2_694_403
    assert count(model.enhance) == 491_891
    assert count(*model.layers) - count(model.fusion, model.enhance) == count(*baseline.layers)
    assert model.transform.finder.patch_size == (20, 24)


def test_it_starts_from_its_codec():
    model = models.create("dsc_msf", "tiny")
    baseline = models.create("lee2019", "tiny", context="none", seed=5)
    before = {name: v.numpy() for name, v in storage.named_variables(model.layers).items()}
    theirs = {name: v.numpy() for name, v in storage.named_variables(baseline.layers).items()}
    model.start_from(baseline)
    after = storage.named_variables(model.layers)
    assert {name.split("/")[0] for name in theirs} == CODEC
    for name, variable in after.items():
        np.testing.assert_array_equal(variable, theirs.get(name, before[name]))
    x = views()[:1]
    np.testing.assert_array_equal(model(x)["x_dec"], baseline(x)["x_hat"])
    with_context = models.create("lee2019", "tiny")
    with pytest.raises(ValueError, match="lee2019 has .* as context/.*, dsc_msf expects nothing"):
        model.start_from(with_context)


# What goes into fusion.


def test_an_image_alone_has_itself_for_side_information(model):
    out = model(views()[:1])
    np.testing.assert_array_equal(out["y_syn"], out["x_dec"])
    np.testing.assert_array_equal(out["score"], np.zeros((1, 40, 56, 1)))
    x_msf, x_hat = model.reconstruct(out["x_dec"], out["x_dec"], np.zeros((1, 40, 56, 1), np.float32))
    np.testing.assert_array_equal(out["x_msf"], x_msf)
    np.testing.assert_array_equal(out["x_hat"], x_hat)
    assert np.abs(out["x_hat"] - out["x_dec"]).max() > 1


def test_fusion_and_enhancement_are_the_layers_on_images_of_0_to_1(model):
    rng = np.random.default_rng(0)
    x_dec, y_syn = rng.uniform(0, 255, (2, 1, 12, 16, 3)).astype(np.float32)
    score = rng.uniform(-1, 1, (1, 12, 16, 1)).astype(np.float32)
    x_msf, x_hat = model.reconstruct(x_dec, y_syn, score)
    fused = model.fusion(x_dec / 255, y_syn / 255, score)
    np.testing.assert_allclose(x_msf, 255 * fused, atol=1e-3)
    np.testing.assert_allclose(x_hat, 255 * model.enhance(fused, y_syn / 255), atol=1e-3)


def test_the_codecs_outputs_are_those_of_lee2019(model):
    out = model(views()[:1])
    assert set(out) == {"bpp_estimated", "y", "z", "sigma", "mean", "x_dec", "y_syn", "score", "x_msf", "x_hat"}
    np.testing.assert_allclose(out["x_dec"], 255 * model.synthesis(out["y"])[:, :40, :56], atol=1e-3)
    np.testing.assert_array_equal(model.autoencode(views()[:1]), out["x_dec"])


def test_a_reference_is_coded_and_searched(model):
    x, y = views()[:1], lively.picture(33, 70)[None]  # of another size
    out = model((x, y))
    y_syn, score = model.transform(out["x_dec"], model.autoencode(y), y.astype(np.float32))
    np.testing.assert_array_equal(out["y_syn"], y_syn)
    np.testing.assert_array_equal(out["score"], score)
    np.testing.assert_allclose(out["x_hat"], model.reconstruct(out["x_dec"], y_syn, score)[1], atol=1e-3)


@pytest.mark.parametrize(("references", "in_graph"), [("decoded", True), ("original", False)])
def test_chains_of_a_batch_are_handled_each_by_itself(model, monkeypatch, references, in_graph):
    monkeypatch.setattr(model, "references", references)
    items = [(0, 0, 0), (0, 1, 1), (0, 1, 2)]
    out = (tf.function(model) if in_graph else model)(chains(*items))
    for k, item in enumerate(items):
        expected = step_by_step(model, *views()[list(item)], original=references == "original")
        for name, values in expected.items():
            np.testing.assert_allclose(out[name][k], values[0], atol=0.01, err_msg=f"{name} of {item}")
    differs = [np.abs(out["y_syn"][k] - out["y_syn"][k + 1]).max() > 1 for k in (0, 1)]
    assert differs == [True, references == "decoded"]  # an original needs no reference of its own


def test_nothing_is_searched_for_where_nothing_has_a_reference(model, monkeypatch):
    searched = []
    monkeypatch.setattr(model, "_side_information", lambda *args: searched.append(1) or model.side_information(*args))
    for items, count in (([(0, 0, 0), (1, 1, 1)], 0), ([(0, 0, 0), (0, 1, 1)], 1), ([(0, 1, 2)], 2)):
        searched.clear()
        model(chains(*items))
        assert len(searched) == count


def test_without_side_information_an_image_and_a_chain_are_the_same(model, monkeypatch):
    monkeypatch.setattr(type(model), "uses_side", False)
    assert model.trains_on == "images"
    x = views()[:1]
    np.testing.assert_array_equal(model(x)["y_syn"], model(x)["x_dec"])
    blob = model.compress(x[0])
    with pytest.raises(ValueError, match="dsc_msf without side information got y"):
        model.decompress(blob, x[0])


# Training.


def test_losses_are_those_of_the_stages(trainees):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    out = {name: rng.uniform(0, 255, x.shape).astype(np.float32) for name in ("x_dec", "x_msf", "x_hat")}
    out["bpp_estimated"] = np.array([0.5, 2], np.float32)
    differences = {name: x - out[name].astype(float) for name in ("x_dec", "x_msf", "x_hat")}
    absolute = {name: np.abs(values).mean(axis=(1, 2, 3)) for name, values in differences.items()}
    square = {name: (values**2).mean(axis=(1, 2, 3)) for name, values in differences.items()}
    for stage, expected in {
        "fusion": 0.3 * absolute["x_msf"] + 0.7 * absolute["x_hat"],
        "joint": [0.5, 2] + 8e-4 * (0.3 * square["x_dec"] + 0.7 * square["x_hat"]),
    }.items():
        terms = trainees[stage].rate_distortion(x, out)
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(terms["mse"], square["x_hat"], rtol=1e-5)
        np.testing.assert_array_equal(terms["bpp"], out["bpp_estimated"])
        assert set(terms) == {"loss", "bpp", "mse", "psnr"}


def test_the_first_stage_trains_fusion_and_enhancement_and_leaves_the_codec(trainees):
    model, batch = trainees["fusion"], chains((0, 0, 0), (0, 1, 1), (0, 1, 2))
    before = {name: v.numpy() for name, v in storage.named_variables(model.layers).items()}
    expected = model.rate_distortion(batch[0], model(batch, training=True))
    result = model.train_step(batch)
    for name in ("loss", "bpp", "psnr"):
        assert float(result[name]) == pytest.approx(np.mean(expected[name]), rel=1e-3)
    for name, variable in storage.named_variables(model.layers).items():
        changed = not np.array_equal(variable, before[name])
        assert changed == (name.split("/")[0] not in CODEC), name


def test_noise_is_for_the_codecs_training_alone(trainees):
    x = views()[:1]
    fusion, joint = (trainees[stage] for stage in dsc_msf.STAGES)
    np.testing.assert_array_equal(fusion(x, training=True)["x_dec"], fusion(x)["x_dec"])
    assert np.abs(joint(x, training=True)["x_dec"] - joint(x)["x_dec"]).max() > 0.1


def test_the_second_stage_trains_everything(trainees):
    model, batch = trainees["joint"], chains((0, 1, 2))
    before = {name: v.numpy() for name, v in storage.named_variables(model.layers).items()}
    model.train_step(batch)
    unchanged = {name for name, v in storage.named_variables(model.layers).items() if np.array_equal(v, before[name])}
    assert unchanged == set()


def test_no_gradient_goes_through_the_search_and_that_of_a_root_is_x_decs(trainees):
    model = trainees["joint"]
    for item, passes in (((0, 0, 0), True), ((0, 1, 1), False), ((0, 1, 2), False)):
        with tf.GradientTape(persistent=True) as tape:
            out = model(chains(item), training=True)
            sums = {name: tf.reduce_sum(out[name]) for name in ("x_dec", "y_syn", "score")}
        weights = model.trainable_variables
        of = {name: tape.gradient(total, weights, unconnected_gradients="zero") for name, total in sums.items()}
        assert any(np.any(gradient) for gradient in of["y_syn"]) == passes
        assert not any(np.any(gradient) for gradient in of["score"])
        if passes:
            for one, other in zip(of["y_syn"], of["x_dec"]):
                np.testing.assert_allclose(one, other, rtol=1e-5)


# Coding.


def test_files_are_the_codecs_and_need_no_reference(model):
    x, y, _ = views()
    blob = model.compress(x)
    x_dec = model(x[None])["x_dec"].numpy()
    np.testing.assert_array_equal(model.decode(blob), x_dec)
    np.testing.assert_array_equal(model.decompress(blob), model.finish(x_dec))
    np.testing.assert_array_equal(model.finish(x_dec)[None], images.to_uint8(model(x[None])["x_hat"].numpy()))


def test_a_file_is_decoded_with_its_reference(model):
    x, y, _ = views()
    blob, y_blob = model.compress(x), model.compress(y)
    y_hat = model.decompress(y_blob)
    x_hat = model.decompress(blob, y_hat, y_blob)
    side = model.side_information(model.decode(blob), model.decode(y_blob), y_hat[None])
    expected = model.reconstruct(model.decode(blob), *side)[1].numpy()
    np.testing.assert_allclose(x_hat, np.clip(np.round(expected[0]), 0, 255), atol=1)
    assert (x_hat != model.decompress(blob)).any()
    with pytest.raises(images.ImageError, match="float64"):
        model.decompress(blob, y_hat.astype(float))
    with pytest.raises(bitstream.ChecksumError):
        model.decompress(blob, y_hat, y_blob[:-1] + bytes([y_blob[-1] ^ 1]))


def test_a_reference_without_its_file_is_coded_once_more(model):
    x, y, _ = views()
    blob = model.compress(x)
    # What the file of y itself holds is just that.
    np.testing.assert_array_equal(model.decompress(blob, y), model.decompress(blob, y, model.compress(y)))
    np.testing.assert_array_equal(model.recode(y), model.decode(model.compress(y)))


def test_large_images_are_finished_strip_by_strip(model, monkeypatch):
    x, y = (lively.picture(24, 1000, seed) for seed in (0, 1))
    x_dec, y_dec = model(x[None])["x_dec"].numpy(), model(y[None])["x_dec"].numpy()
    # Without attention, whose means over the image are not those over a strip.
    attention = [v for v in model.enhance.weights if "attention" in v.name and "kernel" in v.name]
    kept = [v.numpy() for v in attention]
    for variable in attention:
        variable.assign(tf.zeros_like(variable))
    whole = model.finish(x_dec, y, y_dec)
    monkeypatch.setattr(strips, "_LARGEST", 2**13)
    monkeypatch.setattr(strips, "_STRIP", 2**12)
    widths = []
    reconstruct = model.reconstruct
    monkeypatch.setattr(model, "reconstruct", lambda *maps: widths.append(maps[0].shape[2]) or reconstruct(*maps))
    in_strips = model.finish(x_dec, y, y_dec)
    for variable, value in zip(attention, kept):
        variable.assign(value)
    assert len(widths) > 3
    assert max(widths) < 1000
    difference = np.abs(whole.astype(int) - in_strips)
    assert difference.max() <= 1  # of what is rounded
    assert difference.mean() < 1e-3


def test_a_saved_model_is_the_same(model, tmp_path):
    x, y, _ = views()
    models.save(model, tmp_path)
    loaded = models.load(tmp_path)
    assert type(loaded) is dsc_msf.DSCMSF
    assert loaded.settings == model.settings
    assert (loaded.preset, loaded.identity) == (model.preset, model.identity)
    blob = model.compress(x)
    np.testing.assert_array_equal(loaded.decompress(blob, y), model.decompress(blob, y))


def test_the_identity_covers_all_that_decoding_depends_on(model):
    before = model.identity
    for network in (model.analysis, model.synthesis, model.hyper_analysis, model.fusion, model.enhance):
        variable = network.weights[0]
        value = variable.numpy()
        variable.assign(value + 1)
        assert model.identity != before
        variable.assign(value)
    assert model.identity == before
