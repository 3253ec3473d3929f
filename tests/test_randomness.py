"""Random numbers are a function of seed, stream, epoch and record."""

import numpy as np
import pytest

from barcodemae.training.randomness import Stream, generator_seed, uniform


def draw(seed=0, stream=Stream.MASK, epoch=0, records=range(1000), count=50):
    return uniform(seed, stream, epoch, np.array(records), count)


def test_depend_only_on_seed_stream_epoch_and_record():
    numbers = draw()
    assert np.array_equal(numbers, draw())
    assert np.array_equal(numbers[[7, 3]], draw(records=[7, 3]))
    assert np.array_equal(numbers[:, :20], draw(count=20))


@pytest.mark.parametrize("other", [{"seed": 1}, {"stream": Stream.OFFSET}, {"epoch": 1}, {"epoch": -1}])
def test_differ_for_any_other(other):
    assert np.abs(np.corrcoef(draw().ravel(), draw(**other).ravel())[0, 1]) < 0.02


def test_are_uniform_and_independent():
    numbers = draw(records=range(5000), count=40)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] / numbers.size - 0.1).max() < 0.003
    assert np.abs(np.corrcoef(numbers.T)[np.triu_indices(40, 1)]).max() < 0.07  # 5 standard deviations
    assert np.abs(np.corrcoef(numbers[:, 0][:-1], numbers[:, 0][1:])[0, 1]) < 0.07


def test_large_and_negative_record_numbers():
    assert np.isfinite(draw(records=[2**62, 0, 5])).all()


def test_seeds_fit_every_generator():
    seeds = [generator_seed(0, Stream.ORDER, epoch) for epoch in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
