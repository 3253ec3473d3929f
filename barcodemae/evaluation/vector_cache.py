"""A cache of vectors on disk, written block by block: an interrupted run computes only what is missing.

An entry is a folder, named by the hash of all that its vectors depend on. It holds `vectors.npy` and `blocks.jsonl`: a
line that describes the entry, then one line for each block on disk, with its checksum. It is called `NAME.partial`
until the last block is written.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from barcodemae.data.cache import explaining_unwritable, refuse_links_in
from barcodemae.errors import ConfigurationError
from barcodemae.locks import locked

VECTORS_FILE = "vectors.npy"
BLOCKS_FILE = "blocks.jsonl"

_BLOCK_ROWS = 8192
_VERSION = 1

logger = logging.getLogger(__name__)


def cached_vectors(
    folder: Path, key: dict[str, Any], sequences: list[str], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    """The vectors of barcodes, read from the cache as far as possible.

    Every block is checked by its checksum; only blocks that are damaged or missing are computed. Of several
    processes, one computes and the others wait.

    Args:
        folder: the cache.
        key: what the vectors depend on besides the barcodes, as JSON has it: weights, settings, training data.
        sequences: the barcodes.
        embed: gives the vectors of some of them, float32 `[n, dimensions]`.

    Returns:
        float32 `[n, dimensions]`, a read-only memory map.

    Raises:
        ConfigurationError: nothing can be written there, a link is there, there are no barcodes, or a vector is
            not finite.
    """
    if not sequences:
        raise ConfigurationError("expected barcodes to embed, got none")
    description = {
        "version": _VERSION,
        "key": key,
        "barcodes_sha256": texts_sha256(sequences),
        "rows": len(sequences),
        "block_rows": _BLOCK_ROWS,
    }
    entry = folder / texts_sha256([json.dumps(description, sort_keys=True)])[:32]
    with explaining_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f"{entry.name}.lock"):
        refuse_links_in(entry, _partial(entry))
        return _complete(entry, description, sequences, embed)


def texts_sha256(texts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of texts in their order; their boundaries count."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()


def check_finite(vectors: np.ndarray) -> None:
    """Refuse vectors with NaN or infinity, from which some tasks would compute a score all the same.

    Args:
        vectors: `[n, dimensions]`.

    Raises:
        ConfigurationError: a value is not finite.
    """
    # The sum of a row is not finite where one of its values is not, and no second matrix is made.
    num_bad = int(np.sum(~np.isfinite(vectors.sum(axis=1, dtype=np.float64))))
    if num_bad > 0:
        raise ConfigurationError(f"expected finite vectors, got NaN or infinity in {num_bad} of {len(vectors)}")


def _complete(
    entry: Path, description: dict[str, Any], sequences: list[str], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    partial = _partial(entry)
    begins = range(0, len(sequences), _BLOCK_ROWS)
    with explaining_unwritable(entry.parent):
        if entry.exists():
            if set(_finished(entry, description)) == set(begins):
                return open_memmap(entry / VECTORS_FILE, mode="r")
            logger.warning("%s is damaged: what is missing is computed again", entry)
            shutil.rmtree(partial, ignore_errors=True)
            entry.rename(partial)
        finished = _finished(partial, description)
        if not finished:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        # Written anew: the last line may be incomplete after a kill.
        _write_lines(partial, "w", [description, *finished.items()])
    for begin in tqdm(begins, desc="blocks", unit="block", leave=False, disable=len(begins) == 1):
        if begin not in finished:
            block = embed(sequences[begin : begin + _BLOCK_ROWS])
            with explaining_unwritable(entry.parent):
                _add_block(partial, begin, len(sequences), block)
    with explaining_unwritable(entry.parent):
        partial.rename(entry)
        return open_memmap(entry / VECTORS_FILE, mode="r")


def _partial(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.partial")


def _finished(folder: Path, description: dict[str, Any]) -> dict[int, str]:
    """First row and checksum of each block that is as it was written; none where the folder has another description."""
    finished: dict[int, str] = {}
    try:
        first, *lines = (folder / BLOCKS_FILE).read_text().splitlines()
        vectors = open_memmap(folder / VECTORS_FILE, mode="r")
        if json.loads(first) != description or vectors.dtype != np.float32 or len(vectors) != description["rows"]:
            return {}
        for line in lines:
            begin, checksum = json.loads(line)
            if _sha256(folder, begin) == checksum:
                finished[begin] = checksum
    except (OSError, ValueError, TypeError):
        pass  # a line that was cut short by a kill, or a folder that something else has changed
    return finished


def _add_block(folder: Path, begin: int, num_rows: int, block: np.ndarray) -> None:
    check_finite(block)
    file = folder / VECTORS_FILE
    if not file.exists():
        _allocate(file, (num_rows, block.shape[1]))
    vectors = open_memmap(file, mode="r+")
    vectors[begin : begin + _BLOCK_ROWS] = block
    vectors.flush()
    _write_lines(folder, "a", [(begin, _sha256(folder, begin))])


def _allocate(file: Path, shape: tuple[int, int]) -> None:
    open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # A map that is written to on a full disk kills the process; this raises an error.
        with file.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)


def _write_lines(folder: Path, mode: str, contents: list[Any]) -> None:
    with (folder / BLOCKS_FILE).open(mode) as lines:
        lines.writelines(json.dumps(content) + "\n" for content in contents)


def _sha256(folder: Path, begin: int) -> str:
    # Mapped anew each time: pages that were touched would count as memory of this process for as long as the map lives.
    vectors = open_memmap(folder / VECTORS_FILE, mode="r")
    return hashlib.sha256(vectors[begin : begin + _BLOCK_ROWS].tobytes()).hexdigest()
