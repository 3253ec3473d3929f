"""A page that identifies barcodes in the browser: a folder of plain files, which any web server shows."""

import hashlib
import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import yaml

from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.embedding.engines import FRAME
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.models import open_with_model
from barcodemae.outputs import check_output_folder
from barcodemae.page.content import FACTS_FILE, write_content

MAX_RECORDS = 25_000
"""Maximum number of records of a page: 18 MB to load, and 130 queries a second in the browser."""

CARD_FILE, LIST_FILE, CONTENT_FOLDER = "README.md", "files.js", "files"

LIST_BEGIN = "self.PAGE = "
"""Beginning of `LIST_FILE`, which identifies a folder as a page."""

_CARD = """
# {title}

A page that identifies DNA barcodes in the browser: sequences stay on the visitor's machine. Made with `barcodemae page`
([arXiv 2502.18405](https://arxiv.org/abs/2502.18405)).

It is plain files, which any web server shows: a static Space of Hugging Face, GitHub Pages, or
`python -m http.server` in this folder, then http://localhost:8000.
"""


def make_page(folder: str | Path, output: str | Path, model: str | None = None, title: str | None = None) -> Path:
    """Make a page from a library.

    Args:
        folder: of a calibrated library of the base map, or `hub:ORG/NAME`.
        output: a new or empty folder, or an earlier page, which is replaced.
        model: folder or id of the library's model, if not found by the name in the library.
        title: of the page; by default "Barcodes of" and the name of the library's folder.

    Returns:
        The folder of the page.

    Raises:
        LibraryError: the library is missing or damaged, not calibrated, too large, or not of the base map.
        CheckpointError: the model is missing or damaged.
        ConfigurationError: the output has other files.
    """
    output = Path(output)
    check_output_folder(output)
    _check_replaceable(output)
    library, embedder = open_with_model(folder, model)
    if not isinstance(embedder, BaseMapEmbedder):
        raise LibraryError(
            f"{folder}: expected a library of the base map, which browsers compute without the network, got one of the "
            f"engine {library.manifest.model['engine']}; make one: barcodemae index SOURCES -o LIBRARY --engine {FRAME}"
        )
    if len(library.live) > MAX_RECORDS:
        raise LibraryError(
            f"{folder}: expected at most {MAX_RECORDS:,} records, which browsers can load, got {len(library.live):,}; "
            "make a library of the species of interest, with a few records of each"
        )
    calibration = library.calibration()
    if calibration is None or not len(library.live):
        raise LibraryError(f"{folder}: expected a calibrated library with records: barcodemae calibrate {folder}")
    title = f"Barcodes of {library.folder.resolve().name}" if title is None else title
    with written_atomically(output) as scratch:
        with as_file(files("barcodemae.page") / "static") as static:
            shutil.copytree(static, scratch, dirs_exist_ok=True)
        (scratch / CONTENT_FOLDER).mkdir()
        write_content(library, embedder, calibration, title, scratch / CONTENT_FOLDER)
        (scratch / CARD_FILE).write_text(render_card(title), encoding="utf-8")
        _write_list(scratch)
    return output


def is_page(folder: Path) -> bool:
    """Whether a folder is a page that `make_page` made."""
    file = folder / LIST_FILE
    return file.is_file() and file.read_bytes().startswith(LIST_BEGIN.encode())


def page_files(folder: Path) -> dict[str, Path]:
    """The files of a page by their path in it.

    Raises:
        ConfigurationError: the folder is not a page, or lacks one of its files.
    """
    if not is_page(folder):
        raise ConfigurationError(f"{folder}: expected a page (barcodemae page LIBRARY --output FOLDER)")
    listed = json.loads((folder / LIST_FILE).read_text(encoding="utf-8").removeprefix(LIST_BEGIN).rstrip(";\n"))
    found = {name: folder / name for name in (*listed["files"], LIST_FILE, CARD_FILE)}
    for name, file in found.items():
        if not file.is_file():
            raise ConfigurationError(f"{folder}: expected the file {name} of the page, found none; make the page again")
    return found


def page_title(folder: Path) -> str:
    """The title of a page."""
    return json.loads((folder / CONTENT_FOLDER / FACTS_FILE).read_text(encoding="utf-8"))["title"]


def render_card(title: str, license: str | None = None) -> str:
    """The card of a page, with the metadata of a static Space of Hugging Face.

    Args:
        title: of the page.
        license: of the records, as an identifier of the Hub; None before it is published.
    """
    metadata = {"title": title, "sdk": "static", "app_file": "index.html", "pinned": False}
    metadata |= {} if license is None else {"license": license}
    header = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n{_CARD.format(title=title)}"


def _check_replaceable(output: Path) -> None:
    if output.is_dir() and any(output.iterdir()) and not is_page(output):
        raise ConfigurationError(f"{output}: expected a new or empty folder, or an earlier page, got other files")


def _write_list(folder: Path) -> None:
    """List the files of the page and a digest of all of them, by which a browser knows a new version."""
    listed = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    listed.remove(CARD_FILE)
    digest = hashlib.sha256()
    for name in listed:
        digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    content = json.dumps({"version": digest.hexdigest()[:16], "files": listed}, indent=1)
    (folder / LIST_FILE).write_text(f"{LIST_BEGIN}{content};\n", encoding="utf-8")
