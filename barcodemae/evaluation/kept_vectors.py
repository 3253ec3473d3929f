"""Vectors of barcodes kept on disk, block by block: what was computed is not computed again, even after a kill.

A folder of the cache is named by what its vectors depend on, and holds `vectors.npy` and `blocks.jsonl`: a line on the
whole, then one line for each block that is on disk, with its checksum. It is called `NAME.making` until the last block.
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

from barcodemae.data.cache import refuse_links, telling_unwritable
from barcodemae.errors import ConfigurationError
from barcodemae.locks import locked

VECTORS_FILE = "vectors.npy"
BLOCKS_FILE = "blocks.jsonl"

_BLOCK_ROWS = 8192
_VERSION = 1

logger = logging.getLogger(__name__)


def kept_vectors(
    folder: Path, key: dict[str, Any], sequences: list[str], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    """The vectors of barcodes, from the cache as far as they are there.

    Every block is checked by its checksum; what is damaged or missing is computed, and nothing else is. Of several
    processes, one computes and the others wait.

    Args:
        folder: the cache.
        key: what the vectors depend on besides the barcodes, as JSON has it: weights, settings, what was fitted to.
        sequences: the barcodes.
        embed: gives the vectors of some of them, float32 `[n, dimensions]`.

    Returns:
        float32 `[n, dimensions]`, a read-only memory map.

    Raises:
        ConfigurationError: nothing can be written there, a link stands there, there are no barcodes, or a vector is
            not finite.
    """
    if not sequences:
        raise ConfigurationError("expected barcodes to embed, got none")
    whole = {
        "version": _VERSION,
        "key": key,
        "barcodes_sha256": texts_sha256(sequences),
        "rows": len(sequences),
        "block_rows": _BLOCK_ROWS,
    }
    place = folder / texts_sha256([json.dumps(whole, sort_keys=True)])[:32]
    with telling_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f"{place.name}.lock"):
        refuse_links(place, _making(place))
        return _complete(place, whole, sequences, embed)


def texts_sha256(texts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of texts in their order; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()


def _complete(
    place: Path, whole: dict[str, Any], sequences: list[str], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    making = _making(place)
    begins = range(0, len(sequences), _BLOCK_ROWS)
    with telling_unwritable(place.parent):
        if place.exists():
            if set(_finished(place, whole)) == set(begins):
                return open_memmap(place / VECTORS_FILE, mode="r")
            logger.warning("%s is damaged: what is missing is computed again", place)
            shutil.rmtree(making, ignore_errors=True)
            place.rename(making)
        finished = _finished(making, whole)
        if not finished:
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
        # Written anew: the last line may have been cut short by a kill.
        _write_lines(making, "w", [whole, *finished.items()])
    for begin in tqdm(begins, desc="blocks", unit="block", leave=False, disable=len(begins) == 1):
        if begin not in finished:
            block = embed(sequences[begin : begin + _BLOCK_ROWS])
            with telling_unwritable(place.parent):
                _add_block(making, begin, len(sequences), block)
    with telling_unwritable(place.parent):
        making.rename(place)
        return open_memmap(place / VECTORS_FILE, mode="r")


def _making(place: Path) -> Path:
    return place.with_name(f"{place.name}.making")


def _finished(folder: Path, whole: dict[str, Any]) -> dict[int, str]:
    """First row and checksum of each block that is as it was written; none where the folder is not of this whole."""
    finished: dict[int, str] = {}
    try:
        first, *lines = (folder / BLOCKS_FILE).read_text().splitlines()
        vectors = open_memmap(folder / VECTORS_FILE, mode="r")
        if json.loads(first) != whole or vectors.dtype != np.float32 or len(vectors) != whole["rows"]:
            return {}
        for line in lines:
            begin, checksum = json.loads(line)
            if _sha256(folder, begin) == checksum:
                finished[begin] = checksum
    except (OSError, ValueError, TypeError):
        pass  # a line that was cut short by a kill, or a folder that something else has been at
    return finished


def _add_block(folder: Path, begin: int, n_rows: int, block: np.ndarray) -> None:
    if n_bad := int((~np.isfinite(block).all(axis=1)).sum()):
        raise ConfigurationError(f"expected finite vectors, got NaN or infinity in {n_bad} of {len(block)}")
    file = folder / VECTORS_FILE
    if not file.exists():
        _make_room(file, (n_rows, block.shape[1]))
    vectors = open_memmap(file, mode="r+")
    vectors[begin : begin + _BLOCK_ROWS] = block
    vectors.flush()
    _write_lines(folder, "a", [(begin, _sha256(folder, begin))])


def _make_room(file: Path, shape: tuple[int, int]) -> None:
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
