import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import draw_per_taxon
from barcodemae.evaluation.tasks import probes
from barcodemae.evaluation.tasks.probes import STRENGTHS, choose_strength, logistic_probe_scores
from helpers.evaluation_records import make_records


def clouds(num_taxa=6, num_rows=6, spread=1.0, seed=0, dimensions=8):
    centres = np.random.default_rng(1).normal(size=(num_taxa, dimensions))
    species = np.repeat([f"Apis b{number}" for number in range(num_taxa)], num_rows)
    noise = np.random.default_rng(seed).normal(size=(len(species), dimensions))
    return (np.repeat(centres, num_rows, axis=0) + spread * noise).astype(np.float32), species


def scores_of(train, queries, seed=0):
    tables = [make_records(species=species.tolist()) for _, species in (train, queries)]
    return logistic_probe_scores(train[0], tables[0], queries[0], tables[1], seed=seed)


def reference(c):
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300))


@pytest.mark.parametrize("spread", [0.2, 1])
def test_the_strength_is_the_best_in_cross_validation_and_log_loss_settles_ties(spread):
    points, species = clouds(num_rows=10, spread=spread)
    rows = draw_per_taxon(species, 6, seed=1)
    folds = StratifiedKFold(3, shuffle=True, random_state=1)

    def mean_score(c, scoring):
        return cross_val_score(reference(c), points[rows], species[rows], cv=folds, scoring=scoring).mean()

    scores = [(mean_score(c, "accuracy"), mean_score(c, "neg_log_loss")) for c in STRENGTHS]
    assert choose_strength(points, species, seed=1) == STRENGTHS[scores.index(max(scores))]


def test_the_scores_are_those_of_scikit_learn_at_that_strength():
    train, queries = clouds(num_rows=15), clouds(num_rows=20, seed=3)
    scores = scores_of(train, queries)
    assert (scores["n_train"], scores["n_queries"], scores["n_answerable"]) == (90, 120, 120)
    assert scores["species_accuracy"] == reference(scores["c"]).fit(*train).score(*queries)
    assert scores["converged"]


def test_queries_have_no_part_in_the_choice_of_the_strength():
    train = clouds(spread=1.5)
    near, far = (clouds(spread=spread, seed=4) for spread in (0.01, 5))
    assert scores_of(train, near)["c"] == scores_of(train, far)["c"] == choose_strength(*train)


def test_every_dimension_is_standardised():
    train, queries = clouds(), clouds(seed=3)
    scale = np.array([1, 2, 4, 8, 16, 32, 64, 128], np.float32)
    stretched = [(points * scale + 4, species) for points, species in (train, queries)]
    assert scores_of(*stretched) == scores_of(train, queries)


def test_noise_is_penalised_more():
    assert choose_strength(*clouds(spread=5)) < choose_strength(*clouds(spread=0.2))


def test_species_with_too_few_barcodes_for_the_folds_are_learnt_but_not_tuned_on():
    points, species = clouds(num_taxa=3, spread=0.1)
    rows = np.r_[0:6, 6:12, 12:14]  # two barcodes of the last one
    scores = scores_of((points[rows], species[rows]), clouds(num_taxa=3, spread=0.1, seed=3))
    assert scores["n_answerable"] == 18
    assert scores["species_accuracy"] == 1


def test_a_fit_that_did_not_come_to_its_end_says_so(monkeypatch):
    monkeypatch.setattr(probes, "MAX_ITERATIONS", 1)
    assert not scores_of(clouds(), clouds(seed=3))["converged"]


def test_a_train_split_that_cannot_be_tuned_on_is_refused():
    with pytest.raises(ConfigurationError, match="two species or more with 3 barcodes in the train split, got 0 of 6"):
        scores_of(clouds(num_rows=2), clouds())
