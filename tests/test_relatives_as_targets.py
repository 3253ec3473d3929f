"""Barcodes that reconstruct a relative, and barcodes of which the encoder sees only a segment."""

import numpy as np
import pytest
import torch

from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments, ModelArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.model import build_model, choose_start, find_relatives
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.relative_sampling import NearClusterSampler, SameClusterSampler, SameGenusSampler
from barcodemae.training.targets import OwnBases, OwnKmers, RelativeTargets, find_clusters
from helpers.small_files import write_first_rows
from modeling_barcodemae.masking_barcodemae import partition_equally
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

POOLED = {"size": "nano", "token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0}
GRID = np.stack(np.meshgrid(np.linspace(0, 0.999, 50), np.linspace(0, 0.999, 50)), axis=-1).reshape(-1, 2)


def draw_all(sampler, record):
    """How often each relative of a record is drawn, in 2,500 draws."""
    found, counts = np.unique(sampler.draw(np.full(len(GRID), record), GRID), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


class TestSamplers:
    def test_members_of_the_same_cluster_are_drawn_equally_often(self):
        sampler = SameClusterSampler(np.array([0, 1, 0, -1, 0, 2, 2]))
        assert sampler.has_any.tolist() == [True, False, True, False, True, True, True]
        assert draw_all(sampler, 2) == {0: 1250, 4: 1250}
        assert draw_all(sampler, 6) == {5: 2500}

    def test_near_clusters_are_drawn_equally_often_whatever_their_size(self):
        clusters = np.array([0, 1, 1, 1, 1, 2, -1])
        sampler = NearClusterSampler(clusters, np.array([[0, 1], [0, 2], [1, 0]]))
        assert sampler.has_any.tolist() == [True, True, True, True, True, False, False]
        counts = draw_all(sampler, 0)
        assert counts.pop(5) == 1250
        assert counts.keys() == {1, 2, 3, 4}
        assert max(counts.values()) - min(counts.values()) <= 100
        assert draw_all(sampler, 3) == {0: 2500}

    def test_other_species_of_the_genus_are_drawn_equally_often(self):
        #                         0  1  2  3  4  5  6   7
        genera = np.array([0, 0, 0, 0, 1, 1, 0, -1])
        species = np.array([0, 0, 1, 1, 3, 3, 2, 0])
        sampler = SameGenusSampler(genera, species)
        assert sampler.has_any.tolist() == [True] * 4 + [False, False, True, False]
        assert draw_all(sampler, 1) == {2: 625, 3: 625, 6: 1250}
        assert draw_all(sampler, 6) == {0: 625, 1: 625, 2: 625, 3: 625}

    def test_a_record_without_a_species_has_no_relatives_of_its_genus(self):
        assert SameGenusSampler(np.array([0, 0, 0]), np.array([0, 1, -1])).has_any.tolist() == [True, True, False]

    def test_no_barcode_has_relatives(self):
        none = np.full(3, -1)
        assert not SameClusterSampler(none).has_any.any()
        assert not NearClusterSampler(none, np.zeros((0, 2), np.int64)).has_any.any()
        assert not SameGenusSampler(none, none).has_any.any()


@pytest.fixture
def file(sample, tmp_path):
    return str(write_first_rows(sample, tmp_path / "small.tsv", pretrain=60, train=60, val=12))


def load(file, frame=True):
    args = DataArguments(data=[file], unaligned_share=0.0)
    return load_training_data(args, ReferenceFrame.coi() if frame else None, KmerEncoder(6), seed=0)


class TestTargets:
    @pytest.fixture
    def own(self, file):
        training, validation = load(file)
        return OwnBases(training.barcodes, validation.barcodes, 660)

    def test_shares(self, own):
        n = len(own.training)
        neighbour = SameClusterSampler(np.arange(n) // 2)  # each has one relative, the adjacent record
        records = np.arange(n)
        assert np.array_equal(RelativeTargets(own, 0, []).choose(records, 0), records)
        assert np.array_equal(RelativeTargets(own, 0, [(1.0, neighbour)]).choose(records, 0), records ^ 1)
        half = RelativeTargets(own, 0, [(0.5, neighbour)])
        is_relative = np.concatenate([half.choose(records, epoch) != records for epoch in range(10)])
        assert is_relative.mean() == pytest.approx(0.5, abs=0.05)
        assert np.array_equal(half.choose(records, 3), half.choose(records, 3))
        assert np.array_equal(half.choose(records[::-1], 3), half.choose(records, 3)[::-1])

    def test_targets_are_bases_of_relatives_and_in_validation_own_bases(self, own):
        neighbour = SameClusterSampler(np.arange(len(own.training)) // 2)
        targets = RelativeTargets(own, 0, [(1.0, neighbour)])
        assert np.array_equal(targets(np.arange(6), 0), own(np.arange(6) ^ 1, 0))
        assert np.array_equal(targets(np.arange(6), -1), own(np.arange(6), -1))

    def test_of_two_kinds_each_has_its_share(self, own):
        n, records = len(own.training), np.arange(len(own.training))
        second_next = NearClusterSampler(np.arange(n), np.stack([np.arange(n), (np.arange(n) + 2) % n], axis=1))
        samplers = [(0.3, SameClusterSampler(np.arange(n) // 2)), (0.4, second_next)]
        chosen = np.stack([RelativeTargets(own, 0, samplers).choose(records, epoch) for epoch in range(20)])
        assert (chosen == records ^ 1).mean() == pytest.approx(0.3, abs=0.04)
        assert (chosen == (records + 2) % n).mean() == pytest.approx(0.4, abs=0.04)
        assert (chosen == records).mean() == pytest.approx(0.3, abs=0.04)

    def test_nearly_equal_barcodes_are_one_cluster(self, sample, tmp_path):
        """Each barcode twice: unchanged, and with one base in 200 changed."""
        texts = [text for text in sample["nucleotides"].to_pylist() if len(text) > 600][:40]
        changed = ["".join("ACGT"["ACGT".find(b) - 1] if i % 200 == 150 else b for i, b in enumerate(t)) for t in texts]
        rows = "".join(f"{i}\t{text}\n" for i, text in enumerate(texts + changed))
        (tmp_path / "pairs.tsv").write_text("id\tnucleotides\n" + rows)
        training, validation = load(str(tmp_path / "pairs.tsv"))
        clusters, pairs = find_clusters(OwnBases(training.barcodes, validation.barcodes, 660))
        assert np.array_equal(clusters[:40], clusters[40:])
        assert clusters.min() >= 0
        assert (pairs[:, 0] != pairs[:, 1]).all()


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"genus_share": 0.5}, "--genus-share 0.5: expected --pooled-decoder-weight above 0 with it"),
            ({"cut_share": 0.5}, "--cut-share 0.5: expected --pooled-decoder-weight above 0 with it"),
            ({"near_cluster_share": 1.5, **POOLED}, "--near-cluster-share 1.5: expected 0 to 1"),
            ({"same_cluster_share": -0.1, **POOLED}, "--same-cluster-share -0.1: expected 0 to 1"),
            ({"near_cluster_share": 0.7, "genus_share": 0.5, **POOLED}, "expected a sum of at most 1, got 1.2"),
            ({"objective": "mlm", **POOLED}, "--pooled-decoder-weight 1.0: expected --objective mae, got mlm"),
            ({"objective": "causal", **POOLED}, "expected --objective mae, got causal"),
            ({"objective": "classification", **POOLED}, "expected --objective mae, got classification"),
        ],
    )
    def test_contradictory_options(self, options, message):
        with pytest.raises(ConfigurationError, match=message):
            ModelArguments(**options)

    def test_missing_labels(self, file):
        args = ModelArguments(genus_share=0.5, **POOLED)
        start = choose_start(args, DataArguments(data=[file]))
        with pytest.raises(ConfigurationError, match=r"--genus-share 0.5: expected relatives .*, got none"):
            build_model(start, args, *load(file), seed=0)

    def test_clusters_without_a_frame(self, file):
        args = ModelArguments(near_cluster_share=0.5, **POOLED)
        start = choose_start(args, DataArguments(data=[file], frame="none"))
        with pytest.raises(ConfigurationError, match=r"on the reference frame.*, got 0"):
            build_model(start, args, *load(file, frame=False), seed=0)

    def test_clusters_by_kmers_need_no_frame(self, sample, tmp_path):
        """Each barcode twice: unchanged, and without its first 20 bases."""
        texts = [text for text in sample["nucleotides"].to_pylist() if len(text) > 600][:40]
        rows = "".join(f"{i}\t{text}\n" for i, text in enumerate(texts + [text[20:] for text in texts]))
        (tmp_path / "pairs.tsv").write_text("id\tnucleotides\n" + rows)
        training, validation = load(str(tmp_path / "pairs.tsv"), frame=False)
        args = ModelArguments(same_cluster_share=1.0, pooled_target="kmers", **POOLED)
        clusters, _ = find_clusters(OwnKmers(training.barcodes, validation.barcodes, 6))
        assert np.array_equal(clusters[:40], clusters[40:])
        start = choose_start(args, DataArguments(data=[str(tmp_path / "pairs.tsv")], frame="none"))
        _, objective = build_model(start, args, training, validation, seed=0)
        own, target = OwnKmers(training.barcodes, validation.barcodes, 6), objective.pooled_labels
        records = np.arange(len(training))
        chosen = target.choose(records, 0)
        assert np.array_equal(clusters[chosen], clusters)
        assert not np.array_equal(chosen, records)
        assert np.array_equal(target(records, 0), own(chosen, 0))

    def test_each_option_gives_a_sampler(self, sample, tmp_path):
        table = sample.to_pandas()
        named = table[table.split == "train"].head(200)[["id", "nucleotides", "genus", "species"]]
        named.to_csv(tmp_path / "named.tsv", sep="\t", index=False)
        training, validation = load(str(tmp_path / "named.tsv"))
        own = OwnBases(training.barcodes, validation.barcodes, 660)
        args = ModelArguments(same_cluster_share=0.2, near_cluster_share=0.3, genus_share=0.1, **POOLED)
        samplers = find_relatives(args, own)
        assert [(share, type(sampler)) for share, sampler in samplers] == [
            (0.2, SameClusterSampler),
            (0.3, NearClusterSampler),
            (0.1, SameGenusSampler),
        ]
        assert find_relatives(ModelArguments(**POOLED), own) == []


class TestCuts:
    def test_noise_is_finite_in_one_segment_of_a_row(self):
        encoding = {"attention_mask": np.repeat([[1] * 40 + [0] * 10], 200, axis=0)}
        objective = MaskedReconstruction(0, 0.5, None, cut_share=1.0, min_cut_tokens=8)
        arrays = objective.arrays(encoding, np.arange(200), 0)
        assert arrays["num_kept"] is None
        visible = np.isfinite(arrays["noise"][:, :40])
        assert not np.isfinite(arrays["noise"][:, 40:]).any()
        edges = np.abs(np.diff(np.pad(visible.astype(int), ((0, 0), (1, 1))), axis=1)).sum(1)
        assert (edges == 2).all()
        assert visible.sum(1).min() == 8
        assert 36 <= visible.sum(1).max() <= 40
        assert visible[:, 0].any()
        assert visible[:, 39].any()

    def test_share(self):
        encoding = {"attention_mask": np.ones((400, 40), np.int64)}
        noise = MaskedReconstruction(0, 0.5, None, 0.25, 8).arrays(encoding, np.arange(400), 0)["noise"]
        assert np.isinf(noise).any(axis=1).mean() == pytest.approx(0.25, abs=0.06)

    def test_validation_reads_complete_barcodes(self):
        encoding = {"attention_mask": np.ones((4, 40), np.int64)}
        arrays = MaskedReconstruction(0, 0.5, None, 1.0, 8).arrays(encoding, np.arange(4), -1)
        assert np.isfinite(arrays["noise"]).all()
        assert arrays["num_kept"] == 20

    def test_tokens_outside_the_cut_are_masked_and_never_kept(self):
        noise = torch.tensor([[0.9, 0.1, 0.5, 0.3], [float("inf"), 0.4, float("inf"), float("inf")]])
        partition = partition_equally(noise, torch.ones(2, 4, dtype=torch.bool), 0.5)
        assert partition.kept_counts.tolist() == [2, 1]
        assert partition.order[0, :2].tolist() == [1, 3]
        assert partition.order[1, 0] == 1
        assert partition.masked().sum(1).tolist() == [2, 3]

    def test_absent_tokens_come_after_those_outside(self):
        noise = torch.tensor([[float("inf"), 0.4, 0.2, 0.1]])
        partition = partition_equally(noise, torch.tensor([[True, True, True, False]]), 0.5)
        assert partition.order.tolist() == [[2, 1, 0]]
        assert partition.present_counts.tolist() == [3]

    def test_target_of_a_cut_is_the_complete_barcode(self, file):
        args = ModelArguments(cut_share=1.0, dropout=0.0, **POOLED)
        training, validation = load(file)
        model, objective = build_model(choose_start(args, DataArguments(data=[file])), args, training, validation, 0)
        arrays = training.arrays(np.arange(6), 0, objective)
        batch = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
        sums = objective.sums(model, batch)
        assert objective.min_cut_tokens == 21
        assert sums["count"] == (arrays["pooled_labels"] >= 0).sum()
        assert sums["loss"].isfinite()
