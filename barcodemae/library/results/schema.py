"""What identification says of a query: one row, in one schema, whatever the file that it is written to."""

import pyarrow as pa

from barcodemae.data.schema import RANKS

NOVEL = "novel"
"""The call of a barcode of the marker of which the library holds no relative that evidence carries."""

UNRELIABLE = "unreliable"
"""The call of what is no barcode of the marker, or too little of one; `reason` says why."""

CALLS = (*RANKS, NOVEL, UNRELIABLE)

HIT = pa.struct(
    [
        pa.field("id", pa.string()),
        *(pa.field(rank, pa.string()) for rank in RANKS),
        # Cosine of both vectors, and the share of equal bases on the reference frame, which knows no gaps.
        pa.field("similarity", pa.float32()),
        pa.field("frame_identity", pa.float32()),
        # As `alignment.Alignment` has them; null where the two were not aligned.
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
        # One of CALLS: the lowest rank that the evidence carries, and the name there ("" with NOVEL and UNRELIABLE).
        pa.field("call", pa.string()),
        pa.field("name", pa.string()),
        pa.field("reason", pa.string()),
        # At every rank the most likely name, and the probability that it is right; "" and null with UNRELIABLE.
        *(
            field
            for rank in RANKS
            for field in (pa.field(rank, pa.string()), pa.field(f"{rank}_confidence", pa.float32()))
        ),
        # Probability that the library does not hold the species; null with UNRELIABLE.
        pa.field("novelty", pa.float32()),
        # Where the query lies on the reference frame: its strand, first coordinate (from 1), bases that were read.
        pa.field("strand", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("bases", pa.int32()),
        # Nearest first; none with UNRELIABLE.
        pa.field("hits", pa.list_(HIT)),
    ]
)
"""A query each, in the order of the file."""
