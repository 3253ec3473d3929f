"""The manifest of a reference library, `library.json`: a library changes in the one moment when it is replaced.

LIBRARY/
  library.json                 model, segments, removed records, calibration; a fingerprint of every file
  segment-00000/               one build or append
    part-00000.arrow           records, bases and vectors
    index.safetensors          lists of an inverted file, for a segment too large for an exact search
  removed-00001.npy            numbers of removed records
  calibration-00000.json       how reliable names are
  building.json                input of a segment, or markers of a collection of libraries, being built
"""

import hashlib
import json
import re
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.data.sources import HUB
from barcodemae.errors import LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.search.comparison import BasesOnFrame, Comparison, KmerSets

MANIFEST_FILE = "library.json"
BUILDING_FILE = "building.json"
VERSION = 1

# The complete names of a library's files: a library may come from anywhere, and nothing else in its folder is touched.
SEGMENT_NAME = re.compile(r"segment-[0-9]{5}")
INDEX_FILE = "index.safetensors"
# Earlier versions wrote an index of FAISS. It is not read: such a segment is searched exactly.
SEGMENT_FILE_NAME = re.compile(r"part-[0-9]{5}\.arrow|index\.safetensors|index\.faiss")
REMOVED_NAME = re.compile(r"removed-[0-9]{5}\.npy")
CALIBRATION_NAME = re.compile(r"calibration-[0-9]{5}\.json")

_MODEL = ("name", "weights_sha256", "engine")

# For a library of ten million records it has some 100,000 bytes.
_MAX_TEXT_BYTES = 2**24

_BLOCK_BYTES = 4096
_NUM_BLOCKS = 64


@dataclass(frozen=True)
class Fingerprint:
    """A digest that distinguishes a file from others, and from a truncated copy, without reading all of it.

    It protects against accidents, not against the author of a library, who writes the fingerprints too. So the contents
    of a library are checked when it is opened, whatever the fingerprints are.

    Attributes:
        bytes: size of the file.
        blake2: of 64 blocks of 4,096 bytes at equal distances, including the first and the last. A change between two
            blocks of a larger file that leaves its size is not detected, such as a bit flipped on a disk.
    """

    bytes: int
    blake2: str


@dataclass(frozen=True)
class Source:
    """A file or data set that records were read from.

    Attributes:
        name: of the file, without its folder; or of the data set on the Hub.
        version: SHA-256 of the file's content, or the data set's version.
    """

    name: str
    version: str


@dataclass(frozen=True)
class Segment:
    """The records of one build or append.

    Attributes:
        name: of its folder.
        num_records: so many.
        files: name -> fingerprint.
        index: how it is searched: `kind`, and of an approximate one `nprobe` and `recall`, measured when it was built.
        sources: files and data sets that its records were read from.
        taxonomy: digest of the table that named them; empty where there was none.
        num_excluded: number of its records that were left out as suspects when it was built, and so are among the
            removed ones; None if suspects were not to be left out.
        primers: outside of which its bases were left out; empty for none.
        distilled_from: number of records of a larger library that these were chosen from; None if they were not.
    """

    name: str
    num_records: int
    files: dict[str, Fingerprint]
    index: dict[str, Any]
    sources: tuple[Source, ...] = ()
    taxonomy: str = ""
    num_excluded: int | None = None
    primers: str = ""
    distilled_from: int | None = None


@dataclass(frozen=True)
class Manifest:
    """The contents of a library.

    Attributes:
        model: `name, weights_sha256, engine` of the model that made the vectors.
        dimension: of a vector.
        frame_length: number of coordinates of the reference frame; 0 for a marker without one, compared by k-mers.
        marker: name of the marker.
        segments: in the order of their records' numbers.
        removed: files with the numbers of removed records, by name.
        calibration: the file of the calibration, by name; empty if there is none.
    """

    model: dict[str, str]
    dimension: int
    frame_length: int
    marker: str
    segments: tuple[Segment, ...] = ()
    removed: dict[str, Fingerprint] = field(default_factory=dict)
    calibration: dict[str, Fingerprint] = field(default_factory=dict)

    @classmethod
    def of(cls, model: dict[str, str], dimension: int, comparison: Comparison, marker: str) -> "Manifest":
        """The manifest of a library without records; its barcodes are compared in this way."""
        return cls(model, dimension, comparison.width if isinstance(comparison, BasesOnFrame) else 0, marker)

    @property
    def comparison(self) -> Comparison:
        """How the library's barcodes are compared."""
        return BasesOnFrame(self.frame_length) if self.frame_length else KmerSets()

    @property
    def num_records(self) -> int:
        """Number of records, removed ones included: the numbers of records are never reused."""
        return sum(segment.num_records for segment in self.segments)

    def files(self) -> dict[str, Fingerprint]:
        """All files of the library except `library.json`, by the path in its folder."""
        in_segments = {
            f"{segment.name}/{name}": found for segment in self.segments for name, found in segment.files.items()
        }
        return in_segments | self.removed | self.calibration

    def as_text(self) -> str:
        """The content of `library.json`."""
        return json.dumps({"version": VERSION} | asdict(self), indent=2) + "\n"


def fingerprint(file: Path) -> Fingerprint:
    """The fingerprint of a file.

    Raises:
        OSError: it can't be read.
    """
    size = file.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        last = max(size - _BLOCK_BYTES, 0)
        for offset in sorted({last * i // (_NUM_BLOCKS - 1) for i in range(_NUM_BLOCKS)}):
            content.seek(offset)
            digest.update(content.read(_BLOCK_BYTES))
    return Fingerprint(size, digest.hexdigest())


def read_text(file: Path) -> str:
    """Read a text file of a library, of 16 MiB at most.

    Raises:
        LibraryError: it can't be read, is larger, or is not UTF-8.
    """
    try:
        with file.open("rb") as content:
            found = content.read(_MAX_TEXT_BYTES + 1)
        if len(found) > _MAX_TEXT_BYTES:
            raise LibraryError(f"{file}: expected at most {_MAX_TEXT_BYTES:,} bytes, got more")
        return found.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryError(f"{file}: expected a text file of a library, got: {error}") from error


def refuse_hub(folder: Path) -> None:
    """Raise an error for the name of a library on the Hub, which can be searched but not changed.

    Raises:
        LibraryError: the folder is such a name.
    """
    if str(folder).startswith(HUB):
        raise LibraryError(f"{folder}: expected a folder, as a library on the Hub can be searched but not changed")


def read_manifest(folder: Path) -> Manifest:
    """Read `library.json`.

    Raises:
        LibraryError: there is none, it is not a manifest of this version, or it names files outside the folder.
    """
    refuse_hub(folder)
    file = folder / MANIFEST_FILE
    try:
        _check_is_file(folder, file)
        data = json.loads(read_text(file))
        if data["version"] != VERSION:
            raise LibraryError(f"{file}: expected a library of version {VERSION}, got version {data['version']!r}")
        segments = tuple(_segment(one) for one in data["segments"])
        if not segments:
            raise ValueError("expected at least one segment, got none")
        model = {key: _text(data["model"][key]) for key in _MODEL}
        removed = _fingerprints(data["removed"], REMOVED_NAME)
        calibration = _fingerprints(data["calibration"], CALIBRATION_NAME)
        dimension, frame_length = _count(data["dimension"]), _count(data["frame_length"], minimum=0)
        marker = _text(data["marker"])
        return Manifest(model, dimension, frame_length, marker, segments, removed, calibration)
    except FileNotFoundError as error:
        raise LibraryError(f"{folder}: {_what_instead(folder)}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryError(f"{file}: expected the manifest of a library, got: {error!r}") from error


def libraries_within(folder: Path) -> list[Path]:
    """The folders of the libraries of a collection, by name; an empty list for any other folder.

    Links and hidden folders are ignored.
    """
    if not folder.is_dir() or (folder / MANIFEST_FILE).exists():
        return []
    inner = (path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and not path.is_symlink())
    return [path for path in inner if (path / MANIFEST_FILE).is_file()]


def _what_instead(folder: Path) -> str:
    """What was expected and what a folder without a manifest is, in words."""
    if (folder / BUILDING_FILE).is_file():
        return (
            "expected a complete library, got one whose build has not ended; if it was interrupted, repeat the command"
        )
    if libraries := libraries_within(folder):
        names = ", ".join(path.name for path in libraries)
        return f"expected one library, got a collection of libraries ({names}); name one, such as {libraries[0]}"
    return f"expected a reference library (a folder with {MANIFEST_FILE}), found none"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest; it replaces the one before."""
    with written_atomically(folder) as scratch:
        (scratch / MANIFEST_FILE).write_text(manifest.as_text(), encoding="utf-8")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Check that all files are as they were when the manifest was written.

    Raises:
        LibraryError: a file is missing, or has another size or digest, or is not a regular file.
    """
    for segment in manifest.segments:
        if (folder / segment.name).is_symlink():
            raise LibraryError(f"{folder / segment.name}: expected a folder of the library, got a link")
    for name, expected in manifest.files().items():
        file = folder / name
        try:
            _check_is_file(folder, file)
            found = fingerprint(file)
        except OSError as error:
            raise LibraryError(f"{file}: expected a file of the library, found none") from error
        if found.bytes != expected.bytes:
            raise LibraryError(f"{file}: expected {expected.bytes:,} bytes, as in {MANIFEST_FILE}, got {found.bytes:,}")
        if found != expected:
            raise LibraryError(f"{file}: expected the file listed in {MANIFEST_FILE}, got another one of the same size")


def _check_is_file(folder: Path, file: Path) -> None:
    """Check that a path of a library is a regular file, and not a link, which may lead anywhere.

    Only the Hub's cache consists of links, into the neighbouring folder `blobs`.

    Raises:
        LibraryError: it is a link, or not a regular file.
        OSError: it does not exist.
    """
    kind = file.lstat().st_mode
    if stat.S_ISLNK(kind):
        snapshot, target = folder.resolve(), file.resolve()
        if snapshot.parent.name != "snapshots" or target.parent != snapshot.parent.parent / "blobs":
            raise LibraryError(f"{file}: expected a file of the library, got a link")
        kind = target.lstat().st_mode
    if not stat.S_ISREG(kind):
        raise LibraryError(f"{file}: expected a file of the library, got something else")


def _segment(data: dict[str, Any]) -> Segment:
    sources = tuple(Source(_text(one["name"]), _text(one["version"])) for one in data.get("sources", ()))
    name, num_records = _checked_name(data["name"], SEGMENT_NAME), _count(data["num_records"])
    files, index = _fingerprints(data["files"], SEGMENT_FILE_NAME), _index(data["index"])
    num_excluded, distilled_from = (
        None if data.get(key) is None else _count(data[key], minimum=0) for key in ("num_excluded", "distilled_from")
    )
    taxonomy, primers = (_text(data.get(key, "")) for key in ("taxonomy", "primers"))
    return Segment(name, num_records, files, index, sources, taxonomy, num_excluded, primers, distilled_from)


def _index(data: dict[str, Any]) -> dict[str, Any]:
    index: dict[str, Any] = {"kind": _text(data["kind"])}
    if "nprobe" in data:
        index |= {"nprobe": _count(data["nprobe"]), "recall": _share(data["recall"])}
    return index


def _fingerprints(data: dict[str, Any], names: re.Pattern[str]) -> dict[str, Fingerprint]:
    return {
        _checked_name(name, names): Fingerprint(_count(one["bytes"], minimum=0), _text(one["blake2"]))
        for name, one in data.items()
    }


def _count(value: Any, minimum: int = 1) -> int:
    if type(value) is not int or value < minimum:
        raise ValueError(f"expected an integer from {minimum}, got {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {value!r}")
    return value


def _share(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {value!r}")
    return value


def _checked_name(name: str, names: re.Pattern[str]) -> str:
    if not names.fullmatch(name):
        raise ValueError(f"expected the name of a file of a library, got {name!r}")
    return name
