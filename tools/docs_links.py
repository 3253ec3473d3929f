"""A hook of MkDocs: what a page links to outside of docs/ (results, plots) becomes part of the site."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"\]\(([^)#\s:]+)\)")
_PLACE = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to, and those that these link to in turn."""
    root = Path(config.config_file_path).parent
    pages = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    added: set[Path] = set()
    while pages:
        page = pages.pop()
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            is_outside = root in path.parents and Path(config.docs_dir) not in path.parents
            if is_outside and path.is_file() and path not in added:
                added.add(path)
                pages += [path] if path.suffix == ".md" else []
    for path in sorted(added):
        name = f"{_PLACE}/{path.relative_to(root).as_posix()}"
        files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of pages in docs/ to where their targets are on the site."""
    return markdown if page.file.src_uri.startswith(_PLACE) else markdown.replace("](../", f"]({_PLACE}/")
