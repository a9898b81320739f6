"""Range coding of integer symbols with stored integer tables.

    tables = Tables.from_pmfs(pmfs, offsets)            # once, after training; stored with the weights
    data = encode(symbols, rows, tables)                # bytes
    symbols = decode(data, rows, tables)                # int32, the shape of rows

The arithmetic is that of `constriction`'s range coder; here are the tables, the escape for symbols that no table
holds, the end of the string, and what becomes of strings that no encoder wrote.

**Distributions are integers.** Every distribution is counts that sum to 2**16. constriction takes floats, which it
scales to a total of 2**24 after it has set one unit aside for each symbol. A count c is handed over as 256 c - 1:
these floats are whole numbers, their sum plus the units set aside is 2**24, the scale is exactly 1, and c / 2**16 is
what is coded with, in float32 and in float64, on every machine.

**Order.** Symbols are coded row by row of the tables, raster order inside a row; after a row's symbols the escaped
values of that row. An escaped value is the distance from the table, the sign in its lowest bit, as an Exp-Golomb code:
the number of bits with a fixed distribution, then the bits. Both are bounded, so that no data can ask for more.

**Strings are canonical.** The encoder ends with the shortest string of bytes that names the last interval, or of one
that reaches over a carry the part before it: two bytes more than the tables' cross-entropy, after a carry rarely up to
eight. (The part after the carry would be named by whole words and nothing more, and so is every longer sequence of
symbols that goes on with zeros: a string read with a wrong size would be taken for a good one.) The decoder codes what
it reads once more and refuses a string that the encoder would have written differently. Damage is found for certain by
the file's checksum only; what gets past that ends here in a PayloadError or in wrong symbols, after as much work as the
right ones would take.
"""

import heapq

import constriction
import numpy as np

from dsin_tf.bitstream import PayloadError

PRECISION = 16  # every distribution is integer counts that sum to 2**PRECISION
MAX_MAGNITUDE = 2**20  # every symbol's absolute value is below this

_TOTAL = 2**PRECISION
_UNITS = 2 ** (24 - PRECISION)  # of constriction's probabilities, in one count

# Bits of an escaped value: 1 to 23 (both ends of a table and a symbol are below 2**20, the sign takes one more).
# Half the probability for each further bit, until 13 equal rests share what is left.
_LENGTH_COUNTS = np.array([2 ** (15 - i) for i in range(10)] + [4] * 12 + [16], dtype=np.int32)
_BIT_COUNTS = np.array([_TOTAL // 2, _TOTAL // 2], dtype=np.int32)


class Tables:
    """Integer distributions, one a row, each over `offset, offset + 1, ...` and an escape for all other integers.

    Attributes:
      counts: int32 [sum of lengths], the rows one after the other; each sums to 2**16, its last entry is the escape.
      lengths: int32 [R], entries a row, the escape included.
      offsets: int32 [R], the symbol of each row's first entry.
    """

    def __init__(self, counts, lengths, offsets):
        self.counts = np.array(counts, dtype=np.int32)
        self.lengths = np.array(lengths, dtype=np.int32)
        self.offsets = np.array(offsets, dtype=np.int32)
        self._check()
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._models = {}

    @classmethod
    def from_rows(cls, rows, offsets):
        """Tables from a list of R integer count arrays, each summing to 2**16 with the escape's count last."""
        return cls(np.concatenate(rows), [len(row) for row in rows], offsets)

    @classmethod
    def from_pmfs(cls, pmfs, offsets):
        """Tables from a list of R float arrays of probabilities; what a row lacks to 1 goes to the escape.

        Counts are good integers for these probabilities (see `quantize_pmf`); every entry gets at least 1.
        """
        rows = []
        for pmf in pmfs:
            pmf = np.asarray(pmf, dtype=np.float64)
            rows.append(quantize_pmf(np.append(pmf, max(0.0, 1.0 - pmf.sum()))))
        return cls.from_rows(rows, offsets)

    @classmethod
    def from_state(cls, state):
        """Tables from what `state` returned."""
        return cls(state["counts"], state["lengths"], state["offsets"])

    def state(self):
        """`{"counts", "lengths", "offsets"}`, int32 arrays: all that the decoder needs, for digest and storage."""
        return {"counts": self.counts, "lengths": self.lengths, "offsets": self.offsets}

    def __len__(self):
        """Number of rows."""
        return len(self.lengths)

    def bits(self, symbols, rows):
        """float64, shape of `symbols`: what each symbol costs under these tables, escape codes included."""
        symbols, rows = self._check_symbols(symbols, rows)
        entries, escapes = self._entries(symbols, rows)
        bits = PRECISION - np.log2(self.counts[self._starts[rows] + entries])
        lengths = _bit_length(escapes[escapes >= 0])
        bits[escapes >= 0] += PRECISION - np.log2(_LENGTH_COUNTS[lengths - 1]) + lengths - 1
        return bits

    def _entries(self, symbols, rows):
        """Position in its row of each symbol, and the value to write after an escape (-1 where there is none)."""
        entries = symbols - self.offsets[rows]
        last = self.lengths[rows] - 1
        escapes = np.where(entries >= last, 2 * (entries - last), np.where(entries < 0, -2 * entries - 1, -1))
        return np.where(escapes >= 0, last, entries), escapes

    def _symbols(self, row, entries):
        """The symbols of entries of one row, meaningless where the entry is the escape."""
        return entries + self.offsets[row]

    def _escaped_symbols(self, row, escapes):
        """The symbols that the values after an escape stand for."""
        last = self.lengths[row] - 1
        return self.offsets[row] + np.where(escapes % 2 == 0, last + escapes // 2, -(escapes + 1) // 2)

    def _model(self, row):
        """constriction's model of a row; made once."""
        if row not in self._models:
            start = self._starts[row]
            self._models[row] = _model(self.counts[start : start + self.lengths[row]])
        return self._models[row]

    def _check(self):
        if self.lengths.shape != self.offsets.shape or self.lengths.ndim != 1 or self.counts.ndim != 1:
            raise ValueError(
                f"Tables got lengths {list(self.lengths.shape)}, offsets {list(self.offsets.shape)} and counts "
                f"{list(self.counts.shape)}; [R], [R] and [sum of lengths] were expected."
            )
        if min(self.lengths, default=0) < 2 or self.lengths.sum() != len(self.counts):
            raise ValueError(
                f"The lengths of the rows are {min(self.lengths, default=0)} at least and sum to {self.lengths.sum()}; "
                f"2 (a symbol and the escape) and {len(self.counts)} counts were expected."
            )
        sums = np.add.reduceat(self.counts, np.cumsum(self.lengths) - self.lengths)
        if (self.counts < 1).any() or (sums != _TOTAL).any():
            raise ValueError(
                f"Counts are {self.counts.min()} at least and rows sum to {sorted(set(map(int, sums)))[:5]}; "
                f"at least 1 and {_TOTAL} were expected. Make them with quantize_pmf."
            )
        ends = self.offsets.astype(np.int64) + self.lengths
        if (self.offsets <= -MAX_MAGNITUDE).any() or (ends > MAX_MAGNITUDE).any():
            raise ValueError(
                f"Tables reach from {self.offsets.min()} to {ends.max() - 2}, absolute values below {MAX_MAGNITUDE} "
                "were expected."
            )

    def _check_symbols(self, symbols, rows):
        """Both as int32 arrays of one shape and inside their ranges."""
        rows = self._check_rows(rows)
        symbols = np.asarray(symbols)
        if symbols.shape != rows.shape:
            raise ValueError(f"symbols {list(symbols.shape)} and rows {list(rows.shape)} must have one shape.")
        if symbols.size and not (symbols.min() > -MAX_MAGNITUDE and symbols.max() < MAX_MAGNITUDE):
            raise ValueError(
                f"Symbols reach from {symbols.min()} to {symbols.max()}, absolute values below {MAX_MAGNITUDE} were "
                "expected. Latents this large come from a model that has not been trained."
            )
        return symbols.astype(np.int32), rows

    def _check_rows(self, rows):
        rows = np.asarray(rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ValueError(f"Rows reach from {rows.min()} to {rows.max()}, 0 to {len(self) - 1} were expected.")
        return rows.astype(np.int32)


def quantize_pmf(pmf, total=_TOTAL):
    """Integers for probabilities.

    Args:
      pmf: float [K], not negative; need not sum to 1.
      total: what the counts shall sum to, at least K.

    Returns:
      int32 [K]: positive counts. Rounded down first (up to 1 at least), then single counts are added where one saves
      the most bits, or taken where that costs the fewest.
    """
    pmf = np.asarray(pmf, dtype=np.float64)
    if pmf.ndim != 1 or not np.isfinite(pmf).all() or (pmf < 0).any() or not pmf.sum() > 0 or len(pmf) > total:
        raise ValueError(
            f"Got probabilities {list(pmf.shape)} from {pmf.min(initial=0)} to {pmf.max(initial=0)}; at most {total} "
            "finite numbers were expected, none negative and not all zero."
        )
    pmf = pmf / pmf.sum()
    counts = np.maximum(np.floor(pmf * total), 1).astype(np.int64)
    missing = total - int(counts.sum())
    step = 1 if missing > 0 else -1

    def cost(i):
        """Of one step at entry i, in nats; the entry itself keeps at least 1."""
        if counts[i] + step < 1:
            return np.inf
        return pmf[i] * np.log(counts[i] / (counts[i] + step))

    heap = [(cost(i), i) for i in range(len(pmf))] if missing else []
    heapq.heapify(heap)
    for _ in range(abs(missing)):
        i = heap[0][1]
        counts[i] += step
        heapq.heapreplace(heap, (cost(i), i))
    return counts.astype(np.int32)


def encode(symbols, rows, tables):
    """Codes integers.

    Args:
      symbols: integers [...], absolute values below 2**20.
      rows: integers, the same shape: the row of `tables` that each symbol is coded with.
      tables: a `Tables`.

    Returns:
      bytes; empty for no symbols.
    """
    encoder = Encoder()
    encoder.encode(symbols, rows, tables)
    return encoder.finish()


def decode(data, rows, tables):
    """Decodes what `encode` made of symbols with the same rows and tables: int32, the shape of `rows`.

    Raises:
      bitstream.PayloadError: `data` is not what `encode` writes for any symbols.
    """
    decoder = Decoder(data)
    symbols = decoder.decode(rows, tables)
    decoder.finish()
    return symbols


def check_length(data, count, tables):
    """Refuses data too short for `count` symbols, whatever their rows: before rows are computed or space is made.

    Raises:
      bitstream.PayloadError: so few bytes cannot hold so many symbols, even the cheapest of `tables`.
    """
    # Up to 64 bits are in the coder's state and not yet in its words; 32 more are for the rounding of intervals.
    least = count * (PRECISION - np.log2(tables.counts.max())) - 96
    if 8 * len(data) < least:
        raise _damaged(data, f"{count} symbols take {int(least / 8)} bytes at the least")


class Encoder:
    """A stream written piece by piece; `Decoder` reads it with the same calls in the same order."""

    def __init__(self):
        self._encoder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols, rows, tables):
        """Adds symbols coded with stored tables; as the function `encode`."""
        symbols, rows = tables._check_symbols(symbols, rows)
        symbols, rows = symbols.ravel(), rows.ravel()
        entries, escapes = tables._entries(symbols, rows)
        for row, places in _by_row(rows):
            self._add(entries[places], tables._model(row))
            escaped = escapes[places]
            escaped = escaped[escaped >= 0]
            if escaped.size:
                lengths = _bit_length(escaped)
                self._add(lengths - 1, _LENGTH_MODEL)
                self._add(_to_bits(escaped, lengths), _BIT_MODEL)

    def encode_with_counts(self, symbols, counts):
        """Adds symbols with a distribution each.

        Args:
          symbols: integers [n], each in 0...K-1.
          counts: integers [n, K], positive, each row summing to 2**16 (see `exact.counts_from_logits`).
        """
        symbols = np.asarray(symbols)
        counts = _check_counts(counts)
        if symbols.shape != counts.shape[:1]:
            raise ValueError(
                f"symbols {list(symbols.shape)} and counts {list(counts.shape)} must agree: [n] and [n, K]."
            )
        if symbols.size and not (symbols.min() >= 0 and symbols.max() < counts.shape[1]):
            raise ValueError(
                f"Symbols reach from {symbols.min()} to {symbols.max()}, 0 to {counts.shape[1] - 1} were expected."
            )
        self._add(symbols, _FAMILY, _probabilities(counts))

    def finish(self):
        """The bytes of everything added; more may be added afterwards."""
        # Everything that begins with the words written so far and goes on in [lower, lower + width), as a fraction of
        # 2**64, decodes to the same symbols. Where the interval goes past 2**64 a carry into the words is possible;
        # the encoder has settled whether it takes it.
        position, (lower, width) = self._encoder.pos()
        data = self._encoder.get_compressed().astype(">u4").tobytes()
        words, tail = data[: 4 * position], data[4 * position :].ljust(8, b"\0")
        if lower == 0 or int.from_bytes(tail, "big") < lower:  # carried: [0, lower + width - 2**64) is left
            return words
        upper = min(lower + width, 2**64)
        for kept in range(1, 9):
            unit = 2 ** (64 - 8 * kept)
            value = -(-lower // unit)
            if value * unit < upper:
                return words + value.to_bytes(kept, "big")
        raise AssertionError("eight bytes name any point of the interval")

    def _add(self, symbols, *model):
        self._encoder.encode(np.ascontiguousarray(symbols, dtype=np.int32), *model)

    def _words(self):
        """Whole words of which nothing can change any more but for a carry."""
        return self._encoder.pos()[0]


class Decoder:
    """Reads a stream that `Encoder` wrote.

    Args:
      data: bytes.
    """

    def __init__(self, data):
        self._data = bytes(data)
        words = self._data.ljust(-(-len(self._data) // 4) * 4, b"\0")
        self._decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(words, dtype=">u4").astype(np.uint32))
        self._again = Encoder()

    def decode(self, rows, tables):
        """int32, shape of `rows`: the next symbols.

        Raises:
          bitstream.PayloadError: `data` cannot hold them.
        """
        rows = tables._check_rows(rows)
        check_length(self._data, rows.size, tables)
        symbols = np.zeros(rows.size, dtype=np.int32)
        for row, places in _by_row(rows.ravel()):
            entries = self._next(len(places), tables._model(row))
            found = tables._symbols(row, entries)
            escaped = entries == tables.lengths[row] - 1
            if escaped.any():
                lengths = self._next(int(escaped.sum()), _LENGTH_MODEL) + 1
                bits = self._next(int(lengths.sum() - len(lengths)), _BIT_MODEL)
                found[escaped] = tables._escaped_symbols(row, _from_bits(bits, lengths))
                if np.abs(found).max() >= MAX_MAGNITUDE:
                    raise self._error(f"it holds the symbol {np.abs(found).max()}, {MAX_MAGNITUDE - 1} is the largest")
            symbols[places] = found
        return symbols.reshape(rows.shape)

    def decode_with_counts(self, counts):
        """int32 [n]: the next symbols, for `counts` as in `Encoder.encode_with_counts`.

        Raises:
          bitstream.PayloadError: `data` cannot hold them.
        """
        return self._next(None, _FAMILY, _probabilities(_check_counts(counts)))

    def finish(self):
        """Raises PayloadError unless `data` is exactly what an `Encoder` writes for the symbols decoded."""
        again = self._again.finish()
        if again != self._data:
            raise self._error(f"the symbols in it take {len(again)} bytes and not these")

    def _next(self, count, *model):
        """The next symbols: `count` of one model, or with count None one for each row of the model's parameters."""
        if count == 0:
            return np.zeros(0, dtype=np.int32)
        try:
            symbols = self._decoder.decode(*model, *([] if count is None else [count]))
        except AssertionError as error:  # what constriction raises for a point outside every interval
            raise self._error("it leaves the range of the coder") from error
        self._again._add(symbols, *model)
        if 4 * self._again._words() > len(self._data):
            raise self._error("it ends before its last symbol")
        return symbols

    def _error(self, what):
        return _damaged(self._data, what)


def _damaged(data, what):
    return PayloadError(
        f"A string of {len(data)} bytes is damaged: {what}. Get a clean copy of the file.", length=len(data)
    )


def _model(counts):
    """constriction's model of one distribution, exactly (see above)."""
    return constriction.stream.model.Categorical(_probabilities(counts), perfect=False)


def _probabilities(counts):
    """Whole numbers as float32, which constriction takes for exactly counts / 2**16."""
    return (np.asarray(counts) * _UNITS - 1).astype(np.float32)


_LENGTH_MODEL = _model(_LENGTH_COUNTS)
_BIT_MODEL = _model(_BIT_COUNTS)
_FAMILY = constriction.stream.model.Categorical(perfect=False)


def _check_counts(counts):
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise ValueError(f"counts is {list(counts.shape)}; [n, K] with K at least 2 was expected.")
    if counts.size and (counts.min() < 1 or (counts.sum(axis=1) != _TOTAL).any()):
        raise ValueError(
            f"Counts are {counts.min()} at least and sum to {counts.sum(axis=1).min()}...{counts.sum(axis=1).max()}; "
            f"at least 1 and {_TOTAL} were expected. Make them with exact.counts_from_logits."
        )
    return counts


def _by_row(rows):
    """Pairs of a row that occurs and the places where it does, in ascending order both."""
    order = np.argsort(rows, kind="stable")
    found, starts = np.unique(rows[order], return_index=True)
    return zip(found.tolist(), np.split(order, starts[1:]))


def _bit_length(values):
    """Bits of value + 1, for values of 0 and more: 1, 2, 2, 3, 3, 3, 3, 4, ..."""
    return np.frexp(values.astype(np.float64) + 1.0)[1]


def _to_bits(values, lengths):
    """The bits of value + 1 below its highest, highest first, of all values one after the other."""
    within, owner = _bit_places(lengths)
    return (values[owner] + 1) >> within & 1


def _from_bits(bits, lengths):
    """The inverse of `_to_bits`."""
    within, owner = _bit_places(lengths)
    values = (1 << (lengths - 1)).astype(np.int64)
    np.add.at(values, owner, bits.astype(np.int64) << within)
    return (values - 1).astype(np.int32)


def _bit_places(lengths):
    """For each bit written: its place inside its value (0 is the lowest) and the value's index."""
    written = lengths - 1
    owner = np.repeat(np.arange(len(lengths)), written)
    first = np.cumsum(written) - written
    return written[owner] - 1 - (np.arange(len(owner)) - first[owner]), owner
