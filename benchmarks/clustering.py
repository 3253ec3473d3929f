"""How near clusters come to BINs at the default threshold, and at the one that the label-free guide finds.

`python benchmarks/clustering.py --data coi_arthropods.parquet` prints a table of whole splits, and how often the guide
loses more than a point of adjusted mutual information to the default on parts of `train`, `val` and `val_unseen`:
random draws, and all families and genera that are large enough. BINs judge; they choose nothing.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.clustering.grouping import group
from barcodemae.commands import run_command
from barcodemae.data import normalise_nucleotides, read_records
from barcodemae.embedding import LetterEmbedder
from barcodemae.evaluation.benchmark import labels
from barcodemae.evaluation.scores import load_metric
from barcodemae.reference.marker import read_on_marker

SPLITS = ("train", "val", "val_unseen", "test+test_unseen", "test_unseen")
PARTED = SPLITS[:3]
DRAWN = (50, 100, 300, 1000)
NUM_DRAWS = 8
LEAST_OF_TAXON = 60


def bin_ami(bases: np.ndarray, bins: np.ndarray, embedder: LetterEmbedder) -> tuple[dict[str, float], int]:
    """Adjusted mutual information of clusters and BINs, and clusters at the default.

    Returns:
        `default` and, where the guide finds a gap, `gap` and `guide`; and the number of clusters at the default.
    """

    def score(clusters: np.ndarray) -> float:
        return load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"]

    found = group(bases, embedder)
    scores = {"default": score(found.clusters.numbers)}
    if found.gap is not None:
        scores |= {"gap": found.gap, "guide": score(group(bases, embedder, found.gap).clusters.numbers)}
    return scores, found.clusters.num_clusters


def parts(records: pa.Table, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Draws and large taxa of a split: what they are, and their rows."""
    for size in DRAWN:
        for _ in range(NUM_DRAWS):
            yield f"{size} drawn", np.sort(rng.choice(len(records), size, replace=False))
    for rank in ("family", "genus"):
        names = labels(records, rank)
        for name, count in zip(*np.unique(names[names != ""], return_counts=True), strict=True):
            if count >= LEAST_OF_TAXON:
                yield rank, np.flatnonzero(names == name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="Barcodes with the columns bin, split, family and genus.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draws.")
    args = parser.parse_args()
    embedder = LetterEmbedder.from_pretrained()
    records = read_records(args.data)
    records = records.filter(pc.not_equal(records["bin"], ""))
    read = read_on_marker(normalise_nucleotides(records["nucleotides"]).to_pylist(), embedder.frame)
    bases, records = read.letters[read.fits], records.filter(pa.array(read.fits))
    splits, bins = labels(records, "split"), labels(records, "bin")

    print("| barcodes | BINs | at the default | clusters | guide | at the guide's |\n|---|---|---|---|---|---|")
    for name in SPLITS:
        rows = np.flatnonzero(np.isin(splits, name.split("+")))
        scores, num_clusters = bin_ami(bases[rows], bins[rows], embedder)
        guide = f"{scores['gap']:.1%} | {scores['guide']:.2%}" if "gap" in scores else "no gap |"
        size = f"{name}, {len(rows):,} | {len(set(bins[rows])):,}"
        print(f"| {size} | {scores['default']:.2%} | {num_clusters:,} | {guide} |")

    rng = np.random.default_rng(args.seed)
    lost: dict[str, list[bool]] = {}
    for name in PARTED:
        rows = np.flatnonzero(splits == name)
        for kind, part in parts(records.take(pa.array(rows)), rng):
            scores, _ = bin_ami(bases[rows[part]], bins[rows[part]], embedder)
            lost.setdefault(kind, []).append(scores.get("guide", 0) < scores["default"] - 0.01)
    for kind, cases in lost.items():
        print(f"{kind}: the guide loses more than a point in {sum(cases)} of {len(cases)}")


if __name__ == "__main__":
    run_command(main)
