"""`barcodemae embed`: writes embeddings of sequences."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barcodemae.checkpoints import CHECKPOINT_HELP, DEFAULT, check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.shards import SHARDS_HELP, run_shards, shared_options
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, SOURCES_HELP, WHOLE_HEADERS_HELP, check_sources
from barcodemae.embedding.engines import ENGINES, FLOAT32, NETWORK, PRECISIONS
from barcodemae.errors import BadRecordError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Rows of a row group of the Parquet file; batches are made of barcodes of similar length within it.
_CHUNK = 4096


@dataclass
class EmbedArguments:
    """The sequences, the model and the output."""

    data: list[str] = field(metadata={"help": f"{SOURCES_HELP}, or - for standard input."})
    output: str = field(
        metadata={
            "help": "A .parquet file (columns id and embedding) or an .npy file (rows in the order of the data).",
        }
    )
    model: str | None = field(
        default=None,
        metadata={"help": f"{CHECKPOINT_HELP}; by default {DEFAULT}."},
    )
    engine: str = field(
        default=NETWORK,
        metadata={
            "help": "network: the whole model; frame: the base map of a tuned model, a sum over the bases of a barcode "
            "on the reference frame, many times as fast and without torch.",
            "choices": list(ENGINES),
        },
    )
    dtype: str = field(
        default=FLOAT32,
        metadata={
            "help": "Precision of the network. fp32: the same embeddings on every machine and in any batch. bf16: "
            "faster on some processors, but some nearest neighbours change.",
            "choices": list(PRECISIONS),
        },
    )
    batch_size: int = field(default=64, metadata={"help": "Sequences in a batch of the network."})
    normalize: bool = field(default=False, metadata={"help": "Scale each embedding to length 1."})
    use_frame: bool = field(
        default=True,
        metadata={"help": "Read sequences from their first base, without the checkpoint's reference frame."},
    )
    shards: bool = field(default=False, metadata={"help": SHARDS_HELP})
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    whole_headers: bool = field(default=False, metadata={"help": WHOLE_HEADERS_HELP})
    on_error: str = field(
        default="raise",
        metadata={
            "help": "A record that is not DNA, or in which the engine finds no barcode: raise (stop) or skip (leave "
            "out and count).",
            "choices": ["raise", "skip"],
        },
    )


def embed(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (EmbedArguments,),
        arguments,
        positionals=("data", "output"),
        about="Compute embeddings of barcodes.",
        example="barcodemae embed barcodes.fasta -o vectors.parquet",
    )
    check_sources(args.data)
    if args.model is not None:
        check_checkpoint(args.model)
    if not args.shards:
        _embed(args)
        return
    from barcodemae.checkpoints.files import weights_sha256

    key = shared_options(args, "data", "model") | {"model": weights_sha256(args.model or DEFAULT)}
    run_shards(
        args.data,
        Path(args.output),
        {"command": "embed"} | key,
        lambda shard, file: _embed(replace(args, data=[shard], output=str(file))),
    )


def _embed(args: EmbedArguments) -> None:
    from tqdm import tqdm

    from barcodemae.data import QualityFilter, log_report, stream_records
    from barcodemae.data.schema import Preset
    from barcodemae.embedding.engines import load_engine
    from barcodemae.embedding.writers import check_vectors_name, open_vectors
    from barcodemae.outputs import check_outputs

    output = Path(args.output)
    check_vectors_name(output)
    check_outputs({"--output": output}, args.data)
    embedder: Any = load_engine(args.engine, args.model, args.use_frame, args.dtype)
    quality_filter = QualityFilter(min_length=embedder.k, drop_duplicates=False, on_error=args.on_error)
    options: dict[str, Any] = {"normalize_embeddings": args.normalize}
    if args.engine == NETWORK:
        options["batch_size"] = args.batch_size
    num_vectors = num_usable = 0
    with (
        open_vectors(output, embedder.dimension) as file,
        tqdm(desc="embed", unit=" barcodes", unit_scale=True) as progress,
    ):
        for read in stream_records(args.data, Preset(whole_headers=args.whole_headers), args.on_error, args.max_length):
            records = quality_filter(read)
            for begin in range(0, len(records), _CHUNK):
                chunk = records.slice(begin, _CHUNK)
                ids, vectors = _embed_records(chunk, embedder, args.on_error, **options)
                file.write(ids, vectors)
                num_vectors += len(vectors)
                progress.update(len(chunk))
            num_usable += len(records)
    log_report(quality_filter.report)
    if num_vectors < num_usable:
        print(f"Records left out, as they have nothing to embed: {num_usable - num_vectors:,}.")
    print(f"{num_vectors:,} embeddings of dimension {embedder.dimension} are in {output}.")


def _embed_records(
    records: "pa.Table", embedder: Any, on_error: str, **options: Any
) -> "tuple[pa.ChunkedArray, np.ndarray]":
    """Ids and embeddings of the records that have something to embed; with `on_error="raise"` all must have."""
    import numpy as np
    import pyarrow as pa

    vectors = embedder.encode(records["nucleotides"].to_pylist(), on_error="skip", **options)
    found = np.isfinite(vectors).all(axis=1)
    if on_error == "raise" and not found.all():
        row = int(np.argmin(found))
        file, record, line = (records[column][row].as_py() for column in ("file", "id", "line"))
        raise BadRecordError(file, record, embedder.unreadable, line)
    return records["id"].filter(pa.array(found)), vectors[found]
