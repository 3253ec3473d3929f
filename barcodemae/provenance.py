"""The provenance of results: data, versions and machine, without paths of this machine."""

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
# Neither part starts with a dot, as in ./NAME.
_HUB_ID = re.compile(rf"(?:{HUB})?\w[\w.-]*/\w[\w.-]*(?:@[\w./-]+)?")


def describe_data(sources: Iterable[str]) -> list[dict[str, Any]]:
    """Name and SHA-256 of each file; the SHA-256 of data sets on the Hub and of missing files is None."""
    return [
        {
            "name": without_folder(source) if source.startswith(HUB) else _last_name(source),
            "sha256": sha256(Path(source)) if Path(source).is_file() else None,
        }
        for source in sources
    ]


def describe_machine() -> str:
    """Processor, number of cores and GPU, for readers of results."""
    import torch  # slow to import, and rarely needed

    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    machine = f"{cpu}, {os.cpu_count()} cores"
    return f"{machine}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else machine


def describe_versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of Python and of each installed package."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's content.

    Raises:
        OSError: the file can't be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def without_folder(name: str) -> str:
    """The last name of a path, which need not exist; an id on the Hub is returned unchanged.

    Args:
        name: a path of this or another machine; or `NAME`, `ORG/NAME` or `hub:ORG/NAME`, each also with `@REVISION`.
    """
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else _last_name(name)


def _last_name(path: str) -> str:
    if Path(path).exists():
        path = str(Path(path).resolve())  # for paths such as `.`
    return re.split(r"[/\\]|^[A-Za-z]:", path.rstrip("/\\"))[-1]
