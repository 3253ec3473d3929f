"""Compression: the genus accuracy that is left when vectors are stored in fewer bytes."""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.decomposition import PCA

from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import answerable, labels, species_of_rows
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.vector_cache import check_finite

# Those smaller than the dimension of the vectors are tried.
DIMENSIONS = (256, 128, 64, 32, 16, 8)

_BLOCK_BYTES = 2**26


def compression_scores(
    train: np.ndarray, references: pa.Table, vectors: np.ndarray, queries: pa.Table, seed: int = 0
) -> list[dict[str, Any]]:
    """Genus accuracy of the nearest reference, with references and queries in the same compressed form.

    All parameters of a form are fitted to the references.

    The forms: `float32`, as they come; `first`, the first dimensions alone; `pca`, the first principal components;
    `int8`, steps of one size per dimension; `bits`, whether a value is above its mean. All are searched by cosine,
    except `bits`, by Hamming distance.

    Args:
        train: float32 `[num_references, dimensions]`.
        references: their records.
        vectors: float32 `[num_queries, dimensions]`.
        queries: their records.
        seed: random seed of the bootstrap, and of the principal components where they are found by random projections.

    Returns:
        One entry per form and number of dimensions, `float32` first: `form, dimensions, bytes` (of one barcode),
        `n_answerable`, and what `scores.accuracy_scores` gives for the genus.

    Raises:
        ConfigurationError: no query is of a genus among the references, or a value is not finite.
    """
    reference_genera, genera, species = labels(references, "genus"), labels(queries, "genus"), species_of_rows(queries)
    rows = answerable(genera, reference_genera)
    if not rows.any():
        raise ConfigurationError("expected queries of a genus that occurs among the references, got none")
    check_finite(train)
    check_finite(vectors)
    vectors, genera, species = vectors[rows], genera[rows], species[rows]
    entries = []

    def add(form: str, dimensions: int, num_bytes: int, neighbours: np.ndarray) -> None:
        scores = accuracy_scores("genus", reference_genera[neighbours], genera, species, seed)
        about = {"form": form, "dimensions": dimensions, "bytes": num_bytes, "n_answerable": len(genera)}
        entries.append(about | scores)

    def nearest(references: np.ndarray, queries: np.ndarray) -> np.ndarray:
        return nearest_by_cosine(references, queries).rows[:, 0]

    width = train.shape[1]
    add("float32", width, 4 * width, nearest(train, vectors))
    fewer = [n for n in DIMENSIONS if n < width]
    for n in fewer:
        add("first", n, 4 * n, nearest(train[:, :n], vectors[:, :n]))
    fewer = [n for n in fewer if n <= len(train)]
    if fewer:
        pca = PCA(fewer[0], random_state=seed).fit(train)
        reference_components, components = pca.transform(train), pca.transform(vectors)
        for n in fewer:
            add("pca", n, 4 * n, nearest(reference_components[:, :n], components[:, :n]))
    scale = int8_scale(train)
    add("int8", width, width, nearest(round_to_int8(train, scale) * scale, round_to_int8(vectors, scale) * scale))
    centre = train.mean(axis=0)
    add("bits", width, -(-width // 8), nearest_by_hamming(train > centre, vectors > centre))
    return entries


def int8_scale(train: np.ndarray) -> np.ndarray:
    """The size of one int8 step, by dimension: float32 `[dimensions]`, the largest absolute value over 127.

    A dimension that is always zero has steps of 1.
    """
    largest = np.abs(train).max(axis=0)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def round_to_int8(vectors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Vectors in steps of `scale`, -127 to 127: int8 `[n, dimensions]`. Times `scale`, they are vectors again."""
    return np.rint(vectors / scale).clip(-127, 127).astype(np.int8)


def nearest_by_hamming(references: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Row of the reference with the minimum number of different bits; of equal ones, the first.

    Args:
        references: bool `[num_references, bits]`.
        queries: bool `[num_queries, bits]`.

    Returns:
        int64 `[num_queries]`.
    """
    # Of +1 and -1, the product is the number of equal bits less that of different ones: whole numbers, exact.
    signs = np.where(references, np.float32(1), np.float32(-1)).T
    nearest = np.empty(len(queries), np.int64)
    num_rows = max(1, _BLOCK_BYTES // (4 * len(references)))
    for begin in range(0, len(queries), num_rows):
        block = slice(begin, begin + num_rows)
        nearest[block] = (np.where(queries[block], np.float32(1), np.float32(-1)) @ signs).argmax(axis=1)
    return nearest
