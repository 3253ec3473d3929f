import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import build_benchmark, rank_within
from barcodemae.evaluation.folds import NO_SPECIES, fold_of_train, split_by_species
from helpers.evaluation_records import make_records


def of_split(records, column, *names):
    pairs = zip(records["split"].to_pylist(), records[column].to_pylist(), strict=True)
    return {value for split, value in pairs if split in names}


@st.composite
def records_to_split(draw):
    """Species of some genera, rows of each, equal sequences among them, and rows without species or genus."""
    rows = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60))
    rows += [(7, 0, 0), (7, 0, 1), (7, 1, 0), (7, 1, 1)]  # enough for a split
    genera = [("" if genus == 0 else f"G{genus}") for genus, _, _ in rows]
    species = [("" if number == 4 else f"G{genus} s{number}") for genus, number, _ in rows]
    sequences = ["ACGT" * (2 + sequence) for _, _, sequence in rows]
    return make_records(genus=genera, species=species, nucleotides=sequences, id=[str(row) for row in range(len(rows))])


@given(records_to_split(), st.integers(0, 5), st.integers(0, 3), st.sampled_from([0.1, 0.3, 0.9]))
def test_what_holds_for_every_split(records, seed, fold, share):
    found = split_by_species(records, seed, fold=fold, species_share=share, seen_share=share)
    assert found.drop_columns("split").equals(records.drop_columns("split"))
    splits, species = found["split"].to_pylist(), found["species"].to_pylist()
    for split, name in zip(splits, species, strict=True):
        assert split in {"train", "test", "test_unseen"} if name else split == NO_SPECIES
    assert not of_split(found, "species", "test_unseen") & of_split(found, "species", "train", "test")
    assert of_split(found, "species", "test") <= of_split(found, "species", "train")
    assert of_split(found, "genus", "test_unseen") <= of_split(found, "genus", "train")
    rows = list(zip(species, found["nucleotides"].to_pylist(), splits, strict=True))
    assert len({row[:2] for row in rows}) == len(set(rows))  # equal sequences of a species stay together


@given(records_to_split(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(records, random):
    order = list(range(len(records)))
    random.shuffle(order)
    assert split_by_species(records).take(order).equals(split_by_species(records.take(order)))


@given(records_to_split())
def test_a_split_makes_a_benchmark(records):
    benchmark = build_benchmark(split_by_species(records))
    assert set(benchmark.unseen["genus"].to_pylist()) <= set(benchmark.train["genus"].to_pylist())
    assert len(benchmark.seen)


def test_shares_of_a_large_file():
    species = [f"G{row % 40} s{row % 200}" for row in range(8000)]
    sequences = [f"{row:014b}".replace("0", "A").replace("1", "C") for row in range(8000)]
    records = make_records(genus=[name.split()[0] for name in species], species=species, nucleotides=sequences)
    found = split_by_species(records, species_share=0.15, seen_share=0.2)
    assert len(of_split(found, "species", "test_unseen")) == 30
    # 40 rows of each species: 8 of 40 of the others are asked.
    counts = {name: found["split"].to_pylist().count(name) for name in ("train", "test", "test_unseen")}
    assert counts == {"train": 170 * 32, "test": 170 * 8, "test_unseen": 30 * 40}


def test_folds_and_seeds_differ_and_repeat(sample):
    splits = {}
    for seed, fold in [(0, 0), (0, 1), (1, 0)]:
        found = fold_of_train(sample, fold, seed)
        assert found.equals(fold_of_train(sample, fold, seed))
        splits[seed, fold] = frozenset(of_split(found, "species", "val_unseen"))
    assert len(set(splits.values())) == 3


def test_a_fold_looks_at_no_row_but_those_of_train(sample):
    found = fold_of_train(sample, 0)
    train = set(sample.filter(np.array(sample["split"].to_pylist()) == "train")["id"].to_pylist())
    assert set(found["id"].to_pylist()) == train
    assert set(found["split"].to_pylist()) - {NO_SPECIES} == {"train", "val", "val_unseen"}
    benchmark = build_benchmark(found, "val_unseen")
    assert len(benchmark.unseen) > 20


def test_ranks_within_groups_by_hand():
    ranks = rank_within(np.array(["b", "a", "b", "b", "a"]), np.array([3, 9, 1, 2, 5]))
    assert ranks.tolist() == [2, 1, 0, 1, 0]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ConfigurationError, match="expected a genus with two species or more"):
        split_by_species(make_records(genus=["A", "B", ""], species=["A a", "B b", "C c"]))
    with pytest.raises(ConfigurationError, match="species with two different sequences beside those held out"):
        split_by_species(make_records(genus=["A"] * 3, species=["A a", "A b", "A b"]))
    with pytest.raises(ConfigurationError, match="expected rows of the split 'train', got splits: none"):
        fold_of_train(make_records(genus=["A", "A"], species=["A a", "A b"]), 0)


@pytest.mark.parametrize("options", [{"species_share": 0}, {"seen_share": 1.0}])
def test_shares_are_shares(options):
    with pytest.raises(ConfigurationError, match="share between 0 and 1, got"):
        split_by_species(make_records(genus=["A"], species=["A a"]), **options)
