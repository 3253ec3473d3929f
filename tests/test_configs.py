"""The recipes in `configs/`: all are valid, and one is that of the paper."""

from pathlib import Path

import pytest

from barcodemae.cli.arguments import parse_arguments
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.loop import build_optimizer
from barcodemae.training.model import build_config
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder

FOLDER = Path(__file__).parent.parent / "configs"


def parse(name, *arguments):
    kinds = (ModelArguments, DataArguments, LoopArguments)
    return parse_arguments(kinds, ["--config", str(FOLDER / f"{name}.yaml"), *arguments], takes_config=True)


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.yaml")))
def test_each_builds_a_model_and_a_schedule(name):
    model_args, _, args = parse(name)
    config = build_config(model_args, KmerEncoder(model_args.k), 660)
    small = {"hidden_size": 12, "num_attention_heads": 6, "num_hidden_layers": 1, "intermediate_size": 12}
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=config.k, **small))
    optimizer, _ = build_optimizer(model, args, args.batch_size, num_steps=1000)
    assert all(0 < group["lr"] < 1e-3 for group in optimizer.param_groups)


@pytest.mark.parametrize("name", ["small", "base"])
def test_recipes_for_a_gpu_share_their_peaks(name):
    model_args, _, args = parse(name)
    assert model_args.size == name
    peak = args.learning_rate * args.batch_size / 64
    assert (peak, peak * args.head_learning_rate_factor) == pytest.approx((1e-4, 8e-4))


def test_base_is_the_papers_model():
    config = build_config(parse("base")[0], KmerEncoder(), 660)
    assert (config.num_hidden_layers, config.num_attention_heads, config.hidden_size) == (6, 6, 768)
    assert (config.decoder_num_hidden_layers, config.decoder_num_attention_heads) == (6, 6)
    assert config.k == 6


def test_published_recipe_is_one_adamw_under_one_cycle():
    model_args, data_args, args = parse("base_published")
    config = build_config(model_args, KmerEncoder(model_args.k), 660)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)
    assert config.mask_by_chance
    assert (data_args.frame, data_args.unaligned_share, data_args.max_nucleotides) == ("none", 1.0, 660)
    assert (args.mixed_precision, args.max_grad_norm, args.epochs, args.accumulation) == ("no", 0, 45, 1)

    small = BarcodeMAEConfig(k=1, hidden_size=4, num_attention_heads=1, num_hidden_layers=1, intermediate_size=4)
    optimizer, schedule = build_optimizer(BarcodeMAEForPreTraining(small), args, step_size=16, num_steps=1000)
    # 1e-4 for 64 records is 2.5e-5 for 16; the start is a 25th of it, and beta1 goes from 0.95 to 0.85 at the peak.
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-6, 1e-6])
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.95, 0.999))
    rates, momenta = [], []
    for _ in range(1000):
        rates.append(schedule.get_last_lr())
        momenta.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        schedule.step()
    peak = max(range(1000), key=lambda step: rates[step][0])
    assert peak == pytest.approx(300, abs=2)
    assert rates[peak] == pytest.approx([2.5e-5, 2.5e-5], rel=1e-4)
    assert momenta[peak] == pytest.approx(0.85, abs=1e-4)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-5}


def test_recipe_of_barcodemae_plus():
    model_args, data_args, args = parse("barcodemae_plus")
    config = build_config(model_args, KmerEncoder(model_args.k), 660)
    assert (config.num_hidden_layers, config.hidden_size, config.decoder_num_hidden_layers) == (6, 768, 6)
    assert (config.pooling, config.mask_ratio, config.token_decoder_weight) == ("cls", 0.5, 1.0)
    assert (model_args.auxiliary, model_args.auxiliary_rank) == ("cross-entropy", "genus")
    assert (model_args.auxiliary_weight, model_args.auxiliary_warmup_epochs) == (0.1, 5)
    assert (args.batch_size, args.taxa_per_batch, args.barcodes_per_taxon) == (128, 16, 4)
    assert args.learning_rate * args.batch_size / 64 == pytest.approx(7e-5)
    assert (args.epochs, args.max_grad_norm, args.weight_decay, args.warmup_share) == (35, 0.5, 1e-5, 0.3)
    assert (data_args.frame, data_args.unaligned_share) == ("none", 1.0)
