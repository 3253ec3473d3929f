"""The test server of the Hub, used by the Hub's own client; ids are those of git."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, RepoFolder, get_session
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from helpers.hub_server import HubServer, User

REPOSITORY = "org/model"
WEIGHTS = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def plain_client(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub():
    with HubServer() as server:
        server.users = {"hf_writer": User("ada", ("org",)), "hf_reader": User("ada", ("org",), "read")}
        server.users["hf_stranger"] = User("bob")
        yield server


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token="hf_writer")


@pytest.fixture
def filled(hub, api):
    api.create_repo(REPOSITORY)
    files = {"hello.txt": b"hello\n", "folder/deep/note.txt": b"", "model.safetensors": WEIGHTS}
    additions = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(REPOSITORY, additions, commit_message="Add files")


def test_user_of_a_token(hub, api):
    assert api.whoami()["name"] == "ada"
    assert api.whoami()["orgs"][0]["name"] == "org"
    assert HfApi(endpoint=hub.url, token="hf_reader").whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(endpoint=hub.url, token="hf_unknown").whoami()


def test_new_repository_has_gitattributes_and_is_made_once(hub, api):
    assert api.create_repo(REPOSITORY).repo_id == REPOSITORY
    assert api.list_repo_files(REPOSITORY) == [".gitattributes"]
    assert api.model_info(REPOSITORY).private is False
    assert api.create_repo(REPOSITORY, exist_ok=True).repo_id == REPOSITORY
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(REPOSITORY)


def test_private_repository_is_visible_to_members_only(hub, api):
    api.create_repo(REPOSITORY, private=True)
    assert api.model_info(REPOSITORY).private is True
    for token in ("hf_stranger", False):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=token).model_info(REPOSITORY)


def test_files_have_the_ids_of_git(api, filled):
    entries = {entry.path: entry for entry in api.list_repo_tree(REPOSITORY, recursive=True)}
    assert isinstance(entries["folder/deep"], RepoFolder)
    assert (
        entries["hello.txt"].blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"
    )  # printf 'hello\n' | git hash-object
    assert entries["folder/deep/note.txt"].blob_id == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert entries["hello.txt"].lfs is None
    lfs = entries["model.safetensors"].lfs
    assert (lfs.size, lfs.sha256) == (len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    (found,) = api.get_paths_info(REPOSITORY, ["hello.txt", "missing"])
    assert isinstance(found, RepoFile)
    assert [entry.path for entry in api.list_repo_tree(REPOSITORY)] == [
        "folder",
        ".gitattributes",
        "hello.txt",
        "model.safetensors",
    ]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPOSITORY, "missing"))


def test_revisions_by_branch_tag_and_commit(api, filled, tmp_path):
    api.create_tag(REPOSITORY, tag="v1")
    api.create_branch(REPOSITORY, branch="other/branch")
    deletion = [CommitOperationDelete("hello.txt")]
    second = api.create_commit(REPOSITORY, deletion, commit_message="Remove", revision="other/branch")
    assert api.file_exists(REPOSITORY, "hello.txt")
    for revision, is_there in {"v1": True, filled.oid: True, "other/branch": False, second.oid: False}.items():
        assert ("hello.txt" in api.list_repo_files(REPOSITORY, revision=revision)) is is_there
        assert api.model_info(REPOSITORY, revision=revision).sha == (filled.oid if is_there else second.oid)
    refs = api.list_repo_refs(REPOSITORY)
    assert {branch.name: branch.target_commit for branch in refs.branches} == {
        "main": filled.oid,
        "other/branch": second.oid,
    }
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPOSITORY, revision="v2")
    with pytest.raises(RevisionNotFoundError):
        api.create_commit(REPOSITORY, deletion, commit_message="To a tag", revision="v1")


@pytest.mark.parametrize("name", ["hello.txt", "folder/deep/note.txt", "model.safetensors"])
def test_committed_files_are_downloaded(name, hub, api, filled, tmp_path):
    path = Path(api.hf_hub_download(REPOSITORY, name, cache_dir=tmp_path))
    assert path.read_bytes() == hub.files(REPOSITORY)[name]
    assert filled.oid in path.parts
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPOSITORY, "missing", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("requested", "status", "start", "end"),
    [("bytes=1000-", 206, 1000, None), ("bytes=0-9", 206, 0, 10), (None, 200, 0, None)],
)
def test_range_of_a_large_file(requested, status, start, end, hub, filled):
    url = f"{hub.url}/{REPOSITORY}/resolve/main/model.safetensors"
    response = get_session().get(url, headers={"Range": requested} if requested else {})
    assert response.status_code == status
    assert response.content == WEIGHTS[start:end]


def test_store_of_large_files_receives_no_token(hub, api, filled, tmp_path):
    api.hf_hub_download(REPOSITORY, "model.safetensors", cache_dir=tmp_path)
    at_store = [call for call in hub.calls if call.step in ("lfs_put", "lfs_get")]
    assert len(at_store) == 2
    assert not any("Authorization" in call.headers for call in at_store)


def test_known_content_is_not_sent_again(hub, api, filled):
    before = len(hub.calls)
    same = [CommitOperationAdd("model.safetensors", WEIGHTS), CommitOperationAdd("hello.txt", b"hello\n")]
    assert api.create_commit(REPOSITORY, same, commit_message="Same").oid == filled.oid
    copy = [CommitOperationAdd("copy.safetensors", WEIGHTS)]
    api.create_commit(REPOSITORY, copy, commit_message="Copy")
    steps = [call.step for call in hub.calls[before:]]
    assert (steps.count("commit"), steps.count("lfs_put")) == (1, 0)
    assert hub.files(REPOSITORY)["copy.safetensors"] == WEIGHTS


@pytest.mark.parametrize(
    ("token", "status"), [("hf_reader", 403), ("hf_stranger", 403), ("hf_unknown", 401), (False, 401)]
)
def test_missing_permission_to_write(token, status, hub, filled):
    api = HfApi(endpoint=hub.url, token=token)
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_commit(REPOSITORY, [CommitOperationAdd("new.txt", b"new")], commit_message="Add")
    assert refusal.value.response.status_code == status
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_repo("org/another")
    assert refusal.value.response.status_code == status
    assert "new.txt" not in hub.files(REPOSITORY)


def test_commit_on_an_old_parent_is_refused(api, filled):
    addition = CommitOperationAdd("new.txt", b"new")
    api.create_commit(REPOSITORY, [addition], commit_message="First")
    with pytest.raises(HfHubHTTPError, match="A commit has observed since"):
        api.create_commit(
            REPOSITORY,
            [CommitOperationAdd("other.txt", b"other")],
            commit_message="Second",
            parent_commit=filled.oid,
        )


def test_malformed_metadata_of_a_card(api, filled):
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.create_commit(REPOSITORY, [CommitOperationAdd("README.md", b"---\na: [\n---\n")], commit_message="Describe")


def test_failures_end_after_the_given_number(hub, api):
    hub.fail("create", status=507, times=2)
    for _ in range(2):
        with pytest.raises(HfHubHTTPError, match="507"):
            api.create_repo(REPOSITORY)
    api.create_repo(REPOSITORY)
    hub.fail("branch", after=True)
    with pytest.raises(Exception, match="disconnected"):
        api.create_branch(REPOSITORY, branch="lost")
    assert "lost" in hub.repositories[REPOSITORY].branches
