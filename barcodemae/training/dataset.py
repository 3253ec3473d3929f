"""Records to training data: read, judged, de-duplicated, placed once, and kept on disk for the next start."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from barcodemae.data import Judge, Report, find_preset, sample_path, stream_records, tell
from barcodemae.data.cache import cached_folder
from barcodemae.data.quality import TOO_FEW_KMERS, USABLE
from barcodemae.data.readers import version_of
from barcodemae.data.sampling import unaligned_rows_and_offsets
from barcodemae.data.stored import BarcodeWriter, StoredBarcodes
from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments
from barcodemae.training.objectives import Objective
from tokenization_barcodemae import BarcodeEncoder, ReferenceFrame, encode_barcodes, place_barcodes

logger = logging.getLogger(__name__)

# To be raised when the same options would make something else of the same files.
_FORMAT = 2

# Data options that what is kept does not depend on, or that are named beside them.
_NOT_CACHED = {"data", "frame", "unaligned_share", "cache_dir"}

_TRAINING, _VALIDATION = "training", "validation"
_REPORT_FILE, _DROPPED_FILE = "report.json", "dropped.parquet"

# So many barcodes are encoded at a time when all are gone through: their arrays stay in the processor's cache.
_CHUNK = 1024

# A row of fewer tokens would leave its whole batch next to nothing to keep.
_MIN_TOKENS = 8


@dataclass(frozen=True)
class TrainingData:
    """Barcodes ready to be cut into batches.

    Attributes:
        barcodes: `[n]`, in the order of the files.
        sha256: of their nucleotides.
        encoder: cuts barcodes into tokens.
        max_tokens: most tokens of a barcode that is read freely.
        unaligned_share: share of the records that an epoch reads freely.
        seed: of the run.
        report: what was read and dropped on the way to training and validation data.
    """

    barcodes: StoredBarcodes
    sha256: str
    encoder: BarcodeEncoder
    max_tokens: int
    unaligned_share: float
    seed: int
    report: Report

    def __len__(self) -> int:
        return len(self.barcodes)

    @property
    def num_tokens(self) -> np.ndarray:
        """`[n]`, known tokens of each barcode."""
        return self.barcodes.num_tokens

    def fingerprint(self) -> str:
        """Tells these records, in this order, from others."""
        return f"{len(self)} records, sha256 {self.sha256[:16]}"

    def arrays(self, records: np.ndarray, epoch: int, objective: Objective) -> dict[str, Any]:
        """What the model takes for these records: a function of (seed, epoch, records) alone.

        A step asks for all of its records at once, and cuts them into batches afterwards: how many processes share it
        must not show in the masks.
        """
        free, offsets = unaligned_rows_and_offsets(self.seed, epoch, records, self.unaligned_share, self.encoder.k)
        encoding = encode_barcodes(self.encoder, self.barcodes.take(records), self.max_tokens, free, offsets)
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
    args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder, seed: int
) -> tuple[TrainingData, TrainingData]:
    """Read, judge, de-duplicate and place the records of training and validation, or take what is kept of that.

    What is made is kept in `args.cache_dir`, for the next start with the same sources, options, frame and tokens. No
    step of it holds all records in memory. Of several processes that call this, one makes it and the others wait.

    Raises:
        BarcodeMAEError: a file can't be read, a record is bad and `--on_error raise` says so, nothing is left, or
            nothing can be kept in `args.cache_dir`.
    """
    key = _key(args, frame, encoder)
    folder = _folder(args, key)
    checksums = cached_folder(folder, key, lambda scratch: _make(scratch, args, frame, encoder))
    report = _load_report(folder)
    tell(report)

    def stored(name: str, unaligned_share: float) -> TrainingData:
        barcodes, sha256 = StoredBarcodes(folder, name), checksums[f"{name}.bases"]
        return TrainingData(barcodes, sha256, encoder, args.max_nucleotides // encoder.k, unaligned_share, seed, report)

    training, validation = stored(_TRAINING, args.unaligned_share), stored(_VALIDATION, 0.0)
    for name, data in ((_TRAINING, training), (_VALIDATION, validation)):
        placed = int(data.barcodes.is_placed.sum())
        logger.info("%s: %d records, %d of them placed on the reference frame", name, len(data), placed)
    logger.info("The barcodes as they are trained on, and the list of what was dropped, are in %s", folder)
    return training, validation


def _make(folder: Path, args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder) -> None:
    judge = Judge(min_length=args.min_nucleotides, max_ambiguous=args.max_unknown_share, on_error=args.on_error)
    k, num_slots = encoder.k, 0 if frame is None else frame.slots(encoder.k)
    preset = find_preset(args.preset, args.split_column)
    wanted = pa.array([*args.train_splits, args.val_split, ""])
    with (
        BarcodeWriter(folder, _TRAINING, num_slots) as training,
        BarcodeWriter(folder, _VALIDATION, num_slots) as validation,
        tqdm(desc="reading and placing barcodes", unit=" records", unit_scale=True) as progress,
    ):
        for records in stream_records(_sources(args), preset, args.on_error, args.max_length):
            kept = judge(records.filter(pc.is_in(records["split"], wanted)))
            barcodes = place_barcodes(kept["nucleotides"].to_pylist(), frame, k)
            num_tokens = np.zeros(len(barcodes), np.int64)
            for begin in range(0, len(barcodes), _CHUNK):
                rows = np.arange(begin, min(begin + _CHUNK, len(barcodes)))
                encoding = encode_barcodes(encoder, barcodes.take(rows), args.max_nucleotides // k)
                num_tokens[rows] = encoding["attention_mask"].sum(1)
            readable = num_tokens >= _MIN_TOKENS
            judge.drop(kept, np.where(readable, USABLE, TOO_FEW_KMERS))
            is_validation = pc.equal(kept["split"], args.val_split).to_numpy()
            for part, is_of_part in ((training, ~is_validation), (validation, is_validation)):
                rows = np.flatnonzero(readable & is_of_part)
                part.write(barcodes.take(rows), num_tokens[rows], kept.take(pa.array(rows)))
            progress.update(len(records))
        if not training.count:
            raise ConfigurationError(
                f"no record is left to train on: expected some in the splits {', '.join(args.train_splits)}"
            )
    _save_report(folder, judge.report)


def _sources(args: DataArguments) -> list[str]:
    return args.data or [str(sample_path())]


def _key(args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder) -> dict[str, Any]:
    """What the kept files are made of."""
    return {
        "format": _FORMAT,
        "sources": [version_of(source) for source in _sources(args)],
        "options": {name: value for name, value in asdict(args).items() if name not in _NOT_CACHED},
        "frame": None if frame is None else frame.checksum(),
        "tokens": encoder.name,
    }


def _folder(args: DataArguments, key: dict[str, Any]) -> Path:
    """Where they are kept: another place for other sources or options, the same one when a source has changed."""
    root = Path(huggingface_hub.constants.HF_HOME) / "barcodemae" if args.cache_dir is None else Path(args.cache_dir)
    names = [source["name"] for source in key["sources"]]
    place = hashlib.sha256(json.dumps(key | {"sources": names, "format": None}, sort_keys=True).encode()).hexdigest()
    return root / f"{Path(names[0]).name.partition('.')[0]}-{place[:16]}"


def _save_report(folder: Path, report: Report) -> None:
    (folder / _REPORT_FILE).write_text(json.dumps({"read": report.num_read, "dropped": report.counts}, indent=2) + "\n")
    pq.write_table(report.dropped, folder / _DROPPED_FILE)


def _load_report(folder: Path) -> Report:
    counts = json.loads((folder / _REPORT_FILE).read_text())
    return Report(counts["read"], counts["dropped"], pq.read_table(folder / _DROPPED_FILE))
