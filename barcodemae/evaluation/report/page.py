"""Results for readers: one table, and a page that says what its numbers mean."""

from typing import Any

NAMES = {
    "untrained": "untrained",
    "without_frame": "without frame",
    "kmer_4": "4-mer counts",
    "kmer_6": "6-mer counts",
    "frame_svd": "frame SVD",
    "frame_lda": "frame SVD + LDA",
}

_COLUMNS = {
    "genus, unseen": ("knn", "genus_accuracy"),
    "by species": ("knn", "genus_accuracy_by_species"),
    "genus, extra": ("extra_queries", "knn", "genus_accuracy"),
    "species, probe": ("linear_probe", "species_accuracy"),
    "species, 1-NN": ("knn", "seen_species", "species_accuracy"),
    "BIN AMI": ("clustering", "bin_ami"),
    "AMI, unseen": ("clustering", "bin_ami_unseen"),
    "harmonic mean": ("harmonic_mean",),
}
_WITH_INTERVAL = ("genus, unseen", "genus, extra")

_MEANINGS = """\
- **genus, unseen**: genus of barcodes whose species is in no training split, from the nearest `train` barcode
  by cosine. Only rows whose genus stands in `train` can be answered, and only they count. In brackets the
  95 % interval, from resamples of species: barcodes of one species stand or fall together, and an interval
  over rows would be too narrow. Intervals of all accuracies stand in `results.json`.
- **by species**: the same, averaged over species, each counting once.
- **genus, extra**: the same as the first, for the rows of the extra query file.
- **species, probe**: species of other barcodes of the `train` species, by a linear classifier on frozen
  vectors (SGD, learning rate 1, momentum 0.95, weight decay 1e-9, batch 1,024, 200 epochs).
- **species, 1-NN**: the same, from the nearest `train` barcode.
- **BIN AMI**: adjusted mutual information of Barcode Index Numbers and clusters (UMAP to 50 dimensions, Ward;
  as many clusters as species), on seen and unseen species together; **AMI, unseen**: on unseen species alone.
  Without interval: to cluster resampled species would be another problem.
- **harmonic mean**: of *genus, unseen* and *BIN AMI*, the headline of the published evaluation.

Rivals: *untrained* is the same architecture with random weights; *without frame* is the model reading from
the first letter on; *k-mer counts* are of overlapping k-mers; *frame SVD* is each barcode as one-hot letters
on the reference frame of COI, centred by column, on 400 singular vectors of `train`; *+ LDA* adds a linear
discriminant analysis of the `train` genera. *not run*: a linear probe on raw k-mer counts would take longer
than all the rest.
"""


def representations(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Readable name -> scores, the model first."""
    rivals = {NAMES[key]: scores for key, scores in results["rivals"].items()}
    return {results["provenance"]["model"]: results} | rivals


def results_table(results: dict[str, Any]) -> str:
    """The model and its rivals as a Markdown table, in percent.

    Args:
        results: as in `results.json`.
    """
    found = representations(results)
    columns = {
        title: path
        for title, path in _COLUMNS.items()
        if any(_value(scores, path) is not None for scores in found.values())
    }
    rows = [["", *columns]]
    for name, scores in found.items():
        rows.append([name, *(_cell(scores, path, title in _WITH_INTERVAL) for title, path in columns.items())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


def render_report(results: dict[str, Any], plots: list[str]) -> str:
    """The page `report.md`.

    Args:
        results: as in `results.json`.
        plots: file names of the pictures beside the page.
    """
    run = results["provenance"]
    splits = results["splits"]
    sizes = ", ".join(f"`{name}` {rows:,}" for name, rows in splits.items())
    data = "\n".join(f"- data: {one['name']} (SHA-256 {one['sha256']})" for one in run["data"])
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    answered = ""
    if "knn" in results:
        knn = results["knn"]
        answered = f" Of {knn['n_queries']:,} barcodes of unseen species {knn['n_answerable']:,} can be answered."
    pictures = "\n".join(f"![{name.removesuffix('.png').replace('_', ' ')}]({name})\n" for name in plots)
    return f"""\
# {run["model"]}: evaluation

In percent. Rows: {sizes}.{answered}

{results_table(results)}

{_MEANINGS}
{pictures}
## Provenance

- command: `{run["command"]}`
- weights: SHA-256 {run["weights_sha256"]}
{data}
- seed: {run["seed"]}
- machine: {run["machine"]}
- date: {run["date"]}
- versions: {versions}
"""


def _value(scores: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = scores
    for key in path:
        value = value.get(key) if value is not None else None
    return value


def _cell(scores: dict[str, Any], path: tuple[str, ...], with_interval: bool) -> str:
    value = _value(scores, path)
    if value is None:
        return "not run"
    if not with_interval:
        return f"{100 * value:.1f}"
    low, high = _value(scores, (*path[:-1], f"{path[-1]}_interval"))
    return f"{100 * value:.1f} ({100 * low:.1f}-{100 * high:.1f})"
