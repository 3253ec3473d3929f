"""Ids that occur more than once among the records of a reading."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Eight bytes of each id are stored. More ids than this are not compared, so that the memory is limited.
_MAX_IDS = 1 << 24

logger = logging.getLogger(__name__)


class IdCheck:
    """Counts the records that share their id with another one, without storing the ids."""

    def __init__(self) -> None:
        self._hashes: list[np.ndarray] = []
        self._num_ids = 0
        self._example = ""

    def add(self, ids: pa.ChunkedArray) -> None:
        """Add the ids of some records, `[n]`."""
        if self._num_ids >= _MAX_IDS:
            return
        texts = ids.to_pylist()
        hashes = np.fromiter(map(hash, texts), np.int64, len(texts))
        if not self._example and len(np.unique(hashes)) < len(hashes):
            counts = pc.value_counts(ids)
            row = pc.index(pc.greater(counts.field("counts"), 1), True).as_py()
            self._example = counts.field("values")[row].as_py()
        self._hashes.append(hashes)
        self._num_ids += len(hashes)

    def num_shared(self) -> int:
        """Number of records that share their id with another one."""
        counts = np.unique(np.concatenate(self._hashes), return_counts=True)[1] if self._hashes else np.zeros(0, int)
        return int(counts[counts > 1].sum())

    def log(self, offers_whole_headers: bool) -> None:
        """Warn of ids that occur more than once.

        Args:
            offers_whole_headers: whether complete headers can be the ids instead.
        """
        if not (num_shared := self.num_shared()):
            return
        example = f" (such as {self._example!r})" if self._example else ""
        offer = (
            "; with --whole-headers, complete headers of FASTA and FASTQ are the ids" if offers_whole_headers else ""
        )
        logger.warning(
            "%s of %s records share their id with another one%s%s",
            f"{num_shared:,}",
            f"{self._num_ids:,}",
            example,
            offer,
        )
