"""All files of a Hub repository in one commit, or nothing."""

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetInfo, HfApi, ModelInfo, get_token
from huggingface_hub.errors import (
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from barcodemae.errors import ConfigurationError, HubError
from barcodemae.repositories import check_name, reason_of

# The Hub's client waits for ever by default, and without a network that can be minutes: the first questions are short.
_SECONDS = 10

_REFUSALS = {
    401: "the Hub does not know this token: log in again with `hf auth login`, or set HF_TOKEN",
    403: "this token may not write there",
    404: "there is no such branch",
    412: "somebody else has pushed meanwhile",
}


@dataclass(frozen=True)
class Kind:
    """What a repository is for.

    Attributes:
        repo_type: the Hub's word, "model" or "dataset".
        told_by: the file that says what a repository of this type holds.
        is_ours: whether the content of that file says that it is what we push; else it is not overwritten.
        patterns: of all that a push writes, as `Path.glob` has them. What an earlier one left of it, and this one
            lacks, goes, for old files must not stand beside new ones; a file that no push ever writes stays.
        called: in words.
    """

    repo_type: str
    told_by: str
    is_ours: Callable[[bytes], bool]
    patterns: tuple[str, ...]
    called: str


def publish(
    files: Mapping[str, Path], repository: str, kind: Kind, title: str, private: bool, revision: str | None
) -> str:
    """Publish files in one commit.

    Whatever goes wrong, files only ever appear together; and what broke off can be repeated.

    Args:
        files: by their path in the repository.
        repository: `ORG/NAME` on the Hub, made where it does not exist.
        kind: of the repository.
        title: of the commit.
        private: whether only members see the repository; one that is public stays no secret and is refused.
        revision: a branch, made from the main one where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository holds something else.
    """
    with _one_clear_error(repository):
        api = HfApi()
        main = _look_up(api, repository, kind)
        branch = _look_up(api, repository, kind, revision) if main and revision else main
        parent = branch or main
        _refuse_unfit(api, repository, kind, private, main, parent)
        if main is None:
            api.create_repo(repository, private=private, repo_type=kind.repo_type)
        if revision and branch is None:
            api.create_branch(repository, branch=revision, repo_type=kind.repo_type)
        commit = api.create_commit(
            repository,
            _operations(files, kind, parent),
            commit_message=f"{title} (barcodemae {importlib.metadata.version('barcodemae')})",
            revision=revision,
            parent_commit=parent.sha if parent else None,
            repo_type=kind.repo_type,
        )
        return commit.commit_url


def prepare(repository: str, kind: Kind, private: bool) -> None:
    """Make the repository where it does not exist, and find out now whether a later push will be let in.

    Raises:
        HubError: as from `publish`.
    """
    with _one_clear_error(repository):
        api = HfApi()
        main = _look_up(api, repository, kind)
        _refuse_unfit(api, repository, kind, private, main, main)
        if main is None:
            api.create_repo(repository, private=private, repo_type=kind.repo_type)
        # Sends nothing but the question how such a file is to be sent, which only who may write is told.
        question = CommitOperationAdd(kind.told_by, b"{}")
        api.preupload_lfs_files(repository, [question], repo_type=kind.repo_type)


def check_address(repository: str) -> None:
    """Refuse what can't be pushed to at all, before any work is done.

    Raises:
        ConfigurationError: there is no token, or the name is no repository's.
    """
    check_name(repository)
    if get_token() is None:
        raise ConfigurationError(f"{repository}: expected a token of the Hub: run `hf auth login`, or set HF_TOKEN")


@contextmanager
def _one_clear_error(repository: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        reason, is_refused = reason_of(error, _REFUSALS)
        said = reason if is_refused else f"the push broke off, and can be repeated: {reason}"
        raise HubError(f"{repository}: {said}") from error


def _look_up(api: HfApi, repository: str, kind: Kind, revision: str | None = None) -> ModelInfo | DatasetInfo | None:
    ask = api.model_info if kind.repo_type == "model" else api.dataset_info
    try:
        return ask(repository, revision=revision, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None


def _refuse_unfit(
    api: HfApi,
    repository: str,
    kind: Kind,
    private: bool,
    main: ModelInfo | DatasetInfo | None,
    parent: ModelInfo | DatasetInfo | None,
) -> None:
    if main is not None and private and not main.private:
        raise HubError(f"{repository} is public: make it private in its settings, or push without --private")
    if parent is not None and kind.told_by in _names(parent):
        file = api.hf_hub_download(repository, kind.told_by, revision=parent.sha, repo_type=kind.repo_type)
        if not kind.is_ours(Path(file).read_bytes()):
            raise HubError(f"{repository} holds another kind of {kind.called}, which a push would overwrite")


def _operations(
    files: Mapping[str, Path], kind: Kind, parent: ModelInfo | DatasetInfo | None
) -> list[CommitOperationAdd | CommitOperationDelete]:
    gone = _names(parent) - files.keys() if parent else set()
    stale = sorted(name for name in gone if any(_matches(name, pattern) for pattern in kind.patterns))
    return [
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()),
        *(CommitOperationDelete(path_in_repo=name) for name in stale),
    ]


def _matches(name: str, pattern: str) -> bool:
    """Whether a path is among what `Path.glob` finds by a pattern."""
    between = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\[0\-9\]", "[0-9]")
    return re.fullmatch(between, name) is not None


def _names(at: ModelInfo | DatasetInfo) -> set[str]:
    return {file.rfilename for file in at.siblings or ()}
