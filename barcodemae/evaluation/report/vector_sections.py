"""Sections of the report on vectors and the encoder: probes, few barcodes per species, fine-tuning, clusters."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, accuracy, count, percent
from barcodemae.evaluation.report.measures import scores_of

_PROBES = {"linear_probe": "SGD, as published", "logistic_probe": "logistic regression"}


def probes_section(results: dict[str, Any]) -> Section | None:
    """Species by a linear classifier on frozen vectors."""
    found = {title: scores_of(results, task) for task, title in _PROBES.items()}
    tables = [_probe_table(title, scores) for title, scores in found.items() if scores]
    if not tables:
        return None
    return Section(
        "Linear probes", "Species of other barcodes of the train species. Vectors are frozen.", tables=tables
    )


def few_shot_section(results: dict[str, Any]) -> Section | None:
    """Species from few labelled barcodes of each."""
    found = scores_of(results, "few_shot")
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
        "Species of other barcodes of the train species, from 1, 2, 5 or 10 labelled barcodes of each, by the nearest "
        "mean; averaged over draws. All columns are about the same species.",
        tables=[Table(["", "species", *(f"{number} of each" for number in numbers)], rows)],
        pictures=["few_shot.png"],
    )


def fine_tuning_section(results: dict[str, Any]) -> Section | None:
    """Accuracy of classifiers that were trained with the encoder."""
    found = scores_of(results, "fine_tuning")
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


def clustering_section(results: dict[str, Any]) -> Section | None:
    """BINs by clustering: the published recipe, and what other choices give."""
    tables = []
    if published := scores_of(results, "clustering"):
        tables.append(_published_table(published))
    grids = {name: grid for name, grid in scores_of(results, "clustering_grid").items() if grid["choices"]}
    model = results["provenance"]["model"]
    if model in grids:
        tables.append(_choices_table(f"Choices, {model}", grids[model]))
    if any(grid["chosen_by_silhouette"] for grid in grids.values()):
        tables.append(_chosen_table(grids))
    if not tables:
        return None
    return Section(
        "Clustering",
        "Adjusted mutual information of BINs and clusters, in percent. The silhouette in UMAP space, from -1 to 1, "
        "needs no label, so that a clustering could be chosen by it.",
        tables=tables,
    )


def _published_table(found: dict[str, dict[str, Any]]) -> Table:
    rows = [
        [
            name,
            *(count(scores[key]) for key in ("n_rows", "n_bins", "n_clusters")),
            percent(scores["bin_ami"]),
            percent(scores.get("bin_ami_unseen")),
        ]
        for name, scores in found.items()
    ]
    return Table(["", "rows", "BINs", "clusters", "AMI", "AMI, unseen"], rows, "As published")


def _choices_table(title: str, grid: dict[str, Any]) -> Table:
    rows = []
    for choice in grid["choices"]:
        mark = " (the silhouette's choice)" if choice == grid["chosen_by_silhouette"] else ""
        rows.append([_describe(choice) + mark, *_figures(choice)])
    return Table([f"of {count(grid['n_rows_used'])} rows", "clusters", "AMI", "silhouette"], rows, title)


def _chosen_table(grids: dict[str, dict[str, Any]]) -> Table:
    """For each method, the choice of the silhouette and the best of all by AMI, which needs labels."""
    rows = []
    for name, grid in grids.items():
        if (chosen := grid["chosen_by_silhouette"]) is not None:
            best = max(grid["choices"], key=lambda choice: choice["bin_ami"])
            rows.append([name, _describe(chosen), *_figures(chosen), _describe(best), percent(best["bin_ami"])])
    header = ["", "silhouette's choice", "clusters", "AMI", "silhouette", "best by labels", "AMI"]
    return Table(header, rows, "What the silhouette would choose")


def _describe(choice: dict[str, Any]) -> str:
    return f"{choice['reduction']}, {choice['method']}"


def _figures(choice: dict[str, Any]) -> list[str]:
    silhouette = choice["silhouette"]
    return [
        count(choice["n_clusters"]),
        percent(choice["bin_ami"]),
        "none" if silhouette is None else f"{silhouette:.3f}",
    ]
