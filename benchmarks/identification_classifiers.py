"""Classifiers that give names a confidence, as a user would run them. Part of `identification_confidence.py`.

SINTAX (Edgar 2016) is that of VSEARCH; the RDP classifier (Wang et al. 2007) is run from its jar; naive Bayes is that
of QIIME 2's q2-feature-classifier (Bokulich et al. 2018), see `naive_bayes.py`. All get the same references with the
same taxonomy, and give confidences without a minimum.
"""

import re
import sys
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from identification_methods import Assigned, Cost, Program, run_measured

from barcodemae.data import RANKS
from barcodemae.evaluation.baselines.aligners import write_numbered
from barcodemae.evaluation.benchmark import labels

_BOOTSTRAP_SEED = 1
_ROOT = "Root"
_SINTAX_NAME = re.compile(r"([a-z]):(\d+)\((\d\.\d+)\)")
_JAVA_MEMORY = "-Xmx4g"


class Taxonomy:
    """The taxa of references, numbered, since programs differ in the characters that a name may have.

    A missing name above one that is known is taken from other references with that one, as `barcodemae index` does;
    otherwise it is a taxon without a name in the one above it.

    Args:
        references: with the columns of all ranks.

    Attributes:
        taxa: int64 `[n, ranks]`, numbers of each reference's taxa, unique at a rank.
        names: rank -> `[taxa]`, "" for one without a name.
    """

    def __init__(self, references: pa.Table):
        columns = [_completed(labels(references, rank), labels(references, "genus")) for rank in RANKS]
        self.taxa = np.empty((len(references), len(RANKS)), np.int64)
        self.names: dict[str, np.ndarray] = {}
        above = np.zeros(len(references), np.int64)
        for depth, (rank, column) in enumerate(zip(RANKS, columns, strict=True)):
            keys, above = np.unique(np.char.add(column, np.char.add("\t", above.astype(str))), return_inverse=True)
            self.taxa[:, depth] = above
            self.names[rank] = np.array([key.split("\t")[0] for key in keys])

    def lineages(self) -> list[list[str]]:
        """Of each reference, the numbers of its taxa with the initials of their ranks, such as `g12`."""
        return [[f"{rank[0]}{taxon}" for rank, taxon in zip(RANKS, row, strict=True)] for row in self.taxa.tolist()]

    def assigned(self, taxa: np.ndarray, confidence: np.ndarray) -> Assigned:
        """Assignments from numbers of taxa, -1 for none, and confidences, each `[n, ranks]`."""
        found = {
            rank: np.where(taxa[:, depth] >= 0, self.names[rank][taxa[:, depth]], "")
            for depth, rank in enumerate(RANKS)
        }
        scores = {rank: confidence[:, depth] for depth, rank in enumerate(RANKS)}
        return Assigned(found, scores, -scores["species"])


def _completed(names: np.ndarray, genera: np.ndarray) -> np.ndarray:
    """Names at a rank, in which missing ones are those of other references of the same genus, if they have just one."""
    pairs = np.unique(np.stack([genera, names])[:, names != ""], axis=1)
    genus, first, count = np.unique(pairs[0], return_index=True, return_counts=True)
    known = dict(zip(genus[count == 1].tolist(), pairs[1][first[count == 1]].tolist(), strict=True))
    return np.array([name or known.get(genus, "") for name, genus in zip(names.tolist(), genera.tolist(), strict=True)])


class Classifier(Program):
    """A program that is given references with their taxa, and writes one line for each query."""

    def prepare(self, references: pa.Table) -> Cost:
        self.taxonomy = Taxonomy(references)
        return self.train(references["nucleotides"].to_pylist())

    @abstractmethod
    def train(self, sequences: list[str]) -> Cost:
        """Make what the program reads, of references whose taxonomy is known, and measure it."""

    def write_references(self, sequences: list[str], headers: Iterable[str]) -> None:
        """Write `references.fasta` with these headers."""
        path = self.folder / "references.fasta"
        write_numbered(path, sequences)
        lines = path.read_text().splitlines()
        titles = list(headers)
        path.write_text("".join(f">{titles[int(line[1:])]}\n" if line[:1] == ">" else f"{line}\n" for line in lines))

    def empty(self, num_queries: int) -> tuple[np.ndarray, np.ndarray]:
        """No taxa, with a confidence of 0, each `[n, ranks]`."""
        shape = (num_queries, len(RANKS))
        return np.full(shape, -1), np.zeros(shape)


class Sintax(Classifier):
    """`vsearch --sintax`."""

    def train(self, sequences: list[str]) -> Cost:
        headers = (
            f"{row};tax={','.join(f'{name[0]}:{name[1:]}' for name in lineage)};"
            for row, lineage in enumerate(self.taxonomy.lineages())
        )
        self.write_references(sequences, headers)
        return run_measured(
            ["vsearch", "--makeudb_usearch", "references.fasta", "--output", "references.udb"], self.folder
        )

    def command(self) -> list[str]:
        # One thread, to be repeatable.
        options = ["--sintax_cutoff", "0", "--randseed", str(_BOOTSTRAP_SEED), "--threads", "1"]
        return ["vsearch", "--sintax", "queries.fasta", "--db", "references.udb", "--tabbedout", "names.tsv", *options]

    def results(self, num_queries: int) -> Assigned:
        return self.taxonomy.assigned(*parse_sintax(self.folder / "names.tsv", *self.empty(num_queries)))


def parse_sintax(path: Path, taxa: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill in taxa and confidences, each `[n, ranks]`, from the output of `--tabbedout`."""
    depths = {rank[0]: depth for depth, rank in enumerate(RANKS)}
    for line in path.read_text().splitlines():
        row, names = line.split("\t")[:2]
        for initial, taxon, share in _SINTAX_NAME.findall(names):
            taxa[int(row), depths[initial]], confidence[int(row), depths[initial]] = int(taxon), float(share)
    return taxa, confidence


class Rdp(Classifier):
    """The RDP classifier.

    Args:
        folder: of its files.
        jar: path of `classifier.jar`.
    """

    def __init__(self, folder: Path, jar: Path):
        super().__init__(folder)
        self._java = ["java", _JAVA_MEMORY, "-jar", str(jar.resolve())]

    def train(self, sequences: list[str]) -> Cost:
        lineages = self.taxonomy.lineages()
        headers = (f"{row}\t{';'.join([_ROOT, *lineage])}" for row, lineage in enumerate(lineages))
        self.write_references(sequences, headers)
        (self.folder / "taxonomy.txt").write_text("".join(f"{line}\n" for line in rdp_taxonomy(lineages)))
        cost = run_measured(
            [*self._java, "train", "-o", "trained", "-s", "references.fasta", "-t", "taxonomy.txt"], self.folder
        )
        (self.folder / "trained" / "rRNAClassifier.properties").write_text(
            "bergeyTree=bergeyTrainingTree.xml\nprobabilityList=genus_wordConditionalProbList.txt\n"
            "probabilityIndex=wordConditionalProbIndexArr.txt\nwordPrior=logWordPrior.txt\nclassifierVersion=benchmark\n"
        )
        return cost

    def command(self) -> list[str]:
        options = ["-t", "trained/rRNAClassifier.properties", "-f", "allrank", "-o", "names.tsv"]
        return [*self._java, "classify", *options, "queries.fasta"]

    def results(self, num_queries: int) -> Assigned:
        return self.taxonomy.assigned(*parse_rdp(self.folder / "names.tsv", *self.empty(num_queries)))


def rdp_taxonomy(lineages: list[list[str]]) -> list[str]:
    """Lines of the taxonomy for the training of RDP: number of the taxon, name, number of its parent, depth, rank."""
    numbers, lines = {_ROOT: 0}, [f"0*{_ROOT}*-1*0*rootrank"]
    for lineage in lineages:
        for depth, (rank, name) in enumerate(zip(RANKS, lineage, strict=True)):
            if name not in numbers:
                numbers[name] = len(numbers)
                parent = numbers[lineage[depth - 1] if depth else _ROOT]
                lines.append(f"{numbers[name]}*{name}*{parent}*{depth + 1}*{rank}")
    return lines


def parse_rdp(path: Path, taxa: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill in taxa and confidences, each `[n, ranks]`, from the output of the format `allrank`."""
    for line in path.read_text().splitlines():
        row, _, *fields = line.split("\t")
        for name, rank, share in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
            if rank in RANKS:
                taxa[int(row), RANKS.index(rank)] = int(name[1:])
                confidence[int(row), RANKS.index(rank)] = float(share)
    return taxa, confidence


class NaiveBayes(Classifier):
    """The naive Bayes classifier of QIIME 2, in a process of its own."""

    def train(self, sequences: list[str]) -> Cost:
        self.write_references(sequences, map(";".join, self.taxonomy.lineages()))
        return run_measured(self._run("fit", "references.fasta"), self.folder)

    def command(self) -> list[str]:
        return self._run("classify", "queries.fasta")

    def results(self, num_queries: int) -> Assigned:
        taxa, confidence = self.empty(num_queries)
        found = np.load(self.folder / "names.npz")
        taxa[found["rows"]], confidence[found["rows"]] = found["taxa"], found["confidence"]
        return self.taxonomy.assigned(taxa, confidence)

    def _run(self, verb: str, file: str) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("naive_bayes.py")), verb, file]
