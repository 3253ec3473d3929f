"""Training data: records read, filtered, de-duplicated, placed on the reference frame and cached on disk."""

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

from barcodemae.data import QualityFilter, Report, find_preset, log_report, sample_path, stream_records
from barcodemae.data.cache import cached_folder
from barcodemae.data.quality import TOO_FEW_KMERS, USABLE
from barcodemae.data.readers import source_version
from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments
from barcodemae.training.balanced import BalancedBatches
from barcodemae.training.objectives import Objective
from barcodemae.training.randomness import Stream, uniform
from barcodemae.training.steps import epoch_steps, steps_in_epoch
from barcodemae.training.stored import BarcodeWriter, StoredBarcodes
from tokenization_barcodemae import BarcodeEncoder, ReferenceFrame, encode_barcodes, place_barcodes

logger = logging.getLogger(__name__)

# Increase it when the same options give other cached data from the same files.
_FORMAT = 3

# Data options on which the cached data do not depend, or which are part of the key in another form.
_NOT_IN_KEY = {"data", "frame", "unaligned_share", "cache_dir"}

_TRAINING, _VALIDATION = "training", "validation"
_REPORT_FILE, _DROPPED_FILE = "report.json", "dropped.parquet"

# The arrays of this many barcodes fit the processor's cache when all barcodes are encoded.
_CHUNK = 1024

# All rows of a batch retain as many tokens as its shortest one allows: with fewer tokens, next to none.
_MIN_TOKENS = 8


@dataclass(frozen=True)
class TrainingData:
    """Barcodes ready to be split into batches.

    Attributes:
        barcodes: `[n]`, in the order of the files.
        sha256: checksum of their nucleotides.
        encoder: cuts barcodes into tokens.
        max_tokens: maximum number of tokens of an unaligned barcode.
        unaligned_share: share of the records that an epoch reads unaligned.
        seed: seed of the run.
        report: records read and dropped for training and validation data.
        balance: plans batches balanced by taxon; by default batches are those of `epoch_steps`.
    """

    barcodes: StoredBarcodes
    sha256: str
    encoder: BarcodeEncoder
    max_tokens: int
    unaligned_share: float
    seed: int
    report: Report
    balance: BalancedBatches | None = None

    def __len__(self) -> int:
        return len(self.barcodes)

    @property
    def num_tokens(self) -> np.ndarray:
        """Number of known tokens of each barcode, `[n]`."""
        return self.barcodes.num_tokens

    def fingerprint(self) -> str:
        """Identifies these records in this order."""
        return f"{len(self)} records, sha256 {self.sha256[:16]}"

    def steps_in_epoch(self, batch_size: int, batches_per_step: int) -> int:
        """Number of steps of `epoch_steps`."""
        if self.balance is not None:
            return self.balance.steps_in_epoch(batch_size, batches_per_step)
        return steps_in_epoch(len(self), batch_size * batches_per_step)

    def epoch_steps(self, batch_size: int, accumulation: int, processes: int, epoch: int) -> list[np.ndarray]:
        """The records of each step of an epoch: a function of the seed and of these values only.

        Args:
            batch_size: records per batch and process.
            accumulation: accumulated batches per step and process.
            processes: number of processes.
            epoch: from 0.
        """
        if self.balance is not None:
            return self.balance.epoch_steps(batch_size, accumulation, processes, self.seed, epoch)
        return epoch_steps(self.num_tokens, batch_size * accumulation * processes, self.seed, epoch)

    def arrays(self, records: np.ndarray, epoch: int, objective: Objective) -> dict[str, Any]:
        """The inputs of the model for some records: a function of seed, epoch and records only.

        Call it with all records of a step, and split the result into batches afterwards, so that the masks do not
        depend on the number of processes.

        Args:
            records: `[n]`, indices of records.
            epoch: from 0; -1 for validation.
            objective: adds its own inputs.

        Returns:
            Arrays `[n, ...]` and plain numbers, by the names of the model's arguments.
        """
        unaligned, offsets = unaligned_rows_and_offsets(self.seed, epoch, records, self.unaligned_share, self.encoder.k)
        encoding = encode_barcodes(self.encoder, self.barcodes.take(records), self.max_tokens, unaligned, offsets)
        return {**encoding, **objective.arrays(encoding, records, epoch)}


def unaligned_rows_and_offsets(
    seed: int, epoch: int, records: np.ndarray, unaligned_share: float, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which records an epoch reads unaligned, and how many nucleotides (0 to k - 1) it then skips at their begin.

    Args:
        seed: seed of the run.
        epoch: from 0; -1 for validation.
        records: `[n]`, indices of records.
        unaligned_share: share of the records.
        k: nucleotides in a k-mer.

    Returns:
        bool `[n]` and int64 `[n]`.
    """
    unaligned = uniform(seed, Stream.UNALIGNED, epoch, records, 1)[:, 0] < unaligned_share
    offsets = (uniform(seed, Stream.OFFSET, epoch, records, 1)[:, 0] * k).astype(np.int64)
    return unaligned, offsets


def load_frame(name: str) -> ReferenceFrame | None:
    """The reference frame given by `--frame`: `coi`, a file, or `none`.

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
            f"--frame {name}: expected coi, none or a file with a reference frame: {error}"
        ) from error


def load_training_data(
    args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder, seed: int
) -> tuple[TrainingData, TrainingData]:
    """Read, filter, de-duplicate and place the records for training and validation, or load them from the cache.

    The result is cached in `args.cache_dir` for later runs with the same sources, options, frame and tokens. Records
    are streamed and never all in memory. If several processes call this, one prepares the data and the others wait.

    Returns:
        Training and validation data.

    Raises:
        BarcodeMAEError: a file can't be read, a record is bad with `--on-error raise`, no training record is left, or
            `args.cache_dir` can't be written.
    """
    key = _cache_key(args, frame, encoder)
    folder = _cache_folder(args, key)
    checksums = cached_folder(folder, key, lambda scratch: _prepare(scratch, args, frame, encoder))
    report = _load_report(folder)
    log_report(report)

    def stored(name: str, unaligned_share: float) -> TrainingData:
        barcodes, sha256 = StoredBarcodes(folder, name), checksums[f"{name}.bases"]
        return TrainingData(barcodes, sha256, encoder, args.max_nucleotides // encoder.k, unaligned_share, seed, report)

    training, validation = stored(_TRAINING, args.unaligned_share), stored(_VALIDATION, 0.0)
    for name, data in ((_TRAINING, training), (_VALIDATION, validation)):
        placed = int(data.barcodes.is_placed.sum())
        logger.info("%s: %d records, %d of them placed on the reference frame", name, len(data), placed)
    logger.info("the prepared barcodes and the list of dropped records are in %s", folder)
    return training, validation


def _prepare(folder: Path, args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder) -> None:
    quality_filter = QualityFilter(
        min_length=args.min_nucleotides, max_ambiguous=args.max_unknown_share, on_error=args.on_error
    )
    k, num_slots = encoder.k, 0 if frame is None else frame.slots(encoder.k)
    preset = find_preset(args.preset, args.split_column)
    splits = pa.array([*args.train_splits, args.val_split, ""])
    with (
        BarcodeWriter(folder, _TRAINING, num_slots) as training,
        BarcodeWriter(folder, _VALIDATION, num_slots) as validation,
        tqdm(desc="reading and placing barcodes", unit=" records", unit_scale=True) as progress,
    ):
        for records in stream_records(_sources(args), preset, args.on_error, args.max_length):
            good = quality_filter(records.filter(pc.is_in(records["split"], splits)))
            barcodes = place_barcodes(good["nucleotides"].to_pylist(), frame, k)
            num_tokens = np.zeros(len(barcodes), np.int64)
            for begin in range(0, len(barcodes), _CHUNK):
                rows = np.arange(begin, min(begin + _CHUNK, len(barcodes)))
                encoding = encode_barcodes(encoder, barcodes.take(rows), args.max_nucleotides // k)
                num_tokens[rows] = encoding["attention_mask"].sum(1)
            readable = num_tokens >= _MIN_TOKENS
            quality_filter.drop(good, np.where(readable, USABLE, TOO_FEW_KMERS))
            is_validation = pc.equal(good["split"], args.val_split).to_numpy()
            for writer, selected in ((training, ~is_validation), (validation, is_validation)):
                rows = np.flatnonzero(readable & selected)
                writer.write(barcodes.take(rows), num_tokens[rows], good.take(pa.array(rows)))
            progress.update(len(records))
        if not training.count:
            raise ConfigurationError(
                f"expected records in the splits {', '.join(args.train_splits)} to train on, found none that is usable"
            )
    _save_report(folder, quality_filter.report)


def _sources(args: DataArguments) -> list[str]:
    return args.data or [str(sample_path())]


def _cache_key(args: DataArguments, frame: ReferenceFrame | None, encoder: BarcodeEncoder) -> dict[str, Any]:
    """All that the cached files depend on."""
    return {
        "format": _FORMAT,
        "sources": [source_version(source) for source in _sources(args)],
        "options": {name: value for name, value in asdict(args).items() if name not in _NOT_IN_KEY},
        "frame": None if frame is None else frame.checksum(),
        "tokens": encoder.name,
    }


def _cache_folder(args: DataArguments, key: dict[str, Any]) -> Path:
    """A folder for each combination of sources and options; it stays the same when the content of a source changes."""
    root = Path(huggingface_hub.constants.HF_HOME) / "barcodemae" if args.cache_dir is None else Path(args.cache_dir)
    names = [source["name"] for source in key["sources"]]
    checksum = hashlib.sha256(json.dumps(key | {"sources": names, "format": None}, sort_keys=True).encode()).hexdigest()
    return root / f"{Path(names[0]).name.partition('.')[0]}-{checksum[:16]}"


def _save_report(folder: Path, report: Report) -> None:
    (folder / _REPORT_FILE).write_text(json.dumps({"read": report.num_read, "dropped": report.counts}, indent=2) + "\n")
    pq.write_table(report.dropped, folder / _DROPPED_FILE)


def _load_report(folder: Path) -> Report:
    counts = json.loads((folder / _REPORT_FILE).read_text())
    return Report(counts["read"], counts["dropped"], pq.read_table(folder / _DROPPED_FILE))
