"""Make the bundled sample: real COI barcodes, small enough for the wheel, split as the full benchmark is.

    python tools/make_sample.py coi_arthropods.parquet canadian_invertebrates_unseen.parquet

The labelled rows are the Canadian file's, cut anew by species; the unlabelled ones are those that the first
file took from DeepCOI. The same input gives the same file, byte for byte with the same pyarrow.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data import COLUMNS, RANKS, sample_path

SPLITS = ["pretrain", "train", "val", "test", "val_unseen", "test_unseen"]
UNLABELLED_SOURCE = "DMnBI/"  # MIT; the other sources of the first file may not be passed on

CLOSED_WORLD = ["train", "test", "train", "val", "train"]  # rows of a species that training may see, in turn
CANONICAL_LENGTH = 658  # of the COI barcode region, in nucleotides
MAX_IDENTITY = 0.97  # between an unlabelled row and a species that training must not see
MIN_OVERLAP = 200  # nucleotides, for an identity to count


def shuffled(names) -> list[str]:
    """Names in an order that depends on nothing but the names."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def choose_unseen(rows: pd.DataFrame) -> dict[str, str]:
    """Choose the species that training must not see: species -> split.

    One species of every genus that has other species; every third goes to `val_unseen`, so that tuning and reporting
    share no genus. Of the genera with a single species every tenth goes to `test_unseen`: as in practice, a few queries
    have no reference of their genus. A species of one row is never chosen, as it makes no cluster.
    """
    row_count = rows.groupby("species").size()
    species_of = rows.groupby("genus")["species"].unique()
    answerable, unanswerable = [], []
    for genus in shuffled(species_of.index):
        candidates = [species for species in shuffled(species_of[genus]) if row_count[species] > 1]
        if candidates:
            (answerable if len(species_of[genus]) > 1 else unanswerable).append(candidates[0])
    reported = dict.fromkeys([*answerable, *unanswerable[::10]], "test_unseen")
    return reported | dict.fromkeys(answerable[2::3], "val_unseen")


def split_by_species(rows: pd.DataFrame) -> pd.DataFrame:
    """Give each labelled row its split."""
    unseen = choose_unseen(rows)
    rows = rows.sort_values(["species", "id"], kind="stable")
    turn = rows.groupby("species").cumcount() % len(CLOSED_WORLD)
    return rows.assign(split=rows["species"].map(unseen).fillna(turn.map(dict(enumerate(CLOSED_WORLD)))))


def one_hot(sequences, width: int) -> np.ndarray:
    """`[n, 4, width]`: 1 where the base is A, C, G or T; longer sequences are cut."""
    bases = np.array([sequence[:width].ljust(width, "N") for sequence in sequences], f"S{width}")
    bases = bases.view(np.uint8).reshape(len(bases), 1, width)
    return (bases == np.frombuffer(b"ACGT", np.uint8)[:, None]).astype(np.float32)


def align(sequences, width: int = 1024) -> np.ndarray:
    """`[n, 4 * width]`: one-hot barcodes shifted, without gaps, onto the mean of the full-length ones."""
    canonical = [sequence for sequence in sequences if len(sequence) == CANONICAL_LENGTH]
    profile = one_hot(canonical, width).mean(axis=0)
    profile[:, :CANONICAL_LENGTH] -= profile[:, :CANONICAL_LENGTH].mean(axis=1, keepdims=True)
    barcodes = one_hot(sequences, width)
    match = np.fft.irfft((np.fft.rfft(barcodes).conj() * np.fft.rfft(profile)).sum(axis=1))
    columns = (np.arange(width) - match.argmax(axis=1)[:, None]) % width
    return np.take_along_axis(barcodes, columns[:, None, :], axis=2).reshape(len(barcodes), -1)


def near_identical(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether each aligned query is over the limit of ungapped identity to any aligned target: bool `[n]`."""

    def known(aligned):
        return aligned.reshape(len(aligned), 4, -1).sum(axis=1)

    matches, overlap = queries @ targets.T, known(queries) @ known(targets).T
    return ((overlap >= MIN_OVERLAP) & (matches >= MAX_IDENTITY * overlap)).any(axis=1)


def make_sample(arthropods: Path, canadian: Path) -> pd.DataFrame:
    labelled = split_by_species(pd.read_parquet(canadian).drop_duplicates("nucleotides"))
    pretrain = pd.read_parquet(arthropods).query("split == 'pretrain'").drop_duplicates("nucleotides")
    pretrain = pretrain[pretrain["source"].str.startswith(UNLABELLED_SOURCE)]
    pretrain = pretrain[~pretrain["nucleotides"].isin(labelled["nucleotides"])]

    aligned = align([*labelled["nucleotides"], *pretrain["nucleotides"]])
    unseen = labelled["split"].str.endswith("_unseen")
    known_kin = near_identical(aligned[len(labelled) :], aligned[: len(labelled)][unseen])
    pretrain = pretrain[~known_kin & ~pretrain["species"].isin(labelled.loc[unseen, "species"])]

    sample = pd.concat([pretrain, labelled], ignore_index=True)
    # Relatives are adjacent, so that the file compresses well.
    sample["split"] = pd.Categorical(sample["split"], SPLITS)
    sample = sample.sort_values(["split", *RANKS, "nucleotides"], kind="stable").astype({"split": str})
    return sample[list(COLUMNS)]


def counts(sample: pd.DataFrame) -> str:
    """A Markdown table of what each split holds."""
    columns = ["species", "genus", "bin"]
    lines = ["| split | rows | species | genera | BINs |", "| --- | --- | --- | --- | --- |"]
    for split in SPLITS:
        rows = sample[sample["split"] == split]
        known = [rows.loc[rows[column] != "", column].nunique() for column in columns]
        lines.append(f"| `{split}` | {' | '.join(f'{n:,}' for n in [len(rows), *known])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled sample.")
    parser.add_argument("arthropods", type=Path, help="coi_arthropods.parquet")
    parser.add_argument("canadian", type=Path, help="canadian_invertebrates_unseen.parquet")
    parser.add_argument("--output", type=Path, default=sample_path())
    arguments = parser.parse_args()

    sample = make_sample(arguments.arthropods, arguments.canadian)
    table = pa.Table.from_pandas(sample, preserve_index=False).replace_schema_metadata()
    # One page per column: zstd then finds relatives in other splits.
    pq.write_table(
        table,
        arguments.output,
        compression="zstd",
        compression_level=19,
        data_page_size=64 * 2**20,
        use_dictionary=[*RANKS, "bin", "split", "country", "source"],
    )
    print(counts(sample))
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
