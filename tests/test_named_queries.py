"""Votes of a library on queries with known names: other barcodes, and its own records, held out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.data import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.building import append_records, build_library, remove_records, save_calibration
from barcodemae.library.calibration.fitting import calibrate, predict, predict_others
from barcodemae.library.calibration.named_queries import ABSENT_GENERA, MAX_PER_SPECIES, search_named, search_own
from barcodemae.library.calibration.probability import NOVELTY, OWN, QUERIES
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import MODEL, OneHotEmbedder, library_of, write_fasta


@pytest.fixture(scope="module")
def named(sample):
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    return named.filter(pc.equal(named["split"], "train")).slice(0, 1500)


@pytest.fixture(scope="module")
def folder(named, tmp_path_factory):
    return library_of(named, tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def own(folder):
    return search_own(StoredLibrary.open(folder), OneHotEmbedder())


def test_held_out_records_are_named_by_others(folder, own):
    assert own.right["species"][~own.is_new].mean() > 0.8
    assert (own.votes["species"].identities[~own.is_new] <= 1).all()
    names = StoredLibrary.open(folder).names()["species"].to_pylist()
    singles = [name for name in set(names) if names.count(name) == 1]
    assert not set(singles) & set(own.species[~own.is_new])  # without the record, its species is new
    assert set(singles) <= set(own.species[own.is_new])


def test_held_out_species_are_never_named(own):
    assert own.is_new.any()
    assert not own.right["species"][own.is_new].any()
    assert own.right["genus"][own.is_new].any()


def test_weights_are_limited_by_species_and_equal_for_known_and_new_ones(own):
    for kind in (own.is_new, ~own.is_new):
        _, counts = np.unique(own.species[kind], return_counts=True)
        assert counts.max() <= MAX_PER_SPECIES
        assert own.weights[kind].sum() == pytest.approx(len(own.weights) / 2)


def test_absent_genera_have_their_share_of_the_weight_of_new_species(folder, own):
    names = StoredLibrary.open(folder).names().select(["genus", "species"])
    pairs = {(record["genus"], record["species"]) for record in names.to_pylist()}
    genera = [genus for genus, _ in pairs]
    alone = {species for genus, species in pairs if genera.count(genus) == 1}
    is_absent = own.is_new & np.isin(own.species, list(alone))
    assert is_absent.any()
    assert not own.right["genus"][is_absent].any()
    assert own.weights[is_absent].sum() / own.weights[own.is_new].sum() == pytest.approx(ABSENT_GENERA)


def test_held_out_records_find_the_nearest_others(named, tmp_path):
    """The nearest other record of each, computed from all pairs of a small library."""
    library = StoredLibrary.open(library_of(named.slice(0, 200), tmp_path))
    own = search_own(library, OneHotEmbedder())
    vectors = library.vectors(np.arange(200)).astype(np.float32)
    species = np.array(library.names()["species"].to_pylist())
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    for_species = np.where(species[:, None] == species[None], cosines, -1).max(axis=1)
    nearest = cosines.max(axis=1)
    assert (for_species > nearest - 1e-3).any()  # the nearest is of its species
    found = own.votes["species"].similarities[~own.is_new]
    assert np.isin(np.round(found[own.right["species"][~own.is_new]], 3), np.round(for_species, 3)).mean() > 0.9


def test_removed_records_are_neither_queries_nor_references(named, tmp_path):
    folder = library_of(named.slice(0, 300), tmp_path)
    removed = named["species"][0].as_py()
    remove_records(folder, [record["id"] for record in named.slice(0, 300).to_pylist() if record["species"] == removed])
    library = StoredLibrary.open(folder)
    assert removed not in search_own(library, OneHotEmbedder()).species
    found = search_named(library, OneHotEmbedder(), named.slice(0, 1))
    assert found.is_new.all()
    assert not found.right["species"].any()


def test_queries_off_the_marker_are_an_error(folder, named):
    bad = pa.array(["ACGGT" * 100] * 3, pa.large_string())
    table = named.slice(0, 3).set_column(named.column_names.index("nucleotides"), "nucleotides", bad)
    with pytest.raises(ConfigurationError, match="expected barcodes of the marker"):
        search_named(StoredLibrary.open(folder), OneHotEmbedder(), table)


def test_species_are_predicted_by_a_calibration_to_others(own):
    found = predict_others(own)
    assert list(found) == [*RANKS, NOVELTY]
    for predictions in found.values():
        assert ((predictions.probabilities >= 0) & (predictions.probabilities <= 1)).all()
    assert (
        found[NOVELTY].probabilities[~own.is_new].mean() < 0.3 < 0.7 < found[NOVELTY].probabilities[own.is_new].mean()
    )
    fitted_to_all = predict(own, calibrate(own, OWN))
    assert not np.array_equal(fitted_to_all["genus"].probabilities, found["genus"].probabilities)


def test_calibration_by_queries_is_not_replaced_by_own_records(named, tmp_path):
    folder = library_of(named.slice(0, 300), tmp_path)
    first = StoredLibrary.open(folder).calibration()
    assert first.by == OWN
    more = [write_fasta(named.slice(begin, 50), tmp_path / f"{begin}.fasta") for begin in (300, 350)]
    append_records(folder, [more[0]], OneHotEmbedder(), MODEL)
    second = StoredLibrary.open(folder).calibration()
    assert second.by == OWN
    assert second.as_json() != first.as_json()
    by_queries = calibrate(search_own(StoredLibrary.open(folder), OneHotEmbedder(), seed=1), QUERIES)
    save_calibration(StoredLibrary.open(folder), by_queries)
    append_records(folder, [more[1]], OneHotEmbedder(), MODEL)
    assert StoredLibrary.open(folder).calibration().as_json() == by_queries.as_json()


def test_too_few_records_are_an_error(named, tmp_path):
    folder = library_of(named.slice(0, 10), tmp_path)
    with pytest.raises(ConfigurationError, match="expected at least 50 named queries to calibrate, got "):
        calibrate(search_own(StoredLibrary.open(folder), OneHotEmbedder()), OWN)
    assert StoredLibrary.open(folder).calibration() is None


def test_library_with_names_at_some_ranks(named, tmp_path):
    """Many libraries have only genus and species."""
    for rank in ("phylum", "class", "order", "family"):
        named = named.set_column(named.column_names.index(rank), rank, pa.array([""] * len(named), pa.large_string()))
    folder = library_of(named.slice(0, 400), tmp_path)
    own = search_own(StoredLibrary.open(folder), OneHotEmbedder())
    calibration = StoredLibrary.open(folder).calibration()
    assert calibration("family", own.votes["family"], own.num_bases).max() < 1e-6
    assert calibration("species", own.votes["species"], own.num_bases).max() > 0.5
    assert list(predict_others(own)) == ["genus", "species", NOVELTY]


def test_library_with_species_but_no_genus(named, tmp_path):
    bare = named.slice(0, 200)
    for rank in RANKS:
        if rank != "species":
            index = bare.schema.get_field_index(rank)
            bare = bare.set_column(index, rank, pa.array([""] * len(bare), bare.schema.field(rank).type))
    build_library(tmp_path / "library", [_parquet(bare, tmp_path)], OneHotEmbedder(), MODEL)
    own = search_own(StoredLibrary.open(tmp_path / "library"), OneHotEmbedder())
    assert own.right["species"].any()
    assert not own.named["genus"].any()


def _parquet(records, folder):
    """A Parquet file, because in a header a species always has a genus."""
    pq.write_table(records, folder / "bare.parquet")
    return str(folder / "bare.parquet")


def test_own_records_are_also_searched_cut(folder, own):
    cut = search_own(StoredLibrary.open(folder), OneHotEmbedder(), lengths=(130, 300))
    assert len(cut.species) > 2 * len(own.species)
    counts = np.bincount(np.abs(cut.num_bases[:, None] - np.array([130, 300, 650])).argmin(axis=1))
    assert (counts > 100).all()
    for what, found in predict_others(cut).items():
        # Few of the parts of 130 bases have many unknown ones, or lie partly outside of the frame.
        assert np.bincount(found.length, minlength=4)[[0, 2, 3]].min() > 100, what
    short = cut.num_bases < 140
    assert cut.right["species"][short & ~cut.is_new].mean() < own.right["species"][~own.is_new].mean()


def test_longer_named_queries_are_also_searched_cut(folder, named):
    library, embedder = StoredLibrary.open(folder), OneHotEmbedder()
    complete = search_named(library, embedder, named.slice(0, 60))
    cut = search_named(library, embedder, named.slice(0, 60), lengths=(200, 5000))
    assert len(complete.species) < len(cut.species) <= 120
    assert (cut.num_bases <= 658).all()
    assert cut.num_bases[len(complete.species) :].max() <= 200
