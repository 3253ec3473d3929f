"""Linear probe: how well a linear classifier tells seen species from frozen vectors."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from tqdm import tqdm

from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.tasks.questions import species_questions

# The recipe of the published evaluation (BarcodeBERT, arXiv 2311.02401).
LEARNING_RATE = 1.0
MOMENTUM = 0.95
WEIGHT_DECAY = 1e-9
BATCH_SIZE = 1024
EPOCHS = 200


def fit_predict(
    train: np.ndarray, taxa: np.ndarray, queries: np.ndarray, *, epochs: int = EPOCHS, seed: int = 0
) -> np.ndarray:
    """Train a linear classifier with SGD and name the queries.

    Vectors are standardised by one mean and one standard deviation of the whole `train` matrix, so that
    dimensions keep their proportions.

    Args:
        train: float32 `[n, dimensions]`.
        taxa: `[n]`, their names.
        queries: float32 `[n_queries, dimensions]`.
        epochs: passes over `train`.
        seed: of the first weights and of the order of the rows.

    Returns:
        Names `[n_queries]`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(seed)
    names, targets = np.unique(taxa, return_inverse=True)
    mean, deviation = train.mean(), max(train.std(), np.finfo(np.float32).tiny)

    def standardise(vectors: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((vectors - mean) / deviation).float().to(device)

    inputs, classes = standardise(train), torch.from_numpy(targets).to(device)
    bound = train.shape[1] ** -0.5
    weight = torch.empty(len(names), train.shape[1]).uniform_(-bound, bound, generator=generator).to(device)
    bias = torch.empty(len(names)).uniform_(-bound, bound, generator=generator).to(device)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    for _ in tqdm(range(epochs), desc="linear probe", unit="epoch", leave=False):
        for rows in torch.randperm(len(inputs), generator=generator).to(device).split(BATCH_SIZE):
            loss = F.cross_entropy(F.linear(inputs[rows], weight, bias), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return names[F.linear(standardise(queries), weight, bias).argmax(dim=1).cpu().numpy()]


def linear_probe_scores(
    train_embeddings: np.ndarray,
    train: pa.Table,
    query_embeddings: np.ndarray,
    queries: pa.Table,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> dict[str, Any]:
    """Species accuracy of the probe, over the queries whose species stands in `train`.

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species take no part.
        query_embeddings: float32 `[n_queries, dimensions]`.
        queries: their records.
        epochs: passes over `train`.
        seed: of the probe and of the bootstrap.

    Returns:
        `n_train, n_queries, n_answerable`, and what `scores.accuracy_scores` gives for species.

    Raises:
        ConfigurationError: as `questions.species_questions`.
    """
    asked = species_questions(train_embeddings, train, query_embeddings, queries)
    given = fit_predict(asked.train, asked.taxa, asked.queries, epochs=epochs, seed=seed)
    return asked.counts | accuracy_scores("species", given, asked.answers, asked.answers, seed)
