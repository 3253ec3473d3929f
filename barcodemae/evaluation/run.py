"""The whole evaluation: from a model and a file of barcodes to results, reports and plots."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.answers import ASKED, answers_table
from barcodemae.evaluation.arguments import FINE_TUNING, EvaluationArguments
from barcodemae.evaluation.benchmark import Benchmark, build_benchmark, drawn_queries
from barcodemae.evaluation.comparison import compare_answers
from barcodemae.evaluation.contenders import LEFT_OUT, RIVALS, Model, check_rival, make_rival
from barcodemae.evaluation.kept_vectors import texts_sha256
from barcodemae.evaluation.protocol import score
from barcodemae.evaluation.provenance import describe_run
from barcodemae.evaluation.report.html import render_html
from barcodemae.evaluation.report.page import render_report
from barcodemae.evaluation.report.paired import ANSWERS_FILE
from barcodemae.evaluation.report.plots import draw_all, draw_map
from barcodemae.evaluation.report.schema import VERSION, validate_results
from barcodemae.evaluation.representations import Representation
from barcodemae.evaluation.rivals.alignment import AlignmentSearcher
from barcodemae.evaluation.rivals.compressor import CompressionDistance
from barcodemae.evaluation.rivals.encoders import AnyEncoder
from barcodemae.evaluation.search import Searcher
from barcodemae.evaluation.splits import labels, read_usable_records
from barcodemae.evaluation.subjects import Subject, Vectors, embedded, searched
from barcodemae.evaluation.tasks.clustering import reduce_dimensions
from barcodemae.evaluation.tasks.fine_tuning import fine_tune, fine_tuning_scores
from barcodemae.files import written_whole
from barcodemae.provenance import describe_data, without_folder
from barcodemae.training.curve import draw_training
from barcodemae.training.state import METRICS_FILE

# Queries of seen species that a searcher is asked: names of species are right in 99 of 100, whatever is asked.
_N_SEEN_SEARCHED = 1_000

# Barcodes on the map: more take long, and are no better to look at.
_N_MAPPED = 10_000


def run_evaluation(arguments: EvaluationArguments) -> dict[str, Any]:
    """Judge a model and its rivals, and write results, answers, reports and plots.

    None of these is written before everything is computed. Embeddings are kept as they come, and a fine-tuned model
    has a folder of its own among the results, so that what was stopped goes on.

    Args:
        arguments: what and on what.

    Returns:
        The content of `results.json`: the scores of the model as `protocol.score` gives them, those of each rival
        under `rivals`, how the model does against each under `comparisons`, the rows of each split, and the provenance.

    Raises:
        BarcodeMAEError: bad input.
    """
    folder = Path(arguments.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder}: expected a folder for the results, got a file")
    name = _column_of(arguments.model)
    for rival_name in arguments.rivals:
        check_rival(rival_name, arguments.trust_remote_code)
    model = Model.load(arguments.model, arguments.batch_size, arguments.trust_remote_code, **arguments.reading())
    if FINE_TUNING in arguments.tasks and model.embedder is None:
        raise ConfigurationError(f"--tasks {FINE_TUNING}: expected a checkpoint of BarcodeMAE, got another encoder")
    benchmark = _read_benchmark(arguments)

    subject = _judged(model.representation, benchmark, arguments)
    assert subject.vectors is not None  # a model has them
    results = score(subject, benchmark, arguments.tasks, arguments.seed)
    results |= _told_of(model.representation, arguments.neighbours)
    if FINE_TUNING in arguments.tasks:
        results[FINE_TUNING] = _fine_tuned(arguments, model.weights_sha256, benchmark)
    hits = {name: subject.unseen}
    results["rivals"] = {}
    for rival_name in (progress := tqdm(dict.fromkeys(arguments.rivals), unit="rival")):
        progress.set_description(rival_name)
        rival = make_rival(
            rival_name, model, arguments.model, arguments.batch_size, arguments.seed, arguments.trust_remote_code
        )
        if rival is None:
            continue
        tasks = set(arguments.tasks) - LEFT_OUT.get(rival_name, set())
        asked = _affordable(rival, benchmark, arguments.seed)
        judged = _judged(rival, asked, arguments)
        results["rivals"][rival_name] = score(judged, asked, tasks, arguments.seed)
        results["rivals"][rival_name] |= _told_of(rival, arguments.neighbours)
        if len(asked.unseen) == len(benchmark.unseen):
            hits[rival_name] = judged.unseen

    answers = answers_table(benchmark.train, benchmark.unseen, hits)
    results["comparisons"] = {
        rival_name: compare_answers(answers, name, answers, rival_name, arguments.seed)
        for rival_name in hits
        if rival_name != name
    }
    tables = (benchmark.train, benchmark.seen, benchmark.unseen)
    results["splits"] = {records["split"][0].as_py(): len(records) for records in tables}
    results["provenance"] = describe_run(arguments, model.weights_sha256, model.identity)
    results["schema_version"] = VERSION
    validate_results(results)
    with written_whole(folder) as scratch:  # before the plots: what took hours to compute is safe first
        (scratch / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        pq.write_table(answers, scratch / ANSWERS_FILE)
    pictures = _draw(results, subject.vectors, benchmark, Path(arguments.model) / METRICS_FILE)
    with written_whole(folder) as scratch:
        for name, picture in pictures.items():
            (scratch / name).write_bytes(picture)
        (scratch / "report.md").write_text(render_report(results, list(pictures)), encoding="utf-8")
        (scratch / "report.html").write_text(render_html(results, pictures), encoding="utf-8")
    return results


def _column_of(model: str) -> str:
    """The name of the model's answers, which stand beside those of its rivals."""
    name = without_folder(model)
    if name in (*RIVALS, *ASKED):
        raise ConfigurationError(
            f"--model {model}: expected a folder of another name, as {name} is that of a rival or column"
        )
    return name


def _read_benchmark(arguments: EvaluationArguments) -> Benchmark:
    records = read_usable_records(arguments.data, arguments.on_error)
    extra = None if arguments.queries is None else read_usable_records(arguments.queries, arguments.on_error)
    return build_benchmark(records, arguments.query_split, extra)


def _judged(contender: Representation | Searcher, benchmark: Benchmark, arguments: EvaluationArguments) -> Subject:
    if isinstance(contender, Searcher):
        return searched(contender, benchmark, arguments.neighbours)
    return embedded(contender, benchmark, arguments.neighbours, _cache(arguments.cache_dir))


def _affordable(contender: Representation | Searcher, benchmark: Benchmark, seed: int) -> Benchmark:
    """All queries for what has vectors; for programs that align so many that they take minutes, not hours."""
    if not isinstance(contender, Searcher):
        return benchmark
    n_unseen = len(benchmark.unseen)
    if isinstance(contender, CompressionDistance):
        n_unseen = contender.max_pairs // len(benchmark.train)
    return drawn_queries(benchmark, min(_N_SEEN_SEARCHED, n_unseen), n_unseen, seed)


def _cache(cache_dir: str | None) -> Path | None:
    if cache_dir == "none":
        return None
    return Path(huggingface_hub.constants.HF_HOME) / "barcodemae/vectors" if cache_dir is None else Path(cache_dir)


def _told_of(contender: Representation | Searcher, n_neighbours: int) -> dict[str, Any]:
    """What a contender has to tell beside its scores."""
    if isinstance(contender, AlignmentSearcher):
        return {"run_by": {"version": contender.version, "commands": contender.commands(n_neighbours)}}
    if isinstance(contender, AnyEncoder) and contender.reading.n_barcodes:  # else all was kept from before
        return {"read": dataclasses.asdict(contender.reading)}
    return {}


def _fine_tuned(arguments: EvaluationArguments, weights_sha256: str, benchmark: Benchmark) -> dict[str, Any]:
    # Named by what it comes from: what another model left among the results would be taken for this one's.
    origin = [weights_sha256, *describe_data([arguments.data]), arguments.seed, arguments.fine_tuning_epochs]
    folder = Path(arguments.output_dir) / FINE_TUNING / texts_sha256([json.dumps(origin)])[:16]
    trained = fine_tune(arguments.model, arguments.data, folder, arguments.seed, arguments.fine_tuning_epochs)
    return fine_tuning_scores(trained, benchmark.train, benchmark.seen, benchmark.unseen, arguments.seed)


def _draw(results: dict[str, Any], vectors: Vectors, benchmark: Benchmark, metrics_file: Path) -> dict[str, bytes]:
    pictures = draw_all(results)
    if "clustering" in results:
        both = np.concatenate([vectors.seen, vectors.unseen])
        orders = np.concatenate([labels(benchmark.seen, "order"), labels(benchmark.unseen, "order")])
        rows = np.random.default_rng(0).permutation(len(both))[:_N_MAPPED]
        pictures["map.png"] = draw_map(reduce_dimensions(both[rows], n_dimensions=2), orders[rows])
    if metrics_file.is_file():
        pictures["training.png"] = draw_training(_read_metrics(metrics_file))
    return pictures


def _read_metrics(file: Path) -> list[dict[str, Any]]:
    """Lines of a training run; one that is going on may have written its last line by half."""
    lines = []
    for text in file.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines
