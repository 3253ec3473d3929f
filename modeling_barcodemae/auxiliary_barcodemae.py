"""Auxiliary objectives of pretraining: losses on the taxa of barcodes, computed from their embeddings.

They are those of BarcodeMAE+ (github.com/bioscan-ml/BarcodeMAE-plus). Each head maps embeddings `[batch, hidden]` and
taxa `[batch]`, negative if unknown, to a mean loss, which is 0 if the taxa of the batch do not suffice.
"""

import torch
from torch import Tensor, nn

from .configuration_barcodemae import BarcodeMAEConfig
from .losses_barcodemae import summed_cross_entropy

_PAIR_WIDTH = 256  # as in BarcodeMAE+


class BarcodeMAETaxonClassifier(nn.Module):
    """Cross-entropy over taxa, averaged over the barcodes with a known one."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_auxiliary_taxa)

    def forward(self, pooled: Tensor, taxa: Tensor) -> Tensor:
        logits = self.classifier(self.dropout(self.norm(pooled)))
        return summed_cross_entropy(logits, taxa.masked_fill(taxa < 0, -100)) / (taxa >= 0).sum().clamp(min=1)


class BarcodeMAESameTaxonClassifier(nn.Module):
    """Binary cross-entropy of whether two barcodes have the same taxon.

    A network with one hidden layer reads the two embeddings, in both orders. The loss is averaged over all pairs of the
    same taxon and over all pairs of different taxa, each half of it, because most pairs are of different taxa.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        # Together the first layer of a network that reads both embeddings, so that it is computed once per barcode.
        self.first = nn.Linear(config.hidden_size, _PAIR_WIDTH)
        self.second = nn.Linear(config.hidden_size, _PAIR_WIDTH, bias=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.output = nn.Linear(_PAIR_WIDTH, 1)

    def forward(self, pooled: Tensor, taxa: Tensor) -> Tensor:
        hidden = self.dropout((self.first(pooled)[:, None] + self.second(pooled)[None]).relu())
        logits = self.output(hidden).squeeze(-1).float()
        same, different = _pairs(taxa)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, same.float(), reduction="none")
        return sum(losses[pairs].sum() / pairs.sum().clamp(min=1) for pairs in (same, different)) / 2  # type: ignore[return-value]


class BarcodeMAETriplets(nn.Module):
    """Batch-hard triplet loss (arXiv 1703.07737) with a soft margin, on cosine distances.

    For each barcode, it compares the farthest barcode of the same taxon with the nearest one of another taxon, and is
    averaged over the barcodes that have both. It has no parameters.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()

    def forward(self, pooled: Tensor, taxa: Tensor) -> Tensor:
        with torch.autocast(pooled.device.type, enabled=False):  # differences between relatives are small
            directions = nn.functional.normalize(pooled.float(), dim=1)
            distances = 1 - directions @ directions.T
        same, different = _pairs(taxa)
        is_anchor = same.any(1) & different.any(1)
        farthest = distances.masked_fill(~same, -torch.inf).amax(1)[is_anchor]
        nearest = distances.masked_fill(~different, torch.inf).amin(1)[is_anchor]
        return nn.functional.softplus(farthest - nearest).sum() / is_anchor.sum().clamp(min=1)


def _pairs(taxa: Tensor) -> tuple[Tensor, Tensor]:
    """Two bool `[batch, batch]`: ordered pairs of barcodes of the same taxon, and of different ones, both known."""
    is_known = (taxa >= 0)[:, None] & (taxa >= 0)
    is_equal = taxa[:, None] == taxa
    is_self = torch.eye(len(taxa), dtype=torch.bool, device=taxa.device)
    return is_known & is_equal & ~is_self, is_known & ~is_equal


AUXILIARY_HEADS: dict[str, type[nn.Module]] = {
    "cross-entropy": BarcodeMAETaxonClassifier,
    "same-taxon": BarcodeMAESameTaxonClassifier,
    "triplet": BarcodeMAETriplets,
}

__all__ = ["AUXILIARY_HEADS", "BarcodeMAESameTaxonClassifier", "BarcodeMAETaxonClassifier", "BarcodeMAETriplets"]
