"""Doubtful names, as the records of a library show them: shared barcodes, variants, contradictions, lone records."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.library.search.marker import dereplicate
from barcodemae.library.store.stored import StoredLibrary

SHARED, SYNONYM, VARIANT = "shared barcode", "possible synonym", "variants of a name"
HOMONYM, CONTRADICTION, LONE = "homonym", "contradicting ranks", "one record"

# Endings of epithets that agree with the gender of the genus, or that differ between two customs (-i and -ii).
_ENDING = re.compile(r"(?:us|a|um|is|e|er|ra|rum|ii?|ae)$")

# A name at these ranks cannot be in two taxa; at the others, one name in two taxa is a homonym, or an error.
_CODE_RANKS = ("phylum", "class", "order")


@dataclass(frozen=True)
class NameFinding:
    """Something doubtful about a name.

    Attributes:
        reason: one of the constants of this module.
        record: number of the first record with the name.
        rank: of the name.
        name: in question.
        others: names that it is in conflict with; empty for `LONE`.
        evidence: in words.
    """

    reason: str
    record: int
    rank: str
    name: str
    others: tuple[str, ...]
    evidence: str


def find_doubtful_names(library: StoredLibrary) -> list[NameFinding]:
    """Find doubtful names among the records that were not removed.

    Returns:
        `SHARED`: records with the same bases have several species. `SYNONYM`: so have records with the same bases or
        BIN, and the epithets are the same but for their endings. `VARIANT`: several names of species have the same
        first two words, as with and without an author. `HOMONYM` and `CONTRADICTION`: a name is in two taxa of a higher
        rank; a homonym if already in two phyla, classes or orders. `LONE`: a species has one record.
    """
    table = library.names()
    columns = {name: table[name].take(pa.array(library.live)).to_pylist() for name in (*RANKS, "bin")}
    species, records = columns["species"], library.live.tolist()
    first = {name: record for name, record in zip(reversed(species), reversed(records), strict=True) if name}
    by_barcode = _names_by(_barcodes(library), species)
    by_bin = _names_by(columns["bin"], species)
    found = [
        NameFinding(SHARED, first[name], "species", name, _without(names, name), "the same bases on the marker")
        for name, names in _merged(by_barcode).items()
    ]
    for groups, what in ((by_barcode, "the same bases on the marker"), (by_bin, "the same BIN")):
        found += [
            NameFinding(SYNONYM, first[name], "species", name, tuple(others), f"{what}, and the same epithet")
            for name, names in _merged(groups).items()
            if (others := [other for other in _without(names, name) if _stem(other) == _stem(name)])
        ]
    by_binomial = _names_by([" ".join(name.split()[:2]) for name in species], species)
    found += [
        NameFinding(VARIANT, first[name], "species", name, _without(names, name), "the same first two words")
        for name, names in _merged(by_binomial).items()
    ]
    found += _contradictions(columns, records)
    counts: dict[str, int] = defaultdict(int)
    for name in species:
        counts[name] += 1
    found += [
        NameFinding(LONE, record, "species", name, (), "no other record confirms it")
        for name, record in first.items()
        if counts[name] == 1
    ]
    # A pair with the same bases and the same BIN is a possible synonym once.
    once = {(finding.reason, finding.name, finding.others): finding for finding in reversed(found)}
    return list(reversed(once.values()))


def _barcodes(library: StoredLibrary) -> list[int]:
    """The same number for records with the same bases on the frame, of those that were not removed."""
    return dereplicate(library.bases(library.live))[1].tolist()


def _names_by(keys: Iterable[object], names: Iterable[str]) -> list[set[str]]:
    """The sets of names, of two or more, that have the same key; records without a key or name are left out."""
    groups: dict[object, set[str]] = defaultdict(set)
    for key, name in zip(keys, names, strict=True):
        if key != "" and name:
            groups[key].add(name)
    return [group for group in groups.values() if len(group) > 1]


def _merged(groups: Iterable[set[str]]) -> dict[str, set[str]]:
    """Name -> all names that are in a group with it, itself included; in alphabetical order."""
    merged: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in group:
            merged[name] |= group
    return dict(sorted(merged.items()))


def _without(names: set[str], name: str) -> tuple[str, ...]:
    return tuple(sorted(names - {name}))


def _stem(name: str) -> str:
    """The epithet of a binomial without its ending; the name itself if it has none."""
    words = name.split()
    return _ENDING.sub("", words[1]) if len(words) > 1 and words[1][0].islower() else name


def _contradictions(columns: dict[str, list[str]], records: list[int]) -> Iterator[NameFinding]:
    for rank in RANKS[1:]:
        parents: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for row, name in enumerate(columns[rank]):
            if not name:
                continue
            for higher in RANKS[: RANKS.index(rank)]:
                if columns[higher][row]:
                    parents[name][higher].setdefault(columns[higher][row], row)
        for name, by_rank in parents.items():
            # Only the highest contradiction: two orders have different families as well.
            for higher in RANKS[: RANKS.index(rank)]:
                taxa = by_rank.get(higher, {})
                if len(taxa) > 1:
                    reason = HOMONYM if higher in _CODE_RANKS and rank in ("genus", "species") else CONTRADICTION
                    evidence = f"in {len(taxa)} taxa of rank {higher}"
                    yield NameFinding(reason, records[min(taxa.values())], rank, name, tuple(sorted(taxa)), evidence)
                    break
