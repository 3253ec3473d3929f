"""Identification of a mixture of markers: each query by the library of its marker."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.errors import ConfigurationError
from barcodemae.library.identification import Identifier
from barcodemae.library.search.marker import ANOTHER_MARKER, NOT_THE_MARKER


class MixtureIdentifier:
    """Identifies barcodes of several markers, for each of which there is a library.

    A query is identified by the first library that accepts it as its marker; those with a reference frame, which hardly
    ever mistake other DNA for it, are tried first. A query that none accepts has as reason the known marker that it is
    of, or `not the marker`.

    Args:
        identifiers: one for each marker.

    Attributes:
        identifiers: in the order in which they are tried.

    Raises:
        ConfigurationError: two libraries are of the same marker.
    """

    def __init__(self, identifiers: Sequence[Identifier]):
        self.identifiers = sorted(identifiers, key=lambda one: not one.has_frame)
        names = [one.marker for one in identifiers]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"expected libraries of different markers, got several of {name}")
        self._own_markers = pa.array([f"{ANOTHER_MARKER}{name}" for name in names])

    def __call__(self, records: pa.Table) -> pa.Table:
        """Identify some thousand queries; see `Identifier`."""
        results = self.identifiers[0](records)
        for identifier in self.identifiers[1:]:
            refused = np.flatnonzero(_is_off_the_marker(results))
            found = identifier(records.take(pa.array(refused)))
            is_accepted = ~_is_off_the_marker(found)
            rows = np.arange(len(results))
            rows[refused[is_accepted]] = len(results) + np.flatnonzero(is_accepted)
            results = pa.concat_tables([results, found]).take(pa.array(rows))
        reasons = results["reason"]
        # A library refuses what is of its marker by the profile of known markers, but unlike its references.
        is_own = pc.is_in(reasons, value_set=self._own_markers)
        position = results.column_names.index("reason")
        return results.set_column(position, "reason", pc.if_else(is_own, NOT_THE_MARKER, reasons))


def _is_off_the_marker(results: pa.Table) -> np.ndarray:
    """Which queries another library may accept, bool `[n]`."""
    reasons = results["reason"]
    return pc.or_(pc.equal(reasons, NOT_THE_MARKER), pc.starts_with(reasons, ANOTHER_MARKER)).to_numpy()
