"""Pretrain BarcodeMAE: `accelerate launch train.py [--config FILE.yaml] [--option value ...]`."""

from barcodemae.commands import is_main_process, parse_arguments, run_command
from barcodemae.hub.push import prepare_repository, push_checkpoint
from barcodemae.training.arguments import DataArguments, HubArguments, LoopArguments, ModelArguments
from barcodemae.training.pretrain import plan, pretrain
from barcodemae.training.summary import SUMMARY_FILE


def main() -> None:
    model, data, loop, hub = parse_arguments((ModelArguments, DataArguments, LoopArguments, HubArguments))
    if loop.dry_run:
        if text := plan(model, data, loop):
            print(text)
        return
    if hub.push_to_hub and is_main_process():
        prepare_repository(hub.hub_model_id, hub.hub_private_repo)  # what can't be pushed is told before, not after
    folder = pretrain(model, data, loop)
    if is_main_process():
        print((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    if hub.push_to_hub and is_main_process():
        print(f"Pushed: {push_checkpoint(folder, hub.hub_model_id, hub.hub_private_repo)}")


if __name__ == "__main__":
    run_command(main)
