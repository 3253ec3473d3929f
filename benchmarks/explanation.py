"""Explanations of names: do the bases with the largest contributions carry the name? Deletion curves.

`python benchmarks/explanation.py --data coi_arthropods.parquet [--splits val val_unseen] [--output FILE] [--plot FILE]`
makes a library of `train`, explains the names of 200 random rows of the splits, and leaves out more and more bases of
each query: those with the largest contributions first, or random ones. By the base map, the difference of the scores of
the two references is measured; by two networks, that of the cosines, where k-mers are left out. `--dynamic-lrp FOLDER`
adds DynamicLRP (Lee et al. 2025), of whose repository FOLDER is a copy (https://github.com/keeinlev/dynamicLRP).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from barcodemae import BarcodeEmbedder
from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.embedding.attribution import Attribution, difference_of_directions
from barcodemae.embedding.integrated_gradients import NUM_STEPS
from barcodemae.errors import BadRecordError
from barcodemae.evaluation.benchmark import read_usable_records, select_splits
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.files import written_atomically
from barcodemae.library.explanation.contributions import Explainer, Explanation
from barcodemae.library.identification import Identifier
from barcodemae.library.library import Library
from barcodemae.library.models import open_with_model
from barcodemae.plotting import BLUE, GREEN, GREY, ORANGE, PURPLE, PlainFigure, finish, png
from barcodemae.provenance import describe_machine, describe_versions
from tokenization_barcodemae import encode_barcodes, place_barcodes

NUM_QUERIES = 200
NETWORKS = ("nano_coi", "tiny_coi_pretrained")
BASES = (0, 1, 2, 5, 10, 20, 50, 100, 200)
SHARES = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
COLOURS = {
    "contributions": BLUE,
    "integrated gradients": BLUE,
    "one gradient, halfway": GREEN,
    "DynamicLRP": PURPLE,
    "random, where the references differ": ORANGE,
    "random": GREY,
}


class MapCurves:
    """The difference of the scores of two references without some of a query's bases, by the base map."""

    def __init__(self, library: Any, embedder: Any, seed: int):
        self._library, self._embedder = library, embedder
        self._numbers = {id: row for row, id in enumerate(library.names()["id"].to_pylist())}
        self._rng = np.random.default_rng(seed)

    def references(self, one: Explanation) -> np.ndarray:
        """The numbers of the two references."""
        return np.array([self._numbers[one.reference], self._numbers[one.other_reference]])

    def __call__(self, one: Explanation) -> dict[str, np.ndarray]:
        """Order of the bases -> the difference after each number of `BASES`, as a share of that with all."""
        differs = (one.reference_bases >= 0) & (one.other_bases >= 0) & (one.reference_bases != one.other_bases)
        at_random = self._rng.permutation(len(one.bases))
        orders = {
            "contributions": np.argsort(-one.contributions, kind="stable"),
            "random, where the references differ": at_random[np.argsort(~differs[at_random], kind="stable")],
            "random": at_random,
        }
        records = self.references(one)
        vectors = self._library.vectors(records).astype(np.float64)
        references, comparison = self._library.bases(records), self._library.comparison
        found = {}
        for name, order in orders.items():
            bases = np.full((len(BASES), references.shape[1]), -1, np.int8)
            bases[:, one.coordinates] = one.bases
            for row, number in enumerate(BASES):
                bases[row, one.coordinates[order[:number]]] = -1
            embedded = self._embedder.embed_bases(bases).astype(np.float64)
            embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
            num_equal, num_shared = comparison.compare(bases[:, None], references[None])
            scores = embedded @ vectors.T + comparison.identity_weight * num_equal / num_shared
            found[name] = (scores[:, 0] - scores[:, 1]) / (scores[0, 0] - scores[0, 1])
        return found


class NetworkCurves:
    """The difference of the cosines of two references without some of a query's k-mers, by a network."""

    def __init__(self, model: str, dynamic_lrp: str | None, seed: int):
        self.embedder = BarcodeEmbedder.from_pretrained(model, device="cpu")
        # Its rules fail where a vector is added to all tokens, as in the projection head of a tuned model.
        self._relevance = None
        if dynamic_lrp is not None and self.embedder.model.projection_head is None:
            self._relevance = dynamic_lrp_of(dynamic_lrp)
        self._rng = np.random.default_rng(seed)
        self.errors: dict[str, list[float]] = {}

    def __call__(self, query: str, references: list[str]) -> dict[str, np.ndarray] | None:
        """Order of the k-mers -> the difference after each of `SHARES`, as a share of that with all; None if the
        network prefers the other reference."""
        direction = difference_of_directions(self.embedder.encode, *references)
        by_steps = {steps: self.embedder.attribute_along(query, direction, num_steps=steps) for steps in (1, NUM_STEPS)}
        complete = by_steps[NUM_STEPS].difference
        if complete <= 0:
            return None
        contributions = {
            "integrated gradients": self._by_kmer(by_steps[NUM_STEPS]),
            "one gradient, halfway": self._by_kmer(by_steps[1]),
        }
        placed = place_barcodes([query], self.embedder.frame, self.embedder.k)
        encoding = encode_barcodes(self.embedder.encoder, placed, None)
        if self._relevance is not None:
            contributions["DynamicLRP"] = self._relevance(self.embedder.model, encoding, direction)
            error = abs(contributions["DynamicLRP"].sum() - complete) / complete
            self.errors.setdefault("DynamicLRP", []).append(float(error))
        error = by_steps[NUM_STEPS].completeness_error / complete
        self.errors.setdefault("integrated gradients", []).append(error)
        orders = {name: np.argsort(-values, kind="stable") for name, values in contributions.items()}
        num_tokens = encoding["input_ids"].shape[1]
        orders["random"] = self._rng.permutation(num_tokens)
        found = {}
        for name, order in orders.items():
            mask = np.ones((len(SHARES), num_tokens), np.int64)
            for row, share in enumerate(SHARES):
                mask[row, order[: round(share * num_tokens)]] = 0
            batch = {key: torch.from_numpy(values).expand(len(SHARES), -1) for key, values in encoding.items()}
            with torch.inference_mode():
                pooled = self.embedder.model(**batch | {"attention_mask": torch.from_numpy(mask)}).pooler_output
            found[name] = torch.nn.functional.normalize(pooled.double(), dim=1).numpy() @ direction / complete
        return found

    def _by_kmer(self, attribution: Attribution) -> np.ndarray:
        return attribution.contributions.reshape(-1, self.embedder.k).sum(axis=1)


def dynamic_lrp_of(folder: str) -> Callable[[Any, dict[str, np.ndarray], np.ndarray], np.ndarray]:
    """The relevance of each token by DynamicLRP, with its rules for attention."""
    sys.path.insert(0, str(Path(folder) / "src"))
    from lrp_engine.lrp import LRPEngine, checkpoint_hook

    def relevance(model: Any, encoding: dict[str, np.ndarray], direction: np.ndarray) -> np.ndarray:
        batch = {name: torch.from_numpy(encoding[name]) for name in ("input_ids", "position_ids")}
        hook = model.embeddings.word_embeddings.register_forward_hook(checkpoint_hook)
        try:
            pooled = model(**batch).pooler_output
            start = (pooled * torch.from_numpy(direction).float() / pooled.norm()).detach()
            (found,), _ = LRPEngine(use_attn_lrp=True, starting_relevance=start).run(pooled)
        finally:
            hook.remove()
        return found[0].sum(-1).detach().double().numpy()

    return relevance


def mean_curves(curves: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Order -> the mean share of the difference that remains, and the share of queries that retain their name."""
    return {
        name: {
            "remaining": np.mean([one[name] for one in curves], axis=0).tolist(),
            "retained": np.mean([one[name] > 0 for one in curves], axis=0).tolist(),
        }
        for name in curves[0]
    }


def draw(results: dict[str, Any]) -> PlainFigure:
    """A panel for the base map and for each network."""
    figure = PlainFigure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, len(results["curves"]), sharey=True)
    for axes, (title, curves) in zip(panels, results["curves"].items(), strict=True):
        is_map = title == "base map"
        positions = range(len(BASES)) if is_map else [100 * share for share in SHARES]
        for name, found in curves.items():
            axes.plot(positions, found["remaining"], "o-", color=COLOURS[name], label=name, lw=1.5, markersize=4)
        if is_map:
            axes.set_xticks(range(len(BASES)), [str(number) for number in BASES])
        axes.axhline(0, color="black", lw=0.8)
        axes.set(title=title, xlabel="bases left out" if is_map else "k-mers left out (%)")
        axes.legend(frameon=False, fontsize=8)
        finish(axes)
    panels[0].set_ylabel("difference of scores or cosines,\nshare of that of the complete query")
    return figure


def explained(identifier: Identifier, explainer: Explainer, queries: pa.Table) -> list[tuple[int, Explanation]]:
    """Explanations, each with the row of its query; rows are its ids here."""
    ids = pa.array([str(row) for row in range(len(queries))], queries["id"].type)
    numbered = queries.set_column(queries.column_names.index("id"), "id", ids)
    searched = identifier.search(numbered)
    return [(int(one.id), one) for one in explainer(searched, identifier.results(numbered, searched))]


def main() -> None:
    """Measure, print the table, and write results and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()))
    parser.add_argument("--splits", nargs="+", default=["val", "val_unseen"])
    parser.add_argument("--num-queries", type=int, default=NUM_QUERIES)
    parser.add_argument("--dynamic-lrp")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    records = read_usable_records(args.data, "skip")
    references, *splits = select_splits(records, ["train", *args.splits])
    rng = np.random.default_rng(0)
    queries = pa.concat_tables(splits)
    queries = queries.take(pa.array(np.sort(rng.permutation(len(queries))[: args.num_queries]))).combine_chunks()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "train.parquet"
        pq.write_table(references, file)
        Library.build(file, Path(scratch) / "library")
        library, embedder = open_with_model(Path(scratch) / "library")
        identifier = Identifier.from_library(library, embedder)
        found = explained(identifier, Explainer(library, embedder, identifier.ranks), queries)
        of_map = MapCurves(library, embedder, seed=0)
        is_complete = [one for _, one in found if len(one.bases) > 424]
        curves = {"base map": [of_map(one) for one in is_complete if one.difference > 0]}
        networks = {name: NetworkCurves(name, args.dynamic_lrp, seed=0) for name in NETWORKS}
        for name, network in networks.items():
            by_network = []
            for row, one in found:
                try:
                    curve = network(queries["nucleotides"][row].as_py(), library.nucleotides(of_map.references(one)))
                except BadRecordError:
                    continue
                by_network += [] if curve is None else [curve]
            curves[f"network, {name}"] = by_network
    results = {
        "num_queries": {name: len(one) for name, one in curves.items()},
        "largest_completeness_error": max(one.completeness_error for _, one in found),
        "median_relative_error": {
            name: {method: float(np.median(errors)) for method, errors in network.errors.items()}
            for name, network in networks.items()
        },
        "bases": BASES,
        "shares": SHARES,
        "curves": {name: mean_curves(one) for name, one in curves.items()},
        "data": Path(args.data).name,
        "splits": args.splits,
        "machine": describe_machine(),
        "versions": describe_versions(["numpy", "torch", "transformers"]),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    for title, found_curves in results["curves"].items():
        columns = BASES if title == "base map" else SHARES
        rows = [[name, *(f"{share:.2f}" for share in one["remaining"])] for name, one in found_curves.items()]
        print(as_markdown(Table([title, *map(str, columns)], rows)) + "\n")
    print(json.dumps({key: results[key] for key in ("largest_completeness_error", "median_relative_error")}, indent=2))
    for file, content in (
        (args.output, lambda: json.dumps(results, indent=1).encode()),
        (args.plot, lambda: png(draw(results))),
    ):
        if file is not None:
            with written_atomically(file.parent) as folder:
                (folder / file.name).write_bytes(content())


if __name__ == "__main__":
    run_command(main)
