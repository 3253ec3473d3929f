"""Queries that are copies of references, or parts of them, or contain them: they show no more than memory."""

from collections.abc import Iterable, Sequence

import numpy as np

from tokenization_barcodemae import read_kmers

_HALF = 12
_LENGTH = 2 * _HALF
"""Bases of the words by which sequences are found that may be parts of each other."""

# A reference that is part of a query is looked for by that one of so many of its words that fewest queries have.
_NUM_WORDS = 8
_NONE = -1


class CopySearch:
    """Finds out which queries have the sequence of a reference, or are part of one, or contain one.

    Characters are compared as they are, so that an ambiguous base equals itself alone. Sequences without 24 known bases
    in a row are not found.

    Args:
        queries: `[n]`, normalised DNA.

    Attributes:
        is_copy: bool `[n]`, by the references so far.
    """

    def __init__(self, queries: Sequence[str]):
        self._queries = list(queries)
        self.is_copy = np.zeros(len(queries), bool)
        words, rows = _words(self._queries)
        order = np.argsort(words, kind="stable")
        self._words, self._rows = words[order], rows[order]
        distinct, first, counts = np.unique(self._words, return_index=True, return_counts=True)
        self._distinct, self._first, self._counts = distinct, first, counts
        # The rarest word of each query: the first one of it in the order of counts.
        of_word = counts[np.searchsorted(distinct, self._words)]
        by_rarity = np.lexsort((of_word, self._rows))
        _, begins = np.unique(self._rows[by_rarity], return_index=True)
        rarest = by_rarity[begins]
        order = np.argsort(self._words[rarest], kind="stable")
        self._seeds, self._seed_rows = self._words[rarest][order], self._rows[rarest][order]

    def add(self, references: Sequence[str]) -> None:
        """Compare the queries with some thousand references, normalised DNA."""
        words, rows = _words(references)
        if not len(words) or not len(self._seeds):
            return
        at = np.searchsorted(self._seeds, words)
        found = np.flatnonzero(self._seeds[np.minimum(at, len(self._seeds) - 1)] == words)
        ends = np.searchsorted(self._seeds, words[found], side="right")
        for row, begin, end in zip(rows[found].tolist(), at[found].tolist(), ends.tolist(), strict=True):
            for query in self._seed_rows[begin:end].tolist():
                if not self.is_copy[query]:
                    self.is_copy[query] = self._queries[query] in references[row]
        self._add_parts(references, words, rows)

    def _add_parts(self, references: Sequence[str], words: np.ndarray, rows: np.ndarray) -> None:
        """Find the queries that contain a reference, whose words and rows `[words]` are given."""
        begins = np.searchsorted(rows, np.arange(len(references)))
        numbers = np.diff(np.append(begins, len(rows)))
        has_words = np.flatnonzero(numbers)
        steps = np.linspace(0, 1, _NUM_WORDS)
        chosen = words[begins[has_words, None] + (steps * (numbers[has_words, None] - 1)).astype(np.int64)]
        at = np.minimum(np.searchsorted(self._distinct, chosen), len(self._distinct) - 1)
        counts = np.where(self._distinct[at] == chosen, self._counts[at], 0)
        rarest = counts.argmin(axis=1)
        for index in np.flatnonzero(counts.min(axis=1)):  # all of its words are in queries
            word = at[index, rarest[index]]
            for query in self._rows[self._first[word] : self._first[word] + self._counts[word]].tolist():
                if not self.is_copy[query]:
                    self.is_copy[query] = references[has_words[index]] in self._queries[query]


def find_copies(queries: Sequence[str], references: Iterable[Sequence[str]]) -> np.ndarray:
    """Which queries have the sequence of a reference, or are part of one, or contain one: bool `[n]`.

    Args:
        queries: `[n]`, normalised DNA.
        references: some thousand sequences at a time, normalised DNA.

    Examples:
        >>> from barcodemae.evaluation.copies import find_copies
        >>> text = "ACGTTGCAACCGGTATATCGCGATTACAGGCTTA"
        >>> find_copies([text, text[3:30], text + "ACGT", text[:-1] + "C"], [[text]]).tolist()
        [True, True, True, False]
    """
    search = CopySearch(queries)
    for block in references:
        search.add(block)
    return search.is_copy


def _words(sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The words of sequences, in their order, as integers, and the row of the sequence that each is of."""
    words, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for block in read_kmers(sequences, _HALF):
        ids, row_of = block.ids.astype(np.int64), block.row_of
        second = np.append(ids[_HALF:], np.full(min(_HALF, len(ids)), _NONE))
        is_word = (ids >= 0) & (second >= 0) & (np.arange(len(ids)) + _LENGTH <= block.bounds[1:][row_of])
        words.append(ids[is_word] * 4**_HALF + second[is_word])
        rows.append(row_of[is_word] + block.rows.start)
    return np.concatenate(words), np.concatenate(rows)
