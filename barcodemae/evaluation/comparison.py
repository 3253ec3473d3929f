"""Two models on the same barcodes: is the difference of their accuracies more than chance?"""

from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.bootstrap import N_RESAMPLES, species_bootstrap
from barcodemae.evaluation.splits import labels, species_of_rows

_BLOCK_BYTES = 2**26


def paired_comparison(model: np.ndarray, rival: np.ndarray, species: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Accuracy of the model minus that of the rival, with 95 % interval and two-sided p-value, all over species.

    The interval is of a bootstrap that draws species with the answers of both. The p-value is of a randomisation test:
    were the two equally good, their answers to all barcodes of a species could as well be exchanged; p is the share
    of random exchanges that give a difference as large or larger, (b + 1) / (n + 1) with n = 2,000, so never 0.
    (The same bootstrap, recentred, would give p-values that are too small where species are few and uneven.)

    Args:
        model: `[n]`, true or 1 where the model was right, or the share of several seeds' runs that were.
        rival: `[n]`, the same of the rival, on the same rows.
        species: `[n]`, names.
        seed: of the draws.

    Returns:
        `difference, interval` (`[low, high]`), `p_value`: of the share of right rows; the same with `_by_species`:
        of the mean over species of each one's share; `n_species, n_rows`.

    Raises:
        ConfigurationError: no rows.
    """
    if len(species) == 0:
        raise ConfigurationError("a comparison expects barcodes that both models answered, got none")
    difference = model.astype(float) - rival.astype(float)
    _, group = np.unique(species, return_inverse=True)
    total, n_rows = np.bincount(group, weights=difference), np.bincount(group)
    mean = total / n_rows
    intervals = species_bootstrap(difference, species, seed)
    p_value, p_value_by_species = _exchange(np.stack([total, mean], axis=1), seed)
    return {
        "difference": float(difference.mean()),
        "interval": list(intervals.plain),
        "p_value": p_value,
        "difference_by_species": float(mean.mean()),
        "interval_by_species": list(intervals.by_species),
        "p_value_by_species": p_value_by_species,
        "n_species": len(n_rows),
        "n_rows": len(difference),
    }


def compare_answers(
    model: pa.Table, model_name: str, rival: pa.Table, rival_name: str, seed: int = 0
) -> dict[str, Any]:
    """Compare two columns of answers, of one evaluation or of two.

    Args:
        model: a table as in `answers.parquet`: `id, species, genus`, and a column of named genera for each model.
        model_name: the model's column in it.
        rival: another such table, of the same barcodes in any order, or the same table.
        rival_name: the rival's column in it.
        seed: of the draws.

    Returns:
        As `paired_comparison`, of genus accuracy.

    Raises:
        ConfigurationError: a column is missing, or the two tables are of different barcodes.
    """
    model, rival = _in_order(model, model_name), _in_order(rival, rival_name)
    of_model, of_rival = set(model["id"].to_pylist()), set(rival["id"].to_pylist())
    if any(not np.array_equal(labels(model, column), labels(rival, column)) for column in _KEYS):
        raise ConfigurationError(
            f"a comparison expects the same barcodes with the same labels in both tables, got {len(model):,} and "
            f"{len(rival):,} rows; {len(of_model & of_rival):,} ids stand in both"
        )
    genera = labels(model, "genus")
    return paired_comparison(
        labels(model, model_name) == genera, labels(rival, rival_name) == genera, species_of_rows(model), seed
    )


_KEYS = ("id", "species", "genus")


def _in_order(answers: pa.Table, name: str) -> pa.Table:
    if missing := [column for column in (*_KEYS, name) if column not in answers.column_names]:
        raise ConfigurationError(
            f"answers: expected the columns {', '.join(missing)}, got {', '.join(answers.column_names)}"
        )
    # An id may stand twice; which of two equal rows is which changes nothing, as species are resampled as a whole.
    return answers.sort_by([(column, "ascending") for column in _KEYS])


def _exchange(of_species: np.ndarray, seed: int) -> list[float]:
    """p-values of the sums of the columns of `[n_species, m]` when each row changes its sign with chance 1/2."""
    rng = np.random.default_rng(seed)
    # Sums of the same numbers in another order may differ in their last digits.
    observed = np.abs(of_species.sum(axis=0)) * (1 - 1e-9)
    n_larger = np.zeros(of_species.shape[1])
    n_at_once = max(1, _BLOCK_BYTES // (8 * len(of_species)))
    for begin in range(0, N_RESAMPLES, n_at_once):
        n = min(n_at_once, N_RESAMPLES - begin)
        signs = rng.integers(0, 2, (n, len(of_species))) * 2 - 1
        n_larger += (np.abs(signs @ of_species) >= observed).sum(axis=0)
    return ((n_larger + 1) / (N_RESAMPLES + 1)).tolist()
