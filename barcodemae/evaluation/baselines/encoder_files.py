"""Encoders of other authors, loaded from a folder or the Hub, completely or not at all."""

import hashlib
import json
from textwrap import shorten
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from barcodemae.errors import CheckpointError, ConfigurationError

# Heads on top of the last hidden states, which are not read here; checkpoints of other tasks lack them.
_NOT_READ = ("pooler", "contact_head")

_CALL_OPTIONS = ("truncation", "padding")


def load_encoder(name: str, trust_remote_code: bool = False, revision: str | None = None) -> PreTrainedModel:
    """Any `AutoModel`, in float32 and evaluation mode; of an encoder-decoder model the encoder.

    Args:
        name: a folder, or an id on the Hub.
        trust_remote_code: whether code that the model brings may run.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ConfigurationError: the model needs code of its own, which was not allowed.
        CheckpointError: it cannot be loaded, or some of its weights are missing: a model that calls itself BERT but
            brings its own layers would be loaded as plain BERT with random weights.
    """
    try:
        loaded: Any = AutoModel.from_pretrained(
            name,
            trust_remote_code=trust_remote_code,
            revision=revision,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # what libraries raise over a broken folder has no common class
        raise _refusal(name, "model", error, trust_remote_code) from error
    model, loading = loaded
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    needed = {key for key in map(str, loading["missing_keys"]) if not any(part in key for part in _NOT_READ)}
    if model is not encoder:
        needed = {key for key in needed if not key.startswith("decoder.")}
    if needed:
        raise CheckpointError(
            f"{name}: expected all weights of {type(model).__name__}, but {len(needed)} are missing, such as "
            f"{min(needed)}; a model that brings code of its own has to be allowed to run it (trust_remote_code)"
        )
    return encoder.eval()


def load_tokenizer(name: str, trust_remote_code: bool = False, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Any `AutoTokenizer`.

    Args:
        name: a folder, or an id on the Hub.
        trust_remote_code: whether code that the tokenizer brings may run.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ConfigurationError: the tokenizer needs code of its own, which was not allowed.
        CheckpointError: there is none, or it cannot be loaded.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, revision=revision)
    except Exception as error:
        raise _refusal(name, "tokenizer", error, trust_remote_code) from error
    # Of some families, a folder without a tokenizer's files gives an empty tokenizer, without an error.
    tokens = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if not any(set(token.upper()) & set("ACGTU") for token in tokens):
        raise CheckpointError(f"{name}: expected a tokenizer, found none with a DNA base in its vocabulary")
    return tokenizer


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that both can take, special ones included; a number larger than any barcode where neither has a limit."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # Where there is a padding row, the first token has the row after it.
            limits.append(module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1))
    return min(limit for limit in limits if limit)


def model_sha256(model: PreTrainedModel) -> str:
    """Hexadecimal SHA-256 of the names, shapes and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hexadecimal SHA-256 of what a tokenizer does, or of its vocabulary where it does it in Python."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        content = tokenizer.get_vocab()
    else:
        # The options of the latest call are left out.
        content = {part: value for part, value in json.loads(fast.to_str()).items() if part not in _CALL_OPTIONS}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refusal(name: str, what: str, error: Exception, trust_remote_code: bool) -> ConfigurationError | CheckpointError:
    if "trust_remote_code" in str(error) and not trust_remote_code:
        return ConfigurationError(
            f"{name}: this {what} needs code of its own to run: read it, then allow it (trust_remote_code)"
        )
    return CheckpointError(f"{name}: no {what} could be loaded: {shorten(str(error), 300)}")
