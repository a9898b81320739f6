"""Binary codes, and the importance map that says how many of their channels each place in the image sends.

Li, Zuo, Gu, Zhao and Zhang, "Learning convolutional networks for content-weighted image compression", CVPR 2018,
https://arxiv.org/abs/1703.10553.

The map p in (0, 1) has L levels, and each level lets n/L more of the n channels pass:

    Q(p) = l - 1  for  (l - 1)/L <= p < l/L,  l = 1 ... L
    m_k = 1  if  k <= (n/L) Q(p),  else 0,    k = 1 ... n

So the last n/L channels never pass, as published. What is sent is Q(p) and, where m_k = 1, the bits of the code.
Where n does not divide by L, as in short codes for colour, (n/L) Q(p) is rounded up (ours).

In levels, channel k opens at c_k = floor((k - 1) L/n) + 1, which is the published ceil(k L/n) where n divides by L:
m_k = 1 where c_k <= Q(p). This is a step in p; in place of its derivative the gradient takes

    local   L  if  L p - 1 <= c_k < L p + 2,  else 0    (as printed)
    global  1                                           (as the authors' released models were trained)
"""

import tensorflow as tf

_GRADIENTS = ("local", "global")


@tf.custom_gradient
def binarize(e):
    """The bits of a code: float32, 1 where e > 0.5, else 0; with the gradient of clip(e, 0, 1)."""
    e = tf.convert_to_tensor(e)

    def gradient(upstream):
        return tf.cast(upstream, e.dtype) * tf.cast((e >= 0) & (e <= 1), e.dtype)

    return tf.cast(e > 0.5, tf.float32), gradient


def quantize_map(p, levels):
    """Q(p): int32 in 0 ... levels - 1, the shape of p, for an importance map in [0, 1]."""
    return tf.clip_by_value(tf.cast(tf.floor(levels * tf.cast(p, tf.float32)), tf.int32), 0, levels - 1)


def mask_of_levels(q, channels, levels):
    """The mask, float32 `[N, h, w, channels]`, of a quantised map, integers `[N, h, w, 1]`; all that a decoder has."""
    return tf.cast(_opening(channels, levels) <= tf.cast(q, tf.int32), tf.float32)


def importance_mask(p, channels, levels, gradient="local"):
    """The mask of a code by its own map.

    Args:
      p: `[N, h, w, 1]`, the importance map, in [0, 1].
      channels: n, of the code; a multiple of `levels`.
      levels: L.
      gradient: "local" or "global", see above.

    Returns:
      float32 `[N, h, w, n]`, 0 or 1.

    Raises:
      ValueError: n does not divide by L, or there is no such gradient.
    """
    if channels % levels:
        raise ValueError(
            f"A code of {channels} channels cannot be cut at {levels} levels: channels must be a multiple of levels. "
            "Change one of them, or use chroma_mask, which rounds, for a code that borrows another's map."
        )
    return _mask(p, channels, levels, gradient)


def chroma_mask(p, channels, levels, gradient="local"):
    """As `importance_mask`, for a code of colour, of any number of channels, by the map of brightness (ours)."""
    return _mask(p, channels, levels, gradient)


def _mask(p, channels, levels, gradient):
    if gradient not in _GRADIENTS:
        raise ValueError(f"gradient is {gradient!r}; one of {', '.join(_GRADIENTS)} was expected.")

    @tf.custom_gradient
    def step(p):
        def backward(upstream):
            if gradient == "local":
                opening, cut = tf.cast(_opening(channels, levels), tf.float32), levels * p
                upstream *= levels * tf.cast((cut - 1 <= opening) & (opening < cut + 2), tf.float32)
            return tf.reduce_sum(upstream, axis=-1, keepdims=True)

        return mask_of_levels(quantize_map(p, levels), channels, levels), backward

    return step(tf.cast(p, tf.float32))


def _opening(channels, levels):
    """c_k: the first level of the map at which each channel passes, int32 `[channels]`."""
    return tf.range(channels) * levels // channels + 1
