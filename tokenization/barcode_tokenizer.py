"""The tokenizers in the class that `transformers` hands out, which places barcodes on the marker's reference frame.

Every checkpoint carries a copy of this file and of those that it imports. `AutoTokenizer` gives this class where it is
trusted, and a plain fast tokenizer, which reads every sequence from its first nucleotide, where it is not.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer, models
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.utils.versions import require_version

from .dna_tokenizer import MASK_TOKEN, PAD_TOKEN, UNK_TOKEN
from .reference_frame import ReferenceFrame
from .sequences import NORMALIZATION
from .strands import reverse_complement

# This class overrides methods that older versions do not have.
require_version("transformers>=5.5")

FRAME_FILE = "reference_frame.safetensors"
"""Beside `tokenizer.json`: the marker's reference frame."""

# In `tokenizer_config.json`, the class for whoever does not trust this code. One that they save goes by its new name,
# and tells in this way that it read all sequences from their first nucleotide: it goes on to do so.
_PLAIN_CLASS = "PreTrainedTokenizerFast"
# Stands for a masked nucleotide while a sequence is placed and turned: no text has this character.
_MASKED = "\ue000"


class _Reading(NamedTuple):
    """How a sequence is read.

    Attributes:
        text: what the backend cuts into tokens.
        first_slot: position of its first token.
        spans: begin and end of each token among the nucleotides of `text`'s strand; None where the n-th is simply the
            n-th stretch of k from `begin` on.
        begin: where reading begins on that strand.
        is_reverse: whether that strand is the other one than that of the given sequence.
    """

    text: str
    first_slot: int = 0
    spans: list[tuple[int, int]] | None = None
    begin: int = 0
    is_reverse: bool = False


class BarcodeTokenizer(PreTrainedTokenizerFast):
    """A fast tokenizer that finds strand and start of each barcode on the marker's reference frame.

    A sequence that the frame accepts is turned to the marker's strand and cut at the frame's slots; what lies before or
    behind the frame is left out. `position_ids` are the slots. Any other sequence is read as given from its first
    nucleotide, and positions count from 0. Without a frame, this is a plain fast tokenizer and gives no positions.

    `[MASK]` in a text stands for k nucleotides that are to be found; the slots that they touch become `[MASK]`.
    `return_offsets_mapping` gives offsets into the text as it was given, also where it was turned. Methods of the
    result such as `token_to_chars` count on the marker's strand, from the first nucleotide that is read.

    Attributes:
        frame: the marker's reference frame, or None; it can be set, and is saved beside the tokenizer.
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "frame_file": FRAME_FILE}  # noqa: RUF012
    _frame: ReferenceFrame | None = None

    def __init__(
        self, *args: Any, frame_file: str | None = None, reference_frame: str | None = None, **kwargs: Any
    ) -> None:
        """Called by `from_pretrained`.

        Args:
            *args: of the base class.
            frame_file: of the reference frame.
            reference_frame: SHA-256 of the frame, as `tokenizer_config.json` has it.
            **kwargs: of the base class.

        Raises:
            ValueError: the frame's file is missing, broken or another one.
        """
        super().__init__(*args, **kwargs)
        self.frame = ReferenceFrame.load(frame_file) if frame_file else None
        found = None if self.frame is None else self.frame.checksum()
        if reference_frame not in (None, found):
            raise ValueError(
                f"{self.name_or_path}: expected the reference frame {reference_frame[:12]}... in {FRAME_FILE}, "
                f"found {'no such file' if found is None else f'{found[:12]}...'}"
            )

    @classmethod
    def wrap(cls, tokenizer: Tokenizer, model_max_length: int) -> "BarcodeTokenizer":
        """A tokenizer of `dna_tokenizer` in this class. Special tokens that the vocabulary lacks get the next ids."""
        specials = [MASK_TOKEN, UNK_TOKEN, PAD_TOKEN]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
        return cls(
            tokenizer_object=tokenizer,
            mask_token=MASK_TOKEN,
            unk_token=UNK_TOKEN,
            pad_token=PAD_TOKEN,
            model_max_length=model_max_length,
            model_input_names=["input_ids", "attention_mask"],
            clean_up_tokenization_spaces=False,
        )

    @classmethod
    def _from_pretrained(cls, resolved_vocab_files: dict[str, Any], *args: Any, **kwargs: Any) -> "BarcodeTokenizer":
        file = resolved_vocab_files.get("tokenizer_config_file")
        saved_as = json.loads(Path(file).read_text(encoding="utf-8")).get("tokenizer_class") if file else None
        if saved_as != _PLAIN_CLASS:
            resolved_vocab_files["frame_file"] = kwargs["reference_frame"] = None
        return super()._from_pretrained(resolved_vocab_files, *args, **kwargs)

    @classmethod
    def convert_to_native_format(cls, trust_remote_code: bool = False, **kwargs: Any) -> dict[str, Any]:
        """All is in `tokenizer.json`, which the constructor reads; the base class would take it apart."""
        return kwargs

    @property
    def frame(self) -> ReferenceFrame | None:
        return self._frame

    @frame.setter
    def frame(self, frame: ReferenceFrame | None) -> None:
        if frame is not None and not isinstance(self.backend_tokenizer.model, models.WordLevel):
            raise ValueError("a reference frame has slots for k-mers; expected a tokenizer of k-mers")
        self._frame = frame
        # Without one, there is nothing that a plain fast tokenizer would not do as well: no code is saved.
        self._auto_class = None if frame is None else "AutoTokenizer"
        names = [name for name in self.model_input_names if name != "position_ids"]
        self.model_input_names = names if frame is None else [*names, "position_ids"]
        # The k-mer of all A is the longest such token.
        self._k = max((len(token) for token in self.get_vocab() if set(token) == {"A"}), default=0)

    def _encode_plus(  # type: ignore[override]
        self,
        text: Any,
        text_pair: Any = None,
        is_split_into_words: bool = False,
        return_tensors: Any = None,
        return_offsets_mapping: bool = False,
        return_overflowing_tokens: bool = False,
        **kwargs: Any,
    ) -> BatchEncoding:
        is_batch = isinstance(text, (list, tuple))
        sequences = list(text) if is_batch else [text]
        if self.frame is None or not sequences or not all(isinstance(sequence, str) for sequence in sequences):
            return super()._encode_plus(
                text,
                text_pair,
                is_split_into_words=is_split_into_words,
                return_tensors=return_tensors,
                return_offsets_mapping=return_offsets_mapping,
                return_overflowing_tokens=return_overflowing_tokens,
                **kwargs,
            )
        if text_pair is not None or is_split_into_words:
            raise ValueError("expected whole sequences, which can be placed on the reference frame; got pairs or words")
        readings = self._read(sequences)
        encoding = super()._encode_plus(
            [reading.text for reading in readings], return_overflowing_tokens=return_overflowing_tokens, **kwargs
        )
        data = dict(encoding)
        rows = data.get("overflow_to_sample_mapping", range(len(readings)))
        data["position_ids"], offsets = [], []
        for window, row in zip(encoding.encodings or [], rows, strict=True):
            tokens = self._token_numbers(readings[row], window.offsets, window.attention_mask)
            data["position_ids"].append([0 if n < 0 else readings[row].first_slot + n for n in tokens])
            if return_offsets_mapping:
                offsets.append(self._offsets(sequences[row], readings[row], tokens))
        if return_offsets_mapping:
            data["offset_mapping"] = offsets
        if not is_batch and return_tensors is None and not return_overflowing_tokens:
            data = {name: values[0] for name, values in data.items()}
        return BatchEncoding(data, encoding.encodings, tensor_type=return_tensors)

    def _read(self, sequences: list[str]) -> list[_Reading]:
        """Place sequences, turn them, and cut away what lies outside of the frame's slots."""
        normalized = [
            (_MASKED * self._k).join(part.translate(NORMALIZATION) for part in sequence.split(MASK_TOKEN))
            for sequence in sequences
        ]
        placement = self.frame.place(normalized)  # type: ignore[union-attr]
        accepted = self.frame.accepts(placement)  # type: ignore[union-attr]
        end_of_frame = self.frame.slots(self._k) * self._k  # type: ignore[union-attr]
        readings = []
        for row, sequence in enumerate(normalized):
            start, is_reverse, end, slot = 0, False, len(sequence), 0
            if accepted[row]:
                start, is_reverse = int(placement.start[row]), placement.strand[row] < 0
                slot = max(0, -(-start // self._k))
                end = max(0, min(end, end_of_frame - start))
            begin = slot * self._k - start
            strand = reverse_complement(sequence) if is_reverse else sequence
            if _MASKED not in sequence:
                readings.append(_Reading(strand[begin:end], slot, None, begin, is_reverse))
                continue
            # On the frame, a slot that a masked nucleotide touches is masked; else masks cut the sequence.
            k = self._k
            if accepted[row]:
                spans = [(i, i + k) for i in range(begin, end - k + 1, k)]
            else:
                stretches = re.finditer(f"{_MASKED}{{{k}}}|[^{_MASKED}]{{{k}}}", strand)
                spans = [stretch.span() for stretch in stretches]
            words = [strand[first:last] for first, last in spans]
            text = "".join(MASK_TOKEN if _MASKED in word else word for word in words)
            readings.append(_Reading(text, slot, spans, begin, is_reverse))
        return readings

    def _token_numbers(self, reading: _Reading, offsets: list[tuple[int, int]], attended: list[int]) -> list[int]:
        """Which token of the whole reading each token of a window is; -1 for padding."""
        begins = [begin for (begin, _), is_token in zip(offsets, attended, strict=True) if is_token]
        number = 0
        if begins and reading.spans is None:
            number = begins[0] // self._k
        elif begins:
            number = len(re.findall(f"{re.escape(MASK_TOKEN)}|.{{{self._k}}}", reading.text[: begins[0]]))
        numbers = []
        for is_token in attended:
            numbers.append(number if is_token else -1)
            number += is_token
        return numbers

    def _offsets(self, sequence: str, reading: _Reading, tokens: list[int]) -> list[tuple[int, int]]:
        """Begin and end of tokens in the sequence as it was given."""
        borders: list[tuple[int, int]] = []  # of each nucleotide, after normalisation
        for piece in re.finditer(f"{re.escape(MASK_TOKEN)}|.", sequence, re.DOTALL):
            if piece[0] == MASK_TOKEN:
                borders += [piece.span()] * self._k
            elif piece[0].translate(NORMALIZATION):
                borders.append(piece.span())
        if reading.is_reverse:
            borders.reverse()
        found = []
        for number in tokens:
            if number < 0:
                found.append((0, 0))
                continue
            begin = reading.begin + number * self._k
            first, last = (begin, begin + self._k) if reading.spans is None else reading.spans[number]
            of_token = borders[first:last]
            found.append((min(begin for begin, _ in of_token), max(end for _, end in of_token)))
        return found

    def _pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What `pad` and so all collators do with one example; positions of padding are 0."""
        padded = super()._pad(encoded_inputs, *args, **kwargs)
        if "position_ids" in padded:
            filler = [0] * (len(padded["input_ids"]) - len(padded["position_ids"]))
            is_left = (kwargs.get("padding_side") or self.padding_side) == "left"
            positions = list(padded["position_ids"])
            padded["position_ids"] = filler + positions if is_left else positions + filler
        return padded

    def _save_pretrained(
        self,
        save_directory: Any,
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        """Called by `save_pretrained` once the configuration is written."""
        saved = super()._save_pretrained(save_directory, file_names, legacy_format, filename_prefix)
        file = Path(file_names[0])
        config = json.loads(file.read_text(encoding="utf-8"))
        # The class that whoever does not trust this code gets, and other languages know.
        config["tokenizer_class"] = _PLAIN_CLASS
        config["model_input_names"] = [name for name in self.model_input_names if name != "position_ids"]
        for note in ("is_local", "local_files_only"):  # where this one was
            config.pop(note, None)
        if self.frame is None:
            for name in ("auto_map", "reference_frame"):
                config.pop(name, None)
        else:
            config["reference_frame"] = self.frame.checksum()
            frame_file = Path(save_directory) / FRAME_FILE
            self.frame.save(frame_file)
            saved = (*saved, str(frame_file))
        file.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return saved


__all__ = ["FRAME_FILE", "BarcodeTokenizer"]
