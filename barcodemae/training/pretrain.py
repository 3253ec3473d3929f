"""Pretraining or fine-tuning: from options and barcodes to a trained checkpoint."""

import dataclasses
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedModel

from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.errors import ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.outputs import check_output_folder
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.balanced import BalancedBatches
from barcodemae.training.dataset import TrainingData, load_training_data
from barcodemae.training.loop import train
from barcodemae.training.metrics import choose_tracker, start_tracker
from barcodemae.training.model import Start, build_model, choose_start
from barcodemae.training.objectives import Objective
from barcodemae.training.plan import describe_plan, measure_costs
from barcodemae.training.precision import choose_attention, fastest_dtype
from barcodemae.training.state import claimed, full_weights, refuse_another_run
from barcodemae.training.stopping import shortage_explained
from barcodemae.training.summary import TRAINING_FILE, describe_training, write_summary
from barcodemae.training.taxa import read_taxa

RUN_FILE = "run.yaml"

# Options that may be changed when a run is resumed.
_CHANGEABLE = {
    "output_dir",
    "resume",
    "log_every",
    "eval_every",
    "save_every",
    "save_total_limit",
    "max_bad_steps",
    "data",
    "cache_dir",
    "report_to",
    "dry_run",
}


@dataclasses.dataclass(frozen=True)
class _Run:
    """What a run needs before its first step."""

    accelerator: Accelerator
    model: PreTrainedModel
    objective: Objective
    training: TrainingData
    validation: TrainingData
    start: Start
    settings: dict[str, Any]


def pretrain(model_args: ModelArguments, data_args: DataArguments, args: LoopArguments) -> Path:
    """Train BarcodeMAE, or the same encoder with another objective.

    Args:
        model_args: options of the model.
        data_args: options of the data.
        args: options of the training loop.

    Returns:
        The folder with the checkpoint, `metrics.jsonl`, `run.yaml`, `training.json`, `summary.md`, the training curve
        and the states to resume from.

    Raises:
        BarcodeMAEError: bad input, a folder that holds another run, or a lack of memory or disk space.
        SystemExit: SIGTERM or SIGINT was received, and the run's state is saved. The exit code is 128 plus the number
            of the signal, as in shells, so that a job script knows that the run is not complete.
    """
    folder = Path(args.output_dir)
    check_output_folder(folder)
    refuse_another_run(folder, args.resume)
    tracker = choose_tracker(args.report_to)
    run = _prepare(model_args, data_args, args, tracker)
    accelerator, training, validation = run.accelerator, run.training, run.validation
    identity = {name: value for name, value in run.settings.items() if name not in _CHANGEABLE}
    identity |= {
        "records": training.fingerprint(),
        "processes": accelerator.num_processes,
        "classes": run.model.config.id2label if model_args.objective == "classification" else None,
    }

    is_main = accelerator.is_main_process
    with claimed(folder, args.resume) if is_main else nullcontext(), shortage_explained(folder, args.batch_size):
        start_tracker(accelerator, tracker, folder, run.settings)
        if is_main:
            with written_atomically(folder) as scratch:
                (scratch / RUN_FILE).write_text(yaml.safe_dump(run.settings, sort_keys=False))
        signal = train(accelerator, run.model, run.objective, training, validation, args, identity)
        if signal is not None:
            accelerator.end_training()
            sys.exit(128 + signal)
        weights = full_weights(run.model)
        if is_main:
            trained = type(run.model)(run.model.config)  # the weights of `run.model` may be sharded over processes
            trained.load_state_dict(weights)
            save_checkpoint(folder, trained, run.start.frame, run.start.tokenizer)
            origin = describe_training(model_args, data_args, args, training, validation, accelerator)
            with written_atomically(folder) as scratch:
                (scratch / TRAINING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        accelerator.end_training()
        if is_main:
            write_summary(folder, training.report, len(training), len(validation), origin["records_per_step"])
    return folder


def plan(model_args: ModelArguments, data_args: DataArguments, args: LoopArguments) -> str | None:
    """Describe what `pretrain` would do, with time and memory measured in a few steps, without writing to its folder.

    Returns:
        Text for a terminal; None in all processes but the main one.

    Raises:
        BarcodeMAEError: as in `pretrain`.
    """
    folder = Path(args.output_dir)
    refuse_another_run(folder, args.resume)
    run = _prepare(model_args, data_args, args, tracker=None)
    with shortage_explained(folder, args.batch_size):
        costs = measure_costs(run.accelerator, run.model, run.objective, run.training, run.validation, args)
    if costs is None:
        return None
    return describe_plan(run.settings, args, run.accelerator, run.model, run.training, run.validation, costs)


def _prepare(model_args: ModelArguments, data_args: DataArguments, args: LoopArguments, tracker: str | None) -> _Run:
    if args.taxa_per_batch and model_args.auxiliary == "none":
        raise ConfigurationError(f"--taxa-per-batch {args.taxa_per_batch}: expected --auxiliary with it, got none")
    start = choose_start(model_args, data_args)
    training, validation = load_training_data(data_args, start.frame, start.encoder, args.seed)
    if args.taxa_per_batch:
        _, taxa = read_taxa("--auxiliary-rank", model_args.auxiliary_rank, training.barcodes)
        balance = BalancedBatches(taxa, args.taxa_per_batch, args.barcodes_per_taxon)
        training = dataclasses.replace(training, balance=balance)
    on_cpu = not torch.accelerator.is_available()  # explicit, so that several processes on CPUs find each other
    PartialState(cpu=on_cpu)
    accelerator = Accelerator(
        cpu=on_cpu,
        # Each process measures for itself, and the results may differ: the first one's is used.
        mixed_precision=broadcast_object_list([_choose_precision(args)])[0],
        log_with=tracker,
        project_dir=args.output_dir,
    )
    torch.manual_seed(args.seed)
    model, objective = build_model(start, model_args, training, validation, args.seed)
    model.set_attn_implementation(choose_attention(accelerator.device.type, accelerator.mixed_precision))
    settings = dataclasses.asdict(model_args) | dataclasses.asdict(data_args) | dataclasses.asdict(args)
    settings["mixed_precision"] = accelerator.mixed_precision
    return _Run(accelerator, model, objective, training, validation, start, settings)


def _choose_precision(args: LoopArguments) -> str:
    """`no` or `bf16`: the requested one; with `auto` that of the resumed run, or else the faster one on this device."""
    if args.mixed_precision != "auto":
        return args.mixed_precision
    file = Path(args.output_dir) / RUN_FILE
    if args.resume and file.exists():  # a new measurement might differ
        return yaml.safe_load(file.read_text())["mixed_precision"]
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return "bf16" if fastest_dtype(str(device)) == torch.bfloat16 else "no"
