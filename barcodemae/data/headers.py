"""Ids and taxonomies in the headers of FASTA, in the formats of common reference libraries.

- SINTAX and UTAX: `id;tax=k:Animalia,p:Arthropoda,..,g:Apis,s:Apis_mellifera;`
- QIIME 2 and Greengenes: `id k__Animalia; p__Arthropoda; ..; g__Apis; s__mellifera`
- UNITE: `name|accession|hypothesis|refs|k__Fungi;p__Ascomycota;..;s__Boletus_edulis`
- RDP, a release: `id words<TAB>Lineage=Root;rootrank;Animalia;domain;..;Apis;genus`
- RDP, a training set: `id<TAB>Root;Animalia;Arthropoda;..;Apis;Apis mellifera`, or with two taxa above the phylum,
  `id cellularOrganisms;Eukaryota;Metazoa;Arthropoda;..;Apis;Apis_mellifera`
- MIDORI2: `accession.start.end<TAB>root_1;Eukaryota_2759;Arthropoda_6656;..;Apis_7459;Apis mellifera_7460`, or with all
  that NCBI knows, `..<TAB>root_1;..;phylum_Arthropoda_6656;subphylum_..;..;species_Apis mellifera_7460`
- BOLD 3 and 4: `process id|taxon|marker` and `process id|taxon|marker|GenBank accession`
- BOLD 5: `process id|marker|country|Animalia,Arthropoda,Insecta,Hymenoptera,Apidae,Apinae,Apini,Apis,Apis mellifera`

MIDORI2's BLAST form has `###` instead of the tab; its SINTAX and QIIME forms contain the NCBI taxon ids too. For a rank
that is missing at NCBI, MIDORI2 gives the name of a lower rank (`order_Vannellidae_95227`), mkCOInr that of a higher
one (`Paguridae_6745_genus`), and the COI training set for RDP `undef_Eukaryota`: all three mean an unknown rank. BOLD 3
and 4 give one taxon of any rank: two words are a species, one word that ends with `-idae` is a family (by the code of
zoological nomenclature), and the rank of other words is unknown.

Sources: the headers of RDP's release 11; the manual of mkCOInr (mkcoinr.readthedocs.io); for MIDORI2, issue 85 of
gjeunen/reference_database_creator and the scripts of CVUA-RRW/FooDMe; for UNITE, the vignette on formats of the R
package dbpq; for BOLD 4, the manual of alexpiper/taxreturn (`fetch_bold`); for BOLD 5, the tests of the R package
optimotu.pipeline.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS, STRING


class _Format(NamedTuple):
    """Regular expressions (RE2) that recognise and read the headers of one format.

    Attributes:
        header: matches the headers of this format only.
        id: its group `id` is the id.
        names: rank -> an expression whose group `name` is the name; ranks that the format doesn't have are missing.
    """

    header: str
    id: str
    names: dict[str, str]


def _consecutive_ranks(separator: str, first: int) -> dict[str, str]:
    """The ranks in their order, after `first` names of higher ranks."""
    other = f"[^{separator}]*"
    return {rank: f"^(?:{other}{separator}){{{first + index}}}(?P<name>{other})" for index, rank in enumerate(RANKS)}


_PROCESS_ID = r"^(?P<id>[A-Z][A-Z0-9]*-[0-9]{2})\|"
_FIRST_WORD = r"^(?P<id>\S*)"
_BEFORE_LINEAGE = r"^(?P<id>\S*?)(?:###|\s|$)"

_LINEAGE = r"^[^|]*\|[^|]*\|[^|]*\|[^|,]*"
_FAMILY = ",[^|,]*"

_FORMATS = (
    _Format(
        header=";tax=",
        id=r"^(?P<id>\S*?)(?:;tax=|\s)",
        names={rank: rf";tax=(?:[^;]*,)?{rank[0]}:(?P<name>[^;]*?)(?:,[a-z]:|;|$)" for rank in RANKS},
    ),
    _Format(
        header=r"(?:^|[\s;|])[A-Za-z]{1,2}__[^;|]*;\s*[A-Za-z]__",
        id=r"^(?P<id>\S*?)(?:[;|][A-Za-z]{1,2}__|\s|$)",
        names={rank: rf"(?:^|[\s;|]){rank[0]}__(?P<name>[^;|]*)" for rank in RANKS},
    ),
    _Format(
        header=r"\sLineage=Root;rootrank",
        id=_FIRST_WORD,
        names={rank: rf";(?P<name>[^;]*);{rank}(?:;|$)" for rank in RANKS},
    ),
    _Format(
        header=r"(?:###|\s)root_1;.*;species_",
        id=_BEFORE_LINEAGE,
        names={rank: rf";{rank}_(?P<name>[^;]*)" for rank in RANKS},
    ),
    _Format(header=r"(?:###|\s)[Rr]oot(?:_1)?;", id=_BEFORE_LINEAGE, names=_consecutive_ranks(";", first=2)),
    _Format(header=r"\scellularOrganisms;", id=_BEFORE_LINEAGE, names=_consecutive_ranks(";", first=3)),
    _Format(
        header=_PROCESS_ID + r"[^|]*\|[^|]*\|(?:[^|,]*,){7}",
        id=_PROCESS_ID,
        # Tribe and subspecies are optional.
        names={
            **{rank: rf"{_LINEAGE}(?:{_FAMILY}){{{index}}},(?P<name>[^|,]*)" for index, rank in enumerate(RANKS[:4])},
            "genus": rf"{_LINEAGE}(?:{_FAMILY}){{5}}(?:{_FAMILY})?,(?P<name>[^|,]*),",
            "species": rf"{_LINEAGE}(?:{_FAMILY}){{6}}(?:{_FAMILY})?,(?P<name>[^|,]*)",
        },
    ),
    _Format(
        header=_PROCESS_ID + r"[^|]*\|[^|]*(?:\|[^|]*)?$",
        id=_PROCESS_ID,
        names={
            "family": r"^[^|]*\|(?P<name>[A-Z][a-z]+idae)\|",
            "genus": r"^[^|]*\|(?P<name>[A-Z][a-z]+) [a-z]",
            "species": r"^[^|]*\|(?P<name>[A-Z][a-z]+ [a-z][^|]*)",
        },
    ),
)

# Every header with a taxonomy contains one of these characters, which most headers do not.
_SIGN = "[;|]"

_WITH_TAXON_IDS = r"(?:###|\s)root_1;|(?:cellularOrganisms;|[kd]:|[kd]__)[^;,]*_[0-9]+"
_LENT_NAME = r"^(?:phylum|class|order|family|genus)_|_-?[0-9]+(?:_[a-z]+)+$|^undef_"
_UNKNOWN = (
    r"(?i)^(?:na|n/a|nan|none|null|not[ _]classified|unassigned|undefined|(?:.*[ _])?incertae[ _]sedis"
    r"|(?:unclassified|unidentified|unknown|uncultured|environmental|metagenome)\b.*)$"
)
_UNNAMED_SPECIES = r"^\S+ (?:sp|spp|cf|aff|nr)\b"


def read_headers(headers: pa.Array) -> dict[str, pa.Array]:
    """Read ids and taxonomies from headers; each header may have a format of its own.

    Underscores in names become spaces. Words for an unknown rank become "" (`unclassified`, `NA`, or a species such as
    `Apis sp.` or `Apis cf. mellifera`). The genus is added to a species that consists of its epithet only.

    Args:
        headers: `[n]`, text after the `>`.

    Returns:
        `id` and each of `RANKS` -> `[n]` text, "" if unknown. The id is the first word, or the process id in headers of
        BOLD.
    """
    nothing = pa.repeat(pa.scalar("", STRING), len(headers))
    columns = {"id": _group(headers, _FIRST_WORD, "id"), **dict.fromkeys(RANKS, nothing)}
    is_open = pc.match_substring_regex(headers, _SIGN).to_numpy(zero_copy_only=False)
    for form in _FORMATS:
        if not is_open.any():
            break
        is_ours = is_open & pc.match_substring_regex(headers, form.header).to_numpy(zero_copy_only=False)
        if not is_ours.any():
            continue
        is_open &= ~is_ours
        ours = headers.filter(pa.array(is_ours))
        found = {"id": _group(ours, form.id, "id"), **_ranks(ours, form)}
        columns = {
            name: pc.replace_with_mask(column, pa.array(is_ours), found[name]) for name, column in columns.items()
        }
    return columns


def has_taxonomy(headers: pa.Array) -> np.ndarray:
    """Which headers are of a format with a taxonomy: `[n]` bool."""
    return np.logical_or.reduce(
        [pc.match_substring_regex(headers, form.header).to_numpy(zero_copy_only=False) for form in _FORMATS]
    )


def _ranks(headers: pa.Array, form: _Format) -> dict[str, pa.Array]:
    nothing = pa.repeat(pa.scalar("", STRING), len(headers))
    has_taxon_ids = pc.match_substring_regex(headers, _WITH_TAXON_IDS)
    names = {}
    for rank in RANKS:
        if rank not in form.names:
            names[rank] = nothing
            continue
        name = _group(headers, form.names[rank], "name")
        if has_taxon_ids.true_count:
            name = pc.if_else(has_taxon_ids, pc.replace_substring_regex(name, r"_-?[0-9]+\s*$", ""), name)
        names[rank] = _clean(name)

    is_epithet = pc.match_substring_regex(names["species"], "^[a-z]")
    is_known = pc.not_equal(names["genus"], "")
    binomial = pc.if_else(
        is_known, pc.binary_join_element_wise(names["genus"], names["species"], pa.scalar(" ", STRING)), nothing
    )
    names["species"] = _blank(pc.if_else(is_epithet, binomial, names["species"]), _UNNAMED_SPECIES)
    return names


def _clean(names: pa.Array) -> pa.Array:
    """Names with spaces instead of underscores, and "" for words that mean an unknown rank."""
    each = names.dictionary_encode()  # a million headers have few different names
    name = pc.utf8_trim(each.dictionary, characters=' "')
    name = pc.replace_substring(_blank(name, _LENT_NAME), "_", " ")
    return _blank(name, _UNKNOWN).take(each.indices)


def _group(texts: pa.Array, pattern: str, group: str) -> pa.Array:
    """The group of an expression in each text, "" where the expression doesn't match."""
    return pc.struct_field(pc.extract_regex(texts, pattern), group).fill_null("")


def _blank(names: pa.Array, pattern: str) -> pa.Array:
    """The names, with "" for those that match."""
    return pc.if_else(pc.match_substring_regex(names, pattern), pa.scalar("", STRING), names)
