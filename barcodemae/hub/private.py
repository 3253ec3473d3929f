"""What is nobody else's business is looked for in whatever is to be published."""

import mmap
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import get_token

import barcodemae
from barcodemae.errors import ConfigurationError

_TOKEN = re.compile(rb"hf_[A-Za-z0-9]{30,}")


def refuse_private(files: Mapping[str, Path], origin: Path, called: str) -> None:
    """Search files for tokens and for paths of this machine.

    Args:
        files: by the name that they are to have.
        origin: the folder that is published.
        called: what that folder is, for the message.

    Raises:
        ConfigurationError: one holds such a thing.
    """
    secrets = {
        "your Hub token": get_token(),
        "the path of your home folder": _as_folder(Path.home()),
        "the path of the working directory": _as_folder(Path.cwd()),
        f"the path of the {called}": _as_folder(origin.resolve().parent),
        "the path of installed packages": _as_folder(Path(sysconfig.get_paths()["purelib"])),
        "the path of this package": _as_folder(Path(barcodemae.__file__).parent.parent),
    }
    for name, file in files.items():
        if file.stat().st_size == 0:
            continue  # can't be mapped, and holds nothing
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = [secret for secret, text in secrets.items() if text and content.find(text.encode()) >= 0]
            if _TOKEN.search(content):
                found.append("what looks like a Hub token")
        if found:
            raise ConfigurationError(f"{name}: must not be published, for it holds {found[0]}")


def _as_folder(path: Path) -> str | None:
    """As it would begin a longer path; none for the root, which says nothing."""
    return None if path == Path(path.anchor) else f"{path}/"
