"""Commits to a Hub repository: all files in one commit, or nothing."""

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetInfo,
    HfApi,
    ModelInfo,
    SpaceInfo,
    get_token,
)
from huggingface_hub.errors import (
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from barcodemae.errors import ConfigurationError, HubError
from barcodemae.repositories import check_name, explain_error

_Info: TypeAlias = ModelInfo | DatasetInfo | SpaceInfo

# The Hub's client has no time limit by default; without a network the first requests would wait for minutes.
_SECONDS = 10

_REFUSALS = {
    401: "the Hub does not accept this token: log in again with `hf auth login`, or set HF_TOKEN",
    403: "this token has no permission to write there",
    404: "there is no such branch",
    412: "somebody else has pushed in the meantime",
}


@dataclass(frozen=True)
class Kind:
    """A kind of repository.

    Attributes:
        repo_type: type on the Hub: "model", "dataset", or "space", which is a static one.
        marker_file: the file that identifies the content of such a repository.
        is_ours: whether the content of that file shows that a push of ours wrote it; other repositories are not
            overwritten.
        patterns: patterns of `Path.glob` of all files that a push writes. Files of an earlier push that match and are
            not written again are removed, so that old and new files are never mixed; other files stay.
        noun: name of the type, for messages.
    """

    repo_type: str
    marker_file: str
    is_ours: Callable[[bytes], bool]
    patterns: tuple[str, ...]
    noun: str


def publish(
    files: Mapping[str, Path], repository: str, kind: Kind, title: str, private: bool, revision: str | None
) -> str:
    """Publish files in one commit.

    If it fails, nothing is published, and the push can be repeated.

    Args:
        files: by their path in the repository.
        repository: `ORG/NAME` on the Hub, made where it does not exist.
        kind: of the repository.
        title: of the commit.
        private: whether only members see the repository. A repository that is public already is refused.
        revision: a branch, made from main where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository contains something else.
    """
    with _explained_errors(repository):
        api = HfApi()
        main = _look_up(api, repository, kind)
        branch = _look_up(api, repository, kind, revision) if main and revision else main
        parent = branch or main
        _check_repository(api, repository, kind, private, main, parent)
        if main is None:
            _create(api, repository, kind, private)
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
    """Make the repository where it does not exist, and check that a later push will be accepted.

    Raises:
        HubError: as from `publish`.
    """
    with _explained_errors(repository):
        api = HfApi()
        main = _look_up(api, repository, kind)
        _check_repository(api, repository, kind, private, main, main)
        if main is None:
            _create(api, repository, kind, private)
        # Sends no content, but only asks how such a file is to be sent, which needs permission to write.
        addition = CommitOperationAdd(kind.marker_file, b"{}")
        api.preupload_lfs_files(repository, [addition], repo_type=kind.repo_type)


def check_address(repository: str) -> None:
    """Check the name of a repository and that there is a token, before any work is done.

    Raises:
        ConfigurationError: there is no token, or the name isn't of the form `ORG/NAME`.
    """
    check_name(repository)
    if get_token() is None:
        raise ConfigurationError(f"{repository}: expected a token of the Hub: run `hf auth login`, or set HF_TOKEN")


@contextmanager
def _explained_errors(repository: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        reason, is_refused = explain_error(error, _REFUSALS)
        message = reason if is_refused else f"the push was interrupted and can be repeated: {reason}"
        raise HubError(f"{repository}: {message}") from error


def _create(api: HfApi, repository: str, kind: Kind, private: bool) -> None:
    space_sdk = "static" if kind.repo_type == "space" else None
    api.create_repo(repository, private=private, repo_type=kind.repo_type, space_sdk=space_sdk)


def _look_up(api: HfApi, repository: str, kind: Kind, revision: str | None = None) -> _Info | None:
    requests: dict[str, Callable[..., _Info]] = {
        "model": api.model_info,
        "dataset": api.dataset_info,
        "space": api.space_info,
    }
    try:
        return requests[kind.repo_type](repository, revision=revision, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None


def _check_repository(
    api: HfApi,
    repository: str,
    kind: Kind,
    private: bool,
    main: _Info | None,
    parent: _Info | None,
) -> None:
    if main is not None and private and not main.private:
        raise HubError(f"{repository} is public: make it private in its settings, or push without --private")
    if parent is not None and kind.marker_file in _file_names(parent):
        file = api.hf_hub_download(repository, kind.marker_file, revision=parent.sha, repo_type=kind.repo_type)
        if not kind.is_ours(Path(file).read_bytes()):
            raise HubError(f"{repository} contains another kind of {kind.noun}, which a push would overwrite")


def _operations(
    files: Mapping[str, Path], kind: Kind, parent: _Info | None
) -> list[CommitOperationAdd | CommitOperationDelete]:
    others = _file_names(parent) - files.keys() if parent else set()
    stale = sorted(name for name in others if any(_matches(name, pattern) for pattern in kind.patterns))
    return [
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()),
        *(CommitOperationDelete(path_in_repo=name) for name in stale),
    ]


def _matches(name: str, pattern: str) -> bool:
    """Whether `Path.glob` would find a path by a pattern."""
    regex = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\[0\-9\]", "[0-9]")
    return re.fullmatch(regex, name) is not None


def _file_names(commit: _Info) -> set[str]:
    return {file.rfilename for file in commit.siblings or ()}
