"""Optimizer and learning rate."""

import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup

from barcodemae.training.arguments import LoopArguments

# The published learning rate is for so many sequences in a step, and grows with their number.
_REFERENCE_STEP_SIZE = 64


def build_optimizer(
    model: PreTrainedModel, args: LoopArguments, step_size: int, num_steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """AdamW over all parameters, and its schedule.

    Args:
        model: whose parameters are trained.
        args: learning rate, weight decay and schedule.
        step_size: records in a step.
        num_steps: steps of the whole run.
    """
    peak = args.learning_rate * step_size / _REFERENCE_STEP_SIZE
    encoder = list(model.base_model.parameters())
    of_encoder = {id(parameter) for parameter in encoder}
    head = [parameter for parameter in model.parameters() if id(parameter) not in of_encoder]
    peaks = [peak, peak * args.head_learning_rate_factor]
    groups = [{"params": part, "lr": rate} for part, rate in zip((encoder, head), peaks, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=args.weight_decay, fused=True)
    if args.schedule == "cosine":
        return optimizer, get_cosine_schedule_with_warmup(optimizer, round(num_steps * args.warmup_share), num_steps)
    # One more than is ever stepped: the schedule refuses the step after its last.
    total_steps = num_steps + 1
    # A rise of just one step would divide by zero steps of it: it is made longer by a hair.
    warmup_share = args.warmup_share * (1 + 1e-6) if total_steps * args.warmup_share == 1 else args.warmup_share
    return optimizer, OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup_share)
