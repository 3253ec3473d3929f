"""What completion by the network gives: embeddings of a tuned model beside those of its map of the bases alone.

`python benchmarks/completion.py --model nano_coi --data coi_large.parquet --query-split test_unseen --output FILE.json`

Genus is that of the nearest reference (`train`) of the queries of unseen species, complete or cut at a random position
(seed 0); species that of the queries of `--known-split`. `--queries` are those of another file. References are not cut.
Differences are paired, with 95 % intervals over species. Rates are barcodes a second of processor time, one thread.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pooled_decoder import cut_at_random, scores
from results_file import save_results
from tuning_ablation import names_of

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.embedding.nearest import CosineEmbedder, nearest_by_cosine
from barcodemae.evaluation.benchmark import answerable, labels, read_usable_records, species_of_rows
from barcodemae.provenance import describe_data, without_folder
from barcodemae.training.tuning.tune import draw_per_species


@dataclass
class CompletionArguments:
    """What to measure."""

    model: str = field(metadata={"help": "A tuned checkpoint whose network completes barcodes."})
    data: str = field(metadata={"help": "Barcodes with splits: the references, and the queries unless --queries."})
    queries: str | None = field(default=None, metadata={"help": "A file of queries of unseen species, all of it."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    known_split: str = field(default="val", metadata={"help": "Split of known species."})
    references_per_species: int | None = field(default=None, metadata={"help": "References drawn of each species."})
    weights: list[float] = field(default_factory=list, metadata={"help": "Other weights of completed bases to try."})
    cuts: list[int] = field(default_factory=lambda: [130, 200, 300], metadata={"help": "Lengths of cut queries."})
    output: Path | None = field(default=None, metadata={"help": "A .json file for the numbers."})


@dataclass(frozen=True)
class Queries:
    """Sequences, their names at a rank, and their species."""

    texts: list[str]
    names: np.ndarray
    species: np.ndarray

    def cut(self, length: int) -> "Queries":
        return Queries(cut_at_random(self.texts, length), self.names, self.species)


def queries_of(records: pa.Table, rank: str, references: pa.Table) -> Queries:
    """The records whose name at a rank is among the references."""
    names = labels(records, rank)
    chosen = np.flatnonzero(answerable(names, labels(references, rank)))
    texts = [records["nucleotides"][row].as_py() for row in chosen.tolist()]
    return Queries(texts, names[chosen], species_of_rows(records)[chosen])


def correct(
    vectors: np.ndarray, names: np.ndarray, embedder: CosineEmbedder, queries: Queries, costs: dict[str, float]
) -> np.ndarray:
    """Whether the nearest reference has the name of each query, 0 or 1; a query without an embedding has none."""
    begin = time.process_time()
    found = embedder.encode(queries.texts, on_error="skip")
    costs["barcodes"] = costs.get("barcodes", 0) + len(found)
    costs["seconds"] = costs.get("seconds", 0) + time.process_time() - begin
    nearest = nearest_by_cosine(vectors, np.nan_to_num(found)).rows[:, 0]
    return ((names[nearest] == queries.names) & ~np.isnan(found).any(axis=1)).astype(float)


def main() -> None:
    (args,) = parse_arguments((CompletionArguments,))
    torch.set_num_threads(1)
    records = read_usable_records(args.data, "skip")
    split = labels(records, "split")
    drawn = draw_per_species(np.flatnonzero(split == "train"), names_of(records)[1], args.references_per_species)
    references = records.take(drawn)
    unseen = records.filter(pa.array(split == args.query_split))
    if args.queries is not None:
        unseen = read_usable_records(args.queries, "skip")
    genus = queries_of(unseen, "genus", references)
    tasks: dict[str, tuple[str, Queries]] = {"genus": ("genus", genus)}
    tasks |= {f"genus, cuts of {length}": ("genus", genus.cut(length)) for length in args.cuts}
    if args.queries is None:
        known = records.filter(pa.array(split == args.known_split))
        tasks["species"] = "species", queries_of(known, "species", references)
    model = BarcodeEmbedder.from_pretrained(args.model, device="cpu")
    texts, costs, found = references["nucleotides"].to_pylist(), {}, {}
    head = model.model.projection_head
    own_weight = head.completion_weight
    weights = {"completed": own_weight} | {f"weight {weight:g}": weight for weight in args.weights}
    for title in ("bases", *weights):
        embedder = model if title in weights else model.base_map
        head.completion_weight = weights.get(title, own_weight)
        vectors = embedder.encode(texts, on_error="skip")
        is_read = ~np.isnan(vectors).any(axis=1)
        costs[title] = {}
        for task, (rank, queries) in tasks.items():
            names = labels(references, rank)[is_read]
            found[title, task] = correct(vectors[is_read], names, embedder, queries, costs[title])
    results: dict[str, Any] = {}
    for task, (_, queries) in tasks.items():
        results[task] = {"num_queries": len(queries.texts), "bases": scores(found["bases", task], queries.species)}
        for title in weights:
            results[task][title] = scores(found[title, task], queries.species)
            difference = found[title, task] - found["bases", task]
            results[task][f"{title}_less_bases"] = scores(difference, queries.species)
    save_results(
        {
            "model": {"name": without_folder(args.model), "sha256": weights_sha256(args.model), "weight": own_weight},
            "data": describe_data([args.data, *([] if args.queries is None else [args.queries])]),
            "query_split": None if args.queries is not None else args.query_split,
            "known_split": args.known_split,
            "num_references": len(references),
            "results": results,
            "barcodes_per_second": {title: cost["barcodes"] / cost["seconds"] for title, cost in costs.items()},
        },
        args.output,
    )


if __name__ == "__main__":
    run_command(main)
