"""A decoder of the pooled vector, so that pretraining optimises the vector that is used afterwards.

The published decoder attends to every token of the encoder, and their mean need not contain fine differences between
barcodes. Reconstruction from the pooled vector alone has improved text embeddings (RetroMAE, arXiv 2205.12035; TSDAE,
arXiv 2104.06979). Here it predicts the complete barcode, kept and masked tokens: its base at each coordinate, or, for
markers whose length is uneven, how often it has each k-mer.
"""

import torch
from torch import Tensor, nn

from .configuration_barcodemae import BarcodeMAEConfig


class BarcodeMAEZeroLinear(nn.Linear):
    """A linear map initialised to zero; a class of its own, because initialisation depends on the class."""


class BarcodeMAEPooledDecoder(nn.Module):
    """One linear map, plus one hidden layer of four times the width whose output starts at zero."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.prefixes = config.pooled_decoder_prefixes or []
        width = config.hidden_size
        self.shape = (config.pooled_decoder_coordinates, 4) if config.pooled_target == "bases" else (1, 4**config.k)
        num_logits = self.shape[0] * self.shape[1]
        self.linear = nn.Linear(width, num_logits)
        self.hidden = nn.Linear(width, 4 * width)
        self.output = BarcodeMAEZeroLinear(4 * width, num_logits, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits from `pooled [batch, hidden]`: of A, C, G and T at each coordinate, or of all k-mers.

        Returns:
            `[batch, coordinates, 4]` or `[batch, 1, 4**k]`.
        """
        logits = self.linear(pooled) + self.output(nn.functional.gelu(self.hidden(pooled)))
        return logits.unflatten(-1, self.shape)

    def shortened(self, pooled: Tensor) -> list[Tensor]:
        """The pooled vectors `[batch, hidden]` once for each prefix, with zeros after it."""
        dimensions = torch.arange(pooled.shape[1], device=pooled.device)
        return [pooled.masked_fill(dimensions >= prefix, 0) for prefix in self.prefixes]

    @torch.no_grad()
    def set_counts(self, counts: Tensor) -> None:
        """Initialise the bias with the log frequency of each base at each coordinate, or of each k-mer.

        Args:
            counts: `[coordinates, 4]` or `[1, 4**k]`; 1 is added to each, so that no frequency is 0.
        """
        counts = counts.to(self.linear.bias) + 1
        self.linear.bias.copy_((counts / counts.sum(dim=1, keepdim=True)).log().flatten())


__all__ = ["BarcodeMAEPooledDecoder", "BarcodeMAEZeroLinear"]
