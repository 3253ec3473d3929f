import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks import bin_clustering
from barcodemae.evaluation.tasks.bin_clustering import clustering_grid_scores, clustering_scores, reduce_dimensions
from helpers.evaluation_records import make_records

NUM_BINS, NUM_ROWS = 8, 10


@pytest.fixture(scope="module")
def barcodes():
    """Vectors about one direction per BIN, and one row without a BIN among them; their records."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(NUM_BINS, 60)), NUM_ROWS, axis=0) + 0.05 * rng.normal(
        size=(NUM_BINS * NUM_ROWS, 60)
    )
    bins = [f"BOLD:{number}" for number in range(NUM_BINS) for _ in range(NUM_ROWS)]
    species = [name.replace("BOLD:", "Apis b") for name in bins]
    bins[3] = ""
    return vectors.astype(np.float32), make_records(bin=bins, species=species)


@pytest.fixture(scope="module")
def scores(barcodes):
    return clustering_grid_scores(*barcodes)


def test_every_space_is_clustered_in_every_way(scores):
    num_rows = NUM_BINS * NUM_ROWS - 1
    counts = {key: scores[key] for key in ("n_rows", "n_rows_used", "n_bins", "n_species")}
    assert counts == {"n_rows": num_rows, "n_rows_used": num_rows, "n_bins": NUM_BINS, "n_species": NUM_BINS}
    ways = {(choice["reduction"], choice["method"]) for choice in scores["choices"]}
    assert ways == {(space, method) for space in ("umap", "pca", "none") for method in ("k-means", "ward", "hdbscan")}
    for choice in scores["choices"]:
        if choice["method"] == "ward":
            assert (choice["n_clusters"], choice["n_unclustered"]) == (NUM_BINS, 0)
            assert choice["bin_ami"] == pytest.approx(1)


def test_hdbscan_finds_the_number_by_itself(barcodes, scores):
    vectors, records = barcodes
    unnamed = make_records(bin=records["bin"].to_pylist())  # no species: methods that need a number are told one
    found = {
        (choice["reduction"], choice["method"]): choice
        for choice in clustering_grid_scores(vectors, unnamed)["choices"]
    }
    assert found["none", "hdbscan"]["n_clusters"] == NUM_BINS
    assert found["none", "hdbscan"]["bin_ami"] == pytest.approx(1)
    assert found["none", "ward"] == {
        "reduction": "none",
        "method": "ward",
        "n_clusters": 1,
        "n_unclustered": 0,
        "bin_ami": pytest.approx(0),
        "silhouette": None,
    }


def test_umap_and_ward_are_the_published_recipe(barcodes, scores):
    (choice,) = (one for one in scores["choices"] if (one["reduction"], one["method"]) == ("umap", "ward"))
    assert choice["bin_ami"] == clustering_scores(*barcodes)["bin_ami"]


def test_silhouettes_are_of_umap_space_whatever_was_clustered(barcodes, scores):
    vectors, records = barcodes
    bins = np.array(records["bin"].to_pylist())
    # Ward finds the BINs here, so its silhouette is theirs.
    expected = silhouette_score(reduce_dimensions(vectors[bins != ""]), bins[bins != ""])
    silhouettes = [choice["silhouette"] for choice in scores["choices"] if choice["method"] == "ward"]
    assert silhouettes == pytest.approx([expected] * 3)


def test_the_largest_silhouette_chooses(scores):
    largest = max(choice["silhouette"] for choice in scores["choices"])
    assert scores["chosen_by_silhouette"] in scores["choices"]
    assert scores["chosen_by_silhouette"]["silhouette"] == largest


def test_rows_that_hdbscan_leaves_out_are_one_more_cluster():
    # Two tight groups of 20, and rows far from all and from each other.
    rng = np.random.default_rng(0)
    vectors = np.concatenate([np.repeat(np.eye(40)[:2] * 50, 20, axis=0), 1000 * np.eye(40)[2:6]])
    vectors = (vectors + 0.01 * rng.normal(size=vectors.shape)).astype(np.float32)
    records = make_records(bin=["BOLD:1"] * 20 + ["BOLD:2"] * 20 + ["BOLD:3"] * 4)
    found = {(one["reduction"], one["method"]): one for one in clustering_grid_scores(vectors, records)["choices"]}
    choice = found["none", "hdbscan"]
    assert (choice["n_clusters"], choice["n_unclustered"]) == (2, 4)
    assert choice["bin_ami"] == pytest.approx(1)


def test_many_rows_are_drawn_from_and_both_numbers_told(barcodes, monkeypatch):
    monkeypatch.setattr(bin_clustering, "MAX_GRID_ROWS", 40)
    scores = clustering_grid_scores(*barcodes, seed=1)
    assert (scores["n_rows"], scores["n_rows_used"]) == (NUM_BINS * NUM_ROWS - 1, 40)
    assert scores == clustering_grid_scores(*barcodes, seed=1)


@pytest.mark.parametrize("bins", [[], ["BOLD:1"] * 9, ["BOLD:1", "BOLD:2", "", "", "", ""]])
def test_too_little_to_cluster_leaves_no_choices(bins):
    scores = clustering_grid_scores(np.ones((len(bins), 4), np.float32), make_records(bin=bins))
    assert (scores["choices"], scores["chosen_by_silhouette"]) == ([], None)


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(ConfigurationError, match="NaN or infinity in 2 of 2"):
        clustering_grid_scores(np.full((2, 3), np.inf), make_records(bin=["BOLD:1", "BOLD:2"]))
