"""The search by a part of the marker: by hand, against a comparison of all, with exclusions, and in a library."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from barcodemae.embedding import BaseMapEmbedder
from barcodemae.library.models import find_neighbours, refine_short
from barcodemae.library.search.marker import dereplicate, read_on_marker
from barcodemae.library.search.short_queries import MAX_SHORT, PartSearch
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import OneHotEmbedder, library_of
from tokenization_barcodemae import ReferenceFrame, bases_on_frame

COI = ReferenceFrame.coi()
LENGTH = 64


class Counts:
    """Vectors of one number for each coordinate and base."""

    def embed_bases(self, bases, first=0):
        return (bases[..., None] == np.arange(4)).reshape(len(bases), -1).astype(np.float32)


@pytest.fixture(scope="module")
def references():
    """40 sequences of 64 bases; from row 20 on, they end at coordinate 32."""
    bases = np.random.default_rng(0).integers(0, 4, (40, LENGTH)).astype(np.int8)
    bases[20:, 32:] = -1
    return bases


def search_for(references, records=None):
    records = np.arange(len(references)) if records is None else records
    return PartSearch(records, lambda numbers: references[numbers], LENGTH)


def part(bases, begin, end):
    query = np.full((1, LENGTH), -1, np.int8)
    query[0, begin:end] = bases[begin:end]
    return query


def search(references, queries, num_hits, **options):
    no_candidates = np.full((len(queries), 1), -1)
    return search_for(references).search(queries, no_candidates, Counts(), num_hits, **options)


def test_part_is_found_with_the_cosine_of_the_part(references):
    query = part(references[3], 16, 32)
    query[0, 20] = (query[0, 20] + 1) % 4
    hits = search(references, query, 2)
    assert hits.rows[0, 0] == 3
    assert hits.similarities[0, 0] == pytest.approx(15 / 16)
    assert hits.similarities[0, 1] < 15 / 16


def test_references_without_a_base_there_are_not_found(references):
    hits = search(references, part(references[3], 40, 60), 40)
    assert set(hits.rows[0, :20]) == set(range(20))
    assert (hits.rows[0, 20:] == -1).all()
    assert (hits.similarities[0, 20:] == -np.inf).all()


def test_equal_to_a_comparison_of_all(references):
    rng = np.random.default_rng(1)
    begins = rng.integers(0, 30, 25)
    queries = np.concatenate([part(references[row % 20], begin, begin + 30) for row, begin in enumerate(begins)])
    queries[rng.random(queries.shape) < 0.1] = -1
    hits = search(references, queries, 5)
    for row, query in enumerate(queries):
        known = np.flatnonzero(query >= 0)
        begin, end = known[0] // 16 * 16, -(-(known[-1] + 1) // 16) * 16
        shared = (references[:, begin:end] == query[begin:end]) & (query[begin:end] >= 0)
        num_bases = (references[:, begin:end] >= 0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            cosines = shared.sum(axis=1) / np.sqrt(num_bases * len(known))
        expected = np.sort(np.nan_to_num(cosines, nan=-1))[::-1][:5]
        assert hits.similarities[row] == pytest.approx(expected)


def test_result_does_not_depend_on_other_queries(references):
    queries = np.concatenate([part(references[row], 3 * row, 3 * row + 20) for row in range(12)])
    together = search(references, queries, 7)
    for row in range(len(queries)):
        alone = search(references, queries[row : row + 1], 7)
        assert np.array_equal(alone.rows[0], together.rows[row])


def test_excluded_records_are_not_found(references):
    copies = np.repeat(references[:4], 100, axis=0)
    queries = np.concatenate([part(references[0], 0, 30), part(references[1], 0, 30), part(references[2], 10, 30)])
    number = np.arange(len(copies)) // 100
    hits = search(
        copies,
        queries,
        10,
        num_excluded=np.array([100, 0, 100]),
        is_excluded=lambda rows, records: (rows == number[records]) & (rows != 1),
    )
    assert (hits.rows >= 0).all()
    found = number[hits.rows]
    assert not (found[0] == 0).any()
    assert (found[1] == 1).all()
    assert not (found[2] == 2).any()


def test_candidates_are_compared_in_any_case(references):
    copies = np.concatenate([np.repeat(references[:1], 60, axis=0), references[1:2]])
    query = part(references[0], 0, 30)
    assert 60 not in search(copies, query, 60).rows
    found = search_for(copies).search(query, np.array([[60, 3]]), Counts(), 60)
    assert 60 in found.rows
    assert len(set(found.rows[0, :51])) == 51


def test_only_given_records_are_searched(references):
    searcher = search_for(references, np.array([5, 9, 11]))
    hits = searcher.search(part(references[9], 0, 20), np.array([[11]]), Counts(), 4)
    assert sorted(hits.rows[0].tolist()) == [-1, 5, 9, 11]
    assert hits.rows[0, 0] == 9
    nothing = search_for(references, np.zeros(0, np.int64)).search(references[:2], np.array([[-1]] * 2), Counts(), 3)
    assert (nothing.rows == -1).all()


def test_dereplicated_rows_are_restored():
    rows = np.array([[1, 2], [3, 4], [1, 2], [0, 0]], np.uint8)
    first, copy_of = dereplicate(rows)
    assert np.array_equal(rows[first][copy_of], rows)
    assert len(first) == 3


@pytest.fixture(scope="module")
def library(sample, tmp_path_factory):
    named = sample.filter(pc.equal(sample["split"], "train")).slice(0, 1500)
    return StoredLibrary.open(library_of(named, tmp_path_factory.mktemp("short"))), named


def test_short_reads_are_nearest_to_their_own_species(library):
    stored, named = library
    rows = np.arange(0, len(named), 10)
    rng = np.random.default_rng(0)
    texts = [named["nucleotides"][int(row)].as_py() for row in rows]
    begins = [int(rng.integers(max(len(text) - 130, 0) + 1)) for text in texts]
    read = read_on_marker([text[begin : begin + 130] for text, begin in zip(texts, begins, strict=True)], COI)
    usable = np.flatnonzero(read.fits)
    read, rows = read.take(usable), rows[usable]
    found = find_neighbours(stored, OneHotEmbedder(), read)
    assert np.mean(found.identities[:, 0] == 1) > 0.95
    species = dict(zip(named["id"].to_pylist(), named["species"].to_pylist(), strict=True))
    nearest = stored.names()["id"].take(pa.array(found.records[:, 0])).to_pylist()
    own = [named["species"][int(row)].as_py() for row in rows]
    assert np.mean([species[record] == name for record, name in zip(nearest, own, strict=True)]) > 0.95


def test_long_queries_and_models_without_a_map_keep_their_hits(library):
    stored, named = library
    embedder = OneHotEmbedder()
    texts = named["nucleotides"].to_pylist()[:4]
    texts[0] = texts[0][:130]
    read = read_on_marker(texts, COI)
    assert (read.num_bases[1:] > MAX_SHORT).all()
    hits = stored.search(embedder.encode(texts), 10)
    refined = refine_short(stored, embedder, read, hits)
    assert np.array_equal(refined.rows[1:], hits.rows[1:])
    assert not np.array_equal(refined.similarities[0], hits.similarities[0])

    class WithoutMap(OneHotEmbedder):
        base_map = None

    assert refine_short(stored, WithoutMap(), read, hits) is hits


def test_vectors_of_a_part_are_those_of_barcodes_without_the_other_bases(full_length_barcodes):
    embedder = BaseMapEmbedder.from_pretrained()
    bases = bases_on_frame(full_length_barcodes[:5], COI)
    other = np.full_like(bases, -1)
    other[:, 160:320] = bases[:, 160:320]
    np.testing.assert_allclose(
        embedder.embed_bases(bases[:, 160:320], 160), embedder.embed_bases(other), rtol=1e-4, atol=1e-6
    )


def test_both_engines_have_the_same_map(tuned_checkpoint):
    from barcodemae import BarcodeEmbedder

    whole, alone = BarcodeEmbedder.from_pretrained(tuned_checkpoint), BaseMapEmbedder.from_pretrained(tuned_checkpoint)
    bases = np.random.default_rng(0).integers(-1, 4, (3, COI.length)).astype(np.int8)
    assert np.array_equal(whole.base_map.embed_bases(bases), alone.embed_bases(bases))
    assert alone.base_map is alone
