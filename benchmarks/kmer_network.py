"""What a network adds to the map of k-mers, for a marker without a reference frame.

`python benchmarks/kmer_network.py --checkpoints runs/its --data its_fungi.parquet --output RESULTS.json`

Each checkpoint was pretrained without a frame (`train --frame none --pooled-target kmers`). Genus is that of the
nearest reference (`train`) of the queries of unseen species, and species that of the queries of `--known-split`. They
are found by the cosine of: the network's pooled vectors alone, also of the same network untrained; the map of k-mers
that `barcodemae tune` fits; and that map fitted with the pooled vectors as further features, at several lengths
relative to those of the k-mers. Differences are paired, with 95 % intervals over species.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pooled_decoder import scores
from results_file import save_results
from tuning_ablation import names_of

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.embedding.kmer_map import kmer_spectra
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.benchmark import answerable, labels, read_usable_records, species_of_rows
from barcodemae.provenance import describe_data, without_folder
from barcodemae.training.tuning.head import fit_head, join_features
from barcodemae.training.tuning.kmers import K, find_kmer_features
from barcodemae.training.tuning.settings import HeadSettings


@dataclass
class KmerNetworkArguments:
    """What to measure."""

    checkpoints: list[str] = field(metadata={"help": "Checkpoints pretrained without a frame."})
    data: str = field(metadata={"help": "Barcodes with splits, on one strand."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    known_split: str = field(default="test", metadata={"help": "Split of known species."})
    shares: list[float] = field(default_factory=lambda: [0.1, 0.3, 1.0], metadata={"help": "Shares of the network."})
    output: Path | None = field(default=None, metadata={"help": "A .json file for the numbers."})


class Comparison:
    """Queries, references, and the map of k-mers, fitted to the references."""

    def __init__(self, args: KmerNetworkArguments):
        records = read_usable_records(args.data, "skip")
        split, row = labels(records, "split"), np.arange(len(records))
        names = {rank: labels(records, rank) for rank in ("genus", "species")}
        self.texts = records["nucleotides"].to_pylist()
        self.references = row[(split == "train") & (names["genus"] != "")]
        self.queries = {}
        for rank, queries in (("genus", row[split == args.query_split]), ("species", row[split == args.known_split])):
            is_answerable = answerable(names[rank][queries], names[rank][self.references])
            self.queries[rank] = names[rank], queries[is_answerable]
        self.species = species_of_rows(records)
        self.genera, self.units = (numbers[self.references] for numbers in names_of(records))
        self.used = np.unique(np.concatenate([self.references, *(queries for _, queries in self.queries.values())]))
        self.weights, self.features = find_kmer_features(self.texts_of(self.references), HeadSettings())

    def texts_of(self, rows: np.ndarray) -> list[str]:
        return [self.texts[row] for row in rows.tolist()]

    def correct(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Whether the nearest reference has the name of each query, 0 or 1, by vectors of the rows `used`."""
        found = {}
        references = vectors[np.searchsorted(self.used, self.references)]
        for rank, (names, queries) in self.queries.items():
            nearest = nearest_by_cosine(references, vectors[np.searchsorted(self.used, queries)]).rows[:, 0]
            found[rank] = (names[self.references][nearest] == names[queries]).astype(float)
        return found

    def mapped(self, encoded: np.ndarray, network_share: float) -> np.ndarray:
        """The vectors of a head fitted to k-mers and the network's vectors, both of the rows `used`."""
        settings = dataclasses.replace(HeadSettings(), network_share=network_share)
        features = join_features(self.features, encoded[np.searchsorted(self.used, self.references)], settings)
        head = fit_head(features, self.genera, self.units, settings)
        blocks = kmer_spectra(self.texts_of(self.used), K, self.weights)
        return np.concatenate([head.bases(spectra) for _, spectra in blocks]) + head.network(encoded)

    def described(self, correct: dict[str, np.ndarray], other: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
        rows = {}
        for rank, (_, queries) in self.queries.items():
            rows[rank] = scores(correct[rank], self.species[queries])
            if other is not None:
                rows[rank]["less_kmers"] = scores(correct[rank] - other[rank], self.species[queries])
        return rows


def main() -> None:
    (args,) = parse_arguments((KmerNetworkArguments,))
    comparison = Comparison(args)
    texts = comparison.texts_of(comparison.used)
    kmers = comparison.correct(comparison.mapped(np.zeros((len(texts), 1), np.float32), 0.0))
    results: dict[str, Any] = {"map of k-mers": comparison.described(kmers)}
    for path in args.checkpoints:
        name, trained = without_folder(path), BarcodeEmbedder.from_pretrained(path)
        encoded = trained.encode(texts)
        untrained = BarcodeEmbedder.untrained_like(trained).encode(texts)
        results[f"{name}, network alone"] = comparison.described(comparison.correct(encoded), kmers)
        results[f"{name}, untrained"] = comparison.described(comparison.correct(untrained), kmers)
        for share in args.shares:
            correct = comparison.correct(comparison.mapped(encoded, share))
            results[f"{name}, with k-mers, share {share:g}"] = comparison.described(correct, kmers)
    save_results(
        {
            "data": describe_data([args.data]),
            "query_split": args.query_split,
            "num_queries": {rank: len(queries) for rank, (_, queries) in comparison.queries.items()},
            "num_references": len(comparison.references),
            "checkpoints": {without_folder(path): weights_sha256(path) for path in args.checkpoints},
            "results": results,
        },
        args.output,
    )


if __name__ == "__main__":
    run_command(main)
