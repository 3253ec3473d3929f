"""Annotations of reads in ids and headers: how many reads a record is for, and the sample that they are from.

- VSEARCH and USEARCH: `id;size=12;sample=S1;` or `id;barcodelabel=S1;size=12`
- OBITools 1 to 3: `id count=12; sample=S1;`
- OBITools 4: `id {"count":12,"sample":"S1"}`

Sources: the manual of vsearch (`--sizein`, `--sample`, `--otutabout`); the documentation of OBITools (attributes of
`obigrep` and `obiuniq`) and of OBITools 4 (file formats, annotations as JSON).
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

# Every annotation contains one of these characters, which most ids do not.
_SIGN = "[=:]"

# At the beginning of a header, or after the end of a word or of another annotation.
_BEGIN = r"(?:^|[;\s{,])"

# Fifteen digits, so that sums of many do not overflow.
_SIZE = _BEGIN + r"(?:(?:size|count)=|\"count\":\s*)(?P<value>[1-9][0-9]{0,14})\s*(?:[;,}\s]|$)"
_SAMPLE = _BEGIN + r"(?:(?:sample|barcodelabel)=[\"']?|\"sample\":\s*\")(?P<value>[^;\s\"',}]+)"


def read_annotations(headers: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Read numbers of reads and samples from ids or complete headers.

    Args:
        headers: `[n]`, text.

    Returns:
        `size`: int64 `[n]`, 1 where a header has none; and `sample`: text `[n]`, "" where a header has none.
    """
    if not pc.any(pc.match_substring_regex(headers, _SIGN)).as_py():
        n = len(headers)
        return {"size": pa.repeat(pa.scalar(1, pa.int64()), n), "sample": pa.repeat(pa.scalar("", headers.type), n)}
    sizes, samples = (pc.struct_field(pc.extract_regex(headers, form), "value") for form in (_SIZE, _SAMPLE))
    return {"size": sizes.cast(pa.int64()).fill_null(1), "sample": samples.fill_null("")}


def with_size(id: str, size: int) -> str:
    """An id with a number of reads, in place of the one that it has, as `vsearch --sizeout` writes it.

    Examples:
        >>> from barcodemae.data.annotations import with_size
        >>> with_size("ASV1;size=12;sample=S1;", 30)
        'ASV1;sample=S1;size=30'
    """
    rest = re.sub(r"(?:^|(?<=;))size=[0-9]+(?:;|$)", "", id).rstrip(";")
    return f"{rest};size={size}"
