"""Publishing a reference library on the Hub, as a data set."""

import json
import tempfile
from pathlib import Path

from barcodemae.errors import ConfigurationError
from barcodemae.hub.commit import Kind, check_address, publish
from barcodemae.hub.library_card import render_library_card
from barcodemae.hub.private import refuse_links, refuse_private
from barcodemae.library.store.fetching import LIBRARY_PATTERNS
from barcodemae.library.store.manifest import MANIFEST_FILE, check_files, read_manifest


def push_library(
    library: Path, repository: str, license: str, private: bool = False, revision: str | None = None
) -> str:
    """Publish a library with its card, in one commit. If it fails, the push can be repeated.

    Args:
        library: its folder.
        repository: `ORG/NAME` of a data set on the Hub, made where it does not exist.
        license: of the records, as an identifier of the Hub.
        private: whether only members see the repository. A repository that is public already is refused.
        revision: a branch, made from main where it does not exist.

    Returns:
        The address of the commit.

    Raises:
        HubError: the Hub can't be reached, or refuses; the repository contains another kind of data set.
        ConfigurationError: there is no token, the name isn't of the form `ORG/NAME`, or a file must not be published.
        LibraryError: the library is missing, incomplete or damaged.
    """
    check_address(repository)
    with tempfile.TemporaryDirectory() as scratch:
        files = assemble_library(library, repository, license, Path(scratch))
        num_records = read_manifest(library).num_records
        return publish(files, repository, _LIBRARY, f"Publish {num_records:,} records", private, revision)


def assemble_library(library: Path, repository: str, license: str, scratch: Path) -> dict[str, Path]:
    """The files of a library's repository: those named in its manifest, and its card.

    Locks, scratch folders and the remains of interrupted writers are not published.

    Args:
        library: its folder.
        repository: id on the Hub, for the snippets of the card.
        license: of the records.
        scratch: an empty folder, for the card.

    Returns:
        Files by their path in the repository.

    Raises:
        LibraryError: the library is missing, incomplete or damaged.
        ConfigurationError: the licence is empty, or a file is a link or contains a secret or a path of a machine.
    """
    if not license.strip():
        raise ConfigurationError("expected the licence of the records, got an empty text")
    manifest = read_manifest(library)
    check_files(library, manifest)
    # The manifest as it was checked: a writer may replace the file at any time.
    (scratch / MANIFEST_FILE).write_text(manifest.as_text(), encoding="utf-8")
    (scratch / "README.md").write_text(render_library_card(library, repository, license), encoding="utf-8")
    files = {name: library / name for name in manifest.files()}
    refuse_links(library, [library / MANIFEST_FILE, *files.values()])
    files |= {name: scratch / name for name in (MANIFEST_FILE, "README.md")}
    refuse_private(files, library, "library")
    return files


def _is_ours(manifest: bytes) -> bool:
    try:
        return {"version", "model", "segments"} <= json.loads(manifest).keys()
    except (ValueError, AttributeError):
        return False


_LIBRARY = Kind("dataset", MANIFEST_FILE, _is_ours, LIBRARY_PATTERNS, "data set")
