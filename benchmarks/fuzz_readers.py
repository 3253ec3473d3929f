"""Damaged files of every format: each ends in records or in one of our errors, never in another exception.

`python benchmarks/fuzz_readers.py --seconds 120` writes real barcodes in each format, changes their bytes at random,
reads what comes of it, and prints how many inputs there were in a second and how they ended. At the first exception
that is none of ours it prints the format and the bytes, and exits with 1; so it does where a hundred inputs, which take
some seconds, are not read within minutes.
"""

import argparse
import bz2
import faulthandler
import gzip
import io
import logging
import lzma
import random
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data import RANKS, filter_records, read_records, sample_path
from barcodemae.data.taxonomy import read_taxonomy
from barcodemae.errors import BarcodeMAEError

ROWS = 12
# Setting the watch costs more than reading a small file does.
HANG_SECONDS, INPUTS_PER_WATCH = 300, 100
# What the parsers look for, and what has broken parsers before.
TOKENS = [
    *(b">", b"@", b"+", b"#", b"\n", b"\r\n", b"\t", b",", b'"', b"|", b";", b"\x00", b"\xff", b"\xef\xbb\xbf"),
    *(b"\x1f\x8b", b";tax=", b"root_1;", b"k__", b"; p__", b"Lineage=Root;rootrank;", b"###", b"PAR1", b"AB1-10|"),
    *(b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x01\x02", b"\xff\xfe", b"\xfe\xff", b"sep=;\n"),
    *(b"merged_sample={", b"'S1': 3, ", b";size=12;", b'{"count":3,', b"[organism=", b"taxid=7460; ", b"\xe9"),
]  # fmt: skip

# Formats of headers, each with a record's id and names.
HEADERS: list[Callable[[dict[str, str]], str]] = [
    lambda row: f"{row['id']};tax=" + ",".join(f"{rank[0]}:{row[rank]}" for rank in RANKS),
    lambda row: f"{row['id']} k__Animalia; " + "; ".join(f"{rank[0]}__{row[rank]}" for rank in RANKS),
    lambda row: f"{row['id']}\troot_1;Eukaryota_2759;" + ";".join(f"{row[rank]}_7" for rank in RANKS),
    lambda row: f"{row['id']}\tLineage=Root;rootrank;" + ";".join(f"{row[rank]};{rank}" for rank in RANKS),
    lambda row: f"{row['id']}\tRoot;Animalia;" + ";".join(row[rank] for rank in RANKS),
    lambda row: f"AB1-10|{row['species']}|COI-5P|",
    lambda row: "AB1-10|COI-5P|Peru|Animalia," + ",".join(row[rank] for rank in RANKS[:4]) + ",,,Apis,Apis sp.",
    lambda row: "Animalia;" + ";".join(row[rank] for rank in RANKS) + ";",
    lambda row: f"{row['id']} {row['species']}",
    lambda row: f"{row['id']} {row['species']} voucher X cytochrome oxidase subunit I (COI) gene, partial cds",
    lambda row: f"{row['id']} [organism={row['species']}] [isolate=3]",
    lambda row: f"{row['id']} taxid=7460; genus_name={row['genus']}; species_name={row['species']}; rank=species;",
    lambda row: f"{row['id']} count=8; merged_sample={{'S1': 3, 'S2': 5}}; family_name={row['family']};",
    lambda row: f'{row["id"]} {{"count":8,"merged_sample":{{"S1":3,"S2":5}},"genus_name":"{row["genus"]}"}}',
    lambda row: f"{row['id']};size=12;sample=S1;",
    lambda row: f"{row['id']} 7460;Metazoa;" + ";".join(row[rank].replace(" ", "_") for rank in RANKS),
]


def zipped(content: bytes) -> bytes:
    """A ZIP archive of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.fasta", content)
    return buffer.getvalue()


def real_files() -> dict[str, bytes]:
    """Name -> content: real barcodes in each format, container, encoding and kind of header. `-` is standard input."""
    table = pq.read_table(sample_path()).slice(0, ROWS)
    rows = table.to_pylist()
    columns = ["id", "nucleotides", *RANKS]
    fasta = "".join(
        f">{header(row)}\n{row['nucleotides']}\n"
        for header, row in zip(HEADERS, rows * (len(HEADERS) // len(rows) + 1), strict=False)
    )
    fastq = "".join(f"@{row['id']}\n{row['nucleotides']}\n+\n{'I' * len(row['nucleotides'])}\n" for row in rows)
    taxa = "".join(f"{HEADERS[1](row)}\n".replace(" ", "\t", 1) for row in rows)
    parquet = io.BytesIO()
    pq.write_table(table, parquet)

    def delimited(separator: str, quote: str = "") -> str:
        cells = [columns, *([row[column] for column in columns] for row in rows)]
        return "".join(f"{separator.join(f'{quote}{cell}{quote}' for cell in row)}\n" for row in cells)

    def wrapped(text: str) -> str:
        return "\n".join(line[i : i + 60] for line in text.splitlines() for i in range(0, len(line) or 1, 60)) + "\n"

    files = {
        "a.fasta": fasta,
        "a.fastq": fastq,
        "wrapped.fastq": wrapped(fastq),
        "a.csv": delimited(","),
        "a.tsv": delimited("\t"),
        "semicolons.csv": "sep=;\n" + delimited(";"),
        "quoted.tsv": delimited("\t", '"'),
        "bars.txt": delimited("|"),
        "taxonomy.tsv": taxa,
        "taxonomy.csv": delimited(","),
    }
    contents = {name: text.encode() for name, text in files.items()}
    short = fasta[: len(fasta) // 2].encode()
    return {
        **contents,
        "utf-16.tsv": files["a.tsv"].encode("utf-16"),
        "utf-16-be.fasta": fasta.encode("utf-16-be"),
        "utf-32.csv": files["a.csv"].encode("utf-32"),
        "latin-1.fasta": fasta.replace("Animalia", "Animália").encode("cp1252"),
        "a.parquet": parquet.getvalue(),
        "a.fasta.gz": gzip.compress(contents["a.fasta"], mtime=0),
        "a.fasta.bz2": bz2.compress(short),
        "a.fasta.xz": lzma.compress(short),
        "a.fasta.zst": pa.compress(short, "zstd", asbytes=True),
        "a.zip": zipped(short),
        "gzip.zip": zipped(gzip.compress(short, mtime=0)),
        "a.parquet.gz": gzip.compress(parquet.getvalue(), mtime=0),
        "-": contents["a.fasta"],
    }


def damage(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The content after one to eight changes."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(changed) + 1)
        end = min(len(changed), start + chance.choice([1, 2, 8, 64, 512]))
        what = chance.randrange(6)
        if what == 0:
            changed[start:end] = chance.randbytes(end - start)
        elif what == 1:
            del changed[start:end]
        elif what == 2:
            changed[start:start] = chance.choice(TOKENS) * chance.choice([1, 1, 2, 100])
        elif what == 3:
            changed[start:start] = changed[start:end]
        elif what == 4:
            other = chance.choice(others)
            cut = chance.randrange(len(other))
            changed[start:end] = other[cut : cut + end - start]
        elif chance.random() < 0.3:
            del changed[start:]
    return bytes(changed)


def read(path: Path, is_standard_input: bool) -> None:
    """Read a file as its name says."""
    if is_standard_input:
        with path.open() as sys.stdin:
            filter_records(read_records("-", on_error="skip"), on_error="skip")
    elif path.name.startswith("taxonomy"):
        read_taxonomy(path)
    else:
        filter_records(read_records(path, on_error="skip"), on_error="skip")


def outcome(reading: Callable[[], object]) -> str:
    """How a reading ends: "records", or the class of our error."""
    try:
        reading()
    except BarcodeMAEError as error:
        return type(error).__name__
    return "records"


def main() -> int:
    """Fuzz until the inputs or the seconds are used up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=10**9, help="stop after so many")
    parser.add_argument("--seconds", type=float, default=120.0, help="stop after so long")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other inputs")
    args = parser.parse_args()

    logging.disable()
    files = real_files()
    chance = random.Random(args.seed)
    counts: Counter[tuple[str, str]] = Counter()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        while counts.total() < args.inputs and time.perf_counter() - begin < args.seconds:
            name = chance.choice(list(files))
            content = damage(files[name], list(files.values()), chance)
            path = Path(folder) / name
            path.write_bytes(content)
            if counts.total() % INPUTS_PER_WATCH == 0:
                faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            try:
                ending = outcome(lambda path=path, name=name: read(path, name == "-"))
            except Exception:
                traceback.print_exc()
                print(f"{name}, input {counts.total() + 1} of seed {args.seed}: {content!r}")
                return 1
            counts[name, ending] += 1
        faulthandler.cancel_dump_traceback_later()
    seconds = time.perf_counter() - begin
    print(f"{counts.total():,} inputs in {seconds:.0f} s: {counts.total() / seconds:.0f} inputs/s, seed {args.seed}")
    for (name, ending), count in sorted(counts.items()):
        print(f"{name:14} {ending:20} {count:9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
