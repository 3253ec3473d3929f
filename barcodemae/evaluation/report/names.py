"""What representations are called, and which of them are shown where not all fit."""

from typing import Any

# Rivals without an entry go by their own name.
NAMES = {
    "untrained": "untrained",
    "without_frame": "without frame",
    "kmer_4": "4-mer counts",
    "kmer_6": "6-mer counts",
    "frame_svd": "frame SVD",
    "frame_lda": "frame SVD + LDA",
    "kmer_6_lda": "6-mer SVD + LDA",
    "compressor": "compression distance",
    "blastn": "BLAST",
    "vsearch": "VSEARCH",
    "dnabert2": "DNABERT-2",
    "dnabert_s": "DNABERT-S",
    "hyenadna": "HyenaDNA",
    "nucleotide_transformer": "Nucleotide Transformer",
    "caduceus": "Caduceus",
    "barcodebert": "BarcodeBERT",
}

# What a report says of rivals whose name does not tell it.
MEANINGS = {
    "untrained": "the same architecture with random weights.",
    "without_frame": "the model reading from the first letter on.",
    "kmer_4": "counts of overlapping 4-mers.",
    "kmer_6": "counts of overlapping 6-mers.",
    "frame_svd": "each barcode as one-hot letters on the reference frame of COI, centred by column, on 400 singular "
    "vectors of train.",
    "frame_lda": "frame SVD, then a linear discriminant analysis of the train genera.",
    "kmer_6_lda": "square roots of 6-mer counts, on singular vectors of train, then a discriminant analysis.",
    "compressor": "normalized compression distance, by DEFLATE.",
}


def representations(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Readable name -> scores, the model first.

    Args:
        results: as in `results.json`.
    """
    model = results["provenance"]["model"]
    found = {model: results}
    for key, scores in results["rivals"].items():
        name = readable(key)
        found[f"{name} (rival)" if name in found else name] = scores
    return found


def readable(rival: str) -> str:
    """The name of a rival for readers."""
    return NAMES.get(rival, rival)


def by_accuracy(results: dict[str, Any]) -> list[str]:
    """Readable names: the model, then its rivals by genus accuracy of unseen species, best first."""
    model, *rivals = (found := representations(results))
    # Those without a genus accuracy come last.
    return [model, *sorted(rivals, key=lambda name: -found[name].get("knn", {}).get("genus_accuracy", -1))]


def ran(results: dict[str, Any], task: str, n_rivals: int | None = None) -> dict[str, Any]:
    """What one task gave: name -> its scores, for the model and the rivals that ran it, the model first.

    Args:
        results: as in `results.json`.
        task: its key.
        n_rivals: only so many rivals, those that are best at the genus of unseen species; by default all of them, in
            the order of the file.
    """
    found = representations(results)
    model = results["provenance"]["model"]
    names = list(found) if n_rivals is None else by_accuracy(results)
    names = [name for name in names if found[name].get(task)]
    if n_rivals is not None:
        rivals = [name for name in names if name != model][:n_rivals]
        names = [name for name in names if name == model] + rivals
    return {name: found[name][task] for name in names}


def of_same_queries(knn: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of nearest-neighbour scores by name those that asked as many queries as the first: classes can be compared."""
    first = next(iter(knn.values()))
    return {name: scores for name, scores in knn.items() if scores["n_queries"] == first["n_queries"]}
