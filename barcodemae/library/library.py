"""Reference libraries in Python."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from barcodemae.checkpoints import ALL, AUTO
from barcodemae.data.inputs import Source, stream_input
from barcodemae.data.taxonomy import read_taxonomy
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.errors import ConfigurationError
from barcodemae.library.building import append_records, build_library, remove_records
from barcodemae.library.explanation.contributions import Explainer, Explanation
from barcodemae.library.identification import Identifier
from barcodemae.library.models import check_marker, choose_model, describe_model, open_with_model
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.library.store.stored import StoredLibrary

_QUERIES = 4096


class Library:
    """A reference library: named barcodes, by which other barcodes are identified. See `build` and `open`.

    Examples:
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
        model: str | None = None,
        marker: str = AUTO,
        engine: str = FRAME,
        taxonomy: str | Path | None = None,
        on_error: str = "skip",
        exclude_suspects: bool = False,
        whole_headers: bool = False,
        primers: str | None = None,
    ) -> "Library":
        """Build a library, calibrated by its own records, like `barcodemae index`.

        Args:
            sources: one or several files of named barcodes, or data sets, each as in `barcodemae.data.stream_records`.
            folder: a new or empty one. An interrupted build is resumed; a complete one of the same sources is opened.
            model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default, one that comes
                with the package, by the marker.
            marker: name of the marker; records of other markers are then left out. With "auto", it is that of the
                model, or without a model the most frequent one of the records, and a mixture of markers is an error.
            engine: "frame", only the base vectors of a tuned model, without torch; or "network", the complete model.
            taxonomy: a file of names by id, for sources without names.
            on_error: for a record that is not a barcode of the marker: "skip" or "raise".
            exclude_suspects: whether records with doubtful labels are left out; see `library.checking.labels`.
            whole_headers: whether complete headers of FASTA and FASTQ are the ids, instead of their first words.
            primers: of an amplicon, as in `identify`: bases outside of the region between them are left out.

        Raises:
            LibraryError: the folder holds something else, or another process is writing to it; or the records are a
                mixture of markers.
            BarcodeMAEError: bad input; no library is left.
        """
        if marker == ALL:
            raise ConfigurationError(
                f"marker {ALL!r}: expected the marker of one library, or {AUTO!r}; the command barcodemae index "
                f"--marker {ALL} makes a collection of libraries"
            )
        names = [str(name) for name in ([sources] if isinstance(sources, str | PathLike) else sources)]
        model = choose_model(names, marker) if model is None else model
        options = _options(on_error, exclude_suspects, whole_headers, primers)
        inputs = _inputs(names, model, engine, taxonomy)
        check_marker(inputs["embedder"], marker)
        build_library(Path(folder), **inputs, **options, refuse_mixture=marker == AUTO)
        return cls.open(folder, model)

    @classmethod
    def open(cls, folder: str | Path, model: str | None = None) -> "Library":
        """Open a library.

        Args:
            folder: of the library, or `hub:ORG/NAME`, also with `@REVISION`, for one on the Hub.
            model: a folder or id of its model, if not found by the name in the library.

        Raises:
            LibraryError: the library is missing or damaged, or was made with another model.
            CheckpointError: the model is missing or damaged.
            HubError: the library could not be downloaded from the Hub.
        """
        return cls(*open_with_model(folder, model))

    @property
    def folder(self) -> Path:
        """The folder of the library; for one on the Hub, in the Hub's cache."""
        return self._stored.folder

    def __len__(self) -> int:
        """Number of records."""
        return len(self._stored.live)

    def __repr__(self) -> str:
        made_with = self._stored.manifest.model
        return f"<Library {str(self.folder)!r}: {len(self):,} records, {made_with['name']} ({made_with['engine']})>"

    def names(self) -> pa.Table:
        """Columns `id`, the ranks and `bin` of its records; "" where unknown."""
        return self._stored.names().take(pa.array(self._stored.live))

    def identify(
        self,
        queries: Source,
        *,
        min_confidence: float = MIN_CONFIDENCE,
        num_aligned: int = 0,
        primers: str | None = None,
        max_error: float | None = None,
    ) -> pa.Table:
        """Identify barcodes.

        Args:
            queries: a file, a list of sequences or of paths, or a table of records; see `data.inputs.stream_input`.
            min_confidence: of a name that is called, 0 to 1.
            num_aligned: number of hits that are aligned with each query.
            primers: of the amplicon, a name of `library.settings.PRIMERS` or the sequences "FORWARD,REVERSE"; only
                bases between them are compared.
            max_error: instead of `min_confidence`, the maximum share of queries that get a wrong name; see
                `library.calibration.guarantee`.

        Returns:
            One row for each query, in their order, with the columns of `library.results.schema`; `.to_pandas()` makes a
            data frame of it.

        Raises:
            LibraryError: the library is not calibrated.
            ConfigurationError: the primers are not on the marker, or there are too few held-out queries to guarantee
                the error.
            UnreadableFileError: a file can't be read.
            TypeError: the queries are none of these.
        """
        identifier = Identifier.from_library(
            self._stored, self._embedder, min_confidence, num_aligned, primers, max_error
        )
        tables = [identifier(block) for block in _blocks(queries)]
        return pa.concat_tables(tables) if tables else RESULTS.empty_table()

    def explain(
        self, queries: Source, *, min_confidence: float = MIN_CONFIDENCE, primers: str | None = None
    ) -> list[Explanation]:
        """How much each base of a query contributes to its name rather than to the next best one.

        Args:
            queries, min_confidence, primers: as for `identify`.

        Returns:
            One for each query with a name, in their order, if the library has another name of the same rank.

        Raises:
            BarcodeMAEError: as from `identify`; or the model does not read k-mers.
        """
        identifier = Identifier.from_library(self._stored, self._embedder, min_confidence, primers=primers)
        explainer = Explainer(self._stored, self._embedder, identifier.ranks)
        explained: list[Explanation] = []
        for records in _blocks(queries):
            searched = identifier.search(records)
            explained += explainer(searched, identifier.results(records, searched))
        return explained

    def append(
        self,
        sources: str | Path | Sequence[str | Path],
        *,
        taxonomy: str | Path | None = None,
        on_error: str = "skip",
        exclude_suspects: bool = False,
        whole_headers: bool = False,
        primers: str | None = None,
    ) -> None:
        """Add records, and calibrate again. Sources that were added before are skipped.

        Args:
            sources, taxonomy, on_error, exclude_suspects, whole_headers, primers: as in `build`.

        Raises:
            BarcodeMAEError: bad input; the library is unchanged.
        """
        made_with = self._stored.manifest.model
        options = _options(on_error, exclude_suspects, whole_headers, primers)
        inputs = _inputs(sources, made_with["name"], made_with["engine"], taxonomy)
        append_records(self.folder, **inputs, **options)
        self._stored = StoredLibrary.open(self.folder)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove all records with the given ids.

        Raises:
            LibraryError: the library never had a record with one of these ids.
            TypeError: the ids are one string.
        """
        if isinstance(ids, str):
            raise TypeError("expected a list of ids, got one string")
        remove_records(self.folder, ids)
        self._stored = StoredLibrary.open(self.folder)


def _inputs(
    sources: str | Path | Sequence[str | Path], model: str, engine: str, taxonomy: str | Path | None
) -> dict[str, Any]:
    names = [sources] if isinstance(sources, str | PathLike) else sources
    return {
        "sources": [str(name) for name in names],
        "embedder": load_engine(engine, model),
        "model": describe_model(model, engine),
        "taxonomy": None if taxonomy is None else read_taxonomy(taxonomy),
    }


def _options(on_error: str, exclude_suspects: bool, whole_headers: bool, primers: str | None) -> dict[str, Any]:
    return {
        "on_error": on_error,
        "exclude_suspects": exclude_suspects,
        "whole_headers": whole_headers,
        "primers": primers,
    }


def _blocks(queries: Source) -> Iterator[pa.Table]:
    for records in stream_input(queries):
        for begin in range(0, len(records), _QUERIES):
            yield records.slice(begin, _QUERIES)
