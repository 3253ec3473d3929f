"""Accuracy at every rank, and where the wrong answers are."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, accuracy, count
from barcodemae.evaluation.report.names import of_same_queries, ran

RANKS = ("phylum", "class", "order", "family", "genus", "species")

_N_RIVALS = 2
_N_TAXA = 15
_N_CONFUSIONS = 10


def ranks_section(results: dict[str, Any]) -> Section | None:
    """Accuracy of the nearest neighbour at each rank, in the open and in the closed world."""
    knn = ran(results, "knn")
    if not knn:
        return None
    seen = {name: scores["seen_species"] for name, scores in knn.items() if "seen_species" in scores}
    return Section(
        "Ranks",
        "The nearest train barcode's taxon at each rank. Open world: the species was never seen. Closed world: other "
        "barcodes of the train species.",
        tables=[_by_rank("Open world", knn), *([_by_rank("Closed world", seen)] if seen else [])],
        pictures=["ranks.png"],
    )


def breakdown_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy by size of the genus, by similarity, by order, and the most frequent confusions."""
    knn = ran(results, "knn", _N_RIVALS)
    knn = of_same_queries(knn) if knn else knn
    model = knn.get(results["provenance"]["model"], {})
    tables = [
        _by_class("By barcodes of the right genus in train", "by_genus_size", knn),
        _by_class("By order", "by_order", knn),
        _by_similarity(model.get("by_similarity", [])),
        _confusions(model.get("confusions", [])),
    ]
    tables = [table for table in tables if table.rows]
    if not tables:
        return None
    return Section(
        "Where genera are missed",
        "Genus of unseen species: the model, and the rivals that are best at it. Similarities of two representations "
        "cannot be compared; those of the model are shown.",
        tables=tables,
        pictures=["genus_size.png", "orders.png", "similarity.png", "confusions.png"],
    )


def _by_rank(title: str, found: dict[str, dict[str, Any]]) -> Table:
    ranks = [rank for rank in RANKS if any(f"{rank}_accuracy" in scores for scores in found.values())]
    rows = [[name, *(accuracy(scores, f"{rank}_accuracy") for rank in ranks)] for name, scores in found.items()]
    return Table(["", *ranks], rows, title)


def _by_class(title: str, key: str, knn: dict[str, dict[str, Any]]) -> Table:
    """Classes of queries, which are the same for all representations, by their name."""
    found = {
        name: {class_name(entry): entry for entry in scores[key]} for name, scores in knn.items() if scores.get(key)
    }
    classes = next(iter(found.values()), {})
    if key == "by_order":
        classes = dict(sorted(classes.items(), key=lambda item: -item[1]["n_answerable"])[:_N_TAXA])
    rows = [
        [name, count(entry["n_answerable"]), *(accuracy(of.get(name), "genus_accuracy") for of in found.values())]
        for name, entry in classes.items()
    ]
    return Table(["", "queries", *found], rows, title)


def class_name(entry: dict[str, Any]) -> str:
    """What a class of queries is called: its taxon, or its smallest and largest number of barcodes."""
    if "taxon" in entry:
        return entry["taxon"] or "unknown"
    fewest, most = entry["n_keys"]
    return f"{fewest:,}" if fewest == most else f"{fewest:,}-{most:,}"


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
        [f"{entry['genus']}, answered {entry['answered']}", entry["family"], count(entry["n"])]
        for entry in entries[:_N_CONFUSIONS]
    ]
    return Table(["genus", "family", "queries"], rows, "Most frequent wrong answers within a family")
