"""What `import barcodemae` gives: libraries, clusters and vectors, from files, strings and tables."""

import doctest
import importlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import barcodemae
from barcodemae.data.inputs import stream_input
from barcodemae.errors import LibraryError, UnreadableFileError


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


def test_a_library_says_what_it_is(library):
    assert len(library) == 600
    assert repr(library) == f"<Library '{library.folder}': 600 records, nano_coi (frame)>"
    assert len(library.names()) == 600


def test_files_strings_and_tables_are_named_alike(library, references, named):
    by_file = library.identify(references)
    texts = named["nucleotides"].slice(0, 600).to_pylist()
    by_strings = library.identify(texts)
    by_table = library.identify(pa.table({"processid": named["id"].slice(0, 600), "nucleotides": texts}))
    by_paths = library.identify([references])
    assert by_file.equals(by_table)
    assert by_file.equals(by_paths)
    assert by_strings.drop_columns(["id"]).equals(by_file.drop_columns(["id"]))
    assert by_strings["id"].to_pylist()[:2] == ["1", "2"]
    assert by_file.to_pandas().shape[0] == 600
    is_right = np.array(by_file["genus"].to_pylist()) == np.array(named["genus"].slice(0, 600).to_pylist())
    assert is_right.mean() > 0.95


def test_nothing_gives_an_empty_table(library):
    assert library.identify([]).num_rows == 0
    assert library.identify([]).column_names == library.identify(["ACGT"]).column_names


def test_what_is_no_barcode_has_a_reason(library):
    found = library.identify(["ACGT", "", "N" * 600])
    assert found["call"].to_pylist() == ["unreliable"] * 3
    assert found["reason"].to_pylist()[1:] == ["no DNA", "no DNA"]


def test_records_come_and_go(named, references, tmp_path):
    library = barcodemae.Library.build([references], tmp_path / "library")
    more = write_records(named.slice(600, 100), tmp_path / "more.parquet")
    library.append(more)
    assert len(library) == 700
    library.append(more)  # is there already
    assert len(library) == 700
    library.remove([named["id"][0].as_py()])
    assert len(library) == len(barcodemae.Library.open(tmp_path / "library")) == 699
    with pytest.raises(LibraryError, match="it holds none of the id 'nobody'"):
        library.remove(["nobody"])
    with pytest.raises(TypeError, match="expected a list of ids, got one string"):
        library.remove("nobody")


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
        ("ACGTACGT", UnreadableFileError, "ACGTACGT: expected an extension"),
        (pa.table({"id": ["a"]}), UnreadableFileError, "input: expected a column of nucleotides"),
    ],
)
def test_what_is_no_input(source, error, message):
    with pytest.raises(error, match=message):
        list(stream_input(source))


def test_the_import_is_light():
    program = "import sys, barcodemae; print(barcodemae.__version__, *{'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{barcodemae.__version__}\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = barcodemae.nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", barcodemae.__all__)
def test_examples_run(name):
    public = getattr(barcodemae, name)
    module = importlib.import_module(public.__module__)
    tests = [one for one in doctest.DocTestFinder().find(public, name, module) if one.examples]
    assert tests
    for one in tests:
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(one).failed == 0
