"""What a reference library consists of: `library.json`, whose replacement is the one moment at which it changes.

LIBRARY/
  library.json                 model, segments, what was removed; a fingerprint of every file
  segment-00000/               one build or append
    part-00000.arrow           records, letters and vectors
    index.faiss                where the segment is too large to be searched exactly
  removed-00001.npy            numbers of records that were removed
  calibration-00000.json       how far names can be trusted
  building.json                while a segment is built: what of
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.data.columnar import HUB
from barcodemae.errors import LibraryError
from barcodemae.files import written_whole

MANIFEST_FILE = "library.json"
BUILDING_FILE = "building.json"
VERSION = 1

# The names that we give, each as a whole: nothing else in a library's folder is ours.
SEGMENT_NAME = re.compile(r"segment-\d{5}")
PART_NAME = re.compile(r"part-\d{5}\.arrow")
INDEX_FILE = "index.faiss"
REMOVED_NAME = re.compile(r"removed-\d{5}\.npy")
CALIBRATION_NAME = re.compile(r"calibration-\d{5}\.json")

# A library may come from anywhere: what it calls its files must not lead out of its folder.
_NAME = re.compile(r"\w[\w.-]*")

_MODEL = ("name", "weights_sha256", "engine")

_BLOCK_BYTES = 4096
_NUM_BLOCKS = 64


@dataclass(frozen=True)
class Fingerprint:
    """What tells a file from another, and from itself cut short, without reading a gigabyte.

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
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["version"] != VERSION:
            raise LibraryError(f"{file}: expected a library of version {VERSION}, got version {told['version']!r}")
        segments = tuple(_segment(one) for one in told["segments"])
        if not segments:
            raise ValueError("expected a segment or more, got none")
        model = {key: _text(told["model"][key]) for key in _MODEL}
        others = (_fingerprints(told[kind]) for kind in ("removed", "calibration"))
        return Manifest(model, _count(told["dimension"]), _count(told["frame_length"]), segments, *others)
    except FileNotFoundError as error:
        problem = f"expected a reference library (a folder with {MANIFEST_FILE}), found none"
        raise LibraryError(f"{folder}: {problem}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryError(f"{file}: expected the manifest of a library, got: {error!r}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before."""
    with written_whole(folder) as scratch:
        (scratch / MANIFEST_FILE).write_text(manifest.as_text(), encoding="utf-8")


def check_files(folder: Path, manifest: Manifest) -> None:
    """See to it that all files are what they were when the manifest was written.

    Raises:
        LibraryError: one is missing, of another size, or another one.
    """
    for name, expected in manifest.files().items():
        file = folder / name
        try:
            found = fingerprint(file)
        except OSError as error:
            raise LibraryError(f"{file}: expected a file of the library, found none") from error
        if found.bytes != expected.bytes:
            raise LibraryError(f"{file}: expected {expected.bytes:,} bytes, as in {MANIFEST_FILE}, got {found.bytes:,}")
        if found != expected:
            raise LibraryError(f"{file}: expected the file that {MANIFEST_FILE} was written for, got another")


def _segment(told: dict[str, Any]) -> Segment:
    index = {**told["index"], "kind": _text(told["index"]["kind"])}
    sources = tuple(Source(_text(one["name"]), _text(one["version"])) for one in told.get("sources", ()))
    name, num_records, files = _plain(told["name"]), _count(told["num_records"]), _fingerprints(told["files"])
    return Segment(name, num_records, files, index, sources, _text(told.get("taxonomy", "")))


def _fingerprints(told: dict[str, Any]) -> dict[str, Fingerprint]:
    return {
        _plain(name): Fingerprint(_count(one["bytes"], least=0), _text(one["blake2"])) for name, one in told.items()
    }


def _count(told: Any, least: int = 1) -> int:
    if type(told) is not int or told < least:
        raise ValueError(f"expected a whole number from {least}, got {told!r}")
    return told


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise ValueError(f"expected text, got {told!r}")
    return told


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain name of a file")
    return name
