"""Annotations of reads in ids and headers: how many reads a record is for, and the samples that they are from.

- VSEARCH and USEARCH: `id;size=12;sample=S1;` or `id;barcodelabel=S1;size=12`
- OBITools 1 to 3: `id count=12; sample=S1;`, or of several samples `id count=12; merged_sample={'S1': 9, 'S2': 3};`
- OBITools 4: `id {"count":12,"sample":"S1"}`, or of several samples `id {"count":12,"merged_sample":{"S1":9,"S2":3}}`

The numbers of reads of several samples are written as one text, `S1=9;S2=3;`: no name of a single sample ends with a
semicolon.

Sources: the manual of vsearch (`--sizein`, `--sample`, `--otutabout`); the documentation of OBITools (attributes of
`obigrep` and of `obiuniq -m sample`) and of OBITools 4 (file formats, annotations as JSON).
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
_MERGED = _BEGIN + r"(?:merged_sample=|\"merged_sample\":)\s*\{(?P<value>[^{}]*)\}"
_MERGED_SAMPLE = r"\s*[\"']([^\"';]+)[\"']\s*:\s*([0-9]{1,15})\s*(?:,|$)"
_SEVERAL = "(?:[^;]+=[0-9]+;)+"


def read_annotations(headers: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Read numbers of reads and samples from ids or complete headers.

    Args:
        headers: `[n]`, text.

    Returns:
        `size`: int64 `[n]`, that of the samples together where a header has no other, or 1; and `sample`: text `[n]`,
        "" where a header has none.
    """
    if not pc.any(pc.match_substring_regex(headers, _SIGN)).as_py():
        n = len(headers)
        return {"size": pa.repeat(pa.scalar(1, pa.int64()), n), "sample": pa.repeat(pa.scalar("", headers.type), n)}
    several = None
    if pc.any(pc.match_substring(headers, "merged_sample")).as_py():
        several = _several_samples(headers)
        headers = pc.replace_substring_regex(headers, _MERGED, ";")
    sizes, samples = (pc.struct_field(pc.extract_regex(headers, form), "value") for form in (_SIZE, _SAMPLE))
    sizes = sizes.cast(pa.int64())
    if several is not None:
        samples = pc.coalesce(several, samples)
        totals = [sum(reads_by_sample(text or "").values()) or None for text in several.to_pylist()]
        sizes = pc.coalesce(sizes, pa.array(totals, pa.int64()))
    return {"size": sizes.fill_null(1), "sample": samples.fill_null("")}


def _several_samples(headers: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The numbers of reads of several samples as one text, `[n]`; null where a header has none."""
    values = pc.struct_field(pc.extract_regex(headers, _MERGED), "value")
    texts = pc.replace_substring_regex(values, _MERGED_SAMPLE, r"\1=\2;")
    is_read = pc.fill_null(pc.match_substring_regex(texts, f"^{_SEVERAL}$"), False)
    return pc.if_else(is_read, texts, pa.scalar(None, texts.type))


def reads_by_sample(sample: str) -> dict[str, int]:
    """The numbers of reads of several samples; empty for a single one.

    Args:
        sample: as from `read_annotations`.

    Examples:
        >>> from barcodemae.data.annotations import reads_by_sample
        >>> reads_by_sample("S1=9;S2=3;"), reads_by_sample("S1")
        ({'S1': 9, 'S2': 3}, {})
    """
    if not re.fullmatch(_SEVERAL, sample):
        return {}
    pairs = (part.rsplit("=", 1) for part in sample.removesuffix(";").split(";"))
    return {name: int(count) for name, count in pairs}


def with_size(id: str, size: int) -> str:
    """An id with a number of reads, in place of the one that it has, as `vsearch --sizeout` writes it.

    Examples:
        >>> from barcodemae.data.annotations import with_size
        >>> with_size("ASV1;size=12;sample=S1;", 30)
        'ASV1;sample=S1;size=30'
    """
    rest = re.sub(r"(?:^|(?<=;))size=[0-9]+(?:;|$)", "", id).rstrip(";")
    return f"{rest};size={size}"
