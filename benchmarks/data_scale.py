"""The data pipeline at scale: first start, later start, memory, and barcodes per second that reach the training step.

`python benchmarks/data_scale.py --barcodes FILE.parquet [--records 5000000] [--format tsv] [--folder SCRATCH]`

A file of that many records is made by repeating the rows of a real file with one base in a hundred replaced; every
tenth row is not changed, and so becomes a duplicate when it is repeated. Then fresh processes read, filter, deduplicate
and place the records (first start), start again from the cache (later start), and make the arrays of training steps in
the order of training. Memory is the peak of the process, libraries included (`VmHWM` of Linux). The file takes about
1 kB a record as TSV, the cache another 0.7 kB; both are deleted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

COLUMNS = ("id", "nucleotides", "phylum", "class", "order", "family", "genus", "species", "bin", "split", "country")
CHUNK = 50_000
MUTATED_SHARE = 0.01
K = 6
STEP_SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--barcodes", type=Path, required=True, help="Parquet file of real barcodes, with splits")
    parser.add_argument("--records", type=int, default=200_000, help="records of the file that is made")
    parser.add_argument("--format", choices=["parquet", "tsv"], default="parquet")
    parser.add_argument("--folder", type=Path, help="scratch folder; by default the system's")
    parser.add_argument("--steps", type=int, default=2000, help=f"training steps of {STEP_SIZE} records to make")
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "CACHE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        file, cache = args.measure
        print(json.dumps(measure(file, cache, args.steps)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        file = Path(scratch) / f"mutated.{args.format}"
        since = time.perf_counter()
        write_mutated(args.barcodes, file, args.records)
        size, seconds = file.stat().st_size, time.perf_counter() - since
        print(f"{args.records:,} records, {size / 1e9:.2f} GB of {args.format}, made in {seconds:.0f} s", flush=True)
        first = in_fresh_process(args, file, Path(scratch) / "cache", steps=0)
        later = in_fresh_process(args, file, Path(scratch) / "cache", args.steps)
    print(f"{first['records']:,} records are used; {first['report']}")
    print(f"{'':24}{'seconds':>10}{'CPU s':>10}{'records/s':>12}{'peak MB':>10}")
    for name, row in (("first start", first), ("later start", later)):
        rate = args.records / row["seconds"]
        print(f"{name:24}{row['seconds']:10.1f}{row['cpu_seconds']:10.1f}{rate:12,.0f}{row['peak_mb']:10,.0f}")
    print(f"later start is {first['seconds'] / later['seconds']:.0f} times faster than the first")
    print(f"order of an epoch: {later['order_seconds']:.2f} s")
    print(f"arrays of {later['made']:,} records in {args.steps} steps of {STEP_SIZE}:")
    print(f"  {later['made_per_second']:,.0f} records/s ({later['made_per_cpu_second']:,.0f} per CPU second)")
    print(f"  peak {later['peak_mb_at_end']:,.0f} MB")


def write_mutated(source: Path, file: Path, records: int) -> None:
    """Write a file of mutated rows, chunk by chunk."""
    table = pq.read_table(source, columns=list(COLUMNS)).combine_chunks()
    rng = np.random.default_rng(0)
    schema = pa.schema({column: pa.string() for column in COLUMNS})
    with file.open("wb") as handle, open_writer(handle, file.suffix, schema) as writer:
        for begin in range(0, records, CHUNK):
            rows = np.arange(begin, min(begin + CHUNK, records))
            source_rows = rows % len(table)
            chunk = table.take(pa.array(source_rows)).combine_chunks()
            columns = {column: chunk[column].cast(pa.string()) for column in COLUMNS}
            columns["id"] = pc.binary_join_element_wise(columns["id"], pa.array(rows).cast(pa.string()), "-")
            columns["nucleotides"] = mutate(chunk["nucleotides"].to_pylist(), source_rows % 10 != 0, rng)
            writer.write_table(pa.table(columns, schema=schema))


def open_writer(handle: BinaryIO, suffix: str, schema: pa.Schema) -> pq.ParquetWriter | pacsv.CSVWriter:
    if suffix == ".parquet":
        return pq.ParquetWriter(handle, schema, compression="zstd")
    handle.write(("\t".join(schema.names) + "\n").encode())  # Arrow puts it in quotation marks
    options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    return pacsv.CSVWriter(handle, schema, write_options=options)


def mutate(sequences: list[str], is_mutated: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """Replace bases by random ones."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    bases = np.frombuffer("".join(sequences).encode(), np.uint8).copy()
    chosen = (rng.random(len(bases), np.float32) < MUTATED_SHARE) & np.repeat(is_mutated, lengths)
    bases[chosen] = rng.choice(np.frombuffer(b"ACGT", np.uint8), int(chosen.sum()))
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(bounds), pa.py_buffer(bases))


def in_fresh_process(args: argparse.Namespace, file: Path, cache: Path, steps: int) -> dict:
    """What `measure` finds in a process of its own; its progress goes to our stderr."""
    command = [sys.executable, __file__, "--barcodes", args.barcodes, "--steps", steps, "--measure", file, cache]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(file: str, cache: str, steps: int) -> dict:
    """One start, and some training steps."""
    from barcodemae.training.arguments import DataArguments
    from barcodemae.training.dataset import load_frame, load_training_data
    from barcodemae.training.objectives import MaskedReconstruction
    from barcodemae.training.steps import epoch_steps
    from tokenization_barcodemae import KmerEncoder

    objective, frame = MaskedReconstruction(0, 0.5), load_frame("coi")
    wall, cpu = time.perf_counter(), time.process_time()
    training, _ = load_training_data(DataArguments(data=[file], cache_dir=cache), frame, KmerEncoder(K), seed=0)
    found = {
        "records": len(training),
        "report": str(training.report),
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }
    if not steps:
        return found
    wall = time.perf_counter()
    order = epoch_steps(training.num_tokens, STEP_SIZE, 0, 0)[:steps]
    found["order_seconds"] = time.perf_counter() - wall
    wall, cpu = time.perf_counter(), time.process_time()
    for rows in order:
        training.arrays(rows, 0, objective)
    made = sum(map(len, order))
    return found | {
        "made": made,
        "made_per_second": made / (time.perf_counter() - wall),
        "made_per_cpu_second": made / (time.process_time() - cpu),
        "peak_mb_at_end": peak_mb(),
    }


def peak_mb() -> float:
    """The most memory that was resident in this process so far."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
