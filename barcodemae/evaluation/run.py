"""The complete evaluation: from a model and a file of barcodes to results, reports and plots."""

import contextlib
import json
import shlex
from dataclasses import Field, asdict, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from barcodemae.errors import ConfigurationError, option_name
from barcodemae.evaluation.assignments import ASSIGNMENTS_FILE, BARCODE_COLUMNS, assignments_table, compare_assignments
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher
from barcodemae.evaluation.baselines.compressor import CompressionDistance
from barcodemae.evaluation.baselines.encoders import AnyEncoder
from barcodemae.evaluation.benchmark import Benchmark, build_benchmark, labels, read_usable_records, sample_queries
from barcodemae.evaluation.catalogue import BASELINES, FINE_TUNING
from barcodemae.evaluation.methods import (
    MethodOutput,
    Representation,
    Searcher,
    Vectors,
    check_neighbours,
    run_representation,
    run_searcher,
)
from barcodemae.evaluation.options import EvaluationArguments
from barcodemae.evaluation.protocol import score
from barcodemae.evaluation.registry import Model, check_baseline, make_baseline
from barcodemae.evaluation.report.curves import draw_map
from barcodemae.evaluation.report.pages import render_html, render_report
from barcodemae.evaluation.report.plots import draw_all
from barcodemae.evaluation.report.schema import VERSION, validate_results
from barcodemae.evaluation.tasks.bin_clustering import reduce_dimensions
from barcodemae.evaluation.tasks.fine_tuning import fine_tune, fine_tuning_scores
from barcodemae.evaluation.vector_cache import texts_sha256
from barcodemae.files import written_atomically
from barcodemae.outputs import check_outputs
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from barcodemae.training.metrics import METRICS_FILE
from barcodemae.training.summary import draw_training

REPORTS = ("report.md", "report.html")

# Queries of seen species for a search program: more would not change an accuracy of 99 %.
_MAX_SEEN_SEARCHED = 1_000

# Barcodes on the map: more take long, and make it no clearer.
_MAX_MAPPED = 10_000


def run_evaluation(arguments: EvaluationArguments) -> dict[str, Any]:
    """Evaluate a model and its baselines, and write results, assignments, reports and plots.

    None of these is written before everything is computed. Embeddings are cached as they are computed, and a
    fine-tuned model has a folder of its own among the results, so that an interrupted evaluation can be resumed.

    Args:
        arguments: the model, the data and the tasks.

    Returns:
        The content of `results.json`: the scores of the model as `protocol.score` gives them, those of each baseline
        under `baselines`, the differences between them under `comparisons`, the rows of each split, and the provenance.

    Raises:
        BarcodeMAEError: bad input.
    """
    folder = Path(arguments.output_dir)
    outputs = {f"--output-dir ({name})": folder / name for name in ("results.json", ASSIGNMENTS_FILE, *REPORTS)}
    check_outputs(outputs, filter(None, [arguments.data, arguments.queries]))
    name = _column_of(arguments.model)
    for baseline_name in arguments.baselines:
        check_baseline(baseline_name, arguments.trust_remote_code)
    model = Model.load(arguments.model, arguments.batch_size, arguments.trust_remote_code, **arguments.reading())
    if FINE_TUNING in arguments.tasks and model.embedder is None:
        raise ConfigurationError(f"--tasks {FINE_TUNING}: expected a checkpoint of BarcodeMAE, got another encoder")
    benchmark = _read_benchmark(arguments)
    check_neighbours(benchmark, max(arguments.neighbours, arguments.weighted_neighbours))

    output = _run_method(model.representation, benchmark, arguments)
    assert output.vectors is not None  # a model has them
    vote = arguments.weighted_vote()
    results = score(output, benchmark, arguments.tasks, arguments.seed, vote)
    results |= _details(model.representation, arguments.neighbours)
    if FINE_TUNING in arguments.tasks:
        results[FINE_TUNING] = _fine_tuned(arguments, model.weights_sha256, benchmark)
    hits = {name: output.unseen}
    results["baselines"] = {}
    for baseline_name in (progress := tqdm(dict.fromkeys(arguments.baselines), unit="baseline")):
        progress.set_description(baseline_name)
        baseline = make_baseline(
            baseline_name, model, arguments.model, arguments.batch_size, arguments.seed, arguments.trust_remote_code
        )
        if baseline is None:
            continue
        tasks = set(arguments.tasks) - set(BASELINES[baseline_name].skipped_tasks)
        sampled = _affordable(baseline, benchmark, arguments.seed)
        found = _run_method(baseline, sampled, arguments)
        results["baselines"][baseline_name] = score(found, sampled, tasks, arguments.seed, vote)
        results["baselines"][baseline_name] |= _details(baseline, arguments.neighbours)
        if len(sampled.unseen) == len(benchmark.unseen):
            hits[baseline_name] = found.unseen

    assignments = assignments_table(benchmark.train, benchmark.unseen, hits)
    results["comparisons"] = {
        baseline_name: compare_assignments(assignments, name, assignments, baseline_name, arguments.seed)
        for baseline_name in hits
        if baseline_name != name
    }
    tables = (benchmark.train, benchmark.seen, benchmark.unseen)
    results["splits"] = {records["split"][0].as_py(): len(records) for records in tables}
    results["provenance"] = describe_run(arguments, model.weights_sha256, model.identity)
    results["schema_version"] = VERSION
    validate_results(results)
    with written_atomically(folder) as scratch:  # before the plots, as the results may have taken hours
        (scratch / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        pq.write_table(assignments, scratch / ASSIGNMENTS_FILE)
    pictures = _draw(results, output.vectors, benchmark, Path(arguments.model) / METRICS_FILE)
    with written_atomically(folder) as scratch:
        for name, picture in pictures.items():
            (scratch / name).write_bytes(picture)
        pages = render_report(results, list(pictures)), render_html(results, pictures)
        for name, page in zip(REPORTS, pages, strict=True):
            (scratch / name).write_text(page, encoding="utf-8")
    return results


def _column_of(model: str) -> str:
    """The column of the model in the table of assignments, beside those of its baselines."""
    name = without_folder(model)
    if name in (*BASELINES, *BARCODE_COLUMNS):
        raise ConfigurationError(
            f"--model {model}: expected a folder of another name, as {name} is that of a baseline or column"
        )
    return name


def _read_benchmark(arguments: EvaluationArguments) -> Benchmark:
    records = read_usable_records(arguments.data, arguments.on_error)
    extra = None if arguments.queries is None else read_usable_records(arguments.queries, arguments.on_error)
    return build_benchmark(records, arguments.query_split, extra)


def _run_method(
    method: Representation | Searcher, benchmark: Benchmark, arguments: EvaluationArguments
) -> MethodOutput:
    if isinstance(method, Searcher):
        return run_searcher(method, benchmark, arguments.neighbours)
    return run_representation(method, benchmark, arguments.neighbours, _cache(arguments.cache_dir))


def _affordable(method: Representation | Searcher, benchmark: Benchmark, seed: int) -> Benchmark:
    """All queries for a representation; for a search program, so many that it takes minutes, not hours."""
    if not isinstance(method, Searcher):
        return benchmark
    num_unseen = len(benchmark.unseen)
    if isinstance(method, CompressionDistance):
        num_unseen = method.max_pairs // len(benchmark.train)
    return sample_queries(benchmark, min(_MAX_SEEN_SEARCHED, num_unseen), num_unseen, seed)


def _cache(cache_dir: str | None) -> Path | None:
    if cache_dir == "none":
        return None
    return Path(huggingface_hub.constants.HF_HOME) / "barcodemae/vectors" if cache_dir is None else Path(cache_dir)


def _details(method: Representation | Searcher, num_neighbours: int) -> dict[str, Any]:
    """What is reported of a method beside its scores."""
    if isinstance(method, AlignmentSearcher):
        return {"program": {"version": method.version, "commands": method.commands(num_neighbours)}}
    if isinstance(method, AnyEncoder) and method.token_counts.barcodes:  # else all was cached
        return {"tokenization": asdict(method.token_counts)}
    return {}


def _fine_tuned(arguments: EvaluationArguments, weights_sha256: str, benchmark: Benchmark) -> dict[str, Any]:
    # Named by its origin: the fine-tuned model of another evaluation in this folder must not be taken for this one's.
    origin = [weights_sha256, *describe_data([arguments.data]), arguments.seed, arguments.fine_tuning_epochs]
    folder = Path(arguments.output_dir) / FINE_TUNING / texts_sha256([json.dumps(origin)])[:16]
    trained = fine_tune(arguments.model, arguments.data, folder, arguments.seed, arguments.fine_tuning_epochs)
    return fine_tuning_scores(trained, benchmark.train, benchmark.seen, benchmark.unseen, arguments.seed)


def _draw(results: dict[str, Any], vectors: Vectors, benchmark: Benchmark, metrics_file: Path) -> dict[str, bytes]:
    pictures = draw_all(results)
    if "clustering" in results:
        both = np.concatenate([vectors.seen, vectors.unseen])
        orders = np.concatenate([labels(benchmark.seen, "order"), labels(benchmark.unseen, "order")])
        rows = np.random.default_rng(0).permutation(len(both))[:_MAX_MAPPED]
        pictures["map.png"] = draw_map(reduce_dimensions(both[rows], num_dimensions=2), orders[rows])
    if metrics_file.is_file():
        pictures["training.png"] = draw_training(_read_metrics(metrics_file))
    return pictures


def _read_metrics(file: Path) -> list[dict[str, Any]]:
    """Lines of a training run, whose last line may be incomplete while it is running."""
    lines = []
    for text in file.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


_PACKAGES = (
    "barcodemae",
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "scikit-learn",
    "umap-learn",
    "evaluate",
)


def describe_run(
    arguments: EvaluationArguments, weights_sha256: str, identity: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Model and data files with SHA-256, seed, command, versions, machine and date.

    Args:
        arguments: the options of the evaluation.
        weights_sha256: SHA-256 of the model's weights.
        identity: how an encoder other than ours is read.
    """
    return {
        "model": without_folder(arguments.model),
        "weights_sha256": weights_sha256,
        "data": describe_data(source for source in (arguments.data, arguments.queries) if source is not None),
        "seed": arguments.seed,
        "command": _command(arguments),
        "versions": describe_versions(_PACKAGES),
        "machine": describe_machine(),
        **({"identity": identity} if identity else {}),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _command(arguments: EvaluationArguments) -> str:
    parts = ["python", "evaluate_embeddings.py"]
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if field.name == "output_dir":
            value = Path(value).name
        if value != _default(field):
            values = (value or ["none"]) if isinstance(value, list) else [value]
            parts += [option_name(field.name), *(without_folder(str(one)) for one in values)]
    return shlex.join(parts)
