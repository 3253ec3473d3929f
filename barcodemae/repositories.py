"""Names of repositories on the Hub, and messages for the errors of its client."""

from collections.abc import Mapping
from textwrap import shorten

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from barcodemae.errors import ConfigurationError


def check_name(repository: str) -> None:
    """Check the name of a repository.

    Raises:
        ConfigurationError: it is not of the form `ORG/NAME`, or has characters that the Hub does not allow.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigurationError(f"expected a repository as ORG/NAME: {error}") from error
    if "/" not in repository:
        raise ConfigurationError(f"expected a repository as ORG/NAME, got {repository}")


def explain_error(error: BaseException, refusals: Mapping[int, str]) -> tuple[str, bool]:
    """Explain an error of the Hub's client.

    Args:
        error: the error that the client raised.
        refusals: HTTP status -> explanation.

    Returns:
        The explanation, and whether the Hub has refused the request, so that it is useless to repeat it.
    """
    # The client wraps some HTTP errors in errors of its own, which say less.
    cause = error
    while not isinstance(cause, HTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, HfHubHTTPError):
        # Without the client's message, which contains whole addresses, for large files with their signature.
        request, status = cause.response.request, cause.response.status_code
        message = f" ({shorten(cause.server_message, 200)})" if cause.server_message else ""
        if status in refusals:
            return f"{refusals[status]}{message}", True
        return f"{request.method} {request.url.path} gave {status}{message}", False
    if isinstance(cause, HTTPError | OfflineModeIsEnabled):
        return f"the Hub could not be reached ({str(cause) or type(cause).__name__})", False
    return shorten(str(cause), 300), False
