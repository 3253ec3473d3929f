"""Quality control: unusable records are dropped where they are read, counted and listed."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import STRING, TOO_LONG
from barcodemae.errors import BadRecordError, ConfigurationError

# Reasons to drop a record, in the order in which they are checked: a record has the first that applies.
REASONS = (
    "damaged",
    TOO_LONG,
    "all N",
    "without DNA",
    "too short",
    "too ambiguous",
    "duplicate",
    "too few known k-mers",
)
DAMAGED, LONG, ALL_N, WITHOUT_DNA, TOO_SHORT, TOO_AMBIGUOUS, DUPLICATE, TOO_FEW_KMERS = range(len(REASONS))
USABLE = -1

_DROPPED = pa.schema({"file": pa.dictionary(pa.int32(), pa.string()), "line": pa.int64(), "id": STRING, "why": STRING})

MAX_LISTED = 20

# 128 bits: the probability that two of five million different texts have the same digest is 4 in 10^26.
_DIGEST_BYTES = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """Numbers of records read and dropped; `str()` gives one line for the log.

    Attributes:
        num_read: number of records read.
        counts: reason -> number of dropped records, for the reasons that occurred, in the order of `REASONS`.
        dropped: columns `file, line, id, why`, one row per dropped record, in the order of reading. Duplicates are not
            errors, and there can be millions of them, so they are only counted.
    """

    num_read: int
    counts: dict[str, int]
    dropped: pa.Table

    @property
    def num_dropped(self) -> int:
        """Number of dropped records, including duplicates."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        text = f"read {self.num_read:,} records"
        if not self.counts:
            return text
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
        return f"{text}; dropped {self.num_dropped:,}: {reasons}"


def log_report(report: Report) -> None:
    """Log a report, with file and line of the first 20 records that were dropped as errors."""
    logger.info("%s", report)
    log_records(report.dropped, "why")
    if len(report.dropped) > MAX_LISTED:
        logger.warning("and %d more", len(report.dropped) - MAX_LISTED)


def log_records(records: pa.Table, reason: str) -> None:
    """Log file, line and id of the first 20 records, with the text of a column that says why."""
    for row in records.slice(0, MAX_LISTED).to_pylist():
        logger.warning("%s, line %d, record %r: %s", row["file"], row["line"], row["id"], row[reason])


class QualityFilter:
    """Normalises nucleotides and drops unusable records, table after table.

    A usable record is complete and not too long to be read, has an A, C, G or T, is long enough and not too ambiguous.
    Lengths and shares are of the normalised sequence (`normalise_nucleotides`).

    Args:
        min_length: minimum number of nucleotides.
        max_ambiguous: maximum share, 0 to 1, of characters other than A, C, G and T.
        drop_duplicates: whether to drop all but the first record of each sequence; a duplicate is not an error.
        on_error: "raise" to stop at an unusable record, "skip" to drop it.

    Raises:
        ConfigurationError: `on_error` is neither "raise" nor "skip".
    """

    def __init__(
        self,
        *,
        min_length: int = 1,
        max_ambiguous: float = 1.0,
        drop_duplicates: bool = True,
        on_error: str = "raise",
    ):
        if on_error not in ("raise", "skip"):
            raise ConfigurationError(f"expected on_error to be 'raise' or 'skip', got {on_error!r}")
        self._min_length = min_length
        self._max_ambiguous = max_ambiguous
        self._is_first = FirstSeen() if drop_duplicates else None
        self._on_error = on_error
        self._num_read = 0
        self._counts = np.zeros(len(REASONS), np.int64)
        self._dropped = [_DROPPED.empty_table()]

    @property
    def report(self) -> Report:
        """The report on all tables so far."""
        counts = {reason: int(count) for reason, count in zip(REASONS, self._counts, strict=True) if count}
        return Report(self._num_read, counts, pa.concat_tables(self._dropped).unify_dictionaries())

    def __call__(self, records: pa.Table) -> pa.Table:
        """The usable records of a table, in their order.

        Args:
            records: table of `schema.SCHEMA`.

        Raises:
            BadRecordError: a record is unusable, and `on_error` is "raise".
        """
        nucleotides = normalise_nucleotides(records["nucleotides"])
        length = pc.utf8_length(nucleotides).to_numpy()
        ambiguous = pc.count_substring_regex(nucleotides, "[^ACGT]").to_numpy()
        had_n = pc.match_substring(records["nucleotides"], "N", ignore_case=True).to_numpy()

        verdict = np.select(
            [
                pc.starts_with(records["problem"], TOO_LONG).to_numpy(),
                pc.not_equal(records["problem"], "").to_numpy(),
                (length == 0) & had_n,
                ambiguous == length,
                length < self._min_length,
                ambiguous > self._max_ambiguous * length,
            ],
            [LONG, DAMAGED, ALL_N, WITHOUT_DNA, TOO_SHORT, TOO_AMBIGUOUS],
            default=USABLE,
        )
        usable = np.flatnonzero(verdict == USABLE)
        if self._on_error == "raise" and len(usable) < len(records):
            row = int(np.argmax(verdict != USABLE))
            problems = {
                LONG: records["problem"][row].as_py(),
                DAMAGED: records["problem"][row].as_py(),
                ALL_N: "expected DNA, got only N",
                WITHOUT_DNA: "expected DNA, got no A, C, G or T",
                TOO_SHORT: f"expected at least {self._min_length} nucleotides, got {length[row]}",
                TOO_AMBIGUOUS: f"expected at most {self._max_ambiguous:.0%} of bases other than A, C, G and T, "
                f"got {ambiguous[row]} of {length[row]}",
            }
            file, record, line = (records[column][row].as_py() for column in ("file", "id", "line"))
            raise BadRecordError(file, record, problems[int(verdict[row])], line)
        if self._is_first is not None:
            verdict[usable[~self._is_first(nucleotides.take(usable).to_pylist())]] = DUPLICATE

        self._num_read += len(records)
        self.drop(records, verdict)
        column = records.column_names.index("nucleotides")
        return records.set_column(column, records.schema.field(column), nucleotides).filter(verdict == USABLE)

    def drop(self, records: pa.Table, verdict: np.ndarray) -> None:
        """Count and list records.

        Args:
            records: table of `schema.SCHEMA`.
            verdict: `[n]`, the index of a reason in `REASONS`, or `USABLE` for records that are not dropped.
        """
        self._counts += np.bincount(verdict[verdict != USABLE], minlength=len(REASONS))
        is_listed = (verdict != USABLE) & (verdict != DUPLICATE)
        if not is_listed.any():
            return
        listed = records.filter(is_listed)
        why = pa.array(REASONS, STRING).take(pa.array(verdict[is_listed]))
        explained = pc.binary_join_element_wise(why, listed["problem"], pa.scalar(": ", STRING))
        why = pc.if_else(pc.equal(listed["problem"], ""), why, explained)
        why = pc.if_else(pc.starts_with(listed["problem"], TOO_LONG), listed["problem"], why)
        listed = listed.select(["file", "line", "id"]).append_column("why", why)
        self._dropped.append(listed.cast(_DROPPED))


def filter_records(records: pa.Table, **options: Any) -> tuple[pa.Table, Report]:
    """Drop the unusable records of one table; see `QualityFilter` for the options.

    Returns:
        The usable records, in their order, and the report.

    Raises:
        BadRecordError: a record is unusable, and `on_error` is "raise", the default.
        ConfigurationError: `on_error` is neither "raise" nor "skip".

    Examples:
        >>> from barcodemae.data import filter_records, read_records
        >>> records, report = filter_records(read_records("sample"), min_length=600, on_error="skip")
        >>> print(report)
        read 18,104 records; dropped 14,193: 14,193 too short
    """
    quality_filter = QualityFilter(**options)
    return quality_filter(records), quality_filter.report


def normalise_nucleotides(nucleotides: pa.ChunkedArray) -> pa.ChunkedArray:
    """Normalise sequences: upper case, `T` for `U`, without gaps, white space and `N`s at the ends."""
    dna = pc.replace_substring(pc.ascii_upper(nucleotides), "U", "T")
    return pc.ascii_trim(pc.replace_substring_regex(dna, r"[-.\s]+", ""), "N")


class FirstSeen:
    """Finds duplicates among texts by 16 bytes of each, without storing the texts."""

    def __init__(self) -> None:
        # Sorted, after a first value that no text has.
        self._digests = np.zeros(1, f"S{_DIGEST_BYTES}")

    def __call__(self, texts: Iterable[str]) -> np.ndarray:
        """Whether each text occurs for the first time, in this and all earlier calls: bool `[n]`."""
        joined = b"".join(blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest() for text in texts)
        digests = np.frombuffer(joined, self._digests.dtype)
        distinct, rows = np.unique(digests, return_index=True)
        positions = np.searchsorted(self._digests, distinct)
        is_new = self._digests[np.minimum(positions, len(self._digests) - 1)] != distinct
        self._digests = np.insert(self._digests, positions[is_new], distinct[is_new])
        is_first = np.zeros(len(digests), bool)
        is_first[rows[is_new]] = True
        return is_first
