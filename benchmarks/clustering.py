"""Agreement of clusters and BINs: at the default threshold, at the automatic threshold, and by VSEARCH.

`python benchmarks/clustering.py --data coi_arthropods.parquet` prints a table of whole splits, with the best of nine
identities of `vsearch --cluster_fast` where VSEARCH is installed, and how often the automatic threshold loses more than
a point of adjusted mutual information to the default on parts of `train`, `val` and `val_unseen`: random draws, and all
large families and genera. With short reads: a share of the barcodes of a split is cut at random to 130, 200 or 300
bases; mixed clusters have barcodes of several BINs. BINs are used to evaluate, not to choose, except the identity of
VSEARCH.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.cli.command import run_command
from barcodemae.clustering.barcodes import Barcodes, read_barcodes
from barcodemae.clustering.grouping import group
from barcodemae.data import read_records
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.evaluation.baselines.aligner_programs import run_program
from barcodemae.evaluation.baselines.aligners import write_numbered
from barcodemae.evaluation.benchmark import labels
from barcodemae.evaluation.scores import load_metric
from barcodemae.library.search.marker import marker_of

SPLITS = ("train", "val", "val_unseen", "test+test_unseen", "test_unseen")
PARTED = SPLITS[:3]
DRAWN = (50, 100, 300, 1000)
NUM_DRAWS = 8
MIN_PER_TAXON = 60
SHORT_LENGTHS = (130, 200, 300)
SHORT_SHARES = (0, 0.3, 0.7)
IDENTITIES = tuple(round(0.95 + 0.005 * step, 3) for step in range(9))

_VSEARCH = "vsearch --cluster_fast queries.fasta --id {identity} --uc clusters.tsv --quiet"


def bin_ami(barcodes: Barcodes.ndarray, bins: np.ndarray, embedder: BaseMapEmbedder) -> tuple[dict[str, float], int]:
    """Adjusted mutual information of clusters and BINs, and clusters at the default.

    Returns:
        `default` and, where the guide finds a gap, `gap` and `guide`; and the number of clusters at the default.
    """

    def score(clusters: np.ndarray) -> float:
        return load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"]

    found = group(barcodes, embedder)
    scores = {"default": score(found.clusters.numbers)}
    if found.gap is not None:
        scores |= {"gap": found.gap, "guide": score(group(barcodes, embedder, found.gap).clusters.numbers)}
    return scores, found.clusters.num_clusters


def vsearch_bin_ami(sequences: list[str], bins: np.ndarray) -> tuple[float, float]:
    """The best adjusted mutual information of BINs and VSEARCH's clusters over `IDENTITIES`, and that identity."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="barcodes-") as scratch:
        folder = Path(scratch)
        write_numbered(folder / "queries.fasta", sequences)
        for identity in IDENTITIES:
            run_program(_VSEARCH.format(identity=identity), folder)
            clusters = np.full(len(sequences), -1)
            for line in (folder / "clusters.tsv").read_text().splitlines():
                kind, cluster, *_, row, _ = line.split("\t")
                if kind in "SH":  # the first barcode of a cluster, and its others
                    clusters[int(row)] = int(cluster)
            found[identity] = load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"]
    best = max(found, key=lambda identity: found[identity])
    return found[best], best


def with_short_reads(nucleotides: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """Sequences, of which a share is cut at random positions to random lengths."""
    texts = []
    for text, is_short in zip(nucleotides, rng.random(len(nucleotides)) < share, strict=True):
        length = min(int(rng.choice(SHORT_LENGTHS)), len(text)) if is_short else len(text)
        begin = int(rng.integers(len(text) - length + 1))
        texts.append(text[begin : begin + length])
    return texts


def num_mixed(clusters: np.ndarray, bins: np.ndarray) -> int:
    """Number of clusters with barcodes of several BINs."""
    pairs = np.unique(np.stack([clusters, np.unique(bins, return_inverse=True)[1]]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum())


def parts(records: pa.Table, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Draws and large taxa of a split: what they are, and their rows."""
    for size in DRAWN:
        for _ in range(NUM_DRAWS):
            yield f"{size} drawn", np.sort(rng.choice(len(records), size, replace=False))
    for rank in ("family", "genus"):
        names = labels(records, rank)
        for name, count in zip(*np.unique(names[names != ""], return_counts=True), strict=True):
            if count >= MIN_PER_TAXON:
                yield rank, np.flatnonzero(names == name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="Barcodes with the columns bin, split, family and genus.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draws.")
    args = parser.parse_args()
    embedder = BaseMapEmbedder.from_pretrained()
    records = read_records(args.data)
    records = records.filter(pc.not_equal(records["bin"], ""))
    marker = marker_of(embedder)
    barcodes = read_barcodes([records], marker)
    records = records.take(pa.array(barcodes.usable))
    splits, bins, nucleotides = (labels(records, name) for name in ("split", "bin", "nucleotides"))

    print("| barcodes | BINs | default | clusters | automatic threshold | automatic | VSEARCH |")
    print("|---|---|---|---|---|---|---|")
    for name in SPLITS:
        rows = np.flatnonzero(np.isin(splits, name.split("+")))
        scores, num_clusters = bin_ami(read_barcodes([records.take(pa.array(rows))], marker), bins[rows], embedder)
        guide = f"{scores['gap']:.1%} | {scores['guide']:.2%}" if "gap" in scores else "no gap |"
        size = f"{name}, {len(rows):,} | {len(set(bins[rows])):,}"
        vsearch = ""
        if shutil.which("vsearch"):
            vsearch = "{:.2%} at {:g}".format(*vsearch_bin_ami(nucleotides[rows].tolist(), bins[rows]))
        print(f"| {size} | {scores['default']:.2%} | {num_clusters:,} | {guide} | {vsearch} |")

    rng = np.random.default_rng(args.seed)
    rows = np.flatnonzero(np.isin(splits, SPLITS[3].split("+")))
    for share in SHORT_SHARES:
        texts = with_short_reads(nucleotides[rows].tolist(), share, rng)
        cut = records.take(pa.array(rows))
        column = pa.array(texts, pa.large_string())
        barcodes = read_barcodes(
            [cut.set_column(cut.schema.get_field_index("nucleotides"), "nucleotides", column)], marker
        )
        clusters = group(barcodes, embedder).clusters.numbers
        found = bins[rows][barcodes.usable]
        ami = load_metric("bin_ami").compute(predictions=clusters, references=found)["bin_ami"]
        mixed = num_mixed(clusters, found)
        print(f"{SPLITS[3]}, {share:.0%} short: {clusters.max():,} clusters, {mixed} mixed, {ami:.2%}")

    lost: dict[str, list[bool]] = {}
    for name in PARTED:
        rows = np.flatnonzero(splits == name)
        for kind, part in parts(records.take(pa.array(rows)), rng):
            barcodes = read_barcodes([records.take(pa.array(rows[part]))], marker)
            scores, _ = bin_ami(barcodes, bins[rows[part]], embedder)
            lost.setdefault(kind, []).append(scores.get("guide", 0) < scores["default"] - 0.01)
    for kind, cases in lost.items():
        print(f"{kind}: the automatic threshold loses more than a point in {sum(cases)} of {len(cases)}")


if __name__ == "__main__":
    run_command(main)
