"""Ids and positions of tokens: pure functions on tensors."""

import torch
from torch import Tensor, nn

from .configuration_barcodemae import FIRST_KMER_ID, BarcodeMAEConfig


def masked_mean(hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Mean of `hidden [batch, tokens, hidden]` over attended tokens; zero for a row without any."""
    if attention_mask is None:
        return hidden.mean(1)
    weights = attention_mask.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def after_cls(
    position_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None
) -> dict[str, Tensor | None]:
    """Arguments of BERT for tokens that follow a `[CLS]` token.

    `[CLS]` lies on no slot of the reference frame. It gets position 0, so that the slots of k-mers do not shift, and
    is distinguished from the k-mer there by token type 1, which no other token has.

    Args:
        position_ids: `[batch, tokens]`.
        attention_mask: `[batch, tokens]`, or None.
        token_type_ids: `[batch, tokens]`; by default 0.

    Returns:
        The three arguments, each `[batch, 1 + tokens]` or None.
    """
    if token_type_ids is None:
        token_type_ids = torch.zeros_like(position_ids)
    return {
        "position_ids": nn.functional.pad(position_ids, (1, 0), value=0),
        "attention_mask": None if attention_mask is None else nn.functional.pad(attention_mask, (1, 0), value=1),
        "token_type_ids": nn.functional.pad(token_type_ids, (1, 0), value=1),
    }


def known_positions(input_ids: Tensor, attention_mask: Tensor | None, pad_token_id: int | None) -> Tensor:
    """`[batch, tokens]`, true for attended k-mers of plain nucleotides."""
    known = input_ids.ge(FIRST_KMER_ID) & input_ids.ne(pad_token_id)  # type: ignore[arg-type]
    return known if attention_mask is None else known & attention_mask.bool()


def counted_positions(input_ids: Tensor, position_ids: Tensor | None, pad_token_id: int | None) -> Tensor:
    """`position_ids [batch, tokens]`, by default counted from 0 at the first token that is not padding."""
    if position_ids is None:
        columns = torch.arange(input_ids.shape[1], device=input_ids.device)
        position_ids = (columns - padding_on_the_left(input_ids, pad_token_id)).clamp(min=0)
    return position_ids.expand_as(input_ids)


def padding_on_the_left(input_ids: Tensor, pad_token_id: int | None) -> Tensor:
    """`[batch, 1]`, the number of `[PAD]` before the first other token of each row."""
    return input_ids.ne(pad_token_id).cumsum(1).eq(0).sum(1, keepdim=True)  # type: ignore[arg-type]


def every_nth_slot(
    tokens: dict[str, Tensor | None], stride: int, num_padding: Tensor | None = None
) -> dict[str, Tensor | None]:
    """The tokens at slots 0, `stride`, 2 `stride` and so on, in whatever column they are.

    Args:
        tokens: `input_ids`, and optionally `attention_mask`, `position_ids` and others, each `[batch, tokens]` or None.
            Slots are `position_ids`, by default counted from 0 after the padding on the left.
        stride: 1 or more.
        num_padding: `[batch, 1]`, columns of padding on the left; by default none.

    Returns:
        The same tensors, `[batch, read]`, with each row's tokens in their order. If rows have different numbers of
        tokens to read, there is an attention mask.
    """
    if stride == 1:
        return tokens
    slots, attended = tokens.get("position_ids"), tokens.get("attention_mask")
    if slots is None:  # here no shape depends on the data, so that the model can be exported
        shape, device = tokens["input_ids"].shape, tokens["input_ids"].device  # type: ignore[union-attr]
        slots = torch.arange(0, shape[1], stride, device=device).expand(shape[0], -1)
        columns, mask = slots, attended
        if num_padding is not None:
            columns = slots + num_padding
            is_inside = columns < shape[1]
            columns = columns.clamp(max=shape[1] - 1)
            mask = is_inside if attended is None else attended.gather(1, columns).bool() & is_inside
        elif attended is not None:
            mask = attended.gather(1, columns)
        others = {name: values for name, values in tokens.items() if name not in ("attention_mask", "position_ids")}
        read = {name: None if values is None else values.gather(1, columns) for name, values in others.items()}
        return read | {"attention_mask": mask, "position_ids": slots}
    slots = slots.expand_as(tokens["input_ids"])  # type: ignore[arg-type]
    is_read = slots % stride == 0
    if attended is not None:
        is_read = is_read & attended.bool()
    counts = is_read.sum(1)
    # At least one column, also if no row has a token to read.
    columns = (~is_read).long().argsort(dim=1, stable=True)[:, : max(1, int(counts.max()))]
    mask = None if bool((counts == columns.shape[1]).all()) else is_read.long()
    tokens = tokens | {"position_ids": slots, "attention_mask": mask}
    return {name: None if values is None else values.gather(1, columns) for name, values in tokens.items()}


def base_columns(input_ids: Tensor, position_ids: Tensor, k: int) -> Tensor:
    """The columns of a one-hot matrix `[coordinates, 4]` that the bases of k-mers occupy.

    Args:
        input_ids: `[batch, tokens]`, ids of k-mers.
        position_ids: `[batch, tokens]` or `[1, tokens]`, their slots.
        k: bases in a k-mer.

    Returns:
        `[batch, tokens, k]`: four times the coordinate of the base on the frame, plus 0 to 3 for A, C, G, T; -1 for
        the bases of a token that is not a known k-mer.
    """
    offsets = torch.arange(k, device=input_ids.device)
    kmers = (input_ids - FIRST_KMER_ID)[..., None]
    bases = kmers // 4 ** (k - 1 - offsets) % 4
    columns = (position_ids[..., None] * k + offsets) * 4 + bases
    return columns.masked_fill((kmers < 0) | (kmers >= 4**k), -1)


def kmer_bases(input_ids: Tensor, position_ids: Tensor, known: Tensor, config: BarcodeMAEConfig) -> Tensor:
    """The bases of known k-mers by coordinate.

    Args:
        input_ids: `[batch, tokens]`.
        position_ids: `[batch, tokens]`; the k-mer at position 1 begins at coordinate k.
        known: `[batch, tokens]`, true for the k-mers to use.
        config: configuration of the model.

    Returns:
        int64 `[batch, config.pooled_decoder_coordinates]`, 0 to 3 for A, C, G and T, -1 without a known k-mer.
    """
    columns = base_columns(input_ids, position_ids, config.k).masked_fill(~known[..., None], -1).flatten(1)
    # An additional coordinate collects all bases outside the others.
    bases = torch.full((len(input_ids), config.pooled_decoder_coordinates + 1), -1, device=input_ids.device)
    coordinates = (columns // 4).clamp(max=config.pooled_decoder_coordinates)
    coordinates = coordinates.masked_fill(columns < 0, config.pooled_decoder_coordinates)
    return bases.scatter(1, coordinates, columns % 4)[:, :-1]


def kmer_counts(input_ids: Tensor, known: Tensor, config: BarcodeMAEConfig) -> Tensor:
    """How often each k-mer is among the known tokens.

    Args:
        input_ids: `[batch, tokens]`.
        known: `[batch, tokens]`, true for the k-mers to count.
        config: configuration of the model.

    Returns:
        float32 `[batch, 1, 4**k]`.
    """
    counts = torch.zeros(len(input_ids), config.num_targets, device=input_ids.device)
    kmers = (input_ids - FIRST_KMER_ID).masked_fill(~known, 0)
    return counts.scatter_add(1, kmers, known.float())[:, None]


def kmer_log_probabilities(base_logits: Tensor, position_ids: Tensor, k: int) -> Tensor:
    """The log probabilities of all k-mers at some positions, as if bases were independent.

    Args:
        base_logits: `[batch, coordinates, 4]`, logits of A, C, G and T.
        position_ids: `[batch, tokens]`; the k-mer at position 1 begins at coordinate k. Outside the coordinates, all
            bases are equally probable.
        k: bases in a k-mer.

    Returns:
        float32 `[batch, tokens, 4**k]`.
    """
    by_base = nn.functional.pad(base_logits.float(), (0, 0, 0, 1)).log_softmax(-1)  # the last row is for outside
    coordinates = position_ids[..., None] * k + torch.arange(k, device=position_ids.device)
    coordinates = coordinates.clamp(max=base_logits.shape[1]).flatten(1)
    own = by_base.gather(1, coordinates[..., None].expand(-1, -1, 4)).unflatten(1, (-1, k))
    total = own[:, :, 0]
    for i in range(1, k):
        total = (total[..., None] + own[:, :, i, None, :]).flatten(2)
    return total
