"""Tables of what is doubtful: in a library, one row for each finding on a record or name; in queries, one for each
finding on a sequence."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import RANKS
from barcodemae.library.checking.chimeras import find_chimeras
from barcodemae.library.checking.labels import find_suspects
from barcodemae.library.checking.names import find_doubtful_names
from barcodemae.library.checking.notes import describe_sequences
from barcodemae.library.models import Embedder
from barcodemae.library.search.evidence import RankNames
from barcodemae.library.search.marker import OnMarker, marker_of, why_unusable
from barcodemae.library.store.stored import StoredLibrary

LIBRARY_FINDINGS = pa.schema(
    [
        # A reason of `checking.labels` or `checking.names`, or READING.
        pa.field("reason", pa.string()),
        # Of the record, or the first record with the name.
        pa.field("id", pa.string()),
        pa.field("rank", pa.string()),
        pa.field("name", pa.string()),
        # Names that contradict it, and the record that they were found by, if it is one.
        pa.field("other_names", pa.string()),
        pa.field("other_id", pa.string()),
        # With that record, and with the nearest of the own species or genus.
        pa.field("identity", pa.float32()),
        pa.field("own_identity", pa.float32()),
        pa.field("evidence", pa.string()),
        # "in use", or "removed" for a record that the library no longer uses.
        pa.field("status", pa.string()),
    ]
)

SEQUENCE_FINDINGS = pa.schema(
    [
        # READING, CHIMERA or UNUSABLE.
        pa.field("reason", pa.string()),
        pa.field("id", pa.string()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("evidence", pa.string()),
    ]
)

TEXTS_FROM_FILES = ("id", "name", "other_names", "other_id", "file", "evidence")
"""Columns of both tables whose text is from the user's files."""

READING, CHIMERA, UNUSABLE = "reading frame", "chimera", "not a usable barcode"

_BLOCK_RECORDS = 4096


def check_library(library: StoredLibrary, embedder: Embedder) -> pa.Table:
    """Check labels, names and sequences of a library.

    Args:
        library: to check.
        embedder: the model that made its vectors.

    Returns:
        A table of `LIBRARY_FINDINGS`: first suspected labels, then sequences, then names.
    """
    names = library.names()
    ids = names["id"]
    removed = set(library.removed.tolist())
    rows: list[dict[str, Any]] = []

    def add(record: int, **found: Any) -> None:
        rows.append(found | {"id": ids[record].as_py(), "status": "removed" if record in removed else "in use"})

    for suspect in find_suspects(library):
        own, other = (_name(names, record) for record in (suspect.record, suspect.other))
        add(
            suspect.record,
            reason=suspect.reason,
            rank=own[0],
            name=own[1],
            other_names=other[1],
            other_id=ids[suspect.other].as_py(),
            identity=suspect.identity,
            own_identity=suspect.own_identity,
            evidence=f"identity {suspect.identity:.1%} with {other[1]}, {suspect.own_identity:.1%} with its own taxon",
        )
    marker = marker_of(embedder)
    for begin in range(0, len(library.live), _BLOCK_RECORDS):
        records = library.live[begin : begin + _BLOCK_RECORDS]
        read = marker.read(library.nucleotides(records))
        found = describe_sequences(read, embedder.frame, names.take(pa.array(records)))
        for row, evidence in enumerate(found):
            if evidence:
                rank, name = _name(names, int(records[row]))
                add(int(records[row]), reason=READING, rank=rank, name=name, evidence=evidence)
    for finding in find_doubtful_names(library):
        add(
            finding.record,
            reason=finding.reason,
            rank=finding.rank,
            name=finding.name,
            other_names="; ".join(finding.others),
            evidence=finding.evidence,
        )
    return pa.Table.from_pylist(rows, LIBRARY_FINDINGS)


class SequenceChecker:
    """Checks sequences, some thousand at a time.

    Args:
        embedder: of the marker.
        library: with the references that chimeras may be of; without one, they are not looked for.
    """

    def __init__(self, embedder: Embedder, library: StoredLibrary | None = None):
        self._embedder, self._library = embedder, library
        if library is not None:
            self._names = library.names()
            self._genus = RankNames(self._names["genus"]).numbers

    def __call__(self, records: pa.Table) -> pa.Table:
        """Check records.

        Args:
            records: of `data.schema.SCHEMA`, as read; phylum and class, where known, decide the genetic code.

        Returns:
            A table of `SEQUENCE_FINDINGS`, in the order of the records.
        """
        marker = marker_of(self._embedder)
        read = marker.read(normalise_nucleotides(records["nucleotides"]).to_pylist())
        unusable = why_unusable(records["problem"], read, marker.name)
        usable = np.flatnonzero(unusable == "")
        found = [(int(row), UNUSABLE, str(unusable[row])) for row in np.flatnonzero(unusable != "")]
        barcodes = read.take(usable)
        notes = describe_sequences(barcodes, self._embedder.frame, records.take(pa.array(usable)))
        found += [(int(usable[row]), READING, evidence) for row, evidence in enumerate(notes) if evidence]
        found += [(int(usable[row]), CHIMERA, evidence) for row, evidence in self._chimeras(barcodes)]
        found.sort()
        where = records.select(["id", "file", "line"]).take(pa.array([row for row, _, _ in found], pa.int64()))
        rows = [
            row | {"reason": reason, "evidence": evidence}
            for row, (_, reason, evidence) in zip(where.to_pylist(), found, strict=True)
        ]
        return pa.Table.from_pylist(rows, SEQUENCE_FINDINGS)

    def _chimeras(self, barcodes: OnMarker) -> Iterator[tuple[int, str]]:
        """Row and evidence of each probable chimera."""
        if self._library is None:
            return
        for one in find_chimeras(self._library, self._genus, self._embedder, barcodes):
            parents = " and ".join(_name(self._names, record)[1] for record in (one.first, one.second))
            yield (
                one.query,
                f"identity {one.identity:.1%} with parts of {parents}, joined at base {one.coordinate + 1} of the "
                f"marker; {one.best_identity:.1%} with the nearest reference",
            )


def count_reasons(findings: pa.Table) -> str:
    """The numbers of findings by reason, in words."""
    counts = Counter(findings["reason"].to_pylist())
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "nothing"


def _name(names: pa.Table, record: int) -> tuple[str, str]:
    """The lowest rank at which a record is named, and the name; both "" if there is none."""
    for rank in reversed(RANKS):
        if name := names[rank][record].as_py():
            return rank, name
    return "", ""
