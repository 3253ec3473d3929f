"""The published figures, recomputed from their descriptions with scikit-learn, umap-learn and torch alone.

Sources: BarcodeMAE (arXiv 2502.18405) for nearest neighbours, BarcodeBERT (arXiv 2311.02401) for the linear probe and
for BIN reconstruction. The embeddings are k-mer counts of real barcodes, made here too.
"""

from collections import Counter
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.tasks.bin_clustering import clustering_scores
from barcodemae.evaluation.tasks.knn import CLOSED_WORLD_RANKS, assigned_taxa, knn_scores
from barcodemae.evaluation.tasks.probes import linear_probe_scores

SPLITS = ("train", "val", "val_unseen")


@pytest.fixture(scope="module")
def tables(sample):
    """Each split as columns of text, and its 4-mer counts."""
    split = np.array(sample["split"].to_pylist())
    genus = np.array(sample["genus"].to_pylist())
    kmers = ["".join(bases) for bases in product("ACGT", repeat=4)]
    counter = CountVectorizer(analyzer="char", ngram_range=(4, 4), vocabulary=kmers, lowercase=False)
    found = {}
    for name in SPLITS:
        records = sample.filter(pa.array((split == name) & ((genus != "") | (name != "train"))))
        vectors = counter.transform(records["nucleotides"].to_pylist()).toarray().astype(np.float32)
        columns = {rank: np.array(records[rank].to_pylist()) for rank in ("genus", "species", "family", "bin")}
        found[name] = (records, vectors, columns)
    return found


@pytest.mark.parametrize("rank", ["genus", "family"])
def test_nearest_neighbours_of_unseen_species(tables, rank):
    train, keys, key_names = tables["train"]
    unseen, queries, names = tables["val_unseen"]
    given = KNeighborsClassifier(1, metric="cosine").fit(keys, key_names[rank]).predict(queries)
    rows = np.isin(names[rank], key_names[rank]) & (names[rank] != "")
    scores = knn_scores(nearest_by_cosine(keys, queries), train, unseen)
    assert scores["n_answerable_by_rank"][rank] == rows.sum()
    assert scores[f"{rank}_accuracy"] == np.mean(given[rows] == names[rank][rows])


def test_nearest_neighbours_of_seen_species(tables):
    train, keys, key_names = tables["train"]
    seen, queries, names = tables["val"]
    given = KNeighborsClassifier(1, metric="cosine").fit(keys, key_names["species"]).predict(queries)
    rows = np.isin(names["species"], key_names["species"]) & (names["species"] != "")
    scores = knn_scores(nearest_by_cosine(keys, queries), train, seen, CLOSED_WORLD_RANKS)
    assert scores["species_accuracy"] == np.mean((given == names["species"])[rows])


def test_vote_of_five_neighbours(tables):
    train, keys, key_names = tables["train"]
    _, queries, _ = tables["val_unseen"]
    _, neighbours = NearestNeighbors(n_neighbors=5, metric="cosine").fit(keys).kneighbors(queries)
    expected = [Counter(key_names["genus"][row]).most_common(1)[0][0] for row in neighbours]
    assert assigned_taxa(nearest_by_cosine(keys, queries, 5), train, "genus").tolist() == expected


@pytest.mark.slow
def test_linear_probe(tables):
    train, embeddings, names = tables["train"]
    seen, query_embeddings, query_names = tables["val"]
    # Every eighth column, to save time.
    vectors, queries = embeddings[:, ::8], query_embeddings[:, ::8]
    classes, targets = np.unique(names["species"], return_inverse=True)
    inputs = torch.from_numpy((vectors - vectors.mean()) / vectors.std())
    torch.manual_seed(0)
    layer = torch.nn.Linear(inputs.shape[1], len(classes))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1, momentum=0.95, weight_decay=1e-9)
    for _ in range(200):
        for rows in torch.randperm(len(inputs)).split(1024):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(inputs[rows]), torch.from_numpy(targets)[rows]).backward()
            optimizer.step()
    predicted = layer(torch.from_numpy((queries - vectors.mean()) / vectors.std())).argmax(dim=1).numpy()
    rows = np.isin(query_names["species"], classes)
    scores = linear_probe_scores(vectors, train, queries, seen)
    assert (scores["n_train"], scores["n_answerable"]) == (len(vectors), rows.sum())
    assert scores["species_accuracy"] == np.mean((classes[predicted] == query_names["species"])[rows])


@pytest.mark.slow
def test_bin_reconstruction(tables):
    from umap import UMAP

    seen, unseen = tables["val"], tables["val_unseen"]
    records = pa.concat_tables([seen[0], unseen[0]])
    embeddings = np.concatenate([seen[1], unseen[1]])
    bins, species = (np.concatenate([seen[2][name], unseen[2][name]]) for name in ("bin", "species"))
    points, species = embeddings[bins != ""], species[bins != ""]
    reduced = UMAP(n_components=50, n_neighbors=5, metric="cosine", random_state=42, n_jobs=1).fit_transform(points)
    clusters = AgglomerativeClustering(len(np.unique(species[species != ""])), linkage="ward").fit_predict(reduced)
    assert clustering_scores(embeddings, records)["bin_ami"] == adjusted_mutual_info_score(bins[bins != ""], clusters)
