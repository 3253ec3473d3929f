"""What a reference library consists of: `library.json`, whose replacement is the one moment at which it changes.

LIBRARY/
  library.json                 model, segments, what was removed; a fingerprint of every file
  segment-00000/               one build or append
    part-00000.arrow           records, bases and vectors
    index.safetensors          where the segment is too large to be searched exactly: what was learnt for that
  removed-00001.npy            numbers of records that were removed
  calibration-00000.json       how far names can be trusted
  building.json                while a segment is built: what of
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

MANIFEST_FILE = "library.json"
BUILDING_FILE = "building.json"
VERSION = 1

# The names that we give, each as a whole: a library may come from anywhere, and nothing else in its folder is ours.
SEGMENT_NAME = re.compile(r"segment-[0-9]{5}")
INDEX_FILE = "index.safetensors"
# Earlier versions kept an index of FAISS. It is not read: such a segment is searched exactly.
FILE_OF_SEGMENT = re.compile(r"part-[0-9]{5}\.arrow|index\.safetensors|index\.faiss")
REMOVED_NAME = re.compile(r"removed-[0-9]{5}\.npy")
CALIBRATION_NAME = re.compile(r"calibration-[0-9]{5}\.json")

_MODEL = ("name", "weights_sha256", "engine")

# Of a library of ten million records it has some 100,000 bytes.
_MAX_TEXT_BYTES = 2**24

_BLOCK_BYTES = 4096
_NUM_BLOCKS = 64


@dataclass(frozen=True)
class Fingerprint:
    """What tells a file from another, and from itself cut short, without reading a gigabyte.

    It guards against accidents, not against who made the library: an author writes the fingerprints too. So all that a
    library holds is checked when it is opened, whatever they say.

    Attributes:
        bytes: its size.
        blake2: of 64 blocks of 4,096 bytes that lie evenly over it, the first and the last among them. What changes
            between two blocks of a larger file, and leaves its size, is not seen: a bit that a disk lost, say.
    """

    bytes: int
    blake2: str


@dataclass(frozen=True)
class Source:
    """What records came from.

    Attributes:
        name: of the file, without its folder, or of the data set on the Hub.
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
        sources: what its records came from.
        taxonomy: digest of the table that named them; empty where there was none.
    """

    name: str
    num_records: int
    files: dict[str, Fingerprint]
    index: dict[str, Any]
    sources: tuple[Source, ...] = ()
    taxonomy: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a library consists of.

    Attributes:
        model: `name, weights_sha256, engine`: what its vectors were made with.
        dimension: of a vector.
        frame_length: coordinates of the reference frame.
        segments: in the order of their records' numbers.
        removed: the files with the numbers of removed records, by name.
        calibration: the file of the calibration, by its name; empty where there is none.
    """

    model: dict[str, str]
    dimension: int
    frame_length: int
    segments: tuple[Segment, ...] = ()
    removed: dict[str, Fingerprint] = field(default_factory=dict)
    calibration: dict[str, Fingerprint] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """Removed ones among them: numbers are never given twice."""
        return sum(segment.num_records for segment in self.segments)

    def files(self) -> dict[str, Fingerprint]:
        """Of the whole library but `library.json`, by the path in its folder."""
        parts = {f"{segment.name}/{name}": one for segment in self.segments for name, one in segment.files.items()}
        return parts | self.removed | self.calibration

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
        for place in sorted({last * i // (_NUM_BLOCKS - 1) for i in range(_NUM_BLOCKS)}):
            content.seek(place)
            digest.update(content.read(_BLOCK_BYTES))
    return Fingerprint(size, digest.hexdigest())


def read_text(file: Path) -> str:
    """A text of a library, of 16 MiB at most.

    Raises:
        LibraryError: it can't be read, is larger, or no UTF-8.
    """
    try:
        with file.open("rb") as content:
            found = content.read(_MAX_TEXT_BYTES + 1)
        if len(found) > _MAX_TEXT_BYTES:
            raise LibraryError(f"{file}: expected {_MAX_TEXT_BYTES:,} bytes at most, got more")
        return found.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryError(f"{file}: expected a text of a library, got: {error}") from error


def refuse_hub(folder: Path) -> None:
    """Refuse the name of a library on the Hub where a folder is needed.

    Raises:
        LibraryError: it is such a name.
    """
    if str(folder).startswith(HUB):
        raise LibraryError(f"{folder}: expected the folder of a library, for one on the Hub is asked, never changed")


def read_manifest(folder: Path) -> Manifest:
    """Read `library.json`.

    Raises:
        LibraryError: there is none, it is no manifest of this version, or names files outside of the folder.
    """
    refuse_hub(folder)
    file = folder / MANIFEST_FILE
    try:
        _check_kind(folder, file)
        told = json.loads(read_text(file))
        if told["version"] != VERSION:
            raise LibraryError(f"{file}: expected a library of version {VERSION}, got version {told['version']!r}")
        segments = tuple(_segment(one) for one in told["segments"])
        if not segments:
            raise ValueError("expected a segment or more, got none")
        model = {key: _text(told["model"][key]) for key in _MODEL}
        removed = _fingerprints(told["removed"], REMOVED_NAME)
        calibration = _fingerprints(told["calibration"], CALIBRATION_NAME)
        dimension, frame_length = _count(told["dimension"]), _count(told["frame_length"])
        return Manifest(model, dimension, frame_length, segments, removed, calibration)
    except FileNotFoundError as error:
        problem = f"expected a reference library (a folder with {MANIFEST_FILE}), found none"
        raise LibraryError(f"{folder}: {problem}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryError(f"{file}: expected the manifest of a library, got: {error!r}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before."""
    with written_atomically(folder) as scratch:
        (scratch / MANIFEST_FILE).write_text(manifest.as_text(), encoding="utf-8")


def check_files(folder: Path, manifest: Manifest) -> None:
    """See to it that all files are what they were when the manifest was written.

    Raises:
        LibraryError: one is missing, of another size, or another one; or no file, but a link, say.
    """
    for segment in manifest.segments:
        if (folder / segment.name).is_symlink():
            raise LibraryError(f"{folder / segment.name}: expected a folder of the library, got a link")
    for name, expected in manifest.files().items():
        file = folder / name
        try:
            _check_kind(folder, file)
            found = fingerprint(file)
        except OSError as error:
            raise LibraryError(f"{file}: expected a file of the library, found none") from error
        if found.bytes != expected.bytes:
            raise LibraryError(f"{file}: expected {expected.bytes:,} bytes, as in {MANIFEST_FILE}, got {found.bytes:,}")
        if found != expected:
            raise LibraryError(f"{file}: expected the file that {MANIFEST_FILE} was written for, got another")


def _check_kind(folder: Path, file: Path) -> None:
    """See to it that reading a file of a library reads that very file.

    Links are refused, which may lead anywhere. The Hub's cache alone is made of links, into a folder beside.

    Raises:
        LibraryError: it is no file.
        OSError: it is not there.
    """
    kind = file.lstat().st_mode
    if stat.S_ISLNK(kind):
        snapshot, target = folder.resolve(), file.resolve()
        if snapshot.parent.name != "snapshots" or target.parent != snapshot.parent.parent / "blobs":
            raise LibraryError(f"{file}: expected a file of the library, got a link")
        kind = target.lstat().st_mode
    if not stat.S_ISREG(kind):
        raise LibraryError(f"{file}: expected a file of the library, got something else")


def _segment(told: dict[str, Any]) -> Segment:
    sources = tuple(Source(_text(one["name"]), _text(one["version"])) for one in told.get("sources", ()))
    name, num_records = _named(told["name"], SEGMENT_NAME), _count(told["num_records"])
    files, index = _fingerprints(told["files"], FILE_OF_SEGMENT), _index(told["index"])
    return Segment(name, num_records, files, index, sources, _text(told.get("taxonomy", "")))


def _index(told: dict[str, Any]) -> dict[str, Any]:
    index: dict[str, Any] = {"kind": _text(told["kind"])}
    if "nprobe" in told:
        index |= {"nprobe": _count(told["nprobe"]), "recall": _share(told["recall"])}
    return index


def _fingerprints(told: dict[str, Any], names: re.Pattern[str]) -> dict[str, Fingerprint]:
    return {
        _named(name, names): Fingerprint(_count(one["bytes"], least=0), _text(one["blake2"]))
        for name, one in told.items()
    }


def _count(told: Any, least: int = 1) -> int:
    if type(told) is not int or told < least:
        raise ValueError(f"expected a whole number from {least}, got {told!r}")
    return told


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise ValueError(f"expected text, got {told!r}")
    return told


def _share(told: Any) -> float:
    if type(told) not in (int, float) or not 0 <= told <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {told!r}")
    return told


def _named(name: str, names: re.Pattern[str]) -> str:
    if not names.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a file of a library")
    return name
