"""Reads the weights that DSIN's authors publish: checkpoints of their TensorFlow 1 code.

    model = dsin_tf.zoo.import_dsin("KITTI_stereo_target_bpp0.02/model", target_bpp=0.02)

Ayzik and Avidan, "Deep image compression using decoder side information", ECCV 2020,
https://arxiv.org/abs/2001.04753. Its code names variables by the scopes of its graph. Their numbers lie as Keras' do,
the kernels of transposed convolutions (rows x columns x out x in) as well as the others.
"""

import tensorflow as tf

from dsin_tf import layers, models

_ENCODER = "encoder/encoder_body/encoder_body/autoencoder/encoder/"
_DECODER = "decoder/autoencoder/decoder/"
_CLASSIFIER = "imgcomp/probclass3d/logits/"
_SI_NET = "siNetwork/"
_STEP = "training-step/global_step"


class PublishedWeightsError(ValueError):
    """A checkpoint is not of the published kind, or cannot be read; says which variable is missing or differs."""


def import_dsin(prefix, **settings):
    """The model with the weights of a published checkpoint.

    Args:
      prefix: path of the checkpoint without the endings of its files (.index, .data-...).
      **settings: what replaces the settings of preset paper: `target_bpp` it was trained for, `fetch`, `mask`.

    Returns:
      A `dsin` of preset paper, not yet prepared for coding. Of a checkpoint of the autoencoder alone, which holds
      nothing of SI-Net, a `cpm`. Its step is the checkpoint's, where that says it.

    Raises:
      PublishedWeightsError: the checkpoint cannot be read, or one of its variables is missing, has another shape, or is
        none that the model has.
      ValueError: a setting that the model refuses.
    """
    checkpoint = _Checkpoint(prefix)
    name = "dsin" if any(variable.startswith(_SI_NET) for variable in checkpoint.shapes) else "cpm"
    model = models.create(name, "paper", **settings)
    variables = published_names(model)
    checkpoint.check({key: tuple(variable.shape) for key, variable in variables.items()})
    for key, variable in variables.items():
        variable.assign(checkpoint.read(key))
    if _STEP in checkpoint.shapes:
        model.step.assign(int(checkpoint.read(_STEP)))
    return model


def published_names(model):
    """The variables of a `dsin` or `cpm` by the names they have in the authors' code."""
    blocks = range(model.settings["arch_param_b"])
    encoder = ["h1", "h2", *_body("res_block_enc_{}/enc_{}_{}", blocks, "res_block_enc_final"), "to_bn"]
    decoder = ["from_bn", *_body("res_block_dec_{}/dec_{}_{}", blocks, "dec_after_res"), "h12", "h13"]
    named = {_ENCODER + "centers": model.quantizer.centers}
    for start, scopes, network in ((_ENCODER, encoder, model.analysis), (_DECODER, decoder, model.synthesis)):
        for scope, convolution in zip(scopes, layers.convolutions(network)):
            named[f"{start}{scope}/weights"] = convolution.kernel
            for name in ("beta", "gamma", "moving_mean", "moving_variance"):
                named[f"{start}{scope}/BatchNorm/{name}"] = getattr(convolution.norm, name)
    classifier = ("conv3d_conv0_mask", "res1/conv3d_conv1_mask", "res1/conv3d_conv2_mask", "conv3d_conv2_mask")
    for scope, kernel, bias in zip(classifier, model.classifier.kernels, model.classifier.biases):
        named.update({f"{_CLASSIFIER}{scope}/weights": kernel, f"{_CLASSIFIER}{scope}/biases": bias})
    if model.name == "dsin":
        for number, layer in enumerate(model.si_net.layers, start=1):
            scope = _SI_NET + ("g_conv_last" if layer is model.si_net.layers[-1] else f"g_conv{number}")
            named.update({f"{scope}/weights": layer.kernel, f"{scope}/biases": layer.bias})
    return named


def _body(block, groups, last):
    """Scopes of the convolutions between those that change the size."""
    blocks = [block.format(group, group, number) for group in groups for number in (1, 2, 3)]
    return [f"{scope}/conv{number}" for scope in (*blocks, last) for number in (1, 2)]


class _Checkpoint:
    """A checkpoint of the authors' code."""

    def __init__(self, prefix):
        self._prefix = prefix
        try:
            self._reader = tf.train.load_checkpoint(str(prefix))
        except (tf.errors.OpError, ValueError) as error:
            raise PublishedWeightsError(
                f"{prefix}: holds no checkpoint that can be read ({str(error).splitlines()[0]}). Name the files of a "
                "TensorFlow checkpoint without .index and .data-00000-of-00001."
            ) from error
        self.shapes = {name: tuple(shape) for name, shape in self._reader.get_variable_to_shape_map().items()}

    def read(self, name):
        try:
            return self._reader.get_tensor(name)
        except tf.errors.OpError as error:
            raise PublishedWeightsError(
                f"{self._prefix}: {name} cannot be read ({str(error).splitlines()[0]}). Get a whole copy."
            ) from error

    def check(self, expected):
        """Raises PublishedWeightsError unless the model's variables are `expected`, {name: shape}."""
        scopes = (_ENCODER, _DECODER, _CLASSIFIER, _SI_NET)
        found = {name for name in self.shapes if name.startswith(scopes) and not self._is_slot(name)}
        wrong = []
        for name in sorted({*expected, *found}):
            there, here = (shapes.get(name, "nothing") for shapes in (self.shapes, expected))
            if there != here:
                wrong.append(f"{name} is {_text(there)}, {_text(here)} was expected")
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise PublishedWeightsError(
                f"{self._prefix}: {wrong[0]}{more}. Name one of the published code and settings."
            )

    def _is_slot(self, name):
        """Whether this is what an optimiser keeps of a variable (VARIABLE/Adam), or the power of one of its betas."""
        return name.rpartition("/")[0] in self.shapes or name.endswith("_power")


def _text(shape):
    return shape if isinstance(shape, str) else "x".join(map(str, shape)) or "a scalar"
