"""`barcodemae cluster`: barcodes without labels into clusters."""

import logging
from collections import Counter
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.arguments import parse_arguments
from barcodemae.clustering import THRESHOLD
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, SOURCES_HELP, WHOLE_HEADERS_HELP, check_sources
from barcodemae.errors import ConfigurationError
from barcodemae.library.settings import PRIMERS_HELP

if TYPE_CHECKING:
    from barcodemae.clustering.barcodes import Barcodes
    from barcodemae.clustering.grouping import Grouping

AUTO = "auto"

logger = logging.getLogger(__name__)


@dataclass
class ClusterArguments:
    """Which barcodes to cluster, how, and where the results go."""

    data: list[str] = field(metadata={"help": f"{SOURCES_HELP}, or - for standard input."})
    output: str = field(
        metadata={
            "help": "A .tsv or .parquet file, or - for standard output (TSV): id, cluster, size, is_representative, "
            "difference, reason.",
        }
    )
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    whole_headers: bool = field(default=False, metadata={"help": WHOLE_HEADERS_HELP})
    threshold: str = field(
        default=f"{THRESHOLD:g}",
        metadata={
            "help": "Maximum share of bases in which two barcodes that join may differ; or auto: at the barcode gap, "
            "which can be found in a thousand barcodes or more of many genera."
        },
    )
    primers: str | None = field(default=None, metadata={"help": PRIMERS_HELP})
    representatives: str | None = field(
        default=None, metadata={"help": "A .fasta file for one barcode of each cluster, the largest cluster first."}
    )
    plot: str | None = field(
        default=None,
        metadata={"help": "A .png file for a plot of the rate at which clusters join as the threshold grows."},
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Folder of a tuned checkpoint, its id on the Hub, or the name of one that comes with the package, "
            f"whose vectors choose which barcodes to compare; by default {DEFAULT}."
        },
    )


def cluster(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written.
    """
    (args,) = parse_arguments(
        (ClusterArguments,),
        arguments,
        positionals=("data",),
        about="Group barcodes without labels into clusters that correspond to species.",
        example="barcodemae cluster unknown.fasta.gz -o clusters.tsv --representatives clusters.fasta",
    )
    check_sources(args.data)
    from barcodemae.clustering.barcodes import read_barcodes
    from barcodemae.clustering.gap import draw_gap
    from barcodemae.clustering.grouping import group
    from barcodemae.clustering.tables import TEXTS_FROM_FILES, as_table, write_representatives
    from barcodemae.data import stream_records
    from barcodemae.data.schema import Preset
    from barcodemae.embedding.engines import load_linear_map
    from barcodemae.library.results.tables import check_table_name, write_table
    from barcodemae.library.search.marker import marker_of
    from barcodemae.outputs import check_outputs, check_plot, describe_output, message_stream, open_output

    output = Path(args.output)
    check_table_name(output)
    outputs = {"--output": args.output, "--representatives": args.representatives, "--plot": args.plot}
    check_outputs(outputs, [*args.data, *filter(None, [args.model])])
    messages = message_stream(*outputs.values())
    threshold = _parse_threshold(args.threshold)
    check_plot(args.plot, (".png",))
    embedder = load_linear_map(args.model)
    marker = marker_of(embedder)
    records = stream_records(args.data, Preset(whole_headers=args.whole_headers), "skip", args.max_length)
    barcodes = read_barcodes(records, marker, show_progress_bar=True, primers=args.primers)
    num_usable = len(barcodes.bases)
    if not num_usable:
        raise ConfigurationError(f"expected barcodes of the marker ({marker.name}), got none: {_left_out(barcodes)}")
    logger.info("comparing %s barcodes with their nearest ...", f"{num_usable:,}")
    grouping = group(barcodes, embedder, threshold)

    table = as_table(barcodes, grouping.clusters)
    with ExitStack() as files:  # no file is in place before all are complete
        file = files.enter_context(open_output(output))
        write_table(table, file, output.suffix == ".parquet", TEXTS_FROM_FILES)
        if args.representatives is not None:
            write_representatives(barcodes, grouping.clusters, files.enter_context(open_output(args.representatives)))
        if args.plot is not None:
            figure = draw_gap(grouping.joins, grouping.num_left, grouping.threshold, grouping.gap)
            files.enter_context(open_output(args.plot)).write(figure)
    with redirect_stdout(messages):
        _print_summary(barcodes, grouping)
        print(f"Results are in {', '.join(map(describe_output, filter(None, outputs.values())))}.")


def _parse_threshold(text: str) -> float | None:
    """The threshold as a number; None for the automatic one."""
    if text == AUTO:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise ConfigurationError(f"--threshold {text}: expected a share of bases such as 0.02, or {AUTO}") from error


def _left_out(barcodes: "Barcodes") -> str:
    counts = Counter(barcodes.reasons[barcodes.reasons != ""].tolist())
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _print_summary(barcodes: "Barcodes", grouping: "Grouping") -> None:
    """Print how many barcodes and clusters there are, and the threshold."""
    clusters = grouping.clusters
    num_usable, num_read, num_reads = len(barcodes.bases), len(barcodes.reasons), int(barcodes.reads.sum())
    left_out = f"; left out: {num_read - num_usable:,} ({_left_out(barcodes)})" if num_usable < num_read else ""
    single = int((clusters.sizes == 1).sum())
    unit, of_reads = ("read", f" of {num_reads:,} reads") if num_reads > num_usable else ("barcode", "")
    print(f"Barcodes: {num_usable:,}{of_reads}{left_out}.")
    print(f"Clusters: {clusters.num_clusters:,}, {single:,} of one {unit}; the largest has {clusters.sizes.max():,}.")
    gap = "no barcode gap found" if grouping.gap is None else f"barcode gap at {grouping.gap:.1%}"
    print(f"Threshold: {grouping.threshold:.1%} of bases ({gap}).")
    if "recall" in grouping.search:
        print(f"Search: {grouping.search['kind']} ({grouping.search['recall']:.1%} of the nearest barcodes are found).")
