"""What the models with binary codes promise beyond all others, with each way of coding."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, models
from dsin_tf.entropy import bit_planes
from dsin_tf.models import storage
from tests.dsin_tf.models import lively

CASES = {
    "content_weighted": ("content_weighted", {}),
    "content_weighted, learned": ("content_weighted", {"context": "learned"}),
    "multichannel": ("multichannel", {}),
    "multichannel, all": ("multichannel", {"context": "learned", "fuse_at": "feature", "chroma_mask": True}),
}
NAMES = ("content_weighted", "multichannel")


@pytest.fixture(scope="module")
def made():
    """{case: a small model prepared for coding}; not to be changed."""
    made = {case: lively.make(name, **settings) for case, (name, settings) in CASES.items()}
    for model in made.values():
        model.prepare_for_coding()
    return made


@pytest.fixture(params=CASES)
def model(request, made):
    return made[request.param]


def as_arrays(out, names):
    return {name: np.asarray(out[name]) for name in names}


def test_codes_are_bits_where_the_mask_is_one(model):
    x = lively.picture(70, 90)
    out = model(x[None])
    p, e = model.encode(model.normalize(x[None]))
    levels = np.clip(np.floor(4 * p.numpy()), 0, 3)
    np.testing.assert_array_equal(out["map"], levels)
    assert set(np.unique(levels)) == {0, 1, 2, 3}
    assert float(out["p_mean"][0]) == pytest.approx(p.numpy().mean(), rel=1e-5)
    for name, channels in model.codes.items():
        mask = out["masks"][name].numpy()
        whole = name in ("cb", "cr") and not model.settings["chroma_mask"]
        passing = channels if whole else np.ceil(channels * levels / 4)
        np.testing.assert_array_equal(mask, np.arange(channels) < passing * np.ones_like(levels))
        np.testing.assert_array_equal(out[name], mask * (e[name].numpy() > 0.5))
        assert 0.2 < out[name].numpy()[mask > 0].mean() < 0.8


def test_the_raw_rate_counts_every_place_of_the_map_and_every_bit_sent(model):
    x = np.stack([lively.picture(70, 90, seed) for seed in range(2)])
    out = model(x)
    for i in range(2):
        bits = 9 * 12 * 2 + sum(mask[i].numpy().sum() for mask in out["masks"].values())
        assert bits == bit_planes.raw_bits(out["map"][i], 4, *(mask[i] for mask in out["masks"].values()))
        assert float(out["bpp_raw"][i]) == pytest.approx(bits / (70 * 90), rel=1e-6)


def test_the_estimate_is_what_the_coders_count(model):
    x = lively.picture(70, 90)
    out = model(x[None])
    planes = {"map": bit_planes.planes_of_map(out["map"].numpy(), 4), **as_arrays(out, model.codes)}
    masks = {"map": np.ones_like(planes["map"]), **as_arrays(out["masks"], model.codes)}
    total = 0
    for name, values in planes.items():
        if model.contexts:
            logits = model.contexts[name](values, masks[name]).numpy().astype(float)
            total += (masks[name] * np.log2(1 + np.exp(np.where(values, -logits, logits)))).sum()
        else:
            total += bit_planes.AdaptiveCoder().bits(values[0], masks[name][0])
    assert float(out["bpp_estimated"][0]) == pytest.approx(total / (70 * 90), rel=1e-5)
    assert model.estimate(x) == pytest.approx(total / (70 * 90), rel=1e-5)
    names = ("bpp_estimated", "bpp_raw", "p_mean")
    assert model.estimates(x) == {name: pytest.approx(float(out[name][0]), rel=1e-5) for name in names}


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (128, 192)])
def test_payload_is_the_estimate(model, size):
    x = lively.picture(*size, 3)
    estimated = model.estimate(x) * size[0] * size[1] / 8
    payload = sum(bitstream.inspect(model.compress(x)).lengths)
    assert abs(payload - estimated) <= 0.01 * estimated + 16


def test_bytes_give_exactly_the_codes_and_these_give_the_same_bytes(model):
    x = lively.picture(70, 90)
    blob = model.compress(x)
    _, decoded = model.decode_latents(blob)
    sent, out = model.analyze(x), model(x[None])
    assert list(decoded) == list(sent) == ["map", *model.codes]
    for name, values in decoded.items():
        np.testing.assert_array_equal(values, out[name])
        np.testing.assert_array_equal(values[0], sent[name])
    again = {name: values[0].numpy() for name, values in decoded.items()}
    assert model.pack(x, model.strings(again)) == blob
    assert bitstream.inspect(blob).lengths == tuple(map(len, model.strings(again)))


def test_what_is_not_sent_costs_nothing(model):
    latents = model.analyze(lively.picture(70, 90))
    masks = model.masks_of(latents["map"])
    other = {name: np.where(masks[name], latents[name], 1 - latents[name]) for name in model.codes}
    assert model.strings({"map": latents["map"], **other}) == model.strings(latents)


@pytest.mark.parametrize("name", NAMES)
def test_the_map_pays_for_what_it_takes(made, name):
    """The bytes of a flat map, and of one of noise."""
    model = made[name]
    latents = model.analyze(lively.picture(128, 192))
    noise = np.random.default_rng(0).integers(4, size=latents["map"].shape)
    bits = 16 * 24 * 2
    (flat, *_), (noisy, *_) = (model.strings({**latents, "map": q}) for q in (np.full_like(noise, 2), noise))
    assert 8 * len(noisy) > 0.95 * bits
    assert 8 * len(flat) < 0.2 * bits


@pytest.mark.parametrize("name", NAMES)
def test_the_first_steps_are_without_map(name):
    model, x = lively.make(name, steps_without_map=3), lively.picture(32, 48)[None]
    evaluated = model(x)["masks"]
    for step, whole in [(0, True), (2, True), (3, False), (50, False)]:
        model.step.assign(step)
        with tf.GradientTape() as tape:
            out = model(x, training=True)
            loss = tf.reduce_mean(model.rate_distortion(x, out)["loss"])
        gradients = tape.gradient(loss, model.to_map.trainable_variables, unconnected_gradients="zero")
        assert np.any(gradients[0]) == (not whole)
        for code, mask in out["masks"].items():
            np.testing.assert_array_equal(mask, np.ones_like(mask) if whole else evaluated[code])
        assert (float(out["p_mean"][0]) == 0) == whole
        for code, mask in model(x)["masks"].items():
            np.testing.assert_array_equal(mask, evaluated[code])


@pytest.mark.parametrize("name", NAMES)
def test_training_counts_raw_bits(name):
    model = lively.make(name, steps_without_map=0)
    out = model(lively.picture(32, 48)[None], training=True)
    assert float(out["bpp_estimated"][0]) == float(out["bpp_raw"][0])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(name):
    model, x = lively.make(name, steps_without_map=0), lively.picture(64, 64)[None]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.rate_distortion(x, model(x, training=True))["loss"])
    gradients = tape.gradient(loss, model.trainable_variables)
    without = [v.name for v, gradient in zip(model.trainable_variables, gradients) if not np.any(gradient)]
    assert not without


@pytest.mark.parametrize("rule", ["local", "global"])
@pytest.mark.parametrize("name", NAMES)
def test_the_map_learns_by_either_rule(name, rule):
    model, x = lively.make(name, map_gradient=rule, steps_without_map=0), lively.picture(64, 64)[None]
    code = "code" if name == "content_weighted" else "luma"
    weights = tf.random.stateless_normal([1, 8, 8, 8], [1, 2])
    p, e = model.encode(model.normalize(x))
    with tf.GradientTape(persistent=True) as tape:
        out = model.code(x, training=True)
        loss = tf.reduce_sum(weights * out[code])
    found = tape.gradient(loss, model.to_map.weights[-1]).numpy()
    bits, cut = (e[code].numpy() > 0.5), 4 * p.numpy()
    opening = np.arange(8) // 2 + 1
    slope = 4 * ((cut - 1 <= opening) & (opening < cut + 2)) if rule == "local" else 1
    by_hand = (weights.numpy() * bits * slope).sum(axis=-1, keepdims=True) * p.numpy() * (1 - p.numpy())
    np.testing.assert_allclose(found, [by_hand.sum()], rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_context_is_learned_on_codes_that_stay_as_they_are(name):
    codec, model = lively.make(name), models.create(name, "tiny", context="learned", seed=7)
    model.start_from(codec)
    assert set(model.contexts) == {"map", *codec.codes}
    step = lively.training_step(model, 0.02)
    batch = tf.constant(np.stack([lively.picture(64, 64, seed) for seed in range(2)]))
    frozen = {v.ref(): v.numpy() for network in codec.layers for v in model.get_layer(network.name).weights}
    contexts = [v for context in model.contexts.values() for v in context.trainable_variables]
    assert {v.ref() for v in model.trainable_variables} == {v.ref() for v in contexts}
    assert len(frozen) + len(contexts) == len(storage.named_variables(model.layers))
    before = model(batch)
    terms = model.rate_distortion(batch, model(batch, training=True))
    np.testing.assert_array_equal(terms["loss"], terms["bpp"])
    np.testing.assert_allclose(terms["bpp"], before["bpp_estimated"], rtol=1e-5)
    for _ in range(30):
        step(batch)
    after = model(batch)
    assert float(after["bpp_estimated"][0]) < 0.9 * float(before["bpp_estimated"][0])
    for variable in model.weights:
        if variable.ref() in frozen:
            np.testing.assert_array_equal(variable, frozen[variable.ref()])
    np.testing.assert_array_equal(after["x_hat"], codec(batch)["x_hat"])
    codec.prepare_for_coding()
    model.prepare_for_coding()
    x = lively.picture(64, 64)
    counted, learned = codec.compress(x), model.compress(x)
    np.testing.assert_array_equal(model.decompress(learned), codec.decompress(counted))
    assert codec.identity != model.identity
    with pytest.raises(bitstream.ModelError):
        model.decompress(counted)


def test_a_context_is_learned_for_a_model_of_the_same_settings():
    codec = lively.make("multichannel", nu=2.0, steps_without_map=9, seed=3)
    models.create("multichannel", "tiny", context="learned", nu=2.0).start_from(codec)
    other = models.create("multichannel", "tiny", context="learned", chroma_mask=True)
    with pytest.raises(ValueError, match="multichannel has chroma_mask False, nu 2.0, chroma_mask True, nu 1.0 was"):
        other.start_from(codec)
    models.create("multichannel", "tiny", chroma_mask=True).start_from(codec)  # which trains on


def test_learning_a_context_keeps_what_batches_are_normalised_by():
    model = models.create("multichannel", "tiny", batch_norm=True, context="learned")
    averages = [v for v in model.weights if "moving" in v.name]
    before = [v.numpy() for v in averages]
    x = lively.picture(32, 32)[None]
    trained, evaluated = (model(x, training=training) for training in (True, False))
    for name in ("p", *model.codes, "x_hat"):
        np.testing.assert_array_equal(trained[name], evaluated[name])
    assert averages
    for variable, value in zip(averages, before):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("name", NAMES)
def test_identity_is_about_decoding_alone(name):
    model, other = lively.make(name), lively.make(name, steps_without_map=9, map_gradient="global")
    model.prepare_for_coding()
    other.prepare_for_coding()
    plain = model.identity
    assert plain == other.identity
    for network, matters in [(model.to_map, False), (model.decoder_networks[0], True)]:
        network.weights[-1].assign_add(1e-3 * tf.ones_like(network.weights[-1]))
        assert (model.identity != plain) == matters


IN_ANOTHER_PROCESS = """
import sys
import numpy as np
from dsin_tf import models

model = models.load(sys.argv[1])
blob = open(f"{sys.argv[1]}/blob", "rb").read()
_, decoded = model.decode_latents(blob)
with np.load(f"{sys.argv[1]}/expected.npz") as expected:
    for name, values in decoded.items():
        np.testing.assert_array_equal(values[0], expected[name])
    np.testing.assert_array_equal(model.decompress(blob), expected["x_hat"])
    assert model.compress(expected["x"]) == blob
print("same")
"""


def test_learned_contexts_decode_the_same_in_another_process(made, tmp_path):
    model, x = made["multichannel, all"], lively.picture(70, 90)
    models.save(model, tmp_path)
    blob = model.compress(x)
    (tmp_path / "blob").write_bytes(blob)
    np.savez(tmp_path / "expected.npz", x=x, x_hat=model.decompress(blob), **model.analyze(x))
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("case", ["content_weighted", "multichannel, all"])
def test_mixed_precision_leaves_all_but_the_convolutions_in_float32(case):
    name, settings = CASES[case]
    try:
        tf.keras.mixed_precision.set_global_policy("mixed_float16")
        model = models.create(name, "tiny", **settings)
        out = model(lively.picture(32, 32)[None], training=True)
        assert model.to_map.layers[0].compute_dtype == "float16"
        model.prepare_for_coding()
        blob = model.compress(lively.picture(32, 32))
        for code, values in model.decode_latents(blob)[1].items():
            np.testing.assert_array_equal(values[0], model.analyze(lively.picture(32, 32))[code])
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert all(variable.dtype == tf.float32 for variable in model.trainable_variables)
    assert all(out[key].dtype == tf.float32 for key in ("x_hat", "p", *model.codes, "bpp_estimated", "bpp_raw"))


def test_broken_weights_do_not_write_files():
    model = lively.make("content_weighted")
    model.prepare_for_coding()
    model.to_map.weights[-1].assign([np.nan])
    with pytest.raises(ValueError, match="not finite"):
        model.compress(lively.picture(16, 16))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": "ar"}, "no context 'ar'; there are: counts, learned"),
        ({"levels": 12}, "12 levels; a power of two"),
        ({"levels": 16}, "8 channels cannot be cut at 16 levels"),
        ({"map_gradient": "none"}, "gradient is 'none'; one of local, global"),
        ({"steps_without_map": -1}, "steps_without_map is -1; 0 or more"),
        ({"channels": 0}, "channels is 0"),
        ({"distortion": "ssim"}, "no distortion 'ssim'"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, "tiny", **settings)
