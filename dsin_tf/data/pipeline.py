"""The one way from a source into a model: tf.data pipelines of uint8 batches.

Everything random follows from (seed, epoch, index): the order of an epoch from (seed, epoch), the crop and
the flip of an item from all three. So two runs with one seed see the same stream whatever the number of
threads, and a run that is resumed at step k starts there at once, without passing over k batches.

Files are decoded by `dsin_tf.images.read` and nothing else, so that training, evaluation and the codec
agree on what a palette or a rotated photograph looks like. Pillow lets other threads run while it decodes,
so the decoding is parallel although it is called from Python.
"""

import os
import threading

import numpy as np
import tensorflow as tf
from absl import logging

from dsin_tf.data.sources import DataError, file_parts, read_one_size

MEMORY_MB = 2048

_IMAGES = {"pairs": 2, "chains": 3, "images": 1}  # kind of source -> images in an item


def train(
    source,
    protocol,
    batch_size,
    seed,
    start_step=0,
    epochs=None,
    drop_remainder=True,
    memory_mb=MEMORY_MB,
    workers=None,
):
    """Batches for training: shuffled anew each epoch, cropped and flipped by the protocol.

    Items stream through the epochs without a break; a batch may hold the end of one and the start of the next.

    Args:
      source: a source of kind "pairs", "chains" or "images".
      protocol: a `protocols.Protocol`.
      batch_size: items in a batch. More than one needs images of one size, as a crop gives.
      seed: 0 ... 2**32 - 1. Another seed is another stream.
      start_step: begin with this batch of the stream, counted from 0.
      epochs: end after so many passes over the list; None never ends.
      drop_remainder: leave out a last batch that is not full (only with `epochs`).
      memory_mb: decoded images are kept in memory when all of them fit into so many MiB; else each is read
        again in every epoch. Which of the two it is, is logged.
      workers: images decoded at once; None for one a processor.

    Returns:
      A `tf.data.Dataset` of (x, y), of (x, reference, its reference) for chains, or of x for a source of images:
      `uint8 [N, H, W, 3]`.

    Raises:
      DataError: an argument is out of range, or the source is of another kind.
    """
    _check(source, batch_size, workers)
    if not 0 <= seed < 2**32:
        raise DataError(f"seed is {seed}; a whole number of 0 ... 2**32 - 1 was expected.")
    if start_step < 0:
        raise DataError(f"start_step is {start_step}; 0 or more was expected.")
    load = _Loader(source, protocol.prepare, memory_mb)
    epoch_order = _EpochOrder(seed, len(source))

    def item(position):
        epoch, place = divmod(int(position), len(source))
        index = int(epoch_order(epoch)[place])
        # The 1 keeps these streams apart from those of the orders.
        return protocol.augment(load(index), np.random.default_rng([seed, 1, epoch, index]))

    end = np.iinfo(np.int64).max if epochs is None else epochs * len(source)
    return _dataset(
        source, item, start_step * batch_size, end, batch_size, drop_remainder, protocol.train_size(), workers
    )


def evaluate(source, protocol, batch_size=1, workers=None):
    """Batches for validation: every item once, in the list's order, as `protocol.evaluate` gives it.

    Args:
      source: a source of kind "pairs", "chains" or "images".
      protocol: a `protocols.Protocol`.
      batch_size: items in a batch; the last may be smaller. More than one needs images of one size.
      workers: images decoded at once; None for one a processor.

    Returns:
      A `tf.data.Dataset` as of `train`.

    Raises:
      DataError: an argument is out of range, or the source is of another kind.
    """
    _check(source, batch_size, workers)
    load = _Loader(source, protocol.evaluate, memory_mb=0)
    size = protocol.resized or protocol.evaluation_crop
    return _dataset(source, lambda index: load(int(index)), 0, len(source), batch_size, False, size, workers)


def _dataset(source, item, start, end, batch_size, drop_remainder, size, workers):
    """The tf.data graph: positions, items in parallel but in order, batches."""
    count = _IMAGES[source.kind]
    shape = (*(size or (None, None)), 3)
    same_size = _SameSize(batch_size)

    def read(position):
        tensors = tf.numpy_function(lambda p: same_size(p, item(p)), [position], [tf.uint8] * count, stateful=False)
        for tensor in tensors:
            tensor.set_shape(shape)
        return tuple(tensors) if count > 1 else tensors[0]

    dataset = tf.data.Dataset.range(start, end)
    dataset = dataset.map(read, num_parallel_calls=workers or os.cpu_count(), deterministic=True)
    return dataset.batch(batch_size, drop_remainder=drop_remainder).prefetch(2)


class _EpochOrder:
    """The order of the items in an epoch; remembers the last two, since neighbouring batches straddle them."""

    def __init__(self, seed, count):
        self._seed, self._count = seed, count
        self._orders = {}
        self._lock = threading.Lock()

    def __call__(self, epoch):
        with self._lock:
            if epoch not in self._orders:
                self._orders = {e: order for e, order in self._orders.items() if e >= epoch - 1}
                self._orders[epoch] = np.random.default_rng([self._seed, 0, epoch]).permutation(self._count)
            return self._orders[epoch]


class _Loader:
    """Reads an item's images and prepares them; keeps what it read when everything fits into memory."""

    def __init__(self, source, prepare, memory_mb):
        self._source, self._prepare = source, prepare
        self._kept = {}
        self._room = memory_mb * 2**20
        self._lock = threading.Lock()
        if memory_mb:
            self._decide(memory_mb)

    def __call__(self, index):
        parts = _parts(self._source, index)
        if parts is None:
            return self._get(index, lambda: [self._prepare(image) for image in self._read(index)])
        return read_one_size(parts, lambda name, read: self._get(name, lambda: self._prepare(read())))

    def _read(self, index):
        item = self._source.read(index)
        return list(item) if _IMAGES[self._source.kind] > 1 else [item]

    def _get(self, key, make):
        if key in self._kept:
            return self._kept[key]
        made = make()
        size = _bytes(made)
        with self._lock:
            if key not in self._kept and size <= self._room:
                self._kept[key] = made
                self._room -= size
        return made

    def _decide(self, memory_mb):
        """Whether to keep images at all. Keeping some of a set that does not fit would serve only a few."""
        count, singly = len(self._source), _parts(self._source, 0) is not None
        if singly:
            count = len({name for index in range(count) for name, _ in _parts(self._source, index)})
        first = self(0)
        needed = count * (_bytes(first) // len(first) if singly else _bytes(first))
        fits = needed <= memory_mb * 2**20
        if not fits:
            self._room, self._kept = 0, {}
        logging.info(
            "%s %s: decoded images take about %d MiB; %s the %d MiB allowed, so they are %s.",
            self._source.name,
            self._source.split,
            -(-needed // 2**20),
            "within" if fits else "more than",
            memory_mb,
            "kept in memory" if fits else "read again in each epoch",
        )


def _parts(source, index):
    """The images of an item one by one, where the source can read them so: items share images, as x and as y."""
    if hasattr(source, "parts"):
        return source.parts(index)
    return file_parts(source.files(index)) if hasattr(source, "files") else None


class _SameSize:
    """Names the item whose size differs from the first one's, where a batch needs one size for all."""

    def __init__(self, batch_size):
        self._batch_size = batch_size
        self._first = None

    def __call__(self, position, item):
        shape = item[0].shape
        if self._first is None:
            self._first = shape
        if self._batch_size > 1 and shape != self._first:
            raise DataError(
                f"Item {int(position)} is {shape[0]}x{shape[1]} and others are {self._first[0]}x{self._first[1]} "
                f"(height x width); a batch of {self._batch_size} needs one size. "
                "Use a protocol that crops, or batch_size=1."
            )
        return item


def _bytes(images_):
    return images_.nbytes if isinstance(images_, np.ndarray) else sum(image.nbytes for image in images_)


def _check(source, batch_size, workers):
    if source.kind not in _IMAGES:
        raise DataError(
            f"{source.name} is a source of {source.kind}; one of {', '.join(_IMAGES)} was expected. "
            "Make chains of sets or single images of them (dsin_tf.data.chains), or read sets with source.read(i)."
        )
    if batch_size < 1 or (workers is not None and workers < 1):
        raise DataError(f"batch_size is {batch_size} and workers {workers}; at least 1 was expected.")
