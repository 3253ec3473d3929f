"""A reference library on disk, opened to be searched."""

import copy
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.names import inherit_ranks
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import LibraryError
from barcodemae.library.calibration.probability import Calibration, OutdatedCalibrationError
from barcodemae.library.search.indexing import num_candidates
from barcodemae.library.search.inverted_file import MIN_PROBED, InvertedFile, Lists
from barcodemae.library.search.shared_kmers import SharedKmerSearch
from barcodemae.library.search.short_queries import PartSearch
from barcodemae.library.store.manifest import (
    INDEX_FILE,
    MANIFEST_FILE,
    Manifest,
    Segment,
    check_files,
    read_manifest,
    read_text,
)
from barcodemae.library.store.records import BASES, NAMES, as_matrix, map_part

# The vectors of their candidates stay in the processor's cache.
_BLOCK_QUERIES = 64


class StoredLibrary:
    """The records of a library with their bases and vectors, and the search for the nearest.

    Args:
        folder: of the library.
        manifest: of the library.

    Attributes:
        folder, manifest: as above.
        comparison: how its barcodes are compared.
        removed: int64, numbers of the removed records, ascending.
        live: int64, numbers of the others, ascending.
    """

    def __init__(self, folder: Path, manifest: Manifest):
        self.folder, self.manifest, self.comparison = folder, manifest, manifest.comparison
        self._calibration = {name: read_text(folder / name) for name in manifest.calibration}
        removed = [_read_removed(folder / name, manifest.num_records) for name in manifest.removed]
        self.removed = np.unique(np.concatenate([np.zeros(0, np.int64), *removed]))
        self._parts = [part for segment in manifest.segments for part in _map_segment(folder, manifest, segment)]
        self._begins = np.cumsum([0, *(len(part) for part in self._parts)])
        self._bases = [as_matrix(part[BASES]) for part in self._parts]
        self._vectors = [as_matrix(part["vector"]) for part in self._parts]
        self.live = np.setdiff1d(np.arange(manifest.num_records), self.removed, assume_unique=True)
        self._searchers = self._make_searchers()

    @classmethod
    def open(cls, folder: str | Path) -> "StoredLibrary":
        """Open a library, and check its files and their contents.

        If another process replaces `library.json` meanwhile, and deletes files, the library is opened again.

        Raises:
            LibraryError: there is no library, or it is damaged.
        """
        while True:
            manifest = read_manifest(Path(folder))
            try:
                check_files(Path(folder), manifest)
                return cls(Path(folder), manifest)
            except LibraryError:
                if read_manifest(Path(folder)) == manifest:
                    raise

    def without(self, records: np.ndarray) -> "StoredLibrary":
        """The library without some more of its records, in memory; its files stay as they are.

        Args:
            records: int64, their numbers.
        """
        other = copy.copy(self)
        other.removed = np.union1d(self.removed, records)
        other.live = np.setdiff1d(self.live, records, assume_unique=True)
        for name, value in vars(StoredLibrary).items():
            if isinstance(value, cached_property) and name != "_names":  # what depends on the records that are left
                vars(other).pop(name, None)
        other._searchers = other._make_searchers()
        return other

    def calibration(self) -> Calibration | None:
        """The calibration of the library, None if it has none.

        Raises:
            LibraryError: it can't be read, or an earlier version has written it.
        """
        for name, content in self._calibration.items():
            try:
                return Calibration.from_json(json.loads(content))
            except OutdatedCalibrationError as error:
                raise LibraryError(
                    f"{self.folder}: calibrated by an earlier version of barcodemae; calibrate it again: "
                    f"barcodemae calibrate {self.folder}"
                ) from error
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise LibraryError(f"{self.folder / name}: expected a calibration, got: {error!r}") from error
        return None

    def complete_segments(self) -> list[Segment]:
        """The segments of which no record has been removed since they were built."""
        segments = self.manifest.segments
        ends = np.cumsum([segment.num_records for segment in segments])
        counts = np.bincount(np.searchsorted(ends, self.removed, side="right"), minlength=len(segments)).tolist()
        return [
            segment for segment, count in zip(segments, counts, strict=True) if count == (segment.num_excluded or 0)
        ]

    def names(self) -> pa.Table:
        """Columns `id`, the ranks and `bin` of all records, removed ones included, by number.

        Higher ranks that are missing in a record are those of its genus, where other records have them.
        """
        return self._names

    @cached_property
    def _names(self) -> pa.Table:
        return inherit_ranks(pa.concat_tables([part.select(NAMES) for part in self._parts]))

    def nucleotides(self, records: np.ndarray) -> list[str]:
        """The sequences of records `[n]`, as given."""
        column = pa.chunked_array([chunk for part in self._parts for chunk in part["nucleotides"].chunks])
        return column.take(pa.array(records)).to_pylist()

    def records(self, records: np.ndarray) -> pa.Table:
        """Columns `id`, the ranks, `bin` and `nucleotides` of records `[n]`."""
        nucleotides = pa.array(self.nucleotides(records), pa.large_string())
        return self.names().take(pa.array(records)).append_column("nucleotides", nucleotides)

    def bases(self, records: np.ndarray) -> np.ndarray:
        """What is compared of records `[n]`, int8 `[n, width]`, see `search.comparison`."""
        return _gather(self._bases, self._begins, records)

    @cached_property
    def num_nucleotides(self) -> int:
        """Number of nucleotides of all records that were not removed."""
        lengths = np.concatenate([pc.binary_length(part["nucleotides"]).to_numpy() for part in self._parts])
        return int(lengths[self.live].sum())

    def vectors(self, records: np.ndarray) -> np.ndarray:
        """Vectors of length 1, float16 `[n, dimension]`, of records `[n]`."""
        return _gather(self._vectors, self._begins, records)

    @cached_property
    def part_search(self) -> PartSearch:
        """The search for short queries, by a part of the marker."""
        return PartSearch(self.live, self.bases, self.manifest.frame_length)

    @cached_property
    def kmer_search(self) -> SharedKmerSearch:
        """The search by shared k-mers, on a marker without a reference frame."""
        return SharedKmerSearch(self.live, self.bases)

    def search(self, queries: np.ndarray, num_hits: int) -> Hits:
        """The nearest records of each query, nearest first.

        Args:
            queries: float32 `[n, dimension]`, of length 1.
            num_hits: number of records for each query; if the library has fewer, the rest is -1 and -inf.
        """
        found = [searcher.search(queries, num_hits) for searcher in self._searchers]
        rows = np.concatenate([hits.rows for hits in found], axis=1)
        similarities = np.concatenate([hits.similarities for hits in found], axis=1)
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :num_hits]
        return Hits(np.take_along_axis(rows, order, axis=1), np.take_along_axis(similarities, order, axis=1))

    def _make_searchers(self) -> "list[_Exact | _Approximate]":
        segments = self.manifest.segments
        begins = np.cumsum([0, *(segment.num_records for segment in segments)])
        return [self._searcher(segment, int(begin)) for segment, begin in zip(segments, begins, strict=False)]

    def _searcher(self, segment: Segment, begin: int) -> "_Exact | _Approximate":
        end = begin + segment.num_records
        records = self.live[np.searchsorted(self.live, begin) : np.searchsorted(self.live, end)]
        if INDEX_FILE in segment.files:
            return _Approximate(self, segment, begin, records)
        return _Exact(self, records)


class _Exact:
    """Compares a query with every vector of a segment."""

    def __init__(self, library: StoredLibrary, records: np.ndarray):
        self._records = records
        self._vectors = library.vectors(records).astype(np.float32)

    def search(self, queries: np.ndarray, num_hits: int) -> Hits:
        if not len(self._records):
            return _no_hits(len(queries), num_hits)
        similarities, rows = faiss.knn(
            np.ascontiguousarray(queries, np.float32),
            self._vectors,
            min(num_hits, len(self._records)),
            metric=faiss.METRIC_INNER_PRODUCT,
        )
        return Hits(self._records[rows], similarities)


class _Approximate:
    """Searches an inverted file; with codes, the candidates are then compared exactly."""

    def __init__(self, library: StoredLibrary, segment: Segment, begin: int, records: np.ndarray):
        self._library, self._begin = library, begin
        file = library.folder / segment.name / INDEX_FILE
        lists = Lists.load(file, segment.num_records, library.manifest.dimension)
        self._index: InvertedFile | None = None
        if len(records):
            nprobe = segment.index.get("nprobe", MIN_PROBED)
            self._index = InvertedFile(lists, records - begin, lambda rows: library.vectors(begin + rows), nprobe)

    def search(self, queries: np.ndarray, num_hits: int) -> Hits:
        if self._index is None:
            return _no_hits(len(queries), num_hits)
        num_found = num_candidates(self._index.is_coded, num_hits)
        similarities, rows = self._index.search(queries, num_found)
        records = np.where(rows >= 0, rows + self._begin, -1)
        if self._index.is_coded:
            similarities = self._compare(np.ascontiguousarray(queries, np.float32), records)
        return Hits(records, np.where(records >= 0, similarities, -np.inf))

    def _compare(self, queries: np.ndarray, records: np.ndarray) -> np.ndarray:
        """Cosines of queries with their candidates, `[n, candidates]`."""
        similarities = np.empty(records.shape, np.float32)
        for begin in range(0, len(queries), _BLOCK_QUERIES):
            block = slice(begin, begin + _BLOCK_QUERIES)
            vectors = self._library.vectors(np.maximum(records[block], 0).ravel()).reshape(*records[block].shape, -1)
            similarities[block] = np.einsum("nhd,nd->nh", vectors.astype(np.float32), queries[block])
        return similarities


def _map_segment(folder: Path, manifest: Manifest, segment: Segment) -> list[pa.Table]:
    files = [folder / segment.name / name for name in sorted(segment.files) if name.endswith(".arrow")]
    parts = [map_part(file, manifest.comparison, manifest.dimension) for file in files]
    if (found := sum(map(len, parts))) != segment.num_records:
        expected = f"{segment.num_records:,} records, as in {MANIFEST_FILE}"
        raise LibraryError(f"{folder / segment.name}: expected {expected}, got {found:,}")
    return parts


def _read_removed(file: Path, num_records: int) -> np.ndarray:
    try:
        removed = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # the header is parsed as Python, with errors of many kinds
        raise LibraryError(f"{file}: expected numbers of removed records, got: {error}") from error
    if removed.dtype != np.int64 or removed.ndim != 1 or ((removed < 0) | (removed >= num_records)).any():
        expected = f"integers from 0 to {num_records - 1}"
        raise LibraryError(f"{file}: expected {expected}, got others ({removed.dtype}, shape {removed.shape})")
    return np.array(removed)


def _no_hits(num_queries: int, num_hits: int) -> Hits:
    return Hits(np.full((num_queries, num_hits), -1), np.full((num_queries, num_hits), -np.inf, np.float32))


def _gather(parts: Sequence[np.ndarray], begins: np.ndarray, records: np.ndarray) -> np.ndarray:
    """Rows by number from consecutive parts."""
    # `take` and numbers of rows are faster than indexing and bool masks.
    if len(parts) == 1:
        return parts[0].take(records, axis=0)
    part = np.searchsorted(begins, records, side="right") - 1
    gathered = np.empty((len(records), parts[0].shape[1]), parts[0].dtype)
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        gathered[rows] = parts[number].take(records[rows] - begins[number], axis=0)
    return gathered
