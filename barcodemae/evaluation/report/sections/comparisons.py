"""The model against each rival, on the same barcodes."""

from typing import Any

from barcodemae.evaluation.report.content import Section, Table, count, percent_within
from barcodemae.evaluation.report.names import readable


def comparisons_section(results: dict[str, Any]) -> Section | None:
    """Differences of genus accuracy, with interval and p-value."""
    found = results.get("comparisons")
    if not found:
        return None
    rows = [
        [
            readable(rival),
            percent_within(one["difference"], one["interval"]),
            p_value(one["p_value"]),
            count(one["n_species"]),
            count(one["n_rows"]),
        ]
        for rival, one in found.items()
    ]
    return Section(
        "Model against rivals",
        "Genus of unseen species: the model's accuracy less the rival's, in points of percent, on the same barcodes. "
        "The interval resamples species for both at once, so that what is hard for both cancels out. For the p-value "
        "the two exchange their answers to whole species. It is of each pair alone: it is not corrected for the "
        "number of pairs.",
        tables=[Table(["model less", "difference", "p", "species", "barcodes"], rows)],
    )


def p_value(value: float) -> str:
    """Three digits behind the point, or that it is smaller than they can show."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
