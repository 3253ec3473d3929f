"""The model that made a library's vectors, and that queries need too."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from barcodemae.checkpoints import AUTO, DEFAULT_MARKER, MODELS, check_checkpoint
from barcodemae.checkpoints.files import weights_sha256
from barcodemae.data import normalise_nucleotides, stream_records
from barcodemae.data.known_markers import find_markers, is_same_marker
from barcodemae.embedding.attribution import Attribution
from barcodemae.embedding.engines import load_engine
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import CheckpointError, ConfigurationError, LibraryError
from barcodemae.library.search.evidence import Neighbours, choose_voters
from barcodemae.library.search.marker import Marker, OnMarker, marker_of
from barcodemae.library.search.short_queries import MAX_SHORT, BaseMap
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.fetching import find_library
from barcodemae.library.store.manifest import Manifest
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.provenance import without_folder
from tokenization_barcodemae import Placement, ReferenceFrame

# Records of a source by which its marker is found.
_SURVEYED = 300


class Embedder(Protocol):
    """A model that makes vectors of barcodes; `embedding.engines.load_engine` loads one.

    Attributes:
        frame: on which it places barcodes; None for a model without.
        dimension: numbers in a vector.
        base_map: makes vectors of a part of the marker; None for a model that was not tuned.
    """

    frame: ReferenceFrame | None
    dimension: int

    @property
    def base_map(self) -> BaseMap | None: ...

    def encode(
        self,
        sequences: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
    ) -> np.ndarray:
        """Vectors of barcodes, float32 `[n, dimension]`."""

    def attribute_along(self, sequence: str, direction: np.ndarray, placement: Placement | None = None) -> Attribution:
        """The contributions of a barcode's bases to the product of its vector, of length 1, with a direction."""


def choose_model(sources: Sequence[str], marker: str = AUTO) -> str:
    """The model for the records of some sources, by their marker, if none is given.

    Args:
        sources: files or Hub data sets, as for `stream_records`; the first records of each are looked at.
        marker: the marker itself, or "auto" to find the most frequent one.

    Raises:
        ConfigurationError: no model of the marker comes with the package.
    """
    counts: Counter[str] = Counter()
    if marker == AUTO:
        for source in sources:
            table = next(stream_records(source, on_error="skip"))
            rows = np.unique(np.linspace(0, len(table) - 1, _SURVEYED).astype(int))
            counts.update(find_markers(normalise_nucleotides(table["nucleotides"].take(pa.array(rows))).to_pylist()))
        del counts[""]
    found = marker if marker != AUTO else max(counts, key=counts.__getitem__, default=DEFAULT_MARKER)
    for name, model in MODELS.items():
        if is_same_marker(name, found):
            return model
    raise ConfigurationError(
        f"{', '.join(sources)}: expected barcodes of {', '.join(MODELS)}, for which a model comes with the package, "
        f"got {found}; make a model of it with barcodemae marker build and barcodemae tune, and give it with --model"
    )


def find_marker(embedder: Any, name: str) -> Marker:
    """The marker that a model was made for.

    Args:
        embedder: an `Embedder`.
        name: of the model, for the error.

    Raises:
        ConfigurationError: the model has neither a reference frame nor a profile of k-mers.
    """
    try:
        return marker_of(embedder)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def check_marker(embedder: Any, marker: str) -> None:
    """Check that a model is of the marker that is asked for.

    Args:
        embedder: an `Embedder`.
        marker: name of a marker, or "auto" for any.

    Raises:
        ConfigurationError: it is of another one.
    """
    own = marker_of(embedder).name
    if marker != AUTO and not is_same_marker(marker, own):
        raise ConfigurationError(f"--marker {marker}: expected the marker of the model, {own}, or {AUTO}")


def describe_model(name: str, engine: str) -> dict[str, str]:
    """The description of a model in a library: `name, weights_sha256, engine`, without local paths.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    return {"name": without_folder(name), "weights_sha256": weights_sha256(name), "engine": engine}


def check_model(folder: Path, manifest: Manifest, model: dict[str, str]) -> None:
    """Check that a model is the one that made a library's vectors.

    Args:
        folder: of the library.
        manifest: of the library.
        model: as described by `describe_model`.

    Raises:
        LibraryError: it is another model.
    """
    for key in ("engine", "weights_sha256"):
        if manifest.model[key] != model[key]:
            raise LibraryError(
                f"{folder}: made with {manifest.model['name']} ({key} {manifest.model[key][:12]}), expected the same "
                f"for queries, got {model['name']} ({model[key][:12]})"
            )


def default_model(folder: Path, manifest: Manifest) -> str:
    """The name of the model that a library was made with, if it can be used here.

    Raises:
        CheckpointError: it is that of a folder, which is not here.
    """
    name = manifest.model["name"]
    try:
        check_checkpoint(name)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder}: made with the model {name}, not found here; name its folder: --model"
        ) from error
    return name


def open_with_model(folder: str | Path, model: str | None = None) -> tuple[StoredLibrary, Any]:
    """Open a library together with its model.

    Args:
        folder: of the library, or `hub:ORG/NAME`, also with `@REVISION`, for one on the Hub.
        model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default the name in the
            library, which is sufficient for the latter two.

    Returns:
        The library, and an `Embedder`.

    Raises:
        LibraryError: the library is missing or damaged, or was made with another model, or its vectors or bases do not
            have the model's dimensions.
        CheckpointError: the model is missing or damaged.
        HubError: the library could not be downloaded from the Hub.
    """
    library = StoredLibrary.open(find_library(folder))
    described = library.manifest.model
    name = default_model(library.folder, library.manifest) if model is None else model
    check_model(library.folder, library.manifest, describe_model(name, described["engine"]))
    embedder = load_engine(described["engine"], name)
    found = library.manifest.dimension, library.comparison
    expected = embedder.dimension, marker_of(embedder).comparison
    if found != expected:
        raise LibraryError(
            f"{library.folder}: expected vectors of {expected[0]} numbers and {expected[1]}, as "
            f"{described['name']} makes them, got {found[0]} numbers and {found[1]}"
        )
    return library, embedder


def open_with_models(folders: Sequence[str], models: Sequence[str] = ()) -> list[tuple[StoredLibrary, Any]]:
    """Open several libraries, each with that one of some models that made it, or by default with the one it names.

    Raises:
        LibraryError, CheckpointError, HubError: as from `open_with_model`.
    """
    if len(folders) == 1 and len(models) == 1:
        return [open_with_model(folders[0], models[0])]
    weights = {weights_sha256(model): model for model in models}
    made_with = (StoredLibrary.open(find_library(folder)).manifest.model["weights_sha256"] for folder in folders)
    return [open_with_model(folder, weights.get(one)) for folder, one in zip(folders, made_with, strict=True)]


def embed(embedder: Embedder, barcodes: OnMarker) -> np.ndarray:
    """Vectors of length 1 of barcodes of the marker `[n]`, all of which fit: float32 `[n, dimension]`.

    Those of a damaged model may be NaN.
    """
    base_map = embedder.base_map
    if base_map is not None and base_map is embedder:  # needs nothing but the bases, which are laid out already
        vectors = base_map.embed_bases(barcodes.bases)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return embedder.encode(barcodes.sequences, normalize_embeddings=True, placement=barcodes.placement)


def find_neighbours(library: StoredLibrary, embedder: Embedder, queries: OnMarker) -> Neighbours:
    """Find the references that vote on queries: the nearest by their vectors, ordered by their bases too.

    Args:
        library: to search.
        embedder: the model that made its vectors.
        queries: `[n]`, all of which fit.

    Raises:
        CheckpointError: the model makes vectors that are not finite.
    """
    vectors = embed(embedder, queries)
    if not np.isfinite(vectors).all():
        name = library.manifest.model["name"]
        raise CheckpointError(f"{name}: expected finite vectors of barcodes of the marker, got others")
    hits = refine_short(library, embedder, queries, library.search(vectors, NUM_CANDIDATES))
    found = choose_voters(hits, queries.bases, library.bases, library.comparison)
    far = np.flatnonzero(found.identities.max(axis=1, initial=0) < library.comparison.far_identity)
    if len(far):
        more = _with_shared_kmers(
            library, Hits(hits.rows[far], hits.similarities[far]), vectors[far], queries.bases[far]
        )
        best = choose_voters(more, queries.bases[far], library.bases, library.comparison)
        for name, values in vars(found).items():
            values[far] = getattr(best, name)[:, : values.shape[1]]
    return found


def _with_shared_kmers(library: StoredLibrary, hits: Hits, vectors: np.ndarray, bases: np.ndarray) -> Hits:
    """Hits of queries, and the references that share most k-mers with them."""
    records = library.kmer_search.search(bases, NUM_CANDIDATES)
    references = library.vectors(records.ravel()).reshape(*records.shape, -1)
    cosines = np.einsum("nd,nhd->nh", vectors, references.astype(np.float32))
    is_known = (records[:, :, None] == hits.rows[:, None, :]).any(axis=2)
    return Hits(
        np.concatenate([hits.rows, np.where(is_known, -1, records)], axis=1),
        np.concatenate([hits.similarities, np.where(is_known, -np.inf, cosines)], axis=1),
    )


def is_short(embedder: Embedder, queries: OnMarker) -> np.ndarray:
    """Whether queries are compared with the same part of references, bool `[n]`; never without a base map."""
    return (queries.num_bases <= MAX_SHORT) & (embedder.base_map is not None)


def refine_short(
    library: StoredLibrary,
    embedder: Embedder,
    queries: OnMarker,
    hits: Hits,
    num_excluded: np.ndarray | None = None,
    is_excluded: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Hits:
    """Replace the hits of short queries by the nearest references by the same part of the marker.

    A model without a base map keeps the hits of complete vectors.

    Args:
        library: to search.
        embedder: the model that made its vectors.
        queries: `[n]`, all of which fit.
        hits: `[n, hits]`, by the vectors of complete references.
        num_excluded, is_excluded: references that are not searched, as for `PartSearch.search`.
    """
    short = np.flatnonzero(is_short(embedder, queries))
    if embedder.base_map is None or not len(short):
        return hits
    excluded = None if is_excluded is None else lambda rows, records: is_excluded(short[rows], records)
    found = library.part_search.search(
        queries.bases[short],
        hits.rows[short],
        embedder.base_map,
        hits.rows.shape[1],
        None if num_excluded is None else num_excluded[short],
        excluded,
    )
    rows, similarities = hits.rows.copy(), hits.similarities.copy()
    rows[short], similarities[short] = found.rows, found.similarities
    return Hits(rows, similarities)
