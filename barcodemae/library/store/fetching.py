"""Find a reference library, or a collection of them: in a folder, or on the Hub, from which it is downloaded."""

import logging
from collections.abc import Sequence
from pathlib import Path

from barcodemae.data.sources import HUB
from barcodemae.errors import HubError
from barcodemae.library.store.manifest import BUILDING_FILE, MANIFEST_FILE, libraries_within

_DIGITS = "[0-9]" * 5
LIBRARY_PATTERNS = (
    MANIFEST_FILE,
    f"segment-{_DIGITS}/part-{_DIGITS}.arrow",
    f"segment-{_DIGITS}/index.*",
    f"removed-{_DIGITS}.npy",
    f"calibration-{_DIGITS}.json",
)
"""Patterns (fnmatch) of the files of a library; other files in its folder or repository are ignored."""

_REFUSALS = {
    401: "there is no such data set, or it is private and needs a token (`hf auth login`)",
    403: "this token may not read it",
    404: "there is no such data set or revision",
}

logger = logging.getLogger(__name__)


def find_library(name: str | Path) -> Path:
    """The folder of a library.

    Args:
        name: a folder, or `hub:ORG/NAME` for a data set on the Hub, which is downloaded to the Hub's cache;
            `@REVISION` after it (branch, tag or commit) pins the version.

    Raises:
        HubError: there is no such data set, or the Hub can't be reached and it is not in the cache.
        ConfigurationError: the name is not that of a repository.
    """
    if not str(name).startswith(HUB):
        return Path(name)
    # Slow to import, and not needed for a folder.
    from huggingface_hub import snapshot_download

    from barcodemae.repositories import check_name, explain_error

    repository, _, revision = str(name).removeprefix(HUB).partition("@")
    check_name(repository)
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision or None, allow_patterns=list(LIBRARY_PATTERNS)
        )
    except Exception as error:  # network, Hub and disk raise errors of different kinds
        raise HubError(f"{name}: expected a library on the Hub: {explain_error(error, _REFUSALS)[0]}") from error
    logger.info("%s: commit %s", name, Path(folder).name)
    return Path(folder)


def find_libraries(names: Sequence[str]) -> list[str]:
    """The names of libraries, in which that of a collection is replaced by those of its libraries.

    Args:
        names: folders of libraries or collections, or `hub:ORG/NAME`. A folder that is neither, or a collection whose
            build has not ended, stays as it is, and is an error where it is opened.
    """
    found: list[str] = []
    for name in names:
        is_complete = not name.startswith(HUB) and not (Path(name) / BUILDING_FILE).exists()
        libraries = libraries_within(Path(name)) if is_complete else []
        found += map(str, libraries) if libraries else [name]
    return found
