"""`results.json`: what it must hold, and how files of the first version are read."""

import json
import math
import textwrap
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from barcodemae.errors import ConfigurationError, UnreadableFileError

VERSION = 2

_LONGEST_MESSAGE = 300


def validate_results(results: dict[str, Any]) -> None:
    """Hold results against `results.schema.json`.

    Args:
        results: the content of `results.json`.

    Raises:
        ConfigurationError: they differ from the schema, or a number is NaN or infinite; the message begins with the
            place (`$.knn.genus_accuracy`). Or the package jsonschema is missing.
    """
    try:
        import jsonschema
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "expected the package jsonschema, found none: pip install 'barcodemae[evaluate]'"
        ) from error
    for place in _not_finite(results, "$"):
        raise ConfigurationError(f"{place}: expected a finite number, got NaN or infinity")
    schema = json.loads((files(__package__) / "results.schema.json").read_text(encoding="utf-8"))
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(results))
    if problem is not None:
        message = textwrap.shorten(problem.message, _LONGEST_MESSAGE)
        raise ConfigurationError(f"{problem.json_path}: expected results of version {VERSION}: {message}")


def load_results(file: Path) -> dict[str, Any]:
    """Read a `results.json` of any version, as one of version 2.

    The first version bears no number. Its keys are a subset of the second's, but that it may lack the SHA-256 of the
    weights, which is then None.

    Raises:
        UnreadableFileError: it is no JSON object.
        ConfigurationError: it is of a version to come, or not what its version should be.
    """
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFileError(file, f"expected a JSON file: {error}") from error
    if not isinstance(results, dict):
        raise UnreadableFileError(file, f"expected a JSON object, got {type(results).__name__}")
    if "schema_version" not in results:
        results = _from_version_1(results)
    version = results["schema_version"]
    if version != VERSION:
        raise ConfigurationError(f"{file}: expected results of version 1 or {VERSION}, got version {version}")
    try:
        validate_results(results)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    return results


def _from_version_1(results: dict[str, Any]) -> dict[str, Any]:
    raised = {"schema_version": VERSION, **results}
    if isinstance(provenance := results.get("provenance"), dict):
        raised["provenance"] = {"weights_sha256": None, **provenance}
    return raised


def _not_finite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _not_finite(one, f"{place}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _not_finite(one, f"{place}[{number}]")
