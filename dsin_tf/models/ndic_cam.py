"""NDIC-CAM: NDIC whose decoder looks for what it needs in the features of y.

Mital, Özyılkan, Garjani and Gündüz, "Neural distributed image compression with cross-attention feature alignment",
WACV 2023, https://arxiv.org/abs/2207.08489; in the form of the released code (github.com/ipc-lab/NDIC-CAM). What is not
said here is as in ndic.py, with a factorised prior and the corrected decoder.

Weights belong to one size of image, because those of the cross-attention do: see `layers.cross_attention`. So the size
is a setting, and images of another are refused. What that code computes of the cross-attention and never uses is left
out: 29,711,526 parameters there are 24,992,934 here, at N = 192 and 128x256.
"""

import types

import tensorflow as tf

from dsin_tf import bitstream, images
from dsin_tf.layers import cross_attention
from dsin_tf.models import codec, ndic

PRESETS = {
    # As published (its authors' latest configuration); rates come from the lambdas of experiments/ndic.py.
    "paper": {"filters": 192, "size": (128, 256), "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores; with attention as wide as published it would take hours.
    "small": {"filters": 32, "width": 64, "heads": 4, "size": (128, 256), "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "width": 16, "heads": 2, "size": (64, 64), "lmbda": 8e-4, "distortion": "mse"},
}

_DROPOUT_STREAM = 3  # and the two after it, of the noise; NDIC has those before


class NDICCam(ndic.NDICBalle2017):
    """NDIC with three cross-attentions in the decoder of x, which ask for features of the decoder of y.

        v_x, w --> up, IGDN --> a_1 --+--> up, IGDN --> a_2 --+--> up, IGDN --> a_3 --+--> up --> x_hat
                                 |    |                  |    |                  |    |
                                CAM --+                 CAM --+                 CAM --+
                                 |                       |                       |
        v_y, w --> up, IGDN --> g_1 -----> up, IGDN --> g_2 -----> up, IGDN --> g_3 .....> up ..> y_hat

    So the receiver needs the encoder of y's private latents, and all of y's decoder but the last layer.

    Args:
      size: (height, width) of all images, multiples of 32.
      width, heads: of the cross-attention; see `layers.cross_attention.CrossAttention`.
      alpha, beta: as of `ndic.NDIC`; 0 by default, as in the authors' latest configuration.
      The others: see `ndic.NDIC`.
    """

    model_name = "ndic_cam"
    training_parts = ("prior_w", "coder_y", "prior_y")

    def __init__(self, filters, size, lmbda, distortion="mse", alpha=0.0, beta=0.0, width=256, heads=8, seed=0):
        self.size = tuple(map(int, size))
        if len(self.size) != 2 or any(side < 32 or side % 32 for side in self.size):
            raise ValueError(f"size is {size!r}; (height, width), multiples of 32, were expected.")
        self._width, self._heads = width, heads
        architecture = {"filters": filters, "size": self.size, "width": width, "heads": heads}
        self._check_settings(lmbda, distortion, seed, architecture)
        super().__init__(filters, lmbda, distortion, alpha, beta, seed=seed)
        self._architecture = types.MappingProxyType(architecture)

    def _make_decoder(self, make, filters):
        return _AligningDecoder(make, filters, self.size, self._width, self._heads)

    def decode(self, of_x, of_y, training=False):
        features, y_hat = self._features(of_y)
        noises = [self._dropout_noise(_DROPOUT_STREAM + i) if training else None for i in range(len(features))]
        return self.synthesis(of_x, features, noises), y_hat

    def _dropout_noise(self, stream):
        """What an attention draws its noise with."""
        return lambda like: self.noise(like, stream)

    def _features(self, of_y):
        """What the layers of y's decoder make: a list of g_1, g_2, g_3, and y_hat."""
        *stages, last = self.synthesis_y.layers
        features = []
        for up, igdn in zip(stages[::2], stages[1::2]):
            of_y = igdn(up(of_y))
            features.append(of_y)
        return features, last(of_y)

    def call(self, inputs, training=False):
        self._check_size(inputs[0].shape[1:3])
        # Graphs learn the size of images only when they run, but the attention is built for one.
        return super().call([tf.ensure_shape(image, (None, *self.size, 3)) for image in inputs], training)

    # Coding.

    @property
    def decoder_networks(self):
        return (self.synthesis, self.analysis_w, self.analysis_y, self.synthesis_y)

    def compress(self, x):
        images.check(x)
        self._check_size(x.shape[:2])
        return super().compress(x)

    def decompress(self, blob, y, max_pixels=bitstream.MAX_PIXELS, rounded=True):
        header, _ = self.unpack(blob, self.coder.count, max_pixels)
        self.check_side(y, header)
        self._check_size((header.height, header.width))
        _, decoded = self.decode_latents(blob, max_pixels)
        v_y, w = self.analyze(y, self.analysis_y), self.analyze(y, self.analysis_w)
        x_hat, _ = self.decode(tf.concat([decoded["v_x"], w], axis=-1), tf.concat([v_y, w], axis=-1))
        return codec.to_pixels(x_hat[0], rounded).numpy()

    def _check_size(self, found):
        if any(side is not None and side != expected for side, expected in zip(found, self.size)):
            raise images.ImageError(
                f"The image is {found[0]}x{found[1]} (height x width); {self.name} was made for {self.size[0]}x"
                f"{self.size[1]}, and its weights fit no other size. Crop or resize the images, or create it with size."
            )


class _AligningDecoder(tf.keras.layers.Layer):
    """D_x: private and common latents `[N, h, w, 2 filters]`, and features g_1, g_2, g_3, to x_hat."""

    def __init__(self, make, filters, size, width, heads):
        super().__init__(name="synthesis")
        self._filters, self._size = filters, size
        self._ups = [make.up_conv(filters if i < 4 else 3, 5, 2, name=f"conv{i}") for i in (1, 2, 3, 4)]
        self._igdns = [make.gdn(inverse=True, name=f"igdn{i}") for i in (1, 2, 3)]
        self._attentions = [
            cross_attention.CrossAttention(width, heads, make.next_seed, f"attention{i}") for i in (1, 2, 3)
        ]

    def build(self, input_shape):
        channels, (height, width) = input_shape[-1], self._size
        for i, up in enumerate(self._ups):
            _build(up, (None, None, None, channels))
            if i < 3:
                _build(self._igdns[i], (None, None, None, self._filters))
                shape = (None, height >> (3 - i), width >> (3 - i), self._filters)
                _build(self._attentions[i], (shape, shape))
        super().build(input_shape)

    def call(self, latents, features, noises):
        for up, igdn, attention, feature, noise in zip(self._ups, self._igdns, self._attentions, features, noises):
            latents = igdn(up(latents))
            latents = tf.concat([latents, attention((latents, feature), noise)], axis=-1)
        return self._ups[-1](latents)


def _build(layer, shape):
    """Makes the layer's variables, named after it."""
    with tf.name_scope(layer.name):
        layer.build(shape)
