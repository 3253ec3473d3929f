"""Opens files by their content: gzip, bzip2, xz, Zstandard and ZIP are decompressed as they are read.

xopen is not used: it starts other programs, lacks ZIP and standard input, and limits no memory. Whatever a file
contains, only some megabytes of it are in memory.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from barcodemae.errors import UnreadableFileError

PARQUET = b"PAR1"

_BLOCK_BYTES = 1 << 16
_NUM_FIRST = 512
_MAX_NESTED = 3
# xz -9 needs 65 MB.
_MAX_XZ_MEMORY = 1 << 28
_MAX_ZIP_DIRECTORY = 1 << 20

_GZIP, _BZIP2, _XZ, _ZSTD, _ZIP = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_KINDS = {_GZIP: "gzip", _BZIP2: "bzip2", _XZ: "xz", _ZSTD: "Zstandard", _ZIP: "ZIP"}
# Files that are something else: their first bytes, and what to say.
_OTHERS = {
    b"PK\x05\x06": "an empty ZIP archive",
    b"7z\xbc\xaf": "a 7-Zip archive; extract it",
    b"Rar!": "a RAR archive; extract it",
    b"\x1f\x9d": "a file compressed by compress (.Z); decompress it",
    b"\x04\x22\x4d\x18": "a file compressed by LZ4; decompress it",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word document; save it as CSV",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"BAM\x01": "a BAM file; convert it to FASTQ",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"{\\rtf": "a rich text document; save it as plain text",
}


@contextmanager
def open_content(source: Path | BinaryIO, name: str) -> Iterator[tuple[bytes, BinaryIO]]:
    """Open the decompressed content of a file.

    Args:
        source: a path, or a stream such as standard input, which stays open.
        name: for errors.

    Yields:
        The first bytes, and the content from its beginning.

    Raises:
        UnreadableFileError: it can't be read to its end, is an archive of several files, or needs too much memory.
    """
    with ExitStack() as files, readable(name):
        is_file = isinstance(source, Path)
        content = cast(BinaryIO, files.enter_context(source.open("rb")) if isinstance(source, Path) else source)
        for depth in range(_MAX_NESTED + 1):
            first, content = _peek(content)
            kind = next((kind for kind in _KINDS if first.startswith(kind)), None)
            if kind is None:
                break
            if depth == _MAX_NESTED:
                raise UnreadableFileError(name, f"expected records, got {_MAX_NESTED} compressed files in each other")
            if kind == _ZIP:
                if not is_file or depth:
                    raise UnreadableFileError(name, "expected text, got a ZIP archive, which must be a file")
                content = _from_zip(cast(Path, source), name, files)
            else:
                content = _decompressed(content, kind)
        for magic, what in _OTHERS.items():
            if first.startswith(magic):
                raise UnreadableFileError(name, f"expected FASTA, FASTQ, a table or Parquet, got {what}")
        if first[257:262] == b"ustar":
            raise UnreadableFileError(name, "expected records, got a tar archive; extract it")
        yield first, content


@contextmanager
def readable(name: str | Path) -> Iterator[None]:
    """Raise the errors of reading a file as one that names it.

    Raises:
        UnreadableFileError: the file can't be read to its end.
    """
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError(name, f"expected a complete gzip file, got: {error}") from error
    except (_CompressedError, lzma.LZMAError) as error:
        raise UnreadableFileError(name, f"expected a complete compressed file, got: {error}") from error
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError) and "passw" not in str(error):
            raise
        raise UnreadableFileError(name, f"expected a complete ZIP archive without a password, got: {error}") from error
    except OSError as error:
        raise UnreadableFileError(name, f"expected a readable file, got {error.strerror or str(error)!r}") from error


class _CompressedError(Exception):
    """Compressed data are damaged or end too early."""


def _peek(content: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first bytes, and the content from its beginning."""
    first = b""
    while len(first) < _NUM_FIRST and (block := content.read(_NUM_FIRST - len(first))):
        first += block
    return first, cast(BinaryIO, io.BufferedReader(_Rewound(first, content), _BLOCK_BYTES))


class _Rewound(io.RawIOBase):
    """Content whose first bytes have been read already, from its beginning. Closing it leaves the content open."""

    def __init__(self, first: bytes, content: BinaryIO):
        self._first = first
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._first[: len(buffer)] or self._content.read(len(buffer))
        self._first = self._first[len(block) :]
        buffer[: len(block)] = block
        return len(block)


def _decompressed(content: BinaryIO, kind: bytes) -> BinaryIO:
    if kind == _GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=content))
    raw = _Zstandard(content) if kind == _ZSTD else _Blocks(content, kind)
    return cast(BinaryIO, io.BufferedReader(raw, _BLOCK_BYTES))


class _Blocks(io.RawIOBase):
    """Decompresses bzip2 or xz, one stream after the other, in blocks of limited size."""

    def __init__(self, content: BinaryIO, kind: bytes):
        self._content, self._kind = content, kind
        self._decompressor = self._new()
        self._left = b""
        self._is_begun = False  # of the present stream

    def _new(self) -> Any:
        return bz2.BZ2Decompressor() if self._kind == _BZIP2 else lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._decompressor.eof:
                self._left = self._decompressor.unused_data or self._left
                self._left = self._left.lstrip(b"\0") or self._content.read(_BLOCK_BYTES)  # padding
                if not self._left:
                    return 0
                self._decompressor, self._is_begun = self._new(), False
            if self._decompressor.needs_input and not self._left:
                self._left = self._content.read(_BLOCK_BYTES)
                if not self._left:
                    raise _CompressedError(f"the end of the file within its {_KINDS[self._kind]} data")
            try:
                data = self._decompressor.decompress(self._left, len(buffer))
            except (OSError, lzma.LZMAError) as error:
                raise _CompressedError(str(error)) from error
            self._left = b""
            if data:
                buffer[: len(data)] = data
                return len(data)


class _Zstandard(io.RawIOBase):
    """Decompresses Zstandard by Arrow, since Python has it only from 3.14."""

    def __init__(self, content: BinaryIO):
        self._stream = pa.CompressedInputStream(pa.PythonFile(content, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(min(len(buffer), _BLOCK_BYTES))
        except (pa.ArrowException, OSError) as error:
            raise _CompressedError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)


class _SmallReads:
    """A file of which `zipfile` may not read much at once, since it reads the directory of an archive at once."""

    def __init__(self, content: BinaryIO):
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    def read(self, size: int = -1) -> bytes:
        content = self._content.read(min(size, _MAX_ZIP_DIRECTORY + 1) if size >= 0 else _MAX_ZIP_DIRECTORY + 1)
        if len(content) > _MAX_ZIP_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of more than {_MAX_ZIP_DIRECTORY:,} bytes")
        return content


def _from_zip(path: Path, name: str, files: ExitStack) -> BinaryIO:
    """The only file of an archive, besides those that systems add."""
    content = cast(BinaryIO, _SmallReads(files.enter_context(path.open("rb"))))
    archive = files.enter_context(zipfile.ZipFile(content))
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/") and Path(member.filename).name[:1] != "."
    ]
    names = {member.filename for member in members}
    for sign, what in (("xl/workbook.xml", "an Excel workbook"), ("word/document.xml", "a Word document")):
        if sign in names:
            raise UnreadableFileError(name, f"expected records, got {what}; save it as CSV")
    if "mimetype" in names:
        raise UnreadableFileError(name, "expected records, got a LibreOffice document; save it as CSV")
    if len(members) != 1:
        found = f"{len(members):,} files" + "".join(f", such as {member.filename!r}" for member in members[:1])
        raise UnreadableFileError(name, f"expected a ZIP archive of one file, got {found}; extract it")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableFileError(name, "expected a ZIP archive compressed by deflate, got another method; extract it")
    return cast(BinaryIO, files.enter_context(archive.open(members[0])))
