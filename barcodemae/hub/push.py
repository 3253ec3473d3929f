"""Publishing a checkpoint on the Hub: one commit, or nothing."""

import importlib.metadata
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from textwrap import shorten

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from barcodemae.errors import ConfigurationError, HubError
from barcodemae.hub.checkpoint import weights_sha256
from barcodemae.hub.publication import assemble

# What an earlier push may have left and this one may lack. It goes, for old numbers must not stand beside new weights;
# a file that no push ever writes stays. As patterns of fnmatch, whose star crosses folders.
_OURS = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "reference_frame.safetensors",
    "training.json",
    "metrics.jsonl",
    "*_barcodemae.py",
    "tokenization_barcodemae/*",
    "evaluation/*",
    "onnx/*",
)

# The Hub's client waits for ever by default, and without a network that can be minutes: the first questions are short.
_SECONDS = 10

_REFUSALS = {
    401: "the Hub does not know this token: log in again with `hf auth login`, or set HF_TOKEN",
    403: "this token may not write there",
    404: "there is no such branch",
    412: "somebody else has pushed meanwhile",
}


def push_checkpoint(checkpoint: Path, repository: str, private: bool = False, revision: str | None = None) -> str:
    """Publish a checkpoint with its card and all that serves it, in one commit.

    Whatever goes wrong, files only ever appear together; and what broke off can be repeated.

    Args:
        checkpoint: its folder.
        repository: `ORG/NAME` on the Hub, made where it does not exist.
        private: whether only members see the repository; one that is public stays no secret and is refused.
        revision: a branch, made from the main one where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository holds another kind of model.
        ConfigurationError: there is no token, the name is no repository's, or a file must not be published.
        CheckpointError: the checkpoint is missing, incomplete or broken.
    """
    _check_address(repository)
    with tempfile.TemporaryDirectory() as scratch:
        assemble(checkpoint, repository, Path(scratch))
        with _one_clear_error(repository):
            return _publish(Path(scratch), repository, private, revision)


def prepare_repository(repository: str, private: bool = False) -> None:
    """Make the repository where it does not exist, and find out now whether a later push will be let in.

    Args:
        repository: `ORG/NAME` on the Hub.
        private: as for `push_checkpoint`.

    Raises:
        HubError, ConfigurationError: as from `push_checkpoint`.
    """
    _check_address(repository)
    with _one_clear_error(repository):
        api = HfApi()
        main = _look_up(api, repository)
        _refuse_unfit(api, repository, private, main, main)
        if main is None:
            api.create_repo(repository, private=private)
        # Sends nothing but the question how such a file is to be sent, which only who may write is told.
        api.preupload_lfs_files(repository, [CommitOperationAdd("config.json", b"{}")])


def check_name(repository: str) -> None:
    """Refuse what can't be a repository's name.

    Raises:
        ConfigurationError: it is not of the form `ORG/NAME`, or has letters that the Hub does not allow.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigurationError(f"expected a repository as ORG/NAME: {error}") from error
    if "/" not in repository:
        raise ConfigurationError(f"expected a repository as ORG/NAME, got {repository}")


def _check_address(repository: str) -> None:
    check_name(repository)
    if get_token() is None:
        raise ConfigurationError(f"{repository}: expected a token of the Hub: run `hf auth login`, or set HF_TOKEN")


@contextmanager
def _one_clear_error(repository: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise HubError(f"{repository}: {_explain(error)}") from error


def _publish(folder: Path, repository: str, private: bool, revision: str | None) -> str:
    api = HfApi()
    main = _look_up(api, repository)
    branch = _look_up(api, repository, revision) if main and revision else main
    parent = branch or main
    _refuse_unfit(api, repository, private, main, parent)

    if main is None:
        api.create_repo(repository, private=private)
    if revision and branch is None:
        api.create_branch(repository, branch=revision)
    commit = api.create_commit(
        repository,
        _operations(folder, parent),
        commit_message=f"Publish weights {weights_sha256(folder)[:12]} (barcodemae {_version()})",
        revision=revision,
        parent_commit=parent.sha if parent else None,
    )
    return commit.commit_url


def _look_up(api: HfApi, repository: str, revision: str | None = None) -> ModelInfo | None:
    try:
        return api.model_info(repository, revision=revision, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None


def _refuse_unfit(api: HfApi, repository: str, private: bool, main: ModelInfo | None, parent: ModelInfo | None) -> None:
    if main is not None and private and not main.private:
        raise HubError(f"{repository} is public: make it private in its settings, or push without --private")
    if parent is not None and "config.json" in _names(parent):
        _refuse_other_models(api, repository, parent)


def _refuse_other_models(api: HfApi, repository: str, at: ModelInfo) -> None:
    content = Path(api.hf_hub_download(repository, "config.json", revision=at.sha)).read_bytes()
    try:
        config_class = json.loads(content)["auto_map"]["AutoConfig"]
    except (ValueError, KeyError, TypeError):
        config_class = None
    if "configuration_barcodemae." not in str(config_class):
        raise HubError(f"{repository} holds another kind of model, which a push would overwrite")


def _operations(folder: Path, parent: ModelInfo | None) -> list[CommitOperationAdd | CommitOperationDelete]:
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    gone = _names(parent) - files.keys() if parent else set()
    stale = sorted(name for name in gone if any(fnmatch(name, pattern) for pattern in _OURS))
    return [
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()),
        *(CommitOperationDelete(path_in_repo=name) for name in stale),
    ]


def _names(at: ModelInfo) -> set[str]:
    return {file.rfilename for file in at.siblings or ()}


def _version() -> str:
    return importlib.metadata.version("barcodemae")


def _explain(error: BaseException) -> str:
    # The client wraps some answers in errors of its own, which say less.
    cause = error
    while not isinstance(cause, HTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, HfHubHTTPError):
        # Not the client's own message: it holds whole addresses, which for large files carry a signature.
        request, status = cause.response.request, cause.response.status_code
        said = f" ({shorten(cause.server_message, 200)})" if cause.server_message else ""
        if status in _REFUSALS:
            return f"{_REFUSALS[status]}{said}"
        reason = f"{request.method} {request.url.path} gave {status}{said}"
    elif isinstance(cause, HTTPError | OfflineModeIsEnabled):
        reason = f"the Hub could not be reached ({str(cause) or type(cause).__name__})"
    else:
        reason = shorten(str(cause), 300)
    return f"the push broke off, and can be repeated: {reason}"
