"""Results of identification, made by hand."""

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import CALLS, HIT, RESULTS

MOTH = dict(
    zip(RANKS, ("Arthropoda", "Insecta", "Lepidoptera", "Noctuidae", "Agrotis", "Agrotis ipsilon"), strict=True)
)
"""A query or reference whose names are all known."""


def hit(**values: Any) -> dict[str, Any]:
    """A hit without names and alignment, except the values given."""
    return {field.name: None for field in HIT} | {"id": "r1", "similarity": 0.5} | dict.fromkeys(RANKS, "") | values


def result(**values: Any) -> dict[str, Any]:
    """A result for a placed query without names, except the values given."""
    placed = {
        "id": "q1",
        "call": "novel",
        "name": "",
        "reason": "",
        "strand": "+",
        "start": 1,
        "bases": 658,
        "indels": 0,
    }
    record = {field.name: None for field in RESULTS} | placed | dict.fromkeys(RANKS, "") | {"hits": []}
    return record | values


def moth(**values: Any) -> dict[str, Any]:
    """A result that names a species: confidence 1, 0.99, 0.98 and so on from rank to rank."""
    confidences = {f"{rank}_confidence": 1 - depth / 100 for depth, rank in enumerate(RANKS)}
    return result(call="species", name=MOTH["species"], novelty=0.05, **MOTH, **confidences) | values


def table(*records: dict[str, Any]) -> pa.Table:
    """Results as identification returns them."""
    return pa.Table.from_pylist(list(records), schema=RESULTS)


# Everything that UTF-8 can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shares = st.none() | st.floats(0, 1, width=32) | st.just(float("nan"))
hits = st.fixed_dictionaries(
    {field.name: st.none() | st.integers(1, 700) for field in HIT}
    | {"id": texts, "similarity": shares, "frame_identity": shares, "identity": shares}
    | dict.fromkeys(RANKS, texts)
)
results = st.fixed_dictionaries(
    {"id": texts, "call": st.sampled_from(CALLS), "name": texts, "reason": texts}
    | dict.fromkeys(RANKS, texts)
    | {f"{rank}_confidence": shares for rank in RANKS}
    | {"novelty": shares, "strand": st.sampled_from(["+", "-", ""])}
    | dict.fromkeys(["start", "bases", "indels"], st.none() | st.integers(0, 700))
    | {"hits": st.lists(hits, max_size=3)}
)
tables = st.lists(results, max_size=4).map(lambda records: table(*records))
"""Results with arbitrary text wherever text comes from a file."""
