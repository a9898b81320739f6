"""Range coding with integer tables: exact distributions, short strings, and an end to every damaged one."""

import itertools
import math
import random

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import bitstream
from dsin_tf.entropy import coder

HALF = 2**15


def gaussian_tables(scales=(0.11, 0.5, 2.0, 40.0)):
    """Zero-mean normal distributions of these scales, each over six standard deviations at least."""
    pmfs, offsets = [], []
    for scale in scales:
        reach = max(1, math.ceil(6 * scale))
        edges = np.arange(-reach, reach + 2) - 0.5
        pmfs.append(np.diff([0.5 * math.erfc(-edge / scale / 2**0.5) for edge in edges]))
        offsets.append(-reach)
    return coder.Tables.from_pmfs(pmfs, offsets)


def gaussian_symbols(size, scales=(0.11, 0.5, 2.0, 40.0), seed=0):
    """`(symbols, rows)` as the tables of the same scales expect them."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(scales), size)
    return np.rint(rng.normal(size=size) * np.array(scales)[rows]).astype(np.int32), rows


def outcome(data, rows, tables):
    """What decoding comes to: an array of the right shape and range, or PayloadError; anything else is a failure."""
    try:
        symbols = coder.decode(data, rows, tables)
    except bitstream.PayloadError as error:
        return error
    assert symbols.shape == np.shape(rows)
    assert np.abs(symbols).max(initial=0) < 2**20
    return symbols


# Strings


@given(st.data())
@settings(deadline=None)
def test_what_is_encoded_is_decoded(data):
    rows = data.draw(st.lists(st.integers(0, 3), max_size=30))
    anything = st.one_of(st.integers(-3, 3), st.integers(-300, 300), st.integers(1 - 2**20, 2**20 - 1))
    symbols = [data.draw(anything) for _ in rows]
    tables = gaussian_tables()
    encoded = coder.encode(symbols, rows, tables)
    decoded = coder.decode(encoded, rows, tables)
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols
    assert len(encoded) <= tables.bits(symbols, rows).sum() / 8 + 8


def test_a_string_whose_last_interval_begins_right_below_a_carry_is_decoded():
    """Chance hits this once in 2**32 strings: distributions are made so that the interval closes in on a carry."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        encoder, written = coder.Encoder(), []

        def add(symbol, counts, encoder=encoder, written=written):
            encoder.encode_with_counts([symbol], [counts])
            written.append((symbol, counts))
            return encoder._encoder.pos()[1]

        lower, width = 0, 1
        while lower + width <= 2**64 and len(written) < 50:
            counts = 1 + rng.multinomial(2**16 - 3, [1 / 3] * 3)
            lower, width = add(rng.integers(3), counts.tolist())
        # First only the one count in 2**16 in which the carry lies, then all from the last count before it.
        for narrow in (True, False):
            count = (2**64 - lower) // (width // 2**24 * 2**8)
            if 1 <= count <= 2**16 - 2:
                rest = 2**16 - 1 - count
                lower, width = add(1, [count, 1, rest] if narrow else [count, rest, 1])
        hits += 2**64 - lower < 2**32 and lower + width > 2**64
        decoder = coder.Decoder(encoder.finish())
        for symbol, counts in written:
            assert decoder.decode_with_counts([counts]) == [symbol]
        decoder.finish()
    assert hits > 20


def test_thousands_of_short_strings_are_decoded():
    tables = gaussian_tables((0.5, 40.0))
    symbols, rows = gaussian_symbols((3000, 30), scales=(0.5, 40.0))
    for i in range(3000):
        few = slice(0, i % 30)
        data = coder.encode(symbols[i, few], rows[i, few], tables)
        assert coder.decode(data, rows[i, few], tables).tolist() == symbols[i, few].tolist()


def test_any_shape_and_integer_type_is_coded():
    symbols, rows = gaussian_symbols((2, 3, 4, 5))
    tables = gaussian_tables()
    data = coder.encode(symbols.astype(np.int64), rows.astype(np.uint8), tables)
    assert data == coder.encode(symbols, rows, tables)
    np.testing.assert_array_equal(coder.decode(data, rows, tables), symbols)


def test_nothing_takes_no_bytes():
    empty = np.zeros((1, 0, 5, 3), np.int32)
    assert coder.encode(empty, empty, gaussian_tables()) == b""
    assert coder.decode(b"", empty, gaussian_tables()).shape == (1, 0, 5, 3)


@pytest.mark.parametrize("count", [1, 10, 1000, 100_000])
def test_strings_are_at_most_eight_bytes_above_the_cross_entropy_of_the_tables(count):
    symbols, rows = gaussian_symbols(count)
    tables = gaussian_tables()
    assert len(coder.encode(symbols, rows, tables)) <= tables.bits(symbols, rows).sum() / 8 + 8


def test_a_stored_string_is_decoded_for_ever():
    # One of each: table entries, escapes above and below, far ones, a last row without any symbol.
    tables = coder.Tables(
        counts=[HALF, HALF // 2, HALF // 2, 65000, 500, 35, 1, 1, 65535], lengths=[3, 4, 2], offsets=[0, -1, 7]
    )
    rows = np.array([[0, 1, 1, 0, 1, 1], [1, 0, 0, 1, 1, 0]])
    symbols = np.array([[0, -1, 0, 1, -1, 1], [-1000, 2**20 - 1, 1, 2, 1 - 2**20, -5]])
    data = bytes.fromhex("5dfff5dff896dc105588fffffffffffbefc1aa758078")
    np.testing.assert_array_equal(coder.decode(data, rows, tables), symbols)
    assert coder.encode(symbols, rows, tables) == data


def test_pieces_of_one_stream_are_read_by_the_same_calls():
    tables = gaussian_tables()
    symbols, rows = gaussian_symbols((4, 50))
    counts = np.array([[1, 65534, 1], [20000, 20000, 25536]] * 20)
    classes = np.array([1, 2] * 20)
    bits = tables.bits(symbols, rows).sum() - np.log2(counts[np.arange(40), classes] / 2**16).sum()

    encoder = coder.Encoder()
    for i in range(4):
        encoder.encode(symbols[i], rows[i], tables)
        encoder.encode_with_counts(classes[10 * i : 10 * i + 10], counts[10 * i : 10 * i + 10])
    data = encoder.finish()
    assert len(data) <= bits / 8 + 2

    decoder = coder.Decoder(data)
    for i in range(4):
        np.testing.assert_array_equal(decoder.decode(rows[i], tables), symbols[i])
        found = decoder.decode_with_counts(counts[10 * i : 10 * i + 10])
        np.testing.assert_array_equal(found, classes[10 * i : 10 * i + 10])
    assert decoder.decode_with_counts(counts[:0]).shape == (0,)
    decoder.finish()


# Distributions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", [False, True])
def test_the_coder_works_with_exactly_the_counts(dtype, family):
    """Reads the width of the interval that each symbol leaves, out of 2**64 - 1, off the encoder's state."""
    rng = np.random.default_rng(0)
    for size in (2, 5, 300, 3000):
        counts = 1 + rng.multinomial(2**16 - size, rng.dirichlet(np.full(size, 0.05)))
        probabilities = coder._probabilities(counts).astype(dtype)
        for symbol in {0, 1, size - 1, int(counts.argmax()), int(rng.integers(size))}:
            encoder = constriction.stream.queue.RangeEncoder()
            if family:
                model = constriction.stream.model.Categorical(perfect=False)
                encoder.encode(np.array([symbol], np.int32), model, probabilities[None])
            else:
                model = constriction.stream.model.Categorical(probabilities, perfect=False)
                encoder.encode(np.array([symbol], np.int32), model)
            words, (lower, width) = encoder.pos()
            unit = (2**64 - 1) // 2**24 * 256
            assert width == unit * int(counts[symbol]) << 32 * words
            if not words:
                assert lower == unit * int(counts[:symbol].sum())


def test_float32_and_float64_probabilities_give_the_same_bytes():
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, 300, 2000).astype(np.int32)
    counts = 1 + rng.multinomial(2**16 - 300, rng.dirichlet(np.full(300, 0.05)), size=2000)
    model = constriction.stream.model.Categorical(perfect=False)
    streams = []
    for dtype in (np.float32, np.float64):
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(symbols, model, coder._probabilities(counts).astype(dtype))
        streams.append(encoder.get_compressed().tolist())
    assert streams[0] == streams[1]


def test_bits_are_those_of_the_counts_and_of_the_escape_code():
    tables = coder.Tables.from_rows([[HALF, HALF // 2, HALF // 2]], offsets=[10])
    # Entries 10 and 11; 12 and 9 are the escaped values 0 and 1, of which value + 1 has 1 and 2 bits, whose lengths
    # cost 1 and 2 bits; 13 is the value 2; 12 + 1000 is 2000, a 2001 of 11 bits, whose length has 4 counts of 2**16.
    bits = tables.bits([10, 11, 12, 9, 13, 1012], [0] * 6)
    np.testing.assert_allclose(bits, [1, 2, 2 + 1, 2 + 2 + 1, 2 + 2 + 1, 2 + 14 + 10])


@pytest.mark.parametrize(
    "pmf", [[0.5, 0.25, 0.25], [0.9, 0.1, 0.0], [1e-9, 1.0, 1e-9], [0.34, 0.33, 0.33], [0.5375, 0.0854, 0.3771]]
)
def test_quantised_probabilities_cost_the_fewest_bits(pmf):
    total = 24
    counts = coder.quantize_pmf(pmf, total=total)
    assert counts.sum() == total
    assert counts.min() >= 1

    def cost(candidate):
        return -np.dot(pmf, np.log2(np.divide(candidate, total)))

    best = min(
        cost((a, b, total - a - b)) for a, b in itertools.product(range(1, total), repeat=2) if a + b <= total - 1
    )
    assert cost(counts) == pytest.approx(best, abs=1e-12)


def test_what_a_row_lacks_to_one_goes_to_the_escape():
    tables = coder.Tables.from_pmfs([[0.5, 0.25], [0.5, 0.5]], offsets=[0, -1])
    assert tables.counts[:3].tolist() == [HALF, HALF // 2, HALF // 2]
    assert sorted(tables.counts[3:]) == [1, HALF - 1, HALF]
    assert tables.counts[-1] == 1


def test_tables_are_made_again_from_their_state():
    tables = gaussian_tables()
    symbols, rows = gaussian_symbols(500)
    again = coder.Tables.from_state({name: np.array(value) for name, value in tables.state().items()})
    assert len(again) == 4
    assert again.state().keys() == tables.state().keys()
    np.testing.assert_array_equal(coder.decode(coder.encode(symbols, rows, tables), rows, again), symbols)


# Damage


def test_every_cut_string_is_refused():
    symbols, rows = gaussian_symbols(300)
    tables = gaussian_tables()
    data = coder.encode(symbols, rows, tables)
    for length in range(len(data) - 1):
        with pytest.raises(bitstream.PayloadError, match=f"{length} bytes is damaged") as caught:
            coder.decode(data[:length], rows, tables)
        assert caught.value.length == length


def test_decoding_stops_soon_after_the_end_of_the_data():
    tables = coder.Tables.from_rows([[HALF, HALF // 2, HALF // 2]], offsets=[0])
    decoder = coder.Decoder(b"\x80")
    decoder.decode(np.zeros(8, np.int32), tables)
    with pytest.raises(bitstream.PayloadError, match="ends before its last symbol"):
        for _ in range(20):
            decoder.decode(np.zeros(8, np.int32), tables)


def test_data_too_short_for_that_many_symbols_are_refused_before_anything_is_decoded():
    tables = coder.Tables.from_rows([[2**16 - 2, 1, 1]], offsets=[0])
    for count in (1, 10_000, 5_000_000):
        data = coder.encode(np.zeros(count, np.int32), np.zeros(count, np.int32), tables)
        coder.check_length(data, count, tables)  # the cheapest symbols of all
    bits = 10**9 * -np.log2(1 - 2 / 2**16)
    with pytest.raises(
        bitstream.PayloadError, match=f"1000000000 symbols take {int(bits / 8 - 12)} bytes at the least"
    ):
        coder.check_length(bytes(2000), 10**9, tables)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 9, b"\x01", b"\xff" * 400])
def test_bytes_that_no_symbol_needs_are_refused(more):
    symbols, rows = gaussian_symbols(300)
    tables = gaussian_tables()
    for count in (0, 1, 300):
        data = coder.encode(symbols[:count], rows[:count], tables)
        with pytest.raises(bitstream.PayloadError):
            coder.decode(data + more, rows[:count], tables)


def test_garbage_ends_in_an_error_or_in_symbols_that_are_coded_like_this():
    tables = gaussian_tables((0.11, 0.5, 2.0))
    chance = random.Random(0)
    accepted = 0
    for _ in range(3000):
        rows = [chance.randrange(3) for _ in range(chance.randrange(12))]
        data = bytes(chance.choice((0, 0, 255, chance.randrange(256))) for _ in range(chance.randrange(6)))
        found = outcome(data, rows, tables)
        if isinstance(found, np.ndarray):
            accepted += 1
            assert coder.encode(found, rows, tables) == data
    assert accepted > 30  # so that the second half of the statement was tried


def test_changed_strings_end_in_an_error_or_in_wrong_symbols():
    tables = gaussian_tables()
    symbols, rows = gaussian_symbols(200)
    data = coder.encode(symbols, rows, tables)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        found = outcome(bytes(damaged), rows, tables)
        assert not np.array_equal(found, symbols)


def test_a_string_that_is_nothing_but_escapes_stays_bounded():
    escapes = coder.Tables.from_rows([[1, 2**16 - 1]], offsets=[0])
    rows = np.zeros(50_000, np.int32)
    for data in (
        b"",
        b"\xff" * 100_000,
        bytes(70_000),
        random.Random(0).getrandbits(1_600_000).to_bytes(200_000, "big"),
    ):
        assert isinstance(outcome(data, rows, escapes), bitstream.PayloadError)


def test_an_escaped_symbol_beyond_the_limit_is_refused():
    # The same counts a thousand further up: what was the largest symbol is now beyond it.
    here, there = (coder.Tables.from_rows([[HALF, HALF]], offsets=[offset]) for offset in (0, 1000))
    data = coder.encode([2**20 - 1], [0], here)
    with pytest.raises(bitstream.PayloadError, match="symbol 1049575"):
        coder.decode(data, [0], there)


# Mistakes of the caller


def test_symbols_rows_and_counts_outside_their_ranges_are_named():
    tables = gaussian_tables()
    with pytest.raises(ValueError, match="from 0 to 1048576, absolute values below 1048576"):
        coder.encode([0, 2**20], [0, 0], tables)
    with pytest.raises(ValueError, match="from -2147483648 to 0"):
        coder.encode(np.array([0, -(2**31)], np.int32), [0, 0], tables)
    with pytest.raises(ValueError, match="from 1 to 4, 0 to 3 were expected"):
        coder.decode(b"", [1, 4], tables)
    with pytest.raises(ValueError, match=r"symbols \[2\] and rows \[3\]"):
        coder.encode([0, 0], [0, 0, 0], tables)
    encoder = coder.Encoder()
    with pytest.raises(ValueError, match=r"from 2 to 2, 0 to 1"):
        encoder.encode_with_counts([2], [[HALF, HALF]])
    with pytest.raises(ValueError, match=r"0 at least and sum to 65536...65536"):
        encoder.encode_with_counts([0], [[2**16, 0]])
    with pytest.raises(ValueError, match=r"symbols \[2\] and counts \[1, 2\]"):
        encoder.encode_with_counts([0, 1], [[HALF, HALF]])


def test_tables_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"rows sum to \[65535\]"):
        coder.Tables.from_rows([[HALF, HALF - 1]], offsets=[0])
    with pytest.raises(ValueError, match="Counts are 0 at least"):
        coder.Tables.from_rows([[2**16, 0]], offsets=[0])
    with pytest.raises(ValueError, match="1 at least and sum to 1; 2"):
        coder.Tables.from_rows([[2**16]], offsets=[0])
    with pytest.raises(ValueError, match="from 0 to 1048576, absolute"):
        coder.Tables.from_rows([[1, HALF, HALF - 1], [HALF, HALF]], offsets=[2**20 - 1, 0])
    with pytest.raises(ValueError, match=r"lengths \[1\], offsets \[2\]"):
        coder.Tables([HALF, HALF], [2], [0, 0])
    for pmf in ([0.5, float("nan")], [0.5, -0.1], [0.0, 0.0], []):
        with pytest.raises(ValueError, match="finite numbers"):
            coder.quantize_pmf(pmf)
