"""What the network of a pretrained checkpoint adds to the bases, in the head that `barcodemae tune` fits.

`python benchmarks/network_share.py --checkpoints runs/a runs/b --data coi_large.parquet --output RESULTS.json`

For each checkpoint, heads are fitted to barcodes of `pretrain` and `train`, with and without taxon names, and with
several shares of the network; a share of 0 is that of the bases alone. Genus is that of the nearest reference
(`train`) of the queries of unseen species, complete or cut at a random position (seed 0), and species that of the
queries of `val`. Differences from the bases alone are paired, with 95 % intervals over species.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pooled_decoder import scores
from results_file import save_results
from tuning_ablation import names_of

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.benchmark import labels, read_usable_records, species_of_rows
from barcodemae.provenance import describe_data, without_folder
from barcodemae.training.tuning.encoded import EncodedBarcodes, run_encoder
from barcodemae.training.tuning.head import find_base_features, fit_head, join_features
from barcodemae.training.tuning.settings import HeadSettings
from barcodemae.training.tuning.tune import TuneArguments, draw_per_species
from tokenization_barcodemae import place_barcodes


@dataclass
class NetworkShareArguments:
    """What to measure."""

    checkpoints: list[str] = field(metadata={"help": "Pretrained checkpoints."})
    data: str = field(metadata={"help": "Barcodes with the splits pretrain, train, val and that of the queries."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    shares: list[float] = field(default_factory=lambda: [0.1, 0.3], metadata={"help": "Shares of the network."})
    max_per_species: int | None = field(
        default=None, metadata={"help": "Barcodes of a species, or of a BIN without one, to fit on and to refer to."}
    )
    cuts: list[int] = field(default_factory=lambda: [130, 200], metadata={"help": "Lengths to cut the queries to."})
    output: Path | None = field(default=None, metadata={"help": "A .json file for the numbers."})


def cut(sequences: list[str], length: int) -> list[str]:
    shares = np.random.default_rng(0).random(len(sequences))
    begins = [int(share * max(len(one) - length + 1, 1)) for share, one in zip(shares, sequences, strict=True)]
    return [one[begin : begin + length] for one, begin in zip(sequences, begins, strict=True)]


class Comparison:
    """Barcodes of a file, read by the network of one checkpoint.

    Args:
        checkpoint: a pretrained checkpoint.
        records: barcodes of all splits needed.
        args: what to measure.
    """

    def __init__(self, checkpoint: str, records: pa.Table, args: NetworkShareArguments):
        self.loaded = load_checkpoint(checkpoint)
        self.encoded, is_placed = self._read(records["nucleotides"].to_pylist())
        self.records = records.filter(pa.array(is_placed))
        split, row = labels(self.records, "split"), np.arange(len(self.records))
        self.genera, self.units = names_of(self.records)
        genus = labels(self.records, "genus")
        self.fitted_on = row[np.isin(split, ["pretrain", "train"])]
        self.references = row[(split == "train") & (genus != "")]
        unseen, known = row[split == args.query_split], row[split == "val"]
        unseen = unseen[np.isin(genus[unseen], genus[self.references])]
        texts = [self.records["nucleotides"][row].as_py() for row in unseen.tolist()]
        species = labels(self.records, "species")
        self.queries = {"genus": (self.encoded.take(unseen), genus, unseen)}
        for length in args.cuts:
            encoded, is_read = self._read(cut(texts, length))
            self.queries[f"genus, {length} bases"] = encoded, genus, unseen[is_read]
        known = known[np.isin(species[known], species[self.references]) & (species[known] != "")]
        self.queries["species"] = self.encoded.take(known), species, known
        own = self.encoded.take(self.fitted_on)
        self.base_features = find_base_features(own.bases, own.num_tokens, HeadSettings())

    def _read(self, sequences: list[str]) -> tuple[EncodedBarcodes, np.ndarray]:
        placed = place_barcodes(sequences, self.loaded.frame, self.loaded.encoder.k)
        rows = np.flatnonzero(placed.is_placed)
        encoded = run_encoder(self.loaded.model, self.loaded.encoder, placed, rows, TuneArguments.encoder_stride)
        return encoded, placed.is_placed

    def correct(self, network_share: float, label_share: float) -> dict[str, np.ndarray]:
        """Whether the nearest reference has the name of each query, 0 or 1, for each kind of queries."""
        settings = dataclasses.replace(HeadSettings(), network_share=network_share, label_share=label_share)
        rows = self.fitted_on
        features = join_features(self.base_features, self.encoded.encoded[rows], settings)
        head = fit_head(features, self.genera[rows], self.units[rows], settings)
        references = head.embed(self.encoded.take(self.references))
        found = {}
        for kind, (encoded, names, queries) in self.queries.items():
            nearest = self.references[nearest_by_cosine(references, head.embed(encoded)).rows[:, 0]]
            found[kind] = (names[nearest] == names[queries]).astype(float)
        return found

    def species(self, kind: str) -> np.ndarray:
        """The species of the queries of a kind."""
        return species_of_rows(self.records)[self.queries[kind][2]]


def compare(checkpoint: str, records: pa.Table, args: NetworkShareArguments) -> dict[str, Any]:
    comparison = Comparison(checkpoint, records, args)
    results: dict[str, Any] = {}
    for title, label_share in (("with names", HeadSettings().label_share), ("without names", 0.0)):
        bases = comparison.correct(0.0, label_share)
        for share in (0.0, *args.shares):
            correct = bases if share == 0 else comparison.correct(share, label_share)
            rows = {kind: scores(one, comparison.species(kind)) for kind, one in correct.items()}
            if share:
                for kind, row in rows.items():
                    row["less_bases"] = scores(correct[kind] - bases[kind], comparison.species(kind))
            results[f"{title}, network share {share:g}"] = rows
            print(without_folder(checkpoint), title, share, {k: round(row["genus"], 2) for k, row in rows.items()})
    return results


def main() -> None:
    (args,) = parse_arguments((NetworkShareArguments,))
    records = read_usable_records(args.data, "skip")
    split = labels(records, "split")
    fitted_on = np.flatnonzero(np.isin(split, ["pretrain", "train"]))
    drawn = draw_per_species(fitted_on, names_of(records)[1], args.max_per_species)
    queries = np.flatnonzero(np.isin(split, ["val", args.query_split]))
    records = records.take(np.sort(np.r_[drawn, queries]))
    save_results(
        {
            "data": describe_data([args.data]),
            "query_split": args.query_split,
            "max_per_species": args.max_per_species,
            "num_fitted_on": len(drawn),
            "checkpoints": {
                without_folder(path): {"sha256": weights_sha256(path), "heads": compare(path, records, args)}
                for path in args.checkpoints
            },
        },
        args.output,
    )


if __name__ == "__main__":
    run_command(main)
