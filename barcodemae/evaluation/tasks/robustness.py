"""Robustness: is the genus of a damaged barcode still found among intact references?

The damage: sequencing errors, short reads, other frames and strands. The change of a record depends on (seed, change,
record) alone. The random numbers are the same for every amount of a change: a base that changes at 1 % also changes at
10 %, so that a curve over amounts is not blurred by chance.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import answerable, draw_by_turns, labels, species_of_rows
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.tasks.knn import assigned_taxa
from tokenization_barcodemae import reverse_complement

# Every change repeats all of these queries.
NUM_QUERIES = 1_000

UNCHANGED = "unchanged"

_BASES = np.frombuffer(b"ACGT", np.uint8)


def robustness_scores(
    search: Callable[[list[str]], Hits],
    references: pa.Table,
    queries: pa.Table,
    seed: int = 0,
    num_queries: int = NUM_QUERIES,
) -> list[dict[str, Any]]:
    """Genus accuracy of the nearest reference, for queries as they are and for queries changed in many ways.

    The same queries are used each time. Of more than `num_queries`, so many are drawn, one of each species before the
    second of any: the accuracy of the unchanged ones is not that of the whole split.

    Args:
        search: barcodes to their nearest references, which are not changed; it is called once, with all queries.
        references: records of the references.
        queries: records of the queries.
        seed: random seed of the draw, of the changes and of the bootstrap.
        num_queries: maximum number of queries for each change.

    Returns:
        One entry per change and amount, `unchanged` first: `change, amount, n_answerable`, and what
        `scores.accuracy_scores` gives for the genus. `amount` is as `perturb` takes it. A query that
        is left without a known base counts as wrong.

    Raises:
        ConfigurationError: no query is of a genus among the references.
    """
    genera, species = labels(queries, "genus"), species_of_rows(queries)
    rows = np.flatnonzero(answerable(genera, labels(references, "genus")))
    if len(rows) == 0:
        raise ConfigurationError("expected queries of a genus that occurs among the references, got none")
    rows = rows[draw_by_turns(species[rows], num_queries, seed)]
    genera, species = genera[rows], species[rows]

    intact = queries["nucleotides"].take(pa.array(rows)).to_pylist()
    changed: dict[tuple[str, float | None], list[str]] = {(UNCHANGED, None): intact}
    for change, (_, amounts) in CHANGES.items():
        changed |= {(change, amount): perturb(intact, rows, change, amount, seed) for amount in amounts}
    hits = search([sequence for sequences in changed.values() for sequence in sequences])
    assigned = assigned_taxa(hits, references, "genus").reshape(len(changed), len(rows))

    entries = []
    for (change, amount), predicted in zip(changed, assigned, strict=True):
        scores = accuracy_scores("genus", predicted, genera, species, seed)
        entries.append({"change": change, "amount": amount, "n_answerable": len(rows), **scores})
    return entries


def substitute(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """Each A, C, G or T becomes one of the other three with probability `rate`; ambiguous bases do not change."""
    codes = _codes(sequence)
    is_base = codes[:, None] == _BASES
    changed = (rng.random(len(codes)) < rate) & is_base.any(axis=1)
    others = _BASES[(is_base.argmax(axis=1) + rng.integers(1, 4, len(codes))) % 4]
    return _text(np.where(changed, others, codes))


def insert_and_delete(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """At each base with probability `rate`, its deletion or the insertion of a random base after it, equally often."""
    codes = _codes(sequence)
    changed = rng.random(len(codes)) < rate
    is_insertion = rng.random(len(codes)) < 0.5
    inserted = rng.choice(_BASES, len(codes))
    times = 1 + np.where(is_insertion, 1, -1) * changed
    result = np.repeat(codes, times)
    result[np.cumsum(times)[changed & is_insertion] - 1] = inserted[changed & is_insertion]
    return _text(result)


def make_ambiguous(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """Each base becomes an N with probability `rate`."""
    codes = _codes(sequence)
    return _text(np.where(rng.random(len(codes)) < rate, ord("N"), codes))


def mini_barcode(sequence: str, length: int, rng: np.random.Generator) -> str:
    """A random window of `length` nucleotides; a sequence that is not longer is unchanged."""
    start = int(rng.random() * (len(sequence) - length + 1))
    return sequence[start : start + length] if len(sequence) > length else sequence


def cut_front(sequence: str, n: int, rng: np.random.Generator) -> str:
    """Without its first `n` nucleotides; `rng` is not used."""
    return sequence[n:]


def other_strand(sequence: str, amount: None, rng: np.random.Generator) -> str:
    """The other strand; `rng` is not used."""
    return reverse_complement(sequence)


# Name of a change -> its function, and the amounts that are tried.
CHANGES: dict[str, tuple[Callable, tuple[float | None, ...]]] = {
    "substitutions": (substitute, (0.01, 0.03, 0.1)),
    "indels": (insert_and_delete, (0.002, 0.005, 0.02)),
    "ambiguous": (make_ambiguous, (0.01, 0.03, 0.1)),
    "mini_barcode": (mini_barcode, (400, 300, 200, 100)),
    "shifted_frame": (cut_front, (1, 2, 3, 4, 5)),
    "reverse_complement": (other_strand, (None,)),
}


def perturb(
    sequences: Sequence[str], records: np.ndarray, change: str, amount: float | None, seed: int = 0
) -> list[str]:
    """Apply one change to every barcode.

    Args:
        sequences: `[n]`, upper case.
        records: `[n]`, the number of each, which decides its change; 0 or more.
        change: one of `CHANGES`.
        amount: a rate per nucleotide (substitutions, indels, ambiguous), a number of nucleotides (mini_barcode,
            shifted_frame), or None (reverse_complement).
        seed: random seed; 0 or more.

    Returns:
        `[n]` sequences.

    Raises:
        ConfigurationError: the change does not exist.
    """
    if change not in CHANGES:
        raise ConfigurationError(f"expected one of the changes {', '.join(CHANGES)}, got {change!r}")
    apply, _ = CHANGES[change]
    stream = zlib.crc32(change.encode())
    return [
        apply(sequence, amount, np.random.default_rng([seed, stream, record]))
        for sequence, record in zip(sequences, records, strict=True)
    ]


def _codes(sequence: str) -> np.ndarray:
    return np.frombuffer(sequence.encode("ascii"), np.uint8)


def _text(codes: np.ndarray) -> str:
    return codes.astype(np.uint8).tobytes().decode("ascii")
