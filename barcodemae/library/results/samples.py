"""Taxa by sample: how many reads of each sample were called each taxon."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

import pyarrow as pa

from barcodemae.data.annotations import reads_by_sample
from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import NOVEL, UNRELIABLE
from barcodemae.library.results.tables import check_table_name, write_table
from barcodemae.outputs import open_output

_TAXON = ("call", "name", *RANKS)
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


class SampleCounts:
    """Numbers of reads by taxon and sample. The memory grows with the numbers of taxa and samples, not of queries.

    A query's samples are those of its id's annotation (see `data.annotations`), otherwise its file.
    """

    def __init__(self) -> None:
        self._reads: Counter[tuple[tuple[str, str], tuple[str, ...]]] = Counter()
        self._samples: dict[tuple[str, str], None] = {}  # in the order in which they are found

    def write(self, results: pa.Table) -> None:
        """Add results to the counts.

        Args:
            results: of `RESULTS`.
        """
        keys = ["sample", "file", *_TAXON]
        counted = results.group_by(keys, use_threads=False).aggregate([("size", "sum"), ("size", "count")])
        for row in counted.to_pylist():
            taxon = tuple(row[name] for name in _TAXON)
            several = reads_by_sample(row["sample"])
            for name, size in several.items():
                self._add((name, ""), taxon, size * row["size_count"])
            if not several:
                self._add((row["sample"], "" if row["sample"] else row["file"]), taxon, row["size_sum"])

    def _add(self, sample: tuple[str, str], taxon: tuple[str, ...], num_reads: int) -> None:
        self._samples.setdefault(sample)
        self._reads[sample, taxon] += num_reads

    def sources(self) -> tuple[int, int]:
        """Number of samples from annotations of ids, and from the names of files."""
        annotated = sum(bool(sample) for sample, _ in self._samples)
        return annotated, len(self._samples) - annotated

    def table(self) -> pa.Table:
        """A row for each taxon, the most abundant first, then novel and unreliable queries; a column for each sample.

        Returns:
            Columns `call`, `name` and the ranks, as in `RESULTS`, and numbers of reads, int64, by sample. A sample from
            the name of a file is called by it without its extensions, with its folder if there are several of that
            name; one that is called like a column before it has `(sample)` after its name.
        """
        names = self._sample_names()
        reads: dict[tuple[str, ...], Counter[str]] = {}
        for (sample, taxon), size in self._reads.items():
            reads.setdefault(taxon, Counter())[names[sample]] += size
        calls = {NOVEL: 1, UNRELIABLE: 2}
        taxa = sorted(reads, key=lambda taxon: (calls.get(taxon[0], 0), -reads[taxon].total(), taxon))
        columns = {name: pa.array([taxon[i] for taxon in taxa], pa.string()) for i, name in enumerate(_TAXON)}
        for name in dict.fromkeys(names.values()):
            column = f"{name} (sample)" if name in _TAXON else name
            columns[column] = pa.array([reads[taxon][name] for taxon in taxa], pa.int64())
        return pa.table(columns)

    def _sample_names(self) -> dict[tuple[str, str], str]:
        files = [file for sample, file in self._samples if not sample]
        of_files = dict(zip(files, distinct_names(files), strict=True))
        return {(sample, file): sample or of_files[file] for sample, file in self._samples}


def distinct_names(files: Sequence[str]) -> list[str]:
    """Names of files without extensions, with as many of their folders as distinguish them.

    Args:
        files: `[n]`, distinct.

    Examples:
        >>> from barcodemae.library.results.samples import distinct_names
        >>> distinct_names(["run1/S1.fasta.gz", "run2/S1.fasta.gz", "run2/S2.fasta"])
        ['run1/S1', 'run2/S1', 'S2']
    """
    parts = [_without_extensions(file).parts for file in files]
    names = [path[-1:] for path in parts]
    for depth in range(2, max(map(len, parts), default=1) + 1):
        counts = Counter(names)
        names = [path[-depth:] if counts[name] > 1 else name for path, name in zip(parts, names, strict=True)]
    counts = Counter(names)
    # Of equal names without extensions, such as those of a.fasta and a.fastq, the complete ones.
    return ["/".join(name) if counts[name] == 1 else file for file, name in zip(files, names, strict=True)]


@contextmanager
def open_samples(path: Path) -> Iterator[SampleCounts]:
    """Counts to which results are written; the table is written, by `outputs.open_output`, at the end of the context.

    Args:
        path: of the table, `.tsv` or `.parquet`, or `-` for TSV on standard output.

    Raises:
        ConfigurationError: another name; before any work is done.
        OSError: the system refuses.
    """
    check_table_name(path)
    counts = SampleCounts()
    yield counts
    with open_output(path) as file:
        write_table(counts.table(), file, as_parquet=path.suffix == ".parquet", from_files=("name", *RANKS))


def _without_extensions(file: str) -> PurePath:
    path = PurePath(file)
    if path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    return path.with_suffix("") if path.name else path
