"""Conversion of published checkpoints."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import torch

from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.data import sample_path
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import clear_abandoned, written_atomically
from barcodemae.hub.published_layouts import (
    CLS_ID,
    SETTINGS_IN_CONFIG,
    SETTINGS_IN_SHAPES,
    PublishedModel,
    read_published,
)
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import build_kmer_tokenizer

README_FILE = "README.md"

_PARITY_BARCODES = 16
_TOLERANCE = 1e-5


def convert_published(file: Path, folder: Path) -> tuple[PublishedModel, float]:
    """Convert a published checkpoint, and check that both give the same embeddings.

    The vocabulary becomes `[MASK]` 0, `[UNK]` 1, k-mers from 2, and `[PAD]` with a row of zeros at the end. There is no
    reference frame, since these models were trained without one. The published pooling is that of the new checkpoint,
    and a file `README.md` in the folder says which one it is. Here, `[CLS]` takes no position from the k-mers.

    Args:
        file: the published file. It is read as data: no code in it is run.
        folder: a new or empty folder.

    Returns:
        The published model, and the maximum difference between embeddings of real barcodes by a plain `BertModel` with
        the original weights, ids and positions, and by the new checkpoint.

    Raises:
        UnreadableFileError: the file is missing or broken, or contains more than tensors, plain values and a Namespace.
        CheckpointError: the file has an unknown layout, or the embeddings differ; no folder is written then.
        ConfigurationError: the folder is not empty.
    """
    clear_abandoned(folder.parent)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: expected a new or an empty folder")
    published = read_published(file)
    target = folder.resolve()
    with written_atomically(target.parent) as scratch:
        written = scratch / target.name
        model = _convert_model(published)
        tokenizer = build_kmer_tokenizer(published.k, published.with_n, model.config.max_position_embeddings)
        save_checkpoint(written, model, None, tokenizer)
        difference = _largest_difference(published, written)
        if not difference <= _TOLERANCE:  # true for NaN
            raise CheckpointError(
                f"{file}: expected the converted checkpoint to give the same embeddings as the original, but they "
                f"differ by {difference:.1e}"
            )
        (written / README_FILE).write_text(_readme(file, published), encoding="utf-8")
        if target.exists():
            target.rmdir()  # it is empty, and the new folder is moved to its path
    return published, difference


def describe_pooling(published: PublishedModel) -> str:
    """One sentence on the published embedding, which is that of the converted checkpoint."""
    pooled = {"mean": "the mean over the k-mers", "cls": "the output at a [CLS] token"}[published.pooling]
    return f"The published embedding is {pooled}, as that of this checkpoint."


def _readme(file: Path, published: PublishedModel) -> str:
    origin = f"Converted by `barcodemae convert` from `{file.name}` (layout {published.layout})."
    return f"# Converted checkpoint\n\n{origin}\n\n{describe_pooling(published)}\n"


def _convert_model(published: PublishedModel) -> BarcodeMAEModel:
    settings = published.bert.config.to_dict()
    shared = {name: settings[name] for name in SETTINGS_IN_SHAPES + SETTINGS_IN_CONFIG}
    state = published.bert.state_dict()
    words = state["embeddings.word_embeddings.weight"]
    special = words[[0, published.unknown]]
    words = torch.cat([special, words[published.first_kmer :], torch.zeros_like(words[:1])])
    positions = state["embeddings.position_embeddings.weight"]
    kmer_positions = positions[published.first_position :]
    shared |= {"max_position_embeddings": len(kmer_positions), "pooling": published.pooling}
    model = BarcodeMAEModel(BarcodeMAEConfig(k=published.k, vocab_size=len(words), attends_unknown=True, **shared))
    changed = {"embeddings.word_embeddings.weight": words, "embeddings.position_embeddings.weight": kmer_positions}
    if published.pooling == "cls":
        # Theirs is at position 0 with token type 0; ours is at that of the first k-mer, with token type 1.
        types = state["embeddings.token_type_embeddings.weight"]
        cls = (
            state["embeddings.word_embeddings.weight"][CLS_ID] + positions[0] + types[0] - kmer_positions[0] - types[1]
        )
        changed["cls_embedding.weight"] = cls[None]
    model.load_state_dict(state | changed)
    return model


@torch.inference_mode()
def _largest_difference(published: PublishedModel, folder: Path) -> float:
    checkpoint = load_checkpoint(folder)
    max_tokens = checkpoint.model.config.max_position_embeddings
    k, first = published.k, published.first_kmer
    vocabulary = list(map("".join, itertools.product("ACGT", repeat=k)))
    if published.with_n:
        vocabulary += [kmer for kmer in map("".join, itertools.product("ACGTN", repeat=k)) if "N" in kmer]
    ids = {kmer: i for i, kmer in enumerate(vocabulary, first)}
    differences = []
    for barcode in _example_barcodes():
        kmers = [barcode[i : i + k] for i in range(0, len(barcode) - k + 1, k)][:max_tokens]
        input_ids = torch.tensor([[ids.get(kmer, published.unknown) for kmer in kmers]])
        if published.pooling == "cls":
            input_ids = torch.nn.functional.pad(input_ids, (1, 0), value=CLS_ID)
        hidden = published.bert(input_ids=input_ids).last_hidden_state
        expected = hidden[:, 0] if published.pooling == "cls" else hidden.mean(1)
        arrays = checkpoint.encoder([barcode], max_length=max_tokens)
        embedding = checkpoint.model(**{name: torch.from_numpy(array) for name, array in arrays.items()}).pooler_output
        differences.append((embedding - expected).abs().max())
    return float(torch.stack(differences).max())


def _example_barcodes() -> list[str]:
    nucleotides = pq.read_table(sample_path(), columns=["nucleotides"])["nucleotides"].to_pylist()
    return nucleotides[:: len(nucleotides) // _PARITY_BARCODES][:_PARITY_BARCODES]
