"""How much memory the rows of a Parquet file take, found before they are read.

Arrow reads a page as a whole, and as many rows as it is asked for. What both take stands in the headers of the pages
alone, for gigabytes may have been compressed to some bytes; and rows of a page that refers to a dictionary are as long
as the dictionary's values. Headers are structs in Thrift's compact protocol: see its specification
(doc/specs/thrift-compact-protocol.md in apache/thrift) and parquet.thrift in apache/parquet-format.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

MAX_PAGE_BYTES = 1 << 28
"""Largest page that is read. Most writers close one at 1 MB; some at 100 MB, or at the end of 262,144 rows."""

_MAX_HEADER_BYTES = 1 << 20
_MAX_DEPTH = 8
_DICTIONARY_PAGE = 2
# Where a header has what is told of a page's values, by the kind of page: field, and in it the field of the encoding.
_VALUES = {0: (5, 2), _DICTIONARY_PAGE: (7, 2), 3: (8, 4)}
_DICTIONARY_ENCODINGS = (2, 8)
_DELTA_BYTE_ARRAY = 7

# Parquet's names and Arrow's.
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd", "LZ4": "lz4_raw"}
_LENGTH = struct.Struct("<I")


class _Page(NamedTuple):
    """A page by its header.

    Attributes:
        begin: where its content begins in the file.
        packed: bytes of its content in the file.
        unpacked: bytes of its content when it is decompressed.
        num_values: in it.
        encoding: its number in parquet.thrift.
        is_dictionary: whether its values are those that later pages refer to.
    """

    begin: int
    packed: int
    unpacked: int
    num_values: int
    encoding: int
    is_dictionary: bool


def bytes_per_row(file: BinaryIO, group: pq.RowGroupMetaData, columns: list[str]) -> int:
    """Bytes that a row takes in the pages where rows take most.

    Args:
        file: the Parquet file.
        group: the row group.
        columns: to be read; none is nested.

    Raises:
        ValueError: a header is damaged, or a page is larger than `MAX_PAGE_BYTES`.
    """
    chunks = map(group.column, range(group.num_columns))
    return sum(_bytes_per_value(file, chunk) for chunk in chunks if chunk.path_in_schema in columns)


def _bytes_per_value(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> int:
    most = longest = 0
    for page in _pages(file, chunk):
        if max(page.packed, page.unpacked) > MAX_PAGE_BYTES:
            raise ValueError(
                f"a page of {max(page.packed, page.unpacked):,} bytes in column {chunk.path_in_schema!r}, of which at "
                f"most {MAX_PAGE_BYTES:,} are read: write it with smaller pages"
            )
        if page.is_dictionary:
            longest = _longest_value(file, chunk, page)
        elif page.encoding in _DICTIONARY_ENCODINGS:
            most = max(most, longest)
        elif page.encoding == _DELTA_BYTE_ARRAY:  # each value may begin with all of the one before
            most = max(most, page.unpacked)
        else:
            most = max(most, page.unpacked // max(page.num_values, 1))
    return most


def _longest_value(file: BinaryIO, chunk: pq.ColumnChunkMetaData, page: _Page) -> int:
    """The longest text of a dictionary, or all of it where its compression is one that we don't read."""
    if chunk.physical_type != "BYTE_ARRAY":
        return page.unpacked // max(page.num_values, 1)
    file.seek(page.begin)
    content = file.read(page.packed)
    if chunk.compression != "UNCOMPRESSED":
        try:
            content = pa.Codec(_CODECS[chunk.compression]).decompress(content, page.unpacked, asbytes=True)
        except (KeyError, pa.ArrowException, OSError):
            return page.unpacked
    longest = begin = 0
    while begin + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, begin)
        longest = max(longest, length)
        begin += _LENGTH.size + length
    return longest


def _pages(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    position, num_values = chunk.data_page_offset, 0
    if chunk.dictionary_page_offset and chunk.dictionary_page_offset < position:
        position = chunk.dictionary_page_offset
    end = position + chunk.total_compressed_size
    while position < end and num_values < chunk.num_values:
        header, length = _read_header(file, position)
        try:
            kind, unpacked, packed = header[1], header[2], header[3]
            if kind in _VALUES:
                field, encoding = _VALUES[kind]
                values, is_dictionary = header[field], kind == _DICTIONARY_PAGE
                page = _Page(position + length, packed, unpacked, values[1], values[encoding], is_dictionary)
                if min(page) < 0:
                    raise ValueError("a page has a size below 0")
                num_values += 0 if is_dictionary else page.num_values
                yield page
            position += length + packed
        except (KeyError, TypeError) as error:
            raise ValueError(f"the header of the page at byte {position:,} is damaged") from error


def _read_header(file: BinaryIO, position: int) -> tuple[dict[int, Any], int]:
    """A page's header, and its length; headers are short, but for those with long values among their statistics."""
    size = 1 << 10
    while size <= _MAX_HEADER_BYTES:
        file.seek(position)
        content = io.BytesIO(file.read(size))
        try:
            return _struct(content), content.tell()
        except EOFError:
            size <<= 2
    raise ValueError(f"the header of the page at byte {position:,} is damaged")


def _struct(content: BinaryIO, depth: int = 0) -> dict[int, Any]:
    """The fields of a struct, by their numbers."""
    fields: dict[int, Any] = {}
    number = 0
    while kind := (head := _byte(content)) & 0x0F:
        number = number + (head >> 4) if head >> 4 else _integer(content)
        fields[number] = kind == 1 if kind in (1, 2) else _value(content, kind, depth)
    return fields


def _value(content: BinaryIO, kind: int, depth: int) -> Any:
    if kind in (1, 2, 3):
        return _byte(content)
    if kind in (4, 5, 6):
        return _integer(content)
    if kind == 7:
        return _bytes(content, 8)
    if kind == 8:
        return _bytes(content, _unsigned(content))
    if kind == 12 and depth < _MAX_DEPTH:
        return _struct(content, depth + 1)
    raise ValueError(f"a page header holds a field of the unknown kind {kind}")


def _integer(content: BinaryIO) -> int:
    number = _unsigned(content)
    return (number >> 1) ^ -(number & 1)


def _unsigned(content: BinaryIO) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = _byte(content)
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number
    raise ValueError("a page header holds a number of more than 64 bits")


def _byte(content: BinaryIO) -> int:
    return _bytes(content, 1)[0]


def _bytes(content: BinaryIO, count: int) -> bytes:
    found = content.read(count)
    if len(found) < count:
        raise EOFError
    return found
