"""Barcodes to clusters, their tables and representatives, in Python and by the command."""

import csv
import subprocess
import sys

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.cli.cluster import cluster as cluster_command
from barcodemae.cli.command import run_command
from barcodemae.clustering.barcodes import read_barcodes
from barcodemae.clustering.clusters import describe_clusters, find_representative
from barcodemae.clustering.grouping import group
from barcodemae.data import stream_records
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.errors import ConfigurationError
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.marker import FramedMarker, marker_of
from helpers.reference_records import write_fasta
from tokenization_barcodemae import ReferenceFrame, reverse_complement


def numbers(row):
    return np.array(row, np.int8)


def test_representative_agrees_in_most_bases():
    bases = numbers([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 2, 0]])
    assert find_representative(bases, np.array([1, 1, 1]), BasesOnFrame(bases.shape[1])) == 1
    assert find_representative(bases, np.array([3, 1, 1]), BasesOnFrame(bases.shape[1])) == 0  # copies count


def test_short_barcode_does_not_represent_longer_ones():
    bases = numbers([[0, 0, -1, -1], [0, 0, 0, 1], [0, 0, 0, 1]])
    assert find_representative(bases, np.array([1, 1, 1]), BasesOnFrame(bases.shape[1])) == 1


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=12))
def test_representative_of_complete_barcodes_is_the_medoid(rows):
    bases = numbers(rows)
    to_all = (bases[:, None] != bases).sum(axis=(1, 2))
    assert find_representative(bases, np.ones(len(bases), int), BasesOnFrame(bases.shape[1])) == to_all.argmin()


def test_clusters_are_numbered_by_size_and_then_by_their_first_barcode():
    bases = numbers([[0] * 5, [1] * 5, [2] * 5, [2, 2, 2, 2, 3]])
    unique, reads = np.array([1, 0, 3, 2, 1, 3]), np.ones(6, int)
    found = describe_clusters(np.array([7, 3, 5, 5]), bases, unique, reads, BasesOnFrame(5))
    assert found.numbers.tolist() == [2, 3, 1, 1, 2, 1]
    assert found.sizes.tolist() == [2, 1, 3, 3, 2, 3]
    assert found.is_representative.tolist() == [True, True, True, False, False, False]
    np.testing.assert_allclose(found.differences, [0, 0, 0, 0.2, 0, 0])
    assert found.num_clusters == 3


def test_most_abundant_barcode_represents_its_cluster_and_reads_are_summed():
    bases = numbers([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2], [3, 3, 3, 3]])
    unique, reads = np.array([0, 1, 0, 2, 1, 3]), np.array([2, 4, 900, 3, 5, 10**15])
    found = describe_clusters(np.array([0, 0, 0, 1]), bases, unique, reads, BasesOnFrame(bases.shape[1]))
    assert found.numbers.tolist() == [2, 2, 2, 2, 2, 1]
    assert found.sizes.tolist() == [914] * 5 + [10**15]
    assert found.is_representative.tolist() == [False, False, True, False, False, True]


def test_barcode_without_shared_bases_has_no_difference():
    bases = numbers([[0, 0, 0, -1], [-1, -1, -1, 1]])
    found = describe_clusters(np.array([0, 0]), bases, np.arange(2), np.ones(2, int), BasesOnFrame(bases.shape[1]))
    assert np.isnan(found.differences).tolist() == [False, True]


@pytest.fixture
def barcodes(sample, tmp_path):
    """Copies, a read of the other strand with a primer, and records that are not barcodes."""
    first, second, third = (sample["nucleotides"][row].as_py() for row in (0, 5000, 9000))
    texts = {
        "=cmd()": first,
        "turned": reverse_complement("GGTCAACAAATCATAAAGATATTGG" + second),
        "other": "ACGGT" * 100,
        "copy": first.lower(),
        "third": third,
        "none": "NNNN",
        "short": first[:60],
        "again": second,
    }
    (tmp_path / "barcodes.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return tmp_path / "barcodes.fasta"


def run(*arguments):
    cluster_command([str(argument) for argument in arguments])


def test_every_record_has_a_cluster_or_a_reason(barcodes, tmp_path, capsys):
    run(barcodes, "--output", tmp_path / "out.parquet", "--representatives", tmp_path / "out.fasta")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["=cmd()", "turned", "other", "copy", "third", "none", "short", "again"]
    assert [row["cluster"] for row in rows] == [1, 2, None, 1, 3, None, None, 2]
    assert [row["size"] for row in rows] == [2, 2, None, 2, 1, None, None, 2]
    assert [row["reason"] for row in rows] == ["", "", "not the marker", "", "", "no DNA", "too short", ""]
    assert [row["difference"] for row in rows] == [0, 0, None, 0, 0, None, None, 0]
    chosen = [row["id"] for row in rows if row["is_representative"]]
    headers = [line for line in (tmp_path / "out.fasta").read_text().splitlines() if line.startswith(">")]
    assert headers == [f">{id};size={size}" for id, size in zip(chosen, (2, 2, 1), strict=True)]
    printed = capsys.readouterr().out
    assert "Barcodes: 5; left out: 3 (1 not the marker, 1 no DNA, 1 too short)." in printed
    assert "Clusters: 3, 1 of one barcode; the largest has 2.\nThreshold: 2.0% of bases (" in printed
    assert printed.endswith(f"Results are in {tmp_path / 'out.parquet'}, {tmp_path / 'out.fasta'}.\n")


def test_text_table_is_safe_in_a_spreadsheet(barcodes, tmp_path):
    run(barcodes, "--output", tmp_path / "out.tsv")
    rows = list(csv.DictReader((tmp_path / "out.tsv").open(newline=""), delimiter="\t"))
    assert rows[0]["id"] == "'=cmd()"
    assert rows[3] == {
        "id": "copy", "cluster": "1", "size": "2", "is_representative": "false", "difference": "0.0000", "reason": "",
    }  # fmt: skip
    assert rows[5] == {
        "id": "none", "cluster": "", "size": "", "is_representative": "", "difference": "", "reason": "no DNA",
    }  # fmt: skip


def test_several_inputs_are_clustered_together(barcodes, tmp_path):
    run(barcodes, barcodes, "--output", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["size"].to_pylist() == [4, 4, None, 4, 2, None, None, 4] * 2


def test_copies_do_not_hide_relatives(sample, tmp_path):
    """More copies than a barcode has candidates."""
    text = sample["nucleotides"][0].as_py()
    near = ("A" if text[300] != "A" else "C").join([text[:300], text[301:]])
    (tmp_path / "copies.fasta").write_text(f">a\n{text}\n" * 60 + f">b\n{near}\n" * 60)
    run(tmp_path / "copies.fasta", "--output", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["size"].to_pylist() == [120] * 120


@pytest.fixture(scope="module")
def several_species(sample):
    """BINs of several barcodes each; the sample has those that differ most, so that clusters agree less with BINs."""
    counts = pc.value_counts(sample["bin"].filter(pc.not_equal(sample["bin"], "")))
    common = counts.field("values").filter(pc.greater_equal(counts.field("counts"), 5))
    return sample.filter(pc.is_in(sample["bin"], value_set=common)).slice(0, 3000)


def test_clusters_follow_bins(several_species, tmp_path):
    file = write_fasta(several_species, tmp_path / "named.fasta")
    run(file, "--output", tmp_path / "out.parquet", "--threshold", "auto", "--plot", tmp_path / "gap.png")
    table = pq.read_table(tmp_path / "out.parquet")
    clusters = np.array(table["cluster"].to_pylist(), float)
    bins = np.array(several_species["bin"].to_pylist())[np.isfinite(clusters)]
    metrics = pytest.importorskip("sklearn.metrics")
    assert metrics.adjusted_mutual_info_score(bins, clusters[np.isfinite(clusters)]) > 0.85
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")


def test_grouping_has_the_gap(several_species, tmp_path):
    file = write_fasta(several_species, tmp_path / "named.fasta")
    embedder = BaseMapEmbedder.from_pretrained()
    read = read_barcodes(stream_records(file, on_error="skip"), marker_of(embedder))
    at_gap, at_default = group(read, embedder, None), group(read, embedder)
    assert 0.015 < at_gap.threshold < 0.04
    assert at_gap.threshold == at_gap.gap == at_default.gap
    assert at_default.threshold == 0.02


def test_automatic_threshold_without_a_gap_is_an_error(several_species, tmp_path):
    embedder = BaseMapEmbedder.from_pretrained()
    file = write_fasta(several_species.slice(0, 1), tmp_path / "one.fasta")
    read = read_barcodes(stream_records(file, on_error="skip"), marker_of(embedder))
    assert group(read, embedder).gap is None
    with pytest.raises(ConfigurationError, match="expected barcodes that differ"):
        group(read, embedder, None)


def test_damaged_records_have_a_reason(tmp_path):
    (tmp_path / "rows.tsv").write_text("id\tnucleotides\na\tACGT\tx\nb\tACGT\n")
    read = read_barcodes(stream_records(tmp_path / "rows.tsv", on_error="skip"), FramedMarker(ReferenceFrame.coi()))
    assert read.reasons.tolist() == ["damaged", "not the marker"]
    assert read.usable.tolist() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "out.xlsx"], "out.xlsx: expected a name that ends with .tsv or .parquet"),
        (["--threshold", "much"], "--threshold much: expected a share of bases such as 0.02, or auto"),
        (["--threshold", "2"], "threshold 2: expected a share of bases, from 0 to less than 1"),
        (["--threshold", "nan"], "threshold nan: expected a share of bases"),
        (["--plot", "gap.pdf"], "--plot gap.pdf: expected a name that ends with .png"),
    ],
)
def test_bad_options_are_one_line(options, message, barcodes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: run(barcodes, "--output", "out.tsv", "--representatives", "out.fasta", *options))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["barcodes.fasta"]


def test_no_barcodes_at_all_is_an_error_with_the_reasons(tmp_path):
    (tmp_path / "its.fasta").write_text(">a\n" + "ACGGT" * 100 + "\n>b\nNNN\n")
    with pytest.raises(ConfigurationError, match=r"\(COI\S*\), got none: 1 not the marker, 1 no DNA"):
        run(tmp_path / "its.fasta", "--output", tmp_path / "out.tsv")


@pytest.mark.slow
def test_cluster_from_standard_input(barcodes, tmp_path):
    command = [sys.executable, "-m", "barcodemae", "cluster", "-", "--output", str(tmp_path / "out.tsv")]
    done = subprocess.run(command, input=barcodes.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Clusters: 3, 1 of one barcode" in done.stdout
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == 9
