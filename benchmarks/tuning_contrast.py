"""The other way to tune: contrastive steps from the head that closed form gives, or a hidden layer beside it.

Pairs of relatives are those that the head is fitted on: neighbouring clusters, and species of one genus. Of the other
barcodes in a batch, those of the same genus or cluster are no strangers and do not count (supervised contrastive
learning, Khosla et al. 2020, with one positive for each).
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from barcodemae.tuning.features import LinearMap, Reading, map_letters
from barcodemae.tuning.head import Features, FittedHead

STEPS = 300
PAIRS = 256
HIDDEN = 1024
LEARNING_RATE = {"linear": 1e-4, "hidden": 3e-4}
TEMPERATURE = 0.1
NAMED_SHARE = 0.3  # of the pairs that names tell
WARMUP_STEPS = 30


class _Head(nn.Module):
    """The linear map, which moves or, with a hidden layer beside it, stays."""

    def __init__(self, directions: np.ndarray, hidden: bool):
        super().__init__()
        self.linear = nn.Parameter(torch.from_numpy(directions).float(), requires_grad=not hidden)
        self.beside = None
        if hidden:
            width, dimensions = directions.shape
            last = nn.Linear(HIDDEN, dimensions)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.beside = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, HIDDEN), nn.GELU(), nn.Dropout(0.2), last)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        embedded = vectors @ self.linear
        return embedded if self.beside is None else embedded + self.beside(vectors)


def tune_by_contrast(
    features: Features, fitted: FittedHead, genera: np.ndarray, hidden: bool, seed: int = 0
) -> Callable[[Reading], np.ndarray]:
    """Take contrastive steps from a fitted head.

    Args:
        features: that the head was fitted on, of `n` barcodes.
        fitted: the head.
        genera: int64 `[n]`, numbers, -1 where unknown.
        hidden: whether the linear map stays and a hidden layer beside it learns, or the map itself does.
        seed: of batches, dropout and weights.

    Returns:
        What the tuned head makes of barcodes: float32 `[n, dimensions]`.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    maps = ((features.letters, fitted.letters), (features.network, fitted.network))
    head = _Head(np.concatenate([_after(first, whole) for first, whole in maps]), hidden)
    rate = LEARNING_RATE["hidden" if hidden else "linear"]
    optimizer = torch.optim.AdamW([one for one in head.parameters() if one.requires_grad], lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP_STEPS) * (1 - step / STEPS)
    )
    vectors, clusters = torch.from_numpy(features.vectors), features.clusters
    members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(np.bincount(clusters))[:-1])
    of_genus = _clusters_by_genus(clusters, genera)
    for _ in range(STEPS):
        named = int(NAMED_SHARE * PAIRS) if of_genus else 0
        pairs = features.pairs[rng.integers(len(features.pairs), size=PAIRS - named)]
        told = [rng.choice(of_genus[i], 2, replace=False) for i in rng.integers(len(of_genus) or 1, size=named)]
        both = np.concatenate([pairs, np.reshape(told, (-1, 2)).astype(int)]).T.ravel()
        rows = np.array([rng.choice(members[cluster]) for cluster in both])
        loss = _loss(head(vectors[rows]), torch.from_numpy(clusters[rows]), torch.from_numpy(genera[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    head.eval()

    @torch.inference_mode()
    def embed(reading: Reading) -> np.ndarray:
        return head(torch.from_numpy(_features_of(reading, features))).numpy()

    return embed


def _loss(embedded: torch.Tensor, clusters: torch.Tensor, genera: torch.Tensor) -> torch.Tensor:
    unit = F.normalize(embedded, dim=1)
    n = len(unit)
    partner = (torch.arange(n) + n // 2) % n
    akin = (clusters[:, None] == clusters) | ((genera[:, None] == genera) & (genera >= 0))
    akin[torch.arange(n), partner] = False
    return F.cross_entropy((unit @ unit.T / TEMPERATURE).masked_fill(akin, -1e9), partner)


def _clusters_by_genus(clusters: np.ndarray, genera: np.ndarray) -> list[np.ndarray]:
    """Clusters of each genus that has two or more."""
    known = np.unique(np.stack([genera, clusters])[:, genera >= 0], axis=1)
    groups = np.split(known[1], np.flatnonzero(np.diff(known[0])) + 1)
    return [group for group in groups if len(group) > 1]


def _features_of(reading: Reading, features: Features) -> np.ndarray:
    parts = [map_letters(reading, features.letters), features.network(reading.encoded)]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _after(first: LinearMap, whole: LinearMap) -> np.ndarray:
    """What follows the first map in the whole one."""
    return np.linalg.lstsq(first.matrix, whole.matrix, rcond=None)[0]
