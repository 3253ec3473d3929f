"""What each ingredient of the tuning gives, on species held out of `train` and on `val_unseen`; never on test splits.

`python benchmarks/tuning_ablation.py --checkpoint CHECKPOINT --data FILE --output-dir FOLDER` prints a table and writes
it as `tuning_ablation.md` and `.json`. Every row is a head that was fitted as `barcodemae tune` does it, with one
setting changed, or on fewer barcodes.

Genus accuracy of unseen species is that of the nearest reference, averaged over species: as the mean of folds, in each
of which other species are held out of `train` (a head is fitted without them, and without the other queries), and on
`val_unseen`. `val` gives the species accuracy of seen species, and with `val_unseen` the BINs, by a threshold that is
chosen without labels.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.cluster import AgglomerativeClustering
from tqdm import tqdm

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.cli.command import run_command
from barcodemae.clustering.gap import gap_threshold
from barcodemae.embedding.nearest import nearest_by_cosine, unit_length
from barcodemae.evaluation.benchmark import labels, read_usable_records, select_splits
from barcodemae.evaluation.folds import fold_of_train
from barcodemae.evaluation.scores import load_metric
from barcodemae.files import written_atomically
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from barcodemae.training.tuning.encoded import EncodedBarcodes, run_encoder
from barcodemae.training.tuning.head import HeadSettings, find_base_features, fit_head, join_features
from barcodemae.training.tuning.tune import TuneArguments
from tokenization_barcodemae import place_barcodes

FINAL = HeadSettings()

# Name -> what is other than in the final settings; `encoder_stride` is no setting of the head, but of what is read.
HEADS: dict[str, dict[str, Any]] = {
    "final": {},
    "names alone": {"label_share": 1.0},
    "barcodes alone": {"label_share": 0.0},
    "barcodes alone, without the network": {"label_share": 0.0, "network_share": 0.0},
    "without the network": {"network_share": 0.0},
    "network share 0.3": {"network_share": 0.3},
    "network share 1": {"network_share": 1.0},
    "the encoder reads all k-mers": {"encoder_stride": 1},
    "100 dimensions": {"embedding_size": 100},
    "300 dimensions": {"embedding_size": 300},
    "one relative, cosine 0.5": {"num_relatives": 1, "relative_cosine": 0.5},
    "species share 0": {"species_share": 0.0},
    "species share 1": {"species_share": 1.0},
    "shrinkage 0.05": {"shrinkage": 0.05},
    "shrinkage 0.4": {"shrinkage": 0.4},
}
ROW_SHARES = (0.1, 0.3)

Embed = Callable[[EncodedBarcodes], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Trial:
    """Barcodes to fit on, references and queries; all are numbers of records."""

    name: str
    fitted_on: np.ndarray
    references: np.ndarray
    unseen: np.ndarray
    seen: np.ndarray


def trials(records: pa.Table, num_folds: int) -> list[Trial]:
    """`val_unseen` and `val` of the file, then the folds of `train`, which have no `val` of their own here."""
    split, row = labels(records, "split"), np.arange(len(records))
    train, pretrain = row[split == "train"], row[split == "pretrain"]
    found = [Trial("val_unseen", np.r_[train, pretrain], train, row[split == "val_unseen"], row[split == "val"])]
    numbered = records.append_column("row", pa.array(row))
    for fold in range(num_folds):
        references, unseen = (
            part["row"].to_numpy() for part in select_splits(fold_of_train(numbered, fold), ["train", "val_unseen"])
        )
        found.append(Trial(f"fold {fold}", np.r_[references, pretrain], references, unseen, row[:0]))
    return found


def names_of(records: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of genera (-1 where unknown) and of species, a BIN or the row itself where none is named."""
    genus, species, bins = (labels(records, column) for column in ("genus", "species", "bin"))
    rows = np.char.add("row ", np.arange(len(records)).astype(str))
    unit = np.where(species != "", species, np.where(bins != "", np.char.add("BIN ", bins), rows))
    genera = np.unique(genus, return_inverse=True)[1]
    return np.where(genus == "", -1, genera), np.unique(unit, return_inverse=True)[1]


def accuracy(
    vectors: np.ndarray, names: np.ndarray, species: np.ndarray, references: np.ndarray, queries: np.ndarray
) -> float:
    """Accuracy of the nearest reference, by species, of the queries whose name occurs among the references."""
    queries = queries[np.isin(names[queries], names[references]) & (names[queries] != "")]
    references = references[names[references] != ""]
    found = names[references][nearest_by_cosine(vectors[references], vectors[queries]).rows[:, 0]]
    scores = load_metric("taxon_accuracy").compute(predictions=found, references=names[queries], taxa=species[queries])
    return scores["accuracy_by_taxon"]


def measure(records: pa.Table, encoded: EncodedBarcodes, trial: Trial, embed: Embed) -> dict[str, float]:
    """Accuracies, and agreement of clusters with BINs, of a head's vectors in one trial."""
    used = np.r_[trial.references, trial.unseen, trial.seen]
    used_vectors = embed(encoded.take(used))
    vectors = np.zeros((len(records), used_vectors.shape[1]), np.float32)
    vectors[used] = used_vectors
    genus, species = labels(records, "genus"), labels(records, "species")
    found = {"genus": 100 * accuracy(vectors, genus, species, trial.references, trial.unseen)}
    if len(trial.seen):
        found["species"] = 100 * accuracy(vectors, species, species, trial.references, trial.seen)
        both = np.r_[trial.seen, trial.unseen]
        bins = labels(records, "bin")
        named = both[bins[both] != ""]
        clusters = clusters_at_gap(vectors[named])
        found["bins"] = 100 * load_metric("bin_ami").compute(predictions=clusters, references=bins[named])["bin_ami"]
    return found


def clusters_at_gap(vectors: np.ndarray) -> np.ndarray:
    """Single linkage by cosine, cut where `barcodemae.clustering.gap` finds the barcode gap: int `[n]`."""
    unit = unit_length(np.asarray(vectors, np.float32))

    def link(threshold: float) -> AgglomerativeClustering:
        return AgglomerativeClustering(n_clusters=None, distance_threshold=threshold, linkage="single").fit(unit)

    # Of unit vectors, half the squared distance is 1 - cosine.
    threshold = gap_threshold(link(0).distances_ ** 2 / 2)
    return link(np.nextafter((2 * threshold) ** 0.5, np.inf)).labels_  # a join at the threshold is included


def run(checkpoint: str, data: str, folder: Path, num_folds: int) -> None:
    records = read_usable_records(data, "skip")
    keep = np.isin(labels(records, "split"), ["pretrain", "train", "val", "val_unseen"])
    loaded = load_checkpoint(checkpoint)
    records = records.filter(pa.array(keep))
    placed = place_barcodes(records["nucleotides"].to_pylist(), loaded.frame, loaded.encoder.k)
    records = records.filter(pa.array(placed.is_placed))
    by_stride = {
        stride: run_encoder(loaded.model, loaded.encoder, placed, np.flatnonzero(placed.is_placed), stride)
        for stride in (TuneArguments.encoder_stride, 1)
    }
    encoded = by_stride[TuneArguments.encoder_stride]

    genera, units = names_of(records)
    table: dict[str, dict[str, Any]] = {}
    all_trials = trials(records, num_folds)
    with tqdm(total=len(all_trials) * (len(HEADS) + len(ROW_SHARES)), unit="head") as progress:
        for trial in all_trials:
            rows = trial.fitted_on
            own = encoded.take(rows)
            base_features = find_base_features(own.bases, own.num_tokens, FINAL)
            for name, changes in HEADS.items():
                changed = dict(changes)
                all_encoded = by_stride[changed.pop("encoder_stride", TuneArguments.encoder_stride)]
                settings = dataclasses.replace(FINAL, **changed)
                features = join_features(base_features, all_encoded.take(rows).encoded, settings)
                head = fit_head(features, genera[rows], units[rows], settings)
                table.setdefault(name, {})[trial.name] = measure(records, all_encoded, trial, head.embed)
                progress.update()
            for share in ROW_SHARES:
                rows = np.random.default_rng(0).permutation(trial.fitted_on)[: int(share * len(trial.fitted_on))]
                own = encoded.take(rows)
                base_features = find_base_features(own.bases, own.num_tokens, FINAL)
                features = join_features(base_features, own.encoded, FINAL)
                head = fit_head(features, genera[rows], units[rows], FINAL)
                table.setdefault(f"{share:.0%} of the barcodes", {})[trial.name] = measure(
                    records, encoded, trial, head.embed
                )
                progress.update()
            save(folder, table, checkpoint, data)
    print((folder / "tuning_ablation.md").read_text())


def save(folder: Path, table: dict[str, dict[str, Any]], checkpoint: str, data: str) -> None:
    described = {
        "checkpoint": {"name": without_folder(checkpoint), "weights_sha256": weights_sha256(checkpoint)},
        "data": describe_data([data]),
        "final": dataclasses.asdict(FINAL),
        "heads": HEADS,
        "table": table,
        "machine": describe_machine(),
        "versions": describe_versions(("barcodemae", "torch", "numpy", "scipy")),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    lines = [
        "| head | genus, folds of `train` | genus, `val_unseen` | species, `val` | BIN AMI |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in table.items():
        folds = [one["genus"] for trial, one in found.items() if trial.startswith("fold")]
        own = found["val_unseen"]
        mean = f"{np.mean(folds):.1f}" if folds else ""
        lines.append(f"| {name} | {mean} | {own['genus']:.1f} | {own['species']:.2f} | {own['bins']:.1f} |")
    with written_atomically(folder) as scratch:
        (scratch / "tuning_ablation.json").write_text(json.dumps(described, indent=2) + "\n")
        (scratch / "tuning_ablation.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="What each ingredient of the tuning gives.")
    parser.add_argument("--checkpoint", required=True, help="a pretrained checkpoint")
    parser.add_argument("--data", required=True, help="barcodes with the splits pretrain, train, val and val_unseen")
    parser.add_argument("--output-dir", type=Path, default=Path("benchmarks/results/tuning"))
    parser.add_argument("--folds", type=int, default=3, help="of train, each with other species held out")
    arguments = parser.parse_args()
    run(arguments.checkpoint, arguments.data, arguments.output_dir, arguments.folds)


if __name__ == "__main__":
    run_command(main)
