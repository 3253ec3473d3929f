"""The one cleaner of taxon names, of headers, tables and tables of taxonomies alike.

A name that no taxonomist would give to one species or genus becomes "", an unknown rank:

- words for nothing (`unclassified`, `NA`, `Ambiguous_taxa`, `uncultured bee`), and names lent by another rank
  (`Apidae_X`, `Bacteria_unclassified`, `order_Vannellidae_95227`);
- open nomenclature (`Apis sp. 5`, `Apis cf. mellifera`, `Apis n. sp.`), groups of species, hybrids of two species, and
  a BIN instead of a species.

A species is its two words: authors, years, subgenera, subspecies and vouchers are left out, an epithet alone is joined
to the genus, and the genus is taken from the species where it is missing. Provisional names with a code instead of an
epithet (`Temnothorax JTL015`) are names. What is not understood stays as it is.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS, STRING

BIN = re.compile(r"\bBOLD[:_-][A-Z]{3}\d{4}\b", re.IGNORECASE)
"""A Barcode Index Number."""

_HIGHER = RANKS[:4]
# No name of a taxon is longer; longer text is not searched by expressions.
_MAX_CHARACTERS = 300

_PREFIX = re.compile(r"^(?:[a-z]{1,2}__|D_\d+__)", re.IGNORECASE)
_SUPPORT = re.compile(r"\s*\((?:\d+|\d*\.\d+)%?\)$")
_LENT = re.compile(
    r"^(?:phylum|class|order|family|genus)_|_-?\d+(?:_[a-z]+)+$|^undef_"
    r"|[_ ](?:X+|ph|cl|or|fa|ge|fam|gen)$"
    r"|[_ ](?:unclassified|unidentified|uncultured|unassigned|unknown|undetermined)(?:[_ ].*)?$"
)
_UNKNOWN = re.compile(
    r"^(?:na|n\.?/?a\.?|#n/a|nan|none|null|nil|n\.?d\.?|tbd|missing|[-.?*_]+|no[ _]?(?:rank|hit|blast hit|name|match)"
    r"|not[ _](?:classified|assigned|applicable|available|identified|determined|known|provided)"
    r"|unassigned|undefined|undetermined|undescribed|unnamed|unspecified|ambiguous(?:[ _]taxa|[ _]taxon)?"
    r"|(?:.*[ _])?incertae[ _]sedis|(?:.*[ _])?metagenome|.*\benvironmental[ _](?:sample|sequence|dna|clone)s?\b.*"
    r"|(?:unclassified|unidentified|unknown|uncultured|uncultivated|environmental|metagenome|unverified)\b.*)$",
    re.IGNORECASE,
)
_UNCERTAIN = r"(?:cf|aff|nr|conf|near|prope|indet|undet|ined|gen|nov|nsp|ssp|sensu|complex|group|grp|agg|aggregate)"
_OPEN = re.compile(
    rf"^(?:\??$|\?|.*\?$|{_UNCERTAIN}(?:\..*)?$|n\.$|n\.?sp\b.*|(?:gen\.)?(?:spp?|spec|species)(?:\..*|[-_]?\d.*|-grp.*)?$|spp?[A-Z]\w*$)"
)
_OPEN_CAPITAL = re.compile(r"^(?:Sp|SP|Spp|Cf|CF|Aff|Nr|Indet|Gen)\.?$")
_GROUP = re.compile(r"^(?:complex|group|grp|gr|agg|aggregate|species-group|s\.l|s\.lat)\.?$|[_-](?:group|grp|complex)$")
_SEVERAL = re.compile(r"^(?:or|vs\.?|hybrid)$|/")
_CROSS = re.compile(r"^[xX\u00d7]$")
# What follows a name without being a part of it.
_SPECIMEN = re.compile(
    r"^(?:voucher|isolate|strain|clone|specimen|haplotype|haplogroup|cultivar|breed|sensu|auct\.?|s\.str\.?|s\.s\.?|nom\.?"
    r"|nomen|emend\.?)$",
    re.IGNORECASE,
)
_INFRASPECIFIC = re.compile(r"^(?:subsp|ssp|var|subvar|f|fo|forma|form|morph|race|biotype|pv|st)\.?$")
_NEW = re.compile(r"^(?:sp|n|nov|spec)\.?$|^(?:sp\.?nov|n\.?sp)\.?$")
_EPITHET = re.compile(r"^[^\W\d_A-ZÀ-Þ][\w.'-]*$")
_GENUS = re.compile(r"^[A-ZÀ-Þ][^\W\d_]*(?:-[^\W\d_]+)?$")
_PARTICLE = {
    "de",
    "del",
    "della",
    "der",
    "den",
    "di",
    "du",
    "da",
    "dos",
    "van",
    "von",
    "vom",
    "zu",
    "la",
    "le",
    "el",
    "et",
}
_PARTICLE |= {"al", "al.", "and", "ex", "in", "&", "y", "f.", "fil.", "bis"}
_AUTHOR = re.compile(
    r"^(?:d['\u2019])?(?:[A-ZÀ-Þ][^\W\d_]*[a-zß-ÿ][^\W\d_]*|[A-ZÀ-Þ]{4,})(?:[.'\u2019-]+[^\W\d_]*)*$|^(?:[A-ZÀ-Þ][a-z]?\.-?)+$"
)
_YEAR = re.compile(r"^1[789]\d\d[a-z]?$|^20\d\d[a-z]?$")
_NOT_A_GENUS = re.compile(r"(?:idae|inae|oidea|aceae|ales|iformes|ptera|poda|phyta|mycota|mycetes|opsida|zoa)$")
_NO_GENERA = {
    *(
        "Insecta",
        "Arachnida",
        "Collembola",
        "Araneae",
        "Acari",
        "Annelida",
        "Mollusca",
        "Nematoda",
        "Crustacea",
        "Insect",
    ),
    *("Malacostraca", "Gastropoda", "Bivalvia", "Polychaeta", "Clitellata", "Fungi", "Bacteria", "Archaea", "Plantae"),
    *("Animalia", "Chordata", "Actinopterygii", "Aves", "Mammalia", "Amphibia", "Reptilia", "Chromista", "Oligochaeta"),
}


def clean_names(names: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, pa.Array]:
    """Clean the names of records.

    Args:
        names: rank -> `[n]` text, as in a file; ranks that are missing are unknown.

    Returns:
        Each of `RANKS` -> `[n]` text, "" where unknown. To clean them again changes nothing.
    """
    columns = {rank: _as_array(column) for rank, column in names.items()}
    num_rows = len(next(iter(columns.values())))
    nothing = pa.repeat(pa.scalar("", STRING), num_rows)
    cleaned = {rank: _mapped(columns[rank], clean_taxon) if rank in columns else nothing for rank in _HIGHER}
    genus = columns.get("genus", nothing).dictionary_encode()
    species = columns.get("species", nothing).dictionary_encode()
    # A million records have few different pairs of genus and species.
    width = max(len(species.dictionary), 1)
    codes = genus.indices.to_numpy().astype(np.int64) * width + species.indices.to_numpy()
    pairs, rows = np.unique(codes, return_inverse=True)
    genera, all_species = genus.dictionary.to_pylist(), species.dictionary.to_pylist()
    found = [clean_species(genera[pair // width], all_species[pair % width]) for pair in pairs.tolist()]
    for index, rank in enumerate(("genus", "species")):
        cleaned[rank] = pa.array([pair[index] for pair in found], STRING).take(pa.array(rows))
    return cleaned


def clean_taxon(name: str) -> str:
    """A name above the species, "" if it names no taxon.

    Examples:
        >>> from barcodemae.data.names import clean_taxon
        >>> [clean_taxon(name) for name in ("f__Apidae", "Apidae Latreille, 1802", "Apidae_X", "uncultured")]
        ['Apidae', 'Apidae', '', '']
    """
    text = _tidy(name)
    tokens = text.split()
    if not tokens or len(text) > _MAX_CHARACTERS:
        return text
    if _OPEN.match(tokens[0]) or _OPEN_CAPITAL.match(tokens[0]) or "?" in tokens:
        return ""
    rest = [token for token in tokens[1:] if not _is_subgenus(token)]
    if tokens[0].isalpha() and (not rest or _is_authorship(rest) or _OPEN.match(rest[0])):
        return tokens[0].capitalize() if tokens[0].isupper() and len(tokens[0]) > 3 else tokens[0]
    return text


def clean_species(genus: str, species: str) -> tuple[str, str]:
    """The genus and the species of a record, each "" if unknown.

    Examples:
        >>> from barcodemae.data.names import clean_species
        >>> clean_species("", "Apis mellifera Linnaeus, 1758")
        ('Apis', 'Apis mellifera')
        >>> clean_species("Apis", "cerana")
        ('Apis', 'Apis cerana')
        >>> clean_species("Apis", "Apis cf. cerana")
        ('Apis', '')
    """
    genus = clean_taxon(genus)
    text = _tidy(species)
    if not text or len(text) > _MAX_CHARACTERS or not (text[0].isalpha() or text[0] in "?\u00d7"):
        return genus, text if len(text) > _MAX_CHARACTERS or (text and text[0] not in "?\u00d7") else ""
    has_bin = BIN.search(text) is not None
    text = BIN.sub(" ", text)
    tokens = [token.rstrip(",;") for token in text.split() if not _is_subgenus(token)]
    if re.search(r"(?:virus|phage|viroid)$", text):
        return genus, text
    if len(tokens) > 1 and text.isupper():
        tokens = [tokens[0].capitalize(), *map(str.lower, tokens[1:])]
    while len(tokens) > 1 and _CROSS.match(tokens[0]):  # a hybrid genus
        tokens = tokens[1:]
    if tokens and tokens[0].startswith("\u00d7"):
        tokens[0] = tokens[0][1:]
    if not tokens or not tokens[0]:
        return genus, ""
    if tokens[0] == "Candidatus" and len(tokens) > 2:
        tokens = [" ".join(tokens[:2]), *tokens[2:]]
    genus_words = genus.split()
    if genus and tokens[: len(genus_words)] == genus_words:
        tokens = [genus, *tokens[len(genus_words) :]]
    elif _is_first_of(tokens[0], genus):
        tokens[0] = genus.split()[0]
    elif _is_epithet(tokens[0]) or _OPEN.match(tokens[0]):  # without its genus
        if not genus or _OPEN.match(tokens[0]):
            return genus, ""
        tokens = [genus, *tokens]
    elif _OPEN_CAPITAL.match(tokens[0]):
        return genus, ""
    elif len(tokens) == 1:
        if not genus and _may_be_genus(tokens[0]):
            return tokens[0], ""
        return genus, "" if tokens[0].isalpha() else "" if has_bin else text
    found = _binomial(tokens)
    if not genus and _may_be_genus(tokens[0]) and (found or len(tokens) == 1 or _is_genus_only(tokens)):
        genus = tokens[0]
    return genus, found


def inherit_ranks(names: pa.Table) -> pa.Table:
    """Add the higher ranks of records that lack them, where other records with the same lower rank have them.

    A name is inherited from records of the same genus, else family, order or class, if these agree on it and on all
    ranks above it.

    Args:
        names: has the columns `RANKS`, "" where unknown.

    Returns:
        The same table with fewer unknown names.
    """
    columns = {rank: _as_array(names[rank]).dictionary_encode() for rank in RANKS[:5]}
    codes = {rank: column.indices.to_numpy().astype(np.int64) for rank, column in columns.items()}
    for rank, column in columns.items():  # -1 is unknown
        unknown = pc.index(column.dictionary, pa.scalar("", STRING)).as_py()
        codes[rank] = np.where(codes[rank] == unknown, -1, codes[rank]) if unknown >= 0 else codes[rank]
    is_complete = all((codes[rank] >= 0).all() for rank in _HIGHER)
    if is_complete or not len(names):
        return names
    for lower in reversed(range(1, 5)):
        child = codes[RANKS[lower]]
        agrees = np.ones(len(columns[RANKS[lower]].dictionary), bool)
        for rank in RANKS[:lower]:  # from the phylum down
            parent = codes[rank]
            known = np.flatnonzero((child >= 0) & (parent >= 0))
            lowest = np.full(len(agrees), np.iinfo(np.int64).max)
            highest = np.full(len(agrees), -1)
            np.minimum.at(lowest, child[known], parent[known])
            np.maximum.at(highest, child[known], parent[known])
            agrees &= (highest < 0) | (lowest == highest)
            missing = np.flatnonzero((child >= 0) & (parent < 0))
            missing = missing[agrees[child[missing]]]
            parent[missing] = highest[child[missing]]
    for rank in _HIGHER:
        filled = pc.fill_null(columns[rank].dictionary.take(pa.array(codes[rank], mask=codes[rank] < 0)), "")
        index = names.column_names.index(rank)
        names = names.set_column(index, names.schema.field(index), filled.cast(names.schema.field(index).type))
    return names


def _binomial(tokens: list[str]) -> str:
    """The species of which a name's words are known to begin with the genus, "" if it names none."""
    genus, rest = tokens[0], tokens[1:]
    if rest and _CROSS.match(rest[0]) and len(rest) == 2 and _is_epithet(rest[1]):
        return f"{genus} x {rest[1]}"  # a hybrid species
    if rest and len(rest[0]) > 2 and rest[0].startswith("\u00d7"):
        return f"{genus} x {rest[0][1:]}"
    if not rest or _OPEN.match(rest[0]) or _OPEN_CAPITAL.match(rest[0]) or rest[0] == "X":
        return ""
    if rest[1:2] in (["and"], ["&"]) or any(_SEVERAL.search(token) for token in rest):
        return ""
    if any(_CROSS.match(token) for token in rest[1:]):
        return ""
    if any(_GROUP.search(token) or "?" in token for token in rest):
        return ""
    if not _is_epithet(rest[0]):  # a code, or the author of a genus
        is_author = _is_authorship(rest) and not rest[0].isupper()
        is_open = any(_OPEN.match(token) or re.match("X+$", token) for token in rest)
        return "" if is_author or is_open or _is_specimen(rest[0]) else " ".join(tokens)
    name, more = f"{genus} {rest[0].rstrip('.,')}", rest[1:]
    if not more or _is_specimen(more[0]) or _INFRASPECIFIC.match(more[0]) or _is_new(more) or _is_authorship(more):
        return name
    if _OPEN.match(more[0]):  # an uncertain subspecies of a certain species, or an uncertain species
        return name if len(more) > 1 and _is_epithet(more[1]) and more[0] not in ("sp", "sp.") else ""
    if _is_epithet(more[0]) and not any(character.isdigit() for character in more[0]):
        return name  # a subspecies
    return " ".join([name, *more])


def _tidy(name: str) -> str:
    """A name with single spaces, without quotation marks, prefixes and support; "" for what means an unknown rank."""
    if len(name) > _MAX_CHARACTERS:
        return name.strip()
    text = re.sub(r"\s+", " ", name).strip(" \"'`")
    text = _SUPPORT.sub("", _PREFIX.sub("", text)).strip(" \"'`,;")
    if _UNKNOWN.match(text) or _LENT.search(text):
        return ""
    text = re.sub(r"[\[\]\"`]", "", text.replace("_", " "))
    text = re.sub(r"\s+", " ", text).strip(" '")
    return "" if _UNKNOWN.match(text) else text


def _is_subgenus(token: str) -> bool:
    return bool(re.match(r"^\([A-ZÀ-Þ][^\W\d_]+\)$", token)) and len(token) > 4


def _is_epithet(token: str) -> bool:
    return _EPITHET.match(token) is not None and not _OPEN.match(token)


def _is_specimen(token: str) -> bool:
    return _SPECIMEN.match(token.rstrip(",")) is not None


def _is_new(tokens: list[str]) -> bool:
    """Whether words after a binomial say that it is a new species."""
    return len(tokens) < 3 and all(_NEW.match(token) for token in tokens) and tokens not in (["sp"], ["sp."])


def _is_authorship(tokens: list[str]) -> bool:
    """Whether words are authors and years, such as `(L.)` or `de Geer, 1773`."""
    words = re.sub(r"[(),\[\]:;]", " ", " ".join(tokens)).split()
    if not words or words in (["form"], ["var"]):
        return False
    if any(_INFRASPECIFIC.match(word) for word in words) and words[0] in ("form", "var", "var.", "f."):
        return True
    is_known = all(_AUTHOR.match(word) or _YEAR.match(word) or word in _PARTICLE or word == "L" for word in words)
    return is_known and any(_AUTHOR.match(word) or _YEAR.match(word) or word == "L" for word in words)


def _is_first_of(token: str, genus: str) -> bool:
    """Whether a word is the genus, or its initial."""
    if not genus:
        return False
    first = genus.split()[0]
    return token.casefold() == first.casefold() or (len(token) == 2 and token[1] == "." and token[0] == first[0])


def _may_be_genus(token: str) -> bool:
    return _GENUS.match(token) is not None and len(token) > 1 and not (
        _NOT_A_GENUS.search(token) or token in _NO_GENERA
    )  # fmt: skip


def _is_genus_only(tokens: list[str]) -> bool:
    return len(tokens) > 1 and bool(_OPEN.match(tokens[1]) or tokens[1][0].islower() or _is_authorship(tokens[1:]))


def _mapped(column: pa.Array, clean: Callable[[str], str]) -> pa.Array:
    each = column.dictionary_encode()
    return pa.array([clean(name) for name in each.dictionary.to_pylist()], STRING).take(each.indices)


def _as_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.cast(STRING).fill_null("")
