"""The loop on a model that processes share by FSDP2, on CPUs: `torchrun ... sharded_train.py DATA FOLDER OPTIONS`.

Accelerate does not apply its FSDP plugin on CPUs, so this shards as the plugin would, with torch's own `fully_shard`.
OPTIONS are the loop's, as JSON. The weights at the end go to `weights.pt` in the folder. One process shares with none.
"""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from barcodemae.training.arguments import DataArguments, LoopArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.loop import train
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.state import full_weights
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder, ReferenceFrame


class ShardingAccelerator(Accelerator):
    """Shares the parameters among the processes where it would have copied them."""

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple:
        if self.num_processes == 1:
            return super().prepare(model, optimizer)
        names = {parameter: name for name, parameter in model.named_parameters()}
        for layer in (*model.bert.encoder.layer, *model.decoder.bert.encoder.layer, model):
            fully_shard(layer)
        shared = dict(model.named_parameters())
        assert all(isinstance(parameter, DTensor) for parameter in shared.values())
        for group in optimizer.param_groups:
            group["params"] = [shared[names[parameter]] for parameter in group["params"]]
        return model, optimizer

    def no_sync(self, model: nn.Module):
        raise AssertionError("expected one batch in a step")


def main() -> None:
    data, folder, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    accelerator = ShardingAccelerator(cpu=True)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=4, **size, **dropout))
    sources = DataArguments(data=[data], cache_dir=str(folder.parent / "cache"))
    records = load_training_data(sources, ReferenceFrame.coi(), KmerEncoder(4), seed=0)
    args = LoopArguments(output_dir=str(folder), log_every=1, **options)
    train(accelerator, model, MaskedReconstruction(0, 0.5), *records, args, {"name": "sharded"})
    weights = full_weights(model)
    if accelerator.is_main_process:
        torch.save(weights, folder / "weights.pt")
    accelerator.end_training()
    # The sharded model keeps gloo's threads, which now and then abort the end of the interpreter.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
