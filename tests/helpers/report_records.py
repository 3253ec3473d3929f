"""Results for the tests of the report: every task, with numbers drawn by seed."""

from typing import Any

import numpy as np

ORDERS = ("Diptera", "Hymenoptera", "Lepidoptera", "Coleoptera", "Hemiptera", "")
CHANGES = {
    "substitutions": (0.01, 0.03, 0.1),
    "indels": (0.002, 0.005, 0.02),
    "ambiguous": (0.01, 0.03, 0.1),
    "mini_barcode": (400, 300, 200, 100),
    "shifted_frame": (1, 2, 3, 4, 5),
    "reverse_complement": (None,),
}


def accuracies(*ranks: str, share: float, n: int = 100) -> dict[str, Any]:
    """Scores of some ranks, all of the same share."""
    scores: dict[str, Any] = {"n_answerable": n}
    for rank in ranks:
        for key in (f"{rank}_accuracy", f"{rank}_accuracy_by_species"):
            scores |= {key: share, f"{key}_interval": [max(0.0, share - 0.08), min(1.0, share + 0.06)]}
    return scores


def full_scores(share: float, seed: int, dimensions: int = 256) -> dict[str, Any]:
    """Scores of all tasks for a method whose genus accuracy is `share`."""
    rng = np.random.default_rng(seed)

    def near(value: float) -> float:
        return float(np.clip(value + rng.normal(0, 0.03), 0, 1))

    choices = [
        {
            "reduction": reduction,
            "method": method,
            "n_clusters": 40,
            "n_unclustered": 0,
            "bin_ami": near(0.8),
            "silhouette": near(0.4),
        }
        for reduction in ("umap", "pca", "none")
        for method in ("k-means", "ward", "hdbscan")
    ]
    knn = {
        "n_references": 1000,
        "n_queries": 120,
        **accuracies("phylum", "class", "order", share=near(0.97)),
        **accuracies("family", share=near((1 + share) / 2)),
        **accuracies("genus", share=share),
        "by_genus_size": [
            {"n_references": ends, **accuracies("genus", share=near(share), n=30)}
            for ends in ([1, 1], [2, 3], [4, 7], [8, 14])
        ],
        "by_similarity": [
            {"similarity": [low, low + 0.1], **accuracies("genus", share=near(low * share + 0.1), n=20)}
            for low in (0.5, 0.6, 0.7, 0.8, 0.9)
        ],
        "by_order": [
            {"taxon": order, **accuracies("genus", share=near(share), n=60 - 10 * position)}
            for position, order in enumerate(ORDERS)
        ],
        "confusions": [
            {"genus": f"Aus{position}", "predicted": f"Bus{position}", "family": "Cidae", "n": 9 - position}
            for position in range(6)
        ],
        "seen_species": {
            "n_references": 1000,
            "n_queries": 300,
            **accuracies("genus", "family", share=0.995),
            **accuracies("species", share=0.98),
        },
    }
    robustness = [{"change": "unchanged", "amount": None, **accuracies("genus", share=share)}]
    for change, amounts in CHANGES.items():
        for position, amount in enumerate(amounts):
            left = accuracies("genus", share=near(share * (1 - 0.15 * position)))
            robustness.append({"change": change, "amount": amount, **left})
    compression = [_compressed("float32", dimensions, 4 * dimensions, share)]
    for n in (128, 64, 32, 16, 8):
        compression.append(_compressed("first", n, 4 * n, near(share * (1 - 2 / n))))
        compression.append(_compressed("pca", n, 4 * n, near(share * (1 - 1 / n))))
    compression.append(_compressed("int8", dimensions, dimensions, near(share)))
    compression.append(_compressed("bits", dimensions, dimensions // 8, near(share - 0.1)))
    few_shot = [
        {"shots": shots, "n_species": 50, "n_queries": 90, "n_seeds": 10, **accuracies("species", share=near(level))}
        for shots, level in ((1, 0.7), (2, 0.8), (5, 0.9), (10, 0.95))
    ]
    return {
        "knn": knn,
        "weighted_knn": {
            "n_neighbours": 50,
            "temperature": 0.02,
            **accuracies("family", "genus", share=near(share)),
            "seen_species": accuracies("genus", "species", share=0.99),
        },
        "linear_probe": {"n_train": 1000, "n_queries": 300, **accuracies("species", share=near(0.96))},
        "logistic_probe": {"n_train": 1000, "n_queries": 300, "c": 1.0, **accuracies("species", share=near(0.97))},
        "few_shot": few_shot,
        "clustering": {"n_rows": 400, "n_bins": 60, "n_clusters": 50, "bin_ami": 0.8, "bin_ami_unseen": 0.85},
        "clustering_grid": {
            "n_rows": 400,
            "n_rows_used": 400,
            "n_bins": 60,
            "n_species": 50,
            "choices": choices,
            "chosen_by_silhouette": max(choices, key=lambda choice: choice["silhouette"]),
        },
        "novelty": {
            "n_known": 300,
            "n_novel": 120,
            "auroc": near(0.9),
            "auroc_interval": [0.8, 1.0],
            "novel_recognised": near(0.6),
            "novel_recognised_interval": [0.5, 0.7],
        },
        "robustness": robustness,
        "compression": compression,
        "harmonic_mean": 2 * share * 0.8 / (share + 0.8),
    }


def full_results(model: str = "tiny") -> dict[str, Any]:
    """A whole `results.json`, one baseline without vectors among its baselines."""
    aligned = {key: full_scores(0.93, 4)[key] for key in ("knn", "novelty", "robustness")}
    comparison = {"interval": [-0.3, -0.1], "p_value": 0.0004, "n_species": 40, "n_rows": 100}
    return {
        "schema_version": 3,
        **full_scores(0.7, 0),
        "fine_tuning": {**accuracies("species", share=0.96), "unseen": accuracies("genus", share=0.8)},
        "tokenization": {"barcodes": 1420, "truncated": 3, "tokens": 90000, "unknown": 12},
        "baselines": {
            "untrained": full_scores(0.62, 1),
            "kmer_4": full_scores(0.63, 2),
            "frame_lda": full_scores(0.9, 3, dimensions=200),
            "vsearch": {
                **aligned,
                "harmonic_mean": None,
                "program": {"version": "2.22.1", "commands": ["vsearch --usearch_global queries.fasta"]},
            },
        },
        "comparisons": {
            "kmer_4": comparison | {"difference": 0.07, "interval": [-0.01, 0.15], "p_value": 0.06},
            "vsearch": comparison | {"difference": -0.23},
        },
        "splits": {"train": 1000, "test": 300, "test_unseen": 120},
        "provenance": {
            "model": model,
            "weights_sha256": "0123abcd",
            "data": [{"name": "barcodes.parquet", "sha256": "abc"}],
            "seed": 0,
            "command": "python evaluate_embeddings.py --model tiny",
            "versions": {"python": "3.12.1"},
            "machine": "some processor, 2 cores",
            "date": "2025-01-01T00:00:00+00:00",
        },
    }


def _compressed(form: str, dimensions: int, num_bytes: int, share: float) -> dict[str, Any]:
    return {"form": form, "dimensions": dimensions, "bytes": num_bytes, **accuracies("genus", share=share)}
