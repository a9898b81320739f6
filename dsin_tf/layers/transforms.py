"""The transforms of the Ballé models as NDIC uses them: convolutions, GDN, and the stacks made of them.

Sources: Ballé, Laparra and Simoncelli, "End-to-end optimized image compression", ICLR 2017,
https://arxiv.org/abs/1611.01704; Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a
scale hyperprior", ICLR 2018, https://arxiv.org/abs/1802.01436; Mital, Özyılkan, Garjani and Gündüz, "Neural
distributed image compression using common information", DCC 2022, https://arxiv.org/abs/2106.11723, whose
released PyTorch code (github.com/ipc-lab/NDIC) fixes the details.

The layers are tensorflow-compression's, with settings under which they compute what that code computes. Its
defaults are other functions:

- C(k, s): correlation, k x k, stride s, (k - 1) / 2 zeros on either side. Keras' padding="same" shifts the grid
  by a pixel where a side is even.
- T(k, s): its transpose; every side grows exactly s times.
- GDN: x_i / sqrt(beta_i + sum_j gamma_ji x_j^2); its inverse multiplies. tensorflow-compression's default has
  |x_j| and no root.
- Kernels are plain variables. The default, variables in the Fourier domain, trains several times slower on CPUs.
- Initial kernels and biases are PyTorch's: uniform in +-1 / sqrt(fan), fan = k^2 C_in for C, k^2 C_out for T.
"""

import itertools

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc


class Maker:
    """Makes the layers of one model; its seed fixes all their initial weights.

    Every layer draws from a stream of its own, counted in the order in which layers are made. So the initial
    weights depend on nothing but the seed: not on what else the process drew, nor on the number of devices.

    Args:
      seed: integer, 0 or more.
    """

    def __init__(self, seed):
        self._seed = seed
        self._made = itertools.count()

    def next_seed(self):
        """A seed that was not handed out before, for what draws its own initial values; 0 ... 2^31 - 1."""
        return int(np.random.SeedSequence([self._seed, next(self._made)]).generate_state(1)[0] >> 1)

    def conv(self, filters, support, stride=1, activation=None, use_bias=True, name=None):
        """C(support, stride): `[N, H, W, C]` to `[N, ceil(H / stride), ceil(W / stride), filters]`."""
        settings = {"corr": True, "strides_down": stride, "activation": activation, "use_bias": use_bias}
        return self._signal_conv(filters, support, fan_axis=2, name=name, **settings)

    def up_conv(self, filters, support, stride=1, activation=None, use_bias=True, name=None):
        """T(support, stride): `[N, H, W, C]` to `[N, H * stride, W * stride, filters]`."""
        settings = {"corr": False, "strides_up": stride, "activation": activation, "use_bias": use_bias}
        return self._signal_conv(filters, support, fan_axis=3, name=name, **settings)

    def gdn(self, inverse=False, name=None):
        """GDN, or its inverse; shapes stay."""
        return _GDN(inverse=inverse, alpha_parameter=2, epsilon_parameter=0.5, name=name)

    def _signal_conv(self, filters, support, fan_axis, **settings):
        initializer = _FanUniform(fan_axis, self.next_seed())
        return tfc.SignalConv2D(
            filters,
            support,
            padding="same_zeros",
            kernel_parameter="variable",
            kernel_initializer=initializer,
            bias_initializer=initializer,
            **settings,
        )


class _GDN(tfc.GDN):
    """tfc.GDN with its variables and its result for these two powers, in straight lines.

    In a graph, its own `call` asks at run time which powers it was given, and carries code for all of them.
    """

    def call(self, inputs):
        pool = tf.nn.conv2d(tf.math.square(inputs), self.gamma[None, None], 1, "VALID")
        norm = tf.math.sqrt(tf.nn.bias_add(pool, self.beta))
        return inputs * norm if self.inverse else inputs / norm


class _FanUniform:
    """PyTorch's initial values. One object a layer: the bias has the range of the kernel, which is made first."""

    def __init__(self, fan_axis, seed):
        self._fan_axis = fan_axis  # of a kernel [k, k, C_in, C_out]
        self._seed = seed
        self._bound = None

    def __call__(self, shape, dtype=None, **_):
        is_kernel = len(shape) == 4
        if is_kernel:
            self._bound = (shape[0] * shape[1] * shape[self._fan_axis]) ** -0.5
        return tf.random.stateless_uniform(
            shape, [self._seed, int(is_kernel)], -self._bound, self._bound, dtype or tf.float32
        )


def analysis(make, filters, latents=None, name="analysis"):
    """Image `[N, H, W, 3]` to latents `[N, H / 16, W / 16, latents]`, by default as many as `filters`."""
    return tf.keras.Sequential(
        [
            make.conv(filters, 5, 2, name="conv1"),
            make.gdn(name="gdn1"),
            make.conv(filters, 5, 2, name="conv2"),
            make.gdn(name="gdn2"),
            make.conv(filters, 5, 2, name="conv3"),
            make.gdn(name="gdn3"),
            make.conv(latents or filters, 5, 2, name="conv4"),
        ],
        name=name,
    )


def synthesis(make, filters, name="synthesis"):
    """Latents `[N, h, w, C]` to image `[N, 16 h, 16 w, 3]`; C is twice `filters` where side information joins in."""
    return tf.keras.Sequential(
        [
            make.up_conv(filters, 5, 2, name="conv1"),
            make.gdn(inverse=True, name="igdn1"),
            make.up_conv(filters, 5, 2, name="conv2"),
            make.gdn(inverse=True, name="igdn2"),
            make.up_conv(filters, 5, 2, name="conv3"),
            make.gdn(inverse=True, name="igdn3"),
            make.up_conv(3, 5, 2, name="conv4"),
        ],
        name=name,
    )


def hyper_analysis(make, filters, name="hyper_analysis"):
    """|latents| `[N, h, w, filters]` to hyper latents `[N, h / 4, w / 4, filters]`.

    As in NDIC's code there is no activation between the first two convolutions (Ballé 2018 has a ReLU there) and
    no bias in the last. That code's ReLU in front is left out: what comes in is not negative.
    """
    return tf.keras.Sequential(
        [
            make.conv(filters, 3, 1, name="conv1"),
            make.conv(filters, 5, 2, activation=tf.nn.relu, name="conv2"),
            make.conv(filters, 5, 2, use_bias=False, name="conv3"),
        ],
        name=name,
    )


def hyper_synthesis(make, filters, name="hyper_synthesis"):
    """Hyper latents `[N, h / 4, w / 4, filters]` to standard deviations `[N, h, w, filters]`, not yet bounded.

    No activation at the end: the standard deviation itself comes out (in NDIC's code), not its logarithm.
    """
    return tf.keras.Sequential(
        [
            make.up_conv(filters, 5, 2, activation=tf.nn.relu, name="conv1"),
            make.up_conv(filters, 5, 2, activation=tf.nn.relu, name="conv2"),
            make.up_conv(filters, 3, 1, name="conv3"),
        ],
        name=name,
    )


def pad_to_multiple(x, multiple):
    """`x [N, H, W, C]`, its last row and column repeated until both sides divide by `multiple`.

    The tensor's twin of `images.pad_to_multiple`, for sizes that a graph learns only when it runs.
    """
    for axis in (1, 2):
        side = x.shape[axis]
        if side is not None and side % multiple == 0:
            continue
        side = tf.shape(x)[axis]
        x = tf.gather(x, tf.minimum(tf.range(side + -side % multiple), side - 1), axis=axis)
    return x
