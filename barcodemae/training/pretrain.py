"""From arguments to a pretrained checkpoint."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available

from barcodemae.embedding import fastest_dtype
from barcodemae.errors import ConfigurationError
from barcodemae.files import written_whole
from barcodemae.hub.checkpoint import save_checkpoint
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import load_frame, load_training_data
from barcodemae.training.loop import train
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.provenance import TRAINING_FILE, describe_training
from barcodemae.training.state import METRICS_FILE
from modeling_barcodemae import SIZES, BarcodeMAEConfig, BarcodeMAEForPreTraining

# They may differ between a run and the one that goes on with it.
_FREE_TO_CHANGE = {"output_dir", "resume", "log_every", "eval_every", "save_every", "data"}


def pretrain(model_args: ModelArguments, data_args: DataArguments, args: LoopArguments) -> Path:
    """Pretrain BarcodeMAE.

    Args:
        model_args: which model.
        data_args: on which barcodes.
        args: how.

    Returns:
        The folder with the checkpoint, `metrics.jsonl`, `run.yaml`, `training.json` and the state to resume from.

    Raises:
        BarcodeMAEError: bad input, or a folder that holds another run.
    """
    folder = Path(args.output_dir)
    if not args.resume and (folder / METRICS_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds a run already: go on with --resume true, or name another --output_dir"
        )
    config = build_config(model_args)
    frame = load_frame(data_args.frame)
    training, validation = load_training_data(data_args, frame, config.k, args.seed)

    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),  # else two processes on CPUs would not know of each other
        mixed_precision=choose_precision(args.mixed_precision),
        log_with="tensorboard" if is_tensorboard_available() else None,
        project_dir=folder,
    )
    accelerator.init_trackers("tensorboard")
    torch.manual_seed(args.seed)
    model = BarcodeMAEForPreTraining(config)
    objective = MaskedReconstruction(args.seed, config.mask_ratio)
    settings = dataclasses.asdict(model_args) | dataclasses.asdict(data_args) | dataclasses.asdict(args)
    run = {name: value for name, value in settings.items() if name not in _FREE_TO_CHANGE}
    run |= {
        "records": training.fingerprint(),
        "processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
    }
    if accelerator.is_main_process:
        with written_whole(folder) as scratch:
            (scratch / "run.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    train(accelerator, model, objective, training, validation, args, run)

    if accelerator.is_main_process:
        save_checkpoint(folder, model, frame)
        origin = describe_training(model_args, data_args, args, training, validation, accelerator)
        with written_whole(folder) as scratch:
            (scratch / TRAINING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
    accelerator.end_training()
    return folder


def choose_precision(wanted: str) -> str:
    """`no` or `bf16`: what is wanted, or with `auto` what the device is faster in."""
    if wanted != "auto":
        return wanted
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return "bf16" if fastest_dtype(str(device)) == torch.bfloat16 else "no"


def build_config(args: ModelArguments) -> BarcodeMAEConfig:
    """The model's configuration.

    Raises:
        ConfigurationError: values that don't go together.
    """
    if args.size not in SIZES:
        raise ConfigurationError(f"--size {args.size}: expected one of {', '.join(SIZES)}")
    if not 1 <= args.k <= 8:
        raise ConfigurationError(f"--k {args.k}: expected 1 to 8")
    settings: dict[str, Any] = {
        **SIZES[args.size],
        "k": args.k,
        "mask_ratio": args.mask_ratio,
        "mask_by_chance": args.mask_by_chance,
        "hidden_dropout_prob": args.dropout,
        "attention_probs_dropout_prob": args.dropout,
        "decoder_num_hidden_layers": args.decoder_layers,
        "decoder_hidden_size": args.decoder_width,
        "decoder_num_attention_heads": args.decoder_heads,
    }
    try:
        return BarcodeMAEConfig(**settings)
    except Exception as error:  # the library wraps what its validators raise in a class of its own
        raise ConfigurationError(" ".join(str(error).split())) from error
