"""From one vector per token to one vector per barcode."""

import torch

POOLINGS = ("mean", "first", "last")


def pool(states: torch.Tensor, attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector per row, from its attended tokens alone, wherever the padding stands.

    Special tokens that a tokenizer adds are attended, so they count: they take part in the mean, and the first or the
    last token is one of them where the tokenizer begins or ends with one. Model cards that give a mean do it so.

    Args:
        states: `[n, tokens, dimensions]`.
        attention_mask: `[n, tokens]`, 1 where a token is attended; at least one in each row.
        pooling: one of `POOLINGS`.

    Returns:
        float32 `[n, dimensions]`.
    """
    states, attended = states.float(), attention_mask.bool()
    if pooling == "mean":
        # Not a product with the mask: what a model computes at padding may be NaN.
        total = states.masked_fill(~attended[..., None], 0).sum(dim=1)
        return total / attended.sum(dim=1, keepdim=True)
    places = torch.arange(states.shape[1], device=states.device)
    if pooling == "first":
        place = torch.where(attended, places, states.shape[1]).min(dim=1).values
    else:
        place = torch.where(attended, places, -1).max(dim=1).values
    return states[torch.arange(len(states), device=states.device), place]
