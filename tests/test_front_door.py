"""The public interface of `import barcodemae`, and the examples of all modules."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import barcodemae
import modeling_barcodemae
import tokenization_barcodemae
from barcodemae.data.inputs import stream_input
from barcodemae.errors import LibraryError, UnreadableFileError
from helpers.reference_records import write_fasta


def write_records(records, path):
    pq.write_table(records, path)
    return path


@pytest.fixture(scope="module")
def named(sample):
    return sample.filter(pc.not_equal(sample["species"], ""))


@pytest.fixture(scope="module")
def references(named, tmp_path_factory):
    return write_records(named.slice(0, 600), tmp_path_factory.mktemp("references") / "references.parquet")


@pytest.fixture(scope="module")
def library(references, tmp_path_factory):
    return barcodemae.Library.build(references, tmp_path_factory.mktemp("library"))


def test_representation_of_a_library(library):
    assert len(library) == 600
    assert repr(library) == f"<Library '{library.folder}': 600 records, nano_coi (frame)>"
    assert len(library.names()) == 600


def test_files_strings_and_tables_have_the_same_results(library, references, named):
    by_file = library.identify(references)
    texts = named["nucleotides"].slice(0, 600).to_pylist()
    by_strings = library.identify(texts)
    by_table = library.identify(pa.table({"processid": named["id"].slice(0, 600), "nucleotides": texts}))
    by_paths = library.identify([references])
    assert by_file.drop_columns(["file"]).equals(by_table.drop_columns(["file"]))
    assert by_file.equals(by_paths)
    assert by_strings.drop_columns(["id", "file"]).equals(by_file.drop_columns(["id", "file"]))
    assert set(by_file["file"].to_pylist()) == {str(references)}
    assert [hits[0]["bin"] for hits in by_file["hits"].to_pylist()] == named["bin"].slice(0, 600).to_pylist()
    assert by_strings["id"].to_pylist()[:2] == ["1", "2"]
    assert by_file.to_pandas().shape[0] == 600
    is_right = np.array(by_file["best_genus"].to_pylist()) == np.array(named["genus"].slice(0, 600).to_pylist())
    assert is_right.mean() > 0.95


def test_no_queries_give_an_empty_table(library):
    assert library.identify([]).num_rows == 0
    assert library.identify([]).column_names == library.identify(["ACGT"]).column_names


def test_query_that_is_not_a_barcode_has_a_reason(library):
    found = library.identify(["ACGT", "", "N" * 600])
    assert found["call"].to_pylist() == ["unreliable"] * 3
    assert found["reason"].to_pylist()[1:] == ["no DNA", "no DNA"]


def test_records_are_added_and_removed(named, references, tmp_path):
    library = barcodemae.Library.build([references], tmp_path / "library")
    more = write_records(named.slice(600, 100), tmp_path / "more.parquet")
    library.append(more)
    assert len(library) == 700
    library.append(more)  # already added
    assert len(library) == 700
    library.remove([named["id"][0].as_py()])
    assert len(library) == len(barcodemae.Library.open(tmp_path / "library")) == 699
    with pytest.raises(LibraryError, match="expected ids of records in the library, got 'nobody'"):
        library.remove(["nobody"])
    with pytest.raises(TypeError, match="expected a list of ids, got one string"):
        library.remove("nobody")


def test_doubtful_labels_and_complete_headers_are_options_as_of_the_command(named, tmp_path):
    # Four copies of one barcode, one of them under another genus: its label is doubtful.
    rows = named.slice(0, 20).to_pylist()
    rows += [rows[0] | {"id": f"copy{number}"} for number in range(3)]
    doubtful = rows[0] | {"id": "doubtful", "genus": "Aus", "species": "Aus albus"}
    source = write_fasta(pa.Table.from_pylist([*rows, doubtful], named.schema), tmp_path / "a.fasta")
    library = barcodemae.Library.build(source, tmp_path / "library", exclude_suspects=True, whole_headers=True)
    assert len(library) == 23
    assert library.names()["id"][0].as_py().startswith(f"{rows[0]['id']};tax=p:Arthropoda")
    more = write_fasta(pa.Table.from_pylist([doubtful | {"id": "again"}], named.schema), tmp_path / "b.fasta")
    library.append(more, exclude_suspects=True)
    assert len(library) == 23


def test_clusters(references, named):
    table = barcodemae.cluster(references)
    assert table.num_rows == 600
    assert table.equals(barcodemae.cluster(pa.table({"id": table["id"], "nucleotides": named["nucleotides"][:600]})))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (3, TypeError, "expected a file, sequences or a table of records, got int"),
        (b"ACGT", TypeError, "expected a file, sequences or a table of records, got bytes"),
        (["ACGT", 3], TypeError, "expected sequences as strings, or files as paths, got one of int"),
        ("ACGTACGT", UnreadableFileError, "ACGTACGT: expected a file"),
        (
            pa.table({"id": ["a"]}),
            UnreadableFileError,
            "input: expected .* nucleotides .* got the columns id",
        ),
    ],
)
def test_invalid_input(source, error, message):
    with pytest.raises(error, match=message):
        list(stream_input(source))


def test_import_is_fast():
    program = "import sys, barcodemae; print(barcodemae.__version__, *{'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{barcodemae.__version__}\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = barcodemae.nothing


def has_example(public):
    return any(test.examples for test in doctest.DocTestFinder().find(public))


def test_public_names_have_examples():
    assert [name for name in barcodemae.__all__ if not has_example(getattr(barcodemae, name))] == []


# The examples of metrics load them from the Hub.
MODULES = [
    f"{package.__name__}.{'.'.join(path.relative_to(root).with_suffix('').parts)}"
    for package in (barcodemae, modeling_barcodemae, tokenization_barcodemae)
    for root in [Path(package.__file__).parent]
    for path in sorted(root.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8") and "metrics" not in path.parts
]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    tests = [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]
    assert tests
    for test in tests:
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0
