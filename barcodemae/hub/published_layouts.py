"""Reader of the checkpoints of BarcodeMAE (arXiv 2502.18405), BarcodeMAE+ and BarcodeBERT (arXiv 2311.02401).

They are pickles of `torch.save`, read as data, in one of these layouts:

- `maelm` (BarcodeMAE): a dict of `model`, the encoder with the names of `BertModel`, `bert_config`, and `config`, the
  `argparse.Namespace` of the run; or the same of a complete run, with the encoder's names after `encoder.` and those
  of the decoder beside them;
- `transformer` (BarcodeBERT, and BarcodeMAE's baseline): the same, with the names of `BertForTokenClassification`;
- `workshop` (the first of BarcodeBERT): only the state dict of a `BertForMaskedLM` with default settings, and with a
  vocabulary of its own (`<MASK>` 0, `<CLS>` 1, `<UNK>` 2, k-mers from 3).

BarcodeMAE+ (github.com/bioscan-ml/BarcodeMAE-plus; its `io.py` and `datasets.py` are in the repository of BarcodeMAE)
has the first two layouts. With `use_cls_token` in `config`, its vocabulary is `[MASK]` 0, `[UNK]` 1, `[CLS]` 2, k-mers
from 3; `[CLS]` precedes the k-mers, at position 0, and its output is the published embedding.
"""

import argparse
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from barcodemae.errors import CheckpointError, UnreadableFileError
from tokenization_barcodemae.dna_tokenizers import MAX_K, MAX_K_WITH_N

SETTINGS_IN_SHAPES = (
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
"""Settings of `BertConfig` that follow from the shapes of the weights."""
SETTINGS_IN_CONFIG = (
    "num_attention_heads",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)
"""Settings that are read from `bert_config`. The others there do not matter for the encoder."""
CLS_ID = 2
"""Id of `[CLS]` in files whose published embedding is the output at that token."""
_EXTRA_TOKENS = ("jumbo", "n_registers")
"""Options of the public code with which the encoder is not a plain BERT; no published configuration has them."""
_OTHER_STATES = ("optimizer", "scheduler", "scaler", "cls_taxonomy_classifier")
_ENCODER_SETTINGS = {"is_decoder": False, "position_embedding_type": "absolute"}


@dataclass(frozen=True)
class PublishedModel:
    """Content of a published file.

    Attributes:
        layout: "maelm", "transformer" or "workshop".
        k: nucleotides in a token.
        bert: the encoder, in evaluation mode, with the file's own vocabulary.
        unknown: id of the unknown k-mer; the mask has 0.
        first_kmer: id of the first k-mer.
        pooling: what the published embedding is: "mean", over the tokens, or "cls", the output at a `[CLS]` token,
            which precedes the k-mers, so that their positions are counted from 1.
        with_n: k-mers that contain `N` have ids of their own, after the plain ones.
        left_out: names of the parts of the file that are not of the encoder.
    """

    layout: str
    k: int
    bert: BertModel
    unknown: int
    first_kmer: int
    pooling: str
    with_n: bool
    left_out: list[str]

    @property
    def first_position(self) -> int:
        """Position of the first k-mer."""
        return int(self.pooling == "cls")


def read_published(file: Path) -> PublishedModel:
    """Read a published checkpoint.

    Raises:
        UnreadableFileError: the file is missing or broken, or contains more than tensors, plain values and a Namespace.
        CheckpointError: the layout is unknown.
    """
    content = _load_data(file)
    try:
        if not isinstance(content, dict):
            raise _LayoutError(f"expected a dict, got {type(content).__name__}")
        return _read_run(content) if "model" in content else _read_workshop(content)
    except _LayoutError as error:
        raise CheckpointError(
            f"{file}: expected a checkpoint of BarcodeMAE, BarcodeMAE+ or BarcodeBERT: {error}"
        ) from error


class _LayoutError(Exception):
    """A problem of the content of a file, raised without the name of the file."""


def _load_data(file: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnreadableFileError(file, error.strerror or str(error)) from error
    except pickle.UnpicklingError as error:
        # Without torch's message, which recommends to load the file without this check.
        culprit = re.search(r"GLOBAL (\S+)", str(error))
        raise UnreadableFileError(
            file,
            "expected a file of torch.save that contains only tensors, plain values and argparse.Namespace; got "
            f"{culprit[1] if culprit else 'something else'}, and no code in it was run",
        ) from error
    except Exception as error:  # the errors of torch for broken files have no common class
        problem = shorten(f"{type(error).__name__}: {error}", 200)
        raise UnreadableFileError(
            file, f"expected a file of torch.save, but it can't be read as one ({problem})"
        ) from error


def _read_run(content: dict[str, Any]) -> PublishedModel:
    for key, kind in (("model", dict), ("bert_config", dict), ("config", argparse.Namespace)):
        if not isinstance(content.get(key), kind):
            raise _LayoutError(f"expected a {kind.__name__} as {key!r}, got {type(content.get(key)).__name__}")
    run, settings = vars(content["config"]), content["bert_config"]
    layout = _plain(run, "arch", "transformer")  # the only one of BarcodeBERT
    if layout not in ("maelm", "transformer"):
        raise _LayoutError(f"expected arch 'maelm' or 'transformer', got {layout!r}")
    for name in _EXTRA_TOKENS:
        if got := _plain(run, name, None):
            raise _LayoutError(f"expected a model without further learned tokens, got {name} = {got!r}")
    has_cls, with_n = (bool(_plain(run, name, False)) for name in ("use_cls_token", "tokenize_n_nucleotide"))
    k = _kmer_size(run, MAX_K_WITH_N if with_n else MAX_K)
    for name, expected in _ENCODER_SETTINGS.items():
        if (got := _plain(settings, name, expected)) != expected:
            raise _LayoutError(f"expected an encoder with {name} = {expected!r}, got {got!r}")

    weights, left_out = _encoder_weights(content["model"])
    shapes = _dimensions(weights)
    first_kmer = 3 if has_cls else 2
    for name, value in shapes.items():
        if (got := _plain(settings, name, value)) != value:
            raise _LayoutError(f"expected {name} = {value}, as in the weights, got {got!r} in bert_config")
    vocab_size = (5 if with_n else 4) ** k + first_kmer
    if shapes["vocab_size"] != vocab_size:
        raise _LayoutError(f"expected a vocabulary of {vocab_size} for k = {k}, got {shapes['vocab_size']}")
    left_out += [name for name in _OTHER_STATES if name in content]
    others = {name: _plain(settings, name, None) for name in SETTINGS_IN_CONFIG if name in settings}
    pooling = "cls" if has_cls else "mean"
    bert = _build_bert(shapes | others, weights)
    return PublishedModel(layout, k, bert, 1, first_kmer, pooling, with_n, left_out)


def _read_workshop(content: dict[str, Any]) -> PublishedModel:
    weights, left_out = _encoder_weights(content)
    shapes = _dimensions(weights)
    sizes = [k for k in range(1, MAX_K + 1) if 4**k + 3 == shapes["vocab_size"]]
    if not sizes:
        raise _LayoutError(f"expected a vocabulary of 4^k + 3 tokens, got {shapes['vocab_size']}")
    # The number of heads, which does not follow from the shapes, is the default of BertConfig, as are other settings.
    bert = _build_bert(shapes, weights)
    return PublishedModel("workshop", sizes[0], bert, 2, 3, "mean", False, ["<CLS>", *left_out])


def _kmer_size(run: dict[str, Any], max_k: int) -> int:
    tokenizer, k = _plain(run, "tokenizer", "kmer"), _plain(run, "k_mer", None)
    if tokenizer != "kmer":
        raise _LayoutError(f"expected k-mers as tokens, got the tokenizer {tokenizer!r}")
    if not isinstance(k, int) or not 1 <= k <= max_k:
        raise _LayoutError(f"expected k_mer from 1 to {max_k}, got {k!r}")
    stride = _plain(run, "stride", None)
    if stride not in (None, k):
        raise _LayoutError(f"expected k-mers that do not overlap, got k = {k} with a stride of {stride!r}")
    if not _plain(run, "use_unk_token", True):
        raise _LayoutError("expected a token for unknown k-mers, got a vocabulary without one")
    return k


def _plain(values: dict[str, Any], name: str, default: Any) -> Any:
    value = values.get(name, default)
    if not isinstance(value, (str, int, float, type(None))):
        raise _LayoutError(f"expected a plain value as {name}, got {type(value).__name__}")
    return value


def _encoder_weights(state: dict[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The encoder's weights with the names of `BertModel`, and the names of the other parts."""
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _LayoutError(f"expected a tensor for each name, got {type(value).__name__} for {name!r}")
    named = {name.removeprefix("module."): value for name, value in state.items()}
    left_out = set()
    for prefix, first in (("bert.", "bert."), ("encoder.", "encoder.embeddings.")):
        if any(name.startswith(first) for name in named):
            left_out = {name.partition(".")[0] for name in named if not name.startswith(prefix)}
            named = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    if any(name.startswith("pooler.") for name in named):
        left_out.add("pooler")
    weights = {name: value for name, value in named.items() if not name.startswith("pooler.")}
    weights.pop("embeddings.position_ids", None)  # a buffer of older versions of transformers, 0 to n - 1
    return weights, sorted(left_out)


def _dimensions(weights: dict[str, Tensor]) -> dict[str, int]:
    """The settings of `BertConfig` that follow from the shapes."""

    def shape(name: str) -> tuple[int, int]:
        if name not in weights or weights[name].ndim != 2:
            raise _LayoutError(f"expected a matrix {name} among the weights, found none")
        rows, columns = weights[name].shape
        return rows, columns

    vocab_size, hidden_size = shape("embeddings.word_embeddings.weight")
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": len(layers),
        "intermediate_size": shape("encoder.layer.0.intermediate.dense.weight")[0],
        "max_position_embeddings": shape("embeddings.position_embeddings.weight")[0],
        "type_vocab_size": shape("embeddings.token_type_embeddings.weight")[0],
    }


def _build_bert(settings: dict[str, Any], weights: dict[str, Tensor]) -> BertModel:
    try:
        bert = BertModel(BertConfig(**settings), add_pooling_layer=False)
        bert.load_state_dict(weights)
    except Exception as error:  # wrong settings, missing weights and wrong shapes have no common class
        raise _LayoutError(shorten(str(error), 300)) from error
    if bert.config.num_attention_heads < 1:
        raise _LayoutError(f"expected attention heads, got {bert.config.num_attention_heads}")
    return bert.eval()
