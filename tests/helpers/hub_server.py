"""A Hub on loopback for tests, with its state in memory, that the real clients talk to through `HF_ENDPOINT`.

Its responses are derived from what the clients send and read (huggingface_hub 1.5 to 2.4: hf_api.py, _commit_api.py,
lfs.py, file_download.py, utils/_http.py, and its documentation and issues for the refusals), and from Git LFS's batch
API. As on the Hub, large files are in a store of another origin, which accepts signed addresses and no tokens.
A data set is a repository whose name begins with `datasets/`, a Space one with `spaces/`, as in the Hub's addresses.
Left out: Xet, uploads in parts (`HF_HUB_DISABLE_XET=1`), pull requests, and pages of a long listing.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch
from functools import cached_property, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

DATASETS, SPACES = "datasets/", "spaces/"

LFS_THRESHOLD = 10 * 1024**2

# The head of what the Hub commits into every new repository.
GITATTRIBUTES = b"""*.bin filter=lfs diff=lfs merge=lfs -text
*.npz filter=lfs diff=lfs merge=lfs -text
*.onnx filter=lfs diff=lfs merge=lfs -text
*.parquet filter=lfs diff=lfs merge=lfs -text
*.pt filter=lfs diff=lfs merge=lfs -text
*.safetensors filter=lfs diff=lfs merge=lfs -text
*tfevents* filter=lfs diff=lfs merge=lfs -text
"""


@dataclass(frozen=True)
class User:
    """Who a token belongs to, and what it may do."""

    name: str
    organizations: tuple[str, ...] = ()
    role: str = "write"

    def belongs_to(self, repository: str) -> bool:
        return _id(repository).split("/")[0] in (self.name, *self.organizations)


@dataclass(frozen=True)
class Blob:
    """A file's content. Of one under LFS, git holds a pointer, and its id is the SHA-256 instead of git's."""

    content: bytes
    is_lfs: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        size = len(self.content)
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()

    @cached_property
    def git_oid(self) -> str:
        stored = self.pointer if self.is_lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_oid

    def as_entry(self, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "oid": self.git_oid, "size": len(self.content), "path": path}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of the repository."""

    title: str
    files: dict[str, Blob]
    parent: str | None = None
    date: str = field(default_factory=lambda: datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"))

    @cached_property
    def oid(self) -> str:
        tree = sorted((path, blob.git_oid) for path, blob in self.files.items())
        return hashlib.sha1(json.dumps([self.title, self.parent, self.date, tree]).encode()).hexdigest()


class Repository:
    """Commits by their id, oldest first, and the names that point at them."""

    def __init__(self, private: bool):
        first = Commit("initial commit", {".gitattributes": Blob(GITATTRIBUTES)})
        self.private = private
        self.commits = {first.oid: first}
        self.branches = {"main": first.oid}
        self.tags: dict[str, str] = {}

    def at(self, revision: str) -> Commit:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def add(self, branch: str, commit: Commit) -> None:
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid


@dataclass(frozen=True)
class Call:
    """A request, and the step that handles it."""

    step: str
    method: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """A response; content that is not bytes is sent as JSON."""

    content: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error of the Hub, with the two headers by which its clients distinguish errors."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        headers |= {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.response = Response({"error": message}, status, headers)


@dataclass
class Failure:
    """The failure of a step, instead of its work or after it."""

    status: int | None
    times: int
    after: bool


_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = []
_PARTS = {
    "kind": "models|datasets|spaces",
    "kind_folder": f"{DATASETS}|{SPACES}",
    "repo": "[^/]+/[^/]+?",
    "revision": "[^/]+",
    "path": ".+",
    "oid": "[0-9a-f]{64}",
}


def _route(methods: str, template: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Methods and address of a step; `repo` is handed to it with `datasets/` or `spaces/` where the address has it."""
    pattern = template.replace(".git", r"\.git")
    for name, part in _PARTS.items():
        pattern = pattern.replace(f"{{{name}}}", f"(?P<{name}>{part})")

    def register(function: Callable[..., Response]) -> Callable[..., Response]:
        _ROUTES.extend((method, re.compile(pattern), function) for method in methods.split())
        return function

    return register


class HubServer:
    """The Hub, while its `with` block lasts.

    Attributes:
        users: by token.
        repositories: by `ORG/NAME`.
        calls: all requests so far. The name of a step is that of the method below that handles it.
    """

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.calls: list[Call] = []
        self._objects: dict[str, bytes] = {}
        self._signatures: dict[str, tuple[str, int]] = {}
        self._failures: dict[str, Failure] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def store(self) -> str:
        """Address of the store of large files: the same server, but another origin."""
        return f"http://localhost:{self._http.server_port}/lfs"

    def run(
        self, home: Path, *arguments: object, token: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in a process for which this is the Hub.

        Args:
            home: the process's `HF_HOME`; a token that is stored on this machine lies elsewhere.
            *arguments: of `python`.
            token: the process's.
            **variables: more of its environment.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1,localhost"}
        environment |= {"HF_TOKEN": token} if token else {}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def fail(self, step: str, status: int | None = None, times: int = 1, after: bool = False) -> None:
        """Let a step fail the next few times.

        Args:
            step: name of one of the methods below.
            status: of the response; None drops the connection without a response.
            times: how often.
            after: do the work first, so that only the response is lost.
        """
        self._failures[step] = Failure(status, times, after)

    def mend(self) -> None:
        """Let nothing fail any more."""
        self._failures.clear()

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes]:
        """Content of the files at a revision, by path."""
        return {path: blob.content for path, blob in self.repositories[repository].at(revision).files.items()}

    def respond(self, method: str, target: str, headers: Any, body: bytes) -> Response | None:
        """The response to a request; None drops the connection."""
        address = urlsplit(target)
        for known_method, pattern, function in _ROUTES:
            if method == known_method and (match := pattern.fullmatch(address.path)):
                call = Call(function.__name__, method, parse_qs(address.query), headers, body)
                with self._lock:
                    return self._do(call, partial(function, self, call, **_unquoted(match)))
        return Response({"error": f"no such endpoint: {method} {address.path}"}, 404)

    def _do(self, call: Call, work: Callable[[], Response]) -> Response | None:
        self.calls.append(call)
        failure = self._failures.get(call.step)
        if failure is not None and failure.times > 0:
            failure.times -= 1
            if failure.after:
                work()
            return None if failure.status is None else Refused(failure.status, "made to fail").response
        try:
            return work()
        except Refused as refusal:
            return refusal.response

    # Users and their permissions.

    def _user(self, call: Call) -> User | None:
        given = call.headers.get("Authorization")
        if given is None:
            return None
        user = self.users.get(given.removeprefix("Bearer "))
        if user is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        return user

    def _readable(self, call: Call, repo: str) -> Repository:
        user, found = self._user(call), self.repositories.get(repo)
        if found is None or (found.private and (user is None or not user.belongs_to(repo))):
            if user is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        return found

    def _writable(self, call: Call, repo: str) -> Repository:
        found, user = self._readable(call, repo), self._user(call)
        if user is None:
            raise Refused(401, "Invalid username or password.")
        if user.role != "write" or not user.belongs_to(repo):
            raise Refused(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        return found

    # The steps.

    @_route("GET", "/api/whoami-v2")
    def whoami(self, call: Call) -> Response:
        user = self._user(call)
        if user is None:
            raise Refused(401, "Invalid username or password.")
        token = {"displayName": "test", "role": user.role}
        return Response(
            {
                "type": "user",
                "name": user.name,
                "orgs": [{"type": "org", "name": name} for name in user.organizations],
                "auth": {"type": "access_token", "accessToken": token},
            }
        )

    @_route("POST", "/api/repos/create")
    def create(self, call: Call) -> Response:
        user, wanted = self._user(call), call.json
        if user is None:
            raise Refused(401, "Invalid username or password.")
        namespace = wanted.get("organization") or user.name
        kind_folder = {"dataset": DATASETS, "space": SPACES}.get(wanted.get("type"), "")
        if kind_folder == SPACES and wanted.get("sdk") != "static":
            raise Refused(400, "sdk: expected static, which needs no hardware")
        repo = f"{kind_folder}{namespace}/{wanted['name']}"
        if user.role != "write" or not user.belongs_to(repo):
            raise Refused(403, f'You don\'t have the rights to create a model under the namespace "{namespace}"')
        location = {"url": f"{self.url}/{repo}", "name": _id(repo)}
        if repo in self.repositories:
            return Response({"error": "You already created this model repo", **location}, 409)
        # huggingface_hub 1 sends the first, 2 the second.
        private = wanted.get("private") is True or wanted.get("visibility") == "private"
        self.repositories[repo] = Repository(private)
        return Response(location)

    @_route("GET", "/api/{kind}/{repo}(/revision/{revision})?")
    def info(self, call: Call, repo: str, revision: str | None) -> Response:
        found = self._readable(call, repo)
        commit = found.at(revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        if "blobs" in call.query:
            for sibling in siblings:
                entry = commit.files[sibling["rfilename"]].as_entry(sibling["rfilename"])
                lfs = {"lfs": entry["lfs"] | {"sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {}
                sibling |= {"size": entry["size"], "blobId": entry["oid"], **lfs}
        return Response(
            {
                "id": _id(repo),
                "author": _id(repo).split("/")[0],
                "sha": commit.oid,
                "lastModified": commit.date,
                "private": found.private,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": siblings,
            }
        )

    @_route("GET", "/api/{kind}/{repo}/refs")
    def refs(self, call: Call, repo: str) -> Response:
        found = self._readable(call, repo)

        def listed(names: dict[str, str], kind: str) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in names.items()]

        return Response(
            {"branches": listed(found.branches, "heads"), "tags": listed(found.tags, "tags"), "converts": []}
        )

    @_route("POST", "/api/{kind}/{repo}/branch/{revision}")
    def branch(self, call: Call, repo: str, revision: str) -> Response:
        found = self._writable(call, repo)
        if revision in found.branches:
            raise Refused(409, f"Reference already exists: refs/heads/{revision}")
        found.branches[revision] = found.at(call.json.get("startingPoint", "main")).oid
        return Response({})

    @_route("POST", "/api/{kind}/{repo}/tag/{revision}")
    def tag(self, call: Call, repo: str, revision: str) -> Response:
        found, name = self._writable(call, repo), call.json["tag"]
        if name in found.tags:
            raise Refused(409, f"Tag reference exists already: {name}")
        found.tags[name] = found.at(revision).oid
        return Response({})

    @_route("GET", "/api/{kind}/{repo}/tree/{revision}(/{path})?")
    def tree(self, call: Call, repo: str, revision: str, path: str | None) -> Response:
        files = self._readable(call, repo).at(revision).files
        top = f"{path}/" if path else ""
        below = {name: blob for name, blob in files.items() if name.startswith(top)}
        if not below:
            raise Refused(404, f"{path} does not exist", "EntryNotFound")
        folders = {parent.as_posix() for name in below for parent in Path(name).parents} - {".", path}
        entries = [_folder_entry(folder) for folder in sorted(folders) if folder.startswith(top)]
        entries += [blob.as_entry(name) for name, blob in sorted(below.items())]
        if call.query.get("recursive", ["false"])[0].lower() != "true":
            entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(top)]
        return Response(entries)

    @_route("POST", "/api/{kind}/{repo}/paths-info/{revision}")
    def paths_info(self, call: Call, repo: str, revision: str) -> Response:
        files = self._readable(call, repo).at(revision).files
        wanted = parse_qs(call.body.decode())["paths"]
        folders = [path for path in wanted if any(name.startswith(f"{path}/") for name in files)]
        entries = [files[path].as_entry(path) for path in wanted if path in files]
        return Response([_folder_entry(folder) for folder in folders] + entries)

    @_route("POST", "/api/validate-yaml")
    def validate_yaml(self, call: Call) -> Response:
        matter = re.match(r"---\n(.*?)\n---(\n|$)", call.json["content"], re.DOTALL)
        if matter is None:
            return Response({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        try:
            metadata = yaml.safe_load(matter[1])
        except yaml.YAMLError as error:
            return Response({"errors": [{"message": str(error)}], "warnings": []}, 400)
        problems = [] if isinstance(metadata, dict) else [{"message": "expected a mapping"}]
        return Response({"errors": problems, "warnings": []}, 400 if problems else 200)

    @_route("POST", "/api/{kind}/{repo}/preupload/{revision}")
    def preupload(self, call: Call, repo: str, revision: str) -> Response:
        files = self._writable(call, repo).at(revision).files
        attributes = files[".gitattributes"].content.decode() if ".gitattributes" in files else ""
        patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
        modes = []
        for file in call.json["files"]:
            is_binary = b"\0" in base64.b64decode(file["sample"])
            large = file["size"] > LFS_THRESHOLD or is_binary
            mode = "lfs" if large or any(fnmatch(Path(file["path"]).name, p) for p in patterns) else "regular"
            known = files.get(file["path"])
            modes.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
            modes[-1] |= {"oid": known.etag} if known else {}
        return Response({"files": modes})

    @_route("POST", "/{kind_folder}?{repo}.git/info/lfs/objects/batch")
    def lfs_batch(self, call: Call, repo: str) -> Response:
        found, wanted = self._writable(call, repo), call.json
        found.at(wanted.get("ref", {}).get("name", "main"))
        if wanted["operation"] != "upload" or "basic" not in wanted["transfers"] or wanted["hash_algo"] != "sha256":
            raise Refused(422, "expected an upload by basic transfer of SHA-256 objects")
        verify = {"href": f"{self.url}/{repo}.git/info/lfs/objects/verify"}
        objects = [{"oid": item["oid"], "size": item["size"]} for item in wanted["objects"]]
        for item in objects:
            if item["oid"] not in self._objects:
                signature = secrets.token_hex(16)
                self._signatures[signature] = item["oid"], item["size"]
                href = f"{self.store}/{item['oid']}?signature={signature}"
                item["actions"] = {"upload": {"href": href, "header": {}}, "verify": verify}
        return Response({"transfer": "basic", "objects": objects})

    @_route("PUT", "/lfs/{oid}")
    def lfs_put(self, call: Call, oid: str) -> Response:
        self._check_signature(call, oid)
        _, size = self._signatures[call.query["signature"][0]]
        if len(call.body) != size or hashlib.sha256(call.body).hexdigest() != oid:
            raise Refused(400, "the content is not what was announced")
        self._objects[oid] = call.body
        return Response()

    @_route("POST", "/{kind_folder}?{repo}.git/info/lfs/objects/verify")
    def lfs_verify(self, call: Call, repo: str) -> Response:
        self._writable(call, repo)
        if len(self._objects.get(call.json["oid"], b"")) != call.json["size"]:
            raise Refused(404, "no such object")
        return Response({})

    @_route("POST", "/api/{kind}/{repo}/commit/{revision}")
    def commit(self, call: Call, repo: str, revision: str) -> Response:
        found = self._writable(call, repo)
        if revision not in found.branches:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        parent = found.at(revision)
        header, *changes = [json.loads(line) for line in call.body.splitlines()]
        if not parent.oid.startswith(header["value"].get("parentCommit", "")):
            raise Refused(412, "A commit has observed since. Please refresh and try again.")
        files = dict(parent.files)
        for change in changes:
            self._apply(files, change["key"], change["value"])
        new = Commit(header["value"]["summary"], files, parent.oid)
        found.add(revision, new)
        return Response({"success": True, "commitOid": new.oid, "commitUrl": f"{self.url}/{repo}/commit/{new.oid}"})

    def _apply(self, files: dict[str, Blob], kind: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if kind == "file":
            files[path] = Blob(base64.b64decode(value["content"], validate=True))
        elif kind == "lfsFile":
            if value["oid"] not in self._objects:
                raise Refused(400, f"LFS pointer of {path} points to a file that does not exist")
            files[path] = Blob(self._objects[value["oid"]], is_lfs=True)
        elif kind == "deletedFile":
            if path not in files:
                raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            del files[path]
        else:
            raise Refused(400, f"unknown operation {kind}")

    @_route("GET HEAD", "/{kind_folder}?{repo}/resolve/{revision}/{path}")
    def resolve(self, call: Call, repo: str, revision: str, path: str) -> Response:
        commit = self._readable(call, repo).at(revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound", **headers)
        blob = commit.files[path]
        headers["ETag"] = f'"{blob.git_oid}"'
        if not blob.is_lfs:
            return _ranged(call, blob.content, headers)
        signature = secrets.token_hex(16)
        self._signatures[signature] = blob.sha256, len(blob.content)
        headers |= {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
        return Response(b"", 302, headers | {"Location": f"{self.store}/{blob.sha256}?signature={signature}"})

    @_route("GET HEAD", "/lfs/{oid}")
    def lfs_get(self, call: Call, oid: str) -> Response:
        self._check_signature(call, oid)
        return _ranged(call, self._objects[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    def _check_signature(self, call: Call, oid: str) -> None:
        signed, _ = self._signatures.get(call.query.get("signature", [""])[0], ("", 0))
        if signed != oid:
            raise Refused(403, "SignatureDoesNotMatch")
        if "Authorization" in call.headers:
            raise Refused(400, "Only one auth mechanism allowed")


def _unquoted(match: re.Match[str]) -> dict[str, str | None]:
    parts = {name: None if value is None else unquote(value) for name, value in match.groupdict().items()}
    kind, folder = parts.pop("kind", None), parts.pop("kind_folder", None)
    folder = f"{kind}/" if kind in ("datasets", "spaces") else folder or ""
    return parts | ({"repo": f"{folder}{parts['repo']}"} if "repo" in parts else {})


def _id(repository: str) -> str:
    """A name without its kind, `ORG/NAME`."""
    return repository.removeprefix(DATASETS).removeprefix(SPACES)


def _folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}


def _ranged(call: Call, content: bytes, headers: dict[str, str]) -> Response:
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", ""))
    if wanted is None:
        return Response(content, 200, headers)
    start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
    if start > end:
        return Response(b"", 416, headers | {"Content-Range": f"bytes */{len(content)}"})
    headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
    return Response(content[start : end + 1], 206, headers)


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise each response waits 40 ms for the client to acknowledge its headers

        def _respond(self) -> None:
            response: Response | None = Response({"error": "Length Required"}, 411)
            if "Transfer-Encoding" not in self.headers:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                response = hub.respond(self.command, self.path, self.headers, body)
            if response is not None:
                self._send(response)
            if response is None or response.status == 411:
                self.close_connection = True

        def _send(self, response: Response) -> None:
            is_bytes = isinstance(response.content, bytes)
            content = response.content if is_bytes else json.dumps(response.content).encode()
            self.send_response(response.status)
            self.send_header("Content-Type", "application/octet-stream" if is_bytes else "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = _respond

        def log_message(self, *words: object) -> None:
            """Tests look at `calls` instead."""

    return Handler
