"""Repositories of the Hub: what may be the name of one, and why it could not be read or written."""

from collections.abc import Mapping
from textwrap import shorten

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from barcodemae.errors import ConfigurationError


def check_name(repository: str) -> None:
    """Refuse what can't be a repository's name.

    Raises:
        ConfigurationError: it is not of the form `ORG/NAME`, or has bases that the Hub does not allow.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigurationError(f"expected a repository as ORG/NAME: {error}") from error
    if "/" not in repository:
        raise ConfigurationError(f"expected a repository as ORG/NAME, got {repository}")


def reason_of(error: BaseException, refusals: Mapping[int, str]) -> tuple[str, bool]:
    """What went wrong between us and the Hub.

    Args:
        error: what its client raised.
        refusals: by status of HTTP, in words.

    Returns:
        The reason in words, and whether the Hub has refused, so that to repeat it is of no use.
    """
    # The client wraps some answers in errors of its own, which say less.
    cause = error
    while not isinstance(cause, HTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, HfHubHTTPError):
        # Not the client's own message: it holds whole addresses, which for large files carry a signature.
        request, status = cause.response.request, cause.response.status_code
        said = f" ({shorten(cause.server_message, 200)})" if cause.server_message else ""
        if status in refusals:
            return f"{refusals[status]}{said}", True
        return f"{request.method} {request.url.path} gave {status}{said}", False
    if isinstance(cause, HTTPError | OfflineModeIsEnabled):
        return f"the Hub could not be reached ({str(cause) or type(cause).__name__})", False
    return shorten(str(cause), 300), False
