"""Write the bundled barcodes as typical files of a biologist: `python tools/demo_files.py FOLDER`.

`references.fasta` contains named barcodes, with their taxonomy in the headers as for SINTAX. `queries.fasta` contains
other barcodes, both of species that are among the references and of species that are not.
"""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import RANKS, read_records


def main(folder: Path) -> None:
    records = read_records("sample")
    write(folder / "references.fasta", select_splits(records, "train"), with_names=True)
    write(folder / "queries.fasta", select_splits(records, "test", "test_unseen"), with_names=False)


def select_splits(records: pa.Table, *splits: str) -> list[dict[str, Any]]:
    return records.filter(pc.is_in(records["split"], pa.array(splits))).to_pylist()


def write(file: Path, records: list[dict[str, Any]], with_names: bool) -> None:
    with file.open("w") as lines:
        for record in records:
            names = ",".join(f"{rank[0]}:{record[rank].replace(' ', '_')}" for rank in RANKS if record[rank])
            lines.write(f">{record['id']}{f';tax={names}' if with_names else ''}\n{record['nucleotides']}\n")
    print(f"{len(records):,} barcodes: {file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
