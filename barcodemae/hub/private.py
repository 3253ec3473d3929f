"""Searches files for secrets and for paths of a machine before they are published.

The patterns of keys are those that their issuers document, or that are in the rules of gitleaks (config/gitleaks.toml
in gitleaks/gitleaks) and the plugins of Yelp/detect-secrets. Neither tool is used itself: the first is not a Python
package, and the second mistakes checksums, of which our files are full, for secrets.
"""

import mmap
import os
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from huggingface_hub import get_token

import barcodemae
from barcodemae.errors import ConfigurationError

# Fixed bytes, and a pattern of what follows them. Gigabytes are searched quickly for the fixed bytes, and both together
# are so long that random bytes, such as weights, do not match.
_ANYWHERE = {
    "what looks like a Hub token": ((b"hf_", rb"[A-Za-z0-9]{20}"), (b"api_org_", rb"[A-Za-z0-9]{20}")),
    "what looks like an AWS key": tuple((kind, rb"[A-Z0-9]{16}(?![A-Za-z0-9])") for kind in (b"AKIA", b"ASIA")),
    "what looks like a GitHub token": (
        *((kind, rb"[A-Za-z0-9]{36}") for kind in (b"ghp_", b"gho_", b"ghs_", b"ghu_", b"ghr_")),
        (b"github_pat_", rb"[A-Za-z0-9_]{36}"),
    ),
    "what looks like a GitLab token": ((b"glpat-", rb"[A-Za-z0-9_-]{20}"),),
    "what looks like a Slack token": ((b"xox", rb"[a-z]-[A-Za-z0-9-]{10}"), (b"hooks.slack.com/services/", rb"T")),
    "what looks like a Google key": ((b"AIza", rb"[A-Za-z0-9_-]{35}"), (b"GOCSPX-", rb"[A-Za-z0-9_-]{20}")),
    "what looks like a key of OpenAI or Anthropic": (
        (b"sk-", rb"(?:(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20}|[A-Za-z0-9]{32})"),
    ),
    "what looks like a key of wandb": ((b"wandb_v", rb"\d_[A-Za-z0-9_]{20}"), (b"local-", rb"[0-9a-f]{40}")),
    "what looks like a token of a package index": (
        (b"pypi-AgE", rb"[A-Za-z0-9_-]{40}"),
        (b"npm_", rb"[A-Za-z0-9]{36}"),
    ),
    "what looks like a JSON web token": (
        (b"eyJ", rb"[A-Za-z0-9_-]{10,999}\.eyJ[A-Za-z0-9_-]{10,2999}\.[A-Za-z0-9_-]{10}"),
    ),
    "a private key": ((b"-----BEGIN ", rb"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY"),),
    "the path of a home folder": ((b"/home/", rb"[A-Za-z0-9._-]+"), (b"/Users/", rb"[A-Za-z0-9._-]+")),
}
# Files are searched in blocks; the overlap of two blocks is longer than anything that is searched for.
_BLOCK_BYTES, _OVERLAP_BYTES = 1 << 24, 1 << 12

# Random bytes may match these, so they are searched for in text only.
_IN_TEXT = {
    "an address with a password": (rb"://[^\s/:@\"'<>{}]*:[^\s/@\"'<>{}]+@",),
    "what looks like a password": (
        rb"(?i:passw(?:or)?d|api_?key|secret(?:_?access)?_?key|auth_?token|access_?token)"
        rb"[\"']?\s{0,3}[:=]\s{0,3}[\"']?[^\s\"',;(){}\[\]<>]{8}",
    ),
    "a path of Windows": (rb":\\{1,2}[^\\/:*?\"<>|\s][^\\/:*?\"<>|\r\n]*\\", rb"\\{2,4}[\w.-]+\\{1,2}[\w.$-]+\\"),
    "a path of this or another machine": (
        rb"/(?:root|mnt|data|scratch|media|Volumes|tmp|var|srv|opt|work|workspace|gpfs|lustre|nfs|beegfs|projects?|users)"
        rb"/[\w.-]+",
        rb"/root(?![\w/-])",
    ),
}

# A key of wandb looks like the id of a commit, so it counts only where no such id is expected.
_HEXADECIMAL = re.compile(rb"(?<![0-9A-Za-z/@_.-])[0-9a-f]{40}(?![0-9A-Za-z_-])")
_COMMIT = re.compile(rb"(?i:commit|revision|sha|hash|version)[\w\s\"'=:`*|-]{0,20}$")

_TEXT_SUFFIXES = {".json", ".jsonl", ".md", ".py", ".txt", ".yaml", ".yml", ".html", ".toml"}
# The records of a library are the user's own responsibility: only patterns for any kind of file are searched for.
_RECORDS_SUFFIX = ".arrow"
_HEADER_LENGTH = 8  # bytes with the size of the JSON header of a safetensors file
_MAX_TEXT = 1 << 28
_PRINTABLE = re.compile(rb"[\x20-\x7e]{16,}")
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])|\\(/)")


def refuse_private(files: Mapping[str, Path], origin: Path, noun: str) -> None:
    """Search files for keys, tokens and passwords of the common kinds, and for paths of this or another machine.

    Text files are searched for all patterns. All bytes of weights and other binary files are searched for the patterns
    that random bytes do not match, and their text (the header of safetensors, the strings of ONNX) for the rest.

    Args:
        files: by their names in the repository.
        origin: the folder that is published.
        noun: what that folder is, for the message.

    Raises:
        ConfigurationError: a file contains a secret or a path.
    """
    own = {
        "your Hub token": get_token(),
        "the path of your home folder": _home_folder(),
        "the path of the working directory": _as_folder(Path.cwd()),
        f"the path of the {noun}": _as_folder(origin.resolve().parent),
        "the path of installed packages": _as_folder(Path(sysconfig.get_paths()["purelib"])),
        "the path of this package": _as_folder(Path(barcodemae.__file__).parent.parent),
    }
    secrets = {what: os.fsencode(text) for what, text in own.items() if text}
    for name, file in files.items():
        if file.stat().st_size == 0:
            continue  # an empty file can't be mapped
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = next(_find(content, _extract_text(file.suffix, content), secrets), None)
        if found:
            raise ConfigurationError(f"{name}: must not be published, as it contains {found}")


def refuse_links(folder: Path, files: Iterable[Path]) -> None:
    """Refuse links, since a look at the folder would not show what is published.

    A snapshot in the Hub's cache consists of links to `blobs` of the same repository: those are allowed.

    Args:
        folder: the folder that is published; it may be a link itself.
        files: files in it.

    Raises:
        ConfigurationError: a file is a link, or is in a folder that is a link.
    """
    cache = folder.absolute().parent
    blobs = (cache.parent / "blobs").resolve() if cache.name == "snapshots" else None
    for file in files:
        folders = file.relative_to(folder).parents
        if any((folder / one).is_symlink() for one in list(folders)[:-1]) or (
            file.is_symlink() and file.resolve().parent != blobs
        ):
            raise ConfigurationError(f"{file}: expected a file, got a link: replace it by a copy of the file")


def _find(content: mmap.mmap, text: bytes, secrets: Mapping[str, bytes]) -> Iterator[str]:
    for begin in range(0, len(content), _BLOCK_BYTES):
        yield from _find_in_bytes(content[begin : begin + _BLOCK_BYTES + _OVERLAP_BYTES], secrets)
    yield from _find_in_bytes(text, secrets)
    for what, patterns in _IN_TEXT.items():
        for match in (match for pattern in patterns for match in re.finditer(pattern, text)):
            if not _continues_a_word(what, text, match.start()):
                yield f"{what} ({_abbreviate(match[0])})"
    for match in _HEXADECIMAL.finditer(text):
        if not _COMMIT.search(text, max(0, match.start() - 60), match.start()):
            yield f"what looks like a key of wandb ({_abbreviate(match[0])})"


def _find_in_bytes(content: bytes, secrets: Mapping[str, bytes]) -> Iterator[str]:
    for what, secret in secrets.items():
        if secret in content:
            yield what
    for what, kinds in _ANYWHERE.items():
        for fixed, rest in kinds:
            begin = content.find(fixed)
            while begin >= 0:
                follows = re.compile(rest).match(content, begin + len(fixed))
                if follows and not _continues_a_word(what, content, begin):
                    yield f"{what} ({_abbreviate(fixed + follows[0])})"
                begin = content.find(fixed, begin + 1)


def _continues_a_word(what: str, content: bytes, begin: int) -> bool:
    """Whether a match is only the end of a word or address (`task-force_..`, `example.org/data/x`)."""
    before = content[begin - 1 : begin] if begin else b""
    if what.startswith("an address"):
        return False
    if what == "a path of Windows" and content[begin : begin + 1] == b":":
        return not before.isalpha() or content[max(0, begin - 2) : begin - 1].isalnum()
    if what == "a path of Windows":  # otherwise a regular expression
        return not re.match(rb"[\s\"'=]?$", before)
    return bool(re.match(rb"[\w.~%})>-]" if content[begin : begin + 1] == b"/" else rb"[A-Za-z0-9]", before))


def _abbreviate(secret: bytes) -> str:
    """Enough of a secret to find it, and too little to use it."""
    return secret[:6].decode("ascii", "replace") + ".."


def _extract_text(suffix: str, content: mmap.mmap) -> bytes:
    if suffix in _TEXT_SUFFIXES:
        return _ESCAPED.sub(_unescaped, content[:_MAX_TEXT])
    if suffix == ".safetensors":
        length = int.from_bytes(content[:_HEADER_LENGTH], "little")
        return _ESCAPED.sub(_unescaped, content[_HEADER_LENGTH : _HEADER_LENGTH + min(length, _MAX_TEXT)])
    if suffix == _RECORDS_SUFFIX:
        return b""
    return b"\n".join(match[0] for match in _PRINTABLE.finditer(content))


def _unescaped(match: re.Match[bytes]) -> bytes:
    return match[2] or bytes([int(match[1], 16)])


def _home_folder() -> str | None:
    """The home folder; None in a container whose user the system does not know and that has no variable HOME."""
    try:
        return _as_folder(Path.home())
    except RuntimeError:
        return None


def _as_folder(path: Path) -> str | None:
    """A folder as the beginning of a longer path; None for the root, which is in every path."""
    return None if path == Path(path.anchor) else f"{path}/"
