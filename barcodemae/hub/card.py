"""The model card: a template that is filled from the checkpoint's own files, or not rendered if one lacks a number."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc
import pyarrow.parquet as pq
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from barcodemae.data import sample_path
from barcodemae.data.sources import HUB
from barcodemae.errors import CheckpointError
from barcodemae.evaluation.catalogue import UNTRAINED, title_of
from barcodemae.evaluation.report.measures import scores_by_method
from barcodemae.evaluation.report.pages import results_table
from barcodemae.hub.card_facts import (
    Evaluation,
    earlier_stages,
    read_evaluations,
    read_frame,
    read_model,
    read_onnx,
    read_training,
    read_tuning,
)
from tokenization_barcodemae import ReferenceFrame

PLOT_FILE = "accuracy.png"
"""The plot that an evaluation writes next to its results; the card shows it if it exists."""

_LICENSE = "apache-2.0"
_TAGS = ("biology", "dna", "dna-barcode", "biodiversity", "taxonomy", "sentence-transformers")

# Measures that the card compares with the baselines: description -> path in results.json.
_COMPARED = {
    "Genus of unseen species, from the nearest neighbour": ("knn", "genus_accuracy"),
    "Species, by a linear probe": ("linear_probe", "species_accuracy"),
    "BINs, by clustering": ("clustering", "bin_ami"),
}


def render_card(checkpoint: Path, repository: str) -> str:
    """Write the card of a checkpoint.

    Args:
        checkpoint: its folder. The card also describes `training.json`, `metrics.jsonl`, `tuning.json`, results under
            `evaluation/` and ONNX files under `onnx/`, if they exist.
        repository: id on the Hub, for the snippets.

    Returns:
        Markdown, with the Hub's metadata at the top.

    Raises:
        CheckpointError: a file is broken or lacks a value, or was made from other weights.
    """
    text = (files("barcodemae.model_cards") / "template.md").read_text(encoding="utf-8")
    template, examples = _environment().from_string(text), _example_barcodes()
    try:
        model, training = read_model(checkpoint), read_training(checkpoint)
        frame, onnx = read_frame(checkpoint), read_onnx(checkpoint)
        tuning, evaluations = read_tuning(checkpoint), read_evaluations(checkpoint)
        eval_results = [result for one in evaluations for result in _eval_results(one, repository)]
        body = template.render(
            repository=repository,
            model=model,
            config=model["config"],
            frame=frame,
            training=training,
            stages=earlier_stages(training),
            tuning=tuning,
            marker=frame.marker if frame is not None and frame.marker else "DNA",
            evaluations=[_describe_evaluation(evaluation, checkpoint) for evaluation in evaluations],
            is_ahead=_is_ahead(evaluations),
            onnx=onnx,
            examples=examples,
        )
        metadata = ModelCardData(
            pipeline_tag="feature-extraction",
            library_name="transformers",
            # The licence of a converted model is up to its authors.
            license=_LICENSE if training else None,
            tags=_tags(frame, onnx),
            datasets=_datasets(*earlier_stages(training), training, tuning) or None,
            metrics=sorted({result.metric_type for result in eval_results}) or None,
            model_name=repository.rpartition("/")[2],
            eval_results=eval_results or None,
            widget=[{"text": row["nucleotides"], "example_title": row["species"]} for row in examples],
        )
    except (jinja2.UndefinedError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint}: a value for the card is missing in its files: {error}") from error
    return ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}").content


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        finalize=_refuse_null,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise jinja2.UndefinedError("a value is null")
    return value


def _tags(frame: ReferenceFrame | None, onnx: dict[str, Any] | None) -> list[str]:
    marker = [frame.marker.partition("-")[0]] if frame is not None and frame.marker else []
    return [*_TAGS, *marker, *(["onnx", "transformers.js"] if onnx else [])]


def _datasets(*origins: dict[str, Any] | None) -> list[str]:
    """Ids of the Hub's data sets that training and tuning read, without revisions. Files have no such id."""
    names = [source["name"] for origin in origins if origin for source in origin["data"]]
    ids = [name.removeprefix(HUB).partition("@")[0] for name in names if name.startswith(HUB)]
    return list(dict.fromkeys(ids))


def _example_barcodes() -> list[dict[str, str]]:
    """Two real barcodes of the bundled sample, of full length and of different orders."""
    records = pq.read_table(sample_path(), columns=["nucleotides", "species", "order", "split"])
    nucleotides = records["nucleotides"]
    complete = pc.and_(
        pc.equal(pc.utf8_length(nucleotides), 658), pc.invert(pc.match_substring_regex(nucleotides, "[^ACGT]"))
    )
    named = pc.and_(pc.equal(records["split"], "train"), pc.not_equal(records["species"], ""))
    rows = records.filter(pc.and_(complete, named)).to_pylist()
    first = rows[0]
    return [first, next(row for row in rows if row["order"] != first["order"])]


def _describe_evaluation(evaluation: Evaluation, checkpoint: Path) -> dict[str, Any]:
    results = evaluation.results
    plot = (checkpoint / evaluation.file).with_name(PLOT_FILE)
    return {
        "file": evaluation.file,
        "splits": results["splits"],
        "provenance": results["provenance"],
        "knn": results.get("knn"),
        "table": results_table(results),
        "plot": plot.relative_to(checkpoint).as_posix() if plot.is_file() else "",
        "verdicts": _verdicts(results),
    }


def _is_ahead(evaluations: list[Evaluation]) -> bool:
    """Whether this model has a higher genus accuracy of unseen species by nearest neighbours than all baselines."""
    ahead = []
    for evaluation in evaluations:
        model, *baselines = (
            score
            for scores in scores_by_method(evaluation.results).values()
            if (score := _look_up(scores, ("knn", "genus_accuracy"))) is not None
        )
        ahead.append(bool(baselines) and model > max(baselines))
    return bool(ahead) and all(ahead)


def _verdicts(results: dict[str, Any]) -> list[str]:
    """A comparison of the model with its baselines, one sentence for each measure."""
    found = scores_by_method(results)
    model, *baselines = found
    verdicts = []
    for measure, path in _COMPARED.items():
        scores = {name: _look_up(found[name], path) for name in found}
        if (own := scores[model]) is None:
            continue
        known = sorted((scores[name], name) for name in baselines if scores[name] is not None)[::-1]
        better = [f"{name} ({100 * score:.1f} %)" for score, name in known if score >= own]
        worse = [f"{name} ({100 * score:.1f} %)" for score, name in known if score < own]
        verdict = f"{measure}: this model {100 * own:.1f} %"
        if better:
            verdict += f"; **as good or better are** {', '.join(better)}"
        if worse:
            verdict += f"; worse are {', '.join(worse)}"
        verdict += "." if known else "; no baseline was run."
        untrained = scores.get(title_of(UNTRAINED))
        if untrained is not None and untrained >= own:
            verdict += " **By this measure pretraining did not help.**"
        verdicts.append(verdict)
    return verdicts


def _eval_results(evaluation: Evaluation, repository: str) -> list[EvalResult]:
    """The entries of `model-index` in the metadata; values are as in the file, between 0 and 1."""
    seen, unseen = evaluation.seen, evaluation.unseen
    both = f"{seen}+{unseen}"
    measures = [
        ("accuracy", "Genus of unseen species, nearest neighbour", ("knn", "genus_accuracy"), unseen),
        ("accuracy", "Species, linear probe", ("linear_probe", "species_accuracy"), seen),
        ("adjusted_mutual_information", "BINs, clustering", ("clustering", "bin_ami"), both),
        ("harmonic_mean", "Genus of unseen species and BINs, harmonic mean", ("harmonic_mean",), both),
    ]
    data = evaluation.results["provenance"]["data"][0]
    found = []
    for metric, name, path, split in measures:
        value = _look_up(evaluation.results, path)
        if value is None:
            continue
        interval = _look_up(evaluation.results, (*path[:-1], f"{path[-1]}_interval"))
        within = f" (95 % interval {interval[0]:.3f}-{interval[1]:.3f}, over species)" if interval else ""
        found.append(
            EvalResult(
                task_type="feature-extraction",
                task_name="Embedding of DNA barcodes",
                dataset_type=data["name"].removeprefix(HUB),
                dataset_name=data["name"].removeprefix(HUB),
                dataset_split=split,
                dataset_revision=data["sha256"],
                metric_type=metric,
                metric_name=name + within,
                metric_value=value,
                source_name=evaluation.file,
                source_url=f"https://huggingface.co/{repository}/blob/main/{evaluation.file}",
            )
        )
    return found


def _look_up(scores: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = scores
    for key in path:
        value = value.get(key) if value is not None else None
    return value
