"""A calibration that needs no queries."""

import numpy as np

from barcodemae.library.calibration.guarantee import GROUPS, Guarantee, HeldOut
from barcodemae.library.calibration.probability import LENGTHS, NUM_FEATURES, OWN, TARGETS, Calibration


def plain_calibration(by=OWN, weights=(1.0, 1.0, 1.0, 0.0, 0.0, 0.0), num_species=10**6):
    """The same weights for every rank and length, and no held-out queries."""
    held_out = (HeldOut(0, np.zeros(0, np.float32)),) * len(LENGTHS)
    each = np.tile(np.array(weights, float), (len(LENGTHS), 1))
    assert each.shape[1] == NUM_FEATURES
    numbers = np.full(len(LENGTHS), num_species)
    return Calibration(
        dict.fromkeys(TARGETS, each), dict.fromkeys(TARGETS, numbers), by, Guarantee(dict.fromkeys(GROUPS, held_out))
    )
