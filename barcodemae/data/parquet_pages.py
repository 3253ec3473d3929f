"""The memory that rows of a Parquet file need, computed from page headers before the rows are read.

Arrow reads complete pages, and the requested number of rows. Only the headers of the pages show their uncompressed
size, as some bytes may expand to gigabytes; and the rows of a page that refers to a dictionary are as long as the
values of the dictionary. Headers are structs in Thrift's compact protocol: see its specification
(doc/specs/thrift-compact-protocol.md in apache/thrift) and parquet.thrift in apache/parquet-format.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

MAX_PAGE_BYTES = 1 << 28
"""Maximum size of a page. Most writers end a page at 1 MB, some at 100 MB or after 262,144 rows."""

_MAX_HEADER_BYTES = 1 << 20
_MAX_DEPTH = 8
_DICTIONARY_PAGE = 2
# Kind of page -> the field of its header that describes the values, and therein the field of the encoding.
_VALUES = {0: (5, 2), _DICTIONARY_PAGE: (7, 2), 3: (8, 4)}
_DICTIONARY_ENCODINGS = (2, 8)
_DELTA_BYTE_ARRAY = 7

# Names of codecs in Parquet and in Arrow.
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd", "LZ4": "lz4_raw"}
_LENGTH = struct.Struct("<I")


class _Page(NamedTuple):
    """The header of a page.

    Attributes:
        begin: position of its content in the file.
        packed: bytes of its content in the file.
        unpacked: bytes of its content when decompressed.
        num_values: number of its values.
        encoding: number of the encoding in parquet.thrift.
        is_dictionary: whether it contains the values to which later pages refer.
    """

    begin: int
    packed: int
    unpacked: int
    num_values: int
    encoding: int
    is_dictionary: bool


def bytes_per_row(file: BinaryIO, group: pq.RowGroupMetaData, columns: list[str]) -> int:
    """Maximum size of a row, in bytes, over all pages.

    Args:
        file: the Parquet file.
        group: the row group.
        columns: names of the columns to read, none of them nested.

    Raises:
        ValueError: a header is damaged, or a page is larger than `MAX_PAGE_BYTES`.
    """
    chunks = map(group.column, range(group.num_columns))
    return sum(_bytes_per_value(file, chunk) for chunk in chunks if chunk.path_in_schema in columns)


def _bytes_per_value(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> int:
    maximum = longest = 0
    for page in _pages(file, chunk):
        if max(page.packed, page.unpacked) > MAX_PAGE_BYTES:
            raise ValueError(
                f"a page of {max(page.packed, page.unpacked):,} bytes in column {chunk.path_in_schema!r}; at most "
                f"{MAX_PAGE_BYTES:,} are read: write the file with smaller pages"
            )
        if page.is_dictionary:
            longest = _longest_value(file, chunk, page)
        elif page.encoding in _DICTIONARY_ENCODINGS:
            maximum = max(maximum, longest)
        elif page.encoding == _DELTA_BYTE_ARRAY:  # each value may start with the complete previous value
            maximum = max(maximum, page.unpacked)
        else:
            maximum = max(maximum, page.unpacked // max(page.num_values, 1))
    return maximum


def _longest_value(file: BinaryIO, chunk: pq.ColumnChunkMetaData, page: _Page) -> int:
    """Bytes of the longest text of a dictionary, or of the whole dictionary if its codec is not supported."""
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
    """The header of a page, and its length; headers are short unless their statistics have long values."""
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
    raise ValueError(f"a page header has a field of unknown kind {kind}")


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
    raise ValueError("a page header has a number of more than 64 bits")


def _byte(content: BinaryIO) -> int:
    return _bytes(content, 1)[0]


def _bytes(content: BinaryIO, count: int) -> bytes:
    found = content.read(count)
    if len(found) < count:
        raise EOFError
    return found
