"""What is learnt: an objective turns a batch of barcodes into a loss and metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from barcodemae.data.randomness import Stream, uniform
from barcodemae.data.schema import RANKS
from barcodemae.data.stored import StoredBarcodes
from barcodemae.errors import ConfigurationError
from modeling_barcodemae.masking_barcodemae import count_kept


class Objective(Protocol):
    """One thing to learn. The loop knows no more of it than this."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        """What `sums` needs beside the encoded barcodes, made on the host.

        Args:
            encoding: `input_ids`, `attention_mask`, `position_ids`, each `[batch, tokens]`.
            records: `[batch]`, indices of the records.
            epoch: from 0; -1 for validation.

        Returns:
            Arrays and plain numbers, by the names of the model's arguments.
        """

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Loss and metrics of a batch, as sums, so that batches and processes add up.

        Args:
            model: on the batch's device.
            batch: tensors and plain numbers.

        Returns:
            Scalars: `count`, `loss` (with a gradient) and metrics, all summed over what `count` counts.
        """


@dataclass(frozen=True)
class MaskedReconstruction:
    """Cross-entropy over the k-mers that were masked: removed (BarcodeMAE, arXiv 2502.18405, section 3), or replaced by
    `[MASK]` (BarcodeBERT, arXiv 2311.02401). Which, the model knows; the places are the same. A model with a pooled
    decoder also reconstructs bases, of these or of other barcodes.

    Attributes:
        seed: of the run.
        mask_ratio: the model's.
        cut_share: share of the barcodes of which the encoder sees a cut alone, drawn anew in each epoch.
        shortest_cut: tokens of the shortest cut.
        bases: the bases that the pooled decoder is to reconstruct, of (records, epoch); None where there is none.
    """

    seed: int
    mask_ratio: float
    bases: Callable[[np.ndarray, int], np.ndarray] | None = None
    cut_share: float = 0.0
    shortest_cut: int = 1

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        known = encoding["attention_mask"]
        fewest = int(known.sum(1).min(initial=known.shape[1]))
        noise = uniform(self.seed, Stream.MASK, epoch, records, known.shape[1])
        is_cut = self.cut_share > 0 and epoch >= 0
        if is_cut:
            noise[self._outside(known.sum(1), known.shape[1], records, epoch)] = np.inf
        return {
            "noise": noise,
            # Told here, it need not be read back from the device; with an empty row the model has to look for itself.
            "num_kept": count_kept(fewest, self.mask_ratio) if fewest and not is_cut else None,
            **({} if self.bases is None else {"bases": self.bases(records, epoch)}),
        }

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)

    def _outside(self, num_known: np.ndarray, width: int, records: np.ndarray, epoch: int) -> np.ndarray:
        """bool `[batch, tokens]`, what lies outside a row's cut; known tokens stand first in a row, in their order."""
        is_cut, length, place = uniform(self.seed, Stream.CUT, epoch, records, 3).T
        shortest = np.minimum(self.shortest_cut, num_known)
        lengths = np.where(is_cut < self.cut_share, shortest + length * (num_known - shortest), num_known).astype(int)
        begins = (place * (num_known - lengths + 1)).astype(int)
        columns = np.arange(width)
        return (columns < begins[:, None]) | (columns >= (begins + lengths)[:, None])


@dataclass(frozen=True)
class NextTokenPrediction:
    """Cross-entropy over the k-mers that follow another, each told from those before it."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        return {}

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)


@dataclass(frozen=True)
class Classification:
    """Cross-entropy over taxa, summed over the ranks at which a barcode has a name that training knows.

    Attributes:
        names: rank -> its taxa, sorted, in the order of the model's scores.
        training: int64 `[n, ranks]`, the number of each record's taxon, -1 where it is unknown.
        validation: the same of the records of validation.
    """

    names: dict[str, list[str]]
    training: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, ranks: list[str], training: StoredBarcodes, validation: StoredBarcodes) -> "Classification":
        """The taxa of the records of training at some ranks.

        Raises:
            ConfigurationError: a rank is none, or has fewer than two taxa.
        """
        names, columns = {}, []
        for rank in ranks:
            if rank not in RANKS:
                raise ConfigurationError(f"--ranks: expected any of {', '.join(RANKS)}, got {rank}")
            names[rank], known = training.taxa(rank)
            if len(names[rank]) < 2:
                raise ConfigurationError(f"--ranks {rank}: expected two taxa or more to tell apart, got {names[rank]}")
            place = {name: i for i, name in enumerate(names[rank])}
            others, found = validation.taxa(rank)
            numbers = np.array([*(place.get(name, -1) for name in others), -1])
            columns.append((known, numbers[found]))
        known_taxa, found_taxa = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
        return cls(names, known_taxa, found_taxa)

    def labels(self) -> list[str]:
        """A word for each of the model's scores, rank and taxon: `g:Aus`, as in SINTAX headers."""
        return [f"{rank[0]}:{name}" for rank, names in self.names.items() for name in names]

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        return {"taxa": (self.validation if epoch < 0 else self.training)[records]}

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        taxa = batch.pop("taxa")
        known = taxa >= 0
        output = model(**batch, labels=taxa.masked_fill(~known, -100))
        scores = output.logits.split([len(names) for names in self.names.values()], dim=1)
        right = torch.stack([of_rank.argmax(1) for of_rank in scores], dim=1) == taxa
        count = known.sum()
        return {"count": count, "loss": output.loss * count, "accuracy": (right & known).sum()}


def _token_sums(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Sums over tokens; over bases, where a model reconstructs nothing else."""
    output = model(**batch, num_items_in_batch=1)
    right = [
        _num_right(logits, labels)
        for logits, labels in ((output.logits, output.labels), (output.base_logits, output.base_labels))
        if logits is not None
    ]
    return {"count": right[0][1], "loss": output.loss, "accuracy": right[0][0]}


@torch.no_grad()
def _num_right(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    counted = labels >= 0
    return ((logits.argmax(-1) == labels) & counted).sum(), counted.sum()
