"""A page that identifies barcodes in the browser: its files, its publication, and the same results as `identify`."""

import json
import re
import shutil
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from safetensors.numpy import load_file

from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.cli.page import page
from barcodemae.cli.push import push
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.hub.push_page import assemble_page
from barcodemae.library.models import open_with_model
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.page import making
from barcodemae.page.making import is_page, make_page, page_files
from helpers.browser import NAMES, find_browser, shown_in_browser
from helpers.reference_records import OneHotEmbedder, library_of, write_fasta
from tokenization_barcodemae import reverse_complement

STATIC = Path(making.__file__).parent / "static"
BROWSER = find_browser()

# A number in the fourth digit after the point may differ where rounding in single precision decides it.
TOLERANCE = 1.01e-4


@pytest.fixture(scope="module")
def made(sample, tmp_path_factory):
    """A library of 400 records, its page, and other barcodes."""
    folder = tmp_path_factory.mktemp("made")
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    train = named.filter(pc.equal(named["split"], "train"))
    rows = np.linspace(0, len(train) - 1, 400).astype(int)
    index([write_fasta(train.take(pa.array(rows)), folder / "train.fasta"), str(folder / "bees")])
    make_page(folder / "bees", folder / "page")
    return folder


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made / "page", tmp_path / "page")


def content(made, name):
    return json.loads((made / "page" / "files" / name).read_text(encoding="utf-8"))


# Its files


def test_page_lists_all_its_files_and_a_version_of_them(made, copied):
    files = page_files(copied)
    assert set(files) == {path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()}
    versions = set()
    for title in ("one", "one", "two"):
        make_page(made / "bees", copied, title=title)
        versions.add((copied / "files.js").read_text())
    assert len(versions) == 2


def test_names_vectors_and_bases_are_those_of_the_library(made):
    library, _ = open_with_model(made / "bees")
    names, columns = library.names(), content(made, "names.json")
    assert columns["id"] == names["id"].to_pylist()
    for name in ("phylum", "species", "bin"):
        values = [*columns[name]["values"], ""]
        assert [values[number] for number in columns[name]["numbers"]] == names[name].to_pylist()
    tensors = load_file(made / "page" / "files" / "library.safetensors")
    np.testing.assert_array_equal(tensors["vectors"], library.vectors(library.live))
    packed = tensors["bases"]
    bases = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1).astype(int) - 1
    np.testing.assert_array_equal(bases[:, : library.manifest.frame_length], library.bases(library.live))
    facts = content(made, "library.json")
    assert (facts["title"], facts["num_records"]) == ("Barcodes of bees", 400)
    assert facts["num_named"]["species"] == len(set(names["species"].to_pylist()))


def test_axes_of_the_map_are_those_in_which_vectors_vary_most(made):
    tensors = load_file(made / "page" / "files" / "library.safetensors")
    centred = tensors["vectors"].astype(np.float64) - tensors["mean"]
    largest = np.linalg.svd(centred, compute_uv=False)[:2] ** 2
    points = centred @ tensors["axes"].T
    np.testing.assert_allclose((points**2).sum(axis=0), largest, rtol=1e-3)


def test_page_is_complete_in_a_wheel():
    setup = ConfigParser()
    setup.read(Path(__file__).parent.parent / "setup.cfg")
    patterns = setup["options.package_data"]["barcodemae.page"].split(", ")
    found = {file for pattern in patterns for file in STATIC.parent.glob(pattern) if file.is_file()}
    assert found == {file for file in STATIC.rglob("*") if file.is_file()}


def test_page_loads_nothing_from_elsewhere():
    addresses = {
        address
        for file in STATIC.rglob("*")
        if file.is_file()
        for address in re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}[^\s\"'<)]*", file.read_text(encoding="utf-8"))
    }
    assert addresses == {"https://arxiv.org/abs/2502.18405", "http://www.w3.org/2000/svg"}
    assert "default-src 'self'" in (STATIC / "index.html").read_text(encoding="utf-8")


def test_modules_that_are_imported_exist():
    for file in STATIC.rglob("*.js"):
        for name in re.findall(r"(?:from|import\() ?\"(\.[^\"]+)\"", file.read_text(encoding="utf-8")):
            assert (file.parent / name).is_file(), f"{file.name}: {name}"


def test_inputs_have_labels():
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    inputs = set(re.findall(r"<(?:input|textarea)[^>]* id=\"(\w+)\"", text))
    assert inputs == {"files", "sequences", "minimum"}
    assert inputs <= set(re.findall(r"<label[^>]* for=\"(\w+)\"", text))


# What is refused


def test_library_of_another_engine_is_refused(sample, tmp_path, monkeypatch):
    embedder = OneHotEmbedder()
    library = StoredLibrary.open(library_of(sample.slice(0, 40), tmp_path, embedder))
    monkeypatch.setattr(making, "open_with_model", lambda folder, model: (library, embedder))
    with pytest.raises(
        LibraryError, match=r"expected a library of the base map, .* got one of the engine bases; make one"
    ):
        page([str(library.folder), "-o", str(tmp_path / "page")])
    assert not (tmp_path / "page").exists()


def test_large_library_is_refused(made, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "MAX_RECORDS", 399)
    with pytest.raises(LibraryError, match="expected at most 399 records, which browsers can load, got 400"):
        make_page(made / "bees", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_folder_with_other_files_is_left_alone(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="expected a new or empty folder, or an earlier page"):
        make_page(made / "bees", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


# Its publication


def test_card_is_that_of_a_static_space(made, tmp_path):
    files = assemble_page(made / "page", "cc-by-4.0", tmp_path)
    header = yaml.safe_load(files["README.md"].read_text(encoding="utf-8").split("---")[1])
    assert (header["sdk"], header["app_file"], header["license"]) == ("static", "index.html", "cc-by-4.0")
    assert header["title"] == "Barcodes of bees"


def test_incomplete_page_is_not_published(copied, tmp_path):
    (copied / "worker.js").unlink()
    with pytest.raises(ConfigurationError, match=r"expected the file worker\.js of the page"):
        assemble_page(copied, "cc0-1.0", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ORG/NAME"], "is a page; expected --space ORG/NAME"),
        (["--space", "ORG/NAME"], "expected --license"),
        ([], "expected REPOSITORY, or --space"),
    ],
)
def test_push_of_a_page_needs_a_space_and_a_licence(made, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        push([str(made / "page"), *arguments])


def test_what_is_published_is_shown_first(made, capsys):
    push([str(made / "page"), "--space", "ORG/NAME", "--license", "cc0-1.0", "--dry-run"])
    printed = capsys.readouterr().out
    assert "files/library.safetensors" in printed
    assert "sdk: static" in printed


# Its results


def variants(records, rng):
    """FASTA of barcodes as people have them: complete, changed, cut, of the other strand, with indels; and none."""

    def changed(text, share, bases):
        is_changed = rng.random(len(text)) < share
        return "".join(rng.choice(list(bases)) if one else base for base, one in zip(text, is_changed, strict=True))

    kinds = {
        "complete": lambda text: text,
        "changed": lambda text: changed(text, 0.04, "ACGT"),
        "cut": lambda text: text[120 : 120 + rng.integers(105, 500)],
        "reverse": reverse_complement,
        "insertion": lambda text: text[:200] + "GA" + text[200:],
        "deletion": lambda text: text[:150] + text[153:380] + text[381:],
        "flanked": lambda text: changed("A" * 90, 1, "ACGT") + text.lower() + "TGATTTTTTGG",
        "unknown": lambda text: changed(text, 0.15, "NRY"),
        "random": lambda text: changed(text, 1, "ACGT"),
        "short": lambda text: text[:70],
        "beyond": lambda text: text[-90:] + changed("A" * 60, 1, "ACGT"),
    }
    lines = []
    for row, record in enumerate(records.to_pylist()):
        kind = list(kinds)[row % len(kinds)]
        lines += [f">{record['id']}_{kind};size={row + 1};sample=S{row % 3};", kinds[kind](record["nucleotides"])]
    return "\n".join([*lines, ">without_dna", "NNNN", "", ">", records["nucleotides"][0].as_py(), ""])


def rows(text):
    header, *lines = (line.split("\t") for line in text.splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def check_equal(got, expected):
    """Rows of TSV are equal; numbers within the tolerance, and hits of equal identity in any order."""
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.keys() == other.keys()
        for column, value in other.items():
            if column.startswith("hit_"):
                continue
            if re.fullmatch(r"\d\.\d{4}", value):
                assert float(one[column]) == pytest.approx(float(value), abs=TOLERANCE), (one["id"], column)
            else:
                assert one[column] == value, (one["id"], column)
        hits = [
            list(zip(row["hit_ids"].split(";"), row["hit_frame_identities"].split(";"), strict=True))
            for row in (one, other)
        ]
        assert [identity for _, identity in hits[0]] == [identity for _, identity in hits[1]], one["id"]
        worst = hits[1][-1][1]  # of references that are equally near, either may be the last
        assert {hit for hit in hits[0] if hit[1] != worst} == {hit for hit in hits[1] if hit[1] != worst}, one["id"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=f"expected a browser on the path ({', '.join(NAMES)}), found none")
def test_page_identifies_as_the_command_does_also_offline(made, sample, tmp_path):
    others = sample.filter(pc.not_equal(sample["split"], "train"))
    chosen = np.linspace(0, len(others) - 1, 160).astype(int)
    queries = tmp_path / "queries.fasta"
    queries.write_text(variants(others.take(pa.array(chosen)), np.random.default_rng(0)))
    identify([str(queries), "--library", str(made / "bees"), "-o", str(tmp_path / "names.tsv"), "-q"])
    expected = rows((tmp_path / "names.tsv").read_text().replace(str(queries), queries.name))
    assert {row["call"] for row in expected} >= {"species", "genus", "family", "unreliable"}
    with shown_in_browser(BROWSER, made / "page", queries.read_text()) as shown:
        table = shown.result("file")
        check_equal(rows(table), expected)
        assert re.match(r"\d+ bases? of \d+ differs?", shown.result("detail"))
        assert shown.result("empty") == "error: empty.fasta: expected sequences, got an empty file"
        assert shown.result("offline") == table
    assert {name.split("?")[0] for name in shown.requested} <= {"", *page_files(made / "page")}
    assert is_page(made / "page")
