"""A marker of uneven length, from its k-mer profile to a library: the commands neither know nor care."""

import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from barcodemae.checkpoints.marker import build_profile
from barcodemae.cli.cluster import cluster
from barcodemae.cli.embed import embed
from barcodemae.cli.marker import marker
from barcodemae.cli.sites import sites
from barcodemae.cli.tune import tune
from barcodemae.embedding.engines import FRAME, NETWORK, load_engine
from barcodemae.embedding.kmer_map import KmerMapEmbedder, kmer_spectra
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import BadRecordError, CheckpointError, ConfigurationError, LibraryError, UnreadableFileError
from barcodemae.library.calibration.named_queries import search_own
from barcodemae.library.checking.tables import SequenceChecker, check_library
from barcodemae.library.library import Library
from barcodemae.library.models import find_neighbours, open_with_model
from barcodemae.library.search.comparison import BasesOnFrame, KmerSets
from barcodemae.library.search.marker import FrameFreeMarker, marker_of
from barcodemae.library.search.shared_kmers import SharedKmerSearch
from helpers.reference_records import write_barcodes
from tokenization_barcodemae import KmerProfile, reverse_complement

BASES = "ACGT"


def uneven_relatives(num_genera=8, num_species=3, num_barcodes=4, seed=0):
    """Genus, species and sequence of a marker with two conserved parts and a variable one, whose length is uneven.

    Genera differ in the variable part; species of a genus in some bases of it, and in its length.
    """
    rng = random.Random(seed)

    def changed(text, share):
        return "".join(rng.choice(BASES) if rng.random() < share else base for base in text)

    first, last = ("".join(rng.choices(BASES, k=90)) for _ in range(2))
    records = []
    for genus in range(num_genera):
        of_genus = "".join(rng.choices(BASES, k=rng.randint(120, 240)))
        for species in range(num_species):
            cut = rng.randint(0, 12)
            of_species = changed(of_genus, 0.2)[cut:]
            name = f"Genus{chr(97 + genus)}"
            for _ in range(num_barcodes):
                text = changed(first, 0.003) + changed(of_species, 0.003) + changed(last, 0.003)
                records.append((name, f"{name} sp{chr(97 + species)}ecies", text))
    return records


@pytest.fixture(scope="module")
def records():
    return uneven_relatives()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, records):
    """Barcodes, and a model of their marker, made by the commands."""
    folder = tmp_path_factory.mktemp("uneven")
    fasta = write_barcodes(records, folder / "barcodes.fasta", "Fungi")
    marker(["build", str(fasta), "--name", "uneven", "--uneven", "-o", str(folder / "marker")])
    options = ["--data", str(fasta), "--embedding-size", "24"]
    tune([str(folder / "marker"), "-o", str(folder / "model"), *options])
    return folder


@pytest.fixture(scope="module")
def embedder(folder):
    return KmerMapEmbedder.from_pretrained(folder / "model")


@pytest.fixture(scope="module")
def library(folder, records):
    references = write_barcodes(records[::2], folder / "references.fasta", "Fungi")
    return Library.build(references, folder / "library", model=str(folder / "model"))


def test_species_of_which_no_other_record_can_be_compared_is_held_out_as_new(folder, records):
    """ITS1 and ITS2 of one specimen are two records, but not two references for either."""
    half = 120
    parts = [
        (genus, species, text[:half] if number % 2 else text[-half:])
        for number, (genus, species, text) in enumerate(records)
    ]
    # Of the first species two records of different parts are left, of the others two of each part.
    cut = write_barcodes([*parts[:2], *parts[4:]], folder / "parts.fasta", "Fungi")
    library = Library.build(cut, folder / "parts", model=str(folder / "model"))
    own = search_own(library._stored, library._embedder)
    assert own.is_new[own.species == records[0][1]].all()
    assert not own.is_new[own.species == records[4][1]].all()
    assert own.is_new.sum() < len(own.is_new)


class TestKmerSets:
    def test_identity_of_substitutions(self):
        rng = random.Random(0)
        text = "".join(rng.choices(BASES, k=600))
        # Ten substitutions, far from each other: each changes 12 of 589 k-mers.
        changed = list(text)
        for position in range(30, 600, 60):
            changed[position] = BASES[(BASES.index(changed[position]) + 1) % 4]
        rows = KmerSets().rows([text, "".join(changed), "".join(rng.choices(BASES, k=600))])
        num_equal, num_shared = KmerSets().compare(rows[0], rows)
        identities = num_equal / num_shared
        assert identities[0] == 1
        assert identities[1] == pytest.approx((469 / 589) ** (1 / 12), abs=0.004)
        assert identities[2] < 0.7
        assert num_shared == pytest.approx([600] * 3, rel=0.02)

    def test_part_has_the_identity_of_the_complete_sequence(self):
        text = "".join(random.Random(0).choices(BASES, k=700))
        complete, part = KmerSets().rows([text, text[200:400]])
        num_equal, num_shared = KmerSets().compare(part, complete)
        assert num_equal / num_shared == pytest.approx(1, abs=0.002)
        assert num_shared == pytest.approx(200, rel=0.02)
        assert KmerSets().num_bases(np.stack([complete, part])) == pytest.approx([700, 200], rel=0.02)

    def test_sequence_without_kmers_shares_nothing(self):
        rows = KmerSets().rows(["N" * 300, "ACGT" * 50])
        num_equal, num_shared = KmerSets().compare(rows[0], rows[1])
        assert (float(num_equal), float(num_shared)) == (0, 0)
        assert KmerSets().num_bases(rows)[0] == 0

    def test_leading_axes_are_broadcast(self):
        rows = KmerSets().rows([text for _, _, text in uneven_relatives(2, 2, 2)])
        num_equal, _ = KmerSets().compare(rows[:, None], rows[None])
        assert num_equal.shape == (8, 8)
        np.testing.assert_allclose(num_equal, num_equal.T)

    def test_agreement_is_with_all_rows(self):
        rows = KmerSets().rows(["ACGTTGCAACGGT", "ACGTTGCAACGGT", "ACGTTGCAACGGA"])
        # Two k-mers each; the first is common to all three.
        assert KmerSets().agreement(rows, np.array([1, 1, 1])).tolist() == [5, 5, 4]
        assert KmerSets().agreement(rows, np.array([1, 1, 9])).tolist() == [13, 13, 20]

    def test_a_comparison_equals_its_like(self):
        assert KmerSets() == KmerSets() != BasesOnFrame(KmerSets.width)


class TestMap:
    def test_spectrum_is_the_square_root_of_counts(self):
        ((rows, spectra),) = kmer_spectra(["AAAAC", "N"], 2)
        # AA three times, AC once.
        assert rows == slice(0, 2)
        np.testing.assert_allclose(spectra[0, :2], [np.sqrt(3) / 2, 0.5], rtol=1e-6)
        assert not spectra[1].any()

    def test_strand_does_not_matter(self, embedder, records):
        texts = [text for _, _, text in records]
        given, turned = embedder.encode(texts), embedder.encode([reverse_complement(text) for text in texts])
        np.testing.assert_allclose(given, turned, atol=1e-5)
        np.testing.assert_allclose(embedder.encode(texts[3]), given[3], atol=1e-5)

    def test_relatives_are_near(self, embedder):
        others = uneven_relatives(seed=0)
        genera = np.array([genus for genus, _, _ in others])
        vectors = embedder.encode([text for _, _, text in others], normalize_embeddings=True)
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -1)
        assert (genera[cosines.argmax(axis=1)] == genera).all()

    def test_sequence_without_a_kmer(self, embedder):
        with pytest.raises(BadRecordError, match="expected a barcode with 6 known bases in a row, got none"):
            embedder.encode(["ACGTACGT", "ACGTN"])
        assert np.isnan(embedder.encode(["ACGTN"], on_error="skip")).all()

    def test_it_is_loaded_by_either_engine(self, folder, records):
        text = records[0][2]
        vectors = [load_engine(engine, folder / "model").encode(text) for engine in (FRAME, NETWORK)]
        np.testing.assert_array_equal(*vectors)
        with pytest.raises(ConfigurationError, match="expected dtype fp32"):
            load_engine(NETWORK, folder / "model", precision="bf16")

    def test_saved_in_steps_of_a_column(self, embedder, tmp_path, records):
        texts = [text for _, _, text in records]
        embedder.save(tmp_path)
        np.testing.assert_allclose(
            KmerMapEmbedder.from_pretrained(tmp_path).encode(texts), embedder.encode(texts), atol=1e-5
        )
        config = json.loads((tmp_path / "config.json").read_text())
        assert (config["model_type"], config["marker"], config["k"]) == ("barcodemae_kmer_map", "uneven", 6)

    @pytest.mark.parametrize("file", ["model.safetensors", "kmer_profile.safetensors"])
    def test_damaged_file(self, embedder, tmp_path, file):
        embedder.save(tmp_path)
        (tmp_path / file).write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match="expected a map of k-mers"):
            KmerMapEmbedder.from_pretrained(tmp_path)

    def test_tensors_that_do_not_belong_together(self):
        profile = KmerProfile(np.zeros(16), 0, 1)
        with pytest.raises(ValueError, match=r"got \[16, 3\], \[16\], \[2\]"):
            KmerMapEmbedder(np.zeros((16, 3)), np.ones(16), np.zeros(2), profile)


class TestMarkerCommand:
    def test_sequences_that_are_not_one_marker(self, tmp_path):
        rng = random.Random(0)
        texts = ["".join(rng.choices(BASES, k=200)) for _ in range(60)]
        fasta = write_barcodes([("G", "G s", text) for text in texts], tmp_path / "random.fasta", "Fungi")
        with pytest.raises(UnreadableFileError, match=r"random\.fasta: expected sequences of one marker, got .. of 60"):
            build_profile([str(fasta)], "x", tmp_path / "marker")
        assert not (tmp_path / "marker").exists()

    def test_frame_and_no_frame_is_an_error(self, tmp_path):
        with pytest.raises(ConfigurationError, match="--uneven: expected neither --length nor --hmm"):
            marker(["build", "x.fasta", "--name", "x", "-o", str(tmp_path), "--uneven", "--length", "5"])

    def test_too_few_barcodes_to_tune_with(self, folder, tmp_path):
        fasta = write_barcodes(uneven_relatives(2, 1, 4), tmp_path / "few.fasta", "Fungi")
        with pytest.raises(ConfigurationError, match=r"expected more than 200 barcodes of the marker \(uneven\), got"):
            tune([str(folder / "marker"), "-o", str(tmp_path / "model"), "--data", str(fasta)])

    def test_damaged_profile(self, tmp_path):
        (tmp_path / "marker").mkdir()
        (tmp_path / "marker" / "kmer_profile.safetensors").write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match="expected a k-mer profile"):
            tune([str(tmp_path / "marker"), "-o", str(tmp_path / "model"), "--data", "sample"])


class TestLibrary:
    def test_queries_of_either_strand_and_their_parts_are_named(self, library, records):
        queries = records[1::2]
        texts = [text for _, _, text in queries]
        for given in (texts, [reverse_complement(text) for text in texts], [text[60:-60] for text in texts]):
            found = library.identify(given)
            assert found["best_species"].to_pylist() == [species for _, species, _ in queries]
        assert set(library.identify([reverse_complement(texts[0])])["strand"].to_pylist()) == {"-"}

    def test_other_dna_gets_a_reason(self, library):
        rng = random.Random(5)
        found = library.identify(["".join(rng.choices(BASES, k=400)), "N" * 300])
        assert found["reason"].to_pylist() == ["not the marker", "no DNA"]

    def test_part_that_is_too_short_gets_a_reason(self, library, records):
        assert library.identify([records[0][2][:95]])["reason"].to_pylist() == ["too short"]

    def test_hits_are_aligned(self, library, records):
        (hits,) = library.identify([records[1][2]], num_aligned=1)["hits"].to_pylist()
        assert hits[0]["identity"] > 0.97
        assert hits[0]["columns"] > 250
        assert hits[0]["evalue"] < 1e-50

    def test_contributions_add_up_to_the_difference_of_the_scores(self, library, records):
        explained = library.explain([text for _, _, text in records[1::8]], min_confidence=0)
        assert len(explained) == len(records[1::8])
        for one, (_, species, text) in zip(explained, records[1::8], strict=True):
            assert (one.rank, one.name) == ("species", species)
            assert one.completeness_error < 2e-6
            assert "".join("ACGT"[base] for base in one.bases) == text
            assert (one.reference_bases < 0).all()

    def test_sites_need_a_frame(self, folder, library):
        with pytest.raises(ConfigurationError, match="expected a library of a marker with a reference frame"):
            sites([str(library.folder), "Genusa", "--model", str(folder / "model")])

    def test_primers_need_a_frame(self, library, records):
        with pytest.raises(
            ConfigurationError, match="expected a marker with a reference frame, on which primers are found"
        ):
            library.identify([records[0][2]], primers="folmer")

    def test_it_is_opened_with_its_model_only(self, library, folder, tmp_path, records):
        stored, embedder = open_with_model(folder / "library", str(folder / "model"))
        assert isinstance(marker_of(embedder), FrameFreeMarker)
        assert stored.comparison == KmerSets()
        assert stored.num_nucleotides == sum(len(text) for _, _, text in records[::2])
        with pytest.raises(LibraryError, match="expected the same for queries"):
            open_with_model(folder / "library", "nano_coi")

    def test_reading_frames_and_chimeras_are_not_checked(self, library, folder):
        stored, embedder = open_with_model(folder / "library", str(folder / "model"))
        assert "reading frame" not in check_library(stored, embedder)["reason"].to_pylist()
        texts = stored.nucleotides(stored.live)
        chimera = texts[0][: len(texts[0]) // 2] + texts[-1][len(texts[-1]) // 2 :]
        from barcodemae.data.inputs import stream_input

        (table,) = stream_input([chimera])
        assert len(SequenceChecker(embedder, stored)(table)) == 0


def test_clusters_are_the_species(folder, records, tmp_path):
    output = tmp_path / "clusters.parquet"
    cluster([str(folder / "barcodes.fasta"), "--model", str(folder / "model"), "-o", str(output)])
    found = pq.read_table(output)["cluster"].to_pylist()
    pairs = {(species, number) for (_, species, _), number in zip(records, found, strict=True)}
    assert len(pairs) == len(set(found)) == 24


def test_embeddings_of_a_file(folder, records, tmp_path, embedder):
    output = tmp_path / "vectors.npy"
    embed([str(folder / "barcodes.fasta"), "--model", str(folder / "model"), "-o", str(output)])
    np.testing.assert_allclose(np.load(output), embedder.encode([text for _, _, text in records]), atol=1e-5)


def test_part_of_a_reference_is_found_by_shared_kmers_though_its_vector_is_far(library, records, monkeypatch):
    """Without the search by shared k-mers, the candidates of vectors decide alone."""
    genus, species, text = records[0]
    stored, embedder = library._stored, library._embedder
    part = marker_of(embedder).read([text[90:210]])  # nothing of the conserved part
    others = np.arange(len(stored.live) - 5, len(stored.live))[None]
    monkeypatch.setattr(type(stored), "search", lambda self, queries, num_hits: Hits(others, np.zeros((1, 5))))
    found = find_neighbours(stored, embedder, part)
    names = stored.names().take([int(found.records[0, 0])]).to_pylist()[0]
    assert (names["genus"], names["species"]) == (genus, species)
    assert found.identities[0, 0] > 0.95
    assert found.records.shape == (1, 5)
    assert len(set(found.records[0].tolist())) == 5


def test_search_by_shared_kmers_is_that_of_all_pairs():
    rng = random.Random(0)
    texts = ["".join(rng.choices(BASES, k=rng.randint(100, 700))) for _ in range(60)]
    sets = KmerSets().rows([*texts, texts[7][:90] + texts[9][-80:]])
    search = SharedKmerSearch(np.arange(10, 70), lambda rows: sets[rows - 10])
    assert set(search.search(sets[-1:], 2)[0].tolist()) == {17, 19}
    assert sorted(search.search(sets[:1], 100)[0].tolist()) == list(range(10, 70))
