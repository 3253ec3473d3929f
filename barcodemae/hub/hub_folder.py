"""A checkpoint as a folder of its own that is what a Hub repository would be: for `transformers` and
sentence-transformers on this machine, for a colleague's, or to be uploaded by other means than `push`."""

from pathlib import Path

from barcodemae.checkpoints.files import find_checkpoint
from barcodemae.errors import ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.hub.publication import assemble


def write_hub_folder(checkpoint: str | Path, folder: Path, repository: str | None = None) -> None:
    """Write a checkpoint with its model code, card and handler, so that nothing of this package is needed to load it.

    Args:
        checkpoint: its folder, or the name of one that comes with the package.
        folder: is made; one that exists must be empty.
        repository: id on the Hub, which the card tells how to load; by default `ORG/` and the name of the folder.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken.
        ConfigurationError: the folder is not empty, or a file must not be published.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: expected a new or an empty folder, found something in its place")
    with written_atomically(folder) as scratch:
        assemble(Path(find_checkpoint(checkpoint)), repository or f"ORG/{folder.resolve().name}", scratch)
