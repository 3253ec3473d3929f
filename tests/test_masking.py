"""Which tokens are kept: cases by hand, and properties for any noise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_barcodemae.masking_barcodemae import (
    count_kept,
    partition_by_chance,
    partition_equally,
    partition_unknown,
    put_columns,
    take_columns,
)


def test_equal_numbers_keep_the_tokens_with_the_smallest_noise():
    noise = torch.tensor([[0.9, 0.1, 0.4, 0.7], [0.2, 0.8, 0.6, 0.3]])
    partition = partition_equally(noise, torch.ones(2, 4, dtype=torch.bool), mask_ratio=0.5)
    assert partition.order.tolist() == [[1, 2, 3, 0], [0, 3, 2, 1]]
    assert partition.num_kept == partition.first_masked == 2
    assert partition.kept().tolist() == [[True, True, False, False]] * 2
    assert partition.masked().tolist() == [[False, False, True, True]] * 2


def test_equal_numbers_depend_on_the_shortest_row_and_leave_out_absent_tokens():
    noise = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]])
    known = torch.tensor([[True, True, True, True, True], [False, True, False, True, False]])
    partition = partition_equally(noise, known, mask_ratio=0.5)
    assert partition.num_kept == 1
    assert partition.order[0].tolist() == [0, 1, 2, 3, 4]
    assert partition.order[1, :2].tolist() == [1, 3]
    assert partition.masked().sum(1).tolist() == [4, 1]


def test_equal_numbers_with_an_empty_row():
    known = torch.tensor([[True, True, True, True], [False, False, False, False]])
    partition = partition_equally(torch.rand(2, 4), known, mask_ratio=0.5)
    assert partition.kept().sum(1).tolist() == [1, 0]
    assert partition.masked().sum(1).tolist() == [3, 0]
    assert partition.first_masked == 0


def test_given_number_gives_the_same_partition():
    noise, known = torch.rand(3, 10), torch.ones(3, 10, dtype=torch.bool)
    computed, given = partition_equally(noise, known, 0.5), partition_equally(noise, known, 0.5, num_kept=5)
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(computed, given, strict=True))


def test_by_chance_masks_where_noise_is_large():
    noise = torch.tensor([[0.1, 0.9, 0.2, 0.3], [0.6, 0.7, 0.1, 0.9]])
    partition = partition_by_chance(noise, torch.ones(2, 4, dtype=torch.bool), mask_ratio=0.5)
    assert partition.kept_counts.tolist() == [3, 1]
    assert (partition.num_kept, partition.first_masked) == (3, 1)
    assert partition.order[:, 0].tolist() == [0, 2]


@pytest.mark.parametrize("noise", [0.0, 0.99])
def test_by_chance_keeps_one_and_masks_one(noise):
    known = torch.tensor([[True, True, True], [True, True, False], [True, False, False], [False, False, False]])
    partition = partition_by_chance(torch.full((4, 3), noise), known, mask_ratio=0.5)
    kept, masked = partition.kept().sum(1), partition.masked().sum(1)
    assert (kept[:3] >= 1).all()
    assert (masked[:2] >= 1).all()
    assert (kept[3], masked[3], masked[2]) == (0, 0, 0)


def test_unknown_tokens_are_masked():
    known = torch.tensor([[True, False, True, False]])
    unknown = torch.tensor([[False, True, False, False]])
    partition = partition_unknown(known, unknown)
    assert partition.order.tolist() == [[0, 2, 1]]
    assert partition.masked().tolist() == [[False, False, True]]


def test_put_columns_reverses_take_columns():
    values, columns = torch.arange(12.0).reshape(2, 3, 2), torch.tensor([[2, 0], [1, 2]])
    taken = take_columns(values, columns)
    assert taken.tolist() == [[[4, 5], [0, 1]], [[8, 9], [10, 11]]]
    assert put_columns(taken, columns, torch.full_like(values, -1)).tolist() == [
        [[0, 1], [-1, -1], [4, 5]],
        [[-1, -1], [8, 9], [10, 11]],
    ]


def test_number_of_kept_tokens():
    assert [count_kept(n, 0.5) for n in (0, 1, 2, 3, 109)] == [1, 1, 1, 2, 54]
    assert count_kept(100, 0.75) == 25
    assert count_kept(3, 0.01) == 2


@given(
    known=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
    by_chance=st.booleans(),
    mask_ratio=st.floats(0.05, 0.95),
)
def test_kept_and_masked_tokens_are_the_known_ones(known, seed, by_chance, mask_ratio):
    known = torch.tensor(known)
    noise = torch.rand(known.shape, generator=torch.Generator().manual_seed(seed))
    partition = (partition_by_chance if by_chance else partition_equally)(noise, known, mask_ratio)
    assert not (partition.kept() & partition.masked()).any()
    found = put_columns(partition.present(), partition.order, torch.zeros_like(known))
    assert torch.equal(found, known)
    enough = known.sum(1) >= 2
    assert (partition.kept().sum(1)[enough] >= 1).all()
    assert (partition.masked().sum(1)[enough] >= 1).all() or not by_chance
