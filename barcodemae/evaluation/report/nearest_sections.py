"""Sections of the report on nearest neighbours: differences, ranks, errors, novelty, robustness and compression.

Each is a pure function of the results, None where nothing of it was run.
"""

from typing import Any

from barcodemae.data.schema import RANKS
from barcodemae.evaluation.catalogue import title_of
from barcodemae.evaluation.report.content import Section, Table, accuracy, count, percent_within
from barcodemae.evaluation.report.measures import of_same_queries, scores_of

# The best baselines that are shown beside the model.
_NUM_BREAKDOWN_BASELINES = 2
_NUM_ROBUSTNESS_BASELINES = 3
_NUM_COMPRESSION_BASELINES = 1

_NUM_TAXA = 15
_MAX_CONFUSIONS = 10


def comparisons_section(results: dict[str, Any]) -> Section | None:
    """Differences of genus accuracy, with interval and p-value."""
    found = results.get("comparisons")
    if not found:
        return None
    rows = [
        [
            title_of(baseline),
            percent_within(one["difference"], one["interval"]),
            p_value(one["p_value"]),
            count(one["n_species"]),
            count(one["n_rows"]),
        ]
        for baseline, one in found.items()
    ]
    return Section(
        "Model against baselines",
        "Genus of unseen species: accuracy of the model minus that of the baseline, in percentage points, on the same "
        "barcodes. The interval resamples species for both at once, so that species that are hard for both cancel out. "
        "For the p-value, the two exchange their assignments of whole species at random. It is not corrected for the "
        "number of comparisons.",
        tables=[Table(["model less", "difference", "p", "species", "barcodes"], rows)],
    )


def p_value(value: float) -> str:
    """Three decimal places; smaller values as `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def ranks_section(results: dict[str, Any]) -> Section | None:
    """Accuracy of the nearest neighbour at each rank, in the open and in the closed world."""
    knn = scores_of(results, "knn")
    if not knn:
        return None
    seen = {name: scores["seen_species"] for name, scores in knn.items() if "seen_species" in scores}
    return Section(
        "Ranks",
        "The nearest train barcode's taxon at each rank. Open world: the species was never seen. Closed world: other "
        "barcodes of the train species.",
        tables=[
            _by_rank("Open world", knn),
            *([_by_rank("Closed world", seen)] if seen else []),
            *_weighted_tables(scores_of(results, "weighted_knn")),
        ],
        pictures=["ranks.png"],
    )


def breakdown_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy by size of the genus, by similarity, by order, and the most frequent confusions."""
    knn = scores_of(results, "knn", _NUM_BREAKDOWN_BASELINES)
    knn = of_same_queries(knn) if knn else knn
    model = knn.get(results["provenance"]["model"], {})
    tables = [
        _by_class("By barcodes of the true genus in train", "by_genus_size", knn),
        _by_class("By order", "by_order", knn),
        _by_similarity(model.get("by_similarity", [])),
        _confusions(model.get("confusions", [])),
    ]
    tables = [table for table in tables if table.rows]
    if not tables:
        return None
    return Section(
        "Errors at the rank of genus",
        "Genus of unseen species: the model, and the baselines with the highest accuracy. Similarities of two methods "
        "cannot be compared; those of the model are shown.",
        tables=tables,
        pictures=["genus_size.png", "orders.png", "similarity.png", "confusions.png"],
    )


def _by_rank(title: str, found: dict[str, dict[str, Any]]) -> Table:
    ranks = [rank for rank in RANKS if any(f"{rank}_accuracy" in scores for scores in found.values())]
    rows = [[name, *(accuracy(scores, f"{rank}_accuracy") for rank in ranks)] for name, scores in found.items()]
    return Table(["", *ranks], rows, title)


def _weighted_tables(found: dict[str, dict[str, Any]]) -> list[Table]:
    """The same for the weighted vote, whose number of neighbours and temperature are equal for all methods."""
    if not found:
        return []
    first = next(iter(found.values()))
    vote = f"vote of {first['n_neighbours']:,} neighbours, weighted with temperature {first['temperature']:g}"
    seen = {name: scores["seen_species"] for name, scores in found.items()}
    return [_by_rank(f"Open world, {vote}", found), _by_rank(f"Closed world, {vote}", seen)]


def _by_class(title: str, key: str, knn: dict[str, dict[str, Any]]) -> Table:
    """Classes of queries, which are the same for all methods, by their name."""
    found = {
        name: {class_name(entry): entry for entry in scores[key]} for name, scores in knn.items() if scores.get(key)
    }
    classes = next(iter(found.values()), {})
    if key == "by_order":
        classes = dict(sorted(classes.items(), key=lambda item: -item[1]["n_answerable"])[:_NUM_TAXA])
    rows = [
        [name, count(entry["n_answerable"]), *(accuracy(of.get(name), "genus_accuracy") for of in found.values())]
        for name, entry in classes.items()
    ]
    return Table(["", "queries", *found], rows, title)


def class_name(entry: dict[str, Any]) -> str:
    """The name of a class of queries: its taxon, or its minimum and maximum number of barcodes."""
    if "taxon" in entry:
        return entry["taxon"] or "unknown"
    minimum, maximum = entry["n_references"]
    return f"{minimum:,}" if minimum == maximum else f"{minimum:,}-{maximum:,}"


def _by_similarity(entries: list[dict[str, Any]]) -> Table:
    rows = [
        [
            "{:.4g} to {:.4g}".format(*entry["similarity"]),
            count(entry["n_answerable"]),
            accuracy(entry, "genus_accuracy"),
        ]
        for entry in entries
    ]
    return Table(["similarity", "queries", "genus, unseen"], rows, "By similarity to the nearest train barcode")


def _confusions(entries: list[dict[str, Any]]) -> Table:
    rows = [
        [f"{entry['genus']}, predicted {entry['predicted']}", entry["family"], count(entry["n"])]
        for entry in entries[:_MAX_CONFUSIONS]
    ]
    return Table(["genus", "family", "queries"], rows, "Most frequent wrong genera within a family")


def robustness_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy of changed queries."""
    found = scores_of(results, "robustness", _NUM_ROBUSTNESS_BASELINES)
    if not found:
        return None
    by_change = [{change_name(entry): entry for entry in entries} for entries in found.values()]
    changes = dict.fromkeys(change for of in by_change for change in of)
    rows = [[change, *(accuracy(of.get(change), "genus_accuracy") for of in by_change)] for change in changes]
    # An alignment program gets fewer queries than vectors do.
    names = [f"{name} ({count(entries[0]['n_answerable'])})" for name, entries in found.items()]
    return Section(
        "Robustness",
        "Genus of unseen species when the queries are changed and the train barcodes are not: the model, and the "
        "baselines with the highest accuracy without a change; in brackets the number of queries, which are drawn "
        "evenly over the species.",
        tables=[Table(["change", *names], rows)],
        pictures=["robustness.png"],
    )


def compression_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy of truncated or rounded vectors."""
    found = scores_of(results, "compression", _NUM_COMPRESSION_BASELINES)
    if not found:
        return None
    rows = [
        [
            name,
            entry["form"],
            count(entry["dimensions"]),
            f"{entry['bytes']:,g}",
            accuracy(entry, "genus_accuracy"),
        ]
        for name, entries in found.items()
        for entry in entries
    ]
    return Section(
        "Compression",
        "Genus of unseen species from smaller vectors: the model, and the baseline with the highest accuracy without "
        "compression.",
        tables=[Table(["", "form", "dimensions", "bytes per barcode", "genus, unseen"], rows)],
        pictures=["compression.png"],
    )


def novelty_section(results: dict[str, Any]) -> Section | None:
    """Whether the species of a barcode is in the library."""
    found = scores_of(results, "novelty")
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


def change_name(entry: dict[str, Any]) -> str:
    """`substitutions 3 %`, `mini barcode 200 nt`: amounts below 1 are rates; a change without amount is its name."""
    change, amount = entry["change"].replace("_", " "), entry["amount"]
    if amount is None:
        return change
    return f"{change} {100 * amount:g} %" if amount < 1 else f"{change} {amount:g} nt"
