"""Lineages without names of ranks (`Root;Animalia;Arthropoda;..;Apis mellifera`), whose ranks follow from the order."""

import re
from collections.abc import Sequence

from barcodemae.data.names import BIN
from barcodemae.data.schema import RANKS

_SUPPORT = re.compile(r"\(\d+(?:\.\d+)?\)$")  # as mothur writes it
_TAXON_ID = re.compile(r"_-?\d+$")
_ROOTS = {"root", "cellularorganisms", "cellular organisms", "norank cellular organisms", "life", "biota"}
_DOMAINS = {"eukaryota", "eukarya", "eukaryotes", "bacteria", "archaea", "viruses", "prokaryota"}
_KINGDOMS = {
    "animalia",
    "metazoa",
    "plantae",
    "viridiplantae",
    "fungi",
    "chromista",
    "protozoa",
    "protista",
    "protists",
}
_KINGDOMS |= {
    "opisthokonta",
    "archaeplastida",
    "sar",
    "stramenopiles",
    "alveolata",
    "rhizaria",
    "excavata",
    "amoebozoa",
}
_KINGDOMS |= {"bacillati", "pseudomonadati", "methanobacteriati", "heunggongvirae", "orthornavirae", "eukaryota_kgd"}
_ABOVE = _ROOTS | _DOMAINS | _KINGDOMS
_PHYLA_TEXT = """
    acanthocephala annelida arthropoda brachiopoda bryozoa chaetognatha chordata cnidaria ctenophora cycliophora
    dicyemida echinodermata entoprocta gastrotricha gnathostomulida hemichordata kinorhyncha loricifera micrognathozoa
    mollusca nematoda nematomorpha nemertea onychophora orthonectida phoronida placozoa platyhelminthes porifera
    priapulida rotifera sipuncula tardigrada xenacoelomorpha streptophyta tracheophyta chlorophyta rhodophyta bryophyta
    magnoliophyta anthophyta pinophyta pteridophyta marchantiophyta charophyta ochrophyta bacillariophyta haptophyta
    cryptophyta ciliophora apicomplexa dinoflagellata myzozoa oomycota ascomycota basidiomycota chytridiomycota
    mucoromycota zoopagomycota glomeromycota blastocladiomycota rozellomycota microsporidia euglenozoa discosea
    tubulinea evosea cercozoa foraminifera proteobacteria pseudomonadota firmicutes bacillota bacteroidota bacteroidetes
    actinobacteriota actinomycetota actinobacteria cyanobacteria cyanobacteriota
"""
_PHYLA = set(_PHYLA_TEXT.split())
_FAMILY = re.compile(r"(?:idae|aceae)$")
_BETWEEN = re.compile(r"(?:oidea|inae)$")
_NUM_RANKS = len(RANKS)


def is_above_phylum(name: str) -> bool:
    """Whether a name is the root, a domain or a kingdom."""
    return _plain(name) in _ABOVE


def begins_lineage(name: str) -> bool:
    """Whether a name can be the first of a lineage: the root, a domain, a kingdom or a phylum."""
    return _plain(name) in _ABOVE or _plain(name) in _PHYLA


def read_lineage(names: Sequence[str]) -> dict[str, str] | str:
    """The ranks of a lineage, or why they can't be known.

    The names above the phylum are recognised, as they differ in number. The others must be those of `RANKS`, from the
    phylum down, and may end early; a lineage of another length, or with a family or a species at another rank, is not
    shifted but refused.

    Args:
        names: from the highest down, "" where unknown; the last may be a BIN.

    Returns:
        Rank -> name, also `bin`; or what was expected and what came.
    """
    left = [_SUPPORT.sub("", name.strip()) for name in names]
    found = {}
    if left and BIN.fullmatch(left[-1]):
        found["bin"] = left.pop()
    if left and left[0].isdigit():  # a taxon id
        left.pop(0)
    num_above = 0
    phyla = [number for number, name in enumerate(left[:8]) if _plain(name) in _PHYLA]
    if phyla:
        num_above = phyla[0]
    else:
        while num_above < len(left) and _plain(left[num_above]) in _ABOVE:
            num_above += 1
        if num_above < 3 and len(left) - num_above > _NUM_RANKS and left[num_above].startswith("undef_"):
            num_above += 1
    is_anchored = num_above > 0 or bool(phyla)
    ranks = left[num_above:]
    if not is_anchored:
        if _ends_with_species(ranks) and len(ranks) in (_NUM_RANKS, _NUM_RANKS + 1):
            ranks = ranks[-_NUM_RANKS:]
        else:
            return "expected a lineage that begins with a root, a kingdom or a phylum"
    while len(ranks) > _NUM_RANKS and not ranks[-1]:
        ranks.pop()
    if len(ranks) > _NUM_RANKS:
        return f"expected {_NUM_RANKS} names from phylum to species, got {len(ranks)}"
    by_rank = dict(zip(RANKS, ranks, strict=False))
    for rank, name in by_rank.items():
        plain = _TAXON_ID.sub("", name)
        if _is_lent(name):
            continue
        if rank != "species" and _is_binomial(plain):
            return f"expected the species {plain!r} as the last of {_NUM_RANKS} names, got it as {rank}"
        if _BETWEEN.search(plain) and rank in ("order", "family", "genus") and plain[0].isupper():
            return f"expected the names of {', '.join(RANKS)}, got {plain!r}, which is between them"
        if _FAMILY.search(plain) and rank in ("phylum", "class", "order", "genus") and plain.isalpha():
            return f"expected the family {plain!r} as the fourth of {_NUM_RANKS} names, got it as {rank}"
    return {**by_rank, **found}


def _plain(name: str) -> str:
    return _TAXON_ID.sub("", _SUPPORT.sub("", name.strip())).replace("_", " ").casefold()


def _ends_with_species(names: list[str]) -> bool:
    """Whether the last two names are a genus and its species."""
    if len(names) < 2 or not names[-2]:
        return False
    species = names[-1].replace("_", " ").split()
    return len(species) > 1 and species[0] == names[-2]


def _is_binomial(name: str) -> bool:
    return re.match(r"^[A-Z][a-z]+[ _][a-z]{3,}$", name) is not None and not name.endswith(("sedis", "classified"))


def _is_lent(name: str) -> bool:
    """Whether a name is one of another rank that stands in for an unknown one."""
    return not name or re.match(r"^(?:undef_|(?:phylum|class|order|family|genus)_)|.*_(?:X+|[a-z]+)$", name) is not None
