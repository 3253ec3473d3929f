"""Places a barcode on its marker by a cross-correlation with the marker's profile, and the pieces between indels."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

try:
    from scipy.fft import irfft, next_fast_len, rfft
except ImportError:  # not required to load a tokenizer from the Hub; the rounded sums below are the same
    from numpy.fft import irfft, rfft

    def next_fast_len(target: int, real: bool = False) -> int:
        return 1 << (target - 1).bit_length()


from .indels import IndelFinder, all_placed
from .sequences import UNKNOWN, Block, SequenceReader, Sequences, base_codes

_ALPHABET = "ACGT"
_CODES = base_codes(_ALPHABET)

# In an alignment, gaps have a code of their own.
_GAP = 0x81
_ALIGNED_CODES = base_codes(_ALPHABET).translate(bytes(_GAP if code == 0xFF else code for code in range(256)))

# Each base is a corner of a tetrahedron: equal bases have inner product 3, different ones -1, and an unknown base (all
# zeros) has 0 with any other. Three channels thus suffice, where one-hot bases and a centred profile need four. The
# numbers of complementary bases differ in the sign of the first two.
_TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.int8)
_SIGNALS = [base_signal.tobytes() + bytes(252) for base_signal in _TETRAHEDRON.T]
_COMPLEMENT_SIGNS = np.array([-1, -1, 1], np.float32)

# Profile weights are integers, and so are correlations: rounding removes the numerical error of the FFT, and a
# placement is the same in every batch.
WEIGHT_SCALE = 256

# The minimum score is calibrated on short segments, which are the hardest to distinguish from random sequences.
_CALIBRATION_LENGTH = 100
_CALIBRATION_ROWS = 5000

_READ_ROWS = 4096
# An FFT batch of this many bases, including the frame, fits the processor's cache.
_BATCH_BASES = 1 << 16
# A longer sequence is correlated window by window.
_WINDOW_BASES = 1 << 16


class Placement(NamedTuple):
    """The placement of sequences on a reference frame.

    Attributes:
        start: int64 `[n]`, frame coordinate of the first base of the sequence as read on its strand, gaps and white
            space removed; negative if the sequence begins before the frame, for instance with a primer.
        strand: int8 `[n]`, +1 as given, -1 reverse complement.
        score: float32 `[n]`, see `ReferenceFrame.place`.
        unplaced: objects `[n]`, a tuple of `UnplacedPart` for each sequence, in their order there; empty for most.
    """

    start: np.ndarray
    strand: np.ndarray
    score: np.ndarray
    unplaced: np.ndarray

    @classmethod
    def in_one_piece(cls, start: np.ndarray) -> "Placement":
        """The placement of sequences that are read along the frame, with score 0."""
        n = len(start)
        return cls(start, np.ones(n, np.int8), np.zeros(n, np.float32), all_placed(n))

    @property
    def num_indels(self) -> np.ndarray:
        """Number of insertions and deletions, int64 `[n]`."""
        counts = np.zeros(len(self.unplaced), np.int64)
        for row in np.flatnonzero(self.unplaced.astype(bool)):
            counts[row] = sum(part.is_indel for part in self.unplaced[row])
        return counts

    def take(self, rows: np.ndarray | slice) -> "Placement":
        return Placement(*(values[rows] for values in self))


class ReferenceFrame:
    """The profile of a marker, on which sequences are placed.

    Args:
        profile: `[length, 4]`, frequencies of A, C, G and T at each coordinate.
        min_score: minimum score of a sequence that is accepted as the marker.
        marker: name of the marker.

    Attributes:
        profile: float32 `[length, 4]`.
        length: nucleotides of the frame.
        min_score: as given.
        marker: as given.

    Raises:
        ValueError: the profile has another shape, or values that are not frequencies.

    Examples:
        >>> from tokenization_barcodemae import ReferenceFrame, reverse_complement
        >>> from barcodemae.data import read_records
        >>> barcode = read_records("sample")["nucleotides"][0].as_py()
        >>> frame = ReferenceFrame.coi()
        >>> placement = frame.place([barcode, barcode[100:], reverse_complement(barcode[100:])])
        >>> placement.start, placement.strand
        (array([ 52, 152, 152]), array([ 1,  1, -1], dtype=int8))
    """

    def __init__(self, profile: np.ndarray, min_score: float, marker: str = ""):
        profile = np.asarray(profile, np.float32)
        if profile.ndim != 2 or profile.shape[1] != 4 or len(profile) == 0:
            raise ValueError(f"expected a profile [length, 4], not {list(profile.shape)}")
        if not (np.all(profile >= 0) and np.all(profile.sum(1) <= 1 + 1e-4)):
            raise ValueError("expected a profile of frequencies: not below 0, at most 1 in sum at each coordinate")
        self.profile = profile
        self.length = len(profile)
        self.min_score = float(min_score)
        self.marker = marker
        signal = np.rint(profile @ _TETRAHEDRON.astype(np.float32) * WEIGHT_SCALE)
        self._signal = signal.T
        self._indel_finder = IndelFinder(profile)
        # The weight of each base at each coordinate. Cumulative sums of weights, and of their products, give mean and
        # variance for random bases on any interval of the frame.
        weights = signal.astype(np.float64) @ _TETRAHEDRON.T
        products = np.einsum("la,lb->lab", weights, weights)
        self._weight_sums = [
            np.concatenate([np.zeros_like(terms[:1]), np.cumsum(terms, axis=0)]) for terms in (weights, products)
        ]

    @classmethod
    def from_sequences(cls, sequences: Sequences, length: int | None = None, marker: str = "") -> "ReferenceFrame":
        """Build a frame from barcodes that cover exactly the region of the marker, on the coding strand.

        The profile consists of the base frequencies of the barcodes of one length; others are left out. `min_score` is
        calibrated on segments of these barcodes (100 bases, or all if they have fewer): halfway between the score that
        99.9 % of them exceed and the maximum score of the same segments with shuffled bases. Equal barcodes give equal
        frames.

        Args:
            sequences: strings, or an Arrow column of strings.
            length: nucleotides of the region; by default the most frequent length.
            marker: name of the marker.

        Raises:
            ValueError: no barcode has that length.
        """
        barcodes = _equally_long(SequenceReader(sequences), length)
        profile = np.stack([(barcodes == code).mean(0) for code in range(4)], axis=1)
        return cls(profile, min_score=0, marker=marker)._calibrated(barcodes)

    @classmethod
    def from_alignment(cls, rows: Sequence[str], marker: str = "") -> "ReferenceFrame":
        """Build a frame from aligned sequences of a marker with a few insertions and deletions, on the coding strand.

        The coordinates are those columns of the alignment in which at least half of the sequences have a base; columns
        before the first or after the last base of a sequence do not count. `min_score` is calibrated as in
        `from_sequences`.

        Args:
            rows: aligned sequences of equal length, with `-` or `.` for gaps.
            marker: name of the marker.

        Raises:
            ValueError: the rows are not equally long, or have no bases.
        """
        aligned, is_covered = _aligned(rows)
        is_base = is_covered & (aligned != _GAP)
        is_coordinate = 2 * is_base.sum(axis=0) >= np.maximum(is_covered.sum(axis=0), 1)
        barcodes = np.where(is_base, aligned, UNKNOWN)[:, is_coordinate]
        num_covering = np.maximum(is_covered[:, is_coordinate].sum(axis=0), 1)
        profile = np.stack([(barcodes == code).sum(axis=0) / num_covering for code in range(4)], axis=1)
        return cls(profile, min_score=0, marker=marker)._calibrated(barcodes)

    @classmethod
    def from_profile(cls, profile: np.ndarray, sequences: Sequences, marker: str = "") -> "ReferenceFrame":
        """Build a frame from a profile, such as the match states of a hidden Markov model.

        `min_score` is calibrated as in `from_sequences`, on the sequences that agree better with the profile than any
        sequence with shuffled bases.

        Args:
            profile: `[length, 4]`, frequencies of A, C, G and T at each coordinate.
            sequences: of the marker, complete or partial, on either strand.
            marker: name of the marker.

        Raises:
            ValueError: the profile is not one of frequencies, or no sequence agrees with it.
        """
        frame = cls(profile, min_score=0, marker=marker)
        placement = frame.place(sequences)
        bases = [
            block.lay_out(placement.start[block.rows], placement.strand[block.rows], frame.length)
            for block in SequenceReader(sequences).blocks(_CODES, _READ_ROWS)
        ]
        barcodes = np.where((stacked := np.concatenate(bases)) < 0, UNKNOWN, stacked).astype(np.uint8)
        shuffled = np.random.default_rng(0).permuted(barcodes[:_CALIBRATION_ROWS], axis=1)
        agrees = placement.score > frame.place(_as_text(shuffled)).score.max(initial=0)
        if not agrees.any():
            raise ValueError(f"expected sequences that agree with the profile, found none among {len(agrees)}")
        return frame._calibrated(barcodes[agrees])

    def _calibrated(self, barcodes: np.ndarray) -> "ReferenceFrame":
        """This frame with a minimum score by segments of barcodes, and by the same segments with shuffled bases.

        Args:
            barcodes: codes `[n, length]`, `UNKNOWN` where a barcode has no base.
        """
        rng = np.random.default_rng(0)
        sampled = barcodes[np.linspace(0, len(barcodes) - 1, min(len(barcodes), _CALIBRATION_ROWS)).astype(int)]
        is_known = sampled != UNKNOWN
        first, last = is_known.argmax(axis=1), self.length - 1 - is_known[:, ::-1].argmax(axis=1)
        segment_length = min(_CALIBRATION_LENGTH, self.length)
        begins = rng.integers(first, np.maximum(last - segment_length + 1, first) + 1)
        begins = np.minimum(begins, self.length - segment_length)
        segments = np.take_along_axis(sampled, begins[:, None] + np.arange(segment_length), axis=1)
        genuine = self.place(_as_text(segments)).score
        shuffled = self.place(_as_text(rng.permuted(segments, axis=1))).score
        self.min_score = float(np.quantile(genuine, 0.001) + shuffled.max()) / 2
        return self

    @classmethod
    def coi(cls) -> "ReferenceFrame":
        """The 658-bp barcode region of cytochrome c oxidase I (COI-5P), from barcodes of arthropods."""
        return cls.load(Path(__file__).parent / "frames" / "coi.safetensors")

    @classmethod
    def load(cls, path: str | Path) -> "ReferenceFrame":
        """Read a frame that `save` wrote.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file does not contain a reference frame.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                min_score = file.get_tensor("min_score").item()
                return cls(file.get_tensor("profile"), min_score, file.metadata()["marker"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a reference frame in safetensors format: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the frame as safetensors: `profile` and `min_score`, and `marker` as metadata."""
        tensors = {"profile": self.profile, "min_score": np.array(self.min_score)}
        # Several entries of metadata would be written in random order: the same frame, but not the same file.
        Path(path).write_bytes(save(tensors, {"marker": self.marker}))

    def checksum(self) -> str:
        """SHA-256 of profile and minimum score."""
        return hashlib.sha256(self.profile.tobytes() + repr(self.min_score).encode()).hexdigest()

    def slots(self, k: int) -> int:
        """Number of adjacent k-mers on the frame."""
        return self.length // k

    def accepts(self, placement: Placement) -> np.ndarray:
        """Which of the placed sequences are accepted as the marker: bool `[n]`."""
        return placement.score >= self.min_score

    def place(self, sequences: Sequences) -> Placement:
        """Find start and strand at which each sequence agrees best with the profile, and its insertions and deletions.

        A sequence is first placed in one piece. If the frame accepts it, but some part differs from the conserved bases
        of the marker, its pieces are placed each, as far as they lie up to 15 bases from the others.

        Args:
            sequences: strings, or an Arrow column of strings. Lower case, RNA, gaps and white space are normalised;
                unknown bases contribute nothing.

        Returns:
            Start, strand, score and indels. The score is the number of standard deviations by which the agreement with
            the profile exceeds that of random bases of the same composition on the same interval of the frame. Scores
            are comparable between lengths: a random sequence reaches 2 to 5 at its best position, whether short or
            long. A sequence without known bases has start 0, strand +1 and score 0. The score is that of the sequence
            in one piece, also if there are indels.
        """
        reader = SequenceReader(sequences)
        n = len(reader)
        placement = Placement.in_one_piece(np.zeros(n, np.int64))
        for block in reader.blocks(_CODES, _READ_ROWS):
            signals = np.stack([np.frombuffer(block.codes.translate(table), np.int8) for table in _SIGNALS])
            lengths = np.diff(block.bounds)
            unknown = np.flatnonzero(np.frombuffer(block.codes, np.uint8) == UNKNOWN)
            num_known = lengths - np.diff(np.searchsorted(unknown, block.bounds))
            for batch in self._batches(lengths):
                pieces = [signals[:, block.bounds[row] : block.bounds[row + 1]] for row in batch]
                correlate = self._correlate if len(pieces) > 1 else self._correlate_in_windows
                starts, totals, sums = correlate(pieces)
                is_reverse = totals[:, 1] > totals[:, 0]
                strand = np.where(is_reverse, -1, 1)
                total = totals.max(axis=1)
                start = np.where(total > 0, np.where(is_reverse, starts[:, 1], starts[:, 0]), 0)
                counts = (num_known[batch, None] + sums @ _TETRAHEDRON.T) / 4
                rows = block.rows.start + batch
                placement.start[rows] = start
                placement.strand[rows] = strand
                placement.score[rows] = self._standardize(total, start, strand, lengths[batch], counts)
            self._place_pieces(block, placement.take(block.rows))
        return placement

    def _place_pieces(self, block: Block, placement: Placement) -> None:
        """Search sequences for indels, and correct their placement, which is a view of the block's rows."""
        bases = block.lay_out(placement.start, placement.strand, self.length)
        rows = np.flatnonzero(self.accepts(placement) & self._indel_finder.suspects(bases))
        sequences = [block.read(row, placement.strand[row]) for row in rows.tolist()]
        for row, (start, parts) in zip(rows, self._indel_finder.find(sequences, placement.start[rows]), strict=True):
            placement.start[row], placement.unplaced[row] = start, parts

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of similar length, because the longest one of a batch determines the size of its FFT."""
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            num_rows = max(1, _BATCH_BASES // int(lengths[order[0]] + self.length))
            yield order[:num_rows]
            order = order[num_rows:]

    def _correlate(
        self, signals: list[np.ndarray], allowed: list[tuple[float, float]] | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Correlate signals with the profile.

        Args:
            signals: `[n]` arrays `[3, length]`.
            allowed: for each strand, minimum and maximum start; only for signals of equal length.

        Returns:
            The best start on both strands and its sum of weights, each `[n, 2]`; and the sums of the signals `[n, 3]`.
        """
        lengths = np.array([signal.shape[1] for signal in signals])
        size = next_fast_len(int(lengths.max()) + self.length - 1, real=True)
        padded = np.zeros((len(signals), 3, size), np.float32)
        for row, signal in zip(padded, signals, strict=True):
            row[:, : signal.shape[1]] = signal
        spectra = rfft(padded)
        profile = rfft(self._signal, size)
        # Up to signs, the correlation of the reverse complement is the convolution of the sequence itself.
        strands = np.stack([profile.conj(), profile * _COMPLEMENT_SIGNS[:, None]])
        products = spectra[:, None, 0] * strands[:, 0]
        for channel in (1, 2):
            products += spectra[:, None, channel] * strands[:, channel]
        totals = irfft(products, size)
        np.rint(totals, out=totals)
        for strand, (minimum, maximum) in enumerate(allowed or ()):
            starts = _starts(np.arange(size), lengths[0], size)[strand]
            totals[:, strand, (starts < minimum) | (starts > maximum)] = -np.inf
        shifts = totals.argmax(axis=2)
        best = np.take_along_axis(totals, shifts[..., None], axis=2)[..., 0]
        forward, reverse = _starts(shifts, lengths[:, None], size)
        return np.stack([forward[:, 0], reverse[:, 1]], axis=1), best, np.rint(spectra[..., 0].real)

    def _correlate_in_windows(self, signals: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `_correlate` for one signal, in memory that does not grow with its length.

        Each window is tried at the starts at which it contains the complete overlap of signal and frame.
        """
        (signal,) = signals
        length, width = signal.shape[1], max(_WINDOW_BASES, 2 * self.length)
        starts, totals = np.zeros((1, 2), np.int64), np.full((1, 2), -np.inf, np.float32)
        for begin in range(0, max(length, 1), width - self.length + 1):
            end = min(begin + width, length)
            # The bases of the signal before and after the window, on each strand.
            before, after = (begin, length - end), (length - end, begin)
            allowed = [
                (self.length - (end - begin) if bases_after else -np.inf, 0 if bases_before else np.inf)
                for bases_before, bases_after in zip(before, after, strict=True)
            ]
            window_starts, best, _ = self._correlate([signal[:, begin:end]], allowed)
            starts = np.where(best > totals, window_starts - before, starts)
            totals = np.maximum(best, totals)
            if end == length:
                break
        return starts, totals, signal.sum(axis=1)[None]

    def _standardize(
        self,
        total: np.ndarray,
        start: np.ndarray,
        strand: np.ndarray,
        lengths: np.ndarray,
        counts: np.ndarray,
    ) -> np.ndarray:
        """Totals in standard deviations from the mean total of random bases with the composition `counts [n, 4]`."""
        shares = counts / np.maximum(lengths, 1)[:, None]
        shares = np.where(strand[:, None] > 0, shares, shares[:, ::-1])
        begin, end = np.clip([start, start + lengths], 0, self.length)
        weights, products = (sums[end] - sums[begin] for sums in self._weight_sums)
        mean = np.einsum("na,na->n", weights, shares)
        mean_square = np.einsum("naa,na->n", products, shares)
        square_mean = np.einsum("nab,na,nb->n", products, shares, shares)
        # Weights are integers: a variance below 1 is a rounding error.
        return (total - mean) / np.sqrt(np.maximum(mean_square - square_mean, 1))


def _starts(shifts: np.ndarray, lengths: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame coordinates of the first base, forward and reverse, for shifts in a correlation of length `size`."""
    # Positive starts are wrapped around the end of the FFT; a convolution is shifted by the length of the sequence.
    return np.where(shifts < lengths, -shifts, size - shifts), shifts - lengths + 1


def _equally_long(reader: SequenceReader, length: int | None) -> np.ndarray:
    """Base codes `[n, length]` of the sequences of that length, by default the most frequent one."""
    blocks = list(reader.blocks(_CODES, _READ_ROWS))
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(block.bounds) for block in blocks)])
    if length is None:
        length = int(np.bincount(lengths, minlength=1).argmax())
    if length < 1 or length not in lengths:
        wanted = f"of {length} nucleotides" if length else "that are not empty"
        raise ValueError(f"expected barcodes {wanted}, found none among {len(lengths)}")
    matrices = []
    for _, codes, bounds in blocks:
        begins = bounds[:-1][np.diff(bounds) == length]
        matrices.append(np.frombuffer(codes, np.uint8)[begins[:, None] + np.arange(length)])
    return np.concatenate(matrices)


def _aligned(rows: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of an alignment `[n, columns]`, and the columns from the first to the last base of each row, bool."""
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        found = f"{min(lengths)} to {max(lengths)}" if lengths else "none"
        raise ValueError(f"expected aligned sequences of equal length, gaps included, got lengths of {found}")
    text = "".join(rows).encode("ascii", "replace").translate(_ALIGNED_CODES)
    codes = np.frombuffer(text, np.uint8).reshape(len(rows), -1)
    is_base = codes != _GAP
    if not (codes < len(_ALPHABET)).any():
        raise ValueError("expected aligned sequences with bases, got none")
    is_covered = np.logical_or.accumulate(is_base, axis=1)
    is_covered &= np.logical_or.accumulate(is_base[:, ::-1], axis=1)[:, ::-1]
    return codes, is_covered


def _as_text(codes: np.ndarray) -> list[str]:
    bases = np.frombuffer(b"ACGTN", np.uint8)[np.minimum(codes, 4)]
    return [row.tobytes().decode() for row in bases]
