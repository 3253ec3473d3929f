"""Genus accuracy against speed: BLAST and VSEARCH at several settings, a compressor, and vectors with cosine.

`python benchmarks/alignment_frontier.py --data FILE --output_dir FOLDER` prints a table and writes it as
`alignment_frontier.md`, `.json` and `.png`. Queries are a sample of the split's answerable barcodes, the same for all:
one of each species, then a second one, and so on, drawn by seed. The library is `train`. A method's rate is of what
all queries take more than one does, so that neither a library's making and loading nor a program's start counts in it:
those are "ready". Where all queries take less than three times what one does, they are asked several times over. What
is quick is timed three times, and the median counts. Embedding of queries is part of the rate.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from barcodemae.commands import run_command
from barcodemae.data import sample_path
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.evaluation.representations import ModelRepresentation, Representation
from barcodemae.evaluation.rivals.alignment import AlignmentSearcher
from barcodemae.evaluation.rivals.alignment_programs import SETTINGS
from barcodemae.evaluation.rivals.compressor import CompressionDistance
from barcodemae.evaluation.rivals.frame_maps import FrameLDA
from barcodemae.evaluation.rivals.kmers import KmerCounts
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.search import Searcher
from barcodemae.evaluation.splits import answerable, labels, read_usable_records, select_splits, species_of_rows
from barcodemae.evaluation.tasks.sampling import draw_by_turns
from barcodemae.files import written_whole
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from barcodemae.vectors.nearest import Hits, nearest_by_cosine
from tokenization_barcodemae import ReferenceFrame

UNIT = "vsearch"  # ratios are to this setting
QUICK_SECONDS = 10
STARTS = 3
OTHERS = ("compression_distance", "kmer_6", "frame_lda")
BATCH_SIZE = 64
COLOURS = {"blastn": "#D55E00", "vsearch": "#0072B2", "others": "#009E73"}

Ask = Callable[[list[str]], Hits]


def ask_vectors(representation: Representation, keys: list[str], genera: np.ndarray) -> Ask:
    representation.fit(keys, genera)
    key_vectors = representation.embed(keys)
    return lambda queries: nearest_by_cosine(key_vectors, representation.embed(queries))


def make_methods(
    searchers: Mapping[str, Searcher], keys: list[str], genera: np.ndarray, model: str | None
) -> dict[str, Callable[[], Ask]]:
    """Name -> what makes a method ready to be asked."""

    def ask_searcher(searcher: Searcher) -> Ask:
        return lambda queries: searcher.search(keys, queries)

    methods: dict[str, Callable[[], Ask]] = {name: partial(ask_searcher, one) for name, one in searchers.items()}
    methods["kmer_6"] = lambda: ask_vectors(KmerCounts(6), keys, genera)
    methods["frame_lda"] = lambda: ask_vectors(FrameLDA(ReferenceFrame.coi()), keys, genera)
    if model is not None:
        embedder = BarcodeEmbedder.from_pretrained(model)
        methods[without_folder(model)] = lambda: ask_vectors(ModelRepresentation(embedder, BATCH_SIZE), keys, genera)
    return methods


def timed(ask: Ask, queries: list[str]) -> tuple[Hits, float]:
    begin = time.perf_counter()
    hits = ask(queries)
    seconds = [time.perf_counter() - begin]
    while seconds[0] < QUICK_SECONDS and len(seconds) < 3:
        begin = time.perf_counter()
        ask(queries)
        seconds.append(time.perf_counter() - begin)
    return hits, statistics.median(seconds)


def measure(make: Callable[[], Ask], keys: pa.Table, queries: pa.Table, seed: int) -> dict[str, Any]:
    begin = time.perf_counter()
    ask = make()
    seconds_made = time.perf_counter() - begin
    sequences = queries["nucleotides"].to_pylist()
    _, seconds_first = timed(ask, sequences[:1])
    hits, seconds_all = timed(ask, sequences)
    while seconds_all < STARTS * seconds_first:  # or the difference would be noise
        sequences = 4 * sequences
        _, seconds_all = timed(ask, sequences)
    nearest = hits.rows[:, 0]
    given = np.where(nearest >= 0, labels(keys, "genus")[nearest], "")
    return {
        **accuracy_scores("genus", given, labels(queries, "genus"), species_of_rows(queries), seed),
        "n_found": int(np.sum(nearest >= 0)),
        "seconds_ready": seconds_made + seconds_first,
        "queries_per_second": (len(sequences) - 1) / (seconds_all - seconds_first),
    }


def is_on_frontier(point: dict[str, Any], points: list[dict[str, Any]]) -> bool:
    """Whether nothing else is as fast and as accurate, and better in one of the two."""

    def merits(one: dict[str, Any]) -> tuple[float, float]:
        return one["queries_per_second"], one["genus_accuracy"]

    speed, accuracy = merits(point)
    others = [merits(one) for one in points]
    return not any(one != (speed, accuracy) and one[0] >= speed and one[1] >= accuracy for one in others)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def write_table(points: dict[str, dict[str, Any]]) -> str:
    unit = points[UNIT]["queries_per_second"]
    lines = [
        f"| method | genus, % (95 % interval over species) | by species, % | queries/s | times `{UNIT}` | ready, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, point in sorted(points.items(), key=lambda item: item[1]["queries_per_second"]):
        low, high = point["genus_accuracy_interval"]
        words = [
            f"**`{name}`**" if point["is_on_frontier"] else f"`{name}`",
            f"{percent(point['genus_accuracy'])} ({percent(low)}-{percent(high)})",
            percent(point["genus_accuracy_by_species"]),
            f"{point['queries_per_second']:.3g}",
            f"{point['queries_per_second'] / unit:.3g}",
            f"{point['seconds_ready']:.1f}",
        ]
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def write_report(results: dict[str, Any]) -> str:
    """Table and command lines as Markdown; in bold what no other method beats in both speed and accuracy."""
    sampled = f"{results['n_queries']} of {results['n_answerable']} answerable barcodes of `{results['query_split']}`"
    library = f"{results['n_keys']} keys; threads: {results['threads']}; {results['machine']}; {results['date']}"
    parts = [f"{sampled}; {library}. Bold: on the frontier.", write_table(results["methods"])]
    commands = [
        f"# {name}, {one['version']}\n" + "\n".join(one["commands"]) for name, one in results["programs"].items()
    ]
    return "\n\n".join([*parts, "```shell\n" + "\n\n".join(commands) + "\n```"]) + "\n"


def draw(points: dict[str, dict[str, Any]], title: str) -> Figure:
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(title=title)
    frontier = [
        (one["queries_per_second"], 100 * one["genus_accuracy"]) for one in points.values() if one["is_on_frontier"]
    ]
    axes.plot(
        *np.transpose(sorted(frontier)),
        drawstyle="steps-pre",
        ls="--",
        lw=1,
        color="#999999",
        zorder=0,
        label="frontier",
    )
    for family, colour in COLOURS.items():
        members = {name: point for name, point in points.items() if family_of(name) == family}
        speeds = np.array([point["queries_per_second"] for point in members.values()])
        shares = np.array([100 * point["genus_accuracy"] for point in members.values()])
        intervals = 100 * np.array([point["genus_accuracy_interval"] for point in members.values()]).reshape(-1, 2).T
        errors = np.maximum(0, [shares - intervals[0], intervals[1] - shares])
        axes.errorbar(speeds, shares, errors, fmt="o", color=colour, elinewidth=0.6, capsize=2, label=family)
        for name, speed, share in zip(members, speeds, shares, strict=True):
            axes.annotate(name, (speed, share), (5, 5), textcoords="offset points", fontsize=7, color=colour)
    axes.set(xscale="log", xlabel="queries/s", ylabel="genus of unseen species (%; 95 % interval over species)")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    return figure


def family_of(name: str) -> str:
    return SETTINGS[name].program if name in SETTINGS else "others"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default=str(sample_path()), help="Barcodes with splits; by default the bundled sample."
    )
    parser.add_argument("--query_split", default="test_unseen")
    parser.add_argument("--queries", type=int, default=400, help="How many are sampled.")
    parser.add_argument("--model", help="A checkpoint that takes part.")
    optional = [name for name in (*SETTINGS, *OTHERS) if name != UNIT]
    parser.add_argument(
        "--leave_out", nargs="+", default=[], choices=optional, metavar="METHOD", help=f"Of {optional}."
    )
    parser.add_argument("--threads", type=int, default=1, help="Of each method.")
    parser.add_argument("--seed", type=int, default=0, help="Of the sample and the bootstrap.")
    parser.add_argument("--output_dir", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    if args.queries < 2:
        parser.error(f"expected 2 queries or more, got {args.queries}")

    programs = {name: AlignmentSearcher(name, args.threads) for name in SETTINGS if name not in args.leave_out}
    keys, asked = select_splits(read_usable_records(args.data, "skip"), ["train", args.query_split])
    keys = keys.filter(pa.array(labels(keys, "genus") != ""))
    asked = asked.filter(pa.array(answerable(labels(asked, "genus"), labels(keys, "genus"))))
    queries = asked.take(draw_by_turns(species_of_rows(asked), args.queries, args.seed))
    torch.set_num_threads(args.threads)
    points = {}
    with threadpool_limits(args.threads):
        searchers = programs | {"compression_distance": CompressionDistance(max_pairs=len(keys) * len(queries))}
        makers = make_methods(searchers, keys["nucleotides"].to_pylist(), labels(keys, "genus"), args.model)
        for name in (progress := tqdm([name for name in makers if name not in args.leave_out], unit="method")):
            progress.set_description(name)
            points[name] = measure(makers[name], keys, queries, args.seed)
    for point in points.values():
        point["is_on_frontier"] = is_on_frontier(point, list(points.values()))
    results = {
        "data": describe_data([args.data]),
        "query_split": args.query_split,
        "n_keys": len(keys),
        "n_answerable": len(asked),
        "n_queries": len(queries),
        "n_species": len(set(species_of_rows(queries))),
        "seed": args.seed,
        "threads": args.threads,
        "methods": points,
        "programs": {name: {"version": one.version, "commands": one.commands()} for name, one in programs.items()},
        "versions": describe_versions(("barcodemae", "torch", "numpy", "scikit-learn")),
        "machine": describe_machine(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    report = write_report(results)
    print(report)
    with written_whole(args.output_dir) as scratch:
        (scratch / "alignment_frontier.md").write_text(report)
        (scratch / "alignment_frontier.json").write_text(json.dumps(results, indent=2) + "\n")
        title = (
            f"{results['n_queries']} barcodes of {args.query_split}, {results['n_keys']} keys; threads: {args.threads}"
        )
        draw(points, title).savefig(scratch / "alignment_frontier.png", dpi=150)


if __name__ == "__main__":
    run_command(main)
