"""The model that a library was made with, and that its queries need too."""

from pathlib import Path
from typing import Any

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.embedding.engines import load_engine
from barcodemae.errors import LibraryError
from barcodemae.library.building import check_model
from barcodemae.library.store.fetching import find_library
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.provenance import without_folder


def describe_model(name: str, engine: str) -> dict[str, str]:
    """What a library tells of the model that made its vectors; no path of this machine.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    return {"name": without_folder(name), "weights_sha256": weights_sha256(name), "engine": engine}


def open_with_model(folder: str | Path, model: str | None = None) -> tuple[StoredLibrary, Any]:
    """A library, and the engine that makes vectors of queries as it has them.

    Args:
        folder: of the library, or `hub:ORG/NAME`, also with `@REVISION`, of one on the Hub.
        model: where its model is; by default what it is called in the library, which does for one that comes with the
            package, or an id on the Hub.

    Raises:
        LibraryError: the library is missing or broken, or was made with another model, or one of other sizes.
        CheckpointError: the model is missing or broken.
        HubError: the library is on the Hub, and can't be had from there.
    """
    library = StoredLibrary.open(find_library(folder))
    told = library.manifest.model
    name = told["name"] if model is None else model
    check_model(library.folder, library.manifest, describe_model(name, told["engine"]))
    engine = load_engine(told["engine"], name)
    frame_length = 0 if engine.frame is None else engine.frame.length
    made, found = (library.manifest.dimension, library.manifest.frame_length), (engine.dimension, frame_length)
    if made != found:
        raise LibraryError(
            f"{library.folder}: expected vectors of {found[0]} numbers on a frame of {found[1]} nucleotides, as "
            f"{told['name']} makes them, got {made[0]} on {made[1]}"
        )
    return library, engine
