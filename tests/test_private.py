"""The search for secrets: common keys and paths are found, and ordinary files pass."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import barcodemae
import modeling_barcodemae
import tokenization_barcodemae
from barcodemae.checkpoints import shipped_checkpoints, shipped_folder
from barcodemae.errors import ConfigurationError
from barcodemae.hub.commit import _matches
from barcodemae.hub.private import refuse_links, refuse_private
from barcodemae.hub.publication import PUBLISHED
from barcodemae.provenance import describe_data, without_folder

# Concatenated here, so that no search of this file takes them for real ones.
SECRETS = {
    "Hub token": "hf_" + "Zq4" * 10,
    "Hub token, short": "hf_" + "A" * 29,
    "AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "AWS secret": '"aws_secret_access_key": "' + "wJalr/K7MDENG+bPx" * 2 + '"',
    "GitHub token": "ghp_" + "a1" * 18,
    "fine-grained GitHub token": "github_pat_" + "11ABCDEFG0" * 5,
    "GitLab token": "glpat-" + "x1Y2" * 5,
    "Slack token": "xoxb-" + "123456789012-abcdef",
    "Google key": "AIza" + "Sy0_a-" * 5 + "abcde",
    "OpenAI key": "sk-" + "proj-" + "aB3_" * 6,
    "older OpenAI key": "sk-" + "aB3d" * 8,
    "Anthropic key": "sk-" + "ant-api03-" + "aB3_" * 6,
    "wandb key": "0123456789abcdef" * 2 + "01234567",
    "newer wandb key": "wandb_v1_" + "aB3d" * 8,
    "PyPI token": "pypi-" + "AgEIcHlwaS5vcmc" + "aB3d" * 12,
    "web token": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0In0" + ".c2lnbmF0dXJl",
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "password in an address": "https://user:" + "pw@host/x",
    "password of a database": "postgres://:" + "hunter2@db.example.org/x",
    "password": "password=" + "hunter2hunter2",
    "home folder": "/home/" + "jdoe/p.parquet",
    "home folder alone": "/home/" + "jdoe",
    "home of macOS": "/Users/" + "jdoe/p.parquet",
    "home of root": "/root/" + "x",
    "another disk": "/mnt/" + "disk2/p.parquet",
    "scratch": "/scratch/" + "jdoe/secret/p.parquet",
    "scratch of a cluster": "file:///gpfs/" + "jdoe/p.parquet",
    "Windows": "C:" + "\\Users\\jdoe\\x.csv",
    "another drive": "d:" + "\\data sets\\x.csv",
    "share of Windows": "\\\\server\\" + "share$\\x.csv",
}

HARMLESS = [
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",  # a SHA-256
    '"revision": "0123456789abcdef0123456789abcdef01234567"',
    "commit 0123456789abcdef0123456789abcdef01234567",
    "https://huggingface.co/org/name/blob/0123456789abcdef0123456789abcdef01234567/x",
    "https://example.org/data/barcodes and https://github.com/home/page, at 10:30",
    '"pad_token": "[PAD]", "mask_token": "[MASK]"',
    "task-" + "0123456789abcdefghij0123456789abcdefghij",
    "AKIA" + "ACGT",
    "ratio: a/b, 10^-6:\\n and {name}: \\alpha",
    "runs/first/data/x",
    "password: str",
]


def search(text, folder, name="training.json"):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    refuse_private({name: file}, folder / "run", "checkpoint")


@pytest.mark.parametrize("name", ["training.json", "README.md"])
@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_found(kind, name, tmp_path):
    text = json.dumps({"data": [{"name": SECRETS[kind]}]}) if kind != "AWS secret" else f"{{{SECRETS[kind]}}}"
    with pytest.raises(ConfigurationError, match=f"{name}: must not be published, as it contains") as refusal:
        search(text if name.endswith(".json") else SECRETS[kind], tmp_path, name)
    assert SECRETS[kind][:20] not in str(refusal.value)


@pytest.mark.parametrize("escape", [lambda text: text.replace("/", "\\/"), lambda text: text.replace("/", "\\u002f")])
def test_escaped_slashes_are_unescaped(escape, tmp_path):
    with pytest.raises(ConfigurationError, match="contains"):
        search(escape('{"name": "/scratch/jdoe/p.parquet"}'), tmp_path)


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_words_pass(text, tmp_path):
    search(text, tmp_path)


@pytest.mark.parametrize("suffix", ["safetensors", "onnx"])
def test_random_bytes_pass_and_secrets_among_them_are_found(suffix, tmp_path):
    numbers = np.random.default_rng(0).integers(0, 2**32, 2**21, dtype=np.uint32)
    if suffix == "safetensors":
        save_file({"a": numbers}, tmp_path / "a.safetensors", {"format": "pt"})
        content = (tmp_path / "a.safetensors").read_bytes()
        save_file({"a": numbers}, tmp_path / "a.safetensors", {"by": SECRETS["Windows"] + "long enough"})
        hidden = (tmp_path / "a.safetensors").read_bytes()
    else:
        content = numbers.tobytes()
        hidden = content + b"\x0a\x20" + SECRETS["scratch"].encode() + b"\x12" + content
    search(content, tmp_path, f"model.{suffix}")
    with pytest.raises(ConfigurationError, match="contains a path"):
        search(hidden, tmp_path, f"model.{suffix}")
    with pytest.raises(ConfigurationError, match="contains what looks like a Hub token"):
        search(content + SECRETS["Hub token"].encode() + content, tmp_path, f"model.{suffix}")


def test_secrets_across_blocks_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("barcodemae.hub.private._BLOCK_BYTES", 100)
    for begin in range(60, 110):
        with pytest.raises(ConfigurationError, match="contains what looks like a Hub token"):
            search(bytes(begin) + SECRETS["Hub token"].encode() + bytes(300), tmp_path, "a.npy")


def test_published_files_of_the_package_pass(tmp_path):
    folders = [Path(module.__file__).parent for module in (modeling_barcodemae, tokenization_barcodemae)]
    folders.append(Path(barcodemae.__file__).parent / "hub")
    files = {str(file): file for folder in folders for file in folder.glob("*.py") if file.name != "private.py"}
    for name in shipped_checkpoints():
        files |= {str(file): file for file in Path(shipped_folder(name)).rglob("*") if file.is_file()}
    files = {name.replace(str(Path(barcodemae.__file__).parent.parent), ""): file for name, file in files.items()}
    refuse_private(files, tmp_path / "run", "checkpoint")


def test_ids_of_records_may_be_checksums(tmp_path):
    search("0123456789abcdef0123456789abcdef01234567", tmp_path, "part-00000.arrow")


def test_user_without_home_folder(tmp_path, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    search("{}", tmp_path)
    with pytest.raises(ConfigurationError, match="contains"):
        search(SECRETS["home folder"], tmp_path)


# Links


def test_links_are_refused(tmp_path):
    outside, run = tmp_path / "outside", tmp_path / "run"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "report.md").write_text("mine")
    (run / "evaluation").mkdir(parents=True)
    (run / "evaluation" / "report.md").symlink_to(outside / "deep" / "report.md")
    (run / "evaluation" / "x").symlink_to(outside / "deep")
    (run / "config.json").write_text("{}")
    refuse_links(run, [run / "config.json"])
    (tmp_path / "latest").symlink_to(run)
    refuse_links(tmp_path / "latest", [tmp_path / "latest" / "config.json"])
    for file in (run / "evaluation" / "report.md", run / "evaluation" / "x" / "report.md"):
        with pytest.raises(ConfigurationError, match=r"report\.md: expected a file, got a link"):
            refuse_links(run, [file])


def test_snapshot_in_the_cache_of_the_hub_may_link_to_its_own_blobs_only(tmp_path):
    cache = tmp_path / "models--org--name"
    snapshot, blobs = cache / "snapshots" / "abc", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1").write_text("{}")
    (tmp_path / "2").write_text("mine")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    refuse_links(snapshot, [snapshot / "config.json"])
    (snapshot / "report.md").symlink_to("../../../2")
    with pytest.raises(ConfigurationError, match="got a link"):
        refuse_links(snapshot, [snapshot / "report.md"])


# Names


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/scratch/jdoe_private/p.parquet", "p.parquet"),
        ("jdoe/private/p.parquet", "p.parquet"),
        ("../p.parquet", "p.parquet"),
        ("./p", "p"),
        ("~/p", "p"),
        ("C:\\Users\\jdoe\\x.csv", "x.csv"),
        ("C:x.csv", "x.csv"),
        ("jdoe\\x.csv", "x.csv"),
        ("//server/share/x/", "x"),
        ("https://user:pw@example.org/x.csv", "x.csv"),
        ("hub:/scratch/jdoe/x.csv", "x.csv"),
        ("p.parquet", "p.parquet"),
        ("sample", "sample"),
        ("org/name", "org/name"),
        ("hub:org/name", "hub:org/name"),
        ("hub:org/name.v2@refs/pr/1", "hub:org/name.v2@refs/pr/1"),
    ],
)
def test_only_the_last_name_of_a_path_is_published(path, expected):
    assert without_folder(path) == expected


def test_existing_path_is_not_an_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert without_folder("org/name") == "name"
    monkeypatch.chdir(tmp_path / "org")
    assert without_folder(".") == "org"


def test_missing_data_are_named_by_their_last_name():
    found = describe_data(["jdoe_private/p.parquet", "hub:org/name", "/scratch/jdoe/p.parquet"])
    assert [one["name"] for one in found] == ["p.parquet", "hub:org/name", "p.parquet"]


# Files of an earlier push


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("tuning.json", True),
        ("training.json", True),
        ("evaluation/results.json", True),
        ("evaluation/a/b/results.json", True),
        ("evaluation/umap.png", True),
        ("onnx/model.onnx", True),
        ("model-00001-of-00002.safetensors", True),
        ("old_barcodemae.py", True),
        ("tokenization_barcodemae/old.py", True),
        ("evaluation/notes.txt", False),
        ("my_evaluation/results.json", False),
        ("LICENSE", False),
        ("notes/tuning.json", False),
        ("adapter.safetensors", False),
    ],
)
def test_patterns_of_published_files(name, is_ours):
    assert any(_matches(name, pattern) for pattern in PUBLISHED) == is_ours
