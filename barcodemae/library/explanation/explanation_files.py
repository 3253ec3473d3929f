"""A folder of explanations: a table of queries, one of the contributions of all bases, and pictures."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from barcodemae.library.explanation.contributions import Explanation
from barcodemae.library.explanation.sequence_picture import draw_explanation
from barcodemae.library.results.tables import write_lines
from barcodemae.outputs import open_output

QUERIES_FILE, CONTRIBUTIONS_FILE = "explanations.tsv", "contributions.tsv"
NUM_PICTURES = 20
"""Only the first queries get a picture."""

QUERIES = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("rank", pa.string()),
        pa.field("name", pa.string()),
        pa.field("other_name", pa.string()),
        pa.field("reference", pa.string()),
        pa.field("other_reference", pa.string()),
        # Of the scores of the two references; and the parts of it of the cosines and of the shares of equal bases.
        pa.field("difference", pa.float64()),
        pa.field("cosine_difference", pa.float64()),
        pa.field("identity_difference", pa.float64()),
        pa.field("baseline", pa.float64()),
        pa.field("completeness_error", pa.float64()),
        # Where the query has the base of the one reference and not of the other, the largest contribution first, such
        # as T123C: the query's base, the coordinate from 1, and the base of the reference that differs.
        pa.field("sites_for", pa.string()),
        pa.field("sites_against", pa.string()),
    ]
)
"""One row for each query that is explained."""

CONTRIBUTIONS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("coordinate", pa.int32()),
        pa.field("base", pa.string()),
        pa.field("reference_base", pa.string()),
        pa.field("other_base", pa.string()),
        pa.field("cosine_contribution", pa.float64()),
        pa.field("identity_contribution", pa.float64()),
        pa.field("contribution", pa.float64()),
    ]
)
"""One row for each known base of each of these queries."""

_DIGITS = 6
_FROM_FILES = ("id", "name", "other_name", "reference", "other_reference")
_BASES = np.array(["A", "C", "G", "T", ""], object)
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_LENGTH = 80


@contextmanager
def open_explanations(folder: Path) -> Iterator["ExplanationFiles"]:
    """Open a folder for explanations, which is made if it does not exist; files of the same names are replaced.

    Raises:
        ConfigurationError: the folder can't be written.
    """
    with open_output(folder / QUERIES_FILE) as queries, open_output(folder / CONTRIBUTIONS_FILE) as contributions:
        yield ExplanationFiles(folder, queries, contributions)


class ExplanationFiles:
    """Writes explanations.

    Args:
        folder: of the pictures.
        queries, contributions: the files of the two tables, open to write.

    Attributes:
        num_queries: number of queries that were explained.
        max_error: the largest completeness error of an explanation.
    """

    def __init__(self, folder: Path, queries: BinaryIO, contributions: BinaryIO):
        self._folder, self._queries, self._contributions = folder, queries, contributions
        self.num_queries, self.max_error = 0, 0.0
        for file, schema in ((queries, QUERIES), (contributions, CONTRIBUTIONS)):
            file.write(("\t".join(schema.names) + "\n").encode())

    def write(self, explanations: Iterable[Explanation]) -> None:
        """Append explanations."""
        for one in explanations:
            self.num_queries += 1
            self.max_error = max(self.max_error, one.completeness_error)
            write_lines(query_row(one), self._queries, _FROM_FILES, _DIGITS)
            write_lines(contribution_rows(one), self._contributions, _FROM_FILES, _DIGITS)
            if self.num_queries <= NUM_PICTURES:
                name = _NOT_IN_FILE_NAMES.sub("_", one.id)[:_MAX_NAME_LENGTH]
                with open_output(self._folder / f"{self.num_queries:02d}_{name}.svg") as picture:
                    picture.write(draw_explanation(one).encode())


def query_row(explanation: Explanation) -> pa.Table:
    """A table of `QUERIES` with one row."""
    differing = {
        "cosine_difference": float(explanation.cosines.sum()),
        "identity_difference": float(explanation.identities.sum()),
        "sites_for": ";".join(sites(explanation, explanation.reference_bases, explanation.other_bases)),
        "sites_against": ";".join(sites(explanation, explanation.other_bases, explanation.reference_bases)),
    }
    values = {name: differing[name] if name in differing else getattr(explanation, name) for name in QUERIES.names}
    return pa.Table.from_pylist([values], schema=QUERIES)


def contribution_rows(explanation: Explanation) -> pa.Table:
    """A table of `CONTRIBUTIONS`."""
    columns = {
        "id": [explanation.id] * len(explanation.bases),
        "coordinate": explanation.coordinates + 1,
        "base": _BASES[explanation.bases],
        "reference_base": _BASES[explanation.reference_bases],
        "other_base": _BASES[explanation.other_bases],
        "cosine_contribution": explanation.cosines,
        "identity_contribution": explanation.identities,
        "contribution": explanation.contributions,
    }
    return pa.table(columns, schema=CONTRIBUTIONS)


def sites(explanation: Explanation, equal: np.ndarray, different: np.ndarray) -> list[str]:
    """The sites at which a query has the base of one reference and not of the other, largest contribution first.

    Args:
        explanation: of the query.
        equal, different: int8 `[n]`, bases of the two references at its coordinates, -1 where unknown.
    """
    rows = np.flatnonzero((explanation.bases == equal) & (different >= 0) & (different != explanation.bases))
    rows = rows[np.argsort(-np.abs(explanation.contributions[rows]), kind="stable")]
    return [
        f"{_BASES[explanation.bases[row]]}{explanation.coordinates[row] + 1}{_BASES[different[row]]}" for row in rows
    ]
