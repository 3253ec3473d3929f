"""What the linear rivals share: the directions that tell genera apart."""

import warnings

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from barcodemae.errors import ConfigurationError


def fit_discriminants(
    vectors: np.ndarray, genera: np.ndarray, n_discriminants: int, shrinkage: float
) -> LinearDiscriminantAnalysis:
    """Linear discriminant analysis of genera.

    Args:
        vectors: `[n, dimensions]`, of the `train` split.
        genera: `[n]`, the genus of each.
        n_discriminants: directions kept; no more than there are dimensions, or genera less one.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.

    Raises:
        ConfigurationError: there are less than two genera, or none with two barcodes.
    """
    n_genera = len(np.unique(genera))
    if not 2 <= n_genera < len(vectors):
        raise ConfigurationError(
            "a discriminant analysis expects a train split of two genera or more, one of them with two "
            f"barcodes, got {len(vectors)} barcodes of {n_genera} genera: leave the rivals out"
        )
    n_directions = min(n_genera - 1, vectors.shape[1], n_discriminants)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, n_components=n_directions)
    with warnings.catch_warnings():
        # A genus with one barcode adds nothing to the covariance within genera, which is right.
        warnings.filterwarnings("ignore", "Only one sample available")
        return analysis.fit(vectors, genera)
