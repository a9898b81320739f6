import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import images, models
from dsin_tf.layers import cross_attention
from tests.dsin_tf.models import lively


@pytest.fixture(scope="module")
def model():
    model = lively.make("ndic_cam")
    model.prepare_for_coding()
    return model


def pair(seed=0):
    return lively.picture(64, 64, seed), lively.picture(64, 64, seed + 100)


def weights(layer):
    return {variable.name.split("/")[-1].split(":")[0]: variable.numpy().astype(float) for variable in layer.weights}


def attention_by_hand(layer, a, g):
    """The cross-attention of one pair of maps `[h, w, C]`, token by token."""
    height, width, channels = a.shape
    h, w = height // 4, width // 4

    def tokens(image):
        return np.array(
            [
                image[i * h : (i + 1) * h, j * w : (j + 1) * w, c].ravel()
                for c in range(channels)
                for i in range(4)
                for j in range(4)
            ]
        )

    def dense(x, name):
        own = weights(getattr(layer, f"_{name}"))
        return x @ own["kernel"] + own.get("bias", 0)

    def norm(x):
        own = weights(layer._norm)
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        return x * own["gamma"] + own["beta"]

    asking, answering = norm(dense(tokens(a), "embed_a")), norm(dense(tokens(g), "embed_g"))
    q, k, v = dense(asking, "query"), dense(answering, "key"), dense(answering, "value")
    width = asking.shape[1]
    heads = []
    for head in range(q.shape[1] // width):
        mine = np.s_[:, width * head : width * (head + 1)]
        scores = np.exp(q[mine] @ k[mine].T / np.sqrt(width))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[mine])
    out = dense(dense(np.concatenate(heads, axis=1), "out"), "unpack")
    result = np.zeros(a.shape)
    for number, token in enumerate(out):
        c, i, j = number // 16, number // 4 % 4, number % 4
        result[i * h : (i + 1) * h, j * w : (j + 1) * w, c] = token.reshape(h, w)
    return result


@pytest.mark.parametrize(
    # All queries, or 5 of 48 at a time.
    ("width", "heads", "at_once", "seed"),
    [(256, 8, 2**24, 0), (256, 8, 2**11, 1), (20, 3, 2**24, 2)],
)
def test_attention_is_that_of_the_released_code(width, heads, at_once, seed, monkeypatch):
    monkeypatch.setattr(cross_attention, "_SCORES_AT_ONCE", at_once)
    layer = cross_attention.CrossAttention(width, heads, iter(range(100)).__next__, "attention")
    layer.build(((None, 8, 12, 3),) * 2)
    rng = np.random.default_rng(seed)
    for variable in layer._norm.weights:
        variable.assign(rng.normal(1, 0.3, variable.shape))
    a, g = rng.normal(size=(2, 2, 8, 12, 3)).astype(np.float32)
    found = layer((a, g)).numpy()
    for n in range(2):
        np.testing.assert_allclose(found[n], attention_by_hand(layer, a[n], g[n]), atol=2e-5)
    # Matching is by content alone: the order of the answering channels does not matter.
    np.testing.assert_allclose(layer((a, g[..., ::-1])), found, atol=2e-5)


def test_tokens_are_patches_of_channels_and_come_back():
    image = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)
    tokens = cross_attention.to_tokens(tf.constant(image))
    assert tokens.shape == (2, 48, 6)
    np.testing.assert_array_equal(tokens[1, 16 + 4 * 2 + 3], image[1, 4:6, 9:12, 1].ravel())
    np.testing.assert_array_equal(cross_attention.from_tokens(tokens, 8, 12, 3), image)


@pytest.mark.parametrize(
    ("size", "filters", "published"),
    [((128, 256), 192, 29_711_526), ((64, 64), 192, 29_259_354), ((128, 256), 16, 11_665_894)],
)
def test_parameters_are_the_published_ones_without_the_dead_thirds(size, filters, published):
    model = models.create("ndic_cam", size=size, filters=filters)
    count = sum(np.prod(variable.shape) for variable in model.trainable_variables)
    assert count == published - 3 * 3 * 256 * 2048


def test_the_decoder_of_x_asks_that_of_y(model):
    x, y = pair()
    out = model((x[None], y[None]))
    of_x, of_y = (np.concatenate([out[name], out["w"]], axis=-1) for name in ("v_x", "v_y"))
    own, aid = model.synthesis, model.synthesis_y.layers
    for stage in range(3):
        of_y = aid[2 * stage + 1](aid[2 * stage](of_y)).numpy()
        a = own._igdns[stage](own._ups[stage](of_x)).numpy()
        found = attention_by_hand(own._attentions[stage], a[0], of_y[0])
        of_x = np.concatenate([a, found[None].astype(np.float32)], axis=-1)
    np.testing.assert_allclose(out["x_hat"], 255 * own._ups[3](of_x), atol=0.05)
    np.testing.assert_allclose(out["y_hat"], 255 * aid[6](of_y), atol=0.05)


def test_dropout_is_a_function_of_the_step(model):
    x, y = (image[None] for image in pair())
    one, again = (model((x, y), training=True)["x_hat"] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    layer = model.synthesis._attentions[0]
    a = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)
    kept = []

    def noise(like):
        drawn = model.noise(like, 9)
        kept.append(np.mean(drawn >= -0.4))
        return drawn

    dropped = layer((a, a), noise).numpy()
    assert kept[0] == pytest.approx(0.9, abs=0.01)
    assert np.abs(dropped - layer((a, a))).max() > 1e-3


def test_without_alpha_and_beta_the_loss_is_that_of_x():
    model = lively.make("ndic_cam", lmbda=0.002)
    x, y = (image[None] for image in pair())
    with tf.GradientTape() as tape:
        out = model((x, y), training=True)
        loss = model.rate_distortion(x, out)["loss"]
    expected = float(out["bpp_estimated"][0]) + 0.002 * np.mean((out["x_hat"] - x.astype(float)) ** 2)
    assert float(loss[0]) == pytest.approx(expected, rel=1e-5)
    of_y = [*model.analysis_y.trainable_variables, *model.synthesis_y.trainable_variables]
    gradients = tape.gradient(loss, of_y)
    *used, kernel, bias = gradients  # the last layer makes y_hat
    assert all(np.any(gradient) for gradient in used)
    assert not np.any(kernel)
    assert not np.any(bias)


def test_files_hold_x_and_decode_with_y(model):
    x, y = pair()
    blob = model.compress(x)
    shown = np.clip(np.rint(model((x[None], y[None]))["x_hat"][0]), 0, 255)
    x_hat = model.decompress(blob, y)
    assert np.abs(x_hat - shown).max() <= 1
    assert np.any(model.decompress(blob, pair(seed=5)[1]) != x_hat)


def test_other_sizes_are_refused(model):
    x, y = pair()
    blob = model.compress(x)
    with pytest.raises(images.ImageError, match="was made for 64x64"):
        model.compress(x[:32])
    with pytest.raises(images.ImageError, match="was made for 64x64"):
        model((x[None, :, :32], y[None, :, :32]))
    with pytest.raises(images.ImageError, match="64x32"):
        model.decompress(blob, y[:, :32])
    with pytest.raises(ValueError, match="size is .48, 64.; .height, width., multiples of 32"):
        models.create("ndic_cam", "tiny", size=(48, 64))
