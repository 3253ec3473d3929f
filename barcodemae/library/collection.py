"""Collections: of a mixture of markers, one library for each, in a folder; `identify` uses all of them.

COLLECTION/
  COI-5P/                      a library
  ITS/
  building.json                markers of the libraries that are being made; not there if the collection is complete

Each library is made completely, or not at all. After a process was killed, the same command makes the others.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.checkpoints import MODELS
from barcodemae.data import QualityFilter, stream_records
from barcodemae.data.known_markers import find_markers, is_known_marker, is_same_marker
from barcodemae.data.schema import Preset
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.embedding.engines import load_engine
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.building import Added, append_records, build_library
from barcodemae.library.models import Embedder, default_model, describe_model, find_marker
from barcodemae.library.search.marker import FramedMarker, Marker
from barcodemae.library.segments import Inputs, describe_markers
from barcodemae.library.store.manifest import (
    BUILDING_FILE,
    MANIFEST_FILE,
    libraries_within,
    read_manifest,
    refuse_hub,
)

MIN_RECORDS = 20
"""Minimum number of records for a library of their marker. In a download of one marker, a few are of another one, or
are mistaken for it."""


@dataclass(frozen=True)
class MarkerModel:
    """A model of a marker.

    Attributes:
        embedder: the model, loaded.
        description: `name, weights_sha256, engine`, which are stored in a library.
        marker: the marker that it was made for.
    """

    embedder: Embedder
    description: dict[str, str]
    marker: Marker

    @classmethod
    def load(cls, name: str, engine: str) -> "MarkerModel":
        """Load a model.

        Raises:
            CheckpointError: it is missing or damaged.
            ConfigurationError: it is not of one marker.
        """
        embedder: Any = load_engine(engine, name)
        return cls(embedder, describe_model(name, engine), find_marker(embedder, name))


@dataclass(frozen=True)
class MarkerCounts:
    """Numbers of records by marker.

    Attributes:
        accepted: by the name of a model's marker, those that the model accepts; each is counted once.
        recognised: number of these that are not mistaken for the marker. Of a known marker without a reference frame,
            these are recognised by its bundled profile too; of others, all are.
        others: of known markers without a model, by name.
        num_unknown: of none of these.
    """

    accepted: Counter[str]
    recognised: Counter[str]
    others: Counter[str]
    num_unknown: int

    def __str__(self) -> str:
        text = describe_markers(dict((self.accepted + self.others).most_common()))
        return f"{text or 'none'}; not recognised {self.num_unknown:,}"


@dataclass(frozen=True)
class Plan:
    """The libraries of a collection that get records of some sources.

    Attributes:
        folder: of the collection.
        libraries: folder -> model, those that exist already first.
        counts: numbers of records by marker.
        too_few: markers with a model, but fewer than `MIN_RECORDS` records, with these numbers; without a library.
    """

    folder: Path
    libraries: dict[Path, MarkerModel]
    counts: MarkerCounts
    too_few: dict[str, int]


def plan_collection(
    folder: Path,
    sources: Sequence[str],
    models: Sequence[str],
    engine: str,
    max_length: int = MAX_LENGTH,
    whole_headers: bool = False,
    is_append: bool = False,
) -> Plan:
    """Find the markers of some records, and the libraries to make or to add to. Nothing is written.

    Args:
        folder: a new or empty one, or that of a collection, also of an interrupted build.
        sources: files or Hub data sets, as for `stream_records`.
        models: names of models, at most one for each marker. Without one, a library has the model that it was made
            with, and a new library that which comes with the package.
        engine: of the models, see `load_engine`.
        max_length, whole_headers: as for `build_library`.
        is_append: whether the collection has to exist.

    Raises:
        LibraryError: the folder has other contents; or there is no collection to add to.
        ConfigurationError: there are two models of a marker, or no marker has enough records and a model.
        BarcodeMAEError: a source or a model can't be read.
    """
    existing = _check_folder(folder)
    if is_append and not existing:
        raise LibraryError(f"{folder}: expected a collection of libraries to add to, found none")
    by_folder = _load_models(folder, existing, models, engine)
    inputs = Inputs.from_names(sources, "skip", None, max_length, whole_headers)
    counts = count_markers(inputs, list(by_folder.values()))
    libraries, too_few = {}, {}
    for path, model in by_folder.items():
        name = model.marker.name
        if counts.recognised[name] >= MIN_RECORDS or (path in existing and counts.accepted[name]):
            libraries[path] = model
        elif counts.accepted[name]:
            too_few[name] = counts.accepted[name]
    if not libraries:
        names = ", ".join(model.marker.name for model in by_folder.values())
        raise ConfigurationError(
            f"{', '.join(sources)}: expected {MIN_RECORDS} records or more of a marker with a model ({names}), got "
            f"{counts}"
        )
    return Plan(folder, libraries, counts, too_few)


def build_collection(
    plan: Plan,
    sources: Sequence[str],
    taxonomy: pa.Table | None = None,
    max_length: int = MAX_LENGTH,
    whole_headers: bool = False,
    exclude_suspects: bool = False,
    is_append: bool = False,
) -> Iterator[tuple[Path, Added | None]]:
    """Make the libraries of a collection, or add records to them; what was interrupted is resumed.

    Args:
        plan: made of the same arguments.
        sources, taxonomy, max_length, whole_headers, exclude_suspects: as for `build_library`.
        is_append: whether records are added to the libraries that exist.

    Yields:
        For each library, when it is complete, its folder and the summary of `build_library` or `append_records`: None
        if it has the records of the sources already.

    Raises:
        BarcodeMAEError: as from `build_library`; the libraries that were yielded stay.
    """
    building = plan.folder / BUILDING_FILE
    new = [path for path in plan.libraries if not (path / MANIFEST_FILE).exists()]
    for path, model in plan.libraries.items():
        add = append_records if is_append and path not in new else build_library
        if path in new[:1]:
            with written_atomically(plan.folder) as scratch:
                (scratch / building.name).write_text(json.dumps({"markers": [one.name for one in new]}) + "\n")
        yield (
            path,
            add(
                path,
                sources,
                model.embedder,
                model.description,
                on_error="skip",
                taxonomy=taxonomy,
                max_length=max_length,
                whole_headers=whole_headers,
                exclude_suspects=exclude_suspects,
            ),
        )
    building.unlink(missing_ok=True)


def count_markers(inputs: Inputs, models: Sequence[MarkerModel]) -> MarkerCounts:
    """Count the records of each marker: each record is of the first model that accepts it.

    Args:
        inputs: the sources.
        models: those with a reference frame are tried first, as in `mixture.MixtureIdentifier`.

    Raises:
        BarcodeMAEError: a source can't be read.
    """
    accepted: Counter[str] = Counter()
    recognised: Counter[str] = Counter()
    others: Counter[str] = Counter()
    num_unknown = 0
    markers = sorted((model.marker for model in models), key=lambda marker: not isinstance(marker, FramedMarker))
    quality_filter = QualityFilter(drop_duplicates=False, on_error="skip")
    preset = Preset(whole_headers=inputs.whole_headers)
    for table in stream_records(inputs.names, preset, "skip", inputs.max_length):
        left: list[str] = quality_filter(table)["nucleotides"].to_pylist()
        for marker in markers:
            fits = marker.read(left).fits
            own = [left[row] for row in np.flatnonzero(fits)]
            accepted[marker.name] += len(own)
            is_doubtful = not isinstance(marker, FramedMarker) and is_known_marker(marker.name)
            if is_doubtful:
                own = [name for name in find_markers(own) if is_same_marker(name, marker.name)]
            recognised[marker.name] += len(own)
            left = [left[row] for row in np.flatnonzero(~fits)]
        for name in find_markers(left):
            # A part of a marker that is too short for its model is not of another marker.
            if name and not any(is_same_marker(name, marker.name) for marker in markers):
                others[name] += 1
            else:
                num_unknown += 1
    return MarkerCounts(accepted, recognised, others, num_unknown)


def _check_folder(folder: Path) -> list[Path]:
    """The libraries in the folder of a collection, which need not exist.

    Raises:
        LibraryError: it is that of a library, or has other contents.
    """
    refuse_hub(folder)
    if (folder / MANIFEST_FILE).exists():
        raise LibraryError(f"{folder}: expected a folder for a collection of libraries, got a library; name another")
    libraries = libraries_within(folder)
    for path in sorted(folder.glob("*")):
        if (
            path not in libraries
            and path.name != BUILDING_FILE
            and not path.name.startswith(".")
            and not _is_begun(path)
        ):
            raise LibraryError(
                f"{folder}: expected a new or empty folder, or a collection of libraries, got one with {path.name}; "
                "name another"
            )
    return libraries


def _is_begun(path: Path) -> bool:
    """Whether a path is the folder of a library whose build was interrupted."""
    if path.is_symlink() or not path.is_dir():
        return False
    return (path / BUILDING_FILE).is_file() or all(one.name.startswith(".") for one in path.iterdir())


def _load_models(folder: Path, existing: Sequence[Path], names: Sequence[str], engine: str) -> dict[Path, MarkerModel]:
    """The models of a collection by the folder of their library, those of libraries that exist first."""
    given = [MarkerModel.load(name, engine) for name in names]
    models: dict[Path, MarkerModel] = {}
    for path in existing:
        manifest = read_manifest(path)
        own = [number for number, model in enumerate(given) if is_same_marker(model.marker.name, manifest.marker)]
        models[path] = (
            given.pop(own[0]) if own else MarkerModel.load(default_model(path, manifest), manifest.model["engine"])
        )
    for model in given:
        path = folder / _folder_name(model.marker.name)
        for other_path, other in models.items():
            if path == other_path or is_same_marker(other.marker.name, model.marker.name):
                raise ConfigurationError(
                    f"expected models of different markers, got {other.description['name']} of {other.marker.name} "
                    f"and {model.description['name']} of {model.marker.name}"
                )
        models[path] = model
    for marker, name in MODELS.items():
        if not any(is_same_marker(model.marker.name, marker) for model in models.values()):
            models[folder / _folder_name(marker)] = MarkerModel.load(name, engine)
    return models


def _folder_name(marker: str) -> str:
    """The name of a library's folder. The name of a marker is that in its model, which may come from anywhere."""
    return re.sub(r"[^\w-]+", "_", marker)
