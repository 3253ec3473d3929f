"""The schema of results: one row for each query, the same for all file formats."""

import pyarrow as pa

from barcodemae.data.schema import RANKS

NOVEL = "novel"
"""The call of a barcode of the marker for which no rank reaches the minimum confidence."""

UNRELIABLE = "unreliable"
"""The call of a record that is not a barcode of the marker, or too short a part of one; `reason` says why."""

CALLS = (*RANKS, NOVEL, UNRELIABLE)

BEST = "best_"
"""Prefix of the columns with the most probable name of a rank, whatever the call, and its confidence."""

CONFIDENCE = "_confidence"
"""Suffix of the column with the confidence of a rank's name."""

HIT = pa.struct(
    [
        pa.field("id", pa.string()),
        *(pa.field(rank, pa.string()) for rank in RANKS),
        pa.field("bin", pa.string()),
        # Cosine of the two vectors, and share of equal bases on the reference frame, which has no gaps.
        pa.field("similarity", pa.float32()),
        pa.field("frame_identity", pa.float32()),
        # As in `alignment.Alignment`; null where the two were not aligned.
        pa.field("identity", pa.float32()),
        pa.field("columns", pa.int32()),
        pa.field("mismatches", pa.int32()),
        pa.field("gap_openings", pa.int32()),
        pa.field("query_start", pa.int32()),
        pa.field("query_end", pa.int32()),
        pa.field("reference_start", pa.int32()),
        pa.field("reference_end", pa.int32()),
        # As from `alignment.bit_score` and `alignment.expected_value`; null where the two were not aligned.
        pa.field("evalue", pa.float64()),
        pa.field("bitscore", pa.float64()),
    ]
)
"""A reference near a query: its names and BIN ("" where unknown), and how near it is."""


def _names_of_ranks(prefix: str = "") -> list[pa.Field]:
    return [
        field
        for rank in RANKS
        for field in (
            pa.field(f"{prefix}{rank}", pa.string()),
            pa.field(f"{prefix}{rank}{CONFIDENCE}", pa.float32()),
        )
    ]


RESULTS = pa.schema(
    [
        pa.field("id", pa.string()),
        # One of CALLS: the lowest rank with the minimum confidence, the name there, and the probability that it is
        # right; "" and null for NOVEL and UNRELIABLE.
        pa.field("call", pa.string()),
        pa.field("name", pa.string()),
        pa.field("confidence", pa.float32()),
        pa.field("reason", pa.string()),
        # The lineage of that name and the probability of each of its names; "" and null below the called rank, and
        # where the references have no name.
        *_names_of_ranks(),
        # The marker of the library that identified it; "" for UNRELIABLE.
        pa.field("marker", pa.string()),
        # Probability that the species is not in the library; null for UNRELIABLE, and where the nearest reference has
        # no species.
        pa.field("novelty", pa.float32()),
        # The query's position on the reference frame: strand, first coordinate (from 1), number of known bases, and of
        # insertions and deletions.
        pa.field("strand", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("bases", pa.int32()),
        pa.field("indels", pa.int32()),
        # Positions in the query as given, from 1, without gaps and terminal Ns, of first and last base of the marker:
        # start is greater than end on strand "-", and where the marker lies over the ends of a circular query.
        pa.field("query_start", pa.int32()),
        pa.field("query_end", pa.int32()),
        # Faults of its sequence, and whether the nearest barcode is of several species, in words.
        pa.field("notes", pa.string()),
        # Where it is from: its file, and by an annotation of its id the number of reads (1 without) and the sample.
        pa.field("file", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("sample", pa.string()),
        # At every rank the most probable name, whatever the call, and the probability that it is right; "" and null
        # where the references have no name.
        *_names_of_ranks(BEST),
        # Nearest first, by identity; none for UNRELIABLE.
        pa.field("hits", pa.list_(HIT)),
    ]
)
"""One row for each query, in the order of the file."""
