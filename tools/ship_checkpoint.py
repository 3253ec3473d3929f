"""Put a checkpoint into the package: `python tools/ship_checkpoint.py runs/halved nano_coi`.

The checkpoint must have weights in half precision (`tools/halve_checkpoint.py`), and must be evaluated with them, as
they are not changed. The files of a Hub repository are copied, except for the code, which is in the package, and all
plots but the one in the card. The card is rendered from the copy. A map of k-mers, which `barcodemae tune` makes of a
marker without a reference frame, is copied as it is, with a card that is written by hand (README.md in its folder).
The manifest has size and SHA-256 of every file.
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
from barcodemae.checkpoints.files import CONFIG_FILE, PROFILE_FILE, WEIGHTS_FILE
from barcodemae.cli.command import run_command
from barcodemae.embedding.engines import is_kmer_map
from barcodemae.embedding.kmer_map import KmerMapEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.hub.card import PLOT_FILE, render_card
from barcodemae.hub.publication import assemble
from barcodemae.provenance import sha256
from barcodemae.training.tuning.tune import TUNING_FILE

MAX_BYTES = 24 * 2**20
"""Maximum size of all shipped weights together."""

# Code, which is in the package, and large files. Reports are left out with their plots, of which the card shows one.
_LEFT_OUT = shutil.ignore_patterns("*.py", "tokenization_barcodemae", "requirements.txt", "onnx", "report.md", "*.png")

# Content of a code file in the folder, which the Auto classes need.
_REFERENCE = '''"""The code of this checkpoint is that of the package it comes with."""

import {module}


def __getattr__(name: str) -> object:
    return getattr({module}, name)
'''

_WEIGHTS = ".safetensors"
_OTHERS = ("F32", "F64", "BF16")

Manifest: TypeAlias = dict[str, dict[str, dict[str, Any]]]


def ship(run: Path, name: str, repository: str) -> None:
    """Copy a checkpoint into the package, where it replaces one of the same name.

    Args:
        run: folder of a checkpoint in half precision, with the results of its evaluation.
        name: name by which it is loaded.
        repository: id on the Hub, for the snippets of the card.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken, its weights are not in half precision, or its
            results are of other weights.
        ConfigurationError: the name is not valid, a file must not be published, or all weights together are too large.
    """
    if not name.isidentifier():
        raise ConfigurationError(f"{name}: expected a name of letters, digits and underscores")
    shipped_root = checkpoints._FOLDER
    with tempfile.TemporaryDirectory() as assembled, written_atomically(shipped_root) as scratch:
        folder = scratch / name
        if is_kmer_map(run):
            _copy_kmer_map(run, folder)
        else:
            assemble(run, repository, Path(assembled))
            shutil.copytree(assembled, folder, ignore=lambda *found: set(_LEFT_OUT(*found)) - {PLOT_FILE})
            _check_precision(folder / WEIGHTS_FILE, run)
            _write_references(folder)
            (folder / "README.md").write_text(render_card(folder, repository), encoding="utf-8")
        manifest = _read_manifest(shipped_root) | {name: _describe(folder)}
        _check_size(manifest)
        (scratch / checkpoints.MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(shipped_root / name, ignore_errors=True)  # a file that the new one lacks must not stay


def _copy_kmer_map(run: Path, folder: Path) -> None:
    """Copy a map of k-mers, whose card is written by hand and which needs no code."""
    KmerMapEmbedder.from_pretrained(run)
    folder.mkdir()
    for file in (CONFIG_FILE, PROFILE_FILE, WEIGHTS_FILE, TUNING_FILE, "README.md"):
        if not (run / file).is_file():
            raise CheckpointError(f"{run}: expected a {file}, found none")
        shutil.copyfile(run / file, folder / file)


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


def _read_manifest(shipped_root: Path) -> Manifest:
    file = shipped_root / checkpoints.MANIFEST_FILE
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
