"""The schema of results: one row for each query, the same for all file formats."""

import pyarrow as pa

from barcodemae.data.schema import RANKS

NOVEL = "novel"
"""The call of a barcode of the marker for which no rank reaches the minimum confidence."""

UNRELIABLE = "unreliable"
"""The call of a record that is not a barcode of the marker, or too short a part of one; `reason` says why."""

CALLS = (*RANKS, NOVEL, UNRELIABLE)

HIT = pa.struct(
    [
        pa.field("id", pa.string()),
        *(pa.field(rank, pa.string()) for rank in RANKS),
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
    ]
)
"""A reference near a query: its names ("" where unknown), and how near it is."""

RESULTS = pa.schema(
    [
        pa.field("id", pa.string()),
        # One of CALLS: the lowest rank with the minimum confidence, and the name there ("" for NOVEL and UNRELIABLE).
        pa.field("call", pa.string()),
        pa.field("name", pa.string()),
        pa.field("reason", pa.string()),
        # At every rank the most probable name, and the probability that it is right; "" and null for UNRELIABLE.
        *(
            field
            for rank in RANKS
            for field in (pa.field(rank, pa.string()), pa.field(f"{rank}_confidence", pa.float32()))
        ),
        # Probability that the species is not in the library; null for UNRELIABLE.
        pa.field("novelty", pa.float32()),
        # The query's position on the reference frame: strand, first coordinate (from 1), number of known bases, and of
        # insertions and deletions.
        pa.field("strand", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("bases", pa.int32()),
        pa.field("indels", pa.int32()),
        # Nearest first; none for UNRELIABLE.
        pa.field("hits", pa.list_(HIT)),
    ]
)
"""One row for each query, in the order of the file."""
