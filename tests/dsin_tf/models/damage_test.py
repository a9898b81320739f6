"""Whole files that were damaged, or made up: every one ends in a named error, and soon."""

import resource
import time
import zlib

import numpy as np
import pytest

from dsin_tf import bitstream
from tests.dsin_tf.models import lively

GIB_IN_KIB = 2**20


def repaired(blob):
    """The file with a checksum that fits what is in it."""
    body = bytes(blob[:-4])
    return body + zlib.crc32(body).to_bytes(4, "little")


def mutated(blob, rng):
    """The file after one random accident: bits or bytes changed, bytes lost, repeated, or put in."""
    blob = bytearray(blob)
    start, end = sorted(rng.integers(0, len(blob) + 1, 2))
    kind = rng.integers(6)
    if kind == 0:
        for place in rng.integers(0, len(blob), rng.integers(1, 5)):
            blob[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        blob[rng.integers(len(blob))] = rng.integers(256)
    elif kind == 2:
        del blob[start:end]
    elif kind == 3:
        blob[start:start] = blob[start:end]
    elif kind == 4:
        blob[start:start] = rng.bytes(rng.integers(1, 9))
    else:
        blob[start:end] = rng.bytes(end - start)
    return bytes(blob)


@pytest.fixture(autouse=True)
def settled_identity(model, monkeypatch):
    """The model's identity, worked out once and not for each of thousands of files."""
    kind = type(getattr(model, "_model", model))
    monkeypatch.setattr(kind, "identity", model.identity)


@pytest.fixture
def blob(model):
    return model.compress(lively.picture(24, 40))


def test_every_flipped_bit_is_a_named_error(model, blob):
    for place in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(bitstream.BitstreamError) as caught:
            model.decompress(bytes(damaged))
        assert type(caught.value) is not bitstream.BitstreamError


def test_every_truncation_is_a_named_error(model, blob):
    for length in range(len(blob)):
        with pytest.raises(bitstream.BitstreamError) as caught:
            model.decompress(blob[:length])
        assert type(caught.value) is not bitstream.BitstreamError


def check_mutations(model, blob, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        damaged = mutated(blob, rng)
        if damaged == blob:
            continue
        with pytest.raises(bitstream.BitstreamError):
            model.decompress(damaged)


def check_mutations_with_a_repaired_checksum(model, blob, count, seed):
    """What passes the checksum may be a picture, of the size that its header says, but nothing else."""
    rng = np.random.default_rng(seed)
    pictures, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        damaged = repaired(mutated(blob[:-4], rng) + b"....")
        try:
            picture = model.decompress(damaged)
        except bitstream.BitstreamError:
            continue
        header = bitstream.inspect(damaged)
        assert picture.shape == (header.height, header.width, 3)
        pictures += 1
    assert pictures < count
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIB_IN_KIB


def test_random_accidents_are_named_errors(model, blob):
    check_mutations(model, blob, count=500, seed=0)


def test_random_accidents_with_a_repaired_checksum_stay_bounded(model, blob):
    check_mutations_with_a_repaired_checksum(model, blob, count=300, seed=1)


@pytest.mark.slow
def test_ten_thousand_accidents(model, blob):
    check_mutations(model, blob, count=10_000, seed=2)
    check_mutations_with_a_repaired_checksum(model, blob, count=10_000, seed=3)


def test_a_few_bytes_that_claim_a_huge_image_are_refused(model, blob):
    _, strings = bitstream.unpack(blob)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(bitstream.PayloadError):
        model.decompress(bitstream.pack(model.identity, 8192, 8192, strings))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIB_IN_KIB


@pytest.mark.parametrize("name", ["balle2018", "lee2019", "dsc_msf"])
def test_scales_of_a_huge_image_are_not_computed_for_latents_that_are_not_there(prepared, name):
    """A file made by somebody who can write good hyper latents."""
    model = prepared[name]
    z = model.prior.compress(np.zeros((128, 128, 8), np.int32))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    for length in (0, 1000, 10**6):
        junk = np.random.default_rng(length).bytes(length)
        with pytest.raises(bitstream.PayloadError):
            model.decompress(bitstream.pack(model.identity, 8192, 8192, [z, junk]))
    assert time.monotonic() - start < 3 * 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIB_IN_KIB


@pytest.mark.parametrize("size", [(2**31, 2**31), (1, 2**26), (2**26, 1)])
def test_a_size_above_the_limit_is_refused_unread(model, blob, size):
    # A line of pixels counts as the many lines that it is padded to.
    _, strings = bitstream.unpack(blob)
    with pytest.raises(bitstream.SizeError):
        model.decompress(bitstream.pack(model.identity, *size, strings))
