"""Where a file of results comes from: data, versions, machine. No path of this machine is among it."""

import hashlib
import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HUB = "hub:"
"""Prefix of the name of a data set on the Hub."""
# Neither part begins with a dot, as in ./NAME.
_HUB_ID = re.compile(rf"(?:{HUB})?\w[\w.-]*/\w[\w.-]*(?:@[\w./-]+)?")


def describe_data(sources: Iterable[str]) -> list[dict[str, Any]]:
    """Name and SHA-256 of each file; a data set on the Hub, or a file that is gone, has a name alone."""
    return [
        {
            "name": without_folder(source) if source.startswith(HUB) else _last_name(source),
            "sha256": sha256(Path(source)) if Path(source).is_file() else None,
        }
        for source in sources
    ]


def describe_machine() -> str:
    """Processor, cores and GPU, as a reader of results would name them."""
    import torch  # slow to import, and few need it

    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    words = f"{cpu}, {os.cpu_count()} cores"
    return f"{words}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else words


def describe_versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of Python and of each installed package."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's content.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def without_folder(name: str) -> str:
    """The last name of a path, whether there is such a file or not; an id on the Hub stays whole.

    Args:
        name: a path of this or another machine; or `NAME`, `ORG/NAME` or `hub:ORG/NAME`, each also with `@REVISION`.
    """
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else _last_name(name)


def _last_name(path: str) -> str:
    if Path(path).exists():
        path = str(Path(path).resolve())  # of `.` too
    return re.split(r"[/\\]|^[A-Za-z]:", path.rstrip("/\\"))[-1]
