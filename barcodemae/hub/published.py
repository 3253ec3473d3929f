"""Published checkpoints into ours."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import torch

from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.data import sample_path
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import clear_abandoned, written_atomically
from barcodemae.hub.published_layouts import BY_SHAPES, BY_WORD, PublishedModel, read_published
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import build_kmer_tokenizer

_PARITY_BARCODES = 16
_TOLERANCE = 1e-5


def convert_published(file: Path, folder: Path) -> tuple[PublishedModel, float]:
    """Write a checkpoint of ours from a published one, and make sure that both give the same embeddings.

    The vocabulary becomes `[MASK]` 0, `[UNK]` 1, k-mers from 2, with one more row, of zeros, for `[PAD]` at the end.
    There is no reference frame, since these models were trained without.

    Args:
        file: as published. It is read as data: nothing in it can run.
        folder: must not exist, or be empty.

    Returns:
        What was read, and the largest difference between embeddings of real barcodes by plain `BertModel` with the
        file's own weights and ids, and by the written checkpoint.

    Raises:
        UnreadableFileError: the file is missing or broken, or holds more than tensors, plain values and a Namespace.
        CheckpointError: it is none of the known layouts, or embeddings differ; no folder is written then.
        ConfigurationError: the folder is there and not empty.
    """
    clear_abandoned(folder.parent)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: expected a folder that does not exist yet, or an empty one")
    published = read_published(file)
    place = folder.resolve()
    with written_atomically(place.parent) as scratch:
        written = scratch / place.name
        model = _to_ours(published)
        tokenizer = build_kmer_tokenizer(published.k, published.with_n, model.config.max_position_embeddings)
        save_checkpoint(written, model, None, tokenizer)
        difference = _largest_difference(published, written)
        if not difference <= _TOLERANCE:  # NaN is no parity either
            raise CheckpointError(
                f"{file}: expected the same embeddings from the converted checkpoint as from the file's own weights, "
                f"but they differ by {difference:.1e}"
            )
        if place.exists():
            place.rmdir()  # it is empty, and makes room for the whole
    return published, difference


def _to_ours(published: PublishedModel) -> BarcodeMAEModel:
    settings = published.bert.config.to_dict()
    kept = {name: settings[name] for name in BY_SHAPES + BY_WORD}
    state = published.bert.state_dict()
    words = state["embeddings.word_embeddings.weight"]
    unknown = published.first_kmer - 1
    words = torch.cat([words[:1], words[unknown:], torch.zeros_like(words[:1])])
    model = BarcodeMAEModel(BarcodeMAEConfig(k=published.k, vocab_size=len(words), attends_unknown=True, **kept))
    model.load_state_dict(state | {"embeddings.word_embeddings.weight": words})
    return model


@torch.inference_mode()
def _largest_difference(published: PublishedModel, folder: Path) -> float:
    checkpoint = load_checkpoint(folder)
    max_tokens = checkpoint.model.config.max_position_embeddings
    k, first = published.k, published.first_kmer
    their_kmers = list(map("".join, itertools.product("ACGT", repeat=k)))
    if published.with_n:
        their_kmers += [kmer for kmer in map("".join, itertools.product("ACGTN", repeat=k)) if "N" in kmer]
    their_ids = {kmer: i for i, kmer in enumerate(their_kmers, first)}
    differences = []
    for barcode in _some_barcodes():
        kmers = [barcode[i : i + k] for i in range(0, len(barcode) - k + 1, k)][:max_tokens]
        input_ids = torch.tensor([[their_ids.get(kmer, first - 1) for kmer in kmers]])
        expected = published.bert(input_ids=input_ids).last_hidden_state.mean(1)
        arrays = checkpoint.encoder([barcode], max_length=max_tokens)
        embedding = checkpoint.model(**{name: torch.from_numpy(array) for name, array in arrays.items()}).pooler_output
        differences.append((embedding - expected).abs().max())
    return float(torch.stack(differences).max())


def _some_barcodes() -> list[str]:
    nucleotides = pq.read_table(sample_path(), columns=["nucleotides"])["nucleotides"].to_pylist()
    return nucleotides[:: len(nucleotides) // _PARITY_BARCODES][:_PARITY_BARCODES]
