"""A million references: time and memory of building them, and what the search among them costs and finds.

`python benchmarks/library_scale.py --data coi_arthropods.parquet [--references 1000000] [--queries 1000000]`

References are rows of a real file, drawn at random, each as the ancestor of another species: 3 to 12 % of its bases
are replaced, and barcodes of the species differ from the ancestor by up to 1 %. Queries are references of which up to
5 % of the bases are replaced. `barcodemae index` and `identify` run in fresh processes, whose peak memory is reported.
Recall is the share of a thousand queries for which the library finds a reference as near as the nearest one by exact
search. The library takes about 2 kB a record; everything is deleted.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from results_file import save_results

from barcodemae.cli.command import run_command
from barcodemae.data import RANKS, sample_path
from barcodemae.library.models import open_with_model
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary

PER_SPECIES = 10
ROWS = 20_000
NUM_SEARCHED = 1000
ROUNDING = 2e-4  # of vectors in half precision
NAMES = RANKS[:-1]
_BASES = np.frombuffer(b"ACGT", np.uint8)


def replaced(text: str, share: float, rng: np.random.Generator) -> str:
    """A sequence in which a share of the bases is drawn anew."""
    bases = np.frombuffer(text.encode(), np.uint8).copy()
    is_replaced = rng.random(len(bases)) < share
    bases[is_replaced] = _BASES[rng.integers(0, 4, is_replaced.sum())]
    return bases.tobytes().decode()


def write_references(source: pa.Table, file: Path, num_references: int, rng: np.random.Generator) -> None:
    """Write mutated rows, chunk by chunk: ten barcodes of each species."""
    fields = ("id", "nucleotides", *NAMES, "species")
    schema = pa.schema([(field, pa.large_string()) for field in fields])
    texts = source["nucleotides"].to_pylist()
    columns = {name: source[name].to_pylist() for name in NAMES}
    with pq.ParquetWriter(file, schema) as writer:
        for begin in range(0, num_references, ROWS):
            chunk: dict[str, list[str]] = {field: [] for field in fields}
            for species in range(begin // PER_SPECIES, min(begin + ROWS, num_references) // PER_SPECIES):
                row = int(rng.integers(len(texts)))
                ancestor = replaced(texts[row], rng.uniform(0.03, 0.12), rng)
                for number in range(PER_SPECIES):
                    chunk["id"].append(f"r{species}-{number}")
                    chunk["nucleotides"].append(replaced(ancestor, rng.uniform(0, 0.01), rng))
                    chunk["species"].append(f"{columns['genus'][row] or 'Genus'} number{species}")
                    for name in NAMES:
                        chunk[name].append(columns[name][row])
            writer.write_table(pa.table(chunk, schema=schema))


def write_queries(references: Path, file: Path, num_queries: int, rng: np.random.Generator) -> list[str]:
    """Write queries as FASTA, drawn from all references in turn; returns some of them."""
    table = pq.ParquetFile(references)
    per_group = -(-num_queries // table.num_row_groups)
    some: list[str] = []
    with file.open("w") as fasta:
        for group in range(table.num_row_groups):
            texts = table.read_row_group(group, columns=["nucleotides"])["nucleotides"].to_pylist()
            drawn = [
                replaced(texts[row], rng.uniform(0, 0.05), rng) for row in rng.integers(len(texts), size=per_group)
            ]
            fasta.writelines(f">q{group}-{number}\n{text}\n" for number, text in enumerate(drawn))
            some += drawn[: -(-NUM_SEARCHED // table.num_row_groups)]
    return some[:NUM_SEARCHED]


def command(folder: Path, *arguments: str) -> dict[str, float]:
    """Run `barcodemae` in a fresh process.

    Returns:
        `seconds`; `cpu_seconds`, which other work on the machine hardly changes; and the largest `peak_mb` of all such
        processes so far.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "barcodemae", *arguments], cwd=folder, check=True, stdout=sys.stderr)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": after.ru_maxrss / 1e3}


def recall(folder: Path, queries: list[str]) -> dict[str, float]:
    """Of queries: nearest reference found among the candidates, and the seconds that a search takes."""
    library, embedder = open_with_model(folder)
    vectors = embedder.encode(queries, normalize_embeddings=True, on_error="skip")
    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    best = np.full(len(vectors), -np.inf, np.float32)
    for begin in range(0, len(library.live), 100_000):
        block = library.vectors(library.live[begin : begin + 100_000]).astype(np.float32)
        similarities, _ = faiss.knn(vectors, block, 1, metric=faiss.METRIC_INNER_PRODUCT)
        best = np.maximum(best, similarities[:, 0])
    begin_time = time.perf_counter()
    found = library.search(vectors, NUM_CANDIDATES)
    seconds = time.perf_counter() - begin_time
    return {
        "recall_at_1": float((found.similarities[:, 0] >= best - ROUNDING).mean()),
        "search_ms": 1000 * seconds / len(vectors),
    }


def search_mutated(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Build a library of mutated rows, and identify mutated references."""
    rng = np.random.default_rng(0)
    write_references(pq.read_table(args.data), folder / "references.parquet", args.references, rng)
    searched = write_queries(folder / "references.parquet", folder / "queries.fasta", args.queries, rng)
    print("made the references and the queries", file=sys.stderr)
    index = command(folder, "index", "references.parquet", "--output", "library", "--engine", args.engine)
    size = sum(file.stat().st_size for file in (folder / "library").rglob("*") if file.is_file())
    manifest = StoredLibrary.open(folder / "library").manifest
    identify = command(folder, "identify", "queries.fasta", "--library", "library", "--output", "results.parquet")
    num_results = pq.ParquetFile(folder / "results.parquet").metadata.num_rows
    return {
        "references": args.references,
        "queries": num_results,
        "engine": args.engine,
        "index": index | {"gb": size / 1e9, "kind": [segment.index for segment in manifest.segments]},
        "identify": identify | {"per_second": num_results / identify["seconds"]},
        "search": recall(folder / "library", searched),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Parquet file of real barcodes.")
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--engine", default="frame")
    parser.add_argument("--folder", type=Path, help="Folder of scratch files; by default the system's.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "library_scale.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="library-", dir=args.folder) as scratch:
        folder = Path(scratch)
        results = search_mutated(folder, args)
    save_results(results, args.output)


if __name__ == "__main__":
    run_command(main)
