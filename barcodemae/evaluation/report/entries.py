"""Representations of a file of results, each with what tells whether another file has the same one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barcodemae.evaluation.report.content import look_up
from barcodemae.evaluation.report.names import readable


@dataclass(frozen=True)
class Entry:
    """One representation in one file of results.

    Attributes:
        name: for readers.
        identity: equal for the same representation in other files.
        weights_sha256: of a model; None for rivals, and where it is not known.
        scores: what its tasks gave.
        provenance: of the file.
        file: the file.
        column: the representation's in the answers beside the file.
    """

    name: str
    identity: tuple[str, ...]
    weights_sha256: str | None
    scores: dict[str, Any]
    provenance: dict[str, Any]
    file: Path
    column: str


def read_entries(results: dict[str, Any], file: Path) -> list[Entry]:
    """The model and its rivals.

    Args:
        results: of version 2.
        file: where they come from.
    """
    run = results["provenance"]
    name, weights = run["model"], run["weights_sha256"]
    # One model may be read in several ways (pooling, layer), which are as many representations.
    model = ("model", weights or name, json.dumps(run.get("identity", {}), sort_keys=True))
    entries = [Entry(name, model, weights, results, run, file, name)]
    for key, scores in results["rivals"].items():
        rival_name = readable(key)
        identity: tuple[str, ...] = ("rival", key)
        if key == "without_frame":
            rival_name, identity = f"{name}, {rival_name}", ("rival", key, *model)
        elif key == "untrained":
            # Models of one architecture have the same untrained one: that is told by its numbers.
            told = [look_up(scores, ("knn", f"genus_accuracy{kind}")) for kind in ("", "_by_species")]
            rival_name = f"untrained (as {name})"
            identity = ("rival", key, str(run["seed"]), *(model if None in told else map(str, told)))
        entries.append(Entry(rival_name, identity, None, scores, run, file, key))
    return entries
