"""The tokenizer class for `transformers`, which places barcodes on the marker's reference frame.

Every checkpoint contains a copy of this file and of those that it imports. With `trust_remote_code=True`,
`AutoTokenizer` gives this class; otherwise a plain fast tokenizer, which reads every sequence from its first
nucleotide.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer, models
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.utils.versions import require_version

from .indels import UnplacedPart, leave_out_unplaced, original_positions
from .reference_frame import ReferenceFrame
from .sequences import MASK_TOKEN, NORMALIZATION, PAD_TOKEN, UNK_TOKEN, reverse_complement

# The overridden methods do not exist in older versions.
require_version("transformers>=5.5")

FRAME_FILE = "reference_frame.safetensors"
"""The file of the marker's reference frame, beside `tokenizer.json`."""

# The class in `tokenizer_config.json`, used without remote code. If `transformers` saves the plain tokenizer, it writes
# another class name: such a tokenizer reads sequences from their first nucleotide, and continues to do so.
_PLAIN_CLASS = "PreTrainedTokenizerFast"
# Represents a masked nucleotide while a sequence is placed and reversed; a character that no text contains.
_MASKED = "\ue000"


class _Reading(NamedTuple):
    """How a sequence is cut into tokens.

    Attributes:
        text: input of the backend tokenizer.
        first_slot: position of the first token.
        spans: begin and end of each token on the strand that is read, without indels; None if tokens are adjacent
            k-mers from `begin`.
        begin: first nucleotide that is read, on that strand.
        is_reverse: whether that strand is the reverse complement of the given sequence.
        unplaced: parts of the sequence on that strand, in place of which there are unknown bases in the text.
    """

    text: str
    first_slot: int = 0
    spans: list[tuple[int, int]] | None = None
    begin: int = 0
    is_reverse: bool = False
    unplaced: tuple[UnplacedPart, ...] = ()


class BarcodeTokenizer(PreTrainedTokenizerFast):
    """A fast tokenizer that finds strand and start of each barcode on the marker's reference frame.

    A sequence that the frame accepts is turned to the marker's strand and cut at the frame's slots; nucleotides before
    or after the frame are left out. `position_ids` are the slots. Any other sequence is read as given from its first
    nucleotide, with positions counted from 0. Without a frame, this is a plain fast tokenizer and gives no positions.

    `[MASK]` in a text represents k unknown nucleotides; the slots that they overlap become `[MASK]`.
    `return_offsets_mapping` gives offsets into the given text, also if it was reversed. Methods of the result such as
    `token_to_chars` count on the marker's strand, from the first nucleotide that is read.

    Attributes:
        frame: the marker's reference frame, or None; it can be set, and is saved with the tokenizer.
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "frame_file": FRAME_FILE}  # noqa: RUF012
    _frame: ReferenceFrame | None = None

    def __init__(
        self, *args: Any, frame_file: str | None = None, reference_frame: str | None = None, **kwargs: Any
    ) -> None:
        """Called by `from_pretrained`.

        Args:
            *args: passed to the base class.
            frame_file: file of the reference frame.
            reference_frame: SHA-256 of the frame according to `tokenizer_config.json`.
            **kwargs: passed to the base class.

        Raises:
            ValueError: the file of the frame is missing or damaged, or contains another frame.
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
        """Wrap a tokenizer in this class. Special tokens that are not in the vocabulary get the next ids."""
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
        """The constructor reads `tokenizer.json`; the base class would convert it."""
        return kwargs

    @property
    def frame(self) -> ReferenceFrame | None:
        return self._frame

    @frame.setter
    def frame(self, frame: ReferenceFrame | None) -> None:
        if frame is not None and not isinstance(self.backend_tokenizer.model, models.WordLevel):
            raise ValueError("a reference frame has slots for k-mers: expected a k-mer tokenizer")
        self._frame = frame
        # Without a frame, a plain fast tokenizer does the same, and no code is saved.
        self._auto_class = None if frame is None else "AutoTokenizer"
        names = [name for name in self.model_input_names if name != "position_ids"]
        self.model_input_names = names if frame is None else [*names, "position_ids"]
        # k is the length of the longest token of A only.
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
            raise ValueError("expected single sequences to place on the reference frame, got pairs or split words")
        readings = self._read(sequences)
        encoding = super()._encode_plus(
            [reading.text for reading in readings], return_overflowing_tokens=return_overflowing_tokens, **kwargs
        )
        data = dict(encoding)
        rows = data.get("overflow_to_sample_mapping", range(len(readings)))
        data["position_ids"], offsets = [], []
        for window, row in zip(encoding.encodings or [], rows, strict=True):
            tokens = self._token_indices(readings[row], window.offsets, window.attention_mask)
            data["position_ids"].append([0 if n < 0 else readings[row].first_slot + n for n in tokens])
            if return_offsets_mapping:
                offsets.append(self._offsets(sequences[row], readings[row], tokens))
        if return_offsets_mapping:
            data["offset_mapping"] = offsets
        if not is_batch and return_tensors is None and not return_overflowing_tokens:
            data = {name: values[0] for name, values in data.items()}
        return BatchEncoding(data, encoding.encodings, tensor_type=return_tensors)

    def _read(self, sequences: list[str]) -> list[_Reading]:
        """Place sequences, turn them to the marker's strand, and cut off what is outside the frame's slots."""
        normalized = [
            (_MASKED * self._k).join(part.translate(NORMALIZATION) for part in sequence.split(MASK_TOKEN))
            for sequence in sequences
        ]
        placement = self.frame.place(normalized)  # type: ignore[union-attr]
        accepted = self.frame.accepts(placement)  # type: ignore[union-attr]
        end_of_frame = self.frame.slots(self._k) * self._k  # type: ignore[union-attr]
        readings = []
        for row, sequence in enumerate(normalized):
            start, is_reverse, parts = 0, False, ()
            if accepted[row]:
                start, is_reverse = int(placement.start[row]), placement.strand[row] < 0
                parts = placement.unplaced[row]
            strand = leave_out_unplaced(reverse_complement(sequence) if is_reverse else sequence, parts)
            slot, end = 0, len(strand)
            if accepted[row]:
                slot = max(0, -(-start // self._k))
                end = max(0, min(end, end_of_frame - start))
            begin = slot * self._k - start
            if _MASKED not in strand:
                readings.append(_Reading(strand[begin:end], slot, None, begin, is_reverse, parts))
                continue
            # On the frame, a slot with a masked nucleotide is masked; elsewhere, k-mers are cut between the masks.
            k = self._k
            if accepted[row]:
                spans = [(i, i + k) for i in range(begin, end - k + 1, k)]
            else:
                spans = [kmer.span() for kmer in re.finditer(f"{_MASKED}{{{k}}}|[^{_MASKED}]{{{k}}}", strand)]
            kmers = [strand[first:last] for first, last in spans]
            text = "".join(MASK_TOKEN if _MASKED in kmer else kmer for kmer in kmers)
            readings.append(_Reading(text, slot, spans, begin, is_reverse, parts))
        return readings

    def _token_indices(self, reading: _Reading, offsets: list[tuple[int, int]], attended: list[int]) -> list[int]:
        """The index of each token of a window among all tokens of the sequence; -1 for padding."""
        begins = [begin for (begin, _), is_token in zip(offsets, attended, strict=True) if is_token]
        index = 0
        if begins and reading.spans is None:
            index = begins[0] // self._k
        elif begins:
            index = len(re.findall(f"{re.escape(MASK_TOKEN)}|.{{{self._k}}}", reading.text[: begins[0]]))
        indices = []
        for is_token in attended:
            indices.append(index if is_token else -1)
            index += is_token
        return indices

    def _offsets(self, sequence: str, reading: _Reading, tokens: list[int]) -> list[tuple[int, int]]:
        """Begin and end of tokens in the given sequence."""
        borders: list[tuple[int, int]] = []  # of each normalised nucleotide
        for piece in re.finditer(f"{re.escape(MASK_TOKEN)}|.", sequence, re.DOTALL):
            if piece[0] == MASK_TOKEN:
                borders += [piece.span()] * self._k
            elif piece[0].translate(NORMALIZATION):
                borders.append(piece.span())
        if reading.is_reverse:
            borders.reverse()
        if reading.unplaced:
            borders = [borders[position] for position in original_positions(len(borders), reading.unplaced)]
        offsets = []
        for index in tokens:
            if index < 0:
                offsets.append((0, 0))
                continue
            begin = reading.begin + index * self._k
            first, last = (begin, begin + self._k) if reading.spans is None else reading.spans[index]
            nucleotides = borders[first:last]
            offsets.append((min(begin for begin, _ in nucleotides), max(end for _, end in nucleotides)))
        return offsets

    def _pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Pad one example, for `pad` and all collators; positions of padding are 0."""
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
        """Called by `save_pretrained` after the configuration is written."""
        saved = super()._save_pretrained(save_directory, file_names, legacy_format, filename_prefix)
        file = Path(file_names[0])
        config = json.loads(file.read_text(encoding="utf-8"))
        # The class to load without remote code, which libraries in other languages also know.
        config["tokenizer_class"] = _PLAIN_CLASS
        config["model_input_names"] = [name for name in self.model_input_names if name != "position_ids"]
        for name in ("is_local", "local_files_only"):  # how this tokenizer was loaded
            config.pop(name, None)
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
