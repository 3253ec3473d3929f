"""Numbers by which barcodes are identified."""

NUM_CANDIDATES = 50
"""References nearest by their vectors, which are compared base by base."""

NUM_VOTERS = 10
"""The best of these candidates, which vote for a name."""

MIN_CONFIDENCE = 0.8
"""Probability of being right that a name needs to be called."""
