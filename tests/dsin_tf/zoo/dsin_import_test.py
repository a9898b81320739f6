"""Imported models against the sheet's formulas in numpy and plain TensorFlow."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from dsin_tf import models, zoo
from dsin_tf.zoo import dsin_import
from tests.dsin_tf.zoo import published
from tests.dsin_tf.zoo.published import CLASSIFIER, DECODER, ENCODER

MEAN = np.array([93.70454143384742, 98.28243432206516, 94.84678088809876])
STD = np.sqrt(np.array([5411.79935676, 5758.60456747, 5890.31451232]) + 1e-10)


@pytest.fixture(scope="module")
def numbers():
    return published.random_numbers()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory, numbers):
    return published.write(tmp_path_factory.mktemp("published") / "model", numbers)


@pytest.fixture(scope="module")
def model(prefix):
    return zoo.import_dsin(prefix, target_bpp=0.02)


# ---------------------------------------------------------------------------------------------------------------------
# The sheet, once more.


def convolved(v, numbers, scope, stride=1, up=False, relu=False):
    kernel = numbers[f"{scope}/weights"]
    if up:
        shape = (v.shape[0], v.shape[1] * stride, v.shape[2] * stride, kernel.shape[2])
        v = tf.nn.conv2d_transpose(v, kernel, shape, stride, "SAME")
    else:
        v = tf.nn.conv2d(v, kernel, stride, "SAME")
    norm = {n: numbers[f"{scope}/BatchNorm/{n}"] for n in ("beta", "gamma", "moving_mean", "moving_variance")}
    v = (v - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-5) * norm["gamma"] + norm["beta"]
    return np.maximum(v, 0) if relu else np.asarray(v)


def body(v, numbers, half, short, last):
    first = v
    for g in range(5):
        before_group = v
        for b in (1, 2, 3):
            scope = f"{half}/res_block_{short}_{g}/{short}_{g}_{b}"
            v = v + convolved(convolved(v, numbers, f"{scope}/conv1", relu=True), numbers, f"{scope}/conv2")
        v = v + before_group
    v = v + convolved(convolved(v, numbers, f"{half}/{last}/conv1"), numbers, f"{half}/{last}/conv2")
    return v + first


def symbols_and_picture(numbers, image):
    """Symbols `[N, h, w, C]` and decoded image, 0 ... 255."""
    v = ((image - MEAN) / STD).astype(np.float32)
    v = convolved(v, numbers, f"{ENCODER}/h1", 2, relu=True)
    v = convolved(v, numbers, f"{ENCODER}/h2", 2, relu=True)
    v = body(v, numbers, ENCODER, "enc", "res_block_enc_final")
    b = convolved(v, numbers, f"{ENCODER}/to_bn", 2)
    heat = 32 / (1 + np.exp(-b[..., :1].astype(np.float64)))
    z = np.clip(heat - np.arange(32), 0, 1) * b[..., 1:]
    centers = numbers[f"{ENCODER}/centers"]
    symbols = np.argmin((z[..., None] - centers) ** 2, axis=-1)
    v = convolved(centers[symbols], numbers, f"{DECODER}/from_bn", 2, up=True, relu=True)
    v = body(v, numbers, DECODER, "dec", "dec_after_res")
    v = convolved(v, numbers, f"{DECODER}/h12", 2, up=True, relu=True)
    v = convolved(v, numbers, f"{DECODER}/h13", 2, up=True)
    return symbols, np.clip(v * STD + MEAN, 0, 255)


def bits(numbers, symbols):
    """Of one image's symbols `[h, w, C]`, in all."""
    centers = numbers[f"{ENCODER}/centers"]
    volume = np.pad(centers[symbols].transpose(2, 0, 1), [(4, 0), (4, 4), (4, 4)], constant_values=centers[0])
    v = volume[None, ..., None]

    def layer(v, scope, first=False):
        mask = np.ones((2, 3, 3, 1, 1), np.float32)
        mask[1, 1, 1:], mask[1, 2] = 0, 0
        if first:
            mask[1, 1, 1] = 0
        else:
            mask[1, 1, 1] = 1
        kernel = numbers[f"{CLASSIFIER}/{scope}/weights"] * mask
        return tf.nn.conv3d(v, kernel, [1] * 5, "VALID").numpy() + numbers[f"{CLASSIFIER}/{scope}/biases"]

    v = np.maximum(layer(v, "conv3d_conv0_mask", first=True), 0)
    inner = layer(np.maximum(layer(v, "res1/conv3d_conv1_mask"), 0), "res1/conv3d_conv2_mask")
    logits = np.maximum(layer(inner + v[:, 2:, 2:-2, 2:-2], "conv3d_conv2_mask"), 0)[0].transpose(1, 2, 0, 3)
    chosen = np.take_along_axis(logits, symbols[..., None], axis=-1)[..., 0]
    return np.sum(np.log2(np.exp(logits.astype(np.float64)).sum(axis=-1)) - chosen / np.log(2))


def found_in_y(x_dec, y_dec, y):
    """y_syn of one image by the definition, window by window, as released: masked, cropped and resized."""
    height, width = y.shape[:2]
    colors = np.array([[1, 1, 0.5], [1, -1, 0], [0, 0, 0.5]])  # from R, G, B to R + G, R - G, (R + B) / 2
    x_dec, y_dec = ((v - MEAN) / STD @ colors for v in (x_dec, y_dec))
    y_syn = np.zeros((height, width, 3))
    for top in range(0, height, 20):
        for left in range(0, width, 24):
            patch, scores = x_dec[top : top + 20, left : left + 24].ravel(), {}
            for r in range(height - 19):
                for c in range(width - 23):
                    correlation = np.corrcoef(patch, y_dec[r : r + 20, c : c + 24].ravel())[0, 1]
                    down = (r + 9 - (top + 10)) / (height / 2)
                    right = (c + 11 - (left + 12)) / (width / 2)
                    scores[r, c] = correlation * np.exp(-4 * np.log(2) * (down**2 + right**2))
            r, c = max(scores, key=scores.get)
            rows = (r + np.arange(20) * 20 / 19) * (height - 1) / height
            columns = (c + np.arange(24) * 24 / 23) * (width - 1) / width
            places = np.meshgrid(rows, columns, indexing="ij")
            for k in range(3):
                sampled = ndimage.map_coordinates(y[..., k].astype(float), places, order=1)
                y_syn[top : top + 20, left : left + 24, k] = sampled
    return y_syn


def fused(numbers, x_dec, y_syn):
    v = np.concatenate([(x_dec - MEAN) / STD, (y_syn - MEAN) / STD], axis=-1).astype(np.float32)
    for k, dilation in enumerate((1, 2, 4, 8, 16, 32, 64, 128, 1), start=1):
        v = tf.nn.conv2d(v, numbers[f"siNetwork/g_conv{k}/weights"], 1, "SAME", dilations=dilation)
        v = np.asarray(v) + numbers[f"siNetwork/g_conv{k}/biases"]
        v = np.maximum(0.2 * v, v)
    v = v @ numbers["siNetwork/g_conv_last/weights"][0, 0] + numbers["siNetwork/g_conv_last/biases"]
    return v * STD + MEAN


def photo(seed, height=40, width=48):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 9
    picture = 120 + 70 * np.sin(rows + seed)[..., None] * np.cos(columns)[..., None] * [1, 0.8, -0.5]
    return np.clip(picture + rng.normal(scale=25, size=(height, width, 3)), 0, 255).astype(np.uint8)[None]


# ---------------------------------------------------------------------------------------------------------------------


def test_the_names_are_those_of_the_public_checkpoints(sample_data):
    with open(sample_data.parent / "papers" / "dsin_variables.csv", newline="") as file:
        listed = {row["variable"]: row["shape"] for row in csv.DictReader(file)}
    assert listed.pop("training-step/global_step") == "scalar"
    assert {name: "x".join(map(str, shape)) for name, shape in published.shapes().items()} == listed


def test_every_variable_of_the_model_has_a_name():
    for name in ("dsin", "cpm"):
        model = models.create(name, "paper")
        named = dsin_import.published_names(model)
        assert len({id(variable) for variable in named.values()}) == len(named)
        own = {id(variable) for layer in model.layers for variable in layer.weights}
        assert {id(variable) for variable in named.values()} == own


def test_the_decoded_image_is_that_of_the_formulas(model, numbers):
    x, y = photo(1), photo(2)
    out = model((x, y), training=False)
    symbols, x_dec = symbols_and_picture(numbers, x)
    assert len(np.unique(symbols)) == 6
    np.testing.assert_array_equal(out["symbols"], symbols)
    np.testing.assert_allclose(out["x_dec"], x_dec, atol=2e-2)
    assert x_dec.std() > 10
    np.testing.assert_allclose(out["y_dec"], symbols_and_picture(numbers, y)[1], atol=2e-2)
    np.testing.assert_allclose(out["bpp_estimated"], bits(numbers, symbols[0]) / (40 * 48), rtol=1e-4)


def test_the_result_is_that_of_the_formulas(model, numbers):
    x, y = photo(1), photo(2)
    out = model((x, y), training=False)
    y_syn = found_in_y(symbols_and_picture(numbers, x)[1][0], symbols_and_picture(numbers, y)[1][0], y[0])
    np.testing.assert_allclose(out["y_syn"][0], y_syn, atol=2e-2)
    x_hat = fused(numbers, symbols_and_picture(numbers, x)[1], y_syn[None])
    assert 20 < x_hat.std() < 1e4
    np.testing.assert_allclose(out["x_hat"], x_hat, atol=1e-3 * x_hat.std())
    without = fused(numbers, out["x_dec"], y)
    assert np.abs(without - x_hat).max() > 0.1 * x_hat.std()


def test_the_imported_model_codes(model, numbers):
    x, y = photo(3), photo(4)
    model.prepare_for_coding()
    blob = model.compress(x[0])
    header, latents = model.decode_latents(blob)
    np.testing.assert_array_equal(latents["symbols"], symbols_and_picture(numbers, x)[0])
    x_hat = model.decompress(blob, y[0])
    expected = np.clip(np.round(model((x, y), training=False)["x_hat"][0]), 0, 255)
    assert np.abs(x_hat - expected).max() <= 1
    assert (header.height, header.width, int(model.step)) == (40, 48, 123)


def test_settings_go_to_the_model(model):
    assert model.name == "dsin"
    assert (model.preset, model.target_bpp, model.settings["fetch"]) == ("paper", 0.02, "resample")


def test_a_checkpoint_of_the_autoencoder_alone_is_a_cpm(tmp_path, numbers):
    alone = {name: value for name, value in numbers.items() if not name.startswith("siNetwork/")}
    model = zoo.import_dsin(published.write(tmp_path / "alone", alone))
    assert model.name == "cpm"
    np.testing.assert_allclose(model(photo(1))["x_dec"], symbols_and_picture(numbers, photo(1))[1], atol=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.pop("siNetwork/g_conv3/biases"), r"siNetwork/g_conv3/biases is nothing, 32 was expected\. Name"),
        (
            lambda n: n.update({f"{DECODER}/h12/weights": np.zeros((5, 5, 128, 64), np.float32)}),
            r"decoder/h12/weights is 5x5x128x64, 5x5x64x128 was expected",
        ),
        (
            lambda n: n.update({f"{ENCODER}/res_block_enc_5/enc_5_1/conv1/weights": np.zeros(3, np.float32)}),
            r"res_block_enc_5/enc_5_1/conv1/weights is 3, nothing was expected",
        ),
        (lambda n: [n.pop(name) for name in list(n) if "probclass" in name], r"conv0_mask/biases .* \(and 7 more\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, numbers, change, message):
    changed = dict(numbers)
    change(changed)
    with pytest.raises(dsin_import.PublishedWeightsError, match=message):
        zoo.import_dsin(published.write(tmp_path / "changed", changed))


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(dsin_import.PublishedWeightsError, match="nowhere: holds no checkpoint that can be read"):
        zoo.import_dsin(tmp_path / "nowhere")
    (tmp_path / "broken.index").write_bytes(b"not a table of names")
    with pytest.raises(dsin_import.PublishedWeightsError, match="broken: holds no checkpoint that can be read"):
        zoo.import_dsin(tmp_path / "broken")
