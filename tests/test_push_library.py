"""A library on the Hub: published in one commit, and used from there."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi

from barcodemae.cli.calibrate import calibrate
from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.cli.push import push
from barcodemae.errors import ConfigurationError, HubError, LibraryError
from barcodemae.hub.push_library import assemble_library, push_library
from barcodemae.library.building import remove_records
from barcodemae.library.models import open_with_model
from barcodemae.library.store.fetching import find_library
from barcodemae.page.making import make_page
from helpers.hub_server import HubServer, User
from helpers.reference_records import write_fasta

ROOT = Path(__file__).parent.parent
NAME = "org/library"
REPOSITORY = f"datasets/{NAME}"
LICENSE = "cc-by-4.0"
TOKEN = "hf_" + "q7Lm2" * 7


@pytest.fixture(scope="module")
def made(sample, tmp_path_factory):
    """A calibrated library of the frame engine, and the queries that it was calibrated with."""
    folder = tmp_path_factory.mktemp("made")
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    train, queries = (named.filter(pc.equal(named["split"], split)).slice(0, 300) for split in ("train", "test"))
    index([write_fasta(train, folder / "train.fasta"), str(folder / "library"), "--engine", "frame"])
    calibrate([str(folder / "library"), "--queries", write_fasta(queries, folder / "queries.fasta")])
    return folder


@pytest.fixture
def library(made, tmp_path):
    return shutil.copytree(made / "library", tmp_path / "library")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The Hub of this process, with a token that may write. Retries don't wait."""
    with HubServer() as server:
        server.users = {TOKEN: User("ada", ("org",))}
        constants = "huggingface_hub.constants"
        monkeypatch.setattr(f"{constants}.ENDPOINT", server.url)
        monkeypatch.setattr(
            f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(f"{constants}.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def commits(hub):
    return len(hub.repositories[REPOSITORY].commits) if REPOSITORY in hub.repositories else 0


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is published


def test_one_commit_with_the_files_of_the_manifest_and_the_card(hub, library):
    (library / ".saving-x").mkdir()
    (library / ".saving-x" / "part").write_bytes(b"scratch")
    (library / "segment-00009").mkdir()
    (library / "segment-00009" / "part-00000.arrow").write_bytes(b"left over")
    (library / "notes.txt").write_text("mine")
    url = push_library(library, NAME, LICENSE)
    published = hub.files(REPOSITORY)
    assert published.keys() == {
        ".gitattributes",
        "README.md",
        "library.json",
        "segment-00000/part-00000.arrow",
        "calibration-00001.json",
    }
    ours = contents(library)
    assert all(published[name] == ours[name] for name in published.keys() & ours.keys())
    assert commits(hub) == 2
    assert url == f"{hub.url}/{REPOSITORY}/commit/{hub.repositories[REPOSITORY].branches['main']}"
    assert push_library(library, NAME, LICENSE) == url
    assert commits(hub) == 2


def test_stale_files_are_removed_and_files_of_others_stay(hub, library):
    push_library(library, NAME, LICENSE)
    old = ("segment-00001/part-00000.arrow", "segment-00000/index.faiss", "removed-00000.npy", "calibration-00009.json")
    added = [CommitOperationAdd(name, b"old") for name in (*old, "LICENSE")]
    HfApi().create_commit(NAME, added, commit_message="By hand", repo_type="dataset")
    push_library(library, NAME, LICENSE)
    assert not set(old) & hub.files(REPOSITORY).keys()
    assert "LICENSE" in hub.files(REPOSITORY)


def test_other_data_set_is_not_overwritten(hub, library):
    HfApi().create_repo(NAME, repo_type="dataset")
    added = [CommitOperationAdd("library.json", b'["books"]')]
    HfApi().create_commit(NAME, added, commit_message="By hand", repo_type="dataset")
    with pytest.raises(HubError, match="contains another kind of data set"):
        push_library(library, NAME, LICENSE)


@pytest.mark.parametrize("step", ["create", "preupload", "lfs_put", "commit"])
def test_interrupted_push_publishes_nothing_and_can_be_repeated(step, hub, library):
    hub.fail(step, 500, times=100)
    with pytest.raises(HubError, match="can be repeated"):
        push_library(library, NAME, LICENSE)
    assert commits(hub) <= 1
    hub.mend()
    push_library(library, NAME, LICENSE)
    assert commits(hub) == 2


def test_damaged_library_is_not_pushed(hub, library):
    file = next(library.glob("segment-*/*.arrow"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LibraryError, match=r"bytes, as in library\.json"):
        push_library(library, NAME, LICENSE)
    assert hub.repositories == {}


@pytest.mark.parametrize("secret", ["/homes/jane/barcodes.fasta", "{folder}/x", TOKEN])
def test_tokens_and_paths_are_never_published(secret, hub, library, monkeypatch):
    monkeypatch.setenv("HOME", "/homes/jane")
    manifest = json.loads((library / "library.json").read_text())
    manifest["model"]["name"] = secret.format(folder=library.parent)
    (library / "library.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigurationError, match="must not be published"):
        push_library(library, NAME, LICENSE)
    assert hub.repositories == {}


def test_no_file_reveals_where_the_library_was_built(library, tmp_path):
    (tmp_path / "scratch").mkdir()
    files = assemble_library(library, NAME, LICENSE, tmp_path / "scratch")
    secrets = (tmp_path, library, Path.home(), ROOT, Path.cwd())
    # The root folder and a user called root are not secrets: such words are in any file.
    words = [str(path).encode() for path in secrets if path != Path(path.anchor)]
    words += [os.environ["USER"].encode()] if os.environ.get("USER", "root") != "root" else []
    assert words
    assert [(name, word) for name, file in files.items() for word in words if word in file.read_bytes()] == []


# The card


def card_of(library, scratch):
    scratch.mkdir()
    text = assemble_library(library, NAME, LICENSE, scratch)["README.md"].read_text()
    return yaml.safe_load(text.split("---\n")[1]), text


def test_card_describes_the_library(library, made, tmp_path):
    metadata, text = card_of(library, tmp_path / "first")
    opened, _ = open_with_model(library)
    names = opened.names()
    assert metadata["license"] == LICENSE
    assert metadata["size_categories"] == ["n<1K"]
    assert "300 barcodes with their names" in text
    for rank in ("genus", "species"):
        assert f"| {rank} | 300 | {pc.count_distinct(names[rank]).as_py():,} |" in text
    assert "| BIN | 0 | 0 |" in text
    assert opened.manifest.model["weights_sha256"] in text
    assert f"--library hub:{NAME} --output names.tsv\n" in text
    assert "It is calibrated" in text
    assert "exact" in text
    assert "were removed" not in text

    remove_records(library, [names["id"][0].as_py()])
    _, text = card_of(library, tmp_path / "second")
    assert "299 barcodes with their names" in text
    assert "**1 records were removed" in text


def test_card_of_a_library_whose_model_is_a_folder(made, library, tmp_path):
    manifest = json.loads((library / "library.json").read_text())
    manifest["model"]["name"], manifest["calibration"] = "first", {}
    (library / "library.json").write_text(json.dumps(manifest))
    _, text = card_of(library, tmp_path / "card")
    assert "--model CHECKPOINT\n" in text
    assert "**It is not calibrated**" in text


def test_datasets_reads_the_records(library, tmp_path):
    from datasets import load_dataset

    (tmp_path / "scratch").mkdir()
    (tmp_path / "repository").mkdir()
    for name, file in assemble_library(library, NAME, LICENSE, tmp_path / "scratch").items():
        (tmp_path / "repository" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, tmp_path / "repository" / name)
    records = load_dataset(str(tmp_path / "repository"), split="train", cache_dir=str(tmp_path / "cache"))
    opened, _ = open_with_model(library)
    assert records["id"][:] == opened.names()["id"].to_pylist()
    assert len(records[0]["vector"]) == opened.manifest.dimension


# The command


def test_dry_run_prints_files_and_card_and_sends_nothing(hub, library, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    push([str(library), NAME, "--license", LICENSE, "--dry-run"])
    shown = capsys.readouterr().out
    size = (library / "library.json").stat().st_size
    assert f"{size:,}  library.json\n" in shown
    assert "bytes in 4 files" in shown
    assert f"hub:{NAME}" in shown
    assert hub.calls == []


def test_licence_is_required(hub, library, checkpoint):
    with pytest.raises(ConfigurationError, match="expected --license, the licence of"):
        push([str(library), NAME])
    with pytest.raises(ConfigurationError, match="expected the licence of the records"):
        push([str(library), NAME, "--license", " "])
    with pytest.raises(ConfigurationError, match="--license: expected a reference library"):
        push([str(checkpoint), NAME, "--license", LICENSE])
    assert hub.calls == []


# From the Hub


def test_library_on_the_hub_gives_the_same_results_as_the_folder(hub, made, library, tmp_path, capsys):
    push([str(library), NAME, "--license", LICENSE])
    assert f"--library hub:{NAME} --output FILE" in capsys.readouterr().out
    for name, output in ((library, "folder.parquet"), (f"hub:{NAME}", "hub.parquet")):
        identify([str(made / "queries.fasta"), "--library", str(name), "--output", str(tmp_path / output)])
    assert (tmp_path / "hub.parquet").read_bytes() == (tmp_path / "folder.parquet").read_bytes()
    calls = len(hub.calls)
    assert find_library(f"hub:{NAME}").parent.parent.parent == tmp_path / "cache"
    assert not [call for call in hub.calls[calls:] if call.step == "lfs_get"]


def test_revision_pins_a_library(hub, library):
    push_library(library, NAME, LICENSE)
    first = hub.repositories[REPOSITORY].branches["main"]
    opened, _ = open_with_model(f"hub:{NAME}")
    remove_records(library, opened.names()["id"].to_pylist()[:2])
    push_library(library, NAME, LICENSE)
    assert len(open_with_model(f"hub:{NAME}")[0].live) == 298
    assert len(open_with_model(f"hub:{NAME}@{first}")[0].live) == 300


def test_cache_serves_without_the_hub(hub, library, monkeypatch):
    push_library(library, NAME, LICENSE)
    folder = find_library(f"hub:{NAME}")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert find_library(f"hub:{NAME}") == folder


def test_damaged_cache_is_refused(hub, library):
    push_library(library, NAME, LICENSE)
    file = find_library(f"hub:{NAME}") / "calibration-00001.json"
    file.resolve().write_text("{}")
    with pytest.raises(LibraryError, match=r"bytes, as in library\.json"):
        open_with_model(f"hub:{NAME}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hub:org/nothing", "expected a library on the Hub: there is no such data set"),
        (f"hub:{NAME}@v9", f"hub:{NAME}@v9: expected a library on the Hub: there is no such data set or revision"),
    ],
)
def test_missing_library_or_revision(name, message, hub, library):
    push_library(library, NAME, LICENSE)
    with pytest.raises(HubError, match=message) as refusal:
        find_library(name)
    assert "http" not in str(refusal.value)


def test_malformed_names(hub):
    for name in ("hub:library", "hub:a/b/c", "hub:"):
        with pytest.raises(ConfigurationError, match="expected a repository as ORG/NAME"):
            find_library(name)
    assert hub.calls == []


def test_no_network_and_empty_cache(hub):
    hub.fail("info", times=100)
    with pytest.raises(HubError, match="the Hub could not be reached"):
        find_library(f"hub:{NAME}")


def test_data_set_without_library(hub):
    HfApi().create_repo(NAME, repo_type="dataset")
    added = [CommitOperationAdd("data.csv", b"a,b\n")]
    HfApi().create_commit(NAME, added, commit_message="By hand", repo_type="dataset")
    with pytest.raises((HubError, LibraryError), match="expected a reference library"):
        open_with_model(f"hub:{NAME}")


def test_library_on_the_hub_is_read_only(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda: calibrate([f"hub:{NAME}", "--queries", str(made / "queries.fasta")]),
        lambda: index([str(made / "train.fasta"), f"hub:{NAME}", "--engine", "frame"]),
        lambda: index([str(made / "train.fasta"), f"hub:{NAME}", "--engine", "frame", "--append"]),
    ):
        with pytest.raises(LibraryError, match="can be searched but not changed"):
            write()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_datasets_reads_the_records_from_the_hub(hub, library, tmp_path):
    push_library(library, NAME, LICENSE)
    script = f"from datasets import load_dataset; print(load_dataset('{NAME}', split='train').num_rows)"
    done = hub.run(tmp_path / "home", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "300"


# A page of it


def test_page_is_published_as_a_static_space(hub, made, tmp_path):
    page = make_page(made / "library", tmp_path / "page")
    space = "spaces/org/page"
    push([str(page), "--space", "org/page", "--license", LICENSE])
    published = hub.files(space)
    assert published.keys() == {".gitattributes", *contents(page)}
    assert f"license: {LICENSE}" in published["README.md"].decode()
    make_page(made / "library", page, title="Another title")
    push([str(page), "--space", "org/page", "--license", LICENSE])
    assert b"Another title" in hub.files(space)["files/library.json"]


def test_another_space_is_not_overwritten(hub, made, tmp_path):
    page = make_page(made / "library", tmp_path / "page")
    api = HfApi()
    api.create_repo("org/page", repo_type="space", space_sdk="static")
    other = CommitOperationAdd("files.js", b"export const files = [];")
    api.create_commit("org/page", [other], commit_message="mine", repo_type="space")
    with pytest.raises(HubError, match="contains another kind of Space"):
        push([str(page), "--space", "org/page", "--license", LICENSE])
    assert hub.files("spaces/org/page")["files.js"] == b"export const files = [];"
