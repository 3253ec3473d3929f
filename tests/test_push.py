"""Publication of checkpoints: one commit with all files, or one clear error and none."""

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from barcodemae.checkpoints import shipped_folder
from barcodemae.errors import CheckpointError, ConfigurationError, HubError
from barcodemae.hub import commit as commit_module
from barcodemae.hub.publication import assemble
from barcodemae.hub.push_checkpoint import prepare_repository, push_checkpoint
from barcodemae.repositories import check_name
from helpers.hub_server import HubServer, User

ROOT = Path(__file__).parent.parent
REPOSITORY = "org/BarcodeMAE"
TOKEN = "hf_" + "q7Lm2" * 7
READER, STRANGER = TOKEN[:-1] + "r", TOKEN[:-1] + "s"


@pytest.fixture
def server():
    with HubServer() as server:
        server.users = {TOKEN: User("ada", ("org",)), READER: User("ada", ("org",), "read"), STRANGER: User("bob")}
        yield server


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """The Hub of this process, with a token that may write. Retries don't wait."""
    monkeypatch.setattr(commit_module, "HfApi", partial(HfApi, endpoint=server.url))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return server


def test_map_of_kmers_is_not_published(tmp_path):
    with pytest.raises(CheckpointError, match="nano_its: expected a checkpoint with a network, got the map of k-mers"):
        assemble(shipped_folder("nano_its"), REPOSITORY, tmp_path)
    assert not list(tmp_path.iterdir())


def add(hub, files, revision=None):
    """Commit files by hand, as somebody might through the web site."""
    additions = [CommitOperationAdd(path, content) for path, content in files.items()]
    api = HfApi(endpoint=hub.url)
    api.create_repo(REPOSITORY, exist_ok=True)
    return api.create_commit(REPOSITORY, additions, commit_message="By hand", revision=revision)


def commits(hub):
    return len(hub.repositories[REPOSITORY].commits) if REPOSITORY in hub.repositories else 0


def refused(message, checkpoint, **options):
    with pytest.raises((ConfigurationError, HubError), match=message) as refusal:
        push_checkpoint(checkpoint, REPOSITORY, **options)
    assert "hf_" not in str(refusal.value)
    assert "signature" not in str(refusal.value)


def test_one_commit_with_all_files(hub, checkpoint, tmp_path):
    url = push_checkpoint(checkpoint, REPOSITORY)
    assemble(checkpoint, REPOSITORY, tmp_path / "assembled")
    folder = tmp_path / "assembled"
    assembled = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    published = hub.files(REPOSITORY)
    del published[".gitattributes"]
    assert published == assembled
    assert published.keys() >= {"README.md", "config.json", "model.safetensors", "tokenizer.json", "handler.py"}
    assert [call.step for call in hub.calls].count("commit") == 1
    repository = hub.repositories[REPOSITORY]
    assert url == f"{hub.url}/{REPOSITORY}/commit/{repository.branches['main']}"
    assert len(repository.commits) == 2
    assert not repository.private
    head = repository.at("main")
    assert head.files["model.safetensors"].is_lfs
    assert head.files["model.safetensors"].sha256[:12] in head.title


def test_repeated_push_makes_no_commit(hub, checkpoint):
    url = push_checkpoint(checkpoint, REPOSITORY)
    assert push_checkpoint(checkpoint, REPOSITORY) == url
    assert commits(hub) == 2


def test_stale_files_are_removed_and_files_of_others_stay(hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY)
    ours = {
        "evaluation/results.json",
        "evaluation/unseen/umap.png",
        "onnx/model.onnx",
        "onnx/export.json",
        "tuning.json",
    }
    ours |= {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "training.json", "metrics.jsonl"}
    ours |= {"tuning.json", "old_barcodemae.py", "tokenization_barcodemae/old.py"}
    others = {"LICENSE", "notes/model.txt", "adapter.safetensors"}
    add(hub, dict.fromkeys(ours | others, b"old"))
    push_checkpoint(checkpoint, REPOSITORY)
    left = hub.files(REPOSITORY).keys()
    assert not left & ours
    assert left >= others | {"config.json", ".gitattributes"}
    assert commits(hub) == 4


def test_private_repository(hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY, private=True)
    assert hub.repositories[REPOSITORY].private
    push_checkpoint(checkpoint, REPOSITORY)
    assert hub.repositories[REPOSITORY].private


def test_public_repository_is_refused_as_private(hub, checkpoint):
    add(hub, {"notes.txt": b"notes"})
    refused("is public: make it private", checkpoint, private=True)
    assert commits(hub) == 2


def test_new_branch_leaves_main_unchanged(hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY)
    add(hub, {"notes.txt": b"notes", "metrics.jsonl": b"old"})
    main = hub.files(REPOSITORY)
    push_checkpoint(checkpoint, REPOSITORY, revision="next")
    assert hub.files(REPOSITORY) == main
    assert main.items() - hub.files(REPOSITORY, "next").items() == {("metrics.jsonl", b"old")}


def test_branch_of_a_new_repository(hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY, revision="next")
    assert hub.files(REPOSITORY).keys() == {".gitattributes"}
    assert "model.safetensors" in hub.files(REPOSITORY, "next")


def test_tag_as_branch_is_refused(hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY)
    add(hub, {"training.json": b"old"})
    HfApi(endpoint=hub.url).create_tag(REPOSITORY, tag="v1")
    refused("no such branch.*v1", checkpoint, revision="v1")
    assert commits(hub) == 3


@pytest.mark.parametrize("name", ["BarcodeMAE", "a/b/c", "org/", "org/Barcode MAE", "org/a--b", "org/model.git", ""])
def test_malformed_names(name, hub, checkpoint):
    with pytest.raises(ConfigurationError, match="expected a repository as ORG/NAME"):
        push_checkpoint(checkpoint, name)
    assert hub.calls == []


def test_valid_name():
    check_name(REPOSITORY)


def test_no_token(hub, checkpoint, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    refused("expected a token of the Hub: run `hf auth login`, or set HF_TOKEN", checkpoint)
    assert hub.calls == []


def test_unknown_token(hub, checkpoint, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "unknown" * 5)
    refused("does not accept this token", checkpoint)
    assert hub.repositories == {}


@pytest.mark.parametrize("token", [READER, STRANGER])
@pytest.mark.parametrize("exists", [True, False])
def test_missing_permission_to_write(token, exists, hub, checkpoint, monkeypatch):
    if exists:
        add(hub, {"notes.txt": b"notes"})
    before = commits(hub)
    monkeypatch.setenv("HF_TOKEN", token)
    refused("this token has no permission to write there", checkpoint)
    assert commits(hub) == before
    assert not {"lfs_put", "commit"} & {call.step for call in hub.calls[-2:]}


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert"},
        {"model_type": "llama", "auto_map": {"AutoConfig": "configuration_other.OtherConfig"}},
        ["no", "config"],
        None,
    ],
)
def test_repository_with_another_kind_of_model(config, hub, checkpoint):
    add(hub, {"config.json": b"no JSON" if config is None else json.dumps(config).encode()})
    refused("contains another kind of model", checkpoint)
    refused("contains another kind of model", checkpoint, revision="next")
    assert commits(hub) == 2
    assert hub.repositories[REPOSITORY].branches.keys() == {"main"}


def test_folder_without_checkpoint(hub, tmp_path):
    with pytest.raises(CheckpointError):
        push_checkpoint(tmp_path, REPOSITORY)
    assert hub.repositories == {}


def test_simultaneous_push(hub, checkpoint, monkeypatch):
    operations = commit_module._operations

    def meanwhile(*given):
        add(hub, {"notes.txt": b"notes"})
        return operations(*given)

    push_checkpoint(checkpoint, REPOSITORY, revision="next")
    monkeypatch.setattr(commit_module, "_operations", meanwhile)
    refused("somebody else has pushed in the meantime", checkpoint)
    assert hub.files(REPOSITORY).keys() == {".gitattributes", "notes.txt"}


def test_prepared_repository_is_empty_until_the_push(hub, checkpoint):
    prepare_repository(REPOSITORY, private=True)
    assert hub.files(REPOSITORY).keys() == {".gitattributes"}
    prepare_repository(REPOSITORY, private=True)
    push_checkpoint(checkpoint, REPOSITORY, private=True)
    prepare_repository(REPOSITORY)
    assert hub.repositories[REPOSITORY].private
    assert commits(hub) == 2


@pytest.mark.parametrize(
    ("token", "message"), [(None, "expected a token"), (READER, "no permission"), ("?", "not accept")]
)
def test_missing_permission_is_raised_by_prepare(token, message, hub, monkeypatch):
    add(hub, {"notes.txt": b"notes"})
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    for repository in (REPOSITORY, "org/new"):
        with pytest.raises((ConfigurationError, HubError), match=message):
            prepare_repository(repository)
    assert hub.repositories.keys() == {REPOSITORY}
    assert commits(hub) == 2


def test_unsuitable_repository_is_raised_by_prepare(hub):
    add(hub, {"config.json": b"{}"})
    with pytest.raises(HubError, match="another kind of model"):
        prepare_repository(REPOSITORY)
    with pytest.raises(HubError, match="is public"):
        prepare_repository(REPOSITORY, private=True)
    with pytest.raises(ConfigurationError, match="ORG/NAME"):
        prepare_repository("BarcodeMAE")


BROKEN = {
    500: r"can be repeated: [A-Z]+ /\S+ gave 500 \(made to fail\)",
    None: "can be repeated: the Hub could not be reached",
}
STEPS = ["info", "create", "validate_yaml", "preupload", "lfs_batch", "lfs_put", "lfs_verify", "commit"]


@pytest.mark.parametrize("status", [500, None])
@pytest.mark.parametrize("step", STEPS)
def test_interrupted_first_push_publishes_nothing_and_can_be_repeated(step, status, hub, checkpoint):
    hub.fail(step, status, times=100)
    refused(BROKEN[status], checkpoint)
    assert commits(hub) <= 1
    hub.mend()
    push_checkpoint(checkpoint, REPOSITORY)
    assert "model.safetensors" in hub.files(REPOSITORY)
    assert commits(hub) == 2


@pytest.mark.parametrize("status", [500, None])
@pytest.mark.parametrize("step", ["resolve", "branch", "preupload", "commit"])
def test_interrupted_later_push_changes_nothing(step, status, hub, checkpoint):
    push_checkpoint(checkpoint, REPOSITORY)
    add(hub, {"training.json": b"old"})
    before = hub.files(REPOSITORY)
    hub.fail(step, status, times=100)
    refused(BROKEN[status], checkpoint, revision="next")
    assert hub.files(REPOSITORY) == before
    assert commits(hub) == 3
    hub.mend()
    push_checkpoint(checkpoint, REPOSITORY, revision="next")
    assert "training.json" not in hub.files(REPOSITORY, "next")


@pytest.mark.parametrize("step", ["create", "branch", "lfs_put", "commit"])
def test_push_with_lost_reply_can_be_repeated(step, hub, checkpoint):
    hub.fail(step, after=True, times=100)
    refused(BROKEN[None], checkpoint, revision="next")
    hub.mend()
    push_checkpoint(checkpoint, REPOSITORY, revision="next")
    assert "model.safetensors" in hub.files(REPOSITORY, "next")
    assert commits(hub) == 2


@pytest.mark.parametrize("step", ["preupload", "lfs_batch", "lfs_put", "lfs_verify"])
def test_short_outage_is_survived(step, hub, checkpoint):
    hub.fail(step, 503, times=2)
    push_checkpoint(checkpoint, REPOSITORY)
    assert commits(hub) == 2


def test_no_network(hub, checkpoint, monkeypatch):
    monkeypatch.setattr(commit_module, "HfApi", partial(HfApi, endpoint="http://127.0.0.1:9"))
    refused("the Hub could not be reached", checkpoint)


def test_silent_network_is_given_up_soon(hub, checkpoint, monkeypatch):
    """A listener that never accepts: without a time limit the client would wait for ever."""
    monkeypatch.setattr(commit_module, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(commit_module, "HfApi", partial(HfApi, endpoint=endpoint))
        refused("the Hub could not be reached", checkpoint)


def command(server, home, *arguments, token=TOKEN, **variables):
    """`barcodemae push` in a new process."""
    push = ("-m", "barcodemae", "push")
    return server.run(home / "huggingface", *push, *arguments, token=token, **variables)


@pytest.mark.slow
def test_dry_run_needs_neither_token_nor_network(server, checkpoint, tmp_path):
    done = command(server, tmp_path, checkpoint, REPOSITORY, "--dry-run", token=None, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    size = (checkpoint / "model.safetensors").stat().st_size
    assert f"{size:,}  model.safetensors\n" in done.stdout
    folder = tmp_path / "assembled"
    assemble(checkpoint, REPOSITORY, folder)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert f"{sum(sizes):,}  bytes in {len(sizes)} files\n" in done.stdout
    assert (folder / "README.md").read_text() in done.stdout
    assert server.calls == []


@pytest.mark.slow
def test_command_prints_the_address_and_how_to_load(server, checkpoint, tmp_path):
    done = command(server, tmp_path, checkpoint, REPOSITORY, "--private", "--revision", "next")
    assert done.returncode == 0, done.stderr
    repository = server.repositories[REPOSITORY]
    assert repository.private
    url, usage = done.stdout.splitlines()
    assert url == f"{server.url}/{REPOSITORY}/commit/{repository.branches['next']}"
    assert f'from_pretrained("{REPOSITORY}", revision="next", trust_remote_code=True)' in usage


@pytest.mark.slow
def test_each_error_of_the_command_is_one_line(server, checkpoint, tmp_path):
    cases = {
        "expected a token": ((checkpoint, REPOSITORY), None),
        "no permission to write there": ((checkpoint, REPOSITORY), READER),
        "ORG/NAME": ((checkpoint, "BarcodeMAE"), TOKEN),
        "gave 507": ((checkpoint, REPOSITORY), TOKEN),
    }
    server.fail("lfs_batch", 507)
    for message, (arguments, token) in cases.items():
        done = command(server, tmp_path, *arguments, token=token)
        assert done.returncode == 2, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert message in line
        assert "Traceback" not in done.stderr
        assert TOKEN[:-1] not in done.stderr + done.stdout
    assert commits(server) == 1


@pytest.mark.slow
def test_no_uploaded_file_reveals_user_token_or_folders(server, sample, tmp_path):
    """A user with a name and folders that are found nowhere else trains and pushes; every byte is looked at."""
    home = tmp_path / "home-of-zebediah" / "workbench"
    home.mkdir(parents=True)
    data = home / "quagga-specimens" / "barcodes.tsv"
    data.parent.mkdir()
    rows = [row for split in ("pretrain", "val") for row in sample.filter(pc.field("split") == split)[:40].to_pylist()]
    lines = ["\t".join(row[column] for column in ("id", "nucleotides", "split")) for row in rows]
    data.write_text("\n".join(["id\tnucleotides\tsplit", *lines]))
    person = {"HOME": str(home), "USER": "zebediah", "LOGNAME": "zebediah"}
    run = home / "runs" / "first"
    options = ("--data", data, "--output-dir", run, "--epochs", "1", "--batch-size", "16", "--decoder-layers", "1")
    training = subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, options)],
        cwd=home,
        env=os.environ | person,
        capture_output=True,
        text=True,
        check=False,
    )
    assert training.returncode == 0, training.stderr
    done = command(server, home, run, REPOSITORY, **person)
    assert done.returncode == 0, done.stderr
    published = server.files(REPOSITORY)
    assert published.keys() >= {"training.json", "metrics.jsonl", "model.safetensors", "README.md"}
    assert not [name for name in published if "run.yaml" in name or "tfevents" in name or name.startswith("state")]
    secrets = ("zebediah", "workbench", "quagga", str(tmp_path), str(ROOT), TOKEN[:-1])
    found = [(name, secret) for name, content in published.items() for secret in secrets if secret.encode() in content]
    assert found == []
    assert not [path for path in published if any(secret in path for secret in secrets)]
