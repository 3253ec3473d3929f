"""Insertions and deletions: the pieces of a barcode that does not fit its marker's frame in one piece are placed each.

Most barcodes have none. A quick comparison with the conserved bases of the marker chooses those that are searched.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# A sequence is compared with the profile at shifts up to this number of bases, in blocks of coordinates: eight, so that
# the conserved bases of a block are the bits of a byte.
MAX_SHIFT = 15
_NUM_SHIFTS = 2 * MAX_SHIFT + 1
_BLOCK = 8

# The score of a base is the logarithm, in bits, of its frequency over that of random bases. Frequencies are mixed with
# uniform ones, because no sample of barcodes has all bases that occur. An indel has to gain more than its cost.
UNIFORM_SHARE = 0.08
COST = 14.0

# With a lower score for a base, after costs, the pieces are not those of one barcode of the marker: barcodes have 0.7
# to 1.9, random sequences 0.4 with twenty pieces.
MIN_MEAN = 0.5
# A piece at either end has at least this score, which random bases have at none of the shifts.
MIN_END = 12.0
# Where the score falls by more than this, bases are unknown too: between two indels that are near each other, or at an
# end, after an indel or of poor quality.
MISFIT = 10.0

# Where exactly a piece ends is not known. Between two pieces, bases are unknown that may belong to either: those for
# which the end is not less probable by so many bits than at the best position, up to so many bases from the block's.
AMBIGUITY = 6.0
REACH = 24

# A barcode is searched if so many of the conserved bases, and this share of them, differ in adjacent blocks.
CONSERVED = 0.9
WINDOWS = ((1, 3, 0.7), (2, 4, 0.5), (4, 6, 0.4))  # number of blocks, of bases, and share

_ROWS = 256
_NUM_BITS = np.array([number.bit_count() for number in range(256)], np.uint8)


class UnplacedPart(NamedTuple):
    """A part of a sequence of which the bases do not each lie on a coordinate of the frame, mostly because of an indel.

    Attributes:
        begin, end: the first of its bases, from 0, and the one after the last, in the sequence as read on its strand,
            gaps and white space removed.
        length: number of the frame's coordinates that the part takes; which base lies on which is not known.
    """

    begin: int
    end: int
    length: int

    @property
    def is_indel(self) -> bool:
        """Whether bases are inserted or deleted; otherwise the part does not fit the marker."""
        return self.end - self.begin != self.length


class IndelFinder:
    """Places barcodes with a few insertions and deletions, of together up to 15 bases, on a marker's profile.

    Args:
        profile: float32 `[length, 4]`, frequencies of A, C, G and T at each coordinate.
    """

    def __init__(self, profile: np.ndarray):
        self._length = len(profile)
        self._num_blocks = -(-self._length // _BLOCK)
        frequencies = profile + (1 - profile.sum(axis=1, keepdims=True)) / 4
        # The last column, of an unknown base, and coordinates after the frame have score 0.
        self._scores = np.zeros((self._num_blocks * _BLOCK, 5), np.float32)
        self._scores[: self._length, :4] = np.log2(4 * (1 - UNIFORM_SHARE) * frequencies + UNIFORM_SHARE)
        self._consensus = np.where(profile.max(axis=1) >= CONSERVED, profile.argmax(axis=1), -1).astype(np.int8)
        # The scores of two bases at adjacent coordinates, `[coordinates / 2, 25]`: half as many to look up.
        self._pair_scores = (self._scores[::2, :, None] + self._scores[1::2, None, :]).reshape(-1, 25)

    def suspects(self, bases: np.ndarray) -> np.ndarray:
        """Which barcodes differ from the conserved bases of the marker as those with an indel do.

        Args:
            bases: int8 `[n, length]`, by coordinate, -1 where unknown.

        Returns:
            bool `[n]`.
        """
        is_compared = (bases >= 0) & (self._consensus >= 0)
        num_compared = _NUM_BITS[np.packbits(is_compared, axis=1)]
        num_different = _NUM_BITS[np.packbits(is_compared & (bases != self._consensus), axis=1)]
        found = np.zeros(len(bases), bool)
        for num_blocks, minimum, share in WINDOWS:
            different, compared = (_sums_of_adjacent(counts, num_blocks) for counts in (num_different, num_compared))
            found |= ((different >= minimum) & (different >= share * compared)).any(axis=1)
        return found

    def find(self, sequences: Sequence[np.ndarray], starts: np.ndarray) -> list[tuple[int, tuple[UnplacedPart, ...]]]:
        """Place the pieces of barcodes.

        Args:
            sequences: `[n]` arrays of codes, as read on their strand, -1 for an unknown base.
            starts: int64 `[n]`, coordinate of the first base if the sequence is placed in one piece.

        Returns:
            For each, the coordinate of the first base, and the parts between pieces in the order of the sequence: the
            start as given and none if the pieces are not those of one barcode.
        """
        found = []
        for first in range(0, len(sequences), _ROWS):
            block, block_starts = sequences[first : first + _ROWS], starts[first : first + _ROWS]
            grid = self._grid(block, block_starts)
            rows = zip(grid, map(len, block), block_starts.tolist(), self._best_shifts(grid), strict=True)
            found += [self._place_pieces(*row) for row in rows]
        return found

    def _grid(self, sequences: Sequence[np.ndarray], starts: np.ndarray) -> np.ndarray:
        """Codes by coordinate, including those before and after the frame, -1 elsewhere: `[n, coordinates + shifts]`.

        Column `c + s` has the base that shift `s` of `_NUM_SHIFTS` moves to coordinate `c`.
        """
        width = len(self._scores) + _NUM_SHIFTS - 1
        grid = np.full((len(sequences), width), -1, np.int8)
        for row, codes, origin in zip(grid, sequences, (starts + MAX_SHIFT).tolist(), strict=True):
            first, end = max(origin, 0), min(origin + len(codes), width)
            if first < end:
                row[first:end] = codes[first - origin : end - origin]
        return grid

    def _best_shifts(self, grid: np.ndarray) -> np.ndarray:
        """The shift of each block, `[n, blocks]`, with which sequences fit best, by the algorithm of Viterbi (1967)."""
        num_rows = len(grid)
        codes = np.where(grid < 0, 4, grid).astype(np.intp)
        pairs = 5 * codes[:, :-1] + codes[:, 1:]
        table, offsets = self._pair_scores.ravel(), np.arange(0, self._pair_scores.size, 25)
        scores = np.empty((self._num_blocks, num_rows, _NUM_SHIFTS), np.float32)
        for shift in range(_NUM_SHIFTS):
            sums = table.take(pairs[:, shift : shift + len(self._scores) : 2] + offsets)
            while sums.shape[1] > self._num_blocks:
                sums = sums[:, ::2] + sums[:, 1::2]
            scores[:, :, shift] = sums.T
        previous = np.empty(scores.shape, np.int8)
        total = np.zeros((num_rows, _NUM_SHIFTS), np.float32)
        same, rows = np.arange(_NUM_SHIFTS, dtype=np.int8), np.arange(num_rows)
        for number, block_scores in enumerate(scores):
            best = total.argmax(axis=1)
            changed = (total[rows, best] - COST)[:, None]
            previous[number] = np.where(total >= changed, same, best[:, None])
            total = np.maximum(total, changed) + block_scores
        shifts = np.empty((num_rows, self._num_blocks), np.int64)
        shifts[:, -1] = total.argmax(axis=1)
        for number in range(self._num_blocks - 1, 0, -1):
            shifts[:, number - 1] = previous[number, rows, shifts[:, number]]
        return shifts

    def _place_pieces(
        self, grid: np.ndarray, num_bases: int, start: int, shifts: np.ndarray
    ) -> tuple[int, tuple[UnplacedPart, ...]]:
        """As `find` for one sequence, of which the row of the grid and the shifts of all blocks are given."""
        first = max(start - MAX_SHIFT, 0) // _BLOCK
        last = -(-min(start + num_bases + MAX_SHIFT, self._length) // _BLOCK)
        breaks = (np.flatnonzero(np.diff(shifts[first:last])) + first + 1).tolist()
        coordinates = np.arange(len(self._scores))
        pieces = [int(shifts[number]) for number in (first, *breaks)]
        sums = {
            shift: np.concatenate([[0], self._scores[coordinates, grid[shift : shift + len(coordinates)]].cumsum()])
            for shift in set(pieces)
        }
        origin = start + MAX_SHIFT  # coordinate of the first base at shift 0
        begin, end = max(origin - pieces[0], 0), min(origin - pieces[-1] + num_bases, self._length)

        def score(shift: int, from_coordinate: int, to_coordinate: int) -> float:
            return float(sums[shift][to_coordinate] - sums[shift][from_coordinate])

        while breaks and score(pieces[0], begin, breaks[0] * _BLOCK) < MIN_END:
            del breaks[0], pieces[0]
            begin = max(origin - pieces[0], 0)
        while breaks and score(pieces[-1], breaks[-1] * _BLOCK, end) < MIN_END:
            del breaks[-1], pieces[-1]
            end = min(origin - pieces[-1] + num_bases, self._length)
        first_base, num_compared, total, parts = origin - pieces[0], end - begin, 0.0, []
        limits = [number * _BLOCK for number in breaks] + [end]
        for number, (shift, near) in enumerate(zip(pieces, limits, strict=True)):
            piece_end, next_begin, following = end, end, shift
            if number < len(breaks):
                following, limit = pieces[number + 1], limits[number + 1]
                num_deleted = max(shift - following, 0)
                ends = np.arange(max(near - REACH, begin), min(near + REACH, limit - num_deleted) + 1)
                if not len(ends):
                    return start, ()
                scores = sums[shift][ends] - sums[following][ends + num_deleted]
                possible = ends[scores >= scores.max() - AMBIGUITY]
                piece_end, next_begin = int(possible[0]), int(possible[-1]) + num_deleted
            for left, right in _misfits(sums[shift][begin : piece_end + 1]):
                first_part = begin + left - origin + shift
                parts.append(UnplacedPart(first_part, first_part + right - left, right - left))
            total += score(shift, begin, piece_end)
            if number < len(breaks):
                parts.append(
                    UnplacedPart(piece_end - origin + shift, next_begin - origin + following, next_begin - piece_end)
                )
            begin = next_begin
        total -= COST * len(breaks)
        return (first_base, tuple(parts)) if total >= MIN_MEAN * num_compared else (start, ())


def _misfits(sums: np.ndarray) -> list[tuple[int, int]]:
    """The parts of a piece, of given cumulative scores, in which the score falls by more than `MISFIT`."""
    found: list[tuple[int, int]] = []
    begin = 0
    while True:
        rest = sums[begin:]
        falls = np.maximum.accumulate(rest) - rest
        if not len(rest) or falls.max() <= MISFIT:
            return found
        low = int((falls > MISFIT).argmax())
        left = int(rest[: low + 1].argmax())
        # Until it rises by as much again.
        rises = rest[left:] - np.minimum.accumulate(rest[left:])
        right = left + (int((rises > MISFIT).argmax()) if rises.max() > MISFIT else len(rises) - 1)
        right = left + int(rest[left : right + 1].argmin())
        found.append((begin + left, begin + right))
        begin += right


def all_placed(n: int) -> np.ndarray:
    """Objects `[n]`: for each sequence an empty tuple, no unplaced part."""
    unplaced = np.empty(n, object)
    unplaced.fill(())
    return unplaced


def leave_out_unplaced(text: str, parts: Sequence[UnplacedPart]) -> str:
    """The text with an `N` at each coordinate of unplaced parts, instead of their bases.

    Args:
        text: a sequence as read on its strand, gaps and white space removed.
        parts: as from `IndelFinder.find`.
    """
    pieces, position = [], 0
    for part in parts:
        pieces += [text[position : part.begin], "N" * part.length]
        position = part.end
    return "".join(pieces) + text[position:]


def original_positions(num_bases: int, parts: Sequence[UnplacedPart]) -> np.ndarray:
    """The base of a sequence from which each character of `leave_out_unplaced` comes.

    Args:
        num_bases: of the sequence.
        parts: as from `IndelFinder.find`.

    Returns:
        int64 `[characters]`, from 0; for an `N`, a base of the unplaced part, or the next one if it has none.
    """
    pieces, position = [], 0
    for part in parts:
        unknown = np.arange(part.begin, part.begin + part.length)
        pieces += [np.arange(position, part.begin), np.clip(unknown, None, max(part.end, part.begin + 1) - 1)]
        position = part.end
    return np.minimum(np.concatenate([*pieces, np.arange(position, num_bases)]), num_bases - 1)


def _sums_of_adjacent(counts: np.ndarray, num_columns: int) -> np.ndarray:
    """Sums of so many adjacent columns, `[n, sums]`; of all, if there are fewer."""
    num_columns = min(num_columns, counts.shape[1])
    width = counts.shape[1] - num_columns + 1
    total = counts[:, :width].copy()
    for offset in range(1, num_columns):
        total += counts[:, offset : offset + width]
    return total
