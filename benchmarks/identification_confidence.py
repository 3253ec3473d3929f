"""Names with a confidence: `barcodemae identify` beside SINTAX, naive Bayes and RDP, in one run on the same queries.

`python benchmarks/identification_confidence.py --data coi_arthropods.parquet --strangers coi_other_phyla.parquet` gives
`train` to each program as its references, and all of `test` (known species), of `test_unseen` (new ones) and of the
strangers whose phylum is not among the references as queries. `barcodemae` is calibrated by its own records, as by
default. RDP joins with `--rdp-jar classifier.jar`; the best hit of VSEARCH is the measure of speed. Speed is by the
time of the processor, so that other work on the machine hardly changes it. Written: `confidence-NAME.md`, `.json` and
`.png`.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from identification_classifiers import NaiveBayes, Rdp, Sintax
from identification_confidence_report import draw_confidences, write_report
from identification_methods import AlignmentProgram, Assigned, BarcodeMAE, Cost, Method, coverage

from barcodemae.cli.command import run_command
from barcodemae.data import RANKS, sample_path
from barcodemae.embedding.engines import FRAME
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.aligner_programs import program_version
from barcodemae.evaluation.benchmark import labels, read_usable_records, select_splits
from barcodemae.evaluation.scores import draw_species, percentile_interval
from barcodemae.files import written_atomically
from barcodemae.library.calibration.reliability import expected_calibration_error
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.provenance import describe_data, describe_machine, describe_versions

KNOWN, NEW, STRANGERS = "known", "new", "strangers"
PRECISIONS = (0.95, 0.98)
REPORTED = ("family", "genus", "species")
_NUM_RESAMPLES = 300


@dataclass(frozen=True)
class Program:
    """A compared program.

    Attributes:
        method: runs it.
        minimum: of the confidence, below which its users leave names out.
        is_probability: whether the confidence is one; otherwise it has no calibration.
    """

    method: Method
    minimum: float
    is_probability: bool = True


@dataclass(frozen=True)
class Names:
    """Names of queries at one rank, of which the true one is known.

    Attributes:
        confidence: `[n]`.
        right: bool `[n]`.
        called: bool `[n]`, whether there is a name, with the minimum confidence.
        species: `[n]`, true ones.
    """

    confidence: np.ndarray
    right: np.ndarray
    called: np.ndarray
    species: np.ndarray


def names_at(assigned: Assigned, queries: pa.Table, rows: np.ndarray, rank: str, minimum: float) -> Names:
    """The names at a rank of those of some queries whose true one is known."""
    true = labels(queries, rank)
    rows = rows & (true != "")
    confidence, taxa = assigned.confidence[rank][rows], assigned.taxa[rank][rows]
    called = (taxa != "") & (confidence >= minimum)
    return Names(confidence, taxa == true[rows], called, labels(queries, "species")[rows])


def statistics(names: Names, is_probability: bool, weights: np.ndarray) -> dict[str, float]:
    """Of the best names, however confident: accuracy, calibration, Brier score and coverage; and of the calls."""
    total = weights.sum()
    found = {"accuracy": weights @ names.right / total}
    if is_probability:
        found["calibration_error"] = expected_calibration_error(names.confidence, names.right, weights)
        found["brier"] = weights @ (names.confidence - names.right) ** 2 / total
    for precision in PRECISIONS:
        found[f"coverage_{round(100 * precision)}"] = coverage(names.confidence, names.right, weights, precision)
    found["called"] = weights @ names.called / total
    found["called_wrong"] = weights @ (names.called & ~names.right) / total
    return {name: float(value) for name, value in found.items()}


def scores(names: Names, is_probability: bool, seed: int) -> dict[str, Any]:
    """`statistics` with 95 % intervals over species."""
    _, group = np.unique(names.species, return_inverse=True)
    drawn = draw_species(np.random.default_rng(seed), group.max() + 1, _NUM_RESAMPLES)
    resampled = [statistics(names, is_probability, times[group].astype(float)) for times in drawn]
    found: dict[str, Any] = {"n_rows": len(names.species), "n_species": int(group.max() + 1)}
    for name, value in statistics(names, is_probability, np.ones(len(group))).items():
        found[name] = value
        found[f"{name}_interval"] = list(percentile_interval(np.array([one[name] for one in resampled])))
    return found


def stranger_scores(assigned: Assigned, rows: np.ndarray, minimum: float) -> dict[str, float]:
    """Shares of the strangers that are called at phylum alone, and below it: all these names are wrong."""
    called = [(assigned.taxa[rank][rows] != "") & (assigned.confidence[rank][rows] >= minimum) for rank in RANKS]
    below = np.any(called[1:], axis=0)
    return {"phylum": float((called[0] & ~below).mean()), "below_phylum": float(below.mean())}


def run_once(method: Method, references: pa.Table, texts: list[str]) -> tuple[Assigned, dict[str, Any]]:
    """What a program assigns to all queries, and its speed; from its folder, if it was run there before."""
    assigned, speed = method.folder / "assigned.npz", method.folder / "speed.json"
    if not speed.exists():
        method.prepare(references)
        one = method.run(texts[:1])
        cost = method.run(texts)
        method.results(len(texts)).save(assigned)
        speed.write_text(json.dumps(speeds(cost, one, len(texts))))
    return Assigned.load(assigned), json.loads(speed.read_text())


def speeds(all_queries: Cost, one_query: Cost, num_queries: int) -> dict[str, Any]:
    """Queries per second of one core: of the complete command, and without the time for a single query."""
    return {
        "all": asdict(all_queries),
        "one": asdict(one_query),
        "per_cpu_second": num_queries / all_queries.cpu_seconds,
        "net_per_cpu_second": (num_queries - 1) / max(all_queries.cpu_seconds - one_query.cpu_seconds, 1e-9),
    }


def read_strangers(path: str | None, references: pa.Table) -> list[pa.Table]:
    """Barcodes of phyla that the references do not have, in the columns of the references; none without a file."""
    if path is None:
        return []
    held = pc.unique(references["phylum"])
    records = pq.read_table(path, columns=["id", "nucleotides", *RANKS])
    return [records.filter(pc.invert(pc.is_in(records["phylum"], value_set=held)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    parser.add_argument("--strangers", help="Parquet file of barcodes of other phyla; by default none.")
    parser.add_argument("--splits", nargs=2, default=("test", "test_unseen"), help="Of known and of new species.")
    parser.add_argument("--rdp-jar", type=Path, help="classifier.jar of the RDP classifier; needs java.")
    parser.add_argument(
        "--programs-dir",
        type=Path,
        help="Folder in which the files of the programs stay, each in its own; those with results are not run again.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the bootstrap.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "results" / "identification")
    args = parser.parse_args()
    if args.rdp_jar is not None and not args.rdp_jar.is_file():
        raise ConfigurationError(f"--rdp-jar {args.rdp_jar}: expected the file classifier.jar, got none there")
    version = program_version("vsearch")
    columns = ["id", "nucleotides", *RANKS]
    references, *named = (
        table.select(columns)
        for table in select_splits(read_usable_records(args.data, "skip"), ("train", *args.splits))
    )
    parts = [*named, *read_strangers(args.strangers, references)]
    queries = pa.concat_tables(parts, promote_options="permissive")
    kind_of_query = np.repeat([KNOWN, NEW, STRANGERS][: len(parts)], [len(part) for part in parts])
    texts = queries["nucleotides"].to_pylist()
    found: dict[str, Any] = {}
    assigned: dict[str, Assigned] = {}
    with tempfile.TemporaryDirectory(prefix="confidence-") as scratch:
        folder = args.programs_dir or Path(scratch)
        programs: Mapping[str, Program] = {
            "VSEARCH, best hit": Program(AlignmentProgram(folder / "vsearch", "vsearch"), 97, is_probability=False),
            "SINTAX": Program(Sintax(folder / "sintax"), 0.8),
            "naive Bayes (QIIME 2)": Program(NaiveBayes(folder / "naive_bayes"), 0.7),
            **({} if args.rdp_jar is None else {"RDP": Program(Rdp(folder / "rdp", args.rdp_jar), 0.8)}),
            "barcodemae": Program(BarcodeMAE(folder / "barcodemae", FRAME), MIN_CONFIDENCE),
        }
        for name, program in programs.items():
            assigned[name], speed = run_once(program.method, references, texts)
            found[name] = {
                "minimum": program.minimum,
                "cost": speed,
                **{
                    kind: {
                        rank: scores(
                            names_at(assigned[name], queries, kind_of_query == kind, rank, program.minimum),
                            program.is_probability,
                            args.seed,
                        )
                        for rank in REPORTED
                    }
                    for kind in (KNOWN, NEW)
                },
            }
            if len(parts) > 2:
                found[name][STRANGERS] = stranger_scores(assigned[name], kind_of_query == STRANGERS, program.minimum)
            print(f"{name}: done", flush=True)
    results = {
        "data": describe_data([args.data]),
        "splits": list(args.splits),
        "n_references": len(references),
        "n_queries": {kind: int((kind_of_query == kind).sum()) for kind in (KNOWN, NEW, STRANGERS)},
        "methods": found,
        "vsearch": version,
        "versions": describe_versions(("barcodemae", "scikit-learn", "faiss-cpu", "numpy", "scipy")),
        "machine": describe_machine(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    report = write_report(results)
    print(report)
    curves = {
        name: {
            (kind, rank): names_at(assigned[name], queries, kind_of_query == kind, rank, program.minimum)
            for kind, rank in ((KNOWN, "species"), (NEW, "species"), (NEW, "genus"))
        }
        for name, program in programs.items()
        if program.is_probability
    }
    stem = f"confidence-{Path(args.data).stem}"
    with written_atomically(args.output_dir) as scratch_folder:
        (scratch_folder / f"{stem}.md").write_text(report)
        (scratch_folder / f"{stem}.json").write_text(json.dumps(results, indent=2) + "\n")
        draw_confidences(curves).savefig(scratch_folder / f"{stem}.png", dpi=150)


if __name__ == "__main__":
    run_command(main)
