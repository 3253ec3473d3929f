import numpy as np
import pytest
import torch

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.probes import fit_predict, linear_probe_scores
from helpers.evaluation_records import make_records


def clouds(num_taxa=5, num_rows=20, dimensions=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(num_taxa, dimensions))
    taxa = np.repeat(np.arange(num_taxa), num_rows)
    points = (centres[taxa] + rng.normal(size=(len(taxa), dimensions))).astype(np.float32)
    return points, np.array([f"Apis b{taxon}" for taxon in taxa])


def numpy_probe(train, classes, queries, num_classes, epochs, seed):
    """The recipe, written anew: full batches, momentum 0.95, weight decay 1e-9, learning rate 1."""
    generator = torch.Generator().manual_seed(seed)
    bound = train.shape[1] ** -0.5
    weight = torch.empty(num_classes, train.shape[1]).uniform_(-bound, bound, generator=generator).numpy()
    bias = torch.empty(num_classes).uniform_(-bound, bound, generator=generator).numpy()
    parameters = [weight.astype(float), bias.astype(float)]
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    mean, deviation = train.mean(), train.std()
    inputs = (train - mean) / deviation
    for _ in range(epochs):
        logits = inputs @ parameters[0].T + parameters[1]
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors = exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(num_classes)[classes]
        gradients = [errors.T @ inputs / len(inputs), errors.mean(axis=0)]
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity *= 0.95
            velocity += gradient + 1e-9 * parameter
            parameter -= velocity
    return ((queries - mean) / deviation @ parameters[0].T + parameters[1]).argmax(axis=1)


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_predictions_are_those_of_the_published_recipe(epochs):
    train, taxa = clouds()
    queries = np.random.default_rng(1).normal(scale=5, size=(200, 8)).astype(np.float32)
    names, classes = np.unique(taxa, return_inverse=True)
    expected = numpy_probe(train, classes, queries, len(names), epochs, seed=3)
    found = fit_predict(train, taxa, queries, epochs=epochs, seed=3)
    assert np.mean(found == names[expected]) > 0.99


def test_distant_clouds_are_separated():
    train, taxa = clouds()
    np.testing.assert_array_equal(fit_predict(train, taxa, train, epochs=50), taxa)


def test_training_set_larger_than_a_batch():
    train, taxa = clouds(num_rows=300)
    assert np.mean(fit_predict(train, taxa, train, epochs=20) == taxa) > 0.99


def test_predictions_depend_on_the_seed_alone():
    train, taxa = clouds(num_rows=300)
    queries = np.random.default_rng(1).normal(size=(100, 8)).astype(np.float32)
    torch.manual_seed(5)
    first = fit_predict(train, taxa, queries, epochs=3, seed=1)
    torch.manual_seed(6)
    np.testing.assert_array_equal(fit_predict(train, taxa, queries, epochs=3, seed=1), first)
    assert (fit_predict(train, taxa, queries, epochs=3, seed=2) != first).any()


def test_shift_and_scale_of_all_vectors_change_nothing():
    train, taxa = clouds()
    queries = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    plain = fit_predict(train, taxa, queries, epochs=10)
    np.testing.assert_array_equal(fit_predict(8 * train + 4, taxa, 8 * queries + 4, epochs=10), plain)


def test_equal_vectors_are_assigned_to_the_most_frequent_taxon():
    ones = np.ones((4, 3), np.float32)
    # Only the frequency of the taxa can be learned.
    assert fit_predict(ones, np.array(list("abbb")), ones, epochs=20).tolist() == ["b"] * 4


def test_queries_of_species_without_training_data_are_not_scored():
    train, taxa = clouds(num_taxa=2)
    taxa = np.where(np.arange(40) == 39, "", taxa)
    queries = train[[0, 25, 1, 2]]
    scores = linear_probe_scores(
        train,
        make_records(species=taxa.tolist()),
        queries,
        make_records(species=["Apis b0", "Apis b1", "Apis b7", ""]),
        epochs=50,
    )
    assert (scores["n_train"], scores["n_queries"], scores["n_answerable"]) == (39, 4, 2)
    assert scores["species_accuracy"] == scores["species_accuracy_by_species"] == 1


def test_queries_without_any_species_of_train_are_rejected():
    train, taxa = clouds()
    with pytest.raises(ConfigurationError, match="of a species of the train split"):
        linear_probe_scores(train, make_records(species=taxa.tolist()), train[:1], make_records(species=["other"]))
