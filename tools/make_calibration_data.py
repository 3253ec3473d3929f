"""Make the outgroup and the prior of `barcodemae/library/calibration/bundled`; the same input gives the same files.

`python tools/make_calibration_data.py --data coi_large.parquet --exclude coi_other_phyla.parquet` needs barcodes of all
animals with names, `source` and `split`. The outgroup is one barcode of a family, of records that may be passed on. The
prior is fitted to the held-out records of three libraries, of families drawn at random, and to the outgroup.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.command import run_command
from barcodemae.data import RANKS
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.files import written_atomically
from barcodemae.library.building import build_library
from barcodemae.library.calibration import probability
from barcodemae.library.calibration.fitting import fit_prior, own_queries
from barcodemae.library.calibration.named_queries import NamedQueries, joined
from barcodemae.library.models import describe_model
from barcodemae.library.store.stored import StoredLibrary

BUNDLED = Path(__file__).parent.parent / "barcodemae" / "library" / "calibration" / "bundled"
SOURCE = "naturalis/"  # its licence (MIT) allows the records to be passed on
MIN_LENGTH = 500
MAX_PER_PHYLUM = 30
LIBRARY_SIZES = (500, 4_000, 25_000)


def outgroup(records: pa.Table, excluded_genera: set[str]) -> pa.Table:
    """At most thirty barcodes of each phylum, one of a family, and few of an order while there are other orders."""
    usable = records.filter(pc.starts_with(records["source"], SOURCE))
    names = {rank: usable[rank].to_pylist() for rank in ("phylum", "order", "family", "genus", "species")}
    lengths = pc.utf8_length(usable["nucleotides"]).to_pylist()
    num_of_order: dict[tuple[str, str], int] = defaultdict(int)
    of_phylum: dict[str, list[tuple[int, int]]] = defaultdict(list)
    seen = set()
    for row in np.random.default_rng(0).permutation(len(usable)):
        phylum, order, family, genus = (names[rank][row] for rank in ("phylum", "order", "family", "genus"))
        is_usable = phylum and family and genus not in excluded_genera and lengths[row] >= MIN_LENGTH
        if not is_usable or (phylum, family) in seen:
            continue
        seen.add((phylum, family))
        of_phylum[phylum].append((num_of_order[phylum, order], int(row)))
        num_of_order[phylum, order] += 1
    rows = sorted(row for found in of_phylum.values() for _, row in sorted(found)[:MAX_PER_PHYLUM])
    return usable.take(pa.array(rows)).select(["id", "nucleotides", *RANKS, "source", "licence"])


def held_out(records: pa.Table, num_records: int, seed: int, folder: Path) -> NamedQueries:
    """The queries of a library of random families with about so many records."""
    rng = np.random.default_rng(seed)
    families = np.array(records["family"].to_pylist())
    _, number, counts = np.unique(families, return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    chosen = order[np.cumsum(counts[order]) <= num_records]
    source = folder / f"{num_records}.parquet"
    pq.write_table(records.filter(pa.array(np.isin(number, chosen))), source)
    embedder = load_engine(FRAME, DEFAULT)
    build_library(folder / str(num_records), [str(source)], embedder, describe_model(DEFAULT, FRAME), on_error="skip")
    return own_queries(StoredLibrary.open(folder / str(num_records)), embedder)


def write_prior(folder: Path, priors: Mapping[str, Sequence[probability.Prior]]) -> None:
    content = {
        target: [
            {"weights": one.weights.round(4).tolist(), "information": one.information.round(6).tolist()}
            for one in found
        ]
        for target, found in priors.items()
    }
    with written_atomically(folder) as scratch:
        (scratch / probability.PRIOR_FILE).write_text(json.dumps(content) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Barcodes of all animals, with splits.")
    parser.add_argument("--exclude", required=True, help="Barcodes that evaluate strangers: their genera are left out.")
    parser.add_argument("--output-dir", type=Path, default=BUNDLED)
    args = parser.parse_args()
    records = pq.read_table(args.data)
    records = records.filter(pc.equal(records["split"], "train"))
    records = pa.table({name: pc.fill_null(records[name], "") for name in records.column_names})
    excluded = set(pq.read_table(args.exclude)["genus"].to_pylist())
    with written_atomically(args.output_dir) as scratch:
        pq.write_table(outgroup(records, excluded), scratch / "outgroup.parquet", compression="zstd")
    if not (args.output_dir / probability.PRIOR_FILE).exists():  # a library is calibrated when it is built
        write_prior(
            args.output_dir, {target: (probability.FLAT,) * len(probability.LENGTHS) for target in probability.TARGETS}
        )
    with tempfile.TemporaryDirectory(prefix="prior-") as scratch_folder:
        parts = [held_out(records, size, seed, Path(scratch_folder)) for seed, size in enumerate(LIBRARY_SIZES)]
    write_prior(args.output_dir, fit_prior(joined(parts)))


if __name__ == "__main__":
    run_command(main)
