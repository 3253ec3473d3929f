"""Tuning: relatives and scatters by hand, discriminants against scikit-learn, the head against its own definition."""

import json
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from transformers import AutoModel, AutoTokenizer

from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.cli.tune import tune as tune_command
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.embedding.singular import fit_one_hot_map, map_one_hot
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub.handler import EndpointHandler
from barcodemae.hub.onnx import export_onnx
from barcodemae.training.tuning.discriminants import (
    find_discriminants,
    scale_to_trace_1,
    scatter_between_clusters,
    scatter_of_cluster_means,
    scatter_within_clusters,
    scatter_within_genera,
)
from barcodemae.training.tuning.head import find_base_features, fit_head, fit_whitening, join_features
from barcodemae.training.tuning.relatives import cluster_by_cosine, group_means, nearest_clusters
from barcodemae.training.tuning.settings import HeadSettings
from barcodemae.training.tuning.tune import draw_per_species, tune
from helpers.small_tuning import tune_arguments, write_named
from modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedTokenPreTraining,
    BarcodeMAEForPreTraining,
    BarcodeMAEModel,
)
from modeling_barcodemae.tokens_barcodemae import base_columns, every_nth_slot
from tokenization_barcodemae import KmerEncoder, ReferenceFrame, encode_barcodes, place_barcodes


def at(*degrees):
    """Unit vectors in the plane."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


class TestRelatives:
    def test_chain_of_near_pairs_is_one_cluster(self):
        found = cluster_by_cosine(at(0, 20, 40, 100, 110), np.cos(np.radians(21)))
        assert found.tolist() == [0, 0, 0, 1, 1]

    @given(st.integers(0, 1000), st.floats(-0.5, 0.95))
    def test_clusters_equal_those_of_single_linkage(self, seed, min_cosine):
        vectors = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
        expected = fcluster(linkage(vectors, "single", metric="cosine"), 1 - min_cosine, "distance")
        found = cluster_by_cosine(vectors, min_cosine)
        assert ((found[:, None] == found) == (expected[:, None] == expected)).all()

    def test_clusters_do_not_depend_on_blocks(self, monkeypatch):
        vectors = np.random.default_rng(0).normal(size=(50, 4))
        expected = cluster_by_cosine(vectors, 0.8)
        monkeypatch.setattr("barcodemae.training.tuning.relatives._BLOCK_ROWS", 7)
        assert (cluster_by_cosine(vectors, 0.8) == expected).all()

    def test_many_barcodes_are_compared_by_nearby_lists(self, monkeypatch):
        # Species are chains of 5: consecutive ones are within the minimum cosine, the first and the last are not.
        rng = np.random.default_rng(0)
        species, step = rng.normal(size=(400, 32)), rng.normal(size=(400, 32))
        vectors = (species[:, None] + 0.2 * np.arange(5)[:, None] * step[:, None]).reshape(-1, 32)
        vectors = vectors[rng.permutation(len(vectors))]
        expected, means = cluster_by_cosine(vectors, 0.93), np.r_[vectors[:300], vectors[:300] + 0.01]
        assert expected.max() + 1 == 400
        expected_pairs = nearest_clusters(means, 1, 0.99)
        monkeypatch.setattr("barcodemae.training.tuning.relatives._MAX_EXACT", 500)
        assert (cluster_by_cosine(vectors, 0.93) == expected).all()
        assert nearest_clusters(means, 1, 0.99).tolist() == expected_pairs.tolist()

    def test_nearest_clusters_have_a_minimum_cosine(self):
        pairs = nearest_clusters(at(0, 10, 30, 180), 1, 0.5)
        assert pairs.tolist() == [[0, 1], [1, 0], [2, 1]]
        assert nearest_clusters(at(0, 10, 30, 180), 9, -1).shape == (12, 2)

    def test_equal_means_find_each_other_and_not_themselves(self):
        assert sorted(nearest_clusters(at(5, 5, 5), 2, 0.5).tolist()) == [
            [0, 1],
            [0, 2],
            [1, 0],
            [1, 2],
            [2, 0],
            [2, 1],
        ]


class TestScatter:
    def test_clusters_by_hand(self):
        # Cluster 0 at -1 and 1, cluster 1 at 4 alone: 1 within the first, 0 within the second, with equal weight.
        vectors, clusters = np.array([[-1.0], [1.0], [4.0]]), np.array([0, 0, 1])
        assert group_means(vectors, clusters).tolist() == [[0], [4]]
        assert scatter_of_cluster_means(vectors, clusters) == pytest.approx(4)
        inside = scatter_within_clusters(vectors, clusters)
        assert inside == pytest.approx((1 + 0) / 2)
        # A pair differs by 4, which is twice the scatter of 4 around the middle.
        between = scatter_between_clusters(vectors, clusters, np.array([[0, 1], [1, 0]]))
        assert inside + between == pytest.approx(0.5 + 8)

    def test_clusters_of_one_barcode_each_have_no_scatter_within(self):
        inside = scatter_within_clusters(np.eye(3), np.arange(3))
        assert not scale_to_trace_1(inside).any()
        assert np.trace(scale_to_trace_1(scatter_of_cluster_means(np.eye(3), np.arange(3)))) == pytest.approx(1)

    def test_scatter_does_not_depend_on_blocks(self, monkeypatch):
        rng = np.random.default_rng(3)
        vectors, clusters = rng.normal(size=(50, 5)), rng.integers(0, 8, 50)
        expected = scatter_within_clusters(vectors, clusters)
        monkeypatch.setattr("barcodemae.training.tuning.discriminants._BLOCK_ROWS", 7)
        monkeypatch.setattr("barcodemae.training.tuning.relatives._BLOCK_COLUMNS", 2)
        np.testing.assert_allclose(scatter_within_clusters(vectors, clusters), expected)

    def test_names_by_hand(self):
        # Genus 7: species at 0 (two barcodes, -1 and 1) and at 4; its mean is 2. One barcode has no genus.
        vectors = np.array([[-1.0], [1.0], [4.0], [99.0]])
        found = scatter_within_genera(vectors, np.array([7, 7, 7, -1]), np.array([3, 3, 9, 9]))
        assert found == pytest.approx(((9 + 1) / 2 + 4) / 2)

    def test_species_have_equal_weight(self):
        rng = np.random.default_rng(1)
        vectors, genera, species = rng.normal(size=(6, 3)), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 3])
        many = np.r_[0:6, np.tile([0, 1], 5)]
        np.testing.assert_allclose(
            scatter_within_genera(vectors, genera, species),
            scatter_within_genera(vectors[many], genera[many], species[many]),
        )

    def test_genera_of_one_species_are_not_enough(self):
        with pytest.raises(ConfigurationError, match="a genus with two species"):
            scatter_within_genera(np.eye(3), np.array([0, 1, -1]), np.array([0, 1, 2]))
        with pytest.raises(ConfigurationError, match="a genus with two species"):
            scatter_within_genera(np.eye(2), np.array([-1, -1]), np.array([0, 1]))

    def test_discriminants_equal_those_of_scikit_learn(self):
        rng = np.random.default_rng(2)
        classes = np.repeat(np.arange(6), 20)
        vectors = rng.normal(size=(6, 4))[classes] * 2 + rng.normal(size=(120, 4)) * [1, 2, 3, 4]
        theirs = LinearDiscriminantAnalysis(solver="eigen").fit(vectors, classes)
        means = group_means(vectors, classes)
        within = (vectors - means[classes]).T @ (vectors - means[classes]) / len(vectors)
        ours = find_discriminants(scatter_of_cluster_means(vectors, classes), within, 3, shrinkage=0)
        for i in range(3):
            cosine = ours[:, i] @ theirs.scalings_[:, i] / np.linalg.norm(theirs.scalings_[:, i])
            assert abs(cosine) == pytest.approx(np.linalg.norm(ours[:, i]))
        np.testing.assert_allclose(ours.T @ within @ ours, np.eye(3), atol=1e-9)


def test_bases_of_kmers_by_hand():
    encoding = KmerEncoder(3)(["ACGTTT"])
    ids, positions = (torch.from_numpy(encoding[name]) for name in ("input_ids", "position_ids"))
    # A at 0, C at 1, G at 2, T at 3, 4, 5; four columns for each coordinate.
    assert base_columns(ids, positions, 3).tolist() == [[[0, 5, 10], [15, 19, 23]]]
    unknown = torch.tensor([[0, 1, 2 + 4**3, 2 + 4**3 - 1]])
    assert base_columns(unknown, torch.arange(4)[None], 3).tolist() == [[[-1] * 3] * 3 + [[39, 43, 47]]]


class TestFeatures:
    def test_bases_by_hand(self):
        bases, num_tokens = np.array([[0, 1], [0, 2], [0, -1]], np.int8), np.array([2, 2, 1])
        base_map = fit_one_hot_map(bases, 8, num_tokens)
        assert base_map.mean.tolist() == [1, 0, 0, 0, 0, 0.5, 0.5, 0]
        # All have A at the first coordinate. Only C and G at the second differ; the third barcode has no base there.
        found = map_one_hot(bases, base_map, num_tokens)
        np.testing.assert_allclose(np.abs(found[:, 0]), [0.5**1.5, 0.5**1.5, 0], atol=1e-6)
        np.testing.assert_allclose(found[:, 1:], 0, atol=1e-6)

    def test_whitened_vectors_have_unit_covariance(self):
        vectors = np.random.default_rng(0).normal(size=(500, 3)) @ np.diag([1.0, 5.0, 0.3]) + 7
        whitening = fit_whitening(vectors, floor=0)
        white = whitening(vectors)
        np.testing.assert_allclose(white.T @ white / 500, np.eye(3), atol=1e-4)

    def test_axis_without_variance_is_not_scaled_up(self):
        vectors = np.random.default_rng(0).normal(size=(50, 2)) * [1, 0]
        whitening = fit_whitening(vectors)
        assert np.abs(whitening(vectors)).min(axis=1).max() < 1e-6

    def test_equal_vectors_are_mapped_to_0(self):
        assert not fit_whitening(np.ones((50, 2)))(np.ones((3, 2))).any()


def test_barcodes_of_a_species_can_be_limited():
    rows, species = np.array([0, 1, 2, 4, 5, 6, 8]), np.array([3, 3, 3, 0, 7, 3, 7, 9, 3])
    found = draw_per_species(rows, species, 2)
    assert (np.diff(found) > 0).all()
    assert np.isin(found, rows).all()
    assert np.bincount(species[found]).tolist() == [0, 0, 0, 2, 0, 0, 0, 2]
    assert draw_per_species(rows, species, 2).tolist() == found.tolist()
    assert (
        draw_per_species(rows, species, 9).tolist() == draw_per_species(rows, species, None).tolist() == rows.tolist()
    )
    # Each barcode of a species has the same chance.
    many = np.arange(2000)
    drawn = draw_per_species(many, many // 4, 1)
    assert (np.bincount(drawn % 4) > 90).all()


@pytest.fixture(scope="module")
def barcodes_file(sample, tmp_path_factory):
    return write_named(sample, tmp_path_factory.mktemp("data") / "barcodes.parquet")


@pytest.fixture(scope="module")
def tuned(checkpoint, barcodes_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "model"
    tune(tune_arguments(checkpoint, folder, barcodes_file, encoder_stride=3))
    return folder


class TestTune:
    def test_embeddings_are_means_of_bases_and_encoder_outputs(self, tuned, checkpoint, full_length_barcodes):
        model = load_checkpoint(tuned).model
        head = model.projection_head
        encoder = KmerEncoder(4)
        encoding = encode_barcodes(encoder, place_barcodes(full_length_barcodes[:3], ReferenceFrame.coi(), 4), 164)
        batch = {name: torch.from_numpy(values) for name, values in encoding.items()}
        found = model(**batch).pooler_output.detach()
        read = {name: values[:, ::3] for name, values in batch.items()}
        plain = load_checkpoint(checkpoint).model(**read).pooler_output
        table = head.bases.weight.detach()
        for row, sequence in enumerate(full_length_barcodes[:3]):
            bases = [table[4 * i + "ACGT".index(base)] for i, base in enumerate(sequence[:656])]
            expected = head.network(plain[row]) + torch.stack(bases).sum(0) / 164
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-4)

    def test_encoder_can_read_all_tokens(self, checkpoint, barcodes_file, tmp_path, full_length_barcodes):
        tune(tune_arguments(checkpoint, tmp_path / "tuned", barcodes_file, encoder_stride=1))
        model = load_checkpoint(tmp_path / "tuned").model
        ids = torch.from_numpy(KmerEncoder(4)(full_length_barcodes[:2])["input_ids"])
        outputs = model(ids, output_hidden_states=True)
        assert outputs.hidden_states[-1].shape[1] == ids.shape[1]
        network_part = model.projection_head.network(outputs.hidden_states[-1].mean(1))
        base_part = model.projection_head(torch.zeros(2, 32), ids, torch.arange(ids.shape[1])[None], ids >= 2).mean(1)
        expected = network_part + base_part - model.projection_head.network.bias
        torch.testing.assert_close(outputs.pooler_output, expected, atol=1e-5, rtol=1e-4)

    def test_stride_counts_slots_not_columns(self, tuned, full_length_barcodes):
        """With tokens at slots 1 to 7 the encoder reads slots 3 and 6, in whatever column; all bases are used."""
        model = load_checkpoint(tuned).model
        ids = torch.from_numpy(KmerEncoder(4)(full_length_barcodes[:2])["input_ids"])[:, 1:8]
        slots = torch.arange(1, 8)[None]
        network = model.projection_head.network
        encoded = model(input_ids=ids[:, [2, 5]], position_ids=slots[:, [2, 5]], for_decoder=True).pooler_output
        base_part = model.projection_head(torch.zeros(2, 32), ids, slots, ids >= 2).mean(1) - network.bias
        found = model(input_ids=ids, position_ids=slots)
        torch.testing.assert_close(found.pooler_output, base_part + network(encoded), atol=1e-5, rtol=1e-4)
        order = torch.tensor([4, 2, 0, 6, 5, 3, 1])
        mixed = model(input_ids=ids[:, order], position_ids=slots[:, order])
        torch.testing.assert_close(mixed.pooler_output, found.pooler_output, atol=1e-5, rtol=1e-4)

    def test_barcode_without_a_token_for_the_encoder_has_an_embedding(self, tuned):
        """Two tokens at slots 1 and 2, alone and beside a barcode with a token that is read."""
        model = load_checkpoint(tuned).model
        ids, mask = torch.tensor([[5, 6, 7], [8, 9, 10]]), torch.tensor([[1, 1, 0], [1, 1, 1]])
        slots = torch.tensor([[1, 2, 0], [0, 1, 2]])
        alone = model(input_ids=ids[:1], attention_mask=mask[:1], position_ids=slots[:1]).pooler_output
        assert alone.isfinite().all()
        both = model(input_ids=ids, attention_mask=mask, position_ids=slots).pooler_output
        torch.testing.assert_close(both[:1], alone)

    def test_a_quantised_head(self, tuned, full_length_barcodes):
        """A quantised linear map has no `weight.dtype`."""
        model = load_checkpoint(tuned).model
        ids = torch.from_numpy(KmerEncoder(4)(full_length_barcodes[:4])["input_ids"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch moves its quantisation to a package of its own
            quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
        cosines = torch.cosine_similarity(quantised(ids).pooler_output, model(ids).pooler_output)
        assert cosines.min() > 0.99

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_an_encoder_in_another_precision_than_the_head(self, dtype, tuned, full_length_barcodes):
        model = load_checkpoint(tuned).model
        ids = torch.from_numpy(KmerEncoder(4)(full_length_barcodes[:4])["input_ids"])
        expected = model(ids).pooler_output
        model.to(dtype).projection_head.float()
        found = model(ids).pooler_output
        assert found.dtype == torch.float32
        assert torch.cosine_similarity(found, expected).min() > 0.99

    def test_embeddings_of_tokens_are_refused(self, tuned):
        model = load_checkpoint(tuned).model
        with pytest.raises(ValueError, match="expected input_ids, got none"):
            model(inputs_embeds=torch.zeros(1, 4, 32))

    def test_padding_does_not_change_embeddings(self, tuned, full_length_barcodes):
        model = load_checkpoint(tuned).model
        short, long = (
            KmerEncoder(4)([barcode]) for barcode in (full_length_barcodes[0][:444], full_length_barcodes[1])
        )
        width = long["input_ids"].shape[1]
        batch = {
            name: torch.tensor(np.stack([np.pad(short[name][0], (0, width - short[name].shape[1])), long[name][0]]))
            for name in ("input_ids", "attention_mask", "position_ids")
        }
        for row, encoding in enumerate((short, long)):
            alone = model(**{name: torch.from_numpy(values) for name, values in encoding.items()})
            torch.testing.assert_close(model(**batch).pooler_output[row], alone.pooler_output[0], atol=1e-5, rtol=1e-4)

    def test_encoder_and_decoder_are_unchanged(self, tuned, checkpoint):
        before = BarcodeMAEForPreTraining.from_pretrained(checkpoint).state_dict()
        after = BarcodeMAEForPreTraining.from_pretrained(tuned).state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert set(after.keys() - before.keys()) == {
            f"bert.projection_head.{name}" for name in ("network.weight", "network.bias", "bases.weight")
        }

    def test_reconstruction_does_not_depend_on_the_head(self, tuned, checkpoint):
        ids, noise = torch.randint(2, 258, (2, 40)), torch.rand(2, 40)
        losses = [BarcodeMAEForPreTraining.from_pretrained(name)(ids, noise=noise).loss for name in (tuned, checkpoint)]
        assert losses[0] == losses[1]

    def test_nearest_neighbours_are_more_often_of_the_same_genus(self, tuned, checkpoint, barcodes_file):
        records = pq.read_table(barcodes_file).to_pandas().groupby("species").head(1)

        def accuracy(name):
            vectors = BarcodeEmbedder.from_pretrained(name).encode(records.nucleotides.tolist())
            nearest = nearest_by_cosine(vectors, vectors, 2).rows[:, 1]
            return (records.genus.to_numpy()[nearest] == records.genus.to_numpy()).mean()

        assert accuracy(tuned) > accuracy(checkpoint)

    def test_auto_classes_load_it_and_its_model_type_is_not_bert(self, tuned, full_length_barcodes):
        batch = AutoTokenizer.from_pretrained(tuned)(full_length_barcodes[:2], return_tensors="pt")
        ours = load_checkpoint(tuned).model
        theirs = AutoModel.from_pretrained(tuned, trust_remote_code=True)
        assert torch.equal(theirs(**batch).pooler_output, ours(**batch).pooler_output)
        assert json.loads((tuned / "config.json").read_text())["model_type"] == "barcodemae"

    def test_sentence_transformers_give_the_same(self, tuned, full_length_barcodes):
        sentence_transformers = pytest.importorskip("sentence_transformers")
        theirs = sentence_transformers.SentenceTransformer(str(tuned), trust_remote_code=True)
        ours = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32).encode(full_length_barcodes[:3])
        np.testing.assert_allclose(theirs.encode(full_length_barcodes[:3]), ours, atol=1e-5)

    def test_its_onnx_files_give_the_same(self, tuned, tmp_path):
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
        assert export_onnx(tuned, tmp_path / "onnx").float32_max_difference < 1e-4

    def test_an_endpoint_gives_the_same(self, tuned, full_length_barcodes):
        ours = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32).encode(full_length_barcodes[:3])
        response = EndpointHandler(str(tuned))({"inputs": full_length_barcodes[:3]})
        np.testing.assert_allclose(response, ours, atol=1e-5)

    def test_tuning_file_describes_the_data(self, tuned, barcodes_file, checkpoint):
        origin = json.loads((tuned / "tuning.json").read_text())
        assert origin["settings"]["label_share"] == 0.5
        assert 0 < origin["fitted_on"]["on_frame"] <= origin["fitted_on"]["records"] <= 900
        assert str(barcodes_file.parent) not in json.dumps(origin)
        assert json.loads((tuned / "1_Pooling" / "config.json").read_text())["word_embedding_dimension"] == 16

    def test_it_can_be_tuned_again(self, tuned, barcodes_file, tmp_path):
        tune(tune_arguments(tuned, tmp_path / "again", barcodes_file, encoder_stride=3))
        one, other = (BarcodeMAEModel.from_pretrained(name).state_dict() for name in (tuned, tmp_path / "again"))
        for name, value in one.items():
            torch.testing.assert_close(value, other[name])

    def test_an_encoder_without_decoder_can_be_tuned(self, checkpoint, barcodes_file, tmp_path):
        save_checkpoint(tmp_path / "encoder", BarcodeMAEModel.from_pretrained(checkpoint), ReferenceFrame.coi())
        tune(tune_arguments(tmp_path / "encoder", tmp_path / "tuned", barcodes_file))
        assert BarcodeEmbedder.from_pretrained(tmp_path / "tuned").dimension == 16

    def test_without_network_share_the_encoder_is_not_run(self, checkpoint, barcodes_file, tmp_path, monkeypatch):
        def refuse(self, *inputs, **options):
            raise AssertionError("the encoder was run")

        with monkeypatch.context() as patched:
            patched.setattr(BarcodeMAEModel, "forward", refuse)
            tune(tune_arguments(checkpoint, tmp_path / "bases", barcodes_file, network_share=0.0))
        tune(tune_arguments(checkpoint, tmp_path / "both", barcodes_file, network_share=1e-9))
        barcodes = pq.read_table(barcodes_file)["nucleotides"].to_pylist()[:20]
        alone, both = (BarcodeEmbedder.from_pretrained(tmp_path / name).encode(barcodes) for name in ("bases", "both"))
        np.testing.assert_allclose(alone @ alone.T, both @ both.T, rtol=1e-3, atol=1e-4)

    def test_without_label_share_names_are_not_used(self, checkpoint, barcodes_file, tmp_path):
        nameless = pq.read_table(barcodes_file)
        for rank in ("genus", "species", "bin"):
            column = nameless.schema.get_field_index(rank)
            nameless = nameless.set_column(column, rank, [[""] * len(nameless)])
        pq.write_table(nameless, tmp_path / "nameless.parquet")
        tune(tune_arguments(checkpoint, tmp_path / "a", barcodes_file, label_share=0.0))
        tune(tune_arguments(checkpoint, tmp_path / "b", tmp_path / "nameless.parquet", label_share=0.0))
        one, other = (BarcodeMAEModel.from_pretrained(tmp_path / name).state_dict() for name in "ab")
        assert all(torch.equal(value, other[name]) for name, value in one.items())
        with pytest.raises(ConfigurationError, match="a genus with two species"):
            tune(tune_arguments(checkpoint, tmp_path / "c", tmp_path / "nameless.parquet"))
        assert not (tmp_path / "c").exists()

    def test_command_prints_the_folder_of_the_checkpoint(self, checkpoint, barcodes_file, tmp_path, capsys):
        options = ["--data", str(barcodes_file), "--embedding-size", "16", "--splits", "train", "test"]
        tune_command([str(checkpoint), str(tmp_path / "new"), *options])
        assert f"The tuned checkpoint is in {tmp_path / 'new'}: fitted on " in capsys.readouterr().out
        assert load_checkpoint(tmp_path / "new").model.config.embedding_size == 16

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"label_share": 1.5}, "--label-share 1.5: expected 0 to 1"),
            ({"network_share": -1}, "--network-share -1: expected 0 or more"),
            ({"encoder_stride": 0}, "--encoder-stride 0: expected 1 or more"),
            ({"max_per_species": 0}, "--max-per-species 0: expected 1 or more"),
        ],
    )
    def test_options_out_of_range(self, options, message, checkpoint, tmp_path):
        with pytest.raises(ConfigurationError, match=message):
            tune_arguments(checkpoint, tmp_path / "new", "nothing.parquet", **options)

    def test_existing_output_is_refused(self, checkpoint, barcodes_file, tmp_path):
        with pytest.raises(ConfigurationError, match="expected a folder that does not exist yet"):
            tune(tune_arguments(checkpoint, tmp_path, barcodes_file))

    def test_too_few_barcodes(self, checkpoint, sample, tmp_path):
        pq.write_table(sample.slice(0, 12), tmp_path / "few.parquet")
        with pytest.raises(ConfigurationError, match="expected more than 16 barcodes on the reference frame"):
            tune(tune_arguments(checkpoint, tmp_path / "new", tmp_path / "few.parquet"))

    def test_other_models_are_refused(self, barcodes_file, tmp_path):
        size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        mlm = BarcodeMAEForMaskedTokenPreTraining(BarcodeMAEConfig(k=4, objective="mlm", **size))
        save_checkpoint(tmp_path / "mlm", mlm, ReferenceFrame.coi())
        mae = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=4, **size))
        save_checkpoint(tmp_path / "frameless", mae, None)
        for name in ("mlm", "frameless"):
            with pytest.raises(CheckpointError, match="expected a masked autoencoder of k-mers with a reference frame"):
                tune(tune_arguments(tmp_path / name, tmp_path / "new", barcodes_file))


class TestEveryNthSlot:
    ids = torch.tensor([[11, 12, 13, 14, 15], [21, 22, 23, 24, 25]])

    def test_slots_are_columns_by_default(self):
        found = every_nth_slot({"input_ids": self.ids, "attention_mask": None}, 2)
        assert found["input_ids"].tolist() == [[11, 13, 15], [21, 23, 25]]
        assert found["position_ids"].tolist() == [[0, 2, 4]] * 2
        assert found["attention_mask"] is None

    def test_slots_are_position_ids(self):
        slots, mask = torch.tensor([[3, 4, 5, 6, 0], [0, 2, 4, 6, 7]]), torch.tensor([[1, 1, 1, 1, 0], [1, 0, 1, 1, 1]])
        found = every_nth_slot({"input_ids": self.ids, "attention_mask": mask, "position_ids": slots}, 2)
        assert found["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
        assert found["input_ids"][found["attention_mask"].bool()].tolist() == [12, 14, 21, 23, 24]
        assert found["position_ids"][found["attention_mask"].bool()].tolist() == [4, 6, 0, 4, 6]

    def test_rows_with_equal_numbers_need_no_mask(self):
        found = every_nth_slot({"input_ids": self.ids, "position_ids": torch.arange(3, 8)[None]}, 3)
        assert found["input_ids"].tolist() == [[11, 14], [21, 24]]
        assert found["attention_mask"] is None

    def test_stride_of_1_changes_nothing(self):
        tokens = {"input_ids": self.ids, "attention_mask": None}
        assert every_nth_slot(tokens, 1) is tokens


def test_network_share_0_leaves_out_the_network():
    rng = np.random.default_rng(0)
    ancestors = rng.integers(0, 4, (20, 30))
    bases = np.where(rng.random((60, 30)) < 0.1, rng.integers(0, 4, (60, 30)), np.repeat(ancestors, 3, axis=0))
    encoded = rng.normal(size=(60, 4)).astype(np.float32)
    settings = HeadSettings(embedding_size=8, label_share=0, network_share=0, relative_cosine=-1)
    unknown = np.full(60, -1)
    base_features = find_base_features(bases.astype(np.int8), np.full(60, 5), settings)
    features = join_features(base_features, encoded, settings)
    fitted = fit_head(features, unknown, unknown, settings)
    assert not fitted.network.matrix.any()
    assert fitted.bases.matrix.shape == (120, 8)
    assert (fitted.num_barcodes, fitted.num_named) == (60, 0)


def test_a_head_needs_slots_and_a_masked_autoencoder():
    with pytest.raises(Exception, match="embedding_size expects objective mae"):
        BarcodeMAEConfig(embedding_size=8)
    with pytest.raises(Exception, match="embedding_size expects objective mae"):
        BarcodeMAEConfig(embedding_size=8, frame_slots=5, objective="mlm")
    with pytest.raises(Exception, match="encoder_stride must be 1, or more with embedding_size; got 2"):
        BarcodeMAEConfig(encoder_stride=2)
