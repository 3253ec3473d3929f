"""Which sequences have come before: told from hashes, so that the text of millions need not be kept."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

# 128 bits: among five million texts, two different ones are taken for the same with a chance of 4 in 10^26.
_DIGEST_BYTES = 16


class FirstSeen:
    """Remembers texts, 16 bytes of each."""

    def __init__(self) -> None:
        # In order, behind a first one that no text has.
        self._digests = np.zeros(1, f"S{_DIGEST_BYTES}")

    def __call__(self, texts: Iterable[str]) -> np.ndarray:
        """Whether each text comes for the first time, here and in all earlier calls: bool `[n]`."""
        joined = b"".join(blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest() for text in texts)
        digests = np.frombuffer(joined, self._digests.dtype)
        distinct, rows = np.unique(digests, return_index=True)
        places = np.searchsorted(self._digests, distinct)
        is_new = self._digests[np.minimum(places, len(self._digests) - 1)] != distinct
        self._digests = np.insert(self._digests, places[is_new], distinct[is_new])
        is_first = np.zeros(len(digests), bool)
        is_first[rows[is_new]] = True
        return is_first
