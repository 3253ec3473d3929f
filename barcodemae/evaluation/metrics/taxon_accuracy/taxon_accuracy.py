"""Accuracy over rows and averaged over taxa: a module for the `evaluate` library."""

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Accuracy of taxonomic identification. A few species often have most of the barcodes. So accuracy over rows
is given together with the mean over taxa, in which each taxon has equal weight.
"""

_INPUTS = """
Args:
    predictions: predicted names, one per barcode.
    references: true names, one per barcode.
    taxa: taxon of each barcode in the mean over taxa (usually its species).
Returns:
    accuracy: share of correct rows, 0 to 1.
    accuracy_by_taxon: mean over taxa of each taxon's accuracy, 0 to 1.
Examples:
    >>> metric = evaluate.load("taxon_accuracy")
    >>> metric.compute(predictions=["Aus", "Bus"], references=["Aus", "Aus"], taxa=["Aus a", "Aus b"])
    {'accuracy': 0.5, 'accuracy_by_taxon': 0.5}
"""


class TaxonAccuracy(evaluate.Metric):
    """Accuracy over rows and averaged over taxa."""

    def _info(self):
        names = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": names, "references": names, "taxa": names}),
        )

    def _compute(self, predictions, references, taxa):
        correct = np.asarray(predictions, dtype=object) == np.asarray(references, dtype=object)
        _, taxon = np.unique(np.asarray(taxa, dtype=str), return_inverse=True)
        by_taxon = np.bincount(taxon, weights=correct) / np.bincount(taxon)
        return {"accuracy": float(correct.mean()), "accuracy_by_taxon": float(by_taxon.mean())}
