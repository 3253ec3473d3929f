"""Batches balanced by taxon: composition, epochs, processes, resumption, and what is refused."""

from collections import Counter

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.balanced import BalancedBatches, draw_distinct
from barcodemae.training.dataset import load_training_data
from barcodemae.training.loop import train
from barcodemae.training.model import build_model, choose_start
from barcodemae.training.pretrain import pretrain
from barcodemae.training.state import load_state
from barcodemae.training.steps import process_batches
from helpers.small_files import write_named_rows
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

# Five frequent taxa, one of two records, and ten records without a name.
TAXA = np.random.default_rng(0).permutation(np.concatenate([np.repeat(np.arange(5), 9), [5, 5], np.full(10, -1)]))


@given(
    accumulation=st.integers(1, 3),
    processes=st.integers(1, 3),
    num_others=st.integers(0, 7),
    epoch=st.integers(0, 3),
)
def test_each_batch_of_each_process_is_balanced(accumulation, processes, num_others, epoch):
    size = 8 + num_others
    balance = BalancedBatches(TAXA, 2, 4)
    steps = balance.epoch_steps(size, accumulation, processes, 0, epoch)
    assert len(steps) == balance.steps_in_epoch(size, accumulation * processes)
    others = []
    for step in steps:
        for rank in range(processes):
            batches = process_batches(len(step), size, rank, processes)
            assert [weight for _, weight in batches] == [1.0] * accumulation
            for rows, _ in batches:
                records = step[rows]
                balanced = records[:8]
                assert len(set(balanced)) == 8
                assert sorted(Counter(TAXA[balanced]).values()) == [4, 4]
                assert set(TAXA[balanced]) <= set(range(5))
                others += records[8:].tolist()
    if num_others:  # each record is read in an epoch, and none twice before all were
        counts = Counter(others)
        assert len(counts) == len(TAXA)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_epochs_differ_and_repeat():
    balance = BalancedBatches(TAXA, 3, 2)
    first, again, second = (np.stack(balance.epoch_steps(10, 1, 1, 0, epoch)) for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, np.stack(balance.epoch_steps(10, 1, 1, 1, 0)))


def test_taxa_are_equally_frequent_whatever_their_number_of_records():
    taxa = np.repeat([0, 1, 2], [4, 40, 400])
    steps = np.stack(
        [step for epoch in range(60) for step in BalancedBatches(taxa, 2, 2).epoch_steps(8, 1, 1, 0, epoch)]
    )
    shares = np.bincount(taxa[steps[:, :4]].ravel()) / steps[:, :4].size
    assert shares == pytest.approx(np.full(3, 1 / 3), abs=0.02)


def test_distinct_numbers_are_all_equally_probable():
    drawn = draw_distinct(np.full(30_000, 4), 3, np.random.default_rng(0))
    assert (np.diff(np.sort(drawn, axis=1)) > 0).all()
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 24
    assert list(counts.values()) == pytest.approx([1250] * 24, rel=0.15)
    assert np.sort(draw_distinct(np.array([2, 3]), 2, np.random.default_rng(0))[0]).tolist() == [0, 1]


def test_too_few_taxa():
    message = "--taxa-per-batch 6: expected as many taxa with --barcodes-per-taxon 4 training records or more, got 5"
    with pytest.raises(ConfigurationError, match=message):
        BalancedBatches(TAXA, 6, 4)
    with pytest.raises(ConfigurationError, match="got 0"):
        BalancedBatches(np.full(5, -1), 2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taxa_per_batch": 16}, "--batch-size 16: expected --taxa-per-batch times --barcodes-per-taxon, 64, or more"),
        ({"taxa_per_batch": 1}, "expected 2 or more, got 1 and 4"),
        ({"taxa_per_batch": 2, "barcodes_per_taxon": 1}, "expected 2 or more, got 2 and 1"),
        ({"taxa_per_batch": -1}, "expected 2 or more, got -1 and 4"),
    ],
)
def test_contradictory_options(options, message):
    with pytest.raises(ConfigurationError, match=message):
        LoopArguments(**options)


@pytest.fixture(scope="module")
def file(sample, tmp_path_factory):
    return str(write_named_rows(sample, tmp_path_factory.mktemp("data") / "small.tsv", train=80, val=10))


def test_no_labelled_objective(file, tmp_path):
    data = DataArguments(data=[file], cache_dir=str(tmp_path / "cache"))
    args = LoopArguments(output_dir=str(tmp_path / "run"), taxa_per_batch=2)
    with pytest.raises(ConfigurationError, match="--taxa-per-batch 2: expected --auxiliary with it, got none"):
        pretrain(ModelArguments(size="nano"), data, args)
    assert not (tmp_path / "run").exists()


class _Stopped(Exception):
    pass


class TestLoop:
    ARGS = ModelArguments(size="nano", pooling="cls", auxiliary="triplet", auxiliary_rank="family")

    def run(self, file, folder, stop_at=None, **options):
        """A run whose auxiliary objective begins in the second epoch."""
        torch.manual_seed(0 if stop_at or not options.get("resume") else 5)
        training, validation = load_training_data(DataArguments(data=[file]), ReferenceFrame.coi(), KmerEncoder(6), 0)
        taxa = training.barcodes.taxa("family")[1]
        training = _Interrupted(training, BalancedBatches(taxa, 2, 3), stop_at)
        self.ARGS.auxiliary_warmup_epochs = 1
        model, objective = build_model(
            choose_start(self.ARGS, DataArguments(data=[file])), self.ARGS, training, validation, 0
        )
        defaults = {"epochs": 2, "batch_size": 24, "log_every": 1, "save_every": 5, "eval_every": 4}
        args = LoopArguments(output_dir=str(folder), **(defaults | options))
        train(Accelerator(cpu=True), model, objective, training, validation, args, {"name": "test"})
        return model

    def test_resumed_run_equals_an_uninterrupted_one(self, file, tmp_path):
        complete = self.run(file, tmp_path / "a")
        with pytest.raises(_Stopped):
            self.run(file, tmp_path / "b", stop_at=8)
        assert load_state(tmp_path / "b")["step"] == 5
        resumed = self.run(file, tmp_path / "b", resume=True)
        assert load_state(tmp_path / "a")["step"] == load_state(tmp_path / "b")["step"] == 10
        for first, second in zip(complete.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(first, second)


class _Interrupted:
    """Balanced training data that raise an error at one step."""

    def __init__(self, data, balance, stop_at):
        self._data, self._balance, self._stop_at, self._count = data, balance, stop_at, 0

    def arrays(self, *arguments):
        self._count += 1
        if self._count == self._stop_at:
            raise _Stopped
        return self._data.arrays(*arguments)

    def steps_in_epoch(self, *arguments):
        return self._balance.steps_in_epoch(*arguments)

    def epoch_steps(self, batch_size, accumulation, processes, epoch):
        return self._balance.epoch_steps(batch_size, accumulation, processes, 0, epoch)

    def __getattr__(self, name):
        return getattr(self._data, name)

    def __len__(self):
        return len(self._data)
