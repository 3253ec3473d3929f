"""Accuracy and speed of placing barcodes on the COI reference frame, complete and cut.

`python benchmarks/reference_frame.py --coi FILE [FILE ...] --its FILE`, Parquet files with a column
`nucleotides`. COI barcodes should be accepted, fungal ITS and COI with its bases shuffled rejected. A cut
is placed correctly if start and strand agree with those of the complete barcode; counted are cuts that lie on the
frame, of complete barcodes that are accepted. Every other cut is reverse-complemented.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow.parquet as pq

from tokenization_barcodemae import ReferenceFrame, reverse_complement

CUT_LENGTHS = 100, 150, 200, 300
N_TIMED = 20_000


def read(path: Path) -> list[str]:
    return pq.read_table(path, columns=["nucleotides"])["nucleotides"].to_pylist()


def shuffle(sequences: list[str], rng: np.random.Generator) -> list[str]:
    return ["".join(rng.permutation(list(sequence))) for sequence in sequences]


def accepted(frame: ReferenceFrame, sequences: list[str]) -> str:
    return f"{frame.accepts(frame.place(sequences)).mean():12.3%}"


def cut(sequences: list[str], length: int, begins: np.ndarray) -> list[str]:
    cuts = [text[begin : begin + length] for text, begin in zip(sequences, begins, strict=True)]
    cuts[1::2] = map(reverse_complement, cuts[1::2])
    return cuts


def report(name: str, coi: list[str], its: list[str], frame: ReferenceFrame) -> None:
    rng = np.random.default_rng(0)
    complete = frame.place(coi)
    lengths = np.array([len(text) for text in coi])
    is_canonical = (lengths == frame.length) & frame.accepts(complete)
    print(f"\n{name}: {len(coi):,} rows, {(~frame.accepts(complete)).sum()} of them rejected")
    print(f"canonical barcodes placed at 0 {(complete.start[is_canonical] == 0).mean():.2%}")
    print(f"{'length':>8}{'COI':>12}{'shuffled':>12}{'ITS':>12}{'correct':>14}")
    print(f"{'complete':>8}{accepted(frame, coi)}{accepted(frame, shuffle(coi, rng))}{accepted(frame, its)}")
    for length in CUT_LENGTHS:
        begins = rng.integers(0, np.maximum(lengths - length, 0) + 1)
        cuts = cut(coi, length, begins)
        placement = frame.place(cuts)
        # On the reverse strand, what the cut leaves out at its end comes first.
        skipped = np.where(complete.strand > 0, begins, lengths - length - begins)
        start = complete.start + skipped
        strand = complete.strand * np.where(np.arange(len(coi)) % 2, -1, 1)
        counted = frame.accepts(complete) & (lengths >= length) & (start >= 0) & (start + length <= frame.length)
        is_correct = (placement.start == start) & (placement.strand == strand)
        coi_accepted = frame.accepts(placement)[counted].mean()
        shuffled = shuffle([text for text, is_counted in zip(cuts, counted, strict=True) if is_counted], rng)
        its_cuts = cut(its, length, rng.integers(0, np.array([max(len(text) - length, 0) + 1 for text in its])))
        print(
            f"{length:8}{coi_accepted:12.3%}{accepted(frame, shuffled)}{accepted(frame, its_cuts)}"
            f"{is_correct[counted].mean():14.3%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coi", type=Path, nargs="+", required=True, help="COI barcodes")
    parser.add_argument("--its", type=Path, required=True, help="fungal ITS sequences")
    arguments = parser.parse_args()
    frame = ReferenceFrame.coi()
    its = read(arguments.its)
    print(f"min_score {frame.min_score:.2f}; share that is accepted, by length of the cut")
    for path in arguments.coi:
        report(path.name, read(path), its, frame)

    timed = read(arguments.coi[0])[:N_TIMED]
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        frame.place(timed)
        seconds.append(time.process_time() - begin)
    print(f"\n{len(timed) / min(seconds):,.0f} barcodes placed per second of processor time, both strands")


if __name__ == "__main__":
    main()
