"""The methods in a file of results, and the measures by which they are compared: rows and columns of all tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from barcodemae.evaluation.catalogue import title_of
from barcodemae.evaluation.report.content import Table, accuracy, look_up, percent


@dataclass(frozen=True)
class Measure:
    """One number that a task gives.

    Attributes:
        title: of its column.
        path: keys that lead to it in the scores of a method.
        meaning: explanation for readers.
        with_interval: whether a table shows its interval.
    """

    title: str
    path: tuple[str, ...]
    meaning: str
    with_interval: bool = False


MEASURES = (
    Measure(
        "genus, unseen",
        ("knn", "genus_accuracy"),
        "genus of barcodes whose species is in no training split, from the nearest train barcode (by cosine, where "
        "there are vectors). Only rows whose genus is in train count. In brackets the 95 % interval, from resamples of "
        "species: barcodes of one species are not independent, and an interval over rows would be too narrow.",
        with_interval=True,
    ),
    Measure(
        "genus, weighted vote",
        ("weighted_knn", "genus_accuracy"),
        "genus, unseen, by a vote of several nearest train barcodes, each with the weight exp(cosine / temperature), "
        "as in BarcodeMAE+. Their number and the temperature are under Ranks.",
        with_interval=True,
    ),
    Measure(
        "by species", ("knn", "genus_accuracy_by_species"), "genus, unseen, averaged over species: each counts once."
    ),
    Measure(
        "genus, extra",
        ("extra_queries", "knn", "genus_accuracy"),
        "genus, in the same way, for the rows of the extra query file.",
        with_interval=True,
    ),
    Measure(
        "species, probe",
        ("linear_probe", "species_accuracy"),
        "species of other barcodes of the train species, by a linear classifier on frozen vectors (SGD, learning rate "
        "1, momentum 0.95, weight decay 1e-9, batch 1,024, 200 epochs).",
    ),
    Measure(
        "species, logistic",
        ("logistic_probe", "species_accuracy"),
        "species of other barcodes of the train species, by a logistic regression on frozen vectors; its "
        "regularisation was chosen within train.",
    ),
    Measure(
        "species, 1-NN",
        ("knn", "seen_species", "species_accuracy"),
        "species of other barcodes of the train species, from the nearest train barcode.",
    ),
    Measure(
        "BIN AMI",
        ("clustering", "bin_ami"),
        "adjusted mutual information of Barcode Index Numbers and clusters (UMAP to 50 dimensions, Ward; as many "
        "clusters as species), on seen and unseen species together. Without interval: to cluster resampled species "
        "would be another problem.",
    ),
    Measure("AMI, unseen", ("clustering", "bin_ami_unseen"), "BIN AMI on unseen species alone."),
    Measure(
        "novelty AUROC",
        ("novelty", "auroc"),
        "how well the similarity to the nearest train barcode separates species in train from those that are not; "
        "50 is chance.",
        with_interval=True,
    ),
    Measure(
        "harmonic mean",
        ("harmonic_mean",),
        "of genus, unseen and BIN AMI: the headline of the published evaluation.",
    ),
)


def measured(scores: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """The measures that at least one of the methods has, in the order of `MEASURES`."""
    scores = list(scores)
    return [measure for measure in MEASURES if any(look_up(one, measure.path) is not None for one in scores)]


def measures_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each method, in percent; measures that none of them has are left out.

    Args:
        scores: name -> scores.
    """
    measures = measured(scores.values())
    rows = [[name, *(measure_cell(one, measure) for measure in measures)] for name, one in scores.items()]
    return Table(["", *(measure.title for measure in measures)], rows)


def measure_cell(scores: Mapping[str, Any], measure: Measure) -> str:
    """One measure in percent, with its interval where that is shown.

    Raises:
        KeyError: it should be shown, and there is none.
    """
    if measure.with_interval:
        return accuracy(look_up(scores, measure.path[:-1]), measure.path[-1])
    return percent(look_up(scores, measure.path))


def interval_of(scores: Mapping[str, Any], measure: Measure) -> list[float] | None:
    """The interval of a measure, or None."""
    return look_up(scores, (*measure.path[:-1], f"{measure.path[-1]}_interval"))


def scores_by_method(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Readable name -> scores, the model first.

    Args:
        results: as in `results.json`.
    """
    model = results["provenance"]["model"]
    found = {model: results}
    for key, scores in results["baselines"].items():
        name = title_of(key)
        found[f"{name} (baseline)" if name in found else name] = scores
    return found


def by_accuracy(results: dict[str, Any]) -> list[str]:
    """Readable names: the model, then its baselines by genus accuracy of unseen species, best first."""
    model, *baselines = (found := scores_by_method(results))
    # Those without a genus accuracy come last.
    return [model, *sorted(baselines, key=lambda name: -found[name].get("knn", {}).get("genus_accuracy", -1))]


def scores_of(results: dict[str, Any], task: str, num_baselines: int | None = None) -> dict[str, Any]:
    """The scores of one task: name -> scores, for the model and the baselines that ran it, the model first.

    Args:
        results: as in `results.json`.
        task: its key.
        num_baselines: only so many baselines, those with the highest genus accuracy of unseen species; by default all
            of them, in the order of the file.
    """
    found = scores_by_method(results)
    model = results["provenance"]["model"]
    names = list(found) if num_baselines is None else by_accuracy(results)
    names = [name for name in names if found[name].get(task)]
    if num_baselines is not None:
        baselines = [name for name in names if name != model][:num_baselines]
        names = [name for name in names if name == model] + baselines
    return {name: found[name][task] for name in names}


def of_same_queries(knn: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Nearest-neighbour scores of the methods with as many queries as the first, whose classes can be compared."""
    first = next(iter(knn.values()))
    return {name: scores for name, scores in knn.items() if scores["n_queries"] == first["n_queries"]}
