"""What is learnt on the vectors, or from them on: probes, few barcodes per species, fine-tuning."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, accuracy, count
from barcodemae.evaluation.report.names import ran

_PROBES = {"linear_probe": "SGD, as published", "logistic_probe": "logistic regression"}


def probes_section(results: dict[str, Any]) -> Section | None:
    """Species by a linear classifier on frozen vectors."""
    found = {title: ran(results, task) for task, title in _PROBES.items()}
    tables = [_probe_table(title, scores) for title, scores in found.items() if scores]
    if not tables:
        return None
    return Section(
        "Linear probes", "Species of other barcodes of the train species. Vectors are frozen.", tables=tables
    )


def few_shot_section(results: dict[str, Any]) -> Section | None:
    """Species from few labelled barcodes of each."""
    found = ran(results, "few_shot")
    if not found:
        return None
    shots = {name: {entry["shots"]: entry for entry in entries} for name, entries in found.items()}
    numbers = sorted(set().union(*shots.values()))
    rows = [
        [
            name,
            count(found[name][0]["n_species"]),
            *(accuracy(of.get(number), "species_accuracy") for number in numbers),
        ]
        for name, of in shots.items()
    ]
    return Section(
        "Few barcodes per species",
        "Species of other barcodes of the train species, with so many labelled ones of each, by the nearest mean; "
        "averaged over draws. All columns are about the same species.",
        tables=[Table(["", "species", *(f"{number} of each" for number in numbers)], rows)],
        pictures=["few_shot.png"],
    )


def fine_tuning_section(results: dict[str, Any]) -> Section | None:
    """Accuracy of classifiers that were trained with the encoder."""
    found = ran(results, "fine_tuning")
    if not found:
        return None
    rows = [
        [name, accuracy(scores, "species_accuracy"), accuracy(scores.get("unseen"), "genus_accuracy")]
        for name, scores in found.items()
    ]
    return Section(
        "Fine-tuning",
        "The encoder trained on, with a classifier for each rank: species of other barcodes of the train species, and "
        "genus of unseen species.",
        tables=[Table(["", "species", "genus, unseen"], rows)],
    )


def _probe_table(title: str, found: dict[str, dict[str, Any]]) -> Table:
    rows = [
        [
            name,
            count(scores["n_answerable"]),
            accuracy(scores, "species_accuracy"),
            accuracy(scores, "species_accuracy_by_species"),
        ]
        for name, scores in found.items()
    ]
    return Table(["", "queries", "species", "by species"], rows, title)
