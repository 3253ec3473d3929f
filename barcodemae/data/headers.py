"""Ids and taxonomies in the headers of FASTA, in the formats of common reference libraries.

`docs/formats.md` shows a header of each. For a rank that is missing at NCBI, MIDORI2 gives the name of a lower rank
(`order_Vannellidae_95227`), mkCOInr that of a higher one (`Paguridae_6745_genus`), and the COI training set for RDP
`undef_Eukaryota`: `names` takes all three as an unknown rank. BOLD 3 and 4 give one taxon of any rank: two words are a
species, one word that ends with `-idae` is a family (by the code of zoological nomenclature), and the rank of other
words is unknown.

Sources: the headers of RDP's release 11; the manual of mkCOInr (mkcoinr.readthedocs.io); for MIDORI2, issue 85 of
gjeunen/reference_database_creator and the scripts of CVUA-RRW/FooDMe; for UNITE, the vignette on formats of the R
package dbpq; for BOLD 4, the manual of alexpiper/taxreturn (`fetch_bold`); for BOLD 5, the tests of the R package
optimotu.pipeline; for DADA2, benjjneb.github.io/dada2/training.html.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from barcodemae.data.lineages import begins_lineage, is_above_phylum, read_lineage
from barcodemae.data.names import BIN
from barcodemae.data.schema import RANKS, STRING

ONLY_IDS = "ids only"

FORMATS = (
    "SINTAX",
    "QIIME 2, Greengenes or UNITE",
    "OBITools",
    "NCBI with modifiers",
    "RDP",
    "MIDORI2",
    "BOLD 5",
    "BOLD 3 or 4",
    "lineage",
    "NCBI",
    "DADA2 assignSpecies",
)
"""Formats of headers with names."""


class Header(NamedTuple):
    """What a header says.

    Attributes:
        id: the first word, or the process id of BOLD; "" where the header has no id.
        format: one of `FORMATS`, or `ONLY_IDS`.
        names: rank, or `bin` -> name, as written.
        problem: why a header that looks like one with names could not be read, or "".
    """

    id: str
    format: str = ONLY_IDS
    names: dict[str, str] = {}  # noqa: RUF012 - never changed
    problem: str = ""


def read_header(text: str) -> Header:
    """Read the id and the names of a header.

    Args:
        text: after the `>`.
    """
    has_id = not text.startswith("\t")  # as in a column of taxonomies
    text = text.strip()
    first = text.split(maxsplit=1)[0] if text and has_id else ""
    for read in (_sintax, _labelled, _pairs, _rdp, _midori, _bold, _lineage):
        if (header := read(text, first)) is not None:
            return header
    rest = text[len(first) :].strip()
    if rest and (header := _described(first, rest)) is not None:
        return header
    if len(text.split(";")) > 3 or len(text.split("|")) > 3:
        return Header(first, problem="expected a known format of names")
    return Header(first)


def is_lineage(text: str) -> bool:
    """Whether a text is a taxonomy of a known format, without an id."""
    return bool(read_header(f"\t{text}").names) and read_header(f"x\t{text}").format not in FORMATS[-2:]


def _sintax(text: str, first: str) -> Header | None:
    found = re.search(r"(?:^|[;\s])tax=", text)
    if found is None:
        return None
    items: list[tuple[str, str]] = []
    for part in text[found.end() :].split(";", 1)[0].split(","):
        label = re.match(r"\s*([A-Za-z]):", part)
        if label is not None:
            items.append((label[1].lower(), part[label.end() :]))
        elif items:  # a comma within a name
            items[-1] = (items[-1][0], f"{items[-1][1]},{part}")
    before = text[: found.start()].split()
    id = before[0].rstrip(";") if before else ""
    return Header(id, "SINTAX", _by_initial(items))


def _labelled(text: str, first: str) -> Header | None:
    """Names after the initials of their ranks: `k__Animalia; p__Arthropoda`, or `D_0__..` as in SILVA."""
    separators = ";|" if ";" in text or text.count("|") > 1 else ";|,"
    label = re.compile(rf"(?:^|[\s{separators}])\s*(D_\d|[A-Za-z]{{1,2}})__([^{separators}]*)")
    items = label.findall(text)
    if len(items) < 2:
        return None
    id = re.match(rf"[^\s]*?(?=[{separators}](?:D_\d|[A-Za-z]{{1,2}})__|\s|$)", text)
    names = _by_initial(
        [("kpcofgs"[int(key[2])] if key[:2] == "D_" and key[2] < "7" else key, name) for key, name in items]
    )
    found = id[0] if id is not None and not re.match(r"(?:D_\d|[A-Za-z]{1,2})__", id[0]) else ""
    return Header(found, "QIIME 2, Greengenes or UNITE", names)


def _by_initial(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    initials = {rank[0]: rank for rank in RANKS}
    items = list(items)
    has_ids = any(re.search(r"_\d+\s*$", name) for key, name in items if key in ("k", "d", "p", "sk"))
    return {initials[key]: _without_id(name) if has_ids else name for key, name in items if key in initials}


def _without_id(name: str) -> str:
    """A name without the taxon id of NCBI at its end."""
    return re.sub(r"_-?\d+\s*$", "", name)


def _pairs(text: str, first: str) -> Header | None:
    """Keys and values: `family_name=Apidae; ..` or JSON, as OBITools writes, or `[organism=Apis mellifera]`."""
    if organism := re.search(r"\[organism=([^\]]*)\]", text):
        return Header(first, "NCBI with modifiers", {"species": organism[1]})
    rest = text[len(first) :].strip()
    if rest.startswith("{"):
        try:
            data = json.loads(rest[: rest.rindex("}") + 1])
        except (ValueError, RecursionError):
            return None
        values = {str(key).lower(): str(value) for key, value in data.items() if isinstance(value, str | int)}
    else:
        found = re.findall(r"(?:^|[;\s])\s*(\w+)=([^;=]*)(?=;|$)", text)
        values = {key.lower(): value.strip(" '\"") for key, value in found}
        values = {key: re.sub(r"^b(['\"])(.*)\1?$", r"\2", value) for key, value in values.items()}
    names = {rank: values[key] for rank in RANKS for key in (f"{rank}_name", rank) if key in values}
    scientific, rank = values.get("scientific_name", ""), values.get("rank", "").lower()
    if taxon := re.match(r"taxon:\d+ \[(.*)\]@(\w+)$", values.get("taxid", "")):
        scientific, rank = taxon[1], taxon[2].lower()
    if scientific and not any(names.values()):
        is_species = " " in scientific if not rank else rank in ("species", "subspecies")
        names = {"species" if is_species else rank: scientific} if is_species or rank in RANKS else {}
    if not names and not ({"taxid", "scientific_name"} & set(values)):
        return None
    return Header(first.rstrip(";"), "OBITools", names)


def _rdp(text: str, first: str) -> Header | None:
    found = re.search(r"\sLineage=Root;rootrank;?", text)
    if found is None:
        return None
    parts = text[found.end() :].split(";")
    ranks = dict(zip(parts[1::2], parts[::2], strict=False))
    return Header(first, "RDP", {rank: ranks[rank] for rank in RANKS if rank in ranks})


def _midori(text: str, first: str) -> Header | None:
    """MIDORI2 with all that NCBI knows: the name of its rank before each name, its taxon id behind."""
    found = re.search(r"(?:###|\s)root_1;(?=.*;species_)", text)
    if found is None:
        return None
    names = {}
    for part in text[found.end() :].split(";"):
        rank, _, name = part.partition("_")
        if rank in RANKS:
            names[rank] = _without_id(name)
    return Header(first.split("###")[0], "MIDORI2", names)


_PROCESS_ID = re.compile(r"^[A-Z][A-Z0-9]*-\d{2}$")


def _bold(text: str, first: str) -> Header | None:
    fields = [field.strip() for field in text.split("|")]
    if len(fields) < 2 or not _PROCESS_ID.match(fields[0]):
        return None
    bins = [field for field in fields if BIN.fullmatch(field)]
    names = {"bin": bins[0]} if bins else {}
    for field in fields[1:]:
        taxa = [taxon.strip() for taxon in field.split(",")]
        if len(taxa) > 4 and begins_lineage(taxa[0]):
            ranks = _of_bold_5(taxa)
            if isinstance(ranks, str):
                return Header(fields[0], problem=ranks)
            return Header(fields[0], "BOLD 5", names | ranks)
    for field in fields[1:3]:
        taxon = field.replace("_", " ")
        if re.match(r"^[A-Z][a-z]+idae$", taxon):
            return Header(fields[0], "BOLD 3 or 4", {"family": taxon} | names)
        if re.match(r"^[A-Z][a-zà-ÿ]+ (?!and |of )[(a-z]", taxon):
            return Header(fields[0], "BOLD 3 or 4", {"species": taxon} | names)
    return _pipes(text, first) or Header(fields[0], "BOLD 3 or 4", names)


def _of_bold_5(taxa: list[str]) -> dict[str, str] | str:
    """Ranks of kingdom, phylum, class, order, family, subfamily, [tribe,] genus, species[, subspecies]."""
    if not 8 <= len(taxa) <= 10:
        return f"expected 8, 9 or 10 names from kingdom to species or subspecies, got {len(taxa)}"
    genus = 7 if len(taxa) > 8 else 6
    if len(taxa) == 9 and taxa[7].startswith(f"{taxa[6]} "):  # without a tribe, with a subspecies
        genus = 6
    return {**dict(zip(RANKS[:4], taxa[1:5], strict=True)), "genus": taxa[genus], "species": taxa[genus + 1]}


_NO_KINGDOM = {"", "NA", "nan", "None"}


def _lineage(text: str, first: str) -> Header | None:
    """Names in the order of their ranks, separated by semicolons: RDP, DADA2, CRABS, IDTAXA, mkCOInr, COIDB, mothur."""
    if ";" not in text:
        return _pipes(text, first)
    if "###" in first:
        id, _, lineage = text.partition("###")
    elif ";" in first and text[:1] == first[:1]:
        parts = text.split(";")
        is_id = parts[0] not in _NO_KINGDOM and not begins_lineage(parts[0])
        is_id = is_id and len(parts) > 2 and (begins_lineage(parts[1]) or parts[1].isdigit())
        id, lineage = (parts[0], ";".join(parts[1:])) if is_id else ("", text)
    else:
        id, lineage = first, text[len(first) :]
        if "\t" in text:
            lineage = text[text.rindex("\t") :]
        elif ";" in lineage and not begins_lineage(lineage.split(";")[0]):  # words before the lineage
            words = lineage.split(";")[0].split()
            if words and begins_lineage(words[-1]):
                lineage = lineage[lineage.index(words[-1]) :]
    names = lineage.strip().removesuffix(";").split(";")
    top = names[0].strip()
    if len(names) < 2 or any("=" in name for name in names):
        return None
    ranks = read_lineage(names)
    if isinstance(ranks, str):
        looks_like_one = len(names) > 3 or begins_lineage(top)
        # In headers of other kinds too, such as definitions of NCBI, there may be a semicolon.
        return Header(id, problem=ranks) if looks_like_one else None
    if any(re.search(r"_\d+$", name) for name in names if is_above_phylum(name)):
        ranks = {rank: _without_id(name) if rank != "bin" else name for rank, name in ranks.items()}
    return Header(id, "lineage", ranks)


def _pipes(text: str, first: str) -> Header | None:
    """A lineage, or one species, in fields between `|`, after an id."""
    fields = [field.strip() for field in text.split("|")]
    if len(fields) > 3 and any(begins_lineage(field) for field in fields[1:]):
        begin = next(number for number, field in enumerate(fields) if number and begins_lineage(field))
        ranks = read_lineage(fields[begin:])
        if isinstance(ranks, str):
            return Header(fields[0], problem=ranks)
        return Header(fields[0], "lineage", ranks)
    return None


# What ends the name of a species in a definition of NCBI.
_KEYWORD = re.compile(
    r"^(?:voucher|isolate|strain|clone|specimen|haplotype|mitochondri\w+|cytochrome|gene|genes|COI|COX1|CO1|COXI|cox1|coI|COII"
    r"|chromosome|genome|partial|complete|sequence|DNA|mRNA|ribosomal|\d+S|tRNA\S*|internal|country|cultivar|breed|subunit"
    r"|chloroplast|plastid|maturase|ribulose\S*|rbcL|matK|ITS\d?|cds|whole|assembly|small|large|NADH)[,;:]?$"
)
_NO_NAMES = {
    *(
        "Sample",
        "Clone",
        "Isolate",
        "Sequence",
        "Contig",
        "Read",
        "Query",
        "Cluster",
        "Consensus",
        "Otu",
        "Zotu",
        "Length",
    ),
    *(
        "Forward",
        "Reverse",
        "Reversed",
        "Partial",
        "Complete",
        "Unknown",
        "Forest",
        "River",
        "Lake",
        "Site",
        "Plot",
        "Trap",
    ),
    *(
        "Soil",
        "Water",
        "Marine",
        "Field",
        "Run",
        "Plate",
        "Well",
        "Barcode",
        "Primer",
        "Species",
        "New",
        "Test",
        "My",
        "The",
    ),
}
_NO_EPITHETS = {
    "from",
    "of",
    "and",
    "the",
    "soil",
    "sample",
    "sequence",
    "clone",
    "in",
    "at",
    "with",
    "for",
    "by",
    "read",
}


def _described(first: str, rest: str) -> Header | None:
    """A name of species behind the id: `ID Genus species` (DADA2), or a definition of NCBI."""
    rest = re.sub(r"^(?:UNVERIFIED(?:_ORG)?|PREDICTED|TPA(?:_\w+)?|MAG|Uncultured):?\s+", "", rest)
    words = rest.split(maxsplit=12)
    if not re.match(r"^(?:\[?[A-Z][a-zà-ÿ-]+\]?)$", words[0]) or words[0] in _NO_NAMES or len(words) < 2:
        return None
    if words[1].lower() in _NO_EPITHETS or not re.match(r"^[\[(]?[a-z\u00d7A-Z]", words[1]):
        return None
    ends = [number for number, word in enumerate(words) if _KEYWORD.match(word)]
    if ends and ends[0] >= 1:
        return Header(first, "NCBI", {"species": " ".join(words[: ends[0]])})
    is_name = re.match(r"^[a-z][a-z-]{2,}$|^(?:sp|cf|aff|nr|n)\.?$|^x$|^\u00d7", words[1]) is not None
    if is_name and len(words) <= 6 and (len(words) == 2 or re.match(r"^[a-zA-Z(\u00d7]", words[2])) and "=" not in rest:
        if len(words) > 2 and any(word in _NO_EPITHETS for word in words):
            return None
        return Header(first, "DADA2 assignSpecies", {"species": rest})
    return None


def read_taxa(texts: Sequence[str]) -> dict[str, pa.Array]:
    """Read taxonomies that are in a column of their own, in any format of headers.

    Args:
        texts: `[n]`.

    Returns:
        Each of `RANKS` -> `[n]` text, as written; "" where unknown.
    """
    found = {text: read_header(f"\t{text}").names for text in set(texts)}
    return {rank: pa.array([found[text].get(rank, "") for text in texts], STRING) for rank in RANKS}
