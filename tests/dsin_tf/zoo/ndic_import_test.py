"""Checkpoints as NDIC's authors wrote them, and what their code would have computed, in numpy."""

from collections import OrderedDict

import numpy as np
import pytest

from dsin_tf import zoo
from dsin_tf.zoo import ndic_import
from tests.dsin_tf.models import lively
from tests.dsin_tf.zoo import torch_files

N = 4
PEDESTAL = 2.0**-36


def numbers(name, seed=0):
    """A random state dict of a published model, `{name: array}`, in the order and shapes of that code."""
    rng, state = np.random.default_rng(seed), OrderedDict()

    def add(key, *shape, scale=None):
        fan = np.prod(shape[1:]) if len(shape) > 1 else 4
        state[key] = (rng.uniform(-1, 1, shape) * (scale or 2 * fan**-0.5)).astype(np.float32)

    def conv(key, out, into, k, up=False, bias=True):
        add(f"{key}.weight", *((into, out) if up else (out, into)), k, k)
        if bias:
            add(f"{key}.bias", out)

    def gdn(key):
        state[f"{key}.beta"] = np.sqrt(rng.uniform(0.5, 2, N) + PEDESTAL).astype(np.float32)
        state[f"{key}.gamma"] = np.sqrt(rng.uniform(0, 0.2, (N, N)) + PEDESTAL).astype(np.float32)

    def prior(key):
        widths = (1, 3, 3, 3, 1)
        add(f"{key}.factors", 3, N, 3, 1, scale=0.5)
        for i, (into, out) in enumerate(zip(widths, widths[1:])):
            add(f"{key}.matrix{i}", N, out, into, scale=0.5)
            add(f"{key}.bias{i}", N, out, 1, scale=0.5)

    with_side, hyper = name.startswith("ndic"), name.endswith("2018")
    kernels = (5, 5, 5, 5) if with_side or hyper else (9, 5, 5)
    count = len(kernels)
    for suffix in ("", "_cor", "_w") if with_side else ("",):
        for i, k in enumerate(kernels, start=1):
            conv(f"conv{i}{suffix}", N, 3 if i == 1 else N, k)
        for i in range(1, count):
            gdn(f"gdn{i}{suffix}")
        if suffix == "_w":
            continue
        for i, k in enumerate(reversed(kernels), start=1):
            conv(f"deconv{i}{suffix}", 3 if i == count else N, 2 * N if with_side and i == 1 else N, k, up=True)
        for i in range(1, count):
            gdn(f"igdn{i + (count == 3)}{suffix}")
    if name == "ndic_cam":
        for i in (1, 2, 3):
            length = 2 * 2 * 4 ** (i - 1)  # of a token, of images of 64x64
            for key, *shape in (
                ("to_patch_embedding_x.1.weight", 256, length),
                ("to_patch_embedding_x.1.bias", 256),
                ("to_patch_embedding_y.1.weight", 256, length),
                ("to_patch_embedding_y.1.bias", 256),
                ("unpack_embedding_y.0.weight", length, 256),
                ("unpack_embedding_y.0.bias", length),
                ("norm.weight", 256),
                ("norm.bias", 256),
                ("attn.to_qkv_x.weight", 6144, 256),
                ("attn.to_qkv_y.weight", 6144, 256),
                ("attn.to_out.0.weight", 256, 2048),
                ("attn.to_out.0.bias", 256),
            ):
                add(f"ca{i}.{key}", *shape)
        for i, out in ((2, N), (3, N), (4, 3)):
            conv(f"deconv{i}", out, 2 * N, 5, up=True)
    for branch in ("_primary_image", "_cor_image") if with_side else ("",) if hyper else ():
        if hyper:
            for i, k in ((1, 3), (2, 5), (3, 5)):
                conv(f"ha{branch}.conv_h{i}", N, N, k, bias=i < 3)
            for i, k in ((4, 5), (5, 5), (6, 3)):
                conv(f"hs{branch}.conv_h{i}", N, N, k, up=True)
    endings = {"ndic_balle2018": ("_sigma_x", "_sigma_y", "_common_info")}
    for ending in endings.get(name, ("_hx", "_hy", "")) if with_side else ("",):
        prior(f"entropy_bottleneck{ending}")
    return state


def correlate(x, state, key, stride):
    """C(k, stride) of `[H, W, C]`, by windows."""
    kernel, pad = state[f"{key}.weight"], (state[f"{key}.weight"].shape[-1] - 1) // 2
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(0, 1))[::stride, ::stride]
    return np.einsum("hwcij,ocij->hwo", windows, kernel) + state[f"{key}.bias"]


def spread(x, state, key, stride):
    """T(k, stride) of `[h, w, C]`: every value adds its kernel to the result."""
    kernel = state[f"{key}.weight"].astype(np.float64)
    k, (height, width) = kernel.shape[-1], x.shape[:2]
    full = np.zeros(((height - 1) * stride + k, (width - 1) * stride + k, kernel.shape[1]))
    for i in range(k):
        for j in range(k):
            part = full[i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
            part += x @ kernel[:, :, i, j]
    pad = (k - 1) // 2
    return full[pad : pad + height * stride, pad : pad + width * stride] + state[f"{key}.bias"]


def gdn(x, state, key, inverse=False):
    beta = state[f"{key}.beta"].astype(np.float64) ** 2 - PEDESTAL
    gamma = state[f"{key}.gamma"].astype(np.float64) ** 2 - PEDESTAL
    norm = np.sqrt(beta + x**2 @ gamma)
    return x * norm if inverse else x / norm


def aligned(a, g, state, key):
    """The cross-attention of the released code, one token after the other, for maps `[h, w, C]`."""

    def cut(image):
        (height, width, channels), k = image.shape, 4
        h, w = height // k, width // k
        parts = [(c, i, j) for c in range(channels) for i in range(k) for j in range(k)]
        return [np.s_[i * h : (i + 1) * h, j * w : (j + 1) * w, c] for c, i, j in parts]

    def linear(x, name):
        return x @ state[f"{key}.{name}.weight"].T.astype(float) + state.get(f"{key}.{name}.bias", 0)

    def norm(x):
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        return x * state[f"{key}.norm.weight"] + state[f"{key}.norm.bias"]

    of_a, of_g = (
        linear(
            norm(linear(np.array([x[place].ravel() for place in cut(x)]), f"to_patch_embedding_{end}.1")),
            f"attn.to_qkv_{end}",
        )
        for x, end in ((a, "x"), (g, "y"))
    )
    found = []
    for head in range(8):
        q, k, v = (x[:, start + 256 * head :][:, :256] for x, start in ((of_a, 0), (of_g, 2048), (of_g, 4096)))
        scores = np.exp(q @ k.T / 16)
        found.append(scores / scores.sum(axis=1, keepdims=True) @ v)
    out = linear(linear(np.concatenate(found, axis=1), "attn.to_out.0"), "unpack_embedding_y.0")
    result = np.zeros(a.shape)
    for place, token in zip(cut(a), out):
        result[place] = token.reshape(result[place].shape)
    return result


def encode(x, state, suffix="", strides=(2, 2, 2, 2)):
    for i, stride in enumerate(strides, start=1):
        x = correlate(x, state, f"conv{i}{suffix}", stride)
        if i < len(strides):
            x = gdn(x, state, f"gdn{i}{suffix}")
    return x


def decode(x, state, order=(1, 2, 3, 4), strides=(2, 2, 2, 2), first=1):
    for step, (i, stride) in enumerate(zip(order, strides)):
        x = spread(x, state, f"deconv{i}", stride)
        if step < len(order) - 1:
            x = gdn(x, state, f"igdn{step + first}", inverse=True)
    return x


@pytest.fixture(scope="module")
def pair():
    return lively.picture(64, 64), lively.picture(64, 64, 1)


def imported(tmp_path, state, legacy=True, **settings):
    path = tmp_path / "weights.pt"
    torch_files.write(path, {"model_state_dict": state, "optimizer_state_dict": {"step": 7}}, legacy=legacy)
    return zoo.import_ndic(path, **settings)


@pytest.mark.parametrize("decoder", ["published", "corrected"])
@pytest.mark.parametrize("name", ["ndic_balle2017", "ndic_balle2018"])
def test_the_image_is_that_of_the_formulas(name, decoder, pair, tmp_path):
    state = numbers(name)
    model = imported(tmp_path, state, decoder=decoder)
    assert (model.name, model.settings["filters"], model.settings["decoder"]) == (name, N, decoder)
    x, y = (image / 255.0 for image in pair)
    v_x, w = np.round(encode(x, state)), encode(y, state, "_w")
    order = (1, 2, 2, 4) if decoder == "published" else (1, 2, 3, 4)
    out = model((pair[0][None], pair[1][None]))
    np.testing.assert_array_equal(out["v_x"][0], v_x)
    assert np.abs(v_x).max() > 1
    x_hat = decode(np.concatenate([v_x, w], axis=-1), state, order)
    np.testing.assert_allclose(out["x_hat"][0] / 255, x_hat, atol=1e-5 * np.abs(x_hat).max())


def test_the_image_of_the_successor_is_that_of_the_formulas(pair, tmp_path):
    state = numbers("ndic_cam")
    model = imported(tmp_path, state, size=(64, 64))
    assert (model.name, model.settings["alpha"], model.settings["beta"]) == ("ndic_cam", 0, 0)
    x, y = (image / 255.0 for image in pair)
    of_y = np.concatenate([encode(y, state, "_cor"), encode(y, state, "_w")], axis=-1)
    of_x = np.concatenate([np.round(encode(x, state)), encode(y, state, "_w")], axis=-1)
    for i in (1, 2, 3):
        of_y = gdn(spread(of_y, state, f"deconv{i}_cor", 2), state, f"igdn{i}_cor", inverse=True)
        a = gdn(spread(of_x, state, f"deconv{i}", 2), state, f"igdn{i}", inverse=True)
        of_x = np.concatenate([a, aligned(a, of_y, state, f"ca{i}")], axis=-1)
    x_hat = spread(of_x, state, "deconv4", 2)
    out = model((pair[0][None], pair[1][None]))
    np.testing.assert_allclose(out["x_hat"][0] / 255, x_hat, atol=2e-5 * np.abs(x_hat).max())


def test_weights_for_another_size_are_named(tmp_path):
    with pytest.raises(ndic_import.PublishedWeightsError, match="attention1|ca1"):
        imported(tmp_path, numbers("ndic_cam"))


def test_old_names_of_the_common_branch_are_known(pair, tmp_path):
    state = numbers("ndic_balle2017")
    old = OrderedDict((key.replace("_w.", "_z."), array) for key, array in state.items())
    one, other = (imported(tmp_path, each)((pair[0][None], pair[1][None])) for each in (state, old))
    np.testing.assert_array_equal(one["x_hat"], other["x_hat"])


@pytest.mark.parametrize("name", ["balle2017", "balle2018"])
def test_models_without_side_information(name, pair, tmp_path):
    state = numbers(name)
    model = imported(tmp_path, state, legacy=False)
    assert model.name == name
    strides = (4, 2, 2) if name == "balle2017" else (2, 2, 2, 2)
    y = np.round(encode(pair[0] / 255.0, state, strides=strides))
    first = 2 if name == "balle2017" else 1
    x_hat = decode(y, state, tuple(range(1, len(strides) + 1)), strides[::-1], first)
    out = model(pair[0][None])
    np.testing.assert_array_equal(out["y"][0], y)
    np.testing.assert_allclose(out["x_hat"][0] / 255, x_hat, atol=1e-5 * np.abs(x_hat).max())


@pytest.mark.parametrize("name", ["ndic_balle2017", "ndic_balle2018", "balle2017", "balle2018"])
def test_likelihoods_are_those_of_the_formulas(name, tmp_path):
    """The prior's cumulative, as appendix 6.1 of Ballé 2018 has it."""
    state = numbers(name)
    model = imported(tmp_path, state)
    keys = {
        "ndic_balle2017": {"_hx": "prior", "_hy": "prior_y", "": "prior_w"},
        "ndic_balle2018": {"_sigma_x": "prior", "_sigma_y": "prior_y", "_common_info": "prior_w"},
    }.get(name, {"": "prior"})
    values = np.linspace(-6, 6, 25)
    for ending, ours in keys.items():
        key = f"entropy_bottleneck{ending}"

        def logits(v, key=key):
            x = np.broadcast_to(v, (N, 1, len(v)))
            for i in range(4):
                x = np.log1p(np.exp(state[f"{key}.matrix{i}"].astype(float))) @ x + state[f"{key}.bias{i}"]
                if i < 3:
                    x = x + np.tanh(state[f"{key}.factors"][i]) * np.tanh(x)
            return x[:, 0]

        expected = 1 / (1 + np.exp(-logits(values + 0.5))) - 1 / (1 + np.exp(-logits(values - 0.5)))
        found = getattr(model, ours).likelihood(np.repeat(values[:, None], N, axis=1).astype(np.float32))
        np.testing.assert_allclose(found, expected.T, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("deconv3.bias"), r"deconv3.bias|synthesis/conv3/bias"),
        (lambda s: s.update({"conv2.weight": s["conv2.weight"][:, :, :3]}), r"conv2\.weight is 3x5x4x4, 5x5x4x4"),
        (lambda s: s.update({"conv9.bias": s["conv1.bias"]}), r"conv9\.bias is 4, nothing was expected"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    state = numbers("ndic_balle2017")
    change(state)
    with pytest.raises(ndic_import.PublishedWeightsError, match=message):
        imported(tmp_path, state)


def test_other_checkpoints_are_refused(tmp_path):
    with pytest.raises(ndic_import.PublishedWeightsError, match="has no conv1.bias"):
        imported(tmp_path, OrderedDict({"fc.weight": np.zeros((2, 2), np.float32)}))
