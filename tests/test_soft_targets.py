"""Soft targets of the token decoder: edit distances, loss by hand, and what is refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import ModelArguments
from barcodemae.training.model import build_config
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from modeling_barcodemae.soft_targets_barcodemae import edit_distances, soft_cross_entropy
from tokenization_barcodemae import BpeEncoder, KmerEncoder, train_bpe_tokenizer

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
CPU = torch.device("cpu")


def index(kmer):
    return int("".join(str("ACGT".index(base)) for base in kmer), 4)


def levenshtein(first, second):
    """By the definition, recursively."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        levenshtein(first[1:], second) + 1,
        levenshtein(first, second[1:]) + 1,
        levenshtein(first[1:], second[1:]) + (first[0] != second[0]),
    )


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("ACGT", "ACGT", 0), ("ACGT", "ACGA", 1), ("ACGT", "CGTA", 2), ("AAAA", "TTTT", 4), ("ACAC", "CACA", 2)],
)
def test_edit_distances(first, second, distance):
    assert edit_distances(4, CPU)[index(first), index(second)] == distance


@given(st.text("ACGT", min_size=4, max_size=4), st.text("ACGT", min_size=4, max_size=4))
def test_edit_distances_agree_with_the_definition(first, second):
    assert edit_distances(4, CPU)[index(first), index(second)] == levenshtein(first, second)


def test_table_is_computed_once():
    assert edit_distances(3, CPU) is edit_distances(3, CPU)


def test_loss_by_hand():
    # For 1-mers, the other three bases are at distance 1: a temperature of 1 / log 2 halves them.
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [9.0, 0.0, 0.0, 0.0]]).log()
    logits[2] = 0
    labels = torch.tensor([0, 3, -100])
    losses = -torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    expected = 0.4 * losses[0] + 0.2 * losses[1:].sum() + math.log(4)
    found = soft_cross_entropy(logits, labels, k=1, temperature=1 / math.log(2))
    torch.testing.assert_close(found, expected)


def test_gradient_is_the_difference_of_prediction_and_target():
    logits = torch.randn(3, 16, requires_grad=True)
    labels = torch.tensor([5, -100, 0])
    (gradient,) = torch.autograd.grad(soft_cross_entropy(logits, labels, 2, 0.7), logits)
    targets = (-edit_distances(2, CPU)[[5, 0]] / 0.7).softmax(1)
    torch.testing.assert_close(gradient[[0, 2]], logits.softmax(1)[[0, 2]] - targets)
    assert not gradient[1].any()


def test_temperature_near_0_is_the_published_loss():
    torch.manual_seed(1)
    ids, noise, losses = torch.randint(2, 66, (3, 12)), torch.rand(3, 12), []
    for temperature in (0.0, 0.01, 1.0):
        torch.manual_seed(0)
        config = BarcodeMAEConfig(k=3, **SMALL, soft_target_temperature=temperature)
        losses.append(BarcodeMAEForPreTraining(config).eval()(ids, noise=noise).loss)
    torch.testing.assert_close(losses[1], losses[0])
    assert (losses[2] - losses[0]).abs() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 2, "soft_target_temperature": -1.0}, "must be 0 or more; got -1.0"),
        ({"k": 7}, "tokens that are k-mers, with k of at most 6; got 16384 tokens with k = 7"),
        ({"k": 2, "objective": "mlm"}, "expects objective mae and token_decoder_weight above 0; got mlm and 1.0"),
        ({"k": 2, "token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0}, "got mae and 0.0"),
    ],
)
def test_contradictory_configuration(settings, message):
    with pytest.raises(Exception, match=message):
        BarcodeMAEConfig(**({"soft_target_temperature": 1.0} | settings), **SMALL)


def test_contradictory_options(sample):
    with pytest.raises(ConfigurationError, match=r"--soft-target-temperature 1.0: expected --objective mae"):
        ModelArguments(soft_target_temperature=1.0, objective="causal")
    args = ModelArguments(soft_target_temperature=1.0)
    assert build_config(args, KmerEncoder(6), 660).soft_target_temperature == 1.0
    encoder = BpeEncoder(train_bpe_tokenizer(sample["nucleotides"][:200].to_pylist(), 128))
    with pytest.raises(ConfigurationError, match="expects tokens that are k-mers"):
        build_config(args, encoder, 660)
