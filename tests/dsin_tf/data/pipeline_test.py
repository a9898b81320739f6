"""The stream of batches: order, seeds, resuming, memory, bad items."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dsin_tf import data, images
from dsin_tf.data import chains, pipeline, protocols

_CROP = dataclasses.replace(protocols.get("native"), train_crop=(8, 16))
_COUNT = 7


@pytest.fixture
def source(tmp_path):
    """Seven pairs of noise; pixel (0, 0) of every row and column holds the pair's number in blue."""
    for k in range(_COUNT):
        noise = np.random.default_rng(k).integers(0, 100, (12, 24, 3), dtype=np.uint8)
        noise[..., 2] = k
        for side, offset in (("left", 0), ("right", 100)):
            path = tmp_path / side / f"{k}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(noise + np.uint8(offset)).save(path)
    return data.load("pairs", "train", tmp_path)


def _numbers(batches):
    return [int(k) for x, _ in batches for k in x[:, 0, 0, 2]]


def _take(dataset, count):
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(count)]


def _equal(one, two):
    return all(np.array_equal(a, b) for a, b in zip(itertools.chain(*one), itertools.chain(*two)))


def test_shapes_and_types(source):
    x, y = next(iter(pipeline.train(source, _CROP, batch_size=3, seed=1)))
    assert (x.dtype, x.shape, y.shape) == (tf.uint8, (3, 8, 16, 3), (3, 8, 16, 3))
    np.testing.assert_array_equal(x + np.uint8(100), y)  # the same place and flip in both


def test_every_epoch_is_another_order_of_the_whole_list(source):
    stream = _numbers(_take(pipeline.train(source, _CROP, 1, seed=1), 4 * _COUNT))
    epochs = [tuple(stream[k : k + _COUNT]) for k in range(0, len(stream), _COUNT)]
    assert all(sorted(epoch) == list(range(_COUNT)) for epoch in epochs)
    assert len(set(epochs)) == 4


def test_one_seed_is_one_stream_whatever_the_threads_and_the_memory(source):
    runs = [
        _take(pipeline.train(source, _CROP, 2, seed=3, memory_mb=memory_mb, workers=workers), 12)
        for memory_mb, workers in ((0, 1), (0, 4), (64, 3))
    ]
    assert _equal(runs[0], runs[1])
    assert _equal(runs[0], runs[2])


def test_another_seed_is_another_stream(source):
    one, two = (_take(pipeline.train(source, _CROP, 2, seed=seed), 7) for seed in (3, 4))
    assert _numbers(one) != _numbers(two)


def test_an_item_is_cropped_anew_in_each_epoch(source):
    batches = _take(pipeline.train(source, _CROP, 1, seed=0, epochs=6), 6 * _COUNT)
    crops = {x.tobytes() for x, _ in batches if x[0, 0, 0, 2] == 2}
    assert len(crops) > 3


@pytest.mark.parametrize("start", [1, 5, 40])
def test_start_step_continues_the_stream(source, start):
    whole = _take(pipeline.train(source, _CROP, 2, seed=3), start + 5)
    assert _equal(whole[start:], _take(pipeline.train(source, _CROP, 2, seed=3, start_step=start), 5))


def test_a_far_start_reads_only_what_it_delivers(source, monkeypatch):
    reads = []
    read = images.read
    monkeypatch.setattr(images, "read", lambda path: reads.append(path) or read(path))
    list(pipeline.train(source, _CROP, 1, seed=3, start_step=10**9, memory_mb=0).take(1))
    assert len(reads) < 40  # the one pair and what was fetched ahead


@pytest.mark.parametrize(("drop", "sizes"), [(True, [4, 4, 4]), (False, [4, 4, 4, 2])])
def test_epochs_and_remainder(source, drop, sizes):
    batches = list(pipeline.train(source, _CROP, 4, seed=0, epochs=2, drop_remainder=drop))
    assert [len(x) for x, _ in batches] == sizes


def test_memory_reads_each_file_once_and_says_so(source, monkeypatch, caplog):
    reads = []
    read = images.read
    monkeypatch.setattr(images, "read", lambda path: reads.append(path) or read(path))
    with caplog.at_level("INFO", logger="absl"):
        list(pipeline.train(source, _CROP, 1, seed=0, epochs=3, memory_mb=1, workers=1))
    assert sorted(reads) == sorted(path for k in range(_COUNT) for path in source.files(k))
    assert "about 1 MiB; within the 1 MiB allowed, so they are kept in memory" in caplog.text


def test_what_does_not_fit_is_read_again_and_says_so(tmp_path, monkeypatch, caplog):
    for side in ("left", "right"):
        for k in range(2):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(tmp_path / side / f"{k}.png")
    source = data.load("pairs", "train", tmp_path)
    reads = []
    read = images.read
    monkeypatch.setattr(images, "read", lambda path: reads.append(path) or read(path))
    with caplog.at_level("INFO", logger="absl"):
        list(pipeline.train(source, protocols.get("native"), 1, seed=0, epochs=3, memory_mb=1, workers=1))
    assert len(reads) == 2 + 3 * 4  # a first pair to judge by, then every file in every epoch
    assert "about 2 MiB; more than the 1 MiB allowed, so they are read again" in caplog.text


def test_memory_counts_a_file_once_that_two_pairs_share(tmp_path, caplog):
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(tmp_path / side / "0.png")
    source = data.load("pairs", "train", tmp_path, both_directions=True)
    with caplog.at_level("INFO", logger="absl"):
        pipeline.train(source, protocols.get("native"), 1, seed=0, memory_mb=1)
    assert "kept in memory" in caplog.text  # 2 files of 0.34 MiB; as 4 images they would not fit


def test_evaluation_is_the_list_in_order(source):
    batches = list(pipeline.evaluate(source, protocols.get("native"), batch_size=3))
    assert _numbers([(x.numpy(), y) for x, y in batches]) == list(range(_COUNT))
    np.testing.assert_array_equal(batches[2][0][0], source.read_x(6))


class _Rendered:
    """A source without files, as Street is."""

    name, split, kind = "rendered", "train", "pairs"

    def __len__(self):
        return 3

    def read(self, index):
        image = np.full((10, 20, 3), index, np.uint8)
        return image, image + np.uint8(100)


def test_sources_without_files(caplog):
    with caplog.at_level("INFO", logger="absl"):
        stream = _take(pipeline.train(_Rendered(), _CROP, 1, seed=0), 6)
    assert sorted(_numbers(stream[:3])) == [0, 1, 2]
    assert _equal(stream, _take(pipeline.train(_Rendered(), _CROP, 1, seed=0, memory_mb=0), 6))
    assert "kept in memory" in caplog.text


def test_single_images(tmp_path):
    for k in range(3):
        Image.fromarray(np.full((10, 20, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
    source = data.load("images", "train", tmp_path)
    batches = list(pipeline.train(source, _CROP, 3, seed=0, epochs=1))
    assert sorted(batches[0].numpy()[:, 0, 0, 0]) == [0, 1, 2]


def test_sets_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    source = data.load("image_sets", "train", tmp_path)
    with pytest.raises(data.DataError, match="image_sets is a source of sets; one of pairs, chains, images"):
        pipeline.evaluate(source, _CROP)


@pytest.fixture
def sets(tmp_path):
    """Two sets of four images of noise; blue holds the image's number, ten more in the second set."""
    for k in range(8):
        noise = np.random.default_rng(k).integers(0, 200, (12, 24, 3), dtype=np.uint8)
        noise[..., 2] = 10 * (k // 4) + k % 4
        images.write(tmp_path / f"{k // 4}/{k % 4}.png", noise)
    return data.load("image_sets", "train", tmp_path)


def _chain_numbers(batches):
    return [tuple(int(image[n, 0, 0, 2]) for image in batch) for batch in batches for n in range(len(batch[0]))]


def _take_chains(dataset, count):
    return [tuple(image.numpy() for image in batch) for batch in dataset.take(count)]


def test_chains_stream_alike_with_one_seed_and_can_be_resumed(sets):
    source = chains.Chains(sets, seed=5)
    whole = _take_chains(pipeline.train(source, _CROP, 2, seed=3), 16)
    assert _equal(whole, _take_chains(pipeline.train(source, _CROP, 2, seed=3, memory_mb=0, workers=1), 16))
    assert _equal(whole[9:], _take_chains(pipeline.train(source, _CROP, 2, seed=3, start_step=9), 7))
    assert [image.shape for image in whole[0]] == [(2, 8, 16, 3)] * 3
    expected = [tuple(int(image[0, 0, 2]) for image in source.read(k)) for k in range(len(source))]
    assert sorted(_chain_numbers(whole[: len(source) // 2])) == sorted(expected)


def test_a_chain_is_cropped_and_flipped_at_one_place(sets):
    source = chains.Chains(sets)
    batches = _take_chains(pipeline.train(source, _CROP, 1, seed=0), len(source))
    roots = [(x, third) for x, reference, third in batches if x[0, 0, 0, 2] == reference[0, 0, 0, 2]]
    assert len(roots) == 8
    for x, third in roots:
        np.testing.assert_array_equal(x, third)


def test_chains_evaluate_in_order(sets):
    source = chains.Chains(sets)
    batches = list(pipeline.evaluate(source, protocols.get("native"), batch_size=5))
    expected = [tuple(int(image[0, 0, 2]) for image in source.read(k)) for k in range(len(source))]
    assert _chain_numbers(batches) == expected


def test_an_image_in_many_chains_is_kept_once(sets, monkeypatch, caplog):
    reads = []
    read = images.read
    monkeypatch.setattr(images, "read", lambda path: reads.append(path) or read(path))
    with caplog.at_level("INFO", logger="absl"):
        list(pipeline.train(chains.Chains(sets), _CROP, 1, seed=0, epochs=2, workers=1))
    assert sorted(reads) == sorted(path for k in range(2) for path in sets.files(k))
    assert "kept in memory" in caplog.text


def test_a_chain_of_two_sizes_names_the_set(tmp_path):
    for k, width in enumerate((20, 24)):
        images.write(tmp_path / f"mixed/{k}.png", np.zeros((12, width, 3), np.uint8))
    source = chains.Chains(data.load("image_sets", "train", tmp_path))
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_sets mixed image . is 12x2"):
        list(pipeline.evaluate(source, protocols.get("native")))


def test_truncated_png_is_named_in_mid_stream(source):
    path = source.files(4)[1]
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[: len(whole) // 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="4.png: cannot be decoded"):
        list(pipeline.train(source, _CROP, 1, seed=0, epochs=1))


def test_sizes_that_make_no_batch_are_named(tmp_path):
    for k, height in enumerate((10, 12)):
        Image.fromarray(np.zeros((height, 20, 3), np.uint8)).save(tmp_path / f"{k}.png")
    source = data.load("images", "train", tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="12x20 and others are 10x20.*batch_size=1"):
        list(pipeline.evaluate(source, protocols.get("native"), batch_size=2, workers=1))
    assert len(list(pipeline.evaluate(source, protocols.get("native")))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0, "seed": 0}, "batch_size is 0"),
        ({"batch_size": 1, "seed": -1}, "seed is -1"),
        ({"batch_size": 1, "seed": 0, "start_step": -2}, "start_step is -2"),
        ({"batch_size": 1, "seed": 0, "workers": 0}, "workers 0"),
    ],
)
def test_bad_arguments(source, arguments, message):
    with pytest.raises(data.DataError, match=message):
        pipeline.train(source, _CROP, **arguments)
