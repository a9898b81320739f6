"""Small networks in integer arithmetic, for numbers that encoder and decoder must agree on to the last bit.

A float network gives other numbers with another thread count, batch size, library or machine, because sums are
rounded in another order. If such numbers choose the tables of a range decoder, one different rounding garbles the
rest of the picture. Here weights and activations are integers, held in float64, and every sum of products is proved
to stay below 2**53 when the network is built: nothing is ever rounded, so every order of summation, every matrix
routine and every fused operation gives the same number.

    network = Network(
        [TransposedConv(kernel, bias, strides=2), Relu(), TransposedConv(kernel, bias, strides=2), Relu(),
         Conv(kernel, bias)],
    )
    sigma = network(z_hat)                      # integers in units of 2**-network.output.fraction
    index = scale_index(sigma, scale_thresholds(scales, network.output.fraction))

An integer q of Format (fraction f, limit L) stands for q 2**-f and has |q| <= L. A convolution computes

    sum_k x[k] w[k] + b        exactly, in units of 2**-(f_x + f_w)

then goes to its output's unit by floor(. / 2**shift + 1/2) and is clipped to the output's limit. The weights' f_w gives
the largest weight `weight_bits` bits, or as many as L sum_k |w[k]| + |b| < 2**53 leaves.

Convolutions are sums of one matrix product for each tap of the window, not a library's convolution, which may go
through transforms that round (Winograd, FFT). The same code runs on numpy arrays, which is quicker for the
small windows of a context model.

Quantising happens once, after training; `Network.state` is stored with the weights, for two machines may quantise the
same float differently.
"""

import decimal
import functools
import itertools
from typing import NamedTuple

import numpy as np

from dsin_tf.entropy.coder import PRECISION

EXACT_BITS = 53  # integers up to 2**53 are exact in float64


class Format(NamedTuple):
    """What the integers of a tensor mean: value = integer * 2**-fraction, and |integer| <= limit."""

    fraction: int
    limit: int


INTEGERS = Format(fraction=0, limit=2**12)  # rounded latents; larger ones saturate
ACTIVATIONS = Format(fraction=12, limit=2**26)  # steps of 1/4096 up to 16384

_FEWEST_WEIGHT_BITS = 8
_SLOPE_BITS = 16
_EXP2_BITS = 10  # steps of the table of powers of two
_WEIGHT_ONE = 2**30
_LOG2_E = 1549082005  # round(log2(e) * 2**30)
_LOG2_E_BITS = 30


class ExactError(ValueError):
    """A network that cannot be computed exactly, or numbers stored for another one."""


class Layer:
    """What a Network is made of.

    `build(source, stored)` fixes the integers, by quantising or from `stored`, proves the bounds for inputs of Format
    `source`, and returns the Format of the output. Layers without numbers inherit all but `__call__`.
    """

    def build(self, source, stored=None):
        """The Format of the output."""
        del stored
        return source

    def state(self):
        """dict of name -> integer array."""
        return {}

    def __call__(self, x):
        raise NotImplementedError


class Conv(Layer):
    """A correlation with bias, zeros outside; any number of dimensions (none: a dense layer; 2; 3).

    Args:
      kernel: float [*window, in, out] (TensorFlow's order).
      bias: float [out], or None.
      strides: an integer, for all dimensions.
      padding: "same" ((k - 1) / 2 zeros on both sides, odd windows: TFC's same_zeros), "valid", or a list of
        (before, after), one a dimension.
      mask: array that broadcasts to kernel, for causal (masked) convolutions; or None.
      weight_bits: significant bits of the largest weight.
      output: Format of the result; rounded to it, and saturating.
    """

    def __init__(self, kernel, bias=None, strides=1, padding="same", mask=None, weight_bits=18, output=ACTIVATIONS):
        kernel = np.asarray(kernel, dtype=np.float64)
        self._numbers = _Numbers(kernel if mask is None else kernel * mask, bias, weight_bits, output)
        self._strides = strides
        self._padding = _padding(padding, kernel.shape[:-2])

    def build(self, source, stored=None):
        return self._numbers.build(source, stored)

    def state(self):
        return self._numbers.state()

    def __call__(self, x):
        xp = _namespace(x)
        if any(map(any, self._padding)):
            x = xp.pad(x, [(0, 0), *self._padding, (0, 0)])
        window = self._numbers.kernel.shape[:-2]
        taps = []
        for tap in np.ndindex(*window):
            places = (slice(t, t - k + 1 or None, self._strides) for t, k in zip(tap, window))
            taps.append((x[(slice(None), *places)], tap))
        return self._numbers.round(self._numbers.sum_of_products(taps))


class TransposedConv(Layer):
    """The transpose of `Conv` with padding "same": out[s i + k - (K - 1) // 2] += x[i] kernel[k], s times as large.

    kernel is float [*window, in, out]: that of a tfc.SignalConv2D(corr=False, strides_up=s, padding="same_zeros").

    Output position s q + r reads the taps k = s d + r + (K - 1) // 2 at input position q - d, so each of the s
    remainders r of a dimension is a convolution of its own over the input, and no zeros are multiplied.
    """

    def __init__(self, kernel, bias=None, strides=2, weight_bits=18, output=ACTIVATIONS):
        kernel = np.asarray(kernel, dtype=np.float64)
        self._numbers = _Numbers(kernel, bias, weight_bits, output)
        self._strides = strides
        if min(kernel.shape[:-2], default=strides) < strides:
            raise ExactError(
                f"The window of kernel {list(kernel.shape)} is smaller than the strides {strides}, so that some "
                "outputs would see no input. Use a larger window."
            )

    def build(self, source, stored=None):
        return self._numbers.build(source, stored)

    def state(self):
        return self._numbers.state()

    def __call__(self, x):
        xp = _namespace(x)
        window = self._numbers.kernel.shape[:-2]
        places = [_transposed_taps(size, self._strides) for size in window]  # [dimension][remainder] -> [(k, d)]
        margins = []
        for remainders in places:
            distances = [d for taps in remainders for _, d in taps]
            margins.append((max(0, *distances), max(0, *(-d for d in distances))))
        x = xp.pad(x, [(0, 0), *margins, (0, 0)])

        def interleaved(dimension, chosen):
            """[N, ..., D], with the remainders of the dimensions before `dimension` chosen."""
            if dimension < len(window):
                parts = [interleaved(dimension + 1, [*chosen, taps]) for taps in places[dimension]]
                shape = _shape(parts[0])
                shape[dimension + 1] *= self._strides
                return xp.reshape(xp.stack(parts, axis=dimension + 2), shape)
            taps = []
            for combination in itertools.product(*chosen):
                shifted = (slice(lo - d, -(hi + d) or None) for (_, d), (lo, hi) in zip(combination, margins))
                taps.append((x[(slice(None), *shifted)], tuple(k for k, _ in combination)))
            return self._numbers.sum_of_products(taps)

        return self._numbers.round(interleaved(0, []))


class Relu(Layer):
    """max(x, 0)."""

    def __call__(self, x):
        return _namespace(x).maximum(x, 0.0)


class Abs(Layer):
    """|x|."""

    def __call__(self, x):
        return _namespace(x).abs(x)


class LeakyRelu(Layer):
    """x where x >= 0, else slope * x; `slope` a number or float [channels] (PReLU). Kept to 16 fractional bits."""

    def __init__(self, slope):
        self._float = np.atleast_1d(np.asarray(slope, dtype=np.float64))

    def build(self, source, stored=None):
        if stored is None:
            self._slope = np.floor(self._float * 2**_SLOPE_BITS + 0.5)
        else:
            self._slope = take(stored, "slope", self._float.shape).astype(np.float64)
        steepest = max(float(np.abs(self._slope).max()), 2.0**_SLOPE_BITS)
        _check_bits(source.limit * steepest, f"A LeakyRelu of slope up to {steepest / 2**_SLOPE_BITS:g}")
        return Format(source.fraction, int(np.ceil(source.limit * steepest / 2**_SLOPE_BITS)))

    def state(self):
        return {"slope": self._slope.astype(np.int64)}

    def __call__(self, x):
        xp = _namespace(x)
        # One of the two is 0 at each place.
        return xp.maximum(x, 0.0) + xp.floor(xp.minimum(x, 0.0) * self._slope * 2.0**-_SLOPE_BITS)


class Residual(Layer):
    """layers(x) + x, where `crop` = [(before, after), ...] takes lines off x for "valid" convolutions."""

    def __init__(self, layers, crop=None, output=ACTIVATIONS):
        self._layers = list(layers)
        self._crop = [] if crop is None else list(crop)
        self._output = output

    def build(self, source, stored=None):
        body = _build(self._layers, source, stored)
        fraction = max(source.fraction, body.fraction)
        # Both converted to the finer unit without a limit below what they can reach, added, then brought to the output.
        reach = [form.limit * 2 ** (fraction - form.fraction) for form in (source, body)]
        _check_bits(sum(reach), f"A Residual that adds integers up to {reach[0]} and {reach[1]}")
        self._source, self._body = source, body
        self._sum = Format(fraction, sum(reach))
        return self._output

    def state(self):
        return _state(self._layers)

    def __call__(self, x):
        cropped = x[(slice(None), *(slice(before, -after or None) for before, after in self._crop))]
        for layer in self._layers:
            x = layer(x)
        added = convert(x, self._body, self._sum) + convert(cropped, self._source, self._sum)
        return convert(added, self._sum, self._output)


class Network:
    """Layers one after the other on integers.

    Calling it with a tf.Tensor [N, ..., C] gives a float64 tf.Tensor of integers (eager, in tf.function or under
    XLA), with a numpy array a numpy array: always the same numbers.

    Args:
      layers: list of Layers. Built here, so each may be in one network only.
      input: Format of what it is called with; larger integers saturate.

    Attributes:
      input: as given.
      output: Format of what it returns.

    Raises:
      ExactError: sums could pass 2**53 even with coarse weights.
    """

    def __init__(self, layers, input=INTEGERS):
        self._layers = list(layers)
        self.input = input
        self.output = _build(self._layers, input)

    def __call__(self, x):
        """Integers [N, ..., C] in units of 2**-input.fraction, any dtype -> float64 integers."""
        x = _clip(_float64(x), self.input.limit)
        for layer in self._layers:
            x = layer(x)
        return x

    def state(self):
        """dict of name -> integer array: every number that it computes with, for digest and storage."""
        return _state(self._layers)

    def load_state(self, state):
        """Takes over the numbers that `state` returned for a network of the same layers; checks all bounds again.

        Raises:
          ExactError: numbers are missing, have another shape, or do not fit the Formats.
        """
        self.output = _build(self._layers, self.input, state)


def quantize(values, format):
    """Float values as float64 integers of `format`: rounded half up, saturated. numpy or tf.Tensor."""
    return _clip(_namespace(values).floor(_float64(values) * 2.0**format.fraction + 0.5), format.limit)


def dequantize(integers, format):
    """integers * 2**-fraction, float64."""
    return _float64(integers) * 2.0**-format.fraction


def convert(integers, source, target):
    """Integers of Format `source` in Format `target`: shifted (floor after half), saturated."""
    return _clip(_shift(_float64(integers), target.fraction - source.fraction), target.limit)


def concat(parts, output=ACTIVATIONS):
    """Joins [(integers, Format), ...] on channels, all converted to `output`."""
    converted = [convert(integers, source, output) for integers, source in parts]
    if isinstance(converted[0], np.ndarray):
        return np.concatenate(converted, axis=-1)
    return _tensorflow().concat(converted, axis=-1)


def scale_thresholds(scales, fraction, logarithms=False):
    """Where the next scale becomes the better one.

    Args:
      scales: float [K], ascending: the standard deviations that tables were made for.
      fraction: of the integers that will be compared.
      logarithms: whether these are natural logarithms of standard deviations.

    Returns:
      int64 [K - 1]: geometric means of neighbours, in units of 2**-fraction. To be stored with the tables.
    """
    scales = np.asarray(scales, dtype=np.float64)
    means = np.sqrt(scales[:-1] * scales[1:])
    return np.ceil((np.log(means) if logarithms else means) * 2.0**fraction).astype(np.int64)


def scale_index(sigma, thresholds):
    """int32, shape of sigma: how many thresholds each integer reaches; the row of the scale's table. numpy."""
    return np.searchsorted(thresholds, np.asarray(sigma).astype(np.int64), side="right").astype(np.int32)


def counts_from_logits(logits, fraction):
    """Softmax in integers.

    Each class gets floor(2**30 * 2**-d), d being its distance from the largest logit in bits, cut to steps of
    1/1024; counts are 1 plus that share of what is left, rounded down; the rest goes to the first largest logit.

    Args:
      logits: integers [..., K], natural logarithms in units of 2**-fraction.
      fraction: fractional bits of the logits, 0 to 20.

    Returns:
      int32 [..., K], positive, summing to 2**16: for `coder.Encoder.encode_with_counts`. numpy.
    """
    logits = np.asarray(logits).astype(np.int64)
    largest = logits.max(axis=-1, keepdims=True)
    distance = np.minimum(largest - logits, 64 << fraction)  # beyond, the weight is 0 anyway
    steps = distance * _LOG2_E >> (_LOG2_E_BITS + fraction - _EXP2_BITS)
    whole, part = steps >> _EXP2_BITS, steps & (2**_EXP2_BITS - 1)
    weights = _exp2_table()[part] >> np.minimum(whole, 63)
    shared = 2**PRECISION - logits.shape[-1]
    counts = 1 + weights * shared // weights.sum(axis=-1, keepdims=True)
    winner = np.argmax(logits, axis=-1)[..., None]
    rest = 2**PRECISION - counts.sum(axis=-1, keepdims=True)
    np.put_along_axis(counts, winner, np.take_along_axis(counts, winner, axis=-1) + rest, axis=-1)
    return counts.astype(np.int32)


@functools.cache
def _exp2_table():
    """int64 [1024]: floor(2**30 * 2**(-i / 1024)); in decimals, because exp2 differs between machines."""
    with decimal.localcontext() as context:
        context.prec = 40
        steps = 2**_EXP2_BITS
        return np.array([int(_WEIGHT_ONE * decimal.Decimal(2) ** (decimal.Decimal(-i) / steps)) for i in range(steps)])


class _Numbers:
    """Kernel and bias of a convolution as integers, and the way from its sums to its output's Format."""

    def __init__(self, kernel, bias, weight_bits, output):
        if not np.isfinite(kernel).all():
            raise ExactError(f"The kernel {list(kernel.shape)} is not finite. The weights are broken; train again.")
        self._float_kernel = kernel
        self._float_bias = np.zeros(kernel.shape[-1]) if bias is None else np.asarray(bias, dtype=np.float64)
        self._weight_bits = weight_bits
        self._output = output

    def build(self, source, stored):
        shape = self._float_kernel.shape
        if stored is None:
            self._quantize(source)
        else:
            self._fraction, *output = take(stored, "format", (3,)).tolist()
            if Format(*output) != self._output:
                raise ExactError(
                    f"The stored numbers of a convolution are for outputs of {Format(*output)}, this network has "
                    f"{self._output}. Load them into a model of the preset they were made with."
                )
            self.kernel = take(stored, "kernel", shape).astype(np.float64)
            self._bias = take(stored, "bias", shape[-1:]).astype(np.float64)
        self._shift = source.fraction + self._fraction - self._output.fraction
        _check_bits(self._largest_sum(source), f"A convolution with kernel {list(shape)}")
        return self._output

    def state(self):
        return {
            "kernel": self.kernel.astype(np.int32),
            "bias": self._bias.astype(np.int64),
            "format": np.array([self._fraction, *self._output], dtype=np.int64),
        }

    def sum_of_products(self, taps):
        """[N, ..., D], from [(x [N, ..., C], tap of the kernel)]."""
        # Taps of zeros, as masks leave them, cost nothing.
        taps = [(x, tap) for x, tap in taps if self.kernel[tap].any()] or taps[:1]
        xp = _namespace(taps[0][0])
        total = 0.0
        for x, tap in taps:
            weights = self.kernel[tap]
            total = total + xp.matmul(xp.reshape(x, (-1, weights.shape[0])), weights)
        return xp.reshape(total, [*_shape(taps[0][0])[:-1], self.kernel.shape[-1]])

    def round(self, total):
        """Sums in the output's Format: the bias added, shifted, saturated."""
        return _clip(_shift(total + self._bias, -self._shift), self._output.limit)

    def _quantize(self, source):
        """Kernel and bias with weight_bits for the largest weight, or as many as leave all sums exact."""
        magnitude = int(np.frexp(np.abs(self._float_kernel).max(initial=0.0))[1])  # all weights are below 2**magnitude
        for bits in range(self._weight_bits, _FEWEST_WEIGHT_BITS - 1, -1):
            self._fraction = bits - magnitude
            self._shift = source.fraction + self._fraction - self._output.fraction
            self.kernel = np.floor(self._float_kernel * 2.0**self._fraction + 0.5)
            self._bias = np.floor(self._float_bias * 2.0 ** (self._fraction + source.fraction) + 0.5)
            if self._largest_sum(source) < 2**EXACT_BITS:
                return
        raise ExactError(
            f"A convolution with kernel {list(self._float_kernel.shape)}, inputs up to {source.limit} and "
            f"{_FEWEST_WEIGHT_BITS} bits a weight can reach sums beyond 2**{EXACT_BITS}. Give the layer before an "
            "output Format with a smaller limit or fewer fractional bits."
        )

    def _largest_sum(self, source):
        """What no channel's sum can pass, the half for rounding included."""
        weights = np.abs(self.kernel).sum(axis=tuple(range(self.kernel.ndim - 1)))
        return float((weights * source.limit + np.abs(self._bias)).max()) + 2.0 ** max(0, self._shift - 1)


def _build(layers, source, stored=None):
    """Builds layers in order; the Format after the last."""
    for i, layer in enumerate(layers):
        prefix = f"{i}."
        own = stored and {name[len(prefix) :]: value for name, value in stored.items() if name.startswith(prefix)}
        source = layer.build(source, own)
    return source


def _state(layers):
    return {f"{i}.{name}": value for i, layer in enumerate(layers) for name, value in layer.state().items()}


def take(stored, name, shape):
    """One array of numbers stored by `state()`.

    Raises:
      ExactError: it is missing, or has another shape.
    """
    if name not in stored or np.shape(stored[name]) != tuple(shape):
        found = list(np.shape(stored[name])) if name in stored else "nothing"
        raise ExactError(
            f"The stored numbers have {found} as {name!r}, {list(shape)} was expected. They belong to another network; "
            "load them into a model of the preset they were made with."
        )
    return np.asarray(stored[name])


def _check_bits(largest, what):
    if not largest < 2**EXACT_BITS:
        raise ExactError(
            f"{what} can reach {largest:g}; below 2**{EXACT_BITS} was expected, where float64 is exact. "
            "Use a Format with a smaller limit or fewer fractional bits before it."
        )


def _padding(padding, window):
    """[(before, after), ...], one a dimension."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    if padding == "same":
        if any(size % 2 == 0 for size in window):
            raise ExactError(f"padding 'same' needs odd windows, got {list(window)}. Give (before, after) pairs.")
        return [(size // 2, size // 2) for size in window]
    if isinstance(padding, str) or len(padding) != len(window):
        raise ExactError(f"padding is {padding!r}; 'same', 'valid' or {len(window)} pairs were expected.")
    return [tuple(pair) for pair in padding]


def _transposed_taps(size, strides):
    """For each remainder r of an output position s q + r: its taps as (k, d), reading input position q - d."""
    center = (size - 1) // 2
    places = [[] for _ in range(strides)]
    for k in range(size):
        distance, remainder = divmod(k - center, strides)
        places[remainder].append((k, distance))
    return places


def _shift(x, bits):
    """floor(x 2**bits + 1/2). Powers of two are exact factors; to the left there is nothing to round."""
    if bits >= 0:
        return x * 2.0**bits
    return _namespace(x).floor((x + 2.0 ** (-bits - 1)) * 2.0**bits)


def _clip(x, limit):
    xp = _namespace(x)
    return xp.maximum(xp.minimum(x, float(limit)), -float(limit))


def _float64(x):
    """A numpy array or tf.Tensor as float64."""
    return np.asarray(x, dtype=np.float64) if _namespace(x) is np else _tensorflow().cast(x, "float64")


def _shape(x):
    """Sizes as a list: integers where they are known, scalar tensors elsewhere."""
    if isinstance(x, np.ndarray) or x.shape.is_fully_defined():
        return list(x.shape)
    dynamic = _tensorflow().shape(x)
    return [dynamic[i] if size is None else size for i, size in enumerate(x.shape)]


def _namespace(x):
    """numpy for its arrays, else tensorflow: the functions used here have the same names and meanings in both."""
    return np if isinstance(x, (np.ndarray, np.generic, list, tuple, int, float)) else _tensorflow()


def _tensorflow():
    """Imported when first needed: what decodes with numpy alone starts without it."""
    import tensorflow as tf

    return tf
