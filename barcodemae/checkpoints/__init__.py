"""The checkpoints that come with the package: one folder each, and a manifest of their files.

A folder has the files of a Hub repository except for plots and code: its Python files only import the package. So
`AutoModel` and `SentenceTransformer` load it with `trust_remote_code=True` where the package is installed; `barcodemae
export NAME FOLDER --format hub` writes a folder that loads anywhere. README.md is the card. `tools/ship_checkpoint.py`
writes all files.
"""

import re
from pathlib import Path

from barcodemae.errors import CheckpointError

DEFAULT = "nano_coi"
"""The model that embeds by default."""

DEFAULT_MARKER = "COI-5P"

MODELS = {DEFAULT_MARKER: DEFAULT, "ITS": "nano_its"}
"""Marker -> the model that is used for it by default."""

AUTO = "auto"
"""Instead of the name of a marker: that of the model, or the most frequent one of the records."""

ALL = "all"
"""Instead of the name of a marker: a library of each marker of the records."""

CHECKPOINT_HELP = "Folder of a checkpoint, its id on the Hub, or the name of one that comes with the package"

MANIFEST_FILE = "manifest.json"
"""File next to the folders: name -> file -> `bytes` and `sha256`."""

_FOLDER = Path(__file__).parent

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def shipped_checkpoints() -> list[str]:
    """Names of the shipped checkpoints, in alphabetical order.

    Examples:
        >>> from barcodemae.checkpoints import shipped_checkpoints
        >>> shipped_checkpoints()
        ['nano_coi', 'nano_coi_label_free', 'nano_its', 'tiny_coi_pretrained']
    """
    return sorted(config.parent.name for config in _FOLDER.glob("*/config.json"))


def shipped_folder(name: str) -> Path:
    """The folder of a shipped checkpoint; found from an installed wheel too.

    Raises:
        CheckpointError: there is no shipped checkpoint of that name.
    """
    names = shipped_checkpoints()
    if name not in names:
        raise CheckpointError(
            f"{name}: expected a checkpoint that comes with the package ({', '.join(names) or 'there is none'})"
        )
    return _FOLDER / name


def check_checkpoint(name: str | Path) -> None:
    """Check that a name can be that of a checkpoint, before anything slow is imported.

    Raises:
        CheckpointError: it is neither a folder nor a shipped checkpoint, and cannot be an id on the Hub.
    """
    if not Path(name).is_dir() and str(name) not in shipped_checkpoints() and not _HUB_ID.fullmatch(str(name)):
        raise CheckpointError(
            f"{name}: expected a folder, ORG/NAME on the Hub, or a checkpoint that comes with the package "
            f"({', '.join(shipped_checkpoints())})"
        )


def is_shipped(folder: Path) -> bool:
    """Whether a folder is that of a shipped checkpoint."""
    return folder.resolve().parent == _FOLDER.resolve()
