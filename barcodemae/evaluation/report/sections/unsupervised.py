"""What the vectors tell without labels: clusters, and species that are not in the library."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, accuracy, count, percent
from barcodemae.evaluation.report.names import ran


def clustering_section(results: dict[str, Any]) -> Section | None:
    """BINs by clustering: the published recipe, and what other choices give."""
    tables = []
    if published := ran(results, "clustering"):
        tables.append(_published_table(published))
    grids = {name: grid for name, grid in ran(results, "clustering_grid").items() if grid["choices"]}
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
        "needs no label: it is what one could choose by.",
        tables=tables,
    )


def novelty_section(results: dict[str, Any]) -> Section | None:
    """Is this species in the library?"""
    found = ran(results, "novelty")
    if not found:
        return None
    rows = [
        [
            name,
            *(count(scores[key]) for key in ("n_known", "n_novel")),
            *(accuracy(scores, key) for key in ("auroc", "novel_recognised")),
        ]
        for name, scores in found.items()
    ]
    return Section(
        "Novelty",
        "Whether a barcode's species is in the library, by its similarity to the nearest train barcode: area under "
        "the ROC curve, in percent (50 is chance); and the share of novel barcodes that is recognised where 95 % of "
        "the known ones are accepted.",
        tables=[Table(["", "known", "novel", "AUROC", "recognised"], rows)],
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
        rows.append([_way(choice) + mark, *_figures(choice)])
    return Table([f"of {count(grid['n_rows_used'])} rows", "clusters", "AMI", "silhouette"], rows, title)


def _chosen_table(grids: dict[str, dict[str, Any]]) -> Table:
    """For each representation, the choice of the silhouette and the best of all by AMI, which takes labels to know."""
    rows = []
    for name, grid in grids.items():
        if (chosen := grid["chosen_by_silhouette"]) is not None:
            best = max(grid["choices"], key=lambda choice: choice["bin_ami"])
            rows.append([name, _way(chosen), *_figures(chosen), _way(best), percent(best["bin_ami"])])
    header = ["", "silhouette's choice", "clusters", "AMI", "silhouette", "best by labels", "AMI"]
    return Table(header, rows, "What the silhouette would choose")


def _way(choice: dict[str, Any]) -> str:
    return f"{choice['reduction']}, {choice['method']}"


def _figures(choice: dict[str, Any]) -> list[str]:
    silhouette = choice["silhouette"]
    return [
        count(choice["n_clusters"]),
        percent(choice["bin_ami"]),
        "none" if silhouette is None else f"{silhouette:.3f}",
    ]
