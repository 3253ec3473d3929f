"""The checkpoints that come with the package: a folder each, and a manifest of what is in them.

A folder holds what a Hub repository would, but for the plots and the code: in its place, a few lines refer to the
package. So `AutoModel` and `SentenceTransformer` load the folder here, with `trust_remote_code=True`; to take it
elsewhere, `barcodemae export NAME FOLDER --format hub`. README.md is the card. `tools/ship_checkpoint.py` writes all.
"""

from pathlib import Path

from barcodemae.errors import CheckpointError

DEFAULT = "nano_coi"
"""What embeds where no model is named."""

MANIFEST_FILE = "manifest.json"
"""Beside the folders: name -> file -> `bytes` and `sha256`."""

_FOLDER = Path(__file__).parent


def shipped_checkpoints() -> list[str]:
    """Their names, in alphabetical order."""
    return sorted(config.parent.name for config in _FOLDER.glob("*/config.json"))


def shipped_folder(name: str) -> Path:
    """The folder of a shipped checkpoint; found from an installed wheel too.

    Raises:
        CheckpointError: none of that name comes with the package.
    """
    names = shipped_checkpoints()
    if name not in names:
        raise CheckpointError(
            f"{name}: expected a checkpoint that comes with the package ({', '.join(names) or 'there is none'})"
        )
    return _FOLDER / name


def is_shipped(folder: Path) -> bool:
    """Whether a folder is that of a shipped checkpoint."""
    return folder.resolve().parent == _FOLDER.resolve()
