"""`results.json`: its schema, by which it is checked before it is written and after it is read."""

import json
import math
import textwrap
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from barcodemae.errors import ConfigurationError, UnreadableFileError

VERSION = 3

_LONGEST_MESSAGE = 300


def validate_results(results: dict[str, Any]) -> None:
    """Check results against `results.schema.json`.

    Args:
        results: the content of `results.json`.

    Raises:
        ConfigurationError: they differ from the schema, or a number is NaN or infinite; the message begins with the
            path of the value (`$.knn.genus_accuracy`). Or the package jsonschema is missing.
    """
    try:
        import jsonschema
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "expected the package jsonschema, found none: pip install 'barcodemae[evaluate]'"
        ) from error
    for path in _not_finite(results, "$"):
        raise ConfigurationError(f"{path}: expected a finite number, got NaN or infinity")
    schema = json.loads((files(__package__) / "results.schema.json").read_text(encoding="utf-8"))
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(results))
    if problem is not None:
        message = textwrap.shorten(problem.message, _LONGEST_MESSAGE)
        raise ConfigurationError(f"{problem.json_path}: expected results of version {VERSION}: {message}")


def load_results(file: Path) -> dict[str, Any]:
    """Read a `results.json`.

    Raises:
        UnreadableFileError: it is not a JSON object.
        ConfigurationError: it is of another version, or does not conform to the schema.
    """
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFileError(file, f"expected a JSON file: {error}") from error
    if not isinstance(results, dict):
        raise UnreadableFileError(file, f"expected a JSON object, got {type(results).__name__}")
    version = results.get("schema_version")
    if version != VERSION:
        raise ConfigurationError(f"{file}: expected results of version {VERSION}, got version {version or 'unknown'}")
    try:
        validate_results(results)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    return results


def _not_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _not_finite(one, f"{path}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _not_finite(one, f"{path}[{number}]")
