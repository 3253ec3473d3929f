"""The handler of a BarcodeMAE repository for Hugging Face Inference Endpoints.

This file is at the root of the repository, next to the package `tokenization_barcodemae`, and needs nothing else of
BarcodeMAE. A request is JSON:

    {"inputs": "AACATTATATTTT...", "parameters": {"normalize": true}}

`inputs` is one sequence, a list of them, or FASTA as one text. `parameters` may hold

- `task`: "embed" (the default) or "fill-mask";
- `use_frame`: false reads sequences from their first nucleotide instead of placing them on the reference frame;
- `normalize`, for "embed": true scales each embedding to length 1;
- `top_k`, for "fill-mask": number of predictions for each gap (5).

Bad input raises `ValueError`; the toolkit that runs handlers then responds with status 400 and {"error": message}.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

# The toolkit has this folder on the path already; other servers may not. The file is also a module of a package, whose
# folder must not be on the path.
_FOLDER = Path(__file__).parent
if (_FOLDER / "tokenization_barcodemae").is_dir():
    sys.path.insert(0, str(_FOLDER))

from tokenization_barcodemae import (  # noqa: E402
    PlacedBarcodes,
    Placement,
    ReferenceFrame,
    encode_barcodes,
    encoder_for,
    original_positions,
    place_barcodes,
)
from tokenization_barcodemae.sequences import NORMALIZATION  # noqa: E402

MAX_SEQUENCES = 1024
MAX_LENGTH = 10_000
MAX_TOTAL_LENGTH = 1_000_000
MAX_TOP_K = 100
MAX_PREDICTIONS = 100_000

_BATCH = 32
_MASK = "[MASK]"
# All but DNA and RNA, IUPAC's codes of ambiguous bases, gaps and white space.
_NOT_DNA = re.compile(r"[^ACGTURYSWKMBDHVN.\-\s]", re.IGNORECASE)
_DEFAULTS: dict[str, dict[str, Any]] = {
    "embed": {"use_frame": True, "normalize": False},
    "fill-mask": {"use_frame": True, "top_k": 5},
}


class EndpointHandler:
    """Loads a repository once, and serves requests.

    Args:
        path: folder of the repository; by default the folder of this file.

    Raises:
        ValueError: weights of the encoder are missing, or `config.json` refers to code of another repository.
    """

    def __init__(self, path: str = ""):
        folder = Path(path) if path else _FOLDER
        # The owner of an endpoint chose to run the model code of this repository, and of no other. The tokenizer needs
        # no code.
        auto_map = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map", {})
        for code in auto_map.values():
            if "--" in code:
                raise ValueError(f"{folder}: expected model code of this repository in auto_map, got {code}")
        model, loading = AutoModelForMaskedLM.from_pretrained(
            folder, trust_remote_code=True, dtype=torch.float32, output_loading_info=True
        )
        missing = sorted(loading["missing_keys"])
        self.has_decoder = not missing and model.predicts_kmers
        if not all(name.startswith(("decoder.", "pooled_decoder.")) for name in missing):
            raise ValueError(f"{folder}: expected all weights of the encoder, but {missing[0]} is missing")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.to(self.device).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.encoder = encoder_for(self.tokenizer)
        frame_file = folder / "reference_frame.safetensors"
        self.frame = ReferenceFrame.load(frame_file) if frame_file.is_file() else None
        if self.frame is None and (model.config.reference_frame or model.config.frame_slots):
            raise ValueError(f"{folder}: expected {frame_file.name}, which the model was trained with, found none")

    def __call__(self, data: dict[str, Any]) -> list[Any]:
        """Process a request.

        Args:
            data: the request, as at the top of this file.

        Returns:
            For "embed" one embedding per sequence, a list of numbers, in the order of the sequences; for FASTA
            {"id": ..., "embedding": ...} of each record.

            For "fill-mask" {"id": ..., "strand": 1 or -1, "gaps": [...]} of each sequence; the id is the number of the
            sequence if the input is not FASTA. A gap is {"start": ..., "guesses": [{"kmer": ..., "score": ...}, ...]}:
            the start of a k-mer with an unknown base (from 0, without gaps and white space, on that strand), and the
            most probable k-mers, best first. `[MASK]` in a sequence stands for k unknown bases.

        Raises:
            ValueError: the request is malformed or too large, or its sequences are not DNA.
        """
        if not isinstance(data, dict) or "inputs" not in data:
            raise ValueError('expected a request {"inputs": ..., "parameters": {...}}, got no "inputs"')
        parameters = _read_parameters(data.get("parameters"))
        names, sequences = _read_inputs(data["inputs"])
        frame = self.frame if parameters["use_frame"] else None
        if parameters["task"] == "fill-mask":
            sequences = [sequence.replace(_MASK, "N" * self.encoder.k) for sequence in sequences]
            _check(names, sequences)
            return self._fill(names, sequences, frame, parameters["top_k"])
        _check(names, sequences)
        embeddings = self._embed(names, sequences, frame)
        if parameters["normalize"]:
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not _is_fasta(data["inputs"]):
            return embeddings.tolist()
        return [{"id": name, "embedding": row} for name, row in zip(names, embeddings.tolist(), strict=True)]

    @torch.inference_mode()
    def _embed(self, names: list[str], sequences: list[str], frame: ReferenceFrame | None) -> np.ndarray:
        config = self.model.config
        barcodes = place_barcodes(sequences, frame, self.encoder.k)
        encoding = encode_barcodes(
            self.encoder, barcodes, config.max_position_embeddings, keep_unknown=config.attends_unknown
        )
        lengths = encoding["attention_mask"].sum(1)
        if (lengths == 0).any():
            raise ValueError(
                f"sequence {names[int(lengths.argmin())]}: expected a known {self.encoder.k}-mer, got none"
            )
        embeddings = np.empty((len(sequences), config.pooled_size), np.float32)
        # Batches of sequences of similar length need little padding.
        order = np.argsort(lengths, kind="stable")
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            batch = {name: self._tensor(values[rows, : lengths[rows[-1]]]) for name, values in encoding.items()}
            embeddings[rows] = self.model.bert(**batch).pooler_output.cpu().numpy()
        return embeddings

    def _fill(
        self, names: list[str], sequences: list[str], frame: ReferenceFrame | None, top_k: int
    ) -> list[dict[str, Any]]:
        if not self.has_decoder:
            raise ValueError("fill-mask: expected a model with a decoder, got an encoder only")
        k = self.encoder.k
        placement = Placement.in_one_piece(np.zeros(len(names), np.int64)) if frame is None else frame.place(sequences)
        barcodes = place_barcodes(sequences, frame, k, placement)
        results: list[dict[str, Any]] = []
        num_predictions = 0
        # One sequence at a time: the scores of all k-mers for all tokens of a sequence need much memory.
        for row, name in enumerate(names):
            barcode = barcodes.take(np.array([row]))
            encoding = self._encode_with_gaps(barcode)
            gaps = np.flatnonzero(encoding["input_ids"][0] == self.encoder.unk_token_id)
            if len(gaps) == encoding["attention_mask"].sum():
                raise ValueError(f"sequence {name}: expected a known {k}-mer, got none")
            if self.model.decoder is None and self.frame is not None and not barcode.is_placed[0]:
                raise ValueError(f"sequence {name}: expected a sequence on the reference frame, to predict its bases")
            num_predictions += len(gaps) * top_k
            if num_predictions > MAX_PREDICTIONS:
                raise ValueError(f"expected at most {MAX_PREDICTIONS} predictions (gaps times top_k), got more")
            starts = (gaps * k - barcode.starts[0]).tolist()
            if placement.unplaced[row]:
                positions = original_positions(len(sequences[row].translate(NORMALIZATION)), placement.unplaced[row])
                starts = positions[starts].tolist()
            guesses = self._predict(encoding, gaps, top_k)
            results.append(
                {
                    "id": name,
                    "strand": int(placement.strand[row]) if barcode.is_placed[0] else 1,
                    "gaps": [{"start": start, "guesses": best} for start, best in zip(starts, guesses, strict=True)],
                }
            )
        return results

    def _encode_with_gaps(self, barcode: PlacedBarcodes) -> dict[str, np.ndarray]:
        """Encode one barcode so that its unknown k-mers are attended, but the slots that it lacks are not."""
        on_frame = barcode.is_placed[0]
        encoding = self.encoder(
            barcode.nucleotides,
            starts=barcode.starts if on_frame else None,
            max_length=barcode.num_slots if on_frame else self.model.config.max_position_embeddings,
        )
        attended = encoding["input_ids"] != self.encoder.pad_token_id
        return encoding | {"attention_mask": attended.astype(np.int64)}

    @torch.inference_mode()
    def _predict(self, encoding: dict[str, np.ndarray], gaps: np.ndarray, top_k: int) -> list[list[dict[str, Any]]]:
        if len(gaps) == 0:
            return []
        logits = self.model(**{name: self._tensor(values) for name, values in encoding.items()}).logits[0, gaps]
        scores, ids = logits.softmax(-1).topk(min(top_k, 4**self.encoder.k))
        return [
            [{"kmer": kmer, "score": score} for kmer, score in zip(*row, strict=True)]
            for row in zip(map(self.tokenizer.convert_ids_to_tokens, ids.tolist()), scores.tolist(), strict=True)
        ]

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


def _read_parameters(given: Any) -> dict[str, Any]:
    """All parameters of the task, checked, with defaults for those not given."""
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError(f"parameters: expected an object, got {type(given).__name__}")
    task = given.get("task", "embed")
    if task not in tuple(_DEFAULTS):  # it may be of any type
        raise ValueError(f"task: expected one of {', '.join(_DEFAULTS)}, got {task!r}")
    parameters = {"task": task} | _DEFAULTS[task]
    for name, value in given.items():
        if name not in parameters:
            raise ValueError(f"parameters of {task}: expected {', '.join(parameters)}, got {name!r}")
        if type(value) is not type(parameters[name]):
            raise ValueError(f"{name}: expected a value like {parameters[name]!r}, got {value!r}")
    parameters |= given
    if not 1 <= parameters.get("top_k", 1) <= MAX_TOP_K:
        raise ValueError(f"top_k: expected 1 to {MAX_TOP_K}, got {parameters['top_k']}")
    return parameters


def _read_inputs(inputs: Any) -> tuple[list[str], list[str]]:
    """Names and sequences; the names of sequences that have none are their numbers."""
    if _is_fasta(inputs):
        return _read_fasta(inputs)
    sequences = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(sequences, list):
        raise ValueError(f"inputs: expected a sequence, a list of them, or FASTA, got {type(inputs).__name__}")
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise ValueError(f"sequence {number}: expected text, got {type(sequence).__name__}")
    return [str(number) for number in range(len(sequences))], sequences


def _is_fasta(inputs: Any) -> bool:
    return isinstance(inputs, str) and inputs.lstrip().startswith(">")


def _read_fasta(text: str) -> tuple[list[str], list[str]]:
    names: list[str] = []
    pieces: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith(">"):
            if pieces:  # only white space precedes the first record
                pieces[-1].append(line)
        elif words := line[1:].split():
            names.append(words[0])
            pieces.append([])
        else:
            raise ValueError(f"line {number}: expected an id after >, got none")
    return names, ["".join(lines) for lines in pieces]


def _check(names: list[str], sequences: list[str]) -> None:
    """Refuse requests that are too large, and sequences that are not DNA."""
    if not 1 <= len(sequences) <= MAX_SEQUENCES:
        raise ValueError(f"expected 1 to {MAX_SEQUENCES} sequences, got {len(sequences)}")
    for name, sequence in zip(names, sequences, strict=True):
        if len(sequence) > MAX_LENGTH:
            raise ValueError(f"sequence {name}: expected at most {MAX_LENGTH} bases, got {len(sequence)}")
        if not sequence.strip():
            raise ValueError(f"sequence {name}: expected DNA, got an empty sequence")
        if found := _NOT_DNA.search(sequence):
            raise ValueError(f"sequence {name}: expected DNA, got {found[0]!r}")
    if (total := sum(map(len, sequences))) > MAX_TOTAL_LENGTH:
        raise ValueError(f"expected at most {MAX_TOTAL_LENGTH} bases in total, got {total}")
