"""Results of identification, made by hand."""

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import BEST, CALLS, CONFIDENCE, HIT, RESULTS

MOTH = dict(
    zip(RANKS, ("Arthropoda", "Insecta", "Lepidoptera", "Noctuidae", "Agrotis", "Agrotis ipsilon"), strict=True)
)
"""A query or reference whose names are all known."""


def hit(**values: Any) -> dict[str, Any]:
    """A hit without names and alignment, except the values given."""
    return (
        {field.name: None for field in HIT}
        | {"id": "r1", "similarity": 0.5}
        | dict.fromkeys((*RANKS, "bin"), "")
        | values
    )


def result(**values: Any) -> dict[str, Any]:
    """A result for a placed query without names, except the values given."""
    placed = {"id": "q1", "call": "novel", "strand": "+", "start": 1, "bases": 658, "indels": 0, "size": 1, "hits": []}
    texts = dict.fromkeys(
        ("name", "reason", "marker", "notes", "file", "sample", *RANKS, *(f"{BEST}{rank}" for rank in RANKS)), ""
    )
    return {field.name: None for field in RESULTS} | texts | placed | values


def moth(call: str = "species", **values: Any) -> dict[str, Any]:
    """A result that names a moth down to a rank: confidence 1, 0.99, 0.98 and so on from rank to rank."""
    names = MOTH | {rank: value for rank, value in values.items() if rank in RANKS}
    confidences = {rank: 1 - depth / 100 for depth, rank in enumerate(RANKS)}
    called = RANKS[: RANKS.index(call) + 1] if call in RANKS else ()
    record = {"call": call, "novelty": 0.05}
    if called:
        record |= {"name": names[call], "confidence": confidences[call]}
    for prefix, ranks in (("", called), (BEST, RANKS)):
        for rank in ranks:
            is_known = names[rank] != ""
            record |= {
                f"{prefix}{rank}": names[rank],
                f"{prefix}{rank}{CONFIDENCE}": confidences[rank] if is_known else None,
            }
    return result(**(record | values))


def table(*records: dict[str, Any]) -> pa.Table:
    """Results as identification returns them."""
    return pa.Table.from_pylist(list(records), schema=RESULTS)


# Everything that UTF-8 can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shares = st.none() | st.floats(0, 1, width=32) | st.just(float("nan"))
hits = st.fixed_dictionaries(
    {field.name: st.none() | st.integers(1, 700) for field in HIT}
    | {"id": texts, "bin": texts, "similarity": shares, "frame_identity": shares, "identity": shares}
    | {"evalue": shares, "bitscore": shares}
    | dict.fromkeys(RANKS, texts)
)
_PREFIXED = [f"{prefix}{rank}" for prefix in ("", BEST) for rank in RANKS]
results = st.fixed_dictionaries(
    {"id": texts, "call": st.sampled_from(CALLS), "name": texts, "reason": texts, "confidence": shares}
    | dict.fromkeys(_PREFIXED, texts)
    | {f"{name}{CONFIDENCE}": shares for name in _PREFIXED}
    | {"novelty": shares, "strand": st.sampled_from(["+", "-", ""]), "notes": texts, "file": texts, "sample": texts}
    | dict.fromkeys(["start", "bases", "indels", "query_start", "query_end"], st.none() | st.integers(0, 700))
    | {"size": st.integers(1, 10**15)}
    | {"hits": st.lists(hits, max_size=3)}
)
tables = st.lists(results, max_size=4).map(lambda records: table(*records))
"""Results with arbitrary text wherever text comes from a file."""
