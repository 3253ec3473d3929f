"""Files of embeddings that are written in parts, and `barcodemae embed`, which writes them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae import BarcodeEmbedder
from barcodemae.cli.embed import embed
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.embedding.writers import open_vectors
from barcodemae.errors import BadRecordError


def write(path, parts, dimension):
    with open_vectors(path, dimension) as file:
        for number, part in enumerate(parts):
            file.write(pa.chunked_array([pa.array([f"{number}-{row}" for row in range(len(part))], pa.string())]), part)


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    vectors = pq.read_table(path)["embedding"].combine_chunks()
    return vectors.flatten().to_numpy().reshape(len(vectors), vectors.type.list_size)


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.parquet"])
@given(sizes=st.lists(st.integers(0, 12), max_size=5), dimension=st.integers(1, 9))
def test_parts_are_concatenated(name, sizes, dimension, tmp_path_factory):
    rng = np.random.default_rng(len(sizes))
    parts = [rng.normal(size=(size, dimension)).astype(np.float32) for size in sizes]
    path = tmp_path_factory.mktemp("parts") / name
    write(path, parts, dimension)
    found = read(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate([np.zeros((0, dimension), np.float32), *parts]))


def test_size_of_the_header_does_not_depend_on_the_number_of_rows(tmp_path):
    for shape in ((0, 200), (10**12, 200)):
        with (tmp_path / str(shape[0])).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    assert (tmp_path / "0").stat().st_size == (tmp_path / str(10**12)).stat().st_size


def test_row_groups_are_the_parts(tmp_path):
    write(tmp_path / "vectors.parquet", [np.ones((3, 2), np.float32), np.ones((4, 2), np.float32)], 2)
    file = pq.ParquetFile(tmp_path / "vectors.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [3, 4]
    assert file.read()["id"].to_pylist()[3] == "1-0"


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.parquet"])
def test_failure_leaves_the_old_file(name, tmp_path):
    write(tmp_path / name, [np.ones((1, 2), np.float32)], 2)

    def parts():
        yield np.zeros((1, 2), np.float32)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(tmp_path / name, parts(), 2)
    assert (read(tmp_path / name) == 1).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_chunks_of_a_long_input_are_concatenated(checkpoint, sample, tmp_path, monkeypatch):
    rows = sample.slice(0, 50)
    pq.write_table(rows, tmp_path / "rows.parquet")
    monkeypatch.setattr("barcodemae.cli.embed._CHUNK", 7)
    embed(
        ["--model", str(checkpoint), "--data", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "a.parquet")]
    )
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["id"].to_pylist() == rows["id"].to_pylist()
    expected = BarcodeEmbedder.from_pretrained(checkpoint).encode(rows["nucleotides"].to_pylist())
    np.testing.assert_allclose(read(tmp_path / "a.parquet"), expected, rtol=0.02, atol=0.02)


@pytest.fixture
def off_the_frame(sample, tmp_path):
    (tmp_path / "mixed.fasta").write_text(f">good\n{sample['nucleotides'][0].as_py()}\n>yeast\n{'ACGGT' * 100}\n")
    return tmp_path / "mixed.fasta"


def test_record_without_embedding_is_an_error_with_file_and_line(off_the_frame, tmp_path):
    options = ["--engine", "frame", "--data", str(off_the_frame), "--output", str(tmp_path / "vectors.npy")]
    with pytest.raises(
        BadRecordError, match=r"mixed.fasta, line 3, record 'yeast': expected a barcode that can be placed on"
    ):
        embed(options)
    assert not (tmp_path / "vectors.npy").exists()
    embed([*options, "--on-error", "skip"])
    assert np.load(tmp_path / "vectors.npy").shape == (1, BaseMapEmbedder.from_pretrained().dimension)


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.parquet"])
def test_input_without_embeddings_gives_an_empty_file(name, tmp_path):
    (tmp_path / "its.fasta").write_text(f">yeast\n{'ACGGT' * 100}\n")
    options = ["--engine", "frame", "--on-error", "skip"]
    embed([*options, "--data", str(tmp_path / "its.fasta"), "--output", str(tmp_path / name)])
    assert read(tmp_path / name).shape == (0, BaseMapEmbedder.from_pretrained().dimension)


@pytest.mark.slow
def test_standard_input_is_embedded(off_the_frame, tmp_path):
    command = [sys.executable, "-m", "barcodemae", "embed", "--engine", "frame", "--on-error", "skip"]
    command += ["--data", "-", "--output", str(tmp_path / "vectors.npy")]
    done = subprocess.run(command, input=off_the_frame.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(np.load(tmp_path / "vectors.npy")) == 1
