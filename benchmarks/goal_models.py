"""The contenders that embed by a checkpoint: each model, and the letters of a tuned one alone. Part of `goals.py`."""

from collections.abc import Callable, Sequence
from typing import Any

from barcodemae.embedding import BarcodeEmbedder, LetterEmbedder
from barcodemae.hub.checkpoint import load_checkpoint
from barcodemae.provenance import without_folder

LETTERS = "{}, letters alone"


def embedders(models: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Name -> what loads an embedder: of each model, and of the letters of each that is tuned.

    Args:
        models: checkpoints.
    """
    found: dict[str, Callable[[], Any]] = {}
    for model in models:
        found[without_folder(model)] = lambda model=model: BarcodeEmbedder.from_pretrained(model)
    for model in models:
        if load_checkpoint(model).model.config.embedding_size:
            name = LETTERS.format(without_folder(model))
            found[name] = lambda model=model: LetterEmbedder.from_pretrained(model)
    return found
