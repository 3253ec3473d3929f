"""Where an evaluation's results come from."""

import shlex
from dataclasses import Field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from barcodemae.evaluation.arguments import EvaluationArguments
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder

_PACKAGES = (
    "barcodemae",
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "scikit-learn",
    "umap-learn",
    "evaluate",
)


def describe_run(
    arguments: EvaluationArguments, weights_sha256: str, identity: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Model and data files with SHA-256, seed, command, versions, machine and date.

    Args:
        arguments: of the evaluation.
        weights_sha256: of the model.
        identity: how another encoder than ours is read.
    """
    told = {"identity": identity} if identity else {}
    return {
        "model": without_folder(arguments.model),
        "weights_sha256": weights_sha256,
        "data": describe_data(source for source in (arguments.data, arguments.queries) if source is not None),
        "seed": arguments.seed,
        "command": _command(arguments),
        "versions": describe_versions(_PACKAGES),
        "machine": describe_machine(),
        **told,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _command(arguments: EvaluationArguments) -> str:
    words = ["python", "evaluate_embeddings.py"]
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if field.name == "output_dir":
            value = Path(value).name
        if value != _default(field):
            values = (value or ["none"]) if isinstance(value, list) else [value]
            words += [f"--{field.name}", *(without_folder(str(one)) for one in values)]
    return shlex.join(words)
