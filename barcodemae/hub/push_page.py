"""Publishing a page on the Hub, as a static Space."""

import tempfile
from pathlib import Path

from barcodemae.errors import ConfigurationError
from barcodemae.hub.commit import Kind, check_address, publish
from barcodemae.hub.private import refuse_links, refuse_private
from barcodemae.page.making import CARD_FILE, LIST_BEGIN, LIST_FILE, page_files, page_title, render_card


def push_page(page: Path, repository: str, license: str, private: bool = False, revision: str | None = None) -> str:
    """Publish a page with its card, in one commit. If it fails, the push can be repeated.

    Args:
        page: its folder.
        repository: `ORG/NAME` of a Space on the Hub, made where it does not exist.
        license: of the records, as an identifier of the Hub.
        private: whether only members see the Space. One that is public already is refused.
        revision: a branch, made from main where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository contains another Space.
        ConfigurationError: there is no token, the name isn't of the form `ORG/NAME`, or a file must not be published.
    """
    check_address(repository)
    with tempfile.TemporaryDirectory() as scratch:
        files = assemble_page(page, license, Path(scratch))
        return publish(files, repository, _PAGE, "Publish a page", private, revision)


def assemble_page(page: Path, license: str, scratch: Path) -> dict[str, Path]:
    """The files of a Space: those of the page, and its card with the licence.

    Args:
        page: its folder.
        license: of the records.
        scratch: an empty folder, for the card.

    Returns:
        Files by their path in the repository.

    Raises:
        ConfigurationError: the folder is not a page, the licence is empty, or a file is a link or contains a secret or
            a path of a machine.
    """
    if not license.strip():
        raise ConfigurationError("expected the licence of the records, got an empty text")
    files = page_files(page)
    refuse_links(page, files.values())
    (scratch / CARD_FILE).write_text(render_card(page_title(page), license), encoding="utf-8")
    files[CARD_FILE] = scratch / CARD_FILE
    refuse_private(files, page, "page")
    return files


_PATTERNS = ("*.html", "*.css", "*.svg", "*.js", "**/*.js", "files/*", CARD_FILE)
_PAGE = Kind("space", LIST_FILE, lambda content: content.startswith(LIST_BEGIN.encode()), _PATTERNS, "Space")
