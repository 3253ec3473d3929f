"""Fine-tuning: how accurately the encoder predicts genera and species once all of its weights are trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.embedding import batches_by_length
from barcodemae.evaluation.benchmark import answerable, labels, species_of_rows
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.metrics import METRICS_FILE
from barcodemae.training.pretrain import pretrain
from barcodemae.training.summary import TRAINING_FILE
from modeling_barcodemae import BarcodeMAEForSequenceClassification
from tokenization_barcodemae import encode_barcodes, place_barcodes

FINE_TUNED_RANKS = ("genus", "species")

_BATCH = 256

# The new head learns ten times as fast as the pretrained encoder, so that this is changed little.
_TRAINING = LoopArguments(
    epochs=5, batch_size=32, learning_rate=4e-4, head_learning_rate_factor=10, warmup_share=0.1, report_to="none"
)


def fine_tune(checkpoint: str, source: str, folder: Path, seed: int = 0, epochs: float = _TRAINING.epochs) -> Path:
    """Train the encoder and a linear head on the genera and species of the split `train`, in the common training loop.

    An interrupted run is resumed, a finished one reused.

    Args:
        checkpoint: folder or id on the Hub.
        source: barcodes with splits: a file or `hub:ORG/NAME`.
        folder: of the training run.
        seed: random seed of the training run.
        epochs: passes over `train`.

    Returns:
        The folder, which holds a checkpoint of `BarcodeMAEForSequenceClassification`.

    Raises:
        BarcodeMAEError: as from `pretrain`.
    """
    if (folder / TRAINING_FILE).exists():  # written when the checkpoint is complete
        return folder
    model = ModelArguments(objective="classification", init_from=checkpoint, ranks=list(FINE_TUNED_RANKS), dropout=0.1)
    data = DataArguments(data=[source], train_splits=["train"], unaligned_share=0.1)
    is_started = (folder / METRICS_FILE).exists()
    return pretrain(
        model, data, replace(_TRAINING, output_dir=str(folder), seed=seed, epochs=epochs, resume=is_started)
    )


def fine_tuning_scores(
    folder: Path, train: pa.Table, seen: pa.Table, unseen: pa.Table, seed: int = 0
) -> dict[str, Any]:
    """Species of the seen split and genus of the unseen one, as the fine-tuned model predicts them.

    Args:
        folder: of a run of `fine_tune`.
        train: records that it was trained on.
        seen: other records of species of `train`.
        unseen: records of species that are not in `train`.
        seed: random seed of the bootstrap.

    Returns:
        `n_train`, `n_answerable` and what `scores.accuracy_scores` gives for species, and under `unseen` the same for
        genus.
    """
    found = {
        rank: _scores(rank, classify(folder, queries["nucleotides"].to_pylist())[rank], train, queries, seed)
        for rank, queries in (("species", seen), ("genus", unseen))
    }
    return {"n_train": len(train), **found["species"], "unseen": found["genus"]}


@torch.inference_mode()
def classify(folder: Path, sequences: list[str]) -> dict[str, np.ndarray]:
    """Assign taxa to barcodes with a classifier of `fine_tune`.

    Args:
        folder: of its checkpoint.
        sequences: barcodes.

    Returns:
        Rank -> names `[n]`; "" for a barcode without a known token.
    """
    checkpoint = load_checkpoint(folder)
    model = BarcodeMAEForSequenceClassification.from_pretrained(folder).eval()
    config = model.config
    barcodes = place_barcodes(sequences, checkpoint.frame, checkpoint.encoder.k)
    encoding = encode_barcodes(checkpoint.encoder, barcodes, config.max_position_embeddings)
    taxa = np.array([config.id2label[i].partition(":")[2] for i in range(config.num_labels)])
    names = {rank: np.full(len(sequences), "", dtype=taxa.dtype) for rank in config.label_ranks}
    for rows, batch in batches_by_length(encoding, _BATCH):
        first = 0
        for (rank, count), scores in zip(
            config.label_ranks.items(), model(**batch).logits.split(list(config.label_ranks.values()), 1), strict=True
        ):
            names[rank][rows] = taxa[first + scores.argmax(1).numpy()]
            first += count
    return names


def _scores(rank: str, predicted: np.ndarray, train: pa.Table, queries: pa.Table, seed: int) -> dict[str, Any]:
    taxa = labels(queries, rank)
    rows = answerable(taxa, labels(train, rank))
    species = species_of_rows(queries)[rows]
    return {"n_answerable": int(rows.sum()), **accuracy_scores(rank, predicted[rows], taxa[rows], species, seed)}
