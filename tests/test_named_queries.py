"""Votes of a library on queries with known names: other barcodes, and its own records, held out."""

from importlib.resources import as_file, files

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.data import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.building import append_records, build_library, remove_records, save_calibration
from barcodemae.library.calibration.fitting import (
    calibrate,
    calibrate_by_own,
    group_rows,
    own_queries,
    predict,
    predict_others,
    with_named,
)
from barcodemae.library.calibration.guarantee import GROUPS, KNOWN_SPECIES, NEW_SPECIES
from barcodemae.library.calibration.named_queries import (
    KNOWN,
    STRANGER,
    equal_references,
    joined,
    search_named,
    search_outgroup,
    search_own,
)
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


def test_every_rank_has_queries_that_cannot_be_named_there(folder, own):
    depths, names = set(own.depth), StoredLibrary.open(folder).names()
    assert len(set(names["phylum"].to_pylist())) == 1
    assert depths == {STRANGER, *range(1, KNOWN + 1)} - ({0} if len(set(names["class"].to_pylist())) > 1 else set()) | (
        depths & {0, 1}
    )
    for index, rank in enumerate(RANKS):
        is_absent = own.depth < index
        assert is_absent.any()
        assert not own.right[rank][is_absent].any()


def test_depth_is_that_of_what_is_left(folder, own):
    names = StoredLibrary.open(folder).names().select(["genus", "species"])
    pairs = {(record["genus"], record["species"]) for record in names.to_pylist()}
    genera = [genus for genus, _ in pairs]
    alone = {species for genus, species in pairs if genera.count(genus) == 1}
    is_alone = np.isin(own.species.astype(str), list(alone))
    assert (own.depth[is_alone & own.is_new] < RANKS.index("genus")).all()
    assert (own.depth[~is_alone] == RANKS.index("genus")).any()


def test_records_without_a_name_are_left_out_with_a_taxon_that_may_be_theirs(named, tmp_path):
    """The last record, without species and genus, is a copy of the first."""
    two = named.slice(0, 1)
    bare = two
    for rank in ("genus", "species", "id"):
        index = bare.schema.get_field_index(rank)
        bare = bare.set_column(index, rank, pa.array(["copy" if rank == "id" else ""], bare.schema.field(rank).type))
    pq.write_table(pa.concat_tables([named.slice(0, 60), bare]), tmp_path / "records.parquet")
    build_library(tmp_path / "library", [str(tmp_path / "records.parquet")], OneHotEmbedder(), MODEL)
    own = search_own(StoredLibrary.open(tmp_path / "library"), OneHotEmbedder())
    first = (own.species == two["species"][0].as_py()) & own.is_new
    assert first.any()
    assert own.votes["family"].identities[first].max() < 0.999


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
    is_right = own.right["species"]
    assert is_right.any()
    bases = library.bases(np.arange(200))
    known = (bases[:, None] >= 0) & (bases[None] >= 0)
    identities = ((bases[:, None] == bases[None]) & known).sum(axis=2) / known.sum(axis=2)
    np.fill_diagonal(identities, 0)
    best = np.where(species[:, None] == species[None], identities, 0).max(axis=1)
    found = own.votes["species"].identities[is_right].astype(float)
    assert np.isin(np.round(found, 4), np.round(best, 4)).mean() > 0.9


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
    novelty = found[NOVELTY]
    assert novelty.probabilities[~novelty.is_new].mean() < 0.3 < 0.6 < novelty.probabilities[novelty.is_new].mean()
    calibration = calibrate(own, OWN)
    down = np.stack([calibration(own.votes, own.num_bases)[rank] for rank in RANKS])
    assert (np.diff(down, axis=0) <= 0).all()
    fitted_to_all = predict(own, calibration)
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


def test_few_records_leave_the_prior(named, tmp_path):
    library = StoredLibrary.open(library_of(named.slice(0, 2), tmp_path))
    calibration = library.calibration()
    assert "species: no held-out record gets a right name" in " ".join(calibration.notes)
    copies = search_named(library, OneHotEmbedder(), named.slice(0, 2))
    probabilities = calibration(copies.votes, copies.num_bases)
    assert (probabilities["species"] > 0.5).all()
    assert (probabilities[NOVELTY] < 0.5).all()


def test_one_record_of_each_species(named, tmp_path):
    """Nothing shows how often the species of a known one is right: an exact copy is still named."""
    _, first = np.unique(named["species"].to_pylist(), return_index=True)
    singles = named.take(pa.array(np.sort(first)[:150]))
    library = StoredLibrary.open(library_of(singles, tmp_path))
    copies = search_named(library, OneHotEmbedder(), singles.slice(0, 20))
    probabilities = library.calibration()(copies.votes, copies.num_bases)
    assert (probabilities["species"][copies.right["species"]] > 0.5).all()
    assert copies.right["species"].sum() >= 18


def test_strangers_depend_on_the_taxa_of_the_library(folder, named, tmp_path):
    arthropods = StoredLibrary.open(folder)
    strangers = search_outgroup(arthropods, OneHotEmbedder())
    assert len(strangers.species) > 100
    assert (strangers.depth == STRANGER).all()
    assert not any(strangers.right[rank].any() for rank in RANKS)
    with as_file(files("barcodemae.library.calibration") / "bundled" / "outgroup.parquet") as file:
        outgroup = pq.read_table(file)
    everything = tmp_path / "everything"
    build_library(everything, [str(file)], OneHotEmbedder(), MODEL, on_error="skip")
    assert len(search_outgroup(StoredLibrary.open(everything), OneHotEmbedder()).species) == 0
    chordates = outgroup.filter(pc.equal(outgroup["phylum"], "Chordata"))
    found = search_outgroup(StoredLibrary.open(library_of(chordates, tmp_path)), OneHotEmbedder())
    assert 0 < len(found.species) < len(outgroup) - len(chordates) + 1
    is_chordate = np.isin(found.species.astype(str), chordates["species"].to_pylist())
    assert not is_chordate[found.species != ""].any()


def test_strangers_get_no_name_below_phylum(folder):
    library = StoredLibrary.open(folder)
    strangers = search_outgroup(library, OneHotEmbedder())
    probabilities = library.calibration()(strangers.votes, strangers.num_bases)
    assert (probabilities["class"] >= 0.8).mean() < 0.05


def test_named_queries_replace_own_records_only_where_they_are_enough(folder, named, sample):
    library, embedder = StoredLibrary.open(folder), OneHotEmbedder()
    own = own_queries(library, embedder)
    others = sample.filter(pc.equal(sample["split"], "test")).slice(0, 200)
    of_known = search_named(library, embedder, others)
    of_known = of_known.take(~of_known.is_new)
    queries, by, notes = with_named(of_known, own)
    assert by == QUERIES
    groups = {name: (group_rows(queries.depth)[name].sum(), group_rows(own.depth)[name].sum()) for name in GROUPS}
    assert groups[NEW_SPECIES][0] == groups[NEW_SPECIES][1]
    assert (queries.length[group_rows(queries.depth)[KNOWN_SPECIES]] == 3).sum() == len(of_known.species)
    assert f"named queries of {NEW_SPECIES}: 0 of at least 50" in notes[0]
    few, by, notes = with_named(of_known.take(np.arange(20)), own)
    assert by == OWN
    assert len(few.species) == len(own.species) + 20
    assert len(notes) == 2


def test_copies_of_references_are_found(folder, named, sample):
    library, embedder = StoredLibrary.open(folder), OneHotEmbedder()
    texts = [named["nucleotides"][0].as_py(), "A" + named["nucleotides"][1].as_py()[1:]]
    found = equal_references(library, embedder, [*texts, sample["nucleotides"][-1].as_py(), "ACGT"])
    assert found.tolist()[0] is True
    assert found.tolist()[2:] == [False, False]


def test_joined_queries_are_in_order(own):
    parts = [own.take(np.arange(5)), own.take(np.arange(5, 12))]
    together, expected = joined(parts), own.take(np.arange(12))
    for rank in RANKS:
        np.testing.assert_array_equal(together.votes[rank].identities, expected.votes[rank].identities)
        np.testing.assert_array_equal(together.right[rank], expected.right[rank])
    np.testing.assert_array_equal(together.depth, expected.depth)


def test_calibration_is_reproducible(folder):
    library = StoredLibrary.open(folder)
    assert calibrate_by_own(library, OneHotEmbedder()).as_json() == library.calibration().as_json()


def test_library_with_names_at_some_ranks(named, tmp_path):
    """Many libraries have only genus and species."""
    for rank in ("phylum", "class", "order", "family"):
        named = named.set_column(named.column_names.index(rank), rank, pa.array([""] * len(named), pa.large_string()))
    folder = library_of(named.slice(0, 400), tmp_path)
    own = search_own(StoredLibrary.open(folder), OneHotEmbedder())
    calibration = StoredLibrary.open(folder).calibration()
    assert (own.votes["family"].names == -1).all()
    assert calibration(own.votes, own.num_bases)["species"].max() > 0.5
    assert "family: no record has a name, so that no query gets one." in calibration.notes
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
    assert own.named["genus"].any()  # the first word of the species


@pytest.fixture(scope="module")
def two_phyla(named, tmp_path_factory):
    """The own records of a library in which every other record has another name of the phylum."""
    records = named.slice(0, 600)
    index = records.schema.get_field_index("phylum")
    phyla = pa.array(["Arthropoda", "Euarthropoda"] * 300, records.schema.field(index).type)
    records = records.set_column(index, "phylum", phyla)
    folder = tmp_path_factory.mktemp("two_phyla")
    build_library(folder / "library", [_parquet(records, folder)], OneHotEmbedder(), MODEL)
    return search_own(StoredLibrary.open(folder / "library"), OneHotEmbedder())


def test_taxon_under_another_name_is_right_where_a_name_below_it_is(two_phyla):
    known = two_phyla.depth == KNOWN
    assert two_phyla.right["class"][known].all()
    # By the names alone, half of the phyla would be wrong.
    assert two_phyla.right["phylum"][known].all()


def test_taxon_is_left_out_under_all_of_its_names(two_phyla):
    is_stranger = two_phyla.depth == STRANGER
    assert is_stranger.any()
    for rank in RANKS:
        assert not two_phyla.right[rank][is_stranger].any()


def test_name_below_is_right_with_the_name_of_another_record(named, tmp_path):
    """Of two references, one has a class but not the species, the other the species but no class."""
    one = named.slice(0, 1)
    other_class = _with_names(one, {"class": "Arachnida", **dict.fromkeys(RANKS[2:], "")})
    no_class = _with_names(one, {"class": ""})
    file = _parquet(pa.concat_tables([other_class, no_class]), tmp_path)
    build_library(tmp_path / "library", [file], OneHotEmbedder(), MODEL)
    found = search_named(StoredLibrary.open(tmp_path / "library"), OneHotEmbedder(), one)
    assert found.named["class"].all()
    assert not found.right["class"].any()
    assert found.right["species"].all()


def _with_names(records, names):
    for rank, name in names.items():
        index = records.schema.get_field_index(rank)
        records = records.set_column(index, rank, pa.array([name] * len(records), records.schema.field(index).type))
    return records


def _parquet(records, folder):
    """A Parquet file, because in a header a species always has a genus."""
    pq.write_table(records, folder / "bare.parquet")
    return str(folder / "bare.parquet")


def test_own_records_are_also_searched_cut(folder, own):
    cut = search_own(StoredLibrary.open(folder), OneHotEmbedder(), lengths=(130, 300))
    # Of the genera and higher taxa that are held out, only some are searched cut.
    assert len(cut.species) > 1.5 * len(own.species)
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
