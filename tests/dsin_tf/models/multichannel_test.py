"""What the codecs of bits share is tested in binary_codec_test.py."""

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, color, images, layers, models
from dsin_tf.models import multichannel
from tests.dsin_tf.models import lively

VARIANTS = {
    "": {},
    "no_fusion_16": {"fuse_at": "none", "chroma_channels": 16},
    "no_fusion_8": {"fuse_at": "none"},
    "feature_fusion_8": {"fuse_at": "feature"},
    "fusion_4-chroma_mask": {"chroma_channels": 4, "chroma_mask": True},
    "side": {"side": True},
    "feature_fusion_8-side-learned_context": {"fuse_at": "feature", "side": True, "context": "learned"},
}


@pytest.fixture(scope="module")
def made():
    """{variant: a small model prepared for coding}; not to be changed."""
    made = {name: lively.make("multichannel", steps_without_map=0, **settings) for name, settings in VARIANTS.items()}
    for model in made.values():
        model.prepare_for_coding()
    return made


@pytest.fixture
def model(made):
    return made[""]


@pytest.fixture(params=VARIANTS)
def each(request, made):
    return made[request.param]


def inputs(model, x):
    """What `call` takes for a batch x."""
    return (x, x[:, ::-1]) if model.uses_side else x


def count(network):
    return sum(np.prod(variable.shape) for variable in network.trainable_variables)


def test_variants_are_told_apart_by_name(made):
    assert {name: model.variant for name, model in made.items()} == {name: name for name in made}
    assert {model.name for model in made.values()} == {"multichannel"}


def test_parameters_are_those_of_the_design():
    n, c, y = 128, 8, 64

    def trunk(blocks):
        return blocks * 2 * (9 * n * n + 2 * n)  # and scale and shift of every channel

    def up(inputs, blocks):
        return 9 * inputs * n + 2 * n + trunk(blocks) + 25 * n * (n // 2) + n + 25 * (n // 2) + 2

    def down(planes, blocks):
        return 25 * planes * (n // 2) + n + 25 * (n // 2) * n + 2 * n + trunk(blocks) + 25 * n * n + 2 * n

    model = models.create("multichannel", side=True)
    assert [count(network) for network in model.analysis.values()] == [down(1, 16)] * 3
    assert [count(network) for network in model.to_code.values()] == [(n + 1) * k for k in (y, c, c)]
    assert count(model.to_map) == 9 * n * n + n + n + 1
    assert count(model.analysis_side) == down(3, 0)
    assert [count(network) for network in model.synthesis.values()] == [up(y, 16), *[up(y + c + n, 15)] * 2]
    networks = [*model.analysis.values(), *model.to_code.values(), *model.synthesis.values()]
    assert count(model) == sum(map(count, [*networks, model.to_map, model.analysis_side]))


def test_poster_rows_differ_in_channels_and_fusion_alone(made):
    shapes = {name: [network.input_shape[-1] for network in model.synthesis.values()] for name, model in made.items()}
    assert shapes[""] == [8, 8 + 8, 8 + 8]
    assert shapes["no_fusion_16"] == [8, 16, 16]
    assert shapes["no_fusion_8"] == shapes["feature_fusion_8"] == [8, 8, 8]
    assert shapes["fusion_4-chroma_mask"] == [8, 8 + 4, 8 + 4]
    assert shapes["side"] == [8, 8 + 8 + 8, 8 + 8 + 8]
    # Fusion networks are without the last block, of two convolutions.
    counts = {
        name: [len(layers.convolutions(network)) for network in model.synthesis.values()]
        for name, model in made.items()
    }
    assert counts["no_fusion_16"] == counts["no_fusion_8"] == [11, 11, 11]
    assert counts[""] == counts["feature_fusion_8"] == counts["side"] == [11, 9, 9]


def test_codes_have_an_eighth_of_the_sides_and_pictures_their_own_size(each):
    x = lively.picture(17, 30)[None]
    out = each(inputs(each, x))
    assert out["map"].shape == (1, 3, 4, 1)
    for name, channels in each.codes.items():
        assert out[name].shape == out["masks"][name].shape == (1, 3, 4, channels)
    assert out["x_hat"].shape == out["ycbcr"].shape == x.shape
    np.testing.assert_allclose(out["x_hat"], color.ycbcr_to_rgb(out["ycbcr"].numpy()), atol=1e-3)


def test_streams_see_their_own_plane(model):
    x = lively.picture(32, 48)[None]
    r, g, b = np.moveaxis(x.astype(float), -1, 0)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    planes = np.stack([luma - 127.5, (b - luma) / 1.772, (r - luma) / 1.402], axis=-1) / 127.5
    np.testing.assert_allclose(model.normalize(x), planes, atol=1e-5)
    p, e = model.encode(model.normalize(x))
    for i, name in enumerate(multichannel.STREAMS):
        features = model.analysis[name](planes[..., i : i + 1].astype(np.float32))
        logits = model.to_code[name](features).numpy()
        np.testing.assert_allclose(e[name], 1 / (1 + np.exp(-logits)), atol=1e-4)
        if name == "luma":
            np.testing.assert_allclose(p, 1 / (1 + np.exp(-model.to_map(features).numpy())), atol=1e-4)


def test_codes_meet_where_they_are_said_to(made):
    """Which codes a plane depends on, by changing one after the other."""
    x = lively.picture(16, 24)[None]
    for variant, fuses in [("", True), ("no_fusion_8", False), ("feature_fusion_8", True), ("side", True)]:
        model = made[variant]
        out = model(inputs(model, x))
        known = {name: out[name] for name in multichannel.STREAMS}
        if model.uses_side:
            known["side"] = model.see(x[:, ::-1])
        planes = model.decode(known).numpy()
        for name, expected in {
            "luma": (True, fuses, fuses),
            "cb": (False, True, False),
            "cr": (False, False, True),
            "side": (False, True, True),
        }.items():
            if name in known:
                changed = np.abs(model.decode({**known, name: 1 - known[name]}).numpy() - planes) > 1e-3
                assert tuple(changed.any(axis=(0, 1, 2))) == expected


def test_the_loss_is_that_of_three_planes_and_the_map():
    model = models.create("multichannel", "tiny", nu=0.5, rate_weight=7.0)
    x = np.stack([lively.picture(16, 24, seed) for seed in range(2)])
    ycbcr = np.random.default_rng(0).uniform(0, 255, x.shape).astype(np.float32)
    x_hat = color.ycbcr_to_rgb(ycbcr)
    out = {"x_hat": tf.constant(x_hat), "ycbcr": tf.constant(ycbcr)}
    out.update(p_mean=tf.constant([0.1, 0.6]), bpp_estimated=tf.constant([0.3, 0.4]))
    r, g, b = np.moveaxis(x.astype(float), -1, 0)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    planes = (luma, 128 + (b - luma) / 1.772, 128 + (r - luma) / 1.402)
    errors = [np.abs(plane - ycbcr[..., i]).mean(axis=(1, 2)) for i, plane in enumerate(planes)]
    terms = model.rate_distortion(x, out)
    for name, error in zip(("mae_luma", "mae_cb", "mae_cr"), errors):
        np.testing.assert_allclose(terms[name], error, rtol=1e-4)
    expected = errors[0] + 0.5 * (errors[1] + errors[2]) + 7 * np.array([0.1, 0.6])
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-4)
    shown = np.clip(np.rint(x_hat), 0, 255)
    np.testing.assert_allclose(terms["psnr"], 10 * np.log10(255**2 / ((x - shown) ** 2).mean((1, 2, 3))), rtol=1e-5)


@pytest.mark.parametrize(
    ("variant", "reaches"), [("", True), ("feature_fusion_8", True), ("no_fusion_8", False), ("no_fusion_16", False)]
)
def test_fusion_lets_colours_shape_the_code_of_brightness(made, variant, reaches):
    model, x = made[variant], lively.picture(32, 32)[None]
    own = model.analysis["luma"].trainable_variables + model.to_map.trainable_variables
    with tf.GradientTape() as tape:
        terms = model.rate_distortion(x, model(x, training=True))
        loss = tf.reduce_sum(terms["mae_cb"] + terms["mae_cr"])
    gradients = tape.gradient(loss, own, unconnected_gradients="zero")
    assert any(np.any(gradient) for gradient in gradients[: len(model.analysis["luma"].trainable_variables)]) == reaches
    assert np.any(gradients[-1]) == reaches


def test_colours_under_the_map_teach_it_too(made):
    x = lively.picture(32, 32)[None]
    for settings, reaches in (({"chroma_mask": True}, True), ({"chroma_mask": False}, False)):
        model = lively.make("multichannel", fuse_at="none", steps_without_map=0, **settings)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.rate_distortion(x, model(x, training=True))["mae_cb"])
        gradient = tape.gradient(loss, model.to_map.weights[-1], unconnected_gradients="zero")
        assert np.any(gradient) == reaches


def test_colours_cost_their_channels_or_what_the_map_lets_them(made):
    x = lively.picture(64, 96)[None]
    for variant, each in (("no_fusion_16", 16), ("", 8), ("fusion_4-chroma_mask", None)):
        out = made[variant](x)
        q = out["map"].numpy()
        bits = q.size * 2 + (2 * q).sum()
        bits += 2 * (q.sum() if each is None else q.size * each)  # ceil(4 q / 4)
        assert float(out["bpp_raw"][0]) == pytest.approx(bits / (64 * 96), rel=1e-6)


def test_decoded_pictures_are_those_of_the_network(each):
    x = lively.picture(41, 50)
    y = (x[::-1].copy(),) if each.uses_side else ()
    x_hat = each.decompress(each.compress(x), *y)
    expected = each(inputs(each, x[None]))["x_hat"][0]
    np.testing.assert_allclose(x_hat, np.clip(expected, 0, 255), atol=0.502)


def test_brightness_is_decoded_without_colours(each):
    x = lively.picture(41, 50)
    luma = each.decode_luma(each.compress(x))
    assert (luma.shape, luma.dtype) == ((41, 50), np.uint8)
    expected = each(inputs(each, x[None]))["ycbcr"][0, ..., 0]
    np.testing.assert_allclose(luma, np.clip(expected, 0, 255), atol=0.502)
    _, (of_map, of_luma, *_) = each.unpack(each.compress(x), 4, 10**6)
    without = bitstream.pack(each.identity, 41, 50, [of_map, of_luma, b"", b"no colour"])
    np.testing.assert_array_equal(each.decode_luma(without), luma)
    with pytest.raises(bitstream.PayloadError):
        each.decompress(without, *((x,) if each.uses_side else ()))


def test_neither_colour_depends_on_the_other(each):
    first, second = (each.analyze(lively.picture(41, 50, seed)) for seed in (0, 1))
    strings = each.strings(first)
    for i, name in enumerate(("cb", "cr")):
        changed = {**first, name: second[name] * each.masks_of(first["map"])[name]}
        assert not np.array_equal(changed[name], first[name])
        others = each.strings(changed)
        assert [a == b for a, b in zip(strings, others)] == [k != 2 + i for k in range(4)]
    # And from pixels on: planes are coded one by one.
    planes = each.normalize(lively.picture(32, 48)[None]).numpy()
    _, before = each.encode(planes)
    planes[..., 2] = np.roll(planes[..., 2], 5, axis=1)
    _, after = each.encode(planes)
    for name, same in (("luma", True), ("cb", True), ("cr", False)):
        assert np.array_equal(before[name], after[name]) == same


def test_bytes_never_depend_on_the_side_information(made):
    model, x = made["side"], lively.picture(40, 56)
    blob = model.compress(x)
    pictures = [model.decompress(blob, lively.picture(40, 56, seed)) for seed in (1, 2)]
    assert not np.array_equal(*pictures)
    outs = [model((x[None], lively.picture(40, 56, seed)[None])) for seed in (1, 2)]
    for name in ("map", "luma", "cb", "cr", "bpp_estimated"):
        np.testing.assert_array_equal(outs[0][name], outs[1][name])
    np.testing.assert_array_equal(outs[0]["ycbcr"][..., 0], outs[1]["ycbcr"][..., 0])
    assert model.estimate(x) == float(outs[0]["bpp_estimated"][0])


def test_side_information_is_asked_for_and_checked(made):
    model, plain, x = made["side"], made[""], lively.picture(24, 32)
    assert (model.uses_side, model.trains_on) == (True, "pairs")
    assert (plain.uses_side, plain.trains_on) == (False, "images")
    with pytest.raises(ValueError, match="y is None"):
        model.decompress(model.compress(x))
    with pytest.raises(ValueError, match="without side information got y"):
        plain.decompress(plain.compress(x), x)
    with pytest.raises(images.ImageError, match="24x40"):
        model.decompress(model.compress(x), lively.picture(24, 40))


@pytest.mark.parametrize("variant", ["", "feature_fusion_8", "side"])
def test_large_images_see_all_that_whole_ones_do(made, variant, monkeypatch):
    model, x = made[variant], lively.picture(640, 40)
    y = (lively.picture(640, 40, 1),) if model.uses_side else ()
    latents, x_hat = model.analyze(x), model.decompress(model.compress(x), *y).astype(int)
    luma = model.decode_luma(model.compress(x)).astype(int)
    monkeypatch.setattr("dsin_tf.layers.strips._LARGEST", 2**12)
    monkeypatch.setattr("dsin_tf.layers.strips._STRIP", 2**12)
    pieces = model.analyze(x)
    assert all(np.mean(pieces[name] != values) < 1e-3 for name, values in latents.items())
    assert np.mean(np.abs(model.decompress(model.compress(x), *y) - x_hat) > 1) < 1e-2
    assert np.mean(np.abs(model.decode_luma(model.compress(x)) - luma) > 1) < 1e-2


def test_strips_overlap_by_all_that_an_output_can_depend_on(made):
    """By changing what goes in at one end."""
    model = made["feature_fusion_8"]
    x = model.normalize(lively.picture(240, 16)[None]).numpy()
    other = np.concatenate([-x[:, :8], x[:, 8:]], axis=1)
    for one, another in zip(*(tf.nest.flatten(model.encode(image)) for image in (x, other))):
        rows = np.flatnonzero(np.any(one != another, axis=(0, 2, 3)))
        assert 0 < rows.max() <= model.analysis_halo / 8
    codes = {name: np.ones((1, 30, 2, 8), np.float32) for name in multichannel.STREAMS}
    others = {name: np.concatenate([0 * code[:, :1], code[:, 1:]], axis=1) for name, code in codes.items()}
    rows = np.flatnonzero(np.any(model.decode(codes) != model.decode(others), axis=(0, 2, 3)))
    assert 8 * 4 < rows.max() < 8 * (1 + 2 * (3 + 4))


def test_training_lowers_the_loss_of_every_plane():
    model = models.create("multichannel", "tiny", steps_without_map=10, rate_weight=2.0)
    step = lively.training_step(model, 5e-3)
    x = tf.constant(lively.picture(64, 64)[None])
    before = model.rate_distortion(x, model(x))
    for _ in range(80):
        step(x)
    after = model.rate_distortion(x, model(x))
    for name in ("loss", "mae_luma", "mae_cb", "mae_cr"):
        assert float(after[name][0]) < 0.8 * float(before[name][0])


def test_batch_normalisation_is_for_the_large_preset():
    assert [models.presets("multichannel")[preset]["batch_norm"] for preset in ("paper", "small", "tiny")] == [
        True,
        False,
        False,
    ]
    model = models.create("multichannel", "tiny", batch_norm=True, steps_without_map=0)
    averages = [v for v in model.analysis["luma"].weights if "moving_mean" in v.name]
    assert len(averages) == 2 + 2 * 4 + 1
    model(lively.picture(32, 32)[None], training=True)
    assert all(np.any(average) for average in averages)


def test_settings_are_those_of_the_constructor():
    model = models.create("multichannel", "tiny", nu=2.0, rate_weight=10, seed=5, side=True)
    assert model.settings == {
        "filters": 8,
        "groups": 1,
        "channels": 8,
        "levels": 4,
        "chroma_channels": 8,
        "fuse_at": "code",
        "chroma_mask": False,
        "batch_norm": False,
        "side": True,
        "nu": 2.0,
        "rate_weight": 10.0,
        "context": "counts",
        "map_gradient": "local",
        "steps_without_map": 2,
        "distortion": "mae",
        "seed": 5,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filters": 7}, "filters is 7; an even number"),
        ({"fuse_at": "image"}, "no fuse_at 'image'; there are: code, feature, none"),
        ({"nu": -1.0}, "nu is -1.0; 0 or more"),
        ({"rate_weight": float("nan")}, "rate_weight is nan; 0 or more"),
        ({"chroma_channels": 0}, "chroma_channels is 0"),
        ({"groups": 0}, "groups is 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("multichannel", "tiny", **settings)
