"""Records to training data: read, judged, de-duplicated, placed."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import judge, read_records, sample_path, tell
from barcodemae.data.sampling import free_rows_and_offsets
from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments
from barcodemae.training.objectives import Objective
from tokenization_barcodemae import KmerEncoder, PlacedBarcodes, ReferenceFrame, encode_barcodes, place_barcodes

logger = logging.getLogger(__name__)

# So many barcodes are placed and encoded at a time when all are gone through.
_CHUNK = 8192

# A row of fewer tokens would leave its whole batch next to nothing to keep.
_FEWEST_PLACES = 8


@dataclass(frozen=True)
class TrainingData:
    """Barcodes ready to be cut into batches.

    Attributes:
        barcodes: `[n]`, in the order of the files.
        num_places: `[n]`, known tokens of each.
        kmers: cuts and looks up k-mers.
        max_tokens: most tokens of a barcode that is read freely.
        free_share: share of the records that an epoch reads freely.
        seed: of the run.
    """

    barcodes: PlacedBarcodes
    num_places: np.ndarray
    kmers: KmerEncoder
    max_tokens: int
    free_share: float
    seed: int

    def __len__(self) -> int:
        return len(self.barcodes)

    def fingerprint(self) -> str:
        """Tells these records, in this order, from others."""
        digest = hashlib.sha256()
        for sequence in self.barcodes.nucleotides:
            digest.update(sequence.as_buffer())
        return f"{len(self)} records, sha256 {digest.hexdigest()[:16]}"

    def arrays(self, records: np.ndarray, epoch: int, objective: Objective) -> dict[str, Any]:
        """What the model takes for these records: a function of (seed, epoch, records) alone.

        A step asks for all of its records at once, and cuts them into batches afterwards: how many processes share it
        must not show in the masks.
        """
        free, offsets = free_rows_and_offsets(self.seed, epoch, records, self.free_share, self.kmers.k)
        encoding = encode_barcodes(self.kmers, self.barcodes.take(records), self.max_tokens, free, offsets)
        return {**encoding, **objective.arrays(encoding, records, epoch)}


def load_frame(name: str) -> ReferenceFrame | None:
    """The reference frame that `--frame` names.

    Raises:
        ConfigurationError: it is neither a known name nor a readable file.
    """
    if name == "none":
        return None
    if name == "coi":
        return ReferenceFrame.coi()
    try:
        return ReferenceFrame.load(Path(name))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--frame {name}: expected coi, none or the file of a reference frame: {error}"
        ) from error


def load_training_data(
    args: DataArguments, frame: ReferenceFrame | None, k: int, seed: int
) -> tuple[TrainingData, TrainingData]:
    """Read, judge and place the records of training and validation.

    Raises:
        BarcodeMAEError: a file can't be read, a record is bad and `--on_error raise` says so, or nothing is left.
    """
    records = read_records(args.data or [str(sample_path())])
    split = records["split"]
    in_training = pc.or_(pc.is_in(split, pa.array(args.train_splits)), pc.equal(split, ""))
    in_validation = pc.equal(split, args.val_split)
    cleaned, report = judge(
        records.filter(pc.or_(in_training, in_validation)),
        min_length=args.min_nucleotides,
        max_ambiguous=args.max_unknown_share,
        on_error=args.on_error,
    )
    tell(report)
    is_validation = pc.equal(cleaned["split"], args.val_split)
    training = _prepare(cleaned.filter(pc.invert(is_validation)), frame, k, args.max_nucleotides, args.free_share, seed)
    validation = _prepare(cleaned.filter(is_validation), frame, k, args.max_nucleotides, 0.0, seed)
    if not len(training):
        raise ConfigurationError(
            f"no record is left to train on: expected some in the splits {', '.join(args.train_splits)}"
        )
    for name, data in (("training", training), ("validation", validation)):
        placed = int(data.barcodes.is_placed.sum())
        logger.info("%s: %d records, %d of them placed on the reference frame", name, len(data), placed)
    return training, validation


def _prepare(
    records: pa.Table,
    frame: ReferenceFrame | None,
    k: int,
    max_nucleotides: int,
    free_share: float,
    seed: int,
) -> TrainingData:
    barcodes = place_barcodes(records["nucleotides"].to_pylist(), frame, k)
    kmers = KmerEncoder(k)
    max_tokens = max_nucleotides // k
    num_places = np.zeros(len(barcodes), np.int64)
    for begin in range(0, len(barcodes), _CHUNK):
        rows = np.arange(begin, min(begin + _CHUNK, len(barcodes)))
        num_places[rows] = encode_barcodes(kmers, barcodes.take(rows), max_tokens)["attention_mask"].sum(1)
    readable = np.flatnonzero(num_places >= _FEWEST_PLACES)
    if len(readable) < len(barcodes):
        logger.info(
            "%d records have fewer than %d known k-mers and are left out",
            len(barcodes) - len(readable),
            _FEWEST_PLACES,
        )
    return TrainingData(barcodes.take(readable), num_places[readable], kmers, max_tokens, free_share, seed)
