"""Files are opened by their content: compression, encoding and format, whatever their name."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.data import read_records
from barcodemae.data.schema import Preset
from barcodemae.errors import UnreadableFileError
from helpers.limited_memory import count_records

FASTA = b">x;tax=g:Apis;\nACGT\nAC\n>y\nGGTT\n"
DNA = "ACGTACGTACGTACGTACGTACGT"


def zipped(content, name="a.fasta", **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as archive:
        archive.writestr("__MACOSX/._a.fasta", "x")
        archive.writestr(name, content)
    return buffer.getvalue()


def zstandard(content):
    return pa.compress(content, "zstd", asbytes=True)


PACKERS = {
    "plain": bytes,
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard,
    "zip": zipped,
    "zip of gzip": lambda content: zipped(gzip.compress(content, mtime=0), "a.fasta.gz"),
    "two of gzip": lambda content: gzip.compress(content[:20], mtime=0) + gzip.compress(content[20:], mtime=0),
    "two of xz": lambda content: lzma.compress(content[:20]) + lzma.compress(content[20:]),
    "two of bzip2": lambda content: bz2.compress(content[:20]) + bz2.compress(content[20:]),
    "two of zstd": lambda content: zstandard(content[:20]) + zstandard(content[20:]),
}


@pytest.mark.parametrize("name", ["a.fsa", "a.txt", "a.csv", "a", "a.fasta.gz"])
@pytest.mark.parametrize("packer", PACKERS)
def test_content_decides(packer, name, tmp_path):
    (tmp_path / name).write_bytes(PACKERS[packer](FASTA))
    records = read_records(tmp_path / name)
    assert records["id"].to_pylist() == ["x", "y"]
    assert records["nucleotides"].to_pylist() == ["ACGTAC", "GGTT"]
    assert records["genus"].to_pylist() == ["Apis", ""]


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_compressed_parquet_and_truncated_files(packer, tmp_path):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"seq": ["ACGT"], "id": ["x"]}), buffer)
    path = tmp_path / "a"
    path.write_bytes(PACKERS[packer](buffer.getvalue()))
    assert read_records(path)["nucleotides"].to_pylist() == ["ACGT"]
    content = PACKERS[packer](FASTA * 500)
    path.write_bytes(content[:-5])
    with pytest.raises(UnreadableFileError, match="expected a complete"):
        read_records(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.4", "got a PDF"),
        (b"BAM\x01abc", "got a BAM file"),
        (b"\x00" * 257 + b"ustar", "got a tar archive; extract it"),
        (b"LOCUS       AB1 658 bp", "got a GenBank file; download it as FASTA"),
        (b"<!DOCTYPE html><p>Log in", "got a web page"),
        (b'{"id": "x"}', "got JSON"),
        (zipped(FASTA, "xl/workbook.xml"), "got an Excel workbook; save it as CSV"),
        (zipped(FASTA, compression=zipfile.ZIP_BZIP2), "got another method; extract it"),
        (b"\x00\x00\x01\x02", "got a file that is not text"),
    ],
)
def test_other_files_are_named(content, message, tmp_path):
    (tmp_path / "a.fasta").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=message):
        read_records(tmp_path / "a.fasta")


def test_archive_of_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.fasta", FASTA)
        archive.writestr("b.fasta", FASTA)
    with pytest.raises(UnreadableFileError, match=r"of one file, got 2 files, such as 'a\.fasta'; extract it"):
        read_records(tmp_path / "a.zip")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(encoding, tmp_path, caplog):
    (tmp_path / "a.txt").write_bytes("id\tsequence\tcountry\nx\tACGT\tPerú\n".encode(encoding))
    (tmp_path / "a.fasta").write_bytes(">x Perú\nACGT\n".encode(encoding))
    for name in ("a.txt", "a.fasta"):
        (record,) = read_records(tmp_path / name).to_pylist()
        assert (record["id"], record["nucleotides"], record["problem"]) == ("x", "ACGT", "")
        assert record["country"] == ("Perú" if name == "a.txt" else "")
    assert ("Latin-1" in caplog.text) == (encoding == "cp1252")


TABLES = {
    "TSV": f"id\tnuc\tgenus\nx\t{DNA}\tApis\n",
    "CSV": f"id,nuc,genus\nx,{DNA},Apis\n",
    "Excel, semicolons": f"sep=;\nid;nuc;genus\nx;{DNA};Apis\n",
    "R, write.table": f'"id"\t"nuc"\t"genus"\n"1"\t"x"\t"{DNA}"\t"Apis"\n',
    "R, without quotation marks": f"id\tnuc\tgenus\n1\tx\t{DNA}\tApis\n",
    "R, write.csv": f'"","id","nuc","genus"\n"1","x","{DNA}","Apis"\n',
    "R, names of rows are ids": f'"nuc"\t"genus"\n"x"\t"{DNA}"\t"Apis"\n',
    "bars": f"id|nuc|genus\nx|{DNA}|Apis\n",
    "comment": f"# made by hand\n\nid\tnuc\tgenus\nx\t{DNA}\tApis\n",
    "comment as header": f"#id\tnuc\tgenus\nx\t{DNA}\tApis\n",
    "Process ID": f"Process ID,Nucleotides,Genus\nx,{DNA},Apis\n",
    "seqID": f"seqID,sequence,genus_name\nx,{DNA},Apis\n",
    "Feature ID": f"Feature ID\tdna_sequence\tTaxon\nx\t{DNA}\tk__Animalia;p__;g__Apis\n",
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a"])
def test_tables(kind, name, tmp_path):
    (tmp_path / name).write_text(TABLES[kind])
    (record,) = read_records(tmp_path / name).to_pylist()
    assert [record[column] for column in ("id", "nucleotides", "genus")] == ["x", DNA, "Apis"]


def test_table_of_dada2_whose_names_of_rows_are_sequences(tmp_path):
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["", "Phylum", "Genus"], [DNA, "Arthropoda", "Apis"]])
    (record,) = read_records(tmp_path / "a.csv").to_pylist()
    assert [record[column] for column in ("id", "nucleotides", "phylum", "genus")] == [
        "a.csv:2",
        DNA,
        "Arthropoda",
        "Apis",
    ]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"#OTU ID\tS1\tS2\n{5 * DNA}\t9\t1\n", ["a.txt:2"]),
        (f"ASV_ID\tS1\tRepresentante\nASV1\t9\t{5 * DNA}\n", ["ASV1"]),
        (f"Name;Sequenz\nx;{5 * DNA}\n", ["x"]),
        (f"id,primer,barcode_region\nx,{DNA},{5 * DNA.lower()}\n", ["x"]),
    ],
)
def test_column_of_barcodes_with_another_name(text, ids, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    records = read_records(tmp_path / "a.txt")
    assert records["id"].to_pylist() == ids
    assert records["nucleotides"][0].as_py().upper() == 5 * DNA


def test_table_without_a_header_is_named_briefly(tmp_path):
    (tmp_path / "a.txt").write_text(f"{30 * DNA}\n{30 * DNA}\n")
    with pytest.raises(UnreadableFileError, match=r"a column of nucleotides .*got the columns [ACGT]{40}\.\.$"):
        read_records(tmp_path / "a.txt")


def test_ids_are_never_empty_and_shared_ones_are_counted(tmp_path, caplog):
    (tmp_path / "a.fasta").write_text("> a one\nAC\n>\nAC\n>a two\nAC\n")
    assert read_records(tmp_path / "a.fasta", Preset(whole_headers=False))["id"].to_pylist() == ["a", "a.fasta:3", "a"]
    assert "1 of 3 records have no id, the first on line 3" in caplog.text
    assert "2 of 3 records share their id with another one (such as 'a'); with --whole-headers" in caplog.text
    caplog.clear()
    read_records(tmp_path / "a.fasta")
    assert caplog.text.endswith("2 of 3 records share their id with another one (such as 'a')\n")
    (tmp_path / "a.csv").write_text("bases,seq\n1,AC\n2,GT\n")
    assert read_records(tmp_path / "a.csv")["id"].to_pylist() == ["a.csv:2", "a.csv:3"]


def test_first_header_that_is_not_read_is_named(tmp_path, caplog):
    lineages = ("Animalia;Arthropoda;Insecta;Hymenoptera;Apidae;Apinae;Apis;Apis mellifera", "A;B;C;D")
    (tmp_path / "a.fasta").write_text("".join(f">x{i} {text}\nAC\n" for i, text in enumerate(lineages)))
    records = read_records(tmp_path / "a.fasta")
    assert set(records["phylum"].to_pylist()) == {""}
    assert "names in 2 of 2 headers are not read, the first on line 1: 'x0 Animalia;Arthropoda" in caplog.text
    assert "expected 6 names from phylum to species, got 7" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bzip2", "xz", "zstd"])
def test_small_file_that_expands_to_two_gigabytes(kind, tmp_path):
    pack = {"bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard}[kind]
    member = pack(b"ACGT" * (1 << 22))
    (tmp_path / "a").write_bytes(pack(b">a\nACGT\n>b\n") + member * 128 + pack(b"\n>c\nACGT\n"))
    assert count_records(tmp_path / "a") == 3
