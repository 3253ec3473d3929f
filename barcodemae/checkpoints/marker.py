"""The folder of a marker, made from a user's own sequences: its reference frame or its k-mer profile, from which a
model can be tuned."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.checkpoints.files import CONFIG_FILE, FRAME_FILE, PROFILE_FILE
from barcodemae.data import normalise_nucleotides, read_records
from barcodemae.data.known_markers import MAX_OTHERS, find_markers, is_known_marker, is_same_marker
from barcodemae.data.quality import log_records
from barcodemae.errors import ConfigurationError, UnreadableFileError
from barcodemae.files import written_atomically
from tokenization_barcodemae import KmerProfile, ReferenceFrame

# A frame of one half of the sequences has to accept this share of the other half, at the same coordinates.
_MIN_AGREEMENT = 0.9
# A frame has to accept this share of all sequences, those of other lengths included.
_MIN_PLACED = 0.75

# Of a marker without a frame: a library also refuses what has few k-mers of its references. Of 434 sequences of ITS
# of new species (`val_unseen`), 98.6 % have a score of 2, and 96.3 % one of 3.5.
_MIN_SCORE = 2.0

# Sequences that are compared with each other, at most, to see whether they align.
_COMPARED = 2000

logger = logging.getLogger(__name__)

_UNEVEN = "markers of uneven length, such as ITS, 12S, 16S and 18S, have no reference frame: --uneven"


@dataclass(frozen=True)
class BuiltMarker:
    """A reference frame, and numbers of the sequences that it was built from.

    Attributes:
        frame: the reference frame.
        num_sequences: number of different sequences.
        num_used: number of those in its profile; 0 if the profile is that of a hidden Markov model.
        num_placed: number of those that it accepts.
    """

    frame: ReferenceFrame
    num_sequences: int
    num_used: int
    num_placed: int


@dataclass(frozen=True)
class BuiltProfile:
    """A k-mer profile, and numbers of the sequences that it was learnt from.

    Attributes:
        profile: the profile.
        num_sequences: number of different sequences.
        num_accepted: number of those that a profile of the other half accepts.
    """

    profile: KmerProfile
    num_sequences: int
    num_accepted: int


def build_marker(
    sources: Sequence[str], name: str, folder: Path, length: int | None = None, hmm: str | None = None
) -> BuiltMarker:
    """Build the reference frame of a marker, and write it to a folder.

    Of a mixture of known markers, such as COI and 12S, only sequences that are recognised as this one are used.

    Args:
        sources: files or data sets, as for `data.stream_records`, of sequences on the coding strand: those of one
            length are used, or all where they are aligned, with `-` or `.` for gaps. With `hmm`, sequences of any
            length and strand, by which the minimum score is chosen.
        name: of the marker.
        folder: a new one, or that of the same marker.
        length: number of nucleotides of the sequences that are used; by default the most frequent one.
        hmm: file of a hidden Markov model of DNA (HMMER 3), whose match states are the coordinates of the frame.

    Raises:
        ConfigurationError: the name is empty, the folder is that of a model, or pyhmmer is not installed.
        UnreadableFileError: a file can't be read, or its sequences do not align.
    """
    _check_name(name, folder)
    profile = None if hmm is None else read_profile(Path(hmm))
    texts = _read(sources, name)
    source = ", ".join(map(str, sources))
    try:
        if profile is not None:
            frame, num_used = ReferenceFrame.from_profile(profile, _plain(texts), name), 0
        elif any("-" in text or "." in text for text in texts):
            _check_agreement(texts, ReferenceFrame.from_alignment, None)
            frame, num_used = ReferenceFrame.from_alignment(texts, name), len(texts)
        else:
            frame, num_used = _from_equally_long(texts, length, name)
        sequences = _plain(texts)
        num_placed = int(frame.accepts(frame.place(sequences)).sum())
        if num_placed < _MIN_PLACED * len(sequences):
            raise ValueError(
                f"expected sequences that lie on one reference frame, got {len(sequences) - num_placed:,} of "
                f"{len(sequences):,} that do not agree with it; {_UNEVEN}"
            )
    except ValueError as error:
        raise UnreadableFileError(source, str(error)) from error
    with written_atomically(folder) as scratch:
        frame.save(scratch / FRAME_FILE)
    return BuiltMarker(frame, len(sequences), num_used, num_placed)


def build_profile(sources: Sequence[str], name: str, folder: Path) -> BuiltProfile:
    """Learn the k-mer profile of a marker of uneven length, and write it to a folder.

    Of a mixture of known markers, such as COI and 12S, only sequences that are recognised as this one are used.

    Args:
        sources: files or data sets, as for `data.stream_records`, of sequences of the marker, or of parts of it, most
            of them on one strand.
        name: of the marker.
        folder: a new one, or that of the same marker.

    Raises:
        ConfigurationError: the name is empty, or the folder is that of a model.
        UnreadableFileError: a file can't be read, or its sequences are too few to recognise others by.
    """
    _check_name(name, folder)
    sequences = _plain(_read(sources, name))
    try:
        # Whether one half of the sequences recognises the other half, before all of them are learnt.
        num_accepted = 0
        for half, other in ((0, 1), (1, 0)):
            learnt = KmerProfile.from_sequences(sequences[half::2], min_score=_MIN_SCORE, marker=name)
            num_accepted += int(learnt.accepts(learnt.score(sequences[other::2])).sum())
        if num_accepted < _MIN_PLACED * len(sequences):
            raise ValueError(
                f"expected sequences of one marker, got {len(sequences) - num_accepted:,} of {len(sequences):,} that "
                "the others do not recognise by their k-mers"
            )
        profile = KmerProfile.from_sequences(sequences, min_score=_MIN_SCORE, marker=name)
    except ValueError as error:
        raise UnreadableFileError(", ".join(map(str, sources)), str(error)) from error
    with written_atomically(folder) as scratch:
        profile.save(scratch / PROFILE_FILE)
    return BuiltProfile(profile, len(sequences), num_accepted)


def read_profile(file: Path) -> np.ndarray:
    """The emissions of the match states of a hidden Markov model of DNA: float32 `[states, 4]`.

    Raises:
        ConfigurationError: pyhmmer is not installed.
        UnreadableFileError: the file is not a hidden Markov model of DNA.
    """
    try:
        from pyhmmer.easel import Alphabet
        from pyhmmer.plan7 import HMMFile
    except ImportError as error:
        raise ConfigurationError("--hmm: pyhmmer is not installed: pip install 'barcodemae[hmm]'") from error
    expected = "expected a hidden Markov model of DNA, as hmmbuild (HMMER 3) writes it"
    try:
        with HMMFile(file) as models:
            model: Any = next(iter(models), None)
    except (OSError, ValueError, RuntimeError) as error:
        raise UnreadableFileError(file, f"{expected}: {error}") from error
    if model is None or model.alphabet not in (Alphabet.dna(), Alphabet.rna()):
        raise UnreadableFileError(file, f"{expected}, got {'none' if model is None else 'one of proteins'}")
    emissions = np.array(model.match_emissions, np.float32)[1:]  # the first row is that of the begin state
    return emissions / emissions.sum(axis=1, keepdims=True)


def _check_name(name: str, folder: Path) -> None:
    if not name.strip():
        raise ConfigurationError("--name: expected the name of a marker, such as rbcL, got an empty one")
    if (folder / CONFIG_FILE).exists():
        raise ConfigurationError(f"{folder}: expected a folder without a model, got one with a {CONFIG_FILE}")


def _read(sources: Sequence[str], name: str) -> list[str]:
    """The different sequences of some sources, with their gaps; of a mixture, only those of the marker."""
    records = read_records(sources, on_error="skip")
    is_damaged = pc.not_equal(records["problem"], "")
    log_records(records.filter(is_damaged), "problem")
    texts = pc.utf8_upper(records.filter(pc.invert(is_damaged))["nucleotides"]).unique().to_pylist()
    texts = [text for text in texts if text.strip("-.N")]
    if not is_known_marker(name):
        return texts
    found = find_markers(_plain(texts))
    num_others = Counter(other for other in found if other and not is_same_marker(other, name))
    if num_others.total() <= MAX_OTHERS * len(texts):
        return texts
    own = [text for text, marker in zip(texts, found, strict=True) if is_same_marker(marker, name)]
    others = ", ".join(f"{other} {count:,}" for other, count in num_others.most_common())
    logger.warning(
        "of a mixture, only sequences that are recognised as %s are used: %d (others: %s)", name, len(own), others
    )
    return own


def _plain(texts: list[str]) -> list[str]:
    return normalise_nucleotides(pa.chunked_array([pa.array(texts, pa.large_string())])).to_pylist()


def _from_equally_long(texts: list[str], length: int | None, name: str) -> tuple[ReferenceFrame, int]:
    """The frame of the sequences of one length, and their number."""
    lengths = np.array([len(text) for text in texts])
    if length is None:
        length = int(np.bincount(lengths, minlength=1).argmax())
    used = [texts[row] for row in np.flatnonzero(lengths == length)]
    _check_agreement(used, ReferenceFrame.from_sequences, 0, f" of {length:,} nucleotides")
    return ReferenceFrame.from_sequences(used, length, name), len(used)


def _check_agreement(
    texts: list[str], build: Callable[[list[str]], ReferenceFrame], start: int | None, what: str = ""
) -> None:
    """Check that a frame of one half of some sequences accepts the other half.

    Args:
        texts: the sequences.
        build: builds a frame.
        start: coordinate at which each should begin; None for any.
        what: kind of sequences, for the error.

    Raises:
        ValueError: it does not, or there are fewer than two sequences.
    """
    if len(texts) < 2:
        raise ValueError(f"expected two different sequences{what} or more, got {len(texts)}")
    step = -(-len(texts) // _COMPARED)
    compared = texts[::step] if len(texts[::step]) > 1 else texts
    others = compared[1::2]
    frame = build(compared[::2])
    placement = frame.place(others)
    agrees = frame.accepts(placement) & (placement.strand > 0)
    if start is not None:
        agrees &= placement.start == start
    if agrees.sum() < _MIN_AGREEMENT * len(others):
        raise ValueError(
            f"expected sequences of one marker{what} that align, on the coding strand; a frame of one half of them "
            f"does not fit {(~agrees).sum():,} of {len(others):,} others. Give an alignment, or --hmm, where there are "
            f"insertions; {_UNEVEN}"
        )
