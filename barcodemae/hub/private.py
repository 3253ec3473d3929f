"""Secrets and paths of a machine are looked for in whatever is to be published.

The forms of keys are those that their issuers document, or that the rules of gitleaks (config/gitleaks.toml in
gitleaks/gitleaks) and the plugins of Yelp/detect-secrets look for. Neither is used as it is: the first is no Python
package, and the second takes checksums, of which our files are full, for secrets.
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

# Each begins with fixed bytes, for which gigabytes are searched soon, and has so many of them that no weights match.
_ANYWHERE = {
    "what looks like a Hub token": (rb"hf_[A-Za-z0-9]{20}", rb"api_org_[A-Za-z0-9]{20}"),
    "what looks like an AWS key": (rb"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])", rb"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    "what looks like a GitHub token": (rb"gh[opsur]_[A-Za-z0-9]{36}", rb"github_pat_[A-Za-z0-9_]{36}"),
    "what looks like a GitLab token": (rb"glpat-[A-Za-z0-9_-]{20}",),
    "what looks like a Slack token": (rb"xox[a-z]-[A-Za-z0-9-]{10}", rb"hooks\.slack\.com/services/T"),
    "what looks like a Google key": (rb"AIza[A-Za-z0-9_-]{35}", rb"GOCSPX-[A-Za-z0-9_-]{20}"),
    "what looks like a key of OpenAI or Anthropic": (
        rb"sk-(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20}",
        rb"sk-[A-Za-z0-9]{32}",
    ),
    "what looks like a key of wandb": (rb"wandb_v\d_[A-Za-z0-9_]{20}", rb"local-[0-9a-f]{40}"),
    "what looks like a token of a package index": (rb"pypi-AgE[A-Za-z0-9_-]{40}", rb"npm_[A-Za-z0-9]{36}"),
    "what looks like a JSON web token": (rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10}",),
    "a private key": (rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY",),
    "the path of a home folder": (rb"/home/[A-Za-z0-9._-]+", rb"/Users/[A-Za-z0-9._-]+"),
}

# What random bytes may hold: looked for in text alone.
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

# A key of wandb has no other form than a commit's id, so it counts where such an id has no place.
_HEXADECIMAL = re.compile(rb"(?<![0-9A-Za-z/@_.-])[0-9a-f]{40}(?![0-9A-Za-z_-])")
_COMMIT = re.compile(rb"(?i:commit|revision|sha|hash|version)[\w\s\"'=:`*|-]{0,20}$")

_TEXT_SUFFIXES = {".json", ".jsonl", ".md", ".py", ".txt", ".yaml", ".yml", ".html", ".toml"}
# The records of a library are its user's to look at: what is searched in them is what is searched anywhere.
_RECORDS_SUFFIX = ".arrow"
_HEADER_LENGTH = 8  # of the JSON that a safetensors file begins with
_MOST_TEXT = 1 << 28
_PRINTABLE = re.compile(rb"[\x20-\x7e]{16,}")
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])|\\(/)")


def refuse_private(files: Mapping[str, Path], origin: Path, called: str) -> None:
    """Search files for keys, tokens and passwords of the common kinds, and for paths of this or another machine.

    Text files are searched as a whole; of weights and other binary files, all bytes for what random ones do not hold,
    and their text (the header of safetensors, the strings of ONNX) for the rest.

    Args:
        files: by the name that they are to have.
        origin: the folder that is published.
        called: what that folder is, for the message.

    Raises:
        ConfigurationError: one holds such a thing.
    """
    own = {
        "your Hub token": get_token(),
        "the path of your home folder": _home_folder(),
        "the path of the working directory": _as_folder(Path.cwd()),
        f"the path of the {called}": _as_folder(origin.resolve().parent),
        "the path of installed packages": _as_folder(Path(sysconfig.get_paths()["purelib"])),
        "the path of this package": _as_folder(Path(barcodemae.__file__).parent.parent),
    }
    secrets = {what: os.fsencode(text) for what, text in own.items() if text}
    for name, file in files.items():
        if file.stat().st_size == 0:
            continue  # can't be mapped, and holds nothing
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = next(_found(content, _text_of(file.suffix, name, content), secrets), None)
        if found:
            raise ConfigurationError(f"{name}: must not be published, for it holds {found}")


def refuse_links(folder: Path, files: Iterable[Path]) -> None:
    """Refuse files whose content lies elsewhere: nobody who looks at the folder would know what is published.

    A snapshot in the Hub's cache consists of links, to `blobs` of the same repository: those are followed.

    Args:
        folder: that is published; it may be a link itself.
        files: in it.

    Raises:
        ConfigurationError: one is a link, or lies in a folder that is one.
    """
    cache = folder.absolute().parent
    blobs = (cache.parent / "blobs").resolve() if cache.name == "snapshots" else None
    for file in files:
        within = [
            folder / Path(*file.relative_to(folder).parts[:n]) for n in range(1, len(file.relative_to(folder).parts))
        ]
        if any(map(Path.is_symlink, within)) or (file.is_symlink() and file.resolve().parent != blobs):
            raise ConfigurationError(f"{file}: expected a file, got a link, and links are not published: copy it there")


def _found(content: mmap.mmap, text: bytes, secrets: Mapping[str, bytes]) -> Iterator[str]:
    for what, secret in secrets.items():
        if content.find(secret) >= 0 or secret in text:
            yield what
    for searched, kinds in ((content, _ANYWHERE), (text, _ANYWHERE | _IN_TEXT)):
        for what, patterns in kinds.items():
            for match in (match for pattern in patterns for match in re.finditer(pattern, searched)):
                if not _goes_on(what, searched, match.start()):
                    yield f"{what} ({_shown(match)})"
    for match in _HEXADECIMAL.finditer(text):
        if not _COMMIT.search(text, max(0, match.start() - 60), match.start()):
            yield f"what looks like a key of wandb ({_shown(match)})"


def _goes_on(what: str, content: mmap.mmap | bytes, begin: int) -> bool:
    """Whether a match is but the end of a word or address (`task-force_..`, `example.org/data/x`)."""
    before = content[begin - 1 : begin] if begin else b""
    if what.startswith("an address"):
        return False
    if what == "a path of Windows" and content[begin : begin + 1] == b":":
        return not before.isalpha() or content[max(0, begin - 2) : begin - 1].isalnum()
    if what == "a path of Windows":  # else a regular expression
        return not re.match(rb"[\s\"'=]?$", before)
    return bool(re.match(rb"[\w.~%})>-]" if content[begin : begin + 1] == b"/" else rb"[A-Za-z0-9]", before))


def _shown(match: re.Match[bytes]) -> str:
    """Enough to find it by, and too little to use it."""
    return match[0][:6].decode("ascii", "replace") + ".."


def _text_of(suffix: str, name: str, content: mmap.mmap) -> bytes:
    if suffix in _TEXT_SUFFIXES:
        return _ESCAPED.sub(_unescaped, content[:_MOST_TEXT])
    if suffix == ".safetensors":
        length = int.from_bytes(content[:_HEADER_LENGTH], "little")
        return _ESCAPED.sub(_unescaped, content[_HEADER_LENGTH : _HEADER_LENGTH + min(length, _MOST_TEXT)])
    if suffix == _RECORDS_SUFFIX:
        return b""
    return b"\n".join(match[0] for match in _PRINTABLE.finditer(content))


def _unescaped(match: re.Match[bytes]) -> bytes:
    return match[2] or bytes([int(match[1], 16)])


def _home_folder() -> str | None:
    """None for a user whom the system does not know, as containers run them, and who has no variable HOME."""
    try:
        return _as_folder(Path.home())
    except RuntimeError:
        return None


def _as_folder(path: Path) -> str | None:
    """As it would begin a longer path; none for the root, which says nothing."""
    return None if path == Path(path.anchor) else f"{path}/"
