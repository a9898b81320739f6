"""Reads the weights that NDIC's authors publish, and those of NDIC-CAM: checkpoints of their PyTorch code.

    model = dsin_tf.zoo.import_ndic("ours+balle17_MS-SSIM_lambda3e-05.pt", lmbda=3e-5)

Mital, Özyılkan, Garjani and Gündüz, "Neural distributed image compression using common information", DCC 2022,
https://arxiv.org/abs/2106.11723, and "Neural distributed image compression with cross-attention feature alignment",
WACV 2023, https://arxiv.org/abs/2207.08489. Their kernels are stored [out, in, height, width], of transposed
convolutions [in, out, height, width]; GDN's parameters and those of the priors lie as tensorflow-compression's do.
"""

import numpy as np

from dsin_tf import models
from dsin_tf.models import storage
from dsin_tf.zoo import torch_checkpoint

_PRIOR = "DeepFactorized/"
# Layers of the cross-attention.
_ATTENTION = {
    "to_patch_embedding_x.1": "embed_a",
    "to_patch_embedding_y.1": "embed_g",
    "norm": "norm",
    "attn.to_qkv_x": "of_a",
    "attn.to_qkv_y": "of_g",
    "attn.to_out.0": "out",
    "unpack_embedding_y.0": "unpack",
}
# What is used of the joint projections of a and g: our layers and their part of the rows, of [q | k | v].
_PROJECTIONS = {"of_a": {"query": 0}, "of_g": {"key": 1, "value": 2}}


class PublishedWeightsError(ValueError):
    """A checkpoint is not of the published kind; says which weight is missing or differs."""


def import_ndic(path, **settings):
    """The model with the weights of a published checkpoint.

    Args:
      path: of the file.
      **settings: what replaces the settings of preset paper: the `lmbda` and `distortion` it was trained for, and
        `decoder="corrected"` for weights that were trained with the corrected code.

    Returns:
      An `ndic_balle2017`, `ndic_balle2018` or `ndic_cam` (whose settings name the `size` of the images, if it is not
      128x256), or without side information a `balle2017` or `balle2018`, whichever the weights are of; not yet
      prepared for coding.

    Raises:
      torch_checkpoint.TorchCheckpointError: the file cannot be read.
      PublishedWeightsError: one of its weights is missing, has another shape, or is none that the model has.
      ValueError: a setting that the model refuses.
    """
    weights = _state(path)
    name = _model_name(path, weights)
    model = models.create(name, "paper", filters=len(weights["conv1.bias"]), **settings)
    variables = storage.named_variables(model.layers)
    found = _renamed(name, weights)
    _check(path, {key: tuple(variable.shape) for key, variable in variables.items()}, found)
    for key, variable in variables.items():
        variable.assign(found[key][1])
    return model


def published_names(name):
    """The layers of a model by the prefixes that their weights have in the authors' code: `{theirs: ours}`."""
    own = {}
    if name == "balle2017":
        _transform(own, "", "", 3, igdn_from=2)
        return {**own, "entropy_bottleneck": "prior"}
    _transform(own, "", "", 4)
    if name == "balle2018":
        _hyper(own, "ha", "hs", "")
        return {**own, "entropy_bottleneck": "prior"}
    _transform(own, "_cor", "_y", 4)
    _transform(own, "_w", "_w", 4, has_decoder=False)
    if name == "ndic_cam":
        for i in (1, 2, 3):
            for theirs, ours in _ATTENTION.items():
                own[f"ca{i}.{theirs}"] = f"synthesis/attention{i}/{ours}"
    if name != "ndic_balle2018":
        priors = ("entropy_bottleneck_hx", "entropy_bottleneck_hy", "entropy_bottleneck")
    else:
        _hyper(own, "ha_primary_image", "hs_primary_image", "")
        _hyper(own, "ha_cor_image", "hs_cor_image", "_y")
        priors = (f"entropy_bottleneck_{part}" for part in ("sigma_x", "sigma_y", "common_info"))
    return {**own, **dict(zip(priors, ("prior", "prior_y", "prior_w")))}


def _transform(own, suffix, ours, count, has_decoder=True, igdn_from=1):
    """Adds encoder and decoder of `count` convolutions; their layers end in `suffix`, our networks in `ours`."""
    for i in range(1, count + 1):
        own[f"conv{i}{suffix}"] = f"analysis{ours}/conv{i}"
        if has_decoder:
            own[f"deconv{i}{suffix}"] = f"synthesis{ours}/conv{i}"
    for i in range(1, count):
        own[f"gdn{i}{suffix}"] = f"analysis{ours}/gdn{i}"
        if has_decoder:
            own[f"igdn{i + igdn_from - 1}{suffix}"] = f"synthesis{ours}/igdn{i}"


def _hyper(own, analysis, synthesis, ours):
    for i in (1, 2, 3):
        own[f"{analysis}.conv_h{i}"] = f"hyper_analysis{ours}/conv{i}"
        own[f"{synthesis}.conv_h{i + 3}"] = f"hyper_synthesis{ours}/conv{i}"


def _state(path):
    """The model's weights in a checkpoint, by the names of the authors' last revision."""
    content = torch_checkpoint.read(path)
    weights = content.get("model_state_dict", content)
    if not isinstance(weights, dict) or not all(isinstance(array, np.ndarray) for array in weights.values()):
        raise PublishedWeightsError(f"{path}: holds no state dict. Name a checkpoint of NDIC's code.")
    if any(key.startswith("conv1_z.") for key in weights):  # the common branch's name in older revisions
        weights = {key.replace("z", "w"): array for key, array in weights.items()}
    if "conv1.bias" not in weights:
        raise PublishedWeightsError(f"{path}: has no conv1.bias. Name a checkpoint of NDIC's code.")
    return weights


def _model_name(path, weights):
    """Which model has weights of these names."""
    if any(key.startswith("ca1.") for key in weights):
        return "ndic_cam"
    has_hyper = any(key.startswith(("ha.", "ha_primary_image.")) for key in weights)
    with_side = any(key.startswith("conv1_w.") for key in weights)
    return ("ndic_" if with_side else "") + ("balle2018" if has_hyper else "balle2017")


def _renamed(name, weights):
    """`{our name: (their name, array as ours)}`; weights that have no place here keep their own name."""
    layers = published_names(name)
    renamed = {}
    for key, array in weights.items():
        prefix, _, leaf = key.rpartition(".")
        ours = layers.get(prefix)
        if ours is None:
            renamed[key] = key, array
        elif "/attention" in ours:
            renamed.update(_of_attention(ours, key, leaf, array))
        elif leaf == "weight":
            renamed[f"{ours}/kernel"] = key, np.transpose(array, (2, 3, 1, 0) if _is_conv(ours) else (2, 3, 0, 1))
        elif leaf in ("beta", "gamma"):
            renamed[f"{ours}/reparam_{leaf}"] = key, array
        elif leaf == "factors":
            for i, factor in enumerate(array):
                renamed[f"{ours}/{_PRIOR}factor_{i}"] = f"{key}[{i}]", factor
        elif leaf[:-1] in ("matrix", "bias") and leaf != "bias":
            renamed[f"{ours}/{_PRIOR}{leaf[:-1]}_{leaf[-1]}"] = key, array
        else:
            renamed[f"{ours}/{leaf}"] = key, array
    return renamed


def _of_attention(ours, key, leaf, array):
    """As of `_renamed`, for a weight of a linear layer or normalisation."""
    scope, _, layer = ours.rpartition("/")
    if layer in _PROJECTIONS:
        parts = np.split(array.T, 3, axis=1) if len(array) % 3 == 0 else [array.T] * 3
        return {f"{scope}/{part}/kernel": (key, parts[third]) for part, third in _PROJECTIONS[layer].items()}
    if layer == "norm":
        return {f"{ours}/{'gamma' if leaf == 'weight' else 'beta'}": (key, array)}
    return {f"{ours}/{'kernel' if leaf == 'weight' else leaf}": (key, array.T)}


def _is_conv(name):
    """Whether a layer of ours is a convolution, not a transposed one."""
    return "analysis" in name


def _check(path, expected, found):
    """Raises an error unless `found`, {our name: (their name, array)}, is `expected`, {our name: shape}."""
    wrong = []
    for key in sorted({*expected, *found}):
        theirs, array = found.get(key, (key, None))
        there = "nothing" if array is None else "x".join(map(str, array.shape))
        here = "x".join(map(str, expected[key])) if key in expected else "nothing"
        if there != here:
            wrong.append(f"{theirs} is {there}, {here} was expected")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise PublishedWeightsError(f"{path}: {wrong[0]}{more}. Name a checkpoint of NDIC's code, with N channels.")
