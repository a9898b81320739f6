"""Checkpoints as DSIN's authors publish them, with random numbers."""

import numpy as np
import tensorflow as tf

ENCODER = "encoder/encoder_body/encoder_body/autoencoder/encoder"
DECODER = "decoder/autoencoder/decoder"
CLASSIFIER = "imgcomp/probclass3d/logits"


def shapes():
    """{name: shape} of every variable of the model."""
    found = {f"{ENCODER}/centers": (6,)}

    def convolution(scope, *kernel, out):
        found[f"{scope}/weights"] = kernel
        found.update({f"{scope}/BatchNorm/{n}": (out,) for n in ("beta", "gamma", "moving_mean", "moving_variance")})

    convolution(f"{ENCODER}/h1", 5, 5, 3, 64, out=64)
    convolution(f"{ENCODER}/h2", 5, 5, 64, 128, out=128)
    convolution(f"{ENCODER}/to_bn", 5, 5, 128, 33, out=33)
    convolution(f"{DECODER}/from_bn", 3, 3, 128, 32, out=128)
    convolution(f"{DECODER}/h12", 5, 5, 64, 128, out=64)
    convolution(f"{DECODER}/h13", 5, 5, 3, 64, out=3)
    for half, short, last in ((ENCODER, "enc", "res_block_enc_final"), (DECODER, "dec", "dec_after_res")):
        for k in (1, 2):
            convolution(f"{half}/{last}/conv{k}", 3, 3, 128, 128, out=128)
            for g in range(5):
                for b in (1, 2, 3):
                    convolution(f"{half}/res_block_{short}_{g}/{short}_{g}_{b}/conv{k}", 3, 3, 128, 128, out=128)
    layers = {"conv3d_conv0_mask": (1, 24), "res1/conv3d_conv1_mask": (24, 24), "res1/conv3d_conv2_mask": (24, 24)}
    for scope, (width, out) in {**layers, "conv3d_conv2_mask": (24, 6)}.items():
        found.update({f"{CLASSIFIER}/{scope}/weights": (2, 3, 3, width, out), f"{CLASSIFIER}/{scope}/biases": (out,)})
    for k in range(1, 10):
        found.update({f"siNetwork/g_conv{k}/weights": (3, 3, 6 if k == 1 else 32, 32)})
        found.update({f"siNetwork/g_conv{k}/biases": (32,)})
    return {**found, "siNetwork/g_conv_last/weights": (1, 1, 32, 3), "siNetwork/g_conv_last/biases": (3,)}


def random_numbers(seed=0):
    """{name: array} for `shapes`, of a size at which nothing vanishes or explodes; also what is ignored."""
    rng = np.random.default_rng(seed)
    numbers = {}
    for name, shape in shapes().items():
        if name.endswith("weights"):
            fan = np.prod(shape[:-2]) * (shape[-1] if "decoder/from_bn" in name or "decoder/h1" in name else shape[-2])
            # Most taps of SI-Net's wide kernels lie outside of a small image.
            value = rng.normal(scale=(2.2 if "siNetwork" in name else 1) * fan**-0.5, size=shape)
        elif name.endswith("moving_variance"):
            value = rng.uniform(0.5, 2, shape)
        elif name.endswith("gamma"):
            # Small in the blocks, which add up, and large where the symbols come from.
            low, high = (2, 4) if "to_bn" in name else (0.1, 0.4) if "conv" in name else (0.5, 1.5)
            value = rng.uniform(low, high, shape)
        elif name.endswith("centers"):
            value = rng.uniform(-2, 2, shape)
        else:
            value = rng.normal(scale=0.2, size=shape)
        numbers[name] = value.astype(np.float32)
    ignored = {"training-step/global_step": np.int64(123), "training-step/beta1_power": np.float32(0.5)}
    slots = {f"{ENCODER}/centers/Adam", f"{ENCODER}/centers/Adam_1", f"{DECODER}/h13/weights/Adam"}
    return {**numbers, **ignored, **{name: np.full(3, 7, np.float32) for name in slots}}


def write(path, numbers):
    """A checkpoint in TensorFlow 1's (second) format; returns its prefix."""
    names = sorted(numbers)
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[numbers[n] for n in names]
    )
    return path
