"""Compression: what is left of the genus accuracy when vectors are stored in fewer bytes."""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.decomposition import PCA

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.splits import answerable, labels, species_of_rows
from barcodemae.evaluation.tasks.questions import check_embeddings
from barcodemae.vectors.nearest import nearest_by_cosine

# Those that are fewer than the vectors have are tried.
DIMENSIONS = (256, 128, 64, 32, 16, 8)

_BLOCK_BYTES = 2**26


def compression_scores(
    train: np.ndarray, keys: pa.Table, vectors: np.ndarray, queries: pa.Table, seed: int = 0
) -> list[dict[str, Any]]:
    """Genus accuracy of the nearest key, keys and queries in the same form. What a form needs is learnt from the keys.

    The forms: `float32`, as they come; `first`, the first dimensions alone; `pca`, the first principal components;
    `int8`, steps of one size per dimension; `bits`, whether a value is above its mean. All go by cosine, save `bits`,
    which go by Hamming distance.

    Args:
        train: float32 `[n_keys, dimensions]`.
        keys: their records.
        vectors: float32 `[n_queries, dimensions]`.
        queries: their records.
        seed: of the bootstrap, and of the principal components where they are found by random projections.

    Returns:
        One entry per form and number of dimensions, `float32` first: `form, dimensions, bytes` (of one barcode),
        `n_answerable`, and what `scores.accuracy_scores` gives for the genus.

    Raises:
        ConfigurationError: no query can be answered, or a value is not finite.
    """
    key_genera, genera, species = labels(keys, "genus"), labels(queries, "genus"), species_of_rows(queries)
    rows = answerable(genera, key_genera)
    if not rows.any():
        raise ConfigurationError("expected queries of a genus that stands among the keys, got none")
    check_embeddings(train)
    check_embeddings(vectors)
    vectors, genera, species = vectors[rows], genera[rows], species[rows]
    entries = []

    def add(form: str, dimensions: int, n_bytes: int, neighbours: np.ndarray) -> None:
        scores = accuracy_scores("genus", key_genera[neighbours], genera, species, seed)
        about = {"form": form, "dimensions": dimensions, "bytes": n_bytes, "n_answerable": len(genera)}
        entries.append(about | scores)

    def nearest(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
        return nearest_by_cosine(keys, queries).rows[:, 0]

    width = train.shape[1]
    add("float32", width, 4 * width, nearest(train, vectors))
    fewer = [n for n in DIMENSIONS if n < width]
    for n in fewer:
        add("first", n, 4 * n, nearest(train[:, :n], vectors[:, :n]))
    fewer = [n for n in fewer if n <= len(train)]
    if fewer:
        pca = PCA(fewer[0], random_state=seed).fit(train)
        key_components, components = pca.transform(train), pca.transform(vectors)
        for n in fewer:
            add("pca", n, 4 * n, nearest(key_components[:, :n], components[:, :n]))
    scale = int8_scale(train)
    add("int8", width, width, nearest(round_to_int8(train, scale) * scale, round_to_int8(vectors, scale) * scale))
    centre = train.mean(axis=0)
    add("bits", width, -(-width // 8), nearest_by_hamming(train > centre, vectors > centre))
    return entries


def int8_scale(train: np.ndarray) -> np.ndarray:
    """What one step of an int8 stands for, by dimension: float32 `[dimensions]`, the largest absolute value over 127.

    A dimension that is always zero has steps of 1.
    """
    largest = np.abs(train).max(axis=0)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def round_to_int8(vectors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Vectors in steps of `scale`, -127 to 127: int8 `[n, dimensions]`. Times `scale`, they are vectors again."""
    return np.rint(vectors / scale).clip(-127, 127).astype(np.int8)


def nearest_by_hamming(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Row of the key with the fewest different bits; of equal ones, the first.

    Args:
        keys: bool `[n_keys, bits]`.
        queries: bool `[n_queries, bits]`.

    Returns:
        int64 `[n_queries]`.
    """
    # Of +1 and -1, the product is the number of equal bits less that of different ones: whole numbers, exact.
    signs = np.where(keys, np.float32(1), np.float32(-1)).T
    nearest = np.empty(len(queries), np.int64)
    n_rows = max(1, _BLOCK_BYTES // (4 * len(keys)))
    for begin in range(0, len(queries), n_rows):
        block = slice(begin, begin + n_rows)
        nearest[block] = (np.where(queries[block], np.float32(1), np.float32(-1)) @ signs).argmax(axis=1)
    return nearest
