"""Put a checkpoint into the package: `python tools/ship_checkpoint.py runs/halved nano_coi`.

The checkpoint has weights in half precision (`tools/halve_checkpoint.py`), and was evaluated with them: nothing is
changed on the way, so that its results still belong to its weights. What a Hub repository would receive of it is
copied, but for the code, which the package has already, and all plots but the one that the card shows. The card is
rendered from the copy, and the manifest tells size and SHA-256 of every file.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import safe_open

import modeling_barcodemae
import tokenization_barcodemae
from barcodemae import checkpoints
from barcodemae.checkpoints.files import WEIGHTS_FILE
from barcodemae.cli.command import run_command
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.hub.card import PLOT_FILE, render_card
from barcodemae.hub.publication import assemble
from barcodemae.provenance import sha256

MAX_BYTES = 24 * 2**20
"""Of all shipped weights together."""

# Code that the package has already, and what is large beside the weights. The reports go with their plots, of which the
# card shows one.
_LEFT_OUT = shutil.ignore_patterns("*.py", "tokenization_barcodemae", "requirements.txt", "onnx", "report.md", "*.png")

# What stands in the place of a code file: the Auto classes look for one in the folder.
_REFERENCE = '''"""The code of this checkpoint is that of the package it comes with."""

import {module}


def __getattr__(name: str) -> object:
    return getattr({module}, name)
'''

_WEIGHTS = ".safetensors"
_OTHERS = ("F32", "F64", "BF16")

Manifest: TypeAlias = dict[str, dict[str, dict[str, Any]]]


def ship(run: Path, name: str, repository: str) -> None:
    """Copy a checkpoint to its place in the package, where it takes the place of one of the same name.

    Args:
        run: folder of a checkpoint in half precision, with the results of its evaluation.
        name: by which it is loaded.
        repository: id on the Hub, which the card tells how to load.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken, its weights are not in half precision, or its
            results are of other weights.
        ConfigurationError: the name won't do, a file must not be published, or all weights together get too large.
    """
    if not name.isidentifier():
        raise ConfigurationError(f"{name}: expected a name of letters, digits and underscores")
    room = checkpoints._FOLDER
    with tempfile.TemporaryDirectory() as assembled, written_atomically(room) as scratch:
        assemble(run, repository, Path(assembled))
        folder = scratch / name
        shutil.copytree(assembled, folder, ignore=lambda *found: set(_LEFT_OUT(*found)) - {PLOT_FILE})
        _check_precision(folder / WEIGHTS_FILE, run)
        _write_references(folder)
        (folder / "README.md").write_text(render_card(folder, repository), encoding="utf-8")
        manifest = _read_manifest(room) | {name: _describe(folder)}
        _check_size(manifest)
        (scratch / checkpoints.MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(room / name, ignore_errors=True)  # a file that the new one lacks must not stay


def _write_references(folder: Path) -> None:
    """A file for each module that an `auto_map` names, which takes its classes from the package."""
    of_model, of_tokenizer = (
        json.loads((folder / file).read_text(encoding="utf-8"))["auto_map"]
        for file in ("config.json", "tokenizer_config.json")
    )
    modules = {name.partition(".")[0]: modeling_barcodemae for name in of_model.values()}
    modules[of_tokenizer["AutoTokenizer"][0].partition(".")[0]] = tokenization_barcodemae
    for name, package in modules.items():
        reference = _REFERENCE.format(module=package.__name__)
        (folder / f"{name}.py").write_text(reference, encoding="utf-8")


def _read_manifest(room: Path) -> Manifest:
    file = room / checkpoints.MANIFEST_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _describe(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _check_precision(file: Path, run: Path) -> None:
    with safe_open(file, "numpy") as weights:
        others = [name for name in weights.keys() if weights.get_slice(name).get_dtype() in _OTHERS]  # noqa: SIM118
    if others:
        raise CheckpointError(
            f"{run}: expected weights in half precision, got others ({others[0]}): halve the checkpoint "
            "(tools/halve_checkpoint.py) and evaluate it again"
        )


def _check_size(manifest: Manifest) -> None:
    files = (file for folder in manifest.values() for file in folder.items())
    total = sum(facts["bytes"] for name, facts in files if name.endswith(_WEIGHTS))
    if total > MAX_BYTES:
        raise ConfigurationError(
            f"expected at most {MAX_BYTES / 2**20:g} MiB of weights in the package, got {total / 2**20:.1f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a checkpoint into the package.")
    parser.add_argument("run", type=Path, help="its folder: in half precision, and evaluated so")
    parser.add_argument("name", help="by which it is loaded, such as nano_coi")
    parser.add_argument("--repository", help="its id on the Hub, for the card (ORG/NAME with that name)")
    arguments = parser.parse_args()
    ship(arguments.run, arguments.name, arguments.repository or f"ORG/{arguments.name}")
    print(f"{arguments.name} is in {checkpoints.shipped_folder(arguments.name)}.")


if __name__ == "__main__":
    run_command(main)
