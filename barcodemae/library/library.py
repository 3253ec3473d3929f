"""Reference libraries, as they are used from Python."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from barcodemae.checkpoints import DEFAULT
from barcodemae.data.inputs import Source, stream_input
from barcodemae.data.taxonomy import read_taxonomy
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.library.building import append_records, build_library, remove_records
from barcodemae.library.identification import Identifier
from barcodemae.library.models import describe_model, open_with_model
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.library.store.stored import StoredLibrary

_QUERIES = 4096


class Library:
    """Named barcodes, by which others are named. See `build` and `open`.

    Example:
        >>> import tempfile
        >>> from barcodemae import Library
        >>> library = Library.build("sample", tempfile.mkdtemp())
        >>> len(library)
        18099
        >>> from barcodemae.data import read_records
        >>> table = library.identify(read_records("sample")[:1000])
        >>> table.num_rows, table.column_names[:3]
        (1000, ['id', 'call', 'name'])
    """

    def __init__(self, stored: StoredLibrary, embedder: Any):
        self._stored, self._embedder = stored, embedder

    @classmethod
    def build(
        cls,
        sources: str | Path | Sequence[str | Path],
        folder: str | Path,
        *,
        model: str = DEFAULT,
        engine: str = FRAME,
        taxonomy: str | Path | None = None,
        on_error: str = "skip",
    ) -> "Library":
        """Make a library, calibrated by its own records, as `barcodemae index` does.

        Args:
            sources: one file of named barcodes, or several, each as `barcodemae.data.stream_records` takes it.
            folder: a new or empty one. A build that was interrupted goes on; of the same sources, nothing is done.
            model: a folder, a checkpoint that comes with the package, or an id on the Hub.
            engine: "frame", the bases of a tuned model alone, without torch, or "network", the whole model.
            taxonomy: a file of names by id, for sources without.
            on_error: a record that is not a barcode of the marker: "skip" or "raise".

        Raises:
            LibraryError: the folder holds something else, or another process is writing to it.
            BarcodeMAEError: bad input; there is no library then.
        """
        build_library(Path(folder), **_inputs(sources, model, engine, taxonomy, on_error))
        return cls.open(folder, model)

    @classmethod
    def open(cls, folder: str | Path, model: str | None = None) -> "Library":
        """Open a library.

        Args:
            folder: of the library, or `hub:ORG/NAME`, also with `@REVISION`, of one on the Hub.
            model: where its model is, if the name that the library has of it does not tell.

        Raises:
            LibraryError: the library is missing or damaged, or was made with another model.
            CheckpointError: the model is missing or damaged.
            HubError: the library is on the Hub, and can't be had from there.
        """
        return cls(*open_with_model(folder, model))

    @property
    def folder(self) -> Path:
        """Where it is; of one on the Hub, in the Hub's cache."""
        return self._stored.folder

    def __len__(self) -> int:
        """Its records."""
        return len(self._stored.live)

    def __repr__(self) -> str:
        made_with = self._stored.manifest.model
        return f"<Library {str(self.folder)!r}: {len(self):,} records, {made_with['name']} ({made_with['engine']})>"

    def names(self) -> pa.Table:
        """Columns `id`, the ranks and `bin` of its records; "" where unknown."""
        return self._stored.names().take(pa.array(self._stored.live))

    def identify(self, queries: Source, *, min_confidence: float = MIN_CONFIDENCE, num_aligned: int = 0) -> pa.Table:
        """Name barcodes.

        Args:
            queries: a file, a list of sequences or of paths, or a table of records; see `data.inputs.stream_input`.
            min_confidence: of a name that is called, 0 to 1.
            num_aligned: how many of the hits of each query are aligned with it.

        Returns:
            A row a query, in their order, with the columns of `library.results.schema`; `.to_pandas()` makes a data
            frame of it.

        Raises:
            LibraryError: the library is not calibrated.
            UnreadableFileError: a file can't be read.
            TypeError: the queries are none of these.
        """
        identifier = Identifier.of(self._stored, self._embedder, min_confidence, num_aligned)
        tables = [identifier(block) for block in _blocks(queries)]
        return pa.concat_tables(tables) if tables else RESULTS.empty_table()

    def append(
        self,
        sources: str | Path | Sequence[str | Path],
        *,
        taxonomy: str | Path | None = None,
        on_error: str = "skip",
    ) -> None:
        """Add records, and calibrate anew. Sources that it was made of already are not added again.

        Args:
            sources, taxonomy, on_error: as of `build`.

        Raises:
            BarcodeMAEError: bad input; the library is what it was then.
        """
        made_with = self._stored.manifest.model
        append_records(self.folder, **_inputs(sources, made_with["name"], made_with["engine"], taxonomy, on_error))
        self._stored = StoredLibrary.open(self.folder)

    def remove(self, ids: Sequence[str]) -> None:
        """Take records out; all of an id.

        Raises:
            LibraryError: it never held a record of such an id.
            TypeError: the ids are one string.
        """
        if isinstance(ids, str):
            raise TypeError("expected a list of ids, got one string")
        remove_records(self.folder, ids)
        self._stored = StoredLibrary.open(self.folder)


def _inputs(
    sources: str | Path | Sequence[str | Path], model: str, engine: str, taxonomy: str | Path | None, on_error: str
) -> dict[str, Any]:
    several = [sources] if isinstance(sources, str | PathLike) else sources
    return {
        "sources": [str(source) for source in several],
        "embedder": load_engine(engine, model),
        "model": describe_model(model, engine),
        "on_error": on_error,
        "taxonomy": None if taxonomy is None else read_taxonomy(taxonomy),
    }


def _blocks(queries: Source) -> Iterator[pa.Table]:
    for records in stream_input(queries):
        for begin in range(0, len(records), _QUERIES):
            yield records.slice(begin, _QUERIES)
