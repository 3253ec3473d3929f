"""A decoder that sees nothing but the pooled vector, so that pretraining asks for what is used afterwards.

The published decoder attends to every token of the encoder, and leaves the mean over them with what is large and
coarse. Reconstructing from the pooled vector alone mends that for embeddings of text (RetroMAE, arXiv 2205.12035;
TSDAE, arXiv 2104.06979). Here it predicts the bases of the whole barcode, kept and masked alike.
"""

import torch
from torch import Tensor, nn

from .configuration_barcodemae import BarcodeMAEConfig


class BarcodeMAEZeroLinear(nn.Linear):
    """A linear map that starts at zero. It has a class of its own, for what initialises weights goes by classes."""


class BarcodeMAEPooledDecoder(nn.Module):
    """One linear map, plus one hidden layer of four times the width whose output starts at zero."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.prefixes = config.pooled_decoder_prefixes or []
        width, num_scores = config.hidden_size, 4 * config.pooled_decoder_coordinates
        self.linear = nn.Linear(width, num_scores)
        self.hidden = nn.Linear(width, 4 * width)
        self.output = BarcodeMAEZeroLinear(4 * width, num_scores, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Scores of A, C, G and T at each coordinate: `[batch, coordinates, 4]`, of `pooled [batch, hidden]`."""
        scores = self.linear(pooled) + self.output(nn.functional.gelu(self.hidden(pooled)))
        return scores.unflatten(-1, (-1, 4))

    def shortened(self, pooled: Tensor) -> list[Tensor]:
        """The pooled vectors `[batch, hidden]` once for each prefix, with zeros behind it."""
        rank = torch.arange(pooled.shape[1], device=pooled.device)
        return [pooled.masked_fill(rank >= prefix, 0) for prefix in self.prefixes]

    @torch.no_grad()
    def set_base_counts(self, counts: Tensor) -> None:
        """Start with the frequency of each base at each coordinate.

        Args:
            counts: `[coordinates, 4]`, how often each base stands there; each counts once more, so that none has
                frequency 0.
        """
        counts = counts.to(self.linear.bias) + 1
        self.linear.bias.copy_((counts / counts.sum(dim=1, keepdim=True)).log().flatten())


__all__ = ["BarcodeMAEPooledDecoder", "BarcodeMAEZeroLinear"]
