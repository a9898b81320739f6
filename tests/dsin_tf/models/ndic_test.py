import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import images, models
from dsin_tf.entropy import hyperprior
from dsin_tf.models import codec
from dsin_tf.ms_ssim import ms_ssim
from tests.dsin_tf.models import lively

NAMES = ("ndic_balle2017", "ndic_balle2018")
WEIGHTS = ((1, 1), (1, 1e-3), (0, 0), (0, 1), (0.3, 2))  # alpha, beta


def pair(height, width, seed=0):
    return lively.picture(height, width, seed), lively.picture(height, width, seed + 100)


def count(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def bits(likelihood):
    return -np.log2(np.asarray(likelihood, np.float64)).sum()


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    model = lively.make(request.param)
    model.prepare_for_coding()
    return model


@pytest.mark.parametrize(
    ("name", "filters", "expected"),
    [
        ("ndic_balle2017", 192, 16_323_270),
        ("ndic_balle2018", 192, 25_025_094),
        ("ndic_balle2017", 16, 121_238),
        ("ndic_balle2018", 16, 181_814),
    ],
)
def test_parameters_are_as_many_as_in_the_published_code(name, filters, expected):
    assert count(models.create(name, filters=filters)) == expected


def test_the_default_is_what_gave_the_published_results():
    for name in NAMES:
        settings = models.create(name).settings
        expected = {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim", "alpha": 1, "beta": 1}
        assert {**settings, **expected, "decoder": "published"} == settings


def test_call_is_the_data_flow_of_the_paper(model):
    x, y = pair(64, 128)
    out = model((x[None], y[None]), training=False)
    unit_x, unit_y = (image[None].astype(np.float32) / 255 for image in (x, y))
    v_x = model.analysis(unit_x).numpy()
    v_y, w = model.analysis_y(unit_y).numpy(), model.analysis_w(unit_y).numpy()
    for name, expected in (("v_x", np.round(v_x)), ("v_y", v_y), ("w", w)):
        np.testing.assert_allclose(out[name], expected, atol=1e-5)
    x_hat = model.synthesis(np.concatenate([np.round(v_x), w], axis=-1))
    y_hat = model.synthesis_y(np.concatenate([v_y, w], axis=-1))
    np.testing.assert_allclose(out["x_hat"], 255 * x_hat, atol=1e-3)
    np.testing.assert_allclose(out["y_hat"], 255 * y_hat, atol=1e-3)
    if model.name == "ndic_balle2017":
        sent = bits(model.prior.likelihood(np.round(v_x)))
        of_y = bits(model.prior_y.likelihood(v_y))
    else:
        z_x, z_y = np.round(model.hyper_analysis(np.abs(v_x))), model.hyper_analysis_y(np.abs(v_y)).numpy()
        sent = bits(hyperprior.likelihood(np.round(v_x), model.hyper_synthesis(z_x))) + bits(
            model.prior.likelihood(z_x)
        )
        of_y = bits(hyperprior.likelihood(v_y, model.hyper_synthesis_y(z_y))) + bits(model.prior_y.likelihood(z_y))
    rates = {"bpp_estimated": sent, "bpp_y": of_y, "bpp_w": bits(model.prior_w.likelihood(w))}
    for name, expected in rates.items():
        assert float(out[name][0]) == pytest.approx(expected / (64 * 128), rel=1e-4)


def test_training_rounds_nothing_and_blurs_only_x_and_w(model):
    x, y = (image[None] for image in pair(128, 128))
    out, calm = model((x, y), training=True), model((x, y), training=False)
    noise = out["w"].numpy() - calm["w"].numpy()
    assert noise.std() == pytest.approx(0.001**0.5, rel=0.1)
    assert np.abs(noise).max() > 3 * 0.001**0.5 * 0.9  # not uniform
    np.testing.assert_allclose(out["v_y"], calm["v_y"], atol=1e-5)
    blur = out["v_x"].numpy() - model.analysis(x.astype(np.float32) / 255).numpy()
    assert 0.4 < np.abs(blur).max() <= 0.5 + 1e-5
    assert np.array_equal(out["w"], model((x, y), training=True)["w"])  # a function of the step


@pytest.mark.parametrize("distortion", ["mse", "ms-ssim"])
@pytest.mark.parametrize(("alpha", "beta"), WEIGHTS)
def test_the_loss_is_the_published_one(distortion, alpha, beta):
    model = models.create("ndic_balle2017", "tiny", distortion=distortion, alpha=alpha, beta=beta, lmbda=0.002)
    x, rng = pair(128, 112)[0][None].astype(np.float32), np.random.default_rng(0)
    y = x[:, :, ::-1].copy()
    x_hat, y_hat = (image + rng.normal(scale=s, size=x.shape).astype(np.float32) for image, s in ((x, 9), (y, 30)))
    out = {"x_hat": x_hat, "y_hat": y_hat, "y": y, "bpp_estimated": tf.constant([0.3])}
    out.update(bpp_y=tf.constant([0.7]), bpp_w=tf.constant([1.1]))
    terms = model.rate_distortion(x, out)

    def distance(one, other):
        if distortion == "mse":
            return ((one.astype(float) - other) ** 2).mean() / 255**2
        return 1 - float(ms_ssim(one, other, 255.0, 7)[0])

    of_x, of_y = distance(x, x_hat), distance(y, y_hat)
    expected = 0.3 + alpha * 0.7 + beta * 1.1 + 0.002 * 255**2 * (of_x + alpha * of_y)
    assert float(terms["loss"][0]) == pytest.approx(expected, rel=1e-5)
    assert float(terms["bpp"][0]) == pytest.approx(0.3)


def test_what_weighs_nothing_may_overflow():
    """Nothing trains y_hat where alpha is 0, nor the density of w where beta is."""
    model = models.create("ndic_balle2017", "tiny", alpha=0, beta=0)
    x = np.zeros((1, 64, 64, 3), np.float32)
    out = {"x_hat": x + 1, "y_hat": x + 1e30, "y": x, "bpp_estimated": tf.constant([0.3])}
    out.update(bpp_y=tf.constant([np.inf]), bpp_w=tf.constant([np.inf]))
    terms = model.rate_distortion(x, out)
    assert float(terms["loss"][0]) == pytest.approx(0.3 + model.lmbda, rel=1e-5)  # lmbda times 255^2 times (1/255)^2


@pytest.mark.parametrize("name", NAMES)
def test_the_published_decoder_applies_the_second_up_convolution_twice(name):
    model = lively.make(name, decoder="published")
    x, y = pair(64, 64)
    out = model((x[None], y[None]))
    both = tf.concat([out["v_x"], out["w"]], axis=-1)
    up1, igdn1, up2, igdn2, up3, igdn3, up4 = model.synthesis.layers
    expected = up4(igdn3(up2(igdn2(up2(igdn1(up1(both)))))))
    np.testing.assert_allclose(out["x_hat"], 255 * expected, atol=1e-3)
    for variable in up3.weights:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(model((x[None], y[None]))["x_hat"], out["x_hat"])
    assert np.abs(model.synthesis(both) * 255 - out["x_hat"]).max() > 1


def test_files_hold_x_and_decode_with_y(model):
    x, y = pair(70, 100)
    out = model((x[None], y[None]))
    blob = model.compress(x)
    shown = np.clip(np.rint(out["x_hat"][0]), 0, 255)
    assert np.abs(model.decompress(blob, y) - shown).max() <= 1
    other = model.decompress(blob, pair(70, 100, seed=5)[1])
    assert np.abs(other - shown).max() > 5
    assert 8 * len(blob) / 7000 == pytest.approx(float(out["bpp_estimated"][0]), abs=8 * 40 / 7000)
    assert model.estimate(x) == pytest.approx(float(out["bpp_estimated"][0]), rel=1e-5)
    with pytest.raises(images.ImageError, match="70x99"):
        model.decompress(blob, y[:, :99])
    with pytest.raises(ValueError, match="y is None"):
        model.decompress(blob, None)


@pytest.mark.parametrize(
    # Parameters at N = 192: three transforms or two are for training; of NDIC-CAM two priors alone.
    ("name", "left_out"),
    [
        ("ndic_balle2017", 2_891_136 + 3_812_547 + 2 * 8_256),
        ("ndic_balle2018", 2_891_136 + 3_812_547 + 2 * 8_256 + 2_175_360 + 2_175_552),
        ("ndic_cam", 2 * 8_256),
    ],
)
def test_stripping_leaves_out_what_is_for_training(name, left_out):
    model = models.create(name)
    whole = count(model)
    model.strip()
    assert whole - count(model) == left_out


@pytest.mark.parametrize("name", [*NAMES, "ndic_cam"])
def test_a_stripped_model_codes_the_same_files(name, tmp_path):
    model = lively.make(name)
    model.prepare_for_coding()
    x, y = pair(64, 64)
    blob, identity = model.compress(x), model.identity
    x_hat = model.decompress(blob, y)
    model.strip()
    models.save(model, tmp_path)
    for stripped in (model, models.load(tmp_path)):
        assert (stripped.is_stripped, stripped.compress(x), stripped.identity) == (True, blob, identity)
        np.testing.assert_array_equal(stripped.decompress(blob, y), x_hat)
        assert stripped.estimate(x) > 0
        with pytest.raises(codec.StrippedError, match=f"{name} was saved for coding alone"):
            stripped((x[None], y[None]))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(name):
    model = lively.make(name)
    x, y = (image[None] for image in pair(64, 64))
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model((x, y), training=True))["loss"]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, model.trainable_variables))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1}, "alpha is -1; 0 or more"),
        ({"beta": float("nan")}, "beta is nan; 0 or more"),
        ({"decoder": "fixed"}, "no decoder 'fixed'; there are: corrected, published"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("ndic_balle2017", "tiny", **settings)
