"""Contributions of bases to a difference of similarities: by hand, and that they add up."""

import numpy as np
import pytest
import torch

from barcodemae import BarcodeEmbedder, BaseMapEmbedder
from barcodemae.embedding.integrated_gradients import base_parts
from barcodemae.embedding.kmer_map import KmerMapEmbedder, share_among_bases
from barcodemae.errors import BadRecordError, ConfigurationError
from barcodemae.library.search.comparison import BasesOnFrame, KmerSets
from modeling_barcodemae.configuration_barcodemae import FIRST_KMER_ID
from tokenization_barcodemae import KmerProfile, ReferenceFrame, reverse_complement


@pytest.fixture(scope="module")
def barcodes(sample):
    return sample["nucleotides"].slice(0, 6).to_pylist()


class TestBaseMap:
    def test_by_hand(self, barcodes):
        """Each base adds one of two unit vectors, A and C the first, G and T the second."""
        frame = ReferenceFrame.coi()
        table = np.tile(np.repeat(np.eye(2, dtype=np.float32), 2, axis=0), (frame.length, 1))
        found = BaseMapEmbedder(table, frame, 1).attribute(barcodes[0], np.array([2.0, 0.0]), np.array([0.0, 5.0]))
        num_first = (found.bases < 2).sum()
        num_second = len(found.bases) - num_first
        length = np.hypot(num_first, num_second)
        np.testing.assert_allclose(found.contributions, np.where(found.bases < 2, 1, -1) / length)
        assert found.difference == pytest.approx((num_first - num_second) / length, abs=1e-6)

    def test_sum_is_the_difference_of_the_similarities(self, barcodes):
        embedder = BaseMapEmbedder.from_pretrained()
        vectors = embedder.encode(barcodes)
        found = embedder.attribute(barcodes[0], barcodes[1], vectors[5])
        similarities = embedder.similarity(vectors[0], vectors)[0]
        assert found.difference == pytest.approx(similarities[1] - similarities[5], abs=1e-6)
        assert found.contributions.sum() == pytest.approx(found.difference, abs=1e-6)
        assert found.baseline == 0
        assert (np.diff(found.coordinates) > 0).all()

    def test_strand_does_not_matter(self, barcodes):
        embedder = BaseMapEmbedder.from_pretrained()
        given = embedder.attribute(*barcodes[:3])
        turned = embedder.attribute(reverse_complement(barcodes[0]), *barcodes[1:3])
        np.testing.assert_array_equal(given.coordinates, turned.coordinates)
        np.testing.assert_allclose(given.contributions, turned.contributions, atol=1e-7)

    def test_barcode_that_cannot_be_placed_is_an_error(self, barcodes):
        with pytest.raises(BadRecordError, match="can be placed on the reference frame"):
            BaseMapEmbedder.from_pretrained().attribute("ACGT" * 100, *barcodes[:2])


class TestNetwork:
    @pytest.mark.parametrize(
        ("model", "num_steps", "error"), [("nano_coi", 8, 1e-3), ("tiny_coi_pretrained", 8, 1e-3), (None, 16, 1e-5)]
    )
    def test_sum_is_the_difference_of_the_similarities(self, model, num_steps, error, barcodes):
        embedder = BarcodeEmbedder.from_pretrained(model, device="cpu")
        vectors = embedder.encode(barcodes)
        found = embedder.attribute(barcodes[0], vectors[1], vectors[5], num_steps)
        similarities = embedder.similarity(vectors[0], vectors)[0]
        assert found.difference == pytest.approx(similarities[1] - similarities[5], abs=1e-5)
        assert found.completeness_error < error
        assert found.contributions.shape == found.coordinates.shape == found.bases.shape
        np.testing.assert_array_equal(embedder.encode(barcodes), vectors)  # the model is as before

    def test_more_steps_are_nearer(self, barcodes):
        embedder = BarcodeEmbedder.from_pretrained("tiny_coi_pretrained", device="cpu")
        errors = [embedder.attribute(*barcodes[:3], num_steps).completeness_error for num_steps in (2, 4, 8)]
        assert errors[0] > errors[1] > errors[2]

    def test_bases_are_those_of_the_barcode(self, barcodes):
        network = BarcodeEmbedder.from_pretrained(device="cpu")
        of_map, found = network.base_map.attribute(*barcodes[:3]), network.attribute(*barcodes[:3], num_steps=1)
        by_coordinate = dict(zip(of_map.coordinates.tolist(), of_map.bases.tolist(), strict=True))
        assert {*found.coordinates.tolist()} <= set(by_coordinate)
        assert [by_coordinate[at] for at in found.coordinates.tolist()] == found.bases.tolist()

    def test_barcode_without_a_kmer_is_an_error(self, barcodes):
        with pytest.raises(BadRecordError, match=r"expected 1 to 512 known k-mers to attribute to, got 0"):
            BarcodeEmbedder.from_pretrained(device="cpu").attribute("NNNN", *barcodes[:2])

    def test_other_tokens_are_an_error(self, barcodes):
        embedder = BarcodeEmbedder.from_pretrained(device="cpu")
        embedder.encoder = None
        with pytest.raises(ConfigurationError, match="expected a model of k-mers"):
            embedder.attribute_along(barcodes[0], np.zeros(200))


class TestBaseParts:
    def test_one_base_is_the_difference_from_the_mean(self):
        table = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
        parts = base_parts(table, torch.tensor([3]) + FIRST_KMER_ID)
        assert parts.ravel().tolist() == [3.0]  # 6 - 3

    def test_two_bases_by_hand(self):
        """An embedding that is 1 for CG alone: its bases are equal, and share 1 - 1/16."""
        table = torch.zeros(16, 1)
        table[4 * 1 + 2] = 1
        parts = base_parts(table, torch.tensor([6]) + FIRST_KMER_ID)
        assert parts[0, :, 0].tolist() == [15 / 32, 15 / 32]
        # Of CT, the first base makes CG possible (a mean of 1/4 after 1/16), the second one excludes it.
        first, second = base_parts(table, torch.tensor([7]) + FIRST_KMER_ID)[0, :, 0]
        assert first == pytest.approx((3 / 16 + 0) / 2)
        assert second == pytest.approx((-1 / 16 - 1 / 4) / 2)

    def test_of_a_sum_over_bases_each_has_its_own(self):
        generator = torch.Generator().manual_seed(0)
        one, other = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
        table = (one[:, None] + other[None]).reshape(16, 3)
        parts = base_parts(table, torch.arange(16) + FIRST_KMER_ID)
        np.testing.assert_allclose(parts[:, 0], (one - one.mean(0)).repeat_interleave(4, 0), atol=1e-6)
        np.testing.assert_allclose(parts[:, 1], (other - other.mean(0)).repeat(4, 1), atol=1e-6)

    def test_parts_add_up(self):
        table = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
        parts = base_parts(table, torch.arange(64) + FIRST_KMER_ID)
        np.testing.assert_allclose(parts.sum(axis=1), table - table.mean(0), atol=1e-6)


class TestKmers:
    def test_map_by_hand(self):
        """AAC has the 2-mers AA and AC; AA is the first number of an embedding, AC the second."""
        table = np.zeros((16, 2), np.float32)
        table[0, 0] = table[1, 1] = 1
        embedder = KmerMapEmbedder(table, np.ones(16), np.zeros(2), KmerProfile(np.zeros(16), 0, 1))
        found = embedder.attribute_along("AAC", np.array([1.0, 0.5]))
        # The spectrum and the embedding are (1, 1) / sqrt(2); AA is shared by the first two bases, AC by the last two.
        np.testing.assert_allclose(found.contributions * np.sqrt(2), [0.5, 0.75, 0.25], atol=1e-6)
        assert found.difference == pytest.approx(1.5 / np.sqrt(2), abs=1e-6)
        assert found.bases.tolist() == [0, 0, 1]

    def test_bases_that_are_in_no_kmer_have_no_contribution(self):
        table = np.ones((16, 2), np.float32)
        embedder = KmerMapEmbedder(table, np.ones(16), np.zeros(2), KmerProfile(np.zeros(16), 0, 1))
        assert embedder.attribute_along("ACNGNTT", np.ones(2)).coordinates.tolist() == [0, 1, 5, 6]
        with pytest.raises(BadRecordError, match="expected a barcode with 2 known bases in a row"):
            embedder.attribute_along("ANC", np.ones(2))

    def test_sum_is_the_difference_of_the_similarities(self):
        embedder = KmerMapEmbedder.from_pretrained("nano_its")
        rng = np.random.default_rng(0)
        query, other = ("".join(rng.choice(list("ACGT"), 300)) for _ in range(2))
        found = embedder.attribute(query, query[:200] + other[200:], other)
        vectors = embedder.encode([query, query[:200] + other[200:], other])
        similarities = embedder.similarity(vectors[0], vectors)[0]
        assert found.difference == pytest.approx(similarities[1] - similarities[2], abs=1e-6)
        assert found.completeness_error < 1e-6

    def test_value_of_a_kmer_is_shared_by_its_bases(self):
        np.testing.assert_allclose(share_among_bases(np.array([4.0, 0, 8, 0]), 2), [2, 2, 4, 4])


class TestIdentity:
    def test_on_a_frame_each_difference_counts_once(self):
        row, others = np.array([0, 1, 2, -1], np.int8), np.array([[0, 1, 3, 3], [1, -1, 2, 0]], np.int8)
        lacking = BasesOnFrame(4).identity_by_base("", row, others)
        np.testing.assert_allclose(lacking, [[0, 0, -1 / 3, 0], [-1 / 2, 0, 0, 0]])

    def test_sets_of_kmers_lack_what_is_not_in_common(self):
        rng = np.random.default_rng(1)
        text = "".join(rng.choice(list("ACGT"), 300))
        changed = text[:150] + ("A" if text[150] != "A" else "C") + text[151:]
        rows = KmerSets().rows([text, changed])
        same, one = KmerSets().identity_by_base(text, rows[0], rows)
        num_equal, num_shared = KmerSets().compare(rows[0], rows[1])
        assert not same.any()
        assert one.sum() == pytest.approx(num_equal / num_shared - 1)
        assert np.argmin(one) == 150
        assert np.flatnonzero(one < -1e-9).tolist() == list(range(139, 162))
