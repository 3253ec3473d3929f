"""The whole evaluation: from a model and a file of barcodes to results, a report and plots."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from barcodemae.embedding import BarcodeEmbedder
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.arguments import EvaluationArguments
from barcodemae.evaluation.protocol import Benchmark, Vectors, build_benchmark, embed_benchmark, score_vectors
from barcodemae.evaluation.provenance import describe_run
from barcodemae.evaluation.report import plots
from barcodemae.evaluation.report.page import render_report, representations
from barcodemae.evaluation.representations import ModelRepresentation, Representation
from barcodemae.evaluation.rivals.frame_maps import FrameLDA, FrameSVD
from barcodemae.evaluation.rivals.kmers import KmerCounts
from barcodemae.evaluation.splits import labels, read_usable_records
from barcodemae.evaluation.tasks.clustering import reduce_dimensions
from barcodemae.files import written_whole
from barcodemae.hub.checkpoint import weights_sha256
from barcodemae.training.curve import draw_training
from barcodemae.training.state import METRICS_FILE
from tokenization_barcodemae import ReferenceFrame

# A linear probe on thousands of raw counts would take longer than all the rest.
_WITHOUT_PROBE = ("kmer_4", "kmer_6")


def run_evaluation(arguments: EvaluationArguments) -> dict[str, Any]:
    """Judge a model and its rivals, and write `results.json`, `report.md` and the plots.

    Nothing is written before everything is computed.

    Args:
        arguments: what and on what.

    Returns:
        The content of `results.json`: the scores of the model as `protocol.score_vectors` gives them, those
        of each rival under `rivals`, the rows of each split, and the provenance.

    Raises:
        BarcodeMAEError: bad input.
    """
    folder = Path(arguments.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder}: expected a folder for the results, got a file")
    embedder = BarcodeEmbedder.from_pretrained(arguments.model)
    benchmark = _read_benchmark(arguments)

    model = ModelRepresentation(embedder, arguments.batch_size)
    vectors = embed_benchmark(model, benchmark)
    results = score_vectors(vectors, benchmark, arguments.tasks, arguments.seed)
    rivals = _rivals(arguments, embedder)
    results["rivals"] = {}
    for name, rival in (progress := tqdm(rivals.items(), unit="rival")):
        progress.set_description(name)
        tasks = set(arguments.tasks) - ({"linear_probe"} if name in _WITHOUT_PROBE else set())
        rival_vectors = embed_benchmark(rival, benchmark)
        results["rivals"][name] = score_vectors(rival_vectors, benchmark, tasks, arguments.seed)
    tables = (benchmark.train, benchmark.seen, benchmark.unseen)
    results["splits"] = {records["split"][0].as_py(): len(records) for records in tables}
    results["provenance"] = describe_run(arguments, weights_sha256(arguments.model))

    pictures = _draw(results, vectors, benchmark, Path(arguments.model) / METRICS_FILE)
    report = render_report(results, list(pictures))
    files = pictures | {"report.md": report.encode(), "results.json": (json.dumps(results, indent=2) + "\n").encode()}
    with written_whole(folder) as scratch:
        for name, content in files.items():
            (scratch / name).write_bytes(content)
    return results


def _read_benchmark(arguments: EvaluationArguments) -> Benchmark:
    records = read_usable_records(arguments.data, arguments.on_error)
    extra = None if arguments.queries is None else read_usable_records(arguments.queries, arguments.on_error)
    return build_benchmark(records, arguments.query_split, extra)


def _rivals(arguments: EvaluationArguments, embedder: BarcodeEmbedder) -> dict[str, Representation]:
    def model(other: BarcodeEmbedder) -> ModelRepresentation:
        return ModelRepresentation(other, arguments.batch_size)

    frame = ReferenceFrame.coi()
    makers: dict[str, Callable[[], Representation]] = {
        "untrained": lambda: model(BarcodeEmbedder.untrained_like(embedder, arguments.seed)),
        "without_frame": lambda: model(BarcodeEmbedder.from_pretrained(arguments.model, use_frame=False)),
        "kmer_4": lambda: KmerCounts(4),
        "kmer_6": lambda: KmerCounts(6),
        "frame_svd": lambda: FrameSVD(frame),
        "frame_lda": lambda: FrameLDA(frame),
    }
    if embedder.frame is None:
        del makers["without_frame"]  # the model itself is without
    return {name: make() for name, make in makers.items() if name in arguments.rivals}


def _draw(results: dict[str, Any], vectors: Vectors, benchmark: Benchmark, metrics_file: Path) -> dict[str, bytes]:
    pictures = {}
    if "knn" in results:
        knn = {name: scores["knn"] for name, scores in representations(results).items()}
        pictures["accuracy.png"] = plots.draw_accuracies(knn)
        pictures["genus_size.png"] = plots.draw_genus_sizes(knn)
    if "clustering" in results:
        points = reduce_dimensions(np.concatenate([vectors.seen, vectors.unseen]), n_dimensions=2)
        orders = np.concatenate([labels(benchmark.seen, "order"), labels(benchmark.unseen, "order")])
        pictures["map.png"] = plots.draw_map(points, orders)
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
