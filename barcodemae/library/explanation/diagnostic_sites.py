"""Sites of the marker at which a taxon, such as a genus, differs from its nearest relatives: diagnostic nucleotides.

As in character-based barcoding (Sarkar et al. 2008, CAOS), a site is pure if all records of the taxon have the same
base there, and none of another taxon has it. Libraries have errors, so a small share of exceptions is allowed.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError
from barcodemae.library.checking.reading_frame import reading_frame
from barcodemae.library.models import Embedder
from barcodemae.library.search.evidence import RankNames
from barcodemae.library.search.marker import marker_of
from barcodemae.library.store.stored import StoredLibrary

NUM_OTHERS = 3
MIN_SHARE = 0.95

SITES = pa.schema(
    [
        # Coordinate on the reference frame, and position in the codon, both from 1; null for a marker without codons.
        pa.field("coordinate", pa.int32()),
        pa.field("codon_position", pa.int32()),
        # The base of the taxon, and the share of it that has the base, each species counted alike.
        pa.field("base", pa.string()),
        pa.field("share", pa.float64()),
        # PURE without exceptions, otherwise NEARLY_PURE.
        pa.field("kind", pa.string()),
        # The taxa that it is distinguished from, and the bases of all others: Agrotis A 0.98, C 0.02;Feltia ..
        pa.field("num_distinguished", pa.int32()),
        pa.field("distinguished_from", pa.string()),
        pa.field("other_bases", pa.string()),
    ]
)
"""One row for each site that distinguishes the taxon from another one, first those that do from most."""

TEXTS_FROM_FILES = ("distinguished_from", "other_bases")
SEPARATOR = ";"
PURE, NEARLY_PURE = "pure", "nearly pure"

_MIN_KNOWN = 0.5  # of the species of a taxon, each counted alike, must have a known base at a site
_BLOCK_RECORDS = 16_384
_BASES = "ACGT"


@dataclass(frozen=True)
class Taxon:
    """A taxon of a library.

    Attributes:
        name: of the taxon.
        records: int64, numbers of its records.
        species: objects, the species of each; "" where unknown.
    """

    name: str
    records: np.ndarray
    species: np.ndarray

    @property
    def num_species(self) -> int:
        """Number of its species with a name."""
        return len({*self.species} - {""})

    def weights(self) -> np.ndarray:
        """Weights of the records, with which each species counts alike; a record without species is one of its own."""
        own = [name or row for row, name in enumerate(self.species)]
        counts: dict[object, int] = {}
        for key in own:
            counts[key] = counts.get(key, 0) + 1
        return np.array([1 / counts[key] for key in own])


@dataclass(frozen=True)
class BaseShares:
    """The bases of a taxon by coordinate, each of its species counted alike.

    Attributes:
        shares: float64 `[4, coordinates]`, of A, C, G and T among its known bases; 0 where none is known.
        known: float64 `[coordinates]`, share of the taxon with a known base.
    """

    shares: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, bases: np.ndarray, weights: np.ndarray) -> "BaseShares":
        """Count bases.

        Args:
            bases: int8 `[n, coordinates]`, 0 to 3 for A, C, G and T, -1 where unknown.
            weights: `[n]`.
        """
        counts = np.stack([weights @ (bases == base) for base in range(4)])
        total = counts.sum(axis=0)
        return cls(counts / np.where(total > 0, total, 1), total / weights.sum())


def find_taxon(library: StoredLibrary, name: str, rank: str | None = None) -> tuple[str, Taxon]:
    """The rank of a taxon, and the taxon.

    Args:
        library: to look in.
        name: of the taxon.
        rank: if the name is that of several taxa.

    Raises:
        ConfigurationError: there is no taxon of this name, or there are several.
    """
    found = [one for one in RANKS if rank in (None, one) and len(_records_of(library, one, name))]
    if not found:
        known = {text for one in RANKS if rank in (None, one) for text in library.names()[one].to_pylist()}
        close = difflib.get_close_matches(name, known - {""}, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigurationError(f"{name}: expected a {rank or 'taxon'} of the library, got none of this name{hint}")
    if len(found) > 1:
        raise ConfigurationError(f"{name}: expected --rank, as {' and '.join(found)} have this name")
    return found[0], _taxon(library, name, _records_of(library, found[0], name))


def nearest_taxa(library: StoredLibrary, rank: str, name: str, number: int) -> list[Taxon]:
    """The taxa of a rank whose mean vectors are nearest to that of one of them, nearest first.

    Args:
        library: has the taxon.
        rank, name: of the taxon.
        number: at most so many.
    """
    names = RankNames(library.names()[rank])
    numbers = names.numbers[library.live]
    present, index = np.unique(numbers, return_inverse=True)
    sums = np.zeros((len(present), library.manifest.dimension))
    for begin in range(0, len(index), _BLOCK_RECORDS):
        block = index[begin : begin + _BLOCK_RECORDS]
        vectors = library.vectors(library.live[begin : begin + _BLOCK_RECORDS]).astype(np.float64)
        cells = (np.ones(len(block)), (block, np.arange(len(block))))
        sums += csr_array(cells, shape=(len(present), len(block))) @ vectors
    texts = names.decode(present)
    means = unit_length(sums)
    cosines = means @ means[int(np.flatnonzero(texts == name)[0])]
    cosines[(texts == "") | (texts == name)] = -np.inf
    order = np.argsort(-cosines, kind="stable")[:number]
    return [
        _taxon(library, str(texts[row]), library.live[numbers == present[row]])
        for row in order
        if cosines[row] > -np.inf
    ]


def find_sites(
    library: StoredLibrary, embedder: Embedder, taxon: Taxon, others: Sequence[Taxon], min_share: float = MIN_SHARE
) -> pa.Table:
    """The sites that distinguish a taxon from others.

    Args:
        library: has their records.
        embedder: its model.
        taxon, others: to compare.
        min_share: minimum share of the taxon with the base of a site, and of another one without it, over 0.5.

    Returns:
        A table of `SITES`.

    Raises:
        ConfigurationError: the marker has no reference frame.
    """
    frame = embedder.frame
    if frame is None:
        raise ConfigurationError(
            f"expected a library of a marker with a reference frame, whose sites have coordinates; "
            f"{marker_of(embedder).name} has none"
        )
    own, *compared = (BaseShares.of(library.bases(one.records), one.weights()) for one in (taxon, *others))
    begin = reading_frame(frame)
    rows: list[dict[str, Any]] = []
    for at in range(frame.length):
        base = int(own.shares[:, at].argmax())
        share = float(own.shares[base, at])
        if own.known[at] < _MIN_KNOWN or share < min_share:
            continue
        exceptions = [float(one.shares[base, at]) for one in compared]
        differs = [
            one.known[at] >= _MIN_KNOWN and exception <= 1 - min_share
            for one, exception in zip(compared, exceptions, strict=True)
        ]
        if any(differs):
            worst = max(exception for exception, is_other in zip(exceptions, differs, strict=True) if is_other)
            distinguished = [one.name for one, is_other in zip(others, differs, strict=True) if is_other]
            rows.append(
                {
                    "coordinate": at + 1,
                    "codon_position": None if begin is None else (at - begin) % 3 + 1,
                    "base": _BASES[base],
                    "share": share,
                    "kind": PURE if share == 1 and worst == 0 else NEARLY_PURE,
                    "num_distinguished": len(distinguished),
                    "distinguished_from": SEPARATOR.join(distinguished),
                    "other_bases": SEPARATOR.join(
                        f"{one.name} {_described(shares.shares[:, at])}"
                        for one, shares in zip(others, compared, strict=True)
                    ),
                }
            )
    rows.sort(key=lambda row: (-row["num_distinguished"], row["kind"] != PURE, -row["share"], row["coordinate"]))
    return pa.Table.from_pylist(rows, SITES)


def _described(shares: np.ndarray) -> str:
    """The bases of a taxon at a site with their shares, the most frequent first."""
    order = np.argsort(-shares, kind="stable")
    return ", ".join(f"{_BASES[base]} {shares[base]:.2f}" for base in order if shares[base] > 0) or "unknown"


def _records_of(library: StoredLibrary, rank: str, name: str) -> np.ndarray:
    column = np.array(library.names()[rank].to_pylist(), object)
    return library.live[column[library.live] == name]


def _taxon(library: StoredLibrary, name: str, records: np.ndarray) -> Taxon:
    species = library.names()["species"].take(pa.array(records)).to_pylist()
    return Taxon(name, records, np.array(species, object))
