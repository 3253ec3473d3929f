"""All formats give the same records, and every broken file gives one clear error."""

import contextlib
import csv
import functools
import gzip
import io
import logging
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from barcodemae.data import COLUMNS, PRESETS, RANKS, filter_records, find_preset, read_records, stream_records
from barcodemae.data.delimited import read_table
from barcodemae.data.fasta import read_fasta
from barcodemae.data.readers import source_version
from barcodemae.data.schema import BATCH_ROWS, SCHEMA
from barcodemae.data.text import Lines
from barcodemae.errors import ConfigurationError, UnreadableFileError

ROWS = [
    {"id": "A1", "nucleotides": "ACGTAC", "genus": "Apis", "species": "Apis mellifera", "split": "train"},
    {"id": "B2", "nucleotides": "acg-NN", "genus": "", "species": "", "split": "test"},
]
# Without the time, as all workers of a parallel run must use the same names of tests.
gzipped = functools.partial(gzip.compress, mtime=0)
HEADER = ["id", "nucleotides", "genus", "species", "split"]


def delimited(separator: str) -> bytes:
    return "\n".join(separator.join(row) for row in [HEADER, *(row.values() for row in ROWS)]).encode()


def parquet(columns: dict) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def pieces(read, text: str) -> tuple[pa.Table, np.ndarray, list[str]]:
    """Table, lines and problems of a reader of text."""
    found = [piece[:3] for piece in read(Lines(io.StringIO(text, newline=""), "a"))]
    tables, lines, problems = zip(*found, strict=True)
    return pa.concat_tables(tables), np.concatenate(lines), [problem for part in problems for problem in part]


def rows_of(records: pa.Table) -> list[dict]:
    return records.select(HEADER).to_pylist()


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: bytes | str):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", delimited(","), [2, 3]),
        ("a.tsv", delimited("\t"), [2, 3]),
        ("a.TXT", delimited("\t"), [2, 3]),
        ("a.parquet", parquet({column: [row[column] for row in ROWS] for column in HEADER}), [1, 2]),
    ],
)
def test_formats_agree(write, name, content, lines, compress):
    path = write(name + ".gz", gzipped(content)) if compress else write(name, content)
    records = read_records(path)
    assert records.schema == SCHEMA
    assert rows_of(records) == ROWS
    assert records["line"].to_pylist() == lines
    assert records["file"].to_pylist() == [str(path)] * 2
    assert set(records["country"].to_pylist()) == {""}


def test_reads_several_files_in_order(write):
    first, second = write("a.fasta", ">x\nAC\n"), write("b.csv", "id,nucleotides\ny,GT\n")
    records = read_records([first, str(second)])
    assert records["id"].to_pylist() == ["x", "y"]
    assert records["file"].to_pylist() == [str(first), str(second)]
    assert records.take([1, 0])["file"].to_pylist() == [str(second), str(first)]


def test_no_source_is_an_error():
    with pytest.raises(ConfigurationError, match="at least one file"):
        read_records([])


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        # BIOSCAN-5M and CanadianInvertebrates-ML
        (
            "processid,sampleid,dna_bin,phylum,species,dna_barcode,country",
            "P1,S1,BOLD:AAA0001,Arthropoda,not_classified,ACGT,Canada",
            {
                "id": "P1",
                "bin": "BOLD:AAA0001",
                "phylum": "Arthropoda",
                "nucleotides": "ACGT",
                "country": "Canada",
            },
        ),
        # BIOSCAN-1M
        ("sampleid,uri,nucraw,genus", "S1,BOLD:AAA0001,ACGT,", {"id": "S1", "bin": "BOLD:AAA0001"}),
        # BOLD version 3, and older conversions of CanadianInvertebrates-ML
        (
            "processid,bin_uri,order_name,genus_name,species_name,markercode,nucleotides",
            "P1,None,Diptera,Aedes,Aedes aegypti,COI-5P,--ACGT",
            {
                "order": "Diptera",
                "genus": "Aedes",
                "species": "Aedes aegypti",
                "bin": "",
                "nucleotides": "--ACGT",
            },
        ),
        # BCDM
        ("processid,nuc,country/ocean,species", "P1,ACGT,Peru,None", {"country": "Peru", "species": ""}),
        ("ID , Nucleotides,Genus", " x ,ACGT, Apis ", {"id": "x", "genus": "Apis"}),
    ],
)
def test_columns_of_known_collections(write, header, values, expected):
    (record,) = read_records(write("a.csv", f"{header}\n{values}\n")).to_pylist()
    assert {column: record[column] for column in expected} == expected


def test_name_of_the_schema_has_precedence_over_an_alias(write):
    records = read_records(write("a.csv", "nuc,nucleotides,sampleid,processid\nAA,CC,S,P\n"))
    assert (records["nucleotides"].to_pylist(), records["id"].to_pylist()) == (["CC"], ["P"])


@pytest.mark.parametrize("missing", ["", "None", "NaN", "nan", "NA", "null", "not_classified", " None "])
def test_unknown_values_are_the_empty_string(write, missing):
    assert read_records(write("a.csv", f"nuc,genus\nACGT,{missing}\n"))["genus"].to_pylist() == [""]


def test_parquet_columns_of_any_type_become_text(write):
    columns = {
        "id": [7, 8],
        "nucleotides": pa.array(["ACGT", None]).dictionary_encode(),
        "genus": pa.array([float("nan"), None]),
        "species": pa.nulls(2),
        "extra": [[1], [2]],
    }
    records = read_records(write("a.parquet", parquet(columns)))
    assert [list(row.values()) for row in rows_of(records)] == [
        ["7", "ACGT", "", "", ""],
        ["8", "", "", "", ""],
    ]


def test_quotation_marks_quote_in_csv_only(write):
    assert read_records(write("a.csv", 'nuc,country\nAC,"Bonaire, ""Saba"""\n'))["country"].to_pylist() == [
        'Bonaire, "Saba"'
    ]
    assert read_records(write("a.tsv", "nuc\tcountry\nAC\t\"5 o'clock\nGT\tPeru\n"))["country"].to_pylist() == [
        "\"5 o'clock",
        "Peru",
    ]


def test_numbers_of_lines_with_quoted_line_breaks(write):
    records = read_records(write("a.csv", b"\xef\xbb\xbf\r\nid,nuc\r\n\r\nx,AC\r\n\r\n\r\ny,GT\r\n\r\n"))
    assert records["id"].to_pylist() == ["x", "y"]
    assert records["line"].to_pylist() == [4, 7]
    records = read_records(write("b.csv", 'note,id,nuc\n"one\n\ntwo",x,AC\n\n,y,GT\n"a\nb",z,CC'))
    assert records["id"].to_pylist() == ["x", "y", "z"]
    assert records["line"].to_pylist() == [2, 6, 7]
    assert read_records(write("a.fa", "\n\n>x\nAC\nGT\n\n>y\nA"))["line"].to_pylist() == [3, 7]


@given(st.lists(st.lists(st.text('aA",\n', max_size=5), min_size=2, max_size=2), min_size=1))
def test_csv_round_trip_with_lines(rows):
    text = io.StringIO(newline="")
    starts = []
    for row in [["id", "nuc"], *rows]:
        starts.append(text.getvalue().count("\n") + 1)
        csv.writer(text, lineterminator="\n").writerow(row)
    table, lines, problems = pieces(read_table, text.getvalue())
    assert [list(row.values()) for row in table.to_pylist()] == rows
    assert lines.tolist() == starts[1:]
    assert set(problems) == {""}


@given(st.text('aA",\n\r', max_size=20))
def test_any_csv_gives_rows_or_problems(text):
    table, lines, problems = pieces(read_table, f"id,nuc\nx,AC\n{text}")
    assert len(table) == len(lines) == len(problems)
    assert (np.diff(lines) > 0).all()
    assert table.slice(0, 1).to_pylist() == [{"id": "x", "nuc": "AC"}]


def test_bold_version_3_is_latin_1(write, caplog):
    content = "processid\tspecies_name\tnucleotides\nP1\tAëdes vexans\tAC\n".encode("latin-1")
    with caplog.at_level(logging.WARNING):
        assert read_records(write("a.tsv", content))["species"].to_pylist() == ["Aëdes vexans"]
    assert "Latin-1" in caplog.text
    assert read_records(write("b.tsv", content.decode("latin-1")))["species"].to_pylist() == ["Aëdes vexans"]


# FASTA


def test_fasta_headers_and_wrapped_lines(write):
    text = ">x first one\r\nAC\r\nGT\r\n>\nA C\n>y\n>z;size=3\nGG"
    records = read_records(write("a.fna", text))
    assert records["id"].to_pylist() == ["x", "a.fna:4", "y", "z;size=3"]
    assert records["nucleotides"].to_pylist() == ["ACGT", "A C", "", "GG"]
    assert records["line"].to_pylist() == [1, 4, 6, 7]
    assert {value for rank in RANKS for value in records[rank].to_pylist()} == {""}


def test_fasta_sintax_taxonomy(write):
    full = "k:Animalia,p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,g:Aedes,s:Aedes_aegypti"
    records = read_records(write("a.fa", f">x;tax={full};\nAC\n>y;tax=d:Fungi,s:Boletus_edulis\nGT\n>z\nA\n"))
    assert records["id"].to_pylist() == ["x", "y", "z"]
    ranks = ["Arthropoda", "Insecta", "Diptera", "Culicidae", "Aedes", "Aedes aegypti"]
    unknown = [""] * 5
    assert [[row[rank] for rank in RANKS] for row in records.to_pylist()] == [
        ranks,
        ["", "", "", "", "Boletus", "Boletus edulis"],
        [*unknown, ""],
    ]


@given(
    st.lists(st.tuples(st.from_regex(r"[A-Za-z0-9|_.-]{1,8}", fullmatch=True), st.text("ACGTNacgtn-", max_size=40))),
    st.integers(1, 50),
)
def test_fasta_round_trip(records, width):
    records = [("first", "ACGT"), *records]
    chunks = [[sequence[i : i + width] for i in range(0, len(sequence), width)] for _, sequence in records]
    text = "".join(
        f">{name} words\n" + "".join(f"{line}\n" for line in lines)
        for (name, _), lines in zip(records, chunks, strict=True)
    )
    table, lines, _ = pieces(read_fasta, text)
    assert list(zip(table["id"].to_pylist(), table["nucleotides"].to_pylist(), strict=True)) == records
    written = text.split("\n")
    assert [written[line - 1].split()[0][1:] for line in lines] == [name for name, _ in records]


def test_fasta_with_headers_of_several_formats(write):
    text = (
        ">a\troot_1;Eukaryota_2759;Arthropoda_66;Insecta_50557;Hymenoptera_7399;Apidae_7458;Apis_7459;Apis dorsata_7\n"
        "AC\n>ABC12-10|Apis mellifera|COI-5P\nAC\n>c k__Animalia; p__Arthropoda; g__Apis; s__cerana\nAC\n>d\nAC\n"
    )
    records = read_records(write("a.fas", text))
    assert records["id"].to_pylist() == ["a", "ABC12-10", "c", "d"]
    assert records["species"].to_pylist() == ["Apis dorsata", "Apis mellifera", "Apis cerana", ""]
    assert records["phylum"].to_pylist() == ["Arthropoda", "", "Arthropoda", ""]


# Streams


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.fa", "a.parquet", "a.tsv.gz", "a.parquet.gz"])
def test_streams_yield_tables_of_limited_size(write, name):
    count = BATCH_ROWS + 2
    ids = [str(i) for i in range(count)]
    separator = {"csv": ",", "tsv": "\t"}.get(name.split(".")[1])
    if separator is not None:
        content = "".join([f"id{separator}nuc\n", *(f"{i}{separator}AC\n" for i in ids)]).encode()
    elif "fa" in name:
        content = "".join(f">{i}\nAC\n" for i in ids).encode()
    else:
        content = parquet({"id": ids, "nuc": ["AC"] * count})
    path = write(name, gzipped(content, 1) if name.endswith(".gz") else content)
    tables = list(stream_records(path))
    assert [len(table) for table in tables] == [BATCH_ROWS, 2]
    assert {table.schema for table in tables} == {SCHEMA}
    everything = read_records(path)
    assert pa.concat_tables(tables).unify_dictionaries().equals(everything)
    assert everything["id"].to_pylist() == ids
    first, step = {"parquet": (1, 1), "fa": (1, 2)}.get(name.split(".")[1], (2, 1))
    assert everything["line"].to_pylist() == list(range(first, first + step * count, step))


# Standard input


@pytest.fixture
def type_in(monkeypatch):
    """Set the bytes of standard input, which are read one at a time, as from a slow pipe."""

    class Slow(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(min(size, 1) if size > 0 else 1)

    def type_in(content: bytes | str):
        buffer = Slow(content.encode() if isinstance(content, str) else content)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(buffer))
        return buffer

    return type_in


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (">x;tax=g:Apis\nACGT\n", 1),
        ("\ufeff\n# made by hand\n>x;tax=g:Apis\nAC\nGT", 3),
        ("\n@x\nACGT\n+\n@@@@\n", 2),
        ("id\tnuc\tgenus\nx\tACGT\tApis\n", 2),
        ("id,nuc,genus\n\nx,ACGT,Apis\n", 3),
    ],
)
def test_format_of_standard_input(type_in, content, line, compress):
    buffer = type_in(gzipped(content.encode()) if compress else content)
    (record,) = read_records("-").to_pylist()
    assert (record["id"], record["nucleotides"], record["file"], record["line"]) == (
        "x",
        "ACGT",
        "standard input",
        line,
    )
    assert record["genus"] == ("" if "@" in content else "Apis")
    assert not buffer.closed


@pytest.mark.parametrize("compress", [False, True])
def test_parquet_from_standard_input_is_an_error(type_in, compress):
    content = parquet({"nuc": ["ACGT"]})
    type_in(gzipped(content) if compress else content)
    with pytest.raises(UnreadableFileError, match="got Parquet, which needs a file"):
        read_records("-")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "standard input: expected records, got an empty file"),
        (gzipped(b">x\nACGT\n")[:-6], "standard input: expected a complete gzip file"),
        ("id,length\n1,2\n", "standard input: expected FASTA, FASTQ, Parquet, or a table with a column of nucleotides"),
        ("id,nuc\nx\n", "standard input, line 2: expected 2 columns"),
    ],
)
def test_broken_standard_input(type_in, content, message):
    type_in(content)
    with pytest.raises(UnreadableFileError, match=message):
        read_records("-")


@given(st.binary(max_size=50) | st.text('>@+#idnuc,\t\n";|_').map(str.encode), st.booleans())
def test_any_standard_input_gives_records_or_an_error(content, compress):
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(UnreadableFileError):
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzipped(content) if compress else content)))
        assert len(read_records("-", on_error="skip"))


def test_standard_input_has_no_version():
    with pytest.raises(ConfigurationError, match="standard input can't be read again"):
        source_version("-")


# Presets: a small file of each collection


PRESET_FILES = {
    "bioscan-5m": (
        "BIOSCAN_5M_Insect_Dataset_metadata.csv",
        "processid,sampleid,taxon,phylum,class,order,family,subfamily,genus,species,dna_bin,dna_barcode,country,"
        "province_state,coord-lat,coord-lon,image_measurement_value,area_fraction,scale_factor,inferred_ranks,split,"
        "index_bioscan_1M_insect,chunk\n"
        f"P1,S1,Apis,Arthropoda,Insecta,Hymenoptera,Apidae,Apinae,Apis,,BOLD:AAA0001,{'ACGT' * 165}TTTT,Costa Rica,"
        "Guanacaste,10.1,-85.4,,,,0,other_heldout,,a1\n",
        {
            "id": "P1",
            "nucleotides": "ACGT" * 165,
            "genus": "Apis",
            "species": "",
            "bin": "BOLD:AAA0001",
            "country": "Costa Rica",
            "split": "other_heldout",
        },
    ),
    "bioscan-1m": (
        "BIOSCAN_Insect_Dataset_metadata.tsv",
        "sampleid\tprocessid\turi\tname\tphylum\tclass\torder\tfamily\tsubfamily\ttribe\tgenus\tspecies\tsubspecies\t"
        "nucraw\timage_file\tlarge_diptera_family\tlarge_insect_order\n"
        "S1\tP1\tBOLD:AAA0001\tSciaridae\tArthropoda\tInsecta\tDiptera\tSciaridae\tnot_classified\tnot_classified\t"
        f"not_classified\tnot_classified\tnot_classified\t{'ACGT' * 170}\tS1.jpg\tvalidation\ttrain\n"
        "S2\tP2\tBOLD:AAA0002\tx\tArthropoda\tInsecta\tDiptera\tSciaridae\tx\tx\tBradysia\tx\tx\tACGT\tx\tno_split\ttest\n",
        {"id": "P1", "nucleotides": "ACGT" * 165, "genus": "", "species": "", "bin": "BOLD:AAA0001", "split": "val"},
    ),
    "canadian-invertebrates": (
        "CanInv_metadata.csv",
        "processid,sampleid,dna_bin,phylum,class,order,family,genus,species,dna_barcode,sequence_len,split\n"
        "P1,S1,BOLD:AAA0001,Arthropoda,Insecta,Diptera,Culicidae,Aedes,Aedes vexans,"
        f"{'ACGT' * 170},680.0,test_unseen\n",
        {"id": "P1", "nucleotides": "ACGT" * 165, "genus": "Aedes", "species": "Aedes vexans", "split": "test_unseen"},
    ),
    "canadian-invertebrates-files": (
        "supervised_val.csv",
        "nucleotides,species_name,genus_name,bin_uri,processid\nACGT,Aedes vexans,Aedes,BOLD:AAA0001,P1\n",
        {"id": "P1", "genus": "Aedes", "species": "Aedes vexans", "bin": "BOLD:AAA0001", "split": "val"},
    ),
    "its-5m": (
        "test1.fasta",
        ">KY106088|k__Fungi;p__Basidiomycota;c__Tremellomycetes;o__Tremellales;f__Cryptococcaceae;g__Cryptococcus;"
        "s__Cryptococcus_neoformans|SH1572816.08FU\nACGT\n",
        {"id": "KY106088", "genus": "Cryptococcus", "species": "Cryptococcus neoformans", "split": "test_yeast"},
    ),
    "bold-v3": (
        "bold_data.txt",
        "processid\tsampleid\tbin_uri\tphylum_name\tclass_name\torder_name\tfamily_name\tgenus_name\tspecies_name\t"
        "country\tmarkercode\tnucleotides\n"
        "P0\tS0\tBOLD:AAA0001\tArthropoda\tInsecta\tDiptera\tCulicidae\tAedes\tAëdes vexans\tPerú\t28S\tCCCC\n"
        "P1\tS1\tBOLD:AAA0001\tArthropoda\tInsecta\tDiptera\tCulicidae\tAedes\tAëdes vexans\tPerú\tCOI-5P\t--ACGT\n",
        {
            "id": "P1",
            "nucleotides": "--ACGT",
            "order": "Diptera",
            "species": "Aëdes vexans",
            "country": "Perú",
            "split": "",
        },
    ),
    "bold-bcdm": (
        "BOLD_Public.tsv",
        "processid\tsampleid\tbin_uri\tphylum\tclass\torder\tfamily\tgenus\tspecies\tmarker_code\tnuc\tcountry/ocean\n"
        "P1\tS1\tNone\tArthropoda\tInsecta\tDiptera\tCulicidae\tAedes\tNone\tCOI-5P\tAC-GT\tPeru\n"
        "P2\tS2\tNone\tArthropoda\tInsecta\tDiptera\tCulicidae\tAedes\tNone\tNone\tNone\tPeru\n",
        {
            "id": "P1",
            "nucleotides": "AC-GT",
            "bin": "",
            "genus": "Aedes",
            "species": "",
            "country": "Peru",
            "split": "",
        },
    ),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_reads_its_collection(write, name):
    file, text, expected = PRESET_FILES[name]
    content = text.encode("latin-1") if name == "bold-v3" else text
    record = read_records(write(file, content), find_preset(name)).to_pylist()[0]
    assert {column: record[column] for column in expected} == expected


def test_preset_converts_splits_and_selects_the_marker(write, caplog):
    def read(name, **options):
        file, text, _ = PRESET_FILES[name]
        return read_records(write(file, text), find_preset(name, **options))

    assert read("bioscan-1m")["split"].to_pylist() == ["val", "pretrain"]
    assert read("bioscan-1m", split_column="large_insect_order")["split"].to_pylist() == ["train", "test"]
    assert read("bold-bcdm")["id"].to_pylist() == ["P1"]
    caplog.set_level("INFO", "barcodemae")
    assert read("bold-v3")["id"].to_pylist() == ["P1"]
    assert "1 rows of other markers than COI-5P are left out" in caplog.text


def test_split_column(write):
    path = write("a.csv", "nuc,split,fold\nACGT,train,val\n")
    assert read_records(path, find_preset(None, "fold"))["split"].to_pylist() == ["val"]
    with pytest.raises(UnreadableFileError, match="expected a column 'set', got the columns nuc, split, fold"):
        read_records(path, find_preset(None, "set"))


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("bioscan-5m", "a.csv", "processid,nuc\nP1,AC\n", "expected a column 'dna_barcode', got the columns"),
        ("bold-v3", "a.tsv", PRESET_FILES["bold-v3"][1].replace("markercode", "code"), "a column 'markercode'"),
        (
            "bold-v3",
            "a.tsv",
            PRESET_FILES["bold-v3"][1].replace("COI-5P", "16S"),
            "of the marker COI-5P, got 2 of others",
        ),
        (
            "canadian-invertebrates-files",
            "other.csv",
            PRESET_FILES["canadian-invertebrates-files"][1],
            "named one of pre_training, .*, unseen, got 'other'",
        ),
    ],
)
def test_file_that_does_not_fit_the_preset(write, name, file, content, message):
    with pytest.raises(UnreadableFileError, match=message):
        read_records(write(file, content), find_preset(name))


def test_unknown_preset():
    with pytest.raises(ConfigurationError, match="--preset bioscan: expected one of bioscan-5m, bioscan-1m"):
        find_preset("bioscan")


# Damaged rows


def skipped(path):
    """Ids of undamaged records, and line and problem of damaged ones."""
    records = read_records(path, on_error="skip").to_pylist()
    return (
        [row["id"] for row in records if not row["problem"]],
        [(row["line"], row["problem"]) for row in records if row["problem"]],
    )


@pytest.mark.parametrize(
    ("name", "content", "undamaged", "damaged"),
    [
        (
            "a.tsv",
            "id\tnuc\na\tAC\nb\nc\tGT\nd\tAC\tGT\ne\tGG\n",
            ["a", "c", "e"],
            [
                (3, "expected 2 columns, as in the header, got 1"),
                (5, "expected 2 columns, as in the header, got 3"),
            ],
        ),
        (
            "a.csv",
            b"id,nuc\na,AC\nb,G\xe9\nc,GT\n",
            ["a", "c"],
            [(3, "expected UTF-8 text, got byte 0xe9")],
        ),
        (
            "a.fa",
            b">a\nAC\n>b\nGG\nG\xff\n>c\nGT\n",
            ["a", "c"],
            [(3, "expected UTF-8 text, got byte 0xff")],
        ),
        (  # never closed: what it swallowed is read after all
            "a.csv",
            'id,nuc,note\na,AC,\nb,GG,"so\nc,GT,\nd,CC,"x"\n\ne,AA,\n',
            ["a", "c", "d", "e"],
            [(3, "expected a CSV row, got: ',' expected after '\"'")],
        ),
        (
            "a.csv",
            'id,nuc,note\na,AC,\nb,GG,"so\nc,GT,\nd,CC,\n',
            ["a", "c", "d"],
            [(3, "expected a CSV row, got: unexpected end of data")],
        ),
        (
            "a.csv",
            'id,nuc,note\na,AC,\nb,GG,"so\n' + f"c,{'GT' * 60},\n" * 10_000,
            ["a"] + ["c"] * 10_000,
            [(3, "expected a CSV row, got: more than 1,065,536 bytes")],
        ),
    ],
)
def test_damaged_rows_have_line_and_problem(write, name, content, undamaged, damaged):
    path = write(name, content)
    assert skipped(path) == (undamaged, damaged)
    line, problem = damaged[0]
    with pytest.raises(UnreadableFileError) as caught:
        read_records(path)
    assert str(caught.value) == f"{path}, line {line}: {problem}"


def test_invalid_utf8_matters_only_in_columns_that_are_read(write):
    assert skipped(write("a.csv", b"id,nuc,collector\na,AC,Ren\xe9\n")) == (["a"], [])


def test_damaged_row_deep_in_a_large_file(write):
    rows = [f"{i}\tACGT\n" for i in range(40_000)]
    rows[30_000] = "30000\n"
    undamaged, damaged = skipped(write("a.tsv.gz", gzipped("".join(["id\tnuc\n", *rows]).encode(), 1)))
    assert undamaged == [str(i) for i in range(40_000) if i != 30_000]
    assert damaged == [(30_002, "expected 2 columns, as in the header, got 1")]


def test_file_without_an_undamaged_row_is_an_error(write):
    with pytest.raises(UnreadableFileError, match="line 2: expected 3 columns, as in the header, got 1"):
        read_records(write("a.csv", "id,nuc,note\nx;AC;\ny;GT;\n"), on_error="skip")


def test_damaged_file_is_an_error_also_with_skip(write):
    with pytest.raises(UnreadableFileError, match="expected a complete gzip file"):
        read_records(write("a.csv.gz", gzipped(delimited(",") * 5000)[:-12]), on_error="skip")


# Broken files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "expected records, got an empty file"),
        ("a.fa", " \n\n", "expected records, got an empty file"),
        ("a.parquet", "", "expected records, got an empty file"),
        ("a.csv.gz", gzipped(b""), "expected records, got an empty file"),
        ("a.csv", "id,nucleotides\n", "expected records, got none"),
        ("a.parquet", parquet({"nuc": pa.array([], pa.string())}), "expected records, got none"),
        ("a.csv", "id,bases\nx,AC\n", r"a column of nucleotides \(nucleotides, sequence, .*columns id, bases"),
        ("a.parquet", parquet({"bases": ["AC"]}), "column of nucleotides"),
        ("a.csv", "nuc,Nuc\nAC,GT\n", "expected one column 'nuc', got 2"),
        ("a.parquet", parquet({"nuc": [["AC"]]}), "expected text in column 'nuc', got list"),
        ("a.xlsx", "x", "expected FASTA, FASTQ, Parquet, or a table with a column of nucleotides"),
        ("a", b"\x00\x01\x02\x03", "got a file that is not text"),
        ("a.gz", gzipped(b"x"), "expected FASTA, FASTQ, Parquet, or a table with a column of nucleotides"),
        ("a.csv.gz", gzipped(delimited(",") * 50)[:-12], "expected a complete gzip file"),
        ("a.parquet", parquet({"nuc": ["ACGT"]})[:-9], "expected a complete Parquet file"),
        ("a.parquet", "PAR1 not at all", "expected a complete Parquet file"),
        ("a.csv", "id,nuc\nx,AC\n\ny\nz,GT\n", r"a.csv, line 4: expected 2 columns, as in the header, got 1"),
        ("a.tsv", "id\tnuc\nx\tAC\tGT\n", r"a.tsv, line 2: expected 2 columns, as in the header, got 3"),
        (
            "a.csv",
            'id,nuc,note\nx,AC,"never closed\ny,GT,\n',
            r"a.csv, line 2: expected a CSV row, got: unexpected end",
        ),
        ("a.csv", 'id,nuc,note\n\nx,AC,"' + "y,GT,\n" * 50_000, r"a.csv, line 3: expected a CSV row"),
        ("a.csv", b"id,nuc\nx,AC\ny,G\xe9\n", r"a.csv, line 3: expected UTF-8 text, got byte 0xe9"),
        ("a.tsv", "id\tnuc\n".encode("utf-16"), "a.tsv: expected records, got none"),
        ("a.fa", b">x\nAC\n>y\nG\xff\n", r"a.fa, line 3: expected UTF-8 text, got byte 0xff"),
        ("a.fa", "\nACGT\n>x\nAC\n", r"a.fa, line 2: expected FASTA: a line that starts with '>', got 'ACGT'"),
    ],
)
def test_broken_file(write, name, content, message):
    path = write(name, content)
    with pytest.raises(UnreadableFileError, match=message) as caught:
        read_records(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_number_of_columns_that_changes_late_in_a_large_file(write):
    half = "AC" * 60
    good = f"x,{half}{half},x\n"  # 12,000 of them are 3 MB, several of the blocks that are read at once
    with pytest.raises(UnreadableFileError, match=r"line 12002: expected 3 columns, as in the header, got 2"):
        read_records(write("a.csv", "id,nuc,more\n" + good * 12_000 + "x,AC\n" + good))
    with pytest.raises(UnreadableFileError, match=r"line 24002: expected 3 columns, as in the header, got 2"):
        read_records(write("a.csv", "id,nuc,more\n" + f'x,"{half}\n{half}",\n' * 12_000 + "x,AC\n" + good))


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"gone.csv: expected a file .*got nothing of that name"):
        read_records(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UnreadableFileError, match=r"folder.csv: expected a file, got a directory"):
        read_records(tmp_path / "folder.csv")


UNDAMAGED = {
    "a.csv": delimited(","),
    "a.tsv": delimited("\t"),
    "a.fa": b">x;tax=g:Apis\nACGT\n>y\nGGTT\n",
    "a.fq": b"@x\nACGT\n+\nIIII\n@y\nGG\n+\n@I\n",
    "a.csv.gz": gzipped(delimited(",")),
    "a.parquet": parquet({"nuc": ["ACGT" * 9] * 20, "id": [str(i) for i in range(20)]}),
}


@pytest.mark.parametrize("name", UNDAMAGED)
def test_damaged_bytes_give_records_or_an_error(write, name):
    rng = random.Random(0)
    for _ in range(200):
        content = bytearray(UNDAMAGED[name])
        for _ in range(rng.choice([1, 3, 20])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with contextlib.suppress(UnreadableFileError):
            filter_records(read_records(write(name, bytes(content))), on_error="skip")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200) | st.text('>@+#idnuc,\t\n\r";|_= 1é').map(str.encode),
    st.sampled_from([".csv", ".fa", ".fq", ".parquet", ".zip", ""]),
)
@example(b"", ".fa")
@example(b"@\n\n+\n", ".fq")
def test_any_bytes_give_records_or_an_error(write, content, extension):
    with contextlib.suppress(UnreadableFileError):
        assert len(filter_records(read_records(write(f"a{extension}", content), on_error="skip"), on_error="skip")) == 2


@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet"])
def test_truncated_files(write, name):
    for length in range(1, len(UNDAMAGED[name]), 7):
        with pytest.raises(UnreadableFileError):
            read_records(write(name, UNDAMAGED[name][:length]))


# The Hub; a local folder is read by the same code of `datasets`


def test_hub_splits_become_the_split_column(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "barcodes"
    folder.mkdir()
    (folder / "train.csv").write_text("processid,dna_barcode,genus,length\nx,ACGT,Apis,4\ny,GGG,,3\n")
    (folder / "validation.csv").write_text("processid,dna_barcode,genus,length\nz,AC,,2\n")
    records = read_records(f"hub:{folder}")
    assert records.schema == SCHEMA
    assert rows_of(records) == [
        {"id": "x", "nucleotides": "ACGT", "genus": "Apis", "species": "", "split": "train"},
        {"id": "y", "nucleotides": "GGG", "genus": "", "species": "", "split": "train"},
        {"id": "z", "nucleotides": "AC", "genus": "", "species": "", "split": "val"},
    ]
    np.testing.assert_array_equal(records["line"], [1, 2, 3])


def test_hub_is_read_in_tables_of_limited_size(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "barcodes"
    folder.mkdir()
    count = 2 * BATCH_ROWS + 3
    pq.write_table(pa.table({"nuc": [f"A{i}" for i in range(count)], "split": ["train"] * count}), folder / "a.parquet")
    tables = list(stream_records(f"hub:{folder}"))
    assert max(map(len, tables)) < 2 * BATCH_ROWS
    records = pa.concat_tables(tables)
    assert records["nucleotides"].to_pylist() == [f"A{i}" for i in range(count)]
    assert records["line"].to_pylist() == list(range(1, count + 1))


def test_unreachable_hub(monkeypatch):
    def refuse(name, **options):
        raise ConnectionError(f"couldn't\nreach {name}")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(
        UnreadableFileError,
        match="hub:some/set: expected a data set of the Hub, got: couldn't reach some/set",
    ):
        read_records("hub:some/set")


def test_order_of_columns(write):
    assert tuple(read_records(write("a.fa", ">x\nAC")).column_names) == (
        *COLUMNS,
        *("size", "sample", "file", "line", "problem"),
    )
