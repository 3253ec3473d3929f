"""Make the bundled k-mer profiles of markers: `python tools/make_marker_profiles.py COI-5P=coi.parquet ..`.

Only sequences of the splits `pretrain` and `train` are counted. A profile has one number for each 8-mer, from which no
sequence can be recovered.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import barcodemae
from tokenization_barcodemae import KmerProfile

FOLDER = Path(barcodemae.__file__).parent / "data" / "markers"
MAX_SEQUENCES = 40_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled k-mer profiles of markers.")
    parser.add_argument("markers", nargs="+", help="MARKER=FILE, Parquet with the columns nucleotides and split")
    for one in parser.parse_args().markers:
        marker, _, file = one.partition("=")
        training = [("split", "in", ["pretrain", "train"])]
        sequences = pq.read_table(file, columns=["nucleotides"], filters=training)["nucleotides"]
        rows = np.linspace(0, len(sequences) - 1, min(len(sequences), MAX_SEQUENCES)).astype(int)
        profile = KmerProfile.from_sequences(sequences.take(pa.array(rows)), marker=marker)
        profile.save(FOLDER / f"{marker.lower()}.safetensors")
        print(f"{marker}: {len(rows):,} sequences")


if __name__ == "__main__":
    main()
