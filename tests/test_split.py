"""`barcodemae split`: species are held out."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.split import split
from barcodemae.data import read_records
from barcodemae.data.schema import COLUMNS
from barcodemae.errors import BarcodeMAEError
from barcodemae.evaluation.benchmark import build_benchmark
from barcodemae.evaluation.folds import NO_SPECIES, fold_of_train
from helpers.evaluation_records import make_records


@pytest.fixture
def file(tmp_path):
    """Three genera of four species of four barcodes, half of them in the split train, and one without species."""
    bases = np.random.default_rng(0).choice(list("ACGT"), (49, 120))
    species = [f"{genus}us {name}" for genus in "ABC" for name in "wxyz" for _ in range(4)] + [""]
    records = make_records(
        id=[str(row) for row in range(49)],
        nucleotides=["".join(row) for row in bases],
        genus=[name[:3] for name in species],
        species=species,
        split=["train" if row % 2 else "other" for row in range(49)],
    )
    pq.write_table(records.select(COLUMNS), tmp_path / "records.parquet")
    return tmp_path / "records.parquet"


def run(file, *options):
    output = file.with_name("split.parquet")
    split(["--data", str(file), "--output", str(output), *options])
    return read_records(output)


def counts(records):
    return {entry["values"]: entry["counts"] for entry in records["split"].value_counts().to_pylist()}


def test_all_rows_become_a_benchmark(file, capsys):
    records = run(file)
    assert (
        records.select(COLUMNS).drop_columns("split").equals(read_records(file).select(COLUMNS).drop_columns("split"))
    )
    assert set(counts(records)) == {"train", "test", "test_unseen", NO_SPECIES}
    assert counts(records)["test_unseen"] == 8  # 15 % of twelve species are two
    assert counts(records)[NO_SPECIES] == 1
    build_benchmark(records)
    assert f"49 records are in {file.with_name('split.parquet')}: {NO_SPECIES} 1, test" in capsys.readouterr().out


def test_rows_of_train_become_a_benchmark_for_the_choice_of_models(file):
    records = run(file, "--of", "train", "--fold", "1", "--seed", "2")
    assert len(records) == 24
    assert set(counts(records)) == {"train", "val", "val_unseen"}
    expected = fold_of_train(read_records(file), 1, 2)
    assert records.select(COLUMNS).to_pylist() == expected.select(COLUMNS).to_pylist()


def test_other_fold_or_seed_holds_out_other_species(file):
    first, fold, seed = (run(file, *options)["split"] for options in ([], ["--fold", "1"], ["--seed", "1"]))
    assert not first.equals(fold)
    assert not first.equals(seed)
    assert first.equals(run(file)["split"])


def test_input_is_not_overwritten(file):
    before = file.read_bytes()
    with pytest.raises(BarcodeMAEError, match=r"--output .*: expected another file than .*, which is read"):
        split(["--data", str(file), "--output", str(file)])
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "split.tsv"], r"split\.tsv: expected a name that ends with \.parquet"),
        (["--data", "missing.parquet"], r"missing\.parquet"),
    ],
)
def test_bad_input_leaves_nothing(file, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"--data": str(file), "--output": "split.parquet"} | dict([options])
    with pytest.raises(BarcodeMAEError, match=message):
        split([word for pair in given.items() for word in pair])
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_file_that_cannot_be_split(file):
    records = pq.read_table(file)
    pq.write_table(records.drop_columns("species"), file)
    with pytest.raises(BarcodeMAEError, match="expected a genus with two species or more"):
        run(file)
    pq.write_table(records.drop_columns("split"), file)
    with pytest.raises(BarcodeMAEError, match="expected rows of the split 'train', got splits: none"):
        run(file, "--of", "train")
    assert not file.with_name("split.parquet").exists()
