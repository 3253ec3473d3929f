"""`barcodemae train`: pretrains or fine-tunes a model."""

from barcodemae.checkpoints import check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources
from barcodemae.training.arguments import DataArguments, HubArguments, LoopArguments, ModelArguments


def train(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input.
    """
    model, data, loop, hub = parse_arguments(
        (ModelArguments, DataArguments, LoopArguments, HubArguments),
        arguments,
        about="Pretrain a model on barcodes, or fine-tune one to taxa; by default on the bundled sample.",
        example="accelerate launch -m barcodemae train --config configs/tiny.yaml --data barcodes.parquet",
        takes_config=True,
    )
    check_sources(data.data)
    if model.init_from is not None:
        check_checkpoint(model.init_from)
    from barcodemae.cli.command import is_main_process
    from barcodemae.hub.push_checkpoint import prepare_repository, push_checkpoint
    from barcodemae.training.pretrain import plan, pretrain
    from barcodemae.training.summary import SUMMARY_FILE

    if loop.dry_run:
        if text := plan(model, data, loop):
            print(text)
        return
    if hub.push_to_hub and is_main_process():
        prepare_repository(hub.hub_model_id, hub.hub_private_repo)  # a refusal of the Hub is raised before the training
    folder = pretrain(model, data, loop)
    if is_main_process():
        print((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    if hub.push_to_hub and is_main_process():
        print(f"Pushed: {push_checkpoint(folder, hub.hub_model_id, hub.hub_private_repo)}")
