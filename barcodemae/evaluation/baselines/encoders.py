"""Any encoder of the `transformers` library as a baseline: its own tokenizer, its own way of pooling."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.encoder_files import (
    load_encoder,
    load_tokenizer,
    longest_input,
    model_sha256,
    tokenizer_sha256,
)
from barcodemae.evaluation.baselines.encoder_tokens import TEXT_FORMS, EncoderTokens, TokenCounts
from barcodemae.evaluation.baselines.known_encoders import KnownEncoder
from barcodemae.evaluation.vector_cache import check_finite, texts_sha256

POOLINGS = ("mean", "first", "last")

# Barcodes that are tokenized and sorted by length at a time, which limits the memory.
_CHUNK = 8192


class AnyEncoder:
    """Any pretrained encoder; it is not fitted to the data. Computation is in float32.

    Barcodes are read as they are: neither reverse-complemented nor placed on a frame. Batches are of barcodes of
    similar length, padded on the right, where no position shifts; of equal length, without padding, where a model
    takes no attention mask or its tokenizer has no padding token.

    Args:
        model: gives hidden states; see `encoder_files.load_encoder`.
        tokenizer: the model's.
        pooling: `mean`, `first` or `last` of the attended tokens: see `pool`.
        layer: of the hidden states: 0 is the embeddings, -1 the output.
        prepare: how a barcode is written: see `encoder_tokens.write_barcodes`.
        max_length: maximum number of tokens, special ones included; by default the maximum of model and tokenizer.
            Longer barcodes are truncated and counted.
        batch_size: barcodes in a batch.

    Raises:
        ConfigurationError: an unknown option, or more tokens than the model takes.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pooling: str = "mean",
        layer: int = -1,
        prepare: str = "plain",
        max_length: int | None = None,
        batch_size: int = 64,
    ):
        for option, value, values in (("pooling", pooling, POOLINGS), ("prepare", prepare, TEXT_FORMS)):
            if value not in values:
                raise ConfigurationError(f"{option}: expected any of {', '.join(values)}, got {value}")
        longest = longest_input(model, tokenizer)
        if max_length is not None and not 1 <= max_length <= longest:
            raise ConfigurationError(f"max_length: expected 1 to {longest} tokens for this model, got {max_length}")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = model.to(self._device).float().eval()  # type: ignore[arg-type]
        self._tokenizer: Any = tokenizer
        self._pooling, self._layer, self._prepare = pooling, layer, prepare
        self._max_length = max_length or longest
        num_ids = len(self._model.get_input_embeddings().weight)
        self._tokens = EncoderTokens(tokenizer, prepare, self._max_length, num_ids)
        self._batch_size = batch_size
        self._takes_mask = "attention_mask" in inspect.signature(model.forward).parameters

    @property
    def token_counts(self) -> TokenCounts:
        """Tokens of all barcodes so far, unknown ones, and barcodes that were truncated."""
        return self._tokens.counts

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        pooling: str = "mean",
        layer: int = -1,
        tokenizer: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        max_length: int | None = None,
        prepare: str = "plain",
        batch_size: int = 64,
    ) -> "AnyEncoder":
        """Load a folder or a Hub repository.

        Args:
            name: a folder, or an id on the Hub.
            pooling, layer, max_length, prepare, batch_size: as the class says.
            tokenizer: folder or id of another tokenizer than the model's own.
            trust_remote_code: whether code that comes with model and tokenizer may run.
            revision: branch, tag or commit of the model's Hub repository.

        Raises:
            CheckpointError: model or tokenizer are missing or broken.
            ConfigurationError: they need code of their own, or an option cannot work.
        """
        model = load_encoder(name, trust_remote_code, revision)
        own = load_tokenizer(tokenizer or name, trust_remote_code, None if tokenizer else revision)
        return cls(model, own, pooling, layer, prepare, max_length, batch_size)

    def untrained_like(self, seed: int = 0) -> "AnyEncoder":
        """The same architecture with random weights, read in the same way: the lower bound of any comparison."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = type(self._model)(self._model.config)
        return type(self)(
            model, self._tokenizer, self._pooling, self._layer, self._prepare, self._max_length, self._batch_size
        )

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        pass

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Pooled hidden states, float32 `[n, dimensions]`.

        Raises:
            ConfigurationError: the tokenizer knows none of the tokens, has none for a barcode, or has ids that the
                model does not know; the model has no such layer, or gives vectors that are not finite.
        """
        if not sequences:
            return np.empty((0, self._model.config.hidden_size), np.float32)
        chunks = []
        with tqdm(total=len(sequences), unit="barcode", desc="embed", leave=False) as progress:
            for begin in range(0, len(sequences), _CHUNK):
                ids = self._tokens(sequences[begin : begin + _CHUNK])
                parts = []
                order = []
                for rows in self._batches(np.array([len(one) for one in ids])):
                    parts.append(self._vectors([ids[row] for row in rows]))
                    order.append(rows)
                    progress.update(len(rows))
                chunks.append(np.concatenate(parts)[np.argsort(np.concatenate(order))])
        vectors = np.concatenate(chunks)
        check_finite(vectors)
        return vectors

    def identity(self) -> dict[str, Any]:
        """What its vectors depend on, as JSON has it: weights and tokenizer as SHA-256, and how they are used."""
        return {
            "model": type(self._model).__name__,
            "weights_sha256": model_sha256(self._model),
            "config_sha256": texts_sha256([self._model.config.to_json_string()]),
            "tokenizer_sha256": tokenizer_sha256(self._tokenizer),
            "pooling": self._pooling,
            "layer": self._layer,
            "prepare": self._prepare,
            "max_length": self._max_length,
        }

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        order = np.argsort(lengths, kind="stable")
        groups = [order]
        if not self._takes_mask or self._tokenizer.pad_token_id is None:
            groups = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
        for group in groups:
            for begin in range(0, len(group), self._batch_size):
                yield group[begin : begin + self._batch_size]

    @torch.inference_mode()
    def _vectors(self, ids: list[list[int]]) -> np.ndarray:
        width = max(map(len, ids))
        padding = self._tokenizer.pad_token_id or 0
        inputs = torch.tensor([one + [padding] * (width - len(one)) for one in ids], device=self._device)
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids], device=self._device)
        options: dict[str, Any] = {"attention_mask": mask} if self._takes_mask else {}
        if self._layer != -1:
            options["output_hidden_states"] = True
        states = _hidden_states(self._model(inputs, **options), self._layer)
        return pool(states, mask, self._pooling).cpu().numpy()


def _hidden_states(outputs: Any, layer: int) -> torch.Tensor:
    hidden = getattr(outputs, "hidden_states", None)
    if layer == -1:
        last = getattr(outputs, "last_hidden_state", None)
        if last is not None:
            return last
        return hidden[-1] if hidden else outputs[0]  # models with code of their own may give a bare tuple
    if hidden is None:
        raise ConfigurationError(f"layer: expected -1, as this model gives its output alone, got {layer}")
    if not -len(hidden) <= layer < len(hidden):
        raise ConfigurationError(f"layer: expected {-len(hidden)} to {len(hidden) - 1} for this model, got {layer}")
    return hidden[layer]


def pool(states: torch.Tensor, attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector per row, from its attended tokens alone, wherever the padding is.

    Special tokens that a tokenizer adds are attended, so they count: they take part in the mean, and the first or the
    last token is one of them where the tokenizer begins or ends with one. Model cards that average tokens do the same.

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
    positions = torch.arange(states.shape[1], device=states.device)
    if pooling == "first":
        position = torch.where(attended, positions, states.shape[1]).min(dim=1).values
    else:
        position = torch.where(attended, positions, -1).max(dim=1).values
    return states[torch.arange(len(states), device=states.device), position]


def load_known_encoder(encoder: KnownEncoder, trust_remote_code: bool = False, batch_size: int = 64) -> AnyEncoder:
    """Load a published encoder as its authors read it.

    Args:
        encoder: one of `known_encoders.KNOWN_ENCODERS`.
        trust_remote_code: whether code that the model brings may run.
        batch_size: barcodes in a batch.

    Raises:
        ConfigurationError: the model needs code of its own, which was not allowed.
        CheckpointError: it cannot be loaded.
    """
    encoder.check_remote_code(trust_remote_code)
    return AnyEncoder.from_pretrained(
        encoder.hub_id,
        encoder.pooling,
        encoder.layer,
        trust_remote_code=trust_remote_code,
        revision=encoder.revision,
        prepare=encoder.prepare,
        batch_size=batch_size,
    )
