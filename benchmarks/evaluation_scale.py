"""What an evaluation costs at scale: seconds and memory of nearest neighbours and of both probes.

`python benchmarks/evaluation_scale.py [--rows 10000 100000] [--references 1000000] [--epochs 200 10] [--folder DIR]`

Vectors are random: each species has a centre in 256 dimensions, with noise around it. They are in a memory-mapped file,
as cached vectors are. Each row of the table is a fresh process, with the threads that the environment allows. Memory is
the peak of the process, libraries and the used pages of the file included (`VmHWM` of Linux), and how much of it the
task added. A probe may get fewer epochs, or iterations, than it needs: the table says so, and by how much its time was
multiplied; for iterations, which may end early, that is an upper bound. Each reference takes 1 kB
on disk.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap

NUM_DIMENSIONS = 256
NOISE = 2.0
BLOCK = 50_000

HEADER = ("task", "train rows", "queries", "seconds", "measured", "peak MB", "added MB", "accuracy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="rows of the train split")
    parser.add_argument("--queries", type=int, default=5_000, help="queries of each task")
    parser.add_argument("--species", type=int, default=900, help="species that are drawn")
    parser.add_argument("--references", type=int, default=1_000_000, help="of the largest search; 0 for none")
    parser.add_argument("--epochs", type=int, nargs="+", help="of the linear probe, for each number of rows")
    parser.add_argument("--iterations", type=int, nargs="+", help="of the logistic probe at most, likewise")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--folder", type=Path, help="scratch folder; by default the system's")
    parser.add_argument("--measure", nargs=4, metavar=("TASK", "FOLDER", "ROWS", "STEPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        task, folder, rows, steps = args.measure
        print(json.dumps(measure(task, Path(folder), int(rows), int(steps))))
        return

    from barcodemae.provenance import describe_machine

    print(f"{describe_machine()}; {NUM_DIMENSIONS} dimensions, {args.species} species\n")
    print(line(HEADER), line(["---"] * len(HEADER)), sep="\n", flush=True)
    steps = {"linear_probe": args.epochs, "logistic_probe": args.iterations}
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        write_vectors(Path(scratch), "train", max(*args.rows, args.references), args.species)
        write_vectors(Path(scratch), "queries", args.queries, args.species)
        for task in args.tasks:
            sizes = [*args.rows, args.references] if task == "knn" and args.references else args.rows
            for position, rows in enumerate(sizes):
                given = steps.get(task)
                print(
                    line(report(task, Path(scratch), rows, given[position] if given else 0, args.queries)), flush=True
                )


def line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def write_vectors(folder: Path, name: str, rows: int, num_species: int) -> None:
    """Draw vectors and species into files, block by block."""
    centres = np.random.default_rng(0).normal(size=(num_species, NUM_DIMENSIONS)).astype(np.float32)
    rng = np.random.default_rng([1, rows])
    species = rng.integers(0, num_species, rows)
    np.save(folder / f"{name}_species.npy", species)
    vectors = open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(rows, NUM_DIMENSIONS))
    for begin in range(0, rows, BLOCK):
        of_block = species[begin : begin + BLOCK]
        noise = rng.standard_normal((len(of_block), NUM_DIMENSIONS), np.float32)
        vectors[begin : begin + BLOCK] = centres[of_block] + NOISE * noise


def report(task: str, folder: Path, rows: int, steps: int, queries: int) -> list[str]:
    """One line of the table, from a process of its own; its progress goes to our stderr."""
    command = [sys.executable, __file__, "--measure", task, folder, rows, steps]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    seconds = found["seconds"] * found["times"]
    measured = "in full" if found["times"] == 1 else f"{found['steps']} steps, times {found['times']:.0f}"
    return [
        task,
        f"{rows:,}",
        f"{queries:,}",
        f"{seconds:,.1f}",
        measured,
        f"{found['peak_mb']:,.0f}",
        f"{found['added_mb']:,.0f}",
        f"{found['right']:.1%}",
    ]


Measured = tuple[float, int, int]


def measure(task: str, folder: Path, rows: int, steps: int) -> dict[str, float]:
    """One task on the first rows."""
    train, queries = (open_memmap(folder / f"{name}.npy", mode="r") for name in ("train", "queries"))
    taxa = [np.load(folder / f"{name}_species.npy")[:rows].astype(str) for name in ("train", "queries")]
    run = TASKS[task]
    # What is loaded late is loaded now: a trial on a few species.
    few = [np.flatnonzero(np.isin(names, taxa[0][:10])) for names in taxa]
    run(train[few[0]], queries[few[1]], taxa[0][few[0]], taxa[1][few[1]], 1)
    before = memory_mb("VmRSS")
    since = time.perf_counter()
    right, done, needed = run(train[:rows], queries, taxa[0], taxa[1], steps)
    return {
        "seconds": time.perf_counter() - since,
        "steps": done,
        "times": needed / done,
        "peak_mb": memory_mb("VmHWM"),
        "added_mb": memory_mb("VmHWM") - before,
        "right": right,
    }


def knn(train: np.ndarray, queries: np.ndarray, taxa: np.ndarray, expected: np.ndarray, steps: int) -> Measured:
    """Accuracy, and that its one step was done."""
    from barcodemae.embedding.nearest import nearest_by_cosine

    neighbours = nearest_by_cosine(train, queries).rows[:, 0]
    return float((taxa[neighbours] == expected).mean()), 1, 1


def linear_probe(
    train: np.ndarray, queries: np.ndarray, taxa: np.ndarray, expected: np.ndarray, steps: int
) -> Measured:
    """Accuracy, epochs that were done, epochs of the recipe."""
    from barcodemae.evaluation.tasks.probes import EPOCHS, fit_predict

    given = fit_predict(train, taxa, queries, epochs=steps or EPOCHS)
    return float((given == expected).mean()), steps or EPOCHS, EPOCHS


def logistic_probe(
    train: np.ndarray, queries: np.ndarray, taxa: np.ndarray, expected: np.ndarray, steps: int
) -> Measured:
    """Accuracy, iterations that were allowed, iterations that the recipe allows."""
    from barcodemae.data.conforming import conform
    from barcodemae.evaluation.tasks import probes

    def records(species: np.ndarray) -> pa.Table:
        columns = {"nucleotides": ["ACGT"] * len(species), "species": species.tolist()}
        return conform(pa.table(columns), "drawn", np.arange(1, len(species) + 1))

    allowed, probes.MAX_ITERATIONS = probes.MAX_ITERATIONS, steps or probes.MAX_ITERATIONS
    scores = probes.logistic_probe_scores(train, records(taxa), queries, records(expected))
    done, probes.MAX_ITERATIONS = probes.MAX_ITERATIONS, allowed
    return scores["species_accuracy"], done, allowed


TASKS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], Measured]] = {
    "knn": knn,
    "linear_probe": linear_probe,
    "logistic_probe": logistic_probe,
}


def memory_mb(field: str) -> float:
    """A figure that Linux gives for the memory of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(text.split()[1]) * 1024 / 1e6 for text in status if text.startswith(field))


if __name__ == "__main__":
    main()
