"""Pictures, and small models that code something without having been trained."""

import numpy as np
import tensorflow as tf

from dsin_tf import bitstream, layers, models
from dsin_tf.entropy import latents
from dsin_tf.models import binary_codec, cpm, dsc_msf

# Names of the models that take images of any size.
ANY_SIZE = tuple(name for name in models.names() if name != "ndic_cam")


def picture(height, width, seed=0):
    """uint8 [H, W, 3]: shades, an edge and some noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 16
    shade = 110 + 60 * np.sin(rows + seed) + 40 * np.cos(1.7 * columns) + 30 * (rows > columns)
    noisy = shade[..., None] * [1, 0.9, 0.7] + rng.normal(scale=12, size=(height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def training_step(model, learning_rate):
    """`train_step` with Adam, as a graph; traced once, since the optimiser's variables are there before."""
    model.compile(optimizer=tf.keras.optimizers.Adam(learning_rate))
    model.optimizer.build(model.trainable_variables)
    return tf.function(model.train_step)


def side(height, width):
    """A side image uint8 [H, W, 3] that follows from the size; slanting stripes."""
    rows, columns = (tf.cast(step * tf.range(length), tf.uint8) for step, length in ((5, height), (3, width)))
    return rows[:, None, None] + columns[None, :, None] + tf.constant([0, 60, 120], tf.uint8)


class WithSide:
    """A model that needs y as one that needs none, so that it can be tested as those are: y is `side`."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)

    def __call__(self, x, training=False):
        return self._model(self._pair(x), training=training)

    def test_step(self, x):
        return self._model.test_step(self._pair(x))

    def decompress(self, blob, **options):
        # A size that the model refuses is refused before y is looked at.
        header = bitstream.inspect(blob)
        size = (header.height, header.width) if header.height * header.width <= bitstream.MAX_PIXELS else (1, 1)
        return self._model.decompress(blob, side(*size).numpy(), **options)

    def _pair(self, x):
        shape = tf.shape(x)
        return x, tf.broadcast_to(side(shape[1], shape[2]), shape)


def make(name, **settings):
    """An untrained tiny model whose latents are not all 0 and whose scales differ."""
    model = models.create(name, "tiny", **settings)
    if isinstance(model, cpm.CPM):
        return _with_symbols(model)
    if isinstance(model, binary_codec.BinaryCodec):
        return _with_bits(model)

    def amplify(network, inputs, deviation):
        outputs = network(inputs).numpy()
        kernel = network.layers[-1].kernel_parameter
        kernel.assign(kernel * deviation / outputs.std())
        return network(inputs)

    y = amplify(model.analysis, model.normalize(picture(128, 128)[None]), 3)
    if hasattr(model, "analysis_w"):
        amplify(model.analysis_w, model.normalize(picture(128, 128)[None]), 20)
    if hasattr(model, "hyper_synthesis"):
        z = amplify(model.hyper_analysis, np.abs(y), 4)
        features = amplify(model.hyper_synthesis, z, 0.25 if has_means(model) else 0.6)
        if hasattr(model, "context"):
            kernel, _ = _parameter_layer(model)
            parameters = model.context(tf.cast(y, tf.float32), tf.cast(features, tf.float32))
            kernel.assign(kernel * 0.25 / parameters.numpy().std())
        if has_means(model):
            _, bias = _parameter_layer(model)
            bias[: bias.shape[0] // 2].assign(np.full(bias.shape[0] // 2, 1.2))  # logarithms of scales near y's
        else:
            bias = model.hyper_synthesis.layers[-1].bias_parameter
            bias.assign_add(np.full(bias.shape, 2.5, np.float32))
    if isinstance(model, dsc_msf.DSCMSF):
        _begin(model.fusion, model.enhance)
    return model


def has_means(model):
    """Whether latents come out at whole distances from means, not as integers."""
    return isinstance(getattr(model, "coder", None), latents.MeanScale)


def settle_means(model):
    """Makes the means of such a model 64ths that nothing changes: then floats and integers round around the same."""
    rng = np.random.default_rng(0)
    for variable in _parameter_layer(model):
        values = variable.numpy()
        values[..., values.shape[-1] // 2 :] = 0
        variable.assign(values)
    means = np.round(rng.normal(size=len(values) // 2) * 64) / 64
    variable[len(values) // 2 :].assign(means)


def _parameter_layer(model):
    """Kernel and bias of the layer that gives logarithms of scales and, after them, means."""
    if hasattr(model, "context"):
        return model.context.kernels[-1], model.context.biases[-1]
    layer = model.hyper_synthesis.layers[-1]
    return layer.kernel_parameter, layer.bias_parameter


def _begin(*networks):
    """Networks whose last kernel begins at 0, so that they change nothing, get another one there."""
    rng = np.random.default_rng(0)
    for network in networks:
        for variable in network.weights:
            if "kernel" in variable.name and not variable.numpy().any():
                variable.assign(rng.normal(scale=0.02, size=variable.shape))


def _with_symbols(model):
    """The same for models of centres: their symbols are all that there are, and some are likelier than others."""
    norm, rng = layers.convolutions(model.analysis)[-1].norm, np.random.default_rng(0)
    z = model.analysis(model.normalize(picture(128, 128)[None])).numpy()
    norm.gamma.assign(norm.gamma * 1.5 / z.std(axis=(0, 1, 2)))
    norm.beta.assign(rng.normal(scale=0.5, size=norm.beta.shape))
    for bias in model.classifier.biases:
        bias.assign(rng.normal(scale=0.3, size=bias.shape))
    return model


def _with_bits(model):
    """The same for models of binary codes: bits of both kinds everywhere, and every level of the map."""
    _begin(*model.layers)
    p, e = model.encode(model.normalize(picture(128, 128)[None]))
    heads = model.to_code if isinstance(model.to_code, dict) else {"code": model.to_code}
    for head, values in [(model.to_map, p), *((heads[name], e[name]) for name in heads)]:
        logits = np.log(values / (1 - values))
        kernel, bias = head.weights[-2:]
        scale = 2 / logits.std(axis=(0, 1, 2))
        kernel.assign(kernel * scale)
        bias.assign(-scale * logits.mean(axis=(0, 1, 2)))
    return model
