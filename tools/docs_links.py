"""A hook of MkDocs: README.md is the front page, and what pages link to outside of docs/ becomes part of the site."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
_FRONT_PAGE = {"README.md": "index.md"}
_OUTSIDE = "repository"  # where the site has what is not in docs/


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the front page, the files that pages link to, and those that these link to in turn."""
    root = Path(config.config_file_path).parent
    pages = [root / "README.md", *(Path(one.abs_src_path) for one in files.documentation_pages() if one.abs_src_path)]
    added = {root / "README.md"}
    while pages:
        page = pages.pop()
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if path.is_file() and root in path.parents and root / "docs" not in path.parents and path not in added:
                added.add(path)
                pages += [path] if path.suffix == ".md" else []
    for path in sorted(added):
        files.append(File.generated(config, _on_site(path.relative_to(root)), content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to where their targets are on the site. A folder is left out: the site has none to show."""
    here = page.file.src_uri
    source = _in_repository(here)

    def on_site(match: re.Match[str]) -> str:
        target = PurePosixPath(normpath(source.parent / match[1]))
        if (Path(config.config_file_path).parent / target).is_dir():
            target /= "README.md"
        return relpath(_on_site(target), PurePosixPath(here).parent)

    return _LINK.sub(on_site, markdown)


def _on_site(path: Path | PurePosixPath) -> str:
    name = path.as_posix()
    return _FRONT_PAGE.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else f"{_OUTSIDE}/{name}")


def _in_repository(name: str) -> PurePosixPath:
    for source, page in _FRONT_PAGE.items():
        if name == page:
            return PurePosixPath(source)
    outside = name.removeprefix(f"{_OUTSIDE}/")
    return PurePosixPath(outside if outside != name else f"docs/{name}")
