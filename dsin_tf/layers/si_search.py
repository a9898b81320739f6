"""Which window of an image matches a patch best: for many patches, exactly, without computing every pair.

A window's score is affine in the inner product of patch and window, times an optional mask:

    score = (<patch, window> * gain + offset) * mask_row * mask_column

`by_convolution` computes all scores: the patches are the kernels. `by_pruning` computes few, of correlations. Let p be
a patch and w a window, both made zero-mean and of unit length. With their coordinates a and b in a subspace (the
leading principal components of the patches) and what lies outside of it, p' and w',

    <p, w> = <a, b> + <p', w'> <= <a, b> + |p'| |w'|,

which is an inner product of 33 numbers in place of 1440. Windows whose bound, times the mask, does not exceed the best
score found so far cannot win. What is left is computed as it stands, or by convolution where that is most of a strip.

Windows are handled in tiles: `_ROWS` windows right below each other, in one of the strips that the image is cut into.
"""

import functools
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

COMPONENTS = 32
MARGIN = 3e-6  # a window is ruled out unless it could be better by more than this; above the rounding of a score

_ROWS = 8
_GUESSES = 4  # tiles of each patch, those with the highest bounds, that are computed before any are ruled out
_DENSE = 0.05  # share of a strip's tiles left for a patch from which on convolving the strip is quicker
_TILES_AT_ONCE = 2**13
_CONVOLVED_AT_ONCE = 2**24  # scores
_KEPT_AT_ONCE = 2**26  # numbers: of the windows of a band, and bounds; a KITTI image takes one band
_NEVER = -1e9  # stands for |w'| of windows that may not be chosen


class Problem(NamedTuple):
    """What is to be matched with what. Patch number n lies in row n // columns, column n % columns of a grid.

    Attributes:
      patches: float32 `[rows * columns, h, w, C]`.
      image: float32 `[H, W, C]`; its windows are the h x w parts, named by their upper left corners.
      gain: float32 `[R, S]`, R = H - h + 1, S = W - w + 1.
      offset: float32 `[R, S]`; minus infinity where a window may not be chosen.
      home_rows, home_columns: int32 `[rows]`, `[columns]`, the window at the patch's own place.
      mask_rows, mask_columns: float32 `[rows, R]`, `[columns, S]`, above 0 and at most 1; or None, both.
    """

    patches: tf.Tensor
    image: tf.Tensor
    gain: tf.Tensor
    offset: tf.Tensor
    home_rows: tf.Tensor
    home_columns: tf.Tensor
    mask_rows: Optional[tf.Tensor] = None
    mask_columns: Optional[tf.Tensor] = None


class Best(NamedTuple):
    """The best window of each patch: score float32 `[P]`, -inf where there is none; row and column int32 `[P]`."""

    score: tf.Tensor
    row: tf.Tensor
    column: tf.Tensor


def _with_loops(function):
    """The function, whose loops over tensors become loops of the graph.

    TensorFlow would do that by itself, but convert whatever is called as well, which takes longer than the tracing.
    """
    converted = functools.cache(lambda: tf.autograph.to_graph(function, recursive=False))
    return functools.wraps(function)(lambda *arguments: converted()(*arguments))


@_with_loops
def by_convolution(problem):
    """The `Best` windows; every score is computed, for some patches at a time. Of equals the first in raster order."""
    count = tf.shape(problem.patches)[0]
    # Kernels are computed sixteen at a time.
    at_once = tf.maximum(_CONVOLVED_AT_ONCE // tf.size(problem.gain) // 16 * 16, 16)
    best = _nothing(count)
    for start in tf.range(0, count, at_once):
        chosen = tf.range(start, tf.minimum(start + at_once, count))
        best = _better(best, chosen, *_convolved(problem, chosen, 0, tf.shape(problem.gain)[0]))
    return best


@_with_loops
def by_pruning(problem):
    """The `Best` windows, at most `MARGIN` and rounding short of the best scores.

    Large images are searched in bands of windows, for some rows of patches at a time, which bounds the memory.

    Args:
      problem: patches zero-mean and of unit length, or zero; gain 1 / length of the window less its mean; offset 0 or
        minus infinity.
    """
    problem = _whole_strips(problem)
    basis = _principal_components(problem.patches)
    a, turned = _coordinates_of_patches(problem, basis), _turned(problem.patches)
    rows, across = tf.shape(problem.gain)[0], tf.shape(problem.gain)[1]
    grid_rows, columns = tf.size(problem.home_rows), tf.size(problem.home_columns)
    band = tf.maximum(_KEPT_AT_ONCE // ((a.shape[1] + turned.shape[1]) * across) // _ROWS * _ROWS, _ROWS)
    best = _nothing(grid_rows * columns)
    for top in tf.range(0, rows, band):
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)  # the next band is not begun meanwhile
        part = _band(problem, top, top + band)
        b, pieces = _coordinates_of_windows(part, basis), _Pieces(part)
        lines = tf.maximum(_KEPT_AT_ONCE // (tf.size(part.gain) // _ROWS * columns), 1)
        for first in tf.range(0, grid_rows, lines):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            last = tf.minimum(first + lines, grid_rows)
            mine = slice(first * columns, last * columns)
            before = Best(best.score[mine], best.row[mine] - top, best.column[mine])
            found = _pruned(_of_patches(part, first, last), a[mine], b, turned[mine], pieces, before)
            changed = found.score, found.row + top, found.column
            best = Best(*(tf.concat([old[: mine.start], new, old[mine.stop :]], 0) for old, new in zip(best, changed)))
    return best


@_with_loops
def _pruned(problem, a, b, turned, pieces, best):
    """`best`, or better windows of a problem.

    Args:
      problem: as of `by_pruning`, in whole strips.
      a, b: coordinates of patches and windows.
      turned, pieces: patches and image as `_Pieces.correlate` takes them.
      best: the `Best` so far.
    """
    best = _tried(best, problem, turned, pieces, _first_guesses(problem, a, b))
    bounds = _bounds(problem, a, b, best.score)
    best = _tried(best, problem, turned, pieces, _highest(bounds))

    tiles, dense = _left(bounds, best.score)
    # The most promising come first: they rule out most of the others.
    excess = tf.gather_nd(bounds, tiles) - tf.gather(best.score, tiles[:, 1])
    order = tf.argsort(excess, direction="DESCENDING")
    tiles, excess, before = tf.gather(tiles, order), tf.gather(excess, order), best.score
    for start in tf.range(0, tf.size(order), _TILES_AT_ONCE):
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)
        some = slice(start, start + _TILES_AT_ONCE)
        gained = tf.gather(best.score - before, tiles[some, 1])
        hopeful = tf.boolean_mask(tiles[some], excess[some] > gained + MARGIN)
        best = _tried(best, problem, turned, pieces, hopeful)

    for strip in tf.range(tf.shape(bounds)[0]):
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)
        possible = tf.reduce_any(bounds[strip] > best.score[:, None] + MARGIN, axis=1)
        chosen = tf.cast(tf.where(possible & dense[strip])[:, 0], tf.int32)
        if tf.size(chosen) > 0:
            best = _better(best, chosen, *_convolved(problem, chosen, strip * _ROWS, (strip + 1) * _ROWS))
    return best


def _band(problem, top, bottom):
    """The problem with window rows `top` to `bottom` alone, counted from there; the last band may have fewer."""
    return problem._replace(
        image=problem.image[top : bottom + problem.patches.shape[1] - 1],
        gain=problem.gain[top:bottom],
        offset=problem.offset[top:bottom],
        home_rows=problem.home_rows - top,
        mask_rows=None if problem.mask_rows is None else problem.mask_rows[:, top:bottom],
    )


def _of_patches(problem, first, last):
    """The problem with rows `first` to `last` of the grid of patches alone."""
    columns = tf.size(problem.home_columns)
    return problem._replace(
        patches=problem.patches[first * columns : last * columns],
        home_rows=problem.home_rows[first:last],
        mask_rows=None if problem.mask_rows is None else problem.mask_rows[first:last],
    )


def _nothing(count):
    """`Best` before any window was computed."""
    return Best(tf.fill([count], -np.float32(np.inf)), tf.zeros([count], tf.int32), tf.zeros([count], tf.int32))


def _better(best, patch, row, column, score):
    """`best` with the windows `[n]` that beat it; a patch may occur more than once or not at all."""
    count, number = tf.size(best.score), tf.range(tf.size(score))
    highest = tf.math.unsorted_segment_max(score, patch, count)  # float32.min where there is no window
    better = highest > tf.maximum(best.score, tf.float32.min)
    first = tf.where(score >= tf.gather(highest, patch), number, tf.size(score))
    first = tf.where(better, tf.math.unsorted_segment_min(first, patch, count), tf.size(score))
    row, column = (tf.gather(tf.concat([values, [0]], axis=0), first) for values in (row, column))
    return Best(
        tf.where(better, highest, best.score), tf.where(better, row, best.row), tf.where(better, column, best.column)
    )


def _convolved(problem, chosen, top, bottom):
    """Row, column and score of the best window of each chosen patch among the window rows `top` to `bottom`."""
    kernels = tf.transpose(tf.gather(problem.patches, chosen), (1, 2, 3, 0))
    image = problem.image[None, top : bottom + problem.patches.shape[1] - 1]
    scores = tf.nn.conv2d(image, kernels, 1, "VALID")[0]  # [rows, S, patches]
    scores = scores * problem.gain[top:bottom, :, None] + problem.offset[top:bottom, :, None]
    if problem.mask_rows is not None:
        in_row, in_column = _place(problem, chosen)
        scores *= tf.transpose(tf.gather(problem.mask_rows[:, top:bottom], in_row))[:, None]
        scores *= tf.transpose(tf.gather(problem.mask_columns, in_column))
    # The first row that holds the highest score, then the first column in it.
    of_rows = tf.reduce_max(scores, axis=1)
    row = tf.argmax(of_rows, axis=0, output_type=tf.int32)
    lines = tf.gather(tf.transpose(scores, (2, 0, 1)), row, batch_dims=1)
    return row + top, tf.argmax(lines, axis=1, output_type=tf.int32), tf.reduce_max(of_rows, axis=0)


def _place(problem, patch):
    """Row and column of patches in their grid."""
    columns = tf.size(problem.home_columns)
    return patch // columns, patch % columns


def _whole_strips(problem):
    """The problem with window rows, none of which may be chosen, added below to fill the last strip."""
    below = [[0, -tf.shape(problem.gain)[0] % _ROWS], [0, 0]]
    mask_rows = problem.mask_rows
    if mask_rows is not None:
        mask_rows = tf.pad(mask_rows, below[::-1], constant_values=1e-30)
    return problem._replace(
        image=tf.pad(problem.image, [*below, [0, 0]]),
        gain=tf.pad(problem.gain, below),
        offset=tf.pad(problem.offset, below, constant_values=-np.inf),
        mask_rows=mask_rows,
    )


def _coordinates_of_patches(problem, basis):
    """a `[P, K + 1]`. The last number is the length of what lies outside of the subspace.

    Inner products of these and `_coordinates_of_windows` are the bounds.
    """
    patches = _flat(problem.patches)
    a = tf.matmul(patches, basis)
    outside = tf.sqrt(tf.maximum(1 - tf.reduce_sum(a * a, axis=1, keepdims=True), 0) + 1e-6)
    return tf.concat([a, tf.where(tf.reduce_any(patches != 0, axis=1, keepdims=True), outside, 0)], axis=1)


def _coordinates_of_windows(problem, basis):
    """b `[R, S, K + 1]`, likewise."""
    _, height, width, channels = problem.patches.shape
    # The image's windows are not zero-mean; a basis without means makes up for it.
    kernels = basis - tf.reduce_mean(basis, axis=0)
    kernels = tf.reshape(kernels, [height, width, channels, basis.shape[1]])
    b = tf.nn.conv2d(problem.image[None], kernels, 1, "VALID")[0] * problem.gain[..., None]
    # With room for rounding, which grows as the window's own contrast falls.
    room = 1e-6 + 1e-6 * problem.gain[..., None]
    outside = tf.sqrt(tf.maximum(1 - tf.reduce_sum(b * b, axis=2, keepdims=True), 0) + room)
    return tf.concat([b, tf.where(tf.math.is_finite(problem.offset)[..., None], outside, _NEVER)], axis=2)


def _principal_components(patches):
    """`[D, K]`, orthonormal: nearly the leading ones, by subspace iteration. The bounds hold with any basis."""
    patches = _flat(patches)
    size = min(COMPONENTS, patches.shape[1])
    basis = tf.random.stateless_normal([tf.shape(patches)[0], size], seed=(0, 0))
    for _ in range(2):
        basis = tf.linalg.qr(tf.matmul(patches, basis, transpose_a=True))[0]
        basis = tf.matmul(patches, basis)
    return tf.linalg.qr(tf.matmul(patches, basis, transpose_a=True))[0]


def _flat(patches):
    """`[P, h, w, C]` as `[P, h * w * C]`."""
    return tf.reshape(patches, [tf.shape(patches)[0], np.prod(patches.shape[1:])])


def _turned(patches):
    """`[P, h, w, C]` as `[P, w * C, h]`."""
    _, height, width, channels = patches.shape
    return tf.transpose(tf.reshape(patches, [tf.shape(patches)[0], height, width * channels]), (0, 2, 1))


def _first_guesses(problem, a, b):
    """For each patch the tile with the likeliest window about as far up as the patch itself: right for stereo pairs.

    Tiles are int32 `[n, 3]`: strip, patch, column.
    """
    rows = problem.home_rows[:, None] + tf.constant([-3, 0, 3])
    rows = tf.clip_by_value(rows, 0, tf.shape(problem.gain)[0] - 1)
    lines = tf.gather(b, rows)  # [grid rows, 3, S, K + 1]
    # The last number almost out of account: the guess is what the subspace says, windows that may not be chosen sink.
    a = a * tf.constant([1.0] * (a.shape[1] - 1) + [1e-3])
    a = tf.reshape(a, [tf.size(problem.home_rows), 1, tf.size(problem.home_columns), a.shape[1]])
    guesses = tf.matmul(a, lines, transpose_b=True)  # [grid rows, 3, grid columns, S]
    if problem.mask_rows is not None:
        guesses *= tf.gather(problem.mask_rows, rows, batch_dims=1)[..., None, None] * problem.mask_columns
    of_lines = tf.reduce_max(guesses, axis=3)
    line = tf.argmax(of_lines, axis=1, output_type=tf.int32)  # [grid rows, grid columns]
    column = tf.argmax(tf.gather(tf.transpose(guesses, (0, 2, 1, 3)), line, batch_dims=2), 2, output_type=tf.int32)
    strip = tf.reshape(tf.gather(rows, line, batch_dims=1) // _ROWS, [-1])
    return tf.stack([strip, tf.range(tf.size(strip)), tf.reshape(column, [-1])], axis=1)


@_with_loops
def _bounds(problem, a, b, scores):
    """`[strips, P, S]`: no window of the tile scores higher. -1 where the mask alone rules a patch's strip out."""
    count, width = tf.shape(a)[0], tf.shape(b)[1]
    strips = tf.shape(b)[0] // _ROWS
    b = tf.reshape(b, [strips, _ROWS * width, b.shape[2]])
    in_row, in_column = _place(problem, tf.range(count))
    result = tf.TensorArray(tf.float32, strips, element_shape=[None, None])
    for strip in tf.range(strips):
        tf.autograph.experimental.set_loop_options(parallel_iterations=2)
        if problem.mask_rows is None:
            bound = _highest_in_tiles(a, b[strip], width)
        else:
            mask = tf.reduce_max(problem.mask_rows[:, strip * _ROWS : (strip + 1) * _ROWS], axis=1)
            mask = tf.gather(mask, in_row)
            chosen = tf.where(mask > scores)[:, 0]
            # A negative bound would shrink under the mask.
            bound = tf.maximum(_highest_in_tiles(tf.gather(a, chosen), b[strip], width), 0)
            bound *= tf.gather(mask, chosen)[:, None]
            bound *= tf.gather(problem.mask_columns, tf.gather(in_column, chosen))
            bound = tf.tensor_scatter_nd_update(tf.fill([count, width], -1.0), chosen[:, None], bound)
        result = result.write(strip, bound)
    return result.stack()


def _highest_in_tiles(a, b, width):
    """Highest inner product of `a [P, K]` with the windows `b [_ROWS * width, K]` in each tile: `[P, width]`."""
    products = tf.matmul(a, b, transpose_b=True)
    return tf.reduce_max(tf.reshape(products, [-1, _ROWS, width]), axis=1)


def _highest(bounds):
    """The tiles with the highest bounds, `_GUESSES` for each patch: int32 `[n, 3]`."""
    strips, count, width = tf.unstack(tf.shape(bounds))
    columns = tf.math.top_k(tf.reduce_max(bounds, axis=0), tf.minimum(_GUESSES, width)).indices
    patch = tf.repeat(tf.range(count), tf.shape(columns)[1])
    columns = tf.reshape(columns, [-1])
    there = tf.gather(tf.reshape(bounds, [strips, count * width]), patch * width + columns, axis=1)
    return tf.stack([tf.argmax(there, axis=0, output_type=tf.int32), patch, columns], axis=1)


@_with_loops
def _left(bounds, scores):
    """Tiles that may hold better windows than `scores`, int32 `[n, 3]`, and `[strips, P]`, where there are too many.

    Tiles of the latter are not among the former.
    """
    strips = tf.shape(bounds)[0]
    tiles = tf.TensorArray(tf.int32, strips, infer_shape=False, element_shape=[None, 3])
    dense = tf.TensorArray(tf.bool, strips, element_shape=[None])
    for strip in tf.range(strips):
        tf.autograph.experimental.set_loop_options(parallel_iterations=2)
        possible = bounds[strip] > scores[:, None] + MARGIN
        many = tf.reduce_mean(tf.cast(possible, tf.float32), axis=1) >= _DENSE
        few = tf.cast(tf.where(possible & ~many[:, None]), tf.int32)
        tiles = tiles.write(strip, tf.pad(few, ((0, 0), (1, 0)), constant_values=strip))
        dense = dense.write(strip, many)
    return tiles.concat(), dense.stack()


class _Pieces:
    """The image in the shape in which the windows of tiles are computed.

    A tile covers h + _ROWS - 1 pieces of image rows, w pixels each; a patch has h of them. All products of the one with
    the other are a small matrix product; the sums along its diagonals are the correlations of the windows.
    """

    def __init__(self, problem):
        _, height, width, channels = problem.patches.shape
        one = [1, 1, 1, 1]
        pieces = tf.image.extract_patches(problem.image[None], [1, 1, width, 1], one, one, "VALID")
        self.across = tf.shape(pieces)[2]
        self.pieces = tf.reshape(pieces, [-1, width * channels])  # all stretches of w pixels, row by row
        diagonals = np.zeros((_ROWS + height - 1, height, _ROWS), np.float32)
        for line in range(height):
            diagonals[np.arange(_ROWS) + line, line, np.arange(_ROWS)] = 1
        self.diagonals = tf.constant(diagonals.reshape(-1, _ROWS))

    def correlate(self, turned, strip, patch, column):
        """`[n, _ROWS]`: <patch, window> of the windows of `[n]` tiles."""
        lines = _ROWS + turned.shape[2] - 1
        index = (strip[:, None] * _ROWS + tf.range(lines)) * self.across + column[:, None]
        products = tf.matmul(tf.gather(self.pieces, index), tf.gather(turned, patch))
        return tf.matmul(tf.reshape(products, [-1, self.diagonals.shape[0]]), self.diagonals)


def _tried(best, problem, turned, pieces, tiles):
    """`best` after the windows of the tiles were computed."""
    strip, patch, column = tf.unstack(tiles, axis=1)
    row = strip[:, None] * _ROWS + tf.range(_ROWS)
    window = row * tf.shape(problem.gain)[1] + column[:, None]
    scores = pieces.correlate(turned, strip, patch, column) * tf.gather(tf.reshape(problem.gain, [-1]), window)
    scores += tf.gather(tf.reshape(problem.offset, [-1]), window)
    if problem.mask_rows is not None:
        in_row, in_column = _place(problem, patch)
        scores *= tf.gather_nd(problem.mask_rows, tf.stack([in_row[:, None] + tf.zeros_like(row), row], axis=2))
        scores *= tf.gather_nd(problem.mask_columns, tf.stack([in_column, column], axis=1))[:, None]
    here = tf.argmax(scores, axis=1, output_type=tf.int32)
    return _better(best, patch, strip * _ROWS + here, column, tf.reduce_max(scores, axis=1))
