"""What is left of an accuracy when barcodes are changed or vectors are cut."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, accuracy, count
from barcodemae.evaluation.report.names import ran

_N_RIVALS = 3
_N_COMPRESSED_RIVALS = 1


def robustness_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy of changed queries."""
    found = ran(results, "robustness", _N_RIVALS)
    if not found:
        return None
    by_change = [{change_name(entry): entry for entry in entries} for entries in found.values()]
    changes = dict.fromkeys(change for of in by_change for change in of)
    rows = [[change, *(accuracy(of.get(change), "genus_accuracy") for of in by_change)] for change in changes]
    # A program that aligns is asked fewer queries than vectors are.
    names = [f"{name} ({count(entries[0]['n_answerable'])})" for name, entries in found.items()]
    return Section(
        "Robustness",
        "Genus of unseen species when the queries are changed and the train barcodes are not: the model, and the "
        "rivals that are best without a change; in brackets how many barcodes each was asked, drawn over the species.",
        tables=[Table(["change", *names], rows)],
        pictures=["robustness.png"],
    )


def compression_section(results: dict[str, Any]) -> Section | None:
    """Genus accuracy of vectors that are cut or rounded."""
    found = ran(results, "compression", _N_COMPRESSED_RIVALS)
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
        "Genus of unseen species from smaller vectors: the model, and the rival that is best without compression.",
        tables=[Table(["", "form", "dimensions", "bytes per barcode", "genus, unseen"], rows)],
        pictures=["compression.png"],
    )


def change_name(entry: dict[str, Any]) -> str:
    """`substitutions 3 %`, `mini barcode 200 nt`: amounts below 1 are rates; a change without amount is its name."""
    change, amount = entry["change"].replace("_", " "), entry["amount"]
    if amount is None:
        return change
    return f"{change} {100 * amount:g} %" if amount < 1 else f"{change} {amount:g} nt"
