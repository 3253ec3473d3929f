"""`barcodemae embed`: a file of sequences in, a file of vectors out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.checkpoints import DEFAULT
from barcodemae.commands import parse_arguments
from barcodemae.data import judge, read_records, sample_path, tell
from barcodemae.embedding.engines import ENGINES, NETWORK, load_engine
from barcodemae.errors import ConfigurationError
from barcodemae.files import written_whole

SUFFIXES = (".parquet", ".npy")
SAMPLE = "sample"


@dataclass
class EmbedArguments:
    """What to embed with what, and where to."""

    data: list[str] = field(
        metadata={
            "help": "Files (Parquet, TSV, CSV, FASTA, each also .gz), hub:ORG/NAME, or sample: the barcodes that come "
            "with the package."
        }
    )
    output: str = field(
        metadata={"help": "A .parquet file (columns id and embedding) or an .npy file (rows in the order of the data)."}
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Folder of a checkpoint, its id on the Hub, or the name of one that comes with the package; "
            f"by default {DEFAULT}."
        },
    )
    engine: str = field(
        default=NETWORK,
        metadata={
            "help": "network: the whole model; frame: what a tuned model adds up for the letters of a barcode on its "
            "reference frame, many times as fast and without torch.",
            "choices": list(ENGINES),
        },
    )
    batch_size: int = field(default=64, metadata={"help": "Sequences in a batch of the network."})
    normalize: bool = field(default=False, metadata={"help": "Scale each vector to length 1."})
    use_frame: bool = field(default=True, metadata={"help": "Place sequences on the checkpoint's reference frame."})
    on_error: str = field(
        default="raise",
        metadata={
            "help": "A record that is no DNA, or of which the engine reads nothing: raise (stop) or skip (leave out, "
            "count).",
            "choices": ["raise", "skip"],
        },
    )


def embed(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments((EmbedArguments,), arguments)
    output = Path(args.output)
    if output.suffix not in SUFFIXES:
        raise ConfigurationError(f"--output {output}: expected a name that ends with {' or '.join(SUFFIXES)}")
    embedder: Any = load_engine(args.engine, args.model, args.use_frame)
    sources = [str(sample_path()) if source == SAMPLE else source for source in args.data]
    records, report = judge(
        read_records(sources, on_error=args.on_error),
        min_length=embedder.k,
        drop_duplicates=False,
        on_error=args.on_error,
    )
    tell(report)
    embeddings = embedder.encode(
        records["nucleotides"].to_pylist(),
        show_progress_bar=True,
        normalize_embeddings=args.normalize,
        on_error=args.on_error,
        **({"batch_size": args.batch_size} if args.engine == NETWORK else {}),
    )
    embedded = np.isfinite(embeddings).all(axis=1)
    if not embedded.all():
        print(f"Records left out, as there is nothing in them to embed: {np.sum(~embedded):,}.")
        records, embeddings = records.filter(pa.array(embedded)), embeddings[embedded]
    with written_whole(output.parent) as scratch:
        if output.suffix == ".npy":
            np.save(scratch / output.name, embeddings)
        else:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embedder.dimension)
            pq.write_table(pa.table({"id": records["id"], "embedding": vectors}), scratch / output.name)
    print(f"{len(embeddings):,} vectors of {embedder.dimension} numbers are in {output}.")
