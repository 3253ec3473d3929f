"""Publishing a checkpoint on the Hub."""

import json
import tempfile
from pathlib import Path

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.hub.commit import Kind, check_address, prepare, publish
from barcodemae.hub.publication import PUBLISHED, assemble


def push_checkpoint(checkpoint: Path, repository: str, private: bool = False, revision: str | None = None) -> str:
    """Publish a checkpoint with its card, model code and handler, in one commit.

    If it fails, nothing is published, and the push can be repeated.

    Args:
        checkpoint: its folder.
        repository: `ORG/NAME` on the Hub, made where it does not exist.
        private: whether only members see the repository. A repository that is public already is refused.
        revision: a branch, made from main where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository contains another kind of model.
        ConfigurationError: there is no token, the name isn't of the form `ORG/NAME`, or a file must not be published.
        CheckpointError: the checkpoint is missing, incomplete or broken.
    """
    check_address(repository)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        assemble(checkpoint, repository, folder)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        title = f"Publish weights {weights_sha256(folder)[:12]}"
        return publish(files, repository, _MODEL, title, private, revision)


def prepare_repository(repository: str, private: bool = False) -> None:
    """Make the repository where it does not exist, and check that a later push will be accepted.

    Args:
        repository: `ORG/NAME` on the Hub.
        private: as for `push_checkpoint`.

    Raises:
        HubError, ConfigurationError: as from `push_checkpoint`.
    """
    check_address(repository)
    prepare(repository, _MODEL, private)


def _is_ours(config: bytes) -> bool:
    try:
        config_class = json.loads(config)["auto_map"]["AutoConfig"]
    except (ValueError, KeyError, TypeError):
        return False
    return "configuration_barcodemae." in str(config_class)


_MODEL = Kind("model", "config.json", _is_ours, PUBLISHED, "model")
