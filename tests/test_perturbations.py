from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.robustness import CHANGES, insert_and_delete, perturb
from tokenization_barcodemae import reverse_complement

RANDOM = "".join(np.random.default_rng(0).choice(list("ACGT"), 20_000))
EVERY = [(change, amount) for change, (_, amounts) in CHANGES.items() for amount in amounts]


def change_one(change, amount, sequence=RANDOM, **options):
    (changed,) = perturb([sequence], np.array([0]), change, amount, **options)
    return changed


def places_changed(before, after):
    return {position for position, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_substitutions_come_at_their_rate(rate):
    changed = change_one("substitutions", rate)
    assert len(places_changed(RANDOM, changed)) / len(RANDOM) == pytest.approx(rate, rel=0.15)


def test_a_base_becomes_each_of_the_others_equally_often():
    became = Counter(zip(RANDOM, change_one("substitutions", 1.0), strict=True))
    assert set(became) == set(permutations("ACGT", 2))
    assert min(became.values()) > 0.9 * len(RANDOM) / 12
    assert max(became.values()) < 1.1 * len(RANDOM) / 12


def test_a_substitution_needs_a_known_base():
    assert change_one("substitutions", 1.0, "NRY" * 50) == "NRY" * 50


def test_ambiguous_letters_come_at_their_rate():
    changed = change_one("ambiguous", 0.03)
    assert {changed[position] for position in places_changed(RANDOM, changed)} == {"N"}
    assert changed.count("N") / len(changed) == pytest.approx(0.03, rel=0.15)


class Fixed:
    """Stands in for a generator: the chances of a change, then those of an insertion, and the bases."""

    def __init__(self, changes, coins, bases):
        self.numbers = [np.array(changes), np.array(coins)]
        self.bases = np.frombuffer(bases.encode(), np.uint8)

    def random(self, n):
        return self.numbers.pop(0)

    def choice(self, bases, n):
        return self.bases


def test_insertions_and_deletions_by_hand():
    # A stays; C goes; after G comes a T; the last A goes.
    rng = Fixed([0.5, 0.0, 0.0, 0.01], [0.0, 0.9, 0.2, 0.9], "CCTC")
    assert insert_and_delete("ACGA", 0.1, rng) == "AGT"


def test_insertions_and_deletions_are_equally_many():
    changed = change_one("indels", 0.1, "A" * 20_000)
    num_inserted = len(changed.replace("A", "")) * 4 / 3  # a quarter of the inserted bases is an A
    assert num_inserted == pytest.approx(1000, rel=0.15)
    assert len(changed) == pytest.approx(20_000, abs=150)


@pytest.mark.parametrize("length", [100, 200, 300, 400])
def test_a_mini_barcode_is_a_window_from_anywhere(length):
    sequences = [RANDOM[:658]] * 300
    windows = perturb(sequences, np.arange(300), "mini_barcode", length)
    assert {len(window) for window in windows} == {length}
    starts = [RANDOM.index(window) for window in windows]
    assert min(starts) < 20
    assert 658 - length - 20 < max(starts) <= 658 - length
    assert np.mean(starts) == pytest.approx((658 - length) / 2, rel=0.15)


def test_a_barcode_no_longer_than_the_window_stays_whole():
    assert change_one("mini_barcode", 200, RANDOM[:200]) == RANDOM[:200]
    assert change_one("mini_barcode", 200, RANDOM[:150]) == RANDOM[:150]


def test_the_frame_is_shifted_and_the_strand_turned():
    assert change_one("shifted_frame", 2, "ACGTA") == "GTA"
    assert change_one("reverse_complement", None, "AACGN") == "NCGTT"
    assert change_one("reverse_complement", None) == reverse_complement(RANDOM)


@pytest.mark.parametrize(("change", "amount"), EVERY)
def test_what_becomes_of_a_record_depends_on_seed_change_and_record_alone(change, amount):
    sequences = [RANDOM[row : row + 650] for row in range(20)]
    whole = perturb(sequences, np.arange(20), change, amount, seed=3)
    assert perturb(sequences[7:4:-1], np.array([7, 6, 5]), change, amount, seed=3) == whole[7:4:-1]


@pytest.mark.parametrize("change", ["substitutions", "indels", "ambiguous", "mini_barcode"])
def test_seeds_and_records_differ(change):
    amount = CHANGES[change][1][-1]
    same = [RANDOM[:650]] * 10
    assert len(set(perturb(same, np.arange(10), change, amount))) == 10
    assert change_one(change, amount, RANDOM[:650], seed=1) != change_one(change, amount, RANDOM[:650], seed=2)


@pytest.mark.parametrize("change", ["substitutions", "ambiguous"])
def test_what_changes_at_a_low_rate_changes_at_a_high_one(change):
    low, high = (change_one(change, rate) for rate in (0.01, 0.1))
    assert places_changed(RANDOM, low) < places_changed(RANDOM, high)
    assert all(low[position] == high[position] for position in places_changed(RANDOM, low))


@given(st.text("ACGTNRY", max_size=40), st.integers(0, 2**40), st.integers(0, 2**32))
def test_any_sequence_is_taken(sequence, record, seed):
    for change, amount in EVERY:
        (changed,) = perturb([sequence], np.array([record]), change, amount, seed)
        assert set(changed) <= set("ACGTNRY")
    for rate_of in ("substitutions", "indels", "ambiguous"):
        assert perturb([sequence], np.array([record]), rate_of, 0.0, seed) == [sequence]


def test_an_unknown_change_is_refused():
    with pytest.raises(ConfigurationError, match=r"expected one of the changes substitutions, .*, got 'typos'"):
        change_one("typos", 0.1)
