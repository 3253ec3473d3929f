"""Training data are prepared once and cached, equal to a direct preparation; prepared again if damaged or changed."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data import cache, filter_records, read_records
from barcodemae.data.cache import MANIFEST_FILE, cached_folder
from barcodemae.data.conforming import conform
from barcodemae.errors import BadRecordError, ConfigurationError, UnreadableFileError
from barcodemae.training.arguments import DataArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.stored import BarcodeWriter, StoredBarcodes
from tokenization_barcodemae import KmerEncoder, PlacedBarcodes, ReferenceFrame, encode_barcodes, place_barcodes

ROOT = Path(__file__).parent.parent
FRAME = ReferenceFrame.coi()


@pytest.fixture(scope="module")
def rows(sample):
    """Some rows of the sample: for training, for validation, and of other splits."""
    table = sample.to_pandas()
    parts = [("pretrain", 60), ("val", 12), ("test", 5), ("train", 30)]
    return [
        (row.id, row.nucleotides, row.split)
        for split, count in parts
        for row in table[table.split == split].head(count).itertuples()
    ]


def write_tsv(path, rows):
    path.write_text("id\tnucleotides\tsplit\n" + "".join("\t".join(row) + "\n" for row in rows))


@pytest.fixture
def file(rows, tmp_path):
    """The rows with duplicates, a short one, one with a single known k-mer, and a damaged one."""
    path = tmp_path / "barcodes.tsv"
    odd = [("again", rows[0][1].lower(), "train"), ("short", "ACGT", "train"), ("", "")]
    write_tsv(path, [*rows[:40], *odd, ("runs", "ACGTAC" + "NACGTA" * 30, "val"), *rows[40:]])
    return path


@pytest.fixture
def args(file, tmp_path):
    return DataArguments(data=[str(file)], cache_dir=str(tmp_path / "cache"))


def plainly(file, k):
    """Training and validation data from complete tables: barcodes and their numbers of known tokens."""
    records = read_records(file, on_error="skip")
    wanted = records.filter(pc.is_in(records["split"], pa.array(["pretrain", "train", "val", ""])))
    usable, _ = filter_records(wanted, min_length=100, max_ambiguous=0.5, on_error="skip")
    for is_validation in (False, True):
        part = usable.filter(pc.equal(pc.equal(usable["split"], "val"), is_validation))
        barcodes = place_barcodes(part["nucleotides"].to_pylist(), FRAME, k)
        num_tokens = encode_barcodes(KmerEncoder(k), barcodes, 660 // k)["attention_mask"].sum(1)
        readable = np.flatnonzero(num_tokens >= 8)
        yield barcodes.take(readable), num_tokens[readable]


def folder_of(args):
    (folder,) = (path for path in Path(args.cache_dir).iterdir() if path.is_dir())
    return folder


def texts(barcodes):
    return barcodes.nucleotides.to_pylist()


# Training data


@pytest.mark.parametrize("batch_rows", [7, 16_384])
def test_equals_direct_preparation(file, args, monkeypatch, batch_rows):
    monkeypatch.setattr("barcodemae.data.text.BATCH_ROWS", batch_rows)
    stored = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    for data, (barcodes, num_tokens) in zip(stored, plainly(file, 6), strict=True):
        everything = data.barcodes.take(np.arange(len(data)))
        assert texts(everything) == texts(barcodes)
        for name in ("starts", "is_placed"):
            assert np.array_equal(getattr(everything, name), getattr(barcodes, name))
        assert everything.num_slots == barcodes.num_slots
        assert np.array_equal(data.num_tokens, num_tokens)
        digest = hashlib.sha256("".join(texts(barcodes)).encode()).hexdigest()
        assert data.fingerprint() == f"{len(barcodes)} records, sha256 {digest[:16]}"
    assert [len(data) for data in stored] == [90, 12]


def test_report_adds_up_and_is_cached(file, args, caplog):
    caplog.set_level("INFO", "barcodemae")
    first, _ = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert "read 111 records (table, rows of TSV)" in caplog.text
    # The cached data do not know how their file was read.
    messages = [one.getMessage() for one in caplog.records if one.name != "barcodemae.data.readers"]
    caplog.clear()
    second, validation = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert caplog.messages == messages
    report = second.report
    assert report.counts == {"damaged": 1, "too short": 1, "duplicate": 1, "too few known k-mers": 1}
    assert report.num_read == report.num_dropped + len(second) + len(validation) == 106
    assert (report.num_read, report.counts) == (first.report.num_read, first.report.counts)
    assert report.dropped.to_pylist() == first.report.dropped.to_pylist()
    assert [(row["line"], row["why"]) for row in report.dropped.to_pylist()] == [
        (43, "too short"),
        (44, "damaged: expected 3 columns, as in the header, got 2"),
        (45, "too few known k-mers"),
    ]


def test_cached_data_are_used_without_reading_the_source(args, monkeypatch):
    first = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    monkeypatch.setattr("barcodemae.training.dataset.stream_records", None)
    second = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert [data.fingerprint() for data in first] == [data.fingerprint() for data in second]


def test_origins_name_file_line_and_id(file, args, rows):
    training, validation = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert training.barcodes.origins(np.array([40, 0])) == [
        f"{file}, line 46, record {rows[40][0]!r}",
        f"{file}, line 2, record {rows[0][0]!r}",
    ]
    assert len(validation.barcodes.origins(np.arange(12))) == 12


def test_taxa_of_every_barcode(args):
    training, _ = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    names, numbers = training.barcodes.taxa("genus")
    records = read_records(args.data[0], on_error="skip")
    genus_of = dict(zip(records["id"].to_pylist(), records["genus"].to_pylist(), strict=True))
    ids = [origin.rpartition("record ")[2].strip("'") for origin in training.barcodes.origins(np.arange(len(training)))]
    assert [names[number] if number >= 0 else "" for number in numbers] == [genus_of[name] for name in ids]
    assert names == sorted({genus_of[name] for name in ids} - {""})


@pytest.mark.parametrize(
    "others",
    [{"min_nucleotides": 300}, {"train_splits": ["train"]}, {"val_split": "test"}, {"max_unknown_share": 0.1}],
)
def test_other_options_have_another_folder(args, others):
    load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    load_training_data(DataArguments(data=args.data, cache_dir=args.cache_dir, **others), FRAME, KmerEncoder(6), seed=0)
    assert sum(path.is_dir() for path in Path(args.cache_dir).iterdir()) == 2


def test_frame_and_k_have_other_folders_but_not_the_seed(args):
    for frame, k, seed in ((FRAME, 6, 0), (None, 6, 0), (FRAME, 4, 0), (FRAME, 6, 1)):
        training, _ = load_training_data(args, frame, KmerEncoder(k), seed)
        assert training.barcodes.num_slots == (0 if frame is None else frame.slots(k))
    assert sum(path.is_dir() for path in Path(args.cache_dir).iterdir()) == 3


def test_changed_source_is_reported_and_read_again(file, args, rows, caplog):
    load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    write_tsv(file, rows[:30])
    training, _ = load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert len(training) == 30
    assert "changed since" in caplog.text
    folder_of(args)  # raises unless there is exactly one


def test_cache_of_another_format_is_replaced(args, monkeypatch, caplog):
    load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    monkeypatch.setattr("barcodemae.training.dataset._FORMAT", 1_000_000)
    load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert "by another version" in caplog.text
    folder_of(args)  # raises unless there is exactly one


def test_preset_from_the_command_line_to_training_data(rows, tmp_path):
    path = tmp_path / "pre_training.csv"
    lines = [f"P{i},None,,,{row[1]}" for i, row in enumerate(rows[:9])]
    path.write_text("processid,bin_uri,species_name,genus_name,nucleotides\n" + "\n".join(lines))
    options = ["--data", str(path), "--cache-dir", str(tmp_path / "cache"), "--preset", "canadian-invertebrates-files"]
    (args,) = parse_arguments((DataArguments,), options)
    assert [len(data) for data in load_training_data(args, FRAME, KmerEncoder(6), seed=0)] == [9, 0]
    args.train_splits = ["train"]
    with pytest.raises(ConfigurationError, match="expected records in the splits train"):
        load_training_data(args, FRAME, KmerEncoder(6), seed=0)


def test_hub_source_is_cached_and_a_change_is_reported(args, rows, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    folder = tmp_path / "barcodes"
    folder.mkdir()
    write_csv = "id,nucleotides,split\n{}\n".format
    (folder / "train.csv").write_text(write_csv("\n".join(map(",".join, rows[:20]))))
    args.data = [f"hub:{folder}"]
    assert len(load_training_data(args, FRAME, KmerEncoder(6), seed=0)[0]) == 20
    with monkeypatch.context() as context:
        context.setattr("barcodemae.training.dataset.stream_records", None)
        assert len(load_training_data(args, FRAME, KmerEncoder(6), seed=0)[0]) == 20
    (folder / "train.csv").write_text(write_csv("\n".join(map(",".join, rows[:30]))))
    assert len(load_training_data(args, FRAME, KmerEncoder(6), seed=0)[0]) == 30
    assert "changed since" in caplog.text


@pytest.mark.parametrize("name", ["training.bases", "validation.arrow", "report.json", MANIFEST_FILE])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_file_is_reported_and_replaced(args, caplog, name, damage):
    expected = [data.fingerprint() for data in load_training_data(args, FRAME, KmerEncoder(6), seed=0)]
    path = folder_of(args) / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0x80
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    caplog.clear()
    assert [data.fingerprint() for data in load_training_data(args, FRAME, KmerEncoder(6), seed=0)] == expected
    assert "is damaged" in caplog.text
    assert "made again" in caplog.text


def test_bad_record_stops_without_leaving_files(args):
    args.on_error = "raise"
    with pytest.raises(UnreadableFileError, match=r"barcodes.tsv, line 44: expected 3 columns"):
        load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    args.data = [str(Path(args.data[0]).with_name("short.tsv"))]
    write_tsv(Path(args.data[0]), [("short", "ACGT", "train")])
    with pytest.raises(BadRecordError, match=r"short.tsv, line 2, record 'short': expected at least 100"):
        load_training_data(args, FRAME, KmerEncoder(6), seed=0)
    assert [path for path in Path(args.cache_dir).iterdir() if path.suffix != ".lock"] == []


def test_folder_that_cannot_be_written(args, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigurationError, match="expected a folder to write to, got: "):
        load_training_data(args, FRAME, KmerEncoder(6), seed=0)


PREPARE = """
import sys
from barcodemae.training.arguments import DataArguments
from barcodemae.training.dataset import load_frame, load_training_data
from tokenization_barcodemae import KmerEncoder
args = DataArguments(data=[sys.argv[1]], cache_dir=sys.argv[2])
training, _ = load_training_data(args, load_frame("coi"), KmerEncoder(6), 0)
print(training.fingerprint())
"""


def start(file, cache_dir):
    command = [sys.executable, "-c", PREPARE, str(file), str(cache_dir)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_one_of_two_processes_prepares_the_data(file, args):
    both = [start(file, args.cache_dir) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    (fingerprint,) = {out for out, _ in outputs}
    assert fingerprint.strip() == load_training_data(args, FRAME, KmerEncoder(6), 0)[0].fingerprint()
    assert sorted("records [" in err for _, err in outputs) == [False, True]


@pytest.mark.slow
def test_killed_preparation_is_not_used(rows, args, tmp_path):
    file = tmp_path / "many.fasta"  # takes some seconds
    file.write_text("".join(f">{i}\n{'ACGT'[i % 4]}{rows[i % len(rows)][1]}{i:08b}\n" for i in range(60_000)))
    process = start(file, args.cache_dir)
    while not list(Path(args.cache_dir).glob("*.making/*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(Path(args.cache_dir).glob("*.making/*"))
    file.write_text(f">a\n{rows[0][1]}\n")
    assert (
        len(load_training_data(DataArguments(data=[str(file)], cache_dir=args.cache_dir), FRAME, KmerEncoder(6), 0)[0])
        == 1
    )
    assert not list(Path(args.cache_dir).glob("*.making"))


# The folder


def test_cached_folder_is_made_once_and_returns_checksums(tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "a.txt").write_text("abc")

    for _ in range(2):
        assert cached_folder(tmp_path / "cached", {"k": [1, None]}, make) == {
            "a.txt": hashlib.sha256(b"abc").hexdigest()
        }
    assert len(made) == 1
    assert (tmp_path / "cached" / "a.txt").read_text() == "abc"


def test_failure_leaves_the_old_folder(tmp_path):
    cached_folder(tmp_path / "cached", {"version": 1}, lambda folder: (folder / "a").write_text("old"))

    def full(folder):
        (folder / "a").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ConfigurationError, match="cached: expected a folder to write to, got: No space left on device"):
        cached_folder(tmp_path / "cached", {"version": 2}, full)
    assert (tmp_path / "cached" / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cached", "cached.lock"]


@pytest.mark.parametrize("name", ["cached", "cached.making", "cached.lock", "cached/a"])
def test_links_are_refused(name, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    if name == "cached/a":
        (tmp_path / "cached").mkdir()
    (tmp_path / name).symlink_to(precious / "file" if name in ("cached.lock", "cached/a") else precious)
    with pytest.raises(ConfigurationError, match=f"{name}: expected a file or folder, got a link"):
        cached_folder(tmp_path / "cached", {}, lambda folder: (folder / "a").write_text("new"))
    assert [file.read_text() for file in precious.iterdir()] == ["precious"]


def test_waiting_process_uses_the_folder_of_the_other(tmp_path, monkeypatch):
    order, is_making, may_go_on = [], threading.Event(), threading.Event()

    def make(folder):
        order.append("made")
        is_making.set()
        assert may_go_on.wait(10)
        (folder / "a").touch()

    threads = [threading.Thread(target=cached_folder, args=(tmp_path / "cached", {}, make)) for _ in range(2)]
    threads[0].start()
    assert is_making.wait(10)
    waiting = threading.Event()
    checked = cache._checked

    def noticed(*arguments):
        waiting.set()
        return checked(*arguments)

    monkeypatch.setattr(cache, "_checked", noticed)
    threads[1].start()
    assert waiting.wait(10)
    may_go_on.set()
    for thread in threads:
        thread.join(10)
    assert order == ["made"]


# The files


def placed(*sequences):
    n = len(sequences)
    starts, is_placed = np.arange(n) - 1, np.arange(n) % 2 == 0
    return PlacedBarcodes(pa.array(sequences, pa.large_string()), starts, is_placed, 109)


def records_of(n):
    table = pa.table({"id": [f"r{i}" for i in range(n)], "nucleotides": ["A"] * n})
    return conform(table, "a.fa", np.arange(1, n + 1))


def test_stored_barcodes_are_taken_in_any_order(tmp_path):
    with BarcodeWriter(tmp_path, "x", 109) as writer:
        writer.write(placed("ACGT", "", "GÉT"), np.array([3, 0, 2]), records_of(3))
        writer.write(placed(), np.zeros(0, int), records_of(0))
        writer.write(placed("CC"), np.array([9]), records_of(1))
        assert writer.count == 4
    stored = StoredBarcodes(tmp_path, "x")
    taken = stored.take(np.array([3, 0, 2, 0, 1]))
    assert texts(taken) == ["CC", "ACGT", "GÉT", "ACGT", ""]
    assert taken.starts.tolist() == [-1, -1, 1, -1, 0]
    assert taken.is_placed.tolist() == [True, True, True, True, False]
    assert taken.num_slots == 109
    assert stored.num_tokens.tolist() == [3, 0, 2, 9]
    assert len(stored.take(np.zeros(0, int))) == 0


def test_stored_barcodes_that_were_truncated_meanwhile(tmp_path):
    with BarcodeWriter(tmp_path, "x", 0) as writer:
        writer.write(placed("ACGT", "CCCC"), np.array([1, 1]), records_of(2))
    stored = StoredBarcodes(tmp_path, "x")
    os.truncate(tmp_path / "x.bases", 6)
    assert texts(stored.take(np.array([0]))) == ["ACGT"]
    with pytest.raises(UnreadableFileError, match=r"x.bases: expected 8 bases of 2 barcodes"):
        stored.take(np.array([1, 0]))
