"""The bundled sample is as its README describes it."""

import re

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.data import COLUMNS, filter_records, read_records, sample_path

SPLITS = ("pretrain", "train", "val", "test", "val_unseen", "test_unseen")


@pytest.fixture(scope="module")
def sample():
    return read_records(sample_path())


@pytest.fixture(scope="module")
def splits():
    """Split -> its rows, column by column."""
    sample = pq.read_table(sample_path())  # with names of species such as Mycomya sp. CJB4
    return {split: sample.filter(pc.equal(sample["split"], split)).to_pydict() for split in SPLITS}


def test_is_small_and_has_the_columns(sample):
    assert sample_path().stat().st_size < 1.5 * 2**20
    assert set(sample["split"].to_pylist()) == set(SPLITS)
    assert set(COLUMNS) < set(sample.column_names)


def test_every_row_is_usable_unique_and_named(sample):
    usable, report = filter_records(sample, min_length=300, max_ambiguous=0.5)
    assert report.counts == {}
    assert usable["nucleotides"].equals(sample["nucleotides"])
    assert len(pc.unique(sample["id"])) == len(sample)
    assert all(source.startswith(("DMnBI/", "bioscan-ml/BarcodeBERT")) for source in set(sample["source"].to_pylist()))


@pytest.mark.parametrize("unseen", ["val_unseen", "test_unseen"])
def test_unseen_species_are_in_no_other_split(splits, unseen):
    species = set(splits[unseen]["species"])
    assert "" not in species
    for split in SPLITS:
        if split != unseen:
            assert species.isdisjoint(splits[split]["species"]), split


def test_tuning_and_reporting_share_no_genus(splits):
    assert set(splits["val_unseen"]["genus"]).isdisjoint(splits["test_unseen"]["genus"])


def test_most_queries_have_a_reference_of_their_genus(splits):
    genera = set(splits["train"]["genus"])
    assert set(splits["val_unseen"]["genus"]) < genera
    answerable = sum(genus in genera for genus in splits["test_unseen"]["genus"])
    assert (answerable, len(splits["test_unseen"]["genus"])) == (941, 1006)


def test_closed_world_is_of_train_species(splits):
    train = set(splits["train"]["species"])
    assert set(splits["val"]["species"]) <= train
    assert set(splits["test"]["species"]) <= train


def test_readme_counts(splits):
    readme = sample_path().with_name("README.md").read_text()
    for split, rows in splits.items():
        counts = [len(rows["id"]), *(len(set(rows[column]) - {""}) for column in ("species", "genus", "bin"))]
        (line,) = re.findall(rf"^\| `{split}` \|.*$", readme, re.MULTILINE)
        assert [int(count.replace(",", "")) for count in re.findall(r"[\d,]+", line.split("`")[2])] == counts
