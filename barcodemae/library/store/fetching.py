"""The files of a reference library, wherever it lies."""

import logging
from pathlib import Path

from barcodemae.data.sources import HUB
from barcodemae.errors import HubError
from barcodemae.library.store.manifest import MANIFEST_FILE

_DIGITS = "[0-9]" * 5
LIBRARY_PATTERNS = (
    MANIFEST_FILE,
    f"segment-{_DIGITS}/part-{_DIGITS}.arrow",
    f"segment-{_DIGITS}/index.*",
    f"removed-{_DIGITS}.npy",
    f"calibration-{_DIGITS}.json",
)
"""The files of a library, as fnmatch has it. What else lies beside them, in a repository too, is not ours."""

_REFUSALS = {
    401: "there is no such data set, or only a token that may read it is shown it (`hf auth login`)",
    403: "this token may not read it",
    404: "there is no such data set or revision",
}

logger = logging.getLogger(__name__)


def find_library(name: str | Path) -> Path:
    """The folder of a library.

    Args:
        name: a folder, or `hub:ORG/NAME` for a data set of the Hub, which is fetched into the Hub's cache; `@REVISION`
            (branch, tag or commit) after it pins it.

    Raises:
        HubError: there is no such data set, or the Hub can't be reached and the cache does not hold it.
        ConfigurationError: the name is no repository's.
    """
    if not str(name).startswith(HUB):
        return Path(name)
    # Slow to import, and a folder needs none of it.
    from huggingface_hub import snapshot_download

    from barcodemae.repositories import check_name, explain_error

    repository, _, revision = str(name).removeprefix(HUB).partition("@")
    check_name(repository)
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision or None, allow_patterns=list(LIBRARY_PATTERNS)
        )
    except Exception as error:  # from the network to the disk, each layer raises a kind of its own
        raise HubError(f"{name}: expected a library on the Hub: {explain_error(error, _REFUSALS)[0]}") from error
    logger.info("%s: commit %s", name, Path(folder).name)
    return Path(folder)
