"""Training objectives: each turns a batch of barcodes into a loss and metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from barcodemae.training.randomness import Stream, uniform
from barcodemae.training.stored import StoredBarcodes
from barcodemae.training.taxa import read_taxa
from barcodemae.training.taxon_targets import HierarchicalSmoothing, class_weights
from modeling_barcodemae.masking_barcodemae import count_kept


class Objective(Protocol):
    """What the training loop needs to know of an objective."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        """The inputs of `sums` beside the encoded barcodes, computed on the host.

        Args:
            encoding: `input_ids`, `attention_mask`, `position_ids`, each `[batch, tokens]`.
            records: `[batch]`, indices of the records.
            epoch: from 0; -1 for validation.

        Returns:
            Arrays and plain numbers, by the names of the model's arguments.
        """

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Loss and metrics of a batch, as sums, which can be added over batches and processes.

        Args:
            model: on the batch's device.
            batch: tensors and plain numbers.

        Returns:
            Scalars: `loss` (with a gradient) and metrics, summed over tokens, bases or names, and their number `count`.
        """


@dataclass(frozen=True)
class MaskedReconstruction:
    """Cross-entropy over the masked k-mers.

    Depending on the model, masked k-mers are removed (BarcodeMAE, arXiv 2502.18405, section 3) or replaced by `[MASK]`
    (BarcodeBERT, arXiv 2311.02401); the masked positions are the same. A model with a pooled decoder also reconstructs
    bases or k-mers, those of the same or of other barcodes. A model with an auxiliary objective also compares taxa.

    Attributes:
        seed: seed of the run.
        mask_ratio: mask ratio of the model.
        pooled_labels: gives the targets of the pooled decoder for (records, epoch); None without such a decoder.
        cut_share: share of the barcodes, drawn in each epoch, of which the encoder sees only a segment.
        min_cut_tokens: minimum length of that segment in tokens.
        auxiliary: gives the inputs of the model's auxiliary objective for (records, epoch); None without one.
    """

    seed: int
    mask_ratio: float
    pooled_labels: Callable[[np.ndarray, int], np.ndarray] | None = None
    cut_share: float = 0.0
    min_cut_tokens: int = 1
    auxiliary: Callable[[np.ndarray, int], dict[str, Any]] | None = None

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        known = encoding["attention_mask"]
        min_known = int(known.sum(1).min(initial=known.shape[1]))
        noise = uniform(self.seed, Stream.MASK, epoch, records, known.shape[1])
        has_cuts = self.cut_share > 0 and epoch >= 0
        if has_cuts:
            noise[self._outside_cut(known.sum(1), known.shape[1], records, epoch)] = np.inf
        return {
            "noise": noise,
            # Computed here, it need not be read back from the device. With an empty row, the model has to compute it.
            "num_kept": count_kept(min_known, self.mask_ratio) if min_known and not has_cuts else None,
            **({} if self.pooled_labels is None else {"pooled_labels": self.pooled_labels(records, epoch)}),
            **({} if self.auxiliary is None else self.auxiliary(records, epoch)),
        }

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)

    def _outside_cut(self, num_known: np.ndarray, width: int, records: np.ndarray, epoch: int) -> np.ndarray:
        """bool `[batch, tokens]`, the tokens outside a row's segment; each row begins with its known tokens."""
        choice, length, begin = uniform(self.seed, Stream.CUT, epoch, records, 3).T
        minimum = np.minimum(self.min_cut_tokens, num_known)
        lengths = np.where(choice < self.cut_share, minimum + length * (num_known - minimum), num_known).astype(int)
        begins = (begin * (num_known - lengths + 1)).astype(int)
        columns = np.arange(width)
        return (columns < begins[:, None]) | (columns >= (begins + lengths)[:, None])


@dataclass(frozen=True)
class NextTokenPrediction:
    """Cross-entropy over all k-mers but the first, each predicted from those before it."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        return {}

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)


@dataclass(frozen=True)
class Classification:
    """Cross-entropy over taxa, summed over the ranks at which a barcode has a name that occurs in the training records.

    Attributes:
        names: rank -> its taxa, sorted, in the order of the model's logits.
        training: int64 `[n, ranks]`, index of each training record's taxon in `names`, -1 if unknown.
        validation: the same for the validation records.
        smoothing: gives the targets in training; None for the taxa themselves. Validation has no soft targets and no
            weights.
        weights: for each rank float32 `[taxa]`, weights of the taxa in training; None for equal ones.
    """

    names: dict[str, list[str]]
    training: np.ndarray
    validation: np.ndarray
    smoothing: HierarchicalSmoothing | None = None
    weights: list[np.ndarray] | None = None

    @classmethod
    def from_barcodes(
        cls,
        ranks: list[str],
        training: StoredBarcodes,
        validation: StoredBarcodes,
        label_smoothing: float = 0.0,
        rank_smoothing: float = 0.0,
        class_weighting: float = 0.0,
    ) -> "Classification":
        """The objective of naming the taxa of the training records at the given ranks.

        Args:
            ranks: any of `RANKS`.
            training, validation: records.
            label_smoothing, rank_smoothing: as `uniform` and `by_rank` of `HierarchicalSmoothing`.
            class_weighting: as `power` of `class_weights`.

        Raises:
            ConfigurationError: a rank is unknown, or the training records have fewer than two taxa at it.
        """
        names, indices = {}, []
        for rank in ranks:
            names[rank], training_taxa = read_taxa("--ranks", rank, training)
            index = {name: i for i, name in enumerate(names[rank])}
            validation_names, validation_taxa = validation.taxa(rank)
            in_training = np.array([*(index.get(name, -1) for name in validation_names), -1])
            indices.append((training_taxa, in_training[validation_taxa]))
        taxa, validation_taxa = (np.stack(columns, axis=1) for columns in zip(*indices, strict=True))
        counts = [len(rank_names) for rank_names in names.values()]
        smoothing = weights = None
        if label_smoothing or rank_smoothing:
            smoothing = HierarchicalSmoothing.from_taxa(ranks, counts, taxa, label_smoothing, rank_smoothing)
        if class_weighting:
            weights = [
                class_weights(column, count, class_weighting) for column, count in zip(taxa.T, counts, strict=True)
            ]
        return cls(names, taxa, validation_taxa, smoothing, weights)

    def labels(self) -> list[str]:
        """The label of each logit, rank and taxon, as in SINTAX headers: `g:Aus`."""
        return [f"{rank[0]}:{name}" for rank, names in self.names.items() for name in names]

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        if epoch < 0:
            return {"taxa": self.validation[records]}
        taxa = self.training[records]
        arrays = {"taxa": taxa}
        if self.smoothing is not None:
            arrays["targets"] = self.smoothing(taxa)
        if self.weights is not None:
            columns = zip(self.weights, taxa.T, strict=True)
            arrays["weights"] = np.stack(
                [np.where(column >= 0, by_taxon[column], 0) for by_taxon, column in columns], 1
            )
        return arrays

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        taxa, targets, weights = batch.pop("taxa"), batch.pop("targets", None), batch.pop("weights", None)
        known = taxa >= 0
        counts = [len(names) for names in self.names.values()]
        count = known.sum()
        output = model(**batch, labels=taxa.masked_fill(~known, -100))
        logits = output.logits.split(counts, dim=1)
        loss = output.loss * count
        if targets is not None or weights is not None:
            if targets is None:
                targets = _one_hot(taxa, counts)
            # The logits are log-odds, so that their sigmoid is the probability of a taxon among those of its rank.
            terms = (targets * nn.functional.logsigmoid(output.logits.float())).split(counts, dim=1)
            by_rank = -torch.stack([term.sum(dim=1) for term in terms], dim=1)
            loss = (by_rank if weights is None else by_rank * weights).sum()
        is_correct = torch.stack([rank_logits.argmax(1) for rank_logits in logits], dim=1) == taxa
        return {"count": count, "loss": loss, "accuracy": (is_correct & known).sum()}


def _one_hot(taxa: Tensor, counts: list[int]) -> Tensor:
    """float32 `[batch, taxa of all ranks]`, 1 for the taxon of a barcode at each rank, if it is known."""
    columns = [
        nn.functional.one_hot(rank_taxa.clamp(min=0), count) * (rank_taxa >= 0).unsqueeze(1)
        for rank_taxa, count in zip(taxa.unbind(1), counts, strict=True)
    ]
    return torch.cat(columns, dim=1).float()


def _token_sums(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Sums over tokens, or over bases or k-mers if the model reconstructs only those."""
    output = model(**batch, num_items_in_batch=1)
    logits, labels = output.logits, output.labels
    if logits is None:
        logits, labels = output.pooled_logits, output.pooled_labels
    with torch.no_grad():
        count, correct = (_correct_kmers if labels.is_floating_point() else _correct_labels)(logits, labels)
        sums = {"count": count, "accuracy": correct}
        if (auxiliary_loss := output.get("auxiliary_loss")) is not None:
            sums["auxiliary_loss"] = auxiliary_loss * sums["count"]
    return {**sums, "loss": output.loss}


def _correct_labels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The number of labels that are not -100, and of those that have the maximum logit."""
    is_counted = labels >= 0
    return is_counted.sum(), ((logits.argmax(-1) == labels) & is_counted).sum()


def _correct_kmers(logits: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The number of all k-mers, and of those among the most probable ones, as many as there are distinct k-mers.

    Args:
        logits, counts: `[batch, 1, 4**k]`.
    """
    ranks = logits.argsort(-1, descending=True).argsort(-1)
    is_probable = ranks < (counts > 0).sum(-1, keepdim=True)
    return counts.sum(), (counts * is_probable).sum()
