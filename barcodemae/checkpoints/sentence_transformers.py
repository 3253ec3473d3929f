"""The files by which sentence-transformers and text-embeddings-inference know how a checkpoint pools its tokens.

They are written as sentence-transformers 2 wrote them, which all its later versions and text-embeddings-inference read.
"""

import json
from pathlib import Path
from typing import Any

_POOLING_FOLDER = "1_Pooling"


def write_sentence_transformers_files(folder: Path, width: int, max_tokens: int) -> None:
    """Write `modules.json` and its companions: the encoder, then the mean over attended tokens.

    Args:
        folder: of the checkpoint.
        width: of an embedding.
        max_tokens: most that the model reads.
    """
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": _POOLING_FOLDER, "type": "sentence_transformers.models.Pooling"},
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    pooling |= dict.fromkeys(
        ("pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"), False
    )
    (folder / _POOLING_FOLDER).mkdir()
    _write(folder / _POOLING_FOLDER / "config.json", pooling)


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")
