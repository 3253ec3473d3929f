"""The records of each step, and which of them are read unaligned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.training.dataset import unaligned_rows_and_offsets
from barcodemae.training.steps import epoch_steps, process_batches, steps_in_epoch


@given(
    num_records=st.integers(1, 500),
    step_size=st.integers(1, 40),
    epoch=st.integers(0, 5),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 4),
)
def test_every_record_is_in_exactly_one_batch(num_records, step_size, epoch, batch_size, world_size):
    num_tokens = np.arange(num_records) % 17
    steps = epoch_steps(num_tokens, step_size, 0, epoch)
    assert len(steps) == steps_in_epoch(num_records, step_size)
    dealt = [
        record
        for step in steps
        for rank in range(world_size)
        for rows, weight in process_batches(len(step), batch_size, rank, world_size)
        for record in step[rows]
        if weight
    ]
    assert sorted(dealt) == list(range(num_records))


def test_epochs_differ_and_repeat():
    num_tokens = np.zeros(100)
    first, again, second = (np.concatenate(epoch_steps(num_tokens, 7, 0, epoch)) for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)


def test_barcodes_of_similar_length_share_a_step():
    num_tokens = np.random.default_rng(0).integers(60, 110, 6400)
    spread = [np.ptp(num_tokens[rows]) for rows in epoch_steps(num_tokens, 64, 0, 0)]
    assert np.median(spread) <= 2


def test_processes_share_a_step_evenly():
    batches = [process_batches(10, 2, rank, 3) for rank in range(3)]
    assert [[rows.tolist() for rows, _ in share] for share in batches] == [
        [[0, 3], [6, 9]],
        [[1, 4], [7]],
        [[2, 5], [8]],
    ]


def test_share_of_unaligned_records_and_distribution_of_offsets():
    unaligned, offsets = unaligned_rows_and_offsets(0, 0, np.arange(6000), 0.25, 6)
    assert unaligned.mean() == pytest.approx(0.25, abs=0.03)
    assert np.bincount(offsets, minlength=6) == pytest.approx(np.full(6, 1000), abs=150)
