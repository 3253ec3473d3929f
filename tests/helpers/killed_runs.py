"""Runs that are killed with SIGKILL and go on: `killed_runs.py DATA FOLDER moments COUNT` or `... writes`.

Each run is a child, forked from a process that has imported all it needs, and is `pretrain` as a whole. `moments` kills
at random times, `writes` right before each file operation that Python makes in the run's folder (opening to write,
renaming, removing, making a folder). Prints how many were killed, and which did not end as the run that never was.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import micro_train  # noqa: F401 (knows the size `micro`)
import torch.utils.tensorboard  # noqa: F401 (imported once, before the children are made)
from killed_children import Watch, append_to, finish, kill_at, start

from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.pretrain import pretrain


def start_run(data: Path, folder: Path, watch: Watch | None = None) -> int:
    """Start a run, or go on with it, in a child: its process id."""
    options = {"epochs": 0.8, "batch_size": 8, "log_every": 2, "eval_every": 4, "save_every": 3}
    options["mixed_precision"] = "no"  # not what a busy machine measures

    def run() -> None:
        pretrain(
            ModelArguments(size="micro", k=4),
            DataArguments(data=[str(data)], cache_dir=str(folder.parent / "cache")),
            LoopArguments(output_dir=str(folder), resume=folder.exists(), **options),
        )

    return start(run, folder, watch)


def outcome(folder: Path) -> tuple[bytes, list[dict]]:
    """The weights as they stand on disk, and the metrics but for the speed."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return (folder / "model.safetensors").read_bytes(), [line | {"barcodes_per_second": 0} for line in lines]


def main() -> None:
    data, root, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    whole, folder = root / "whole", root / "killed"
    finish(start_run(data, folder), folder)  # what is made once, such as caches, is made here
    shutil.rmtree(folder)

    begin = time.perf_counter()
    finish(start_run(data, whole, append_to(root / "operations.txt")), whole)
    seconds = time.perf_counter() - begin
    operations = (root / "operations.txt").read_text().splitlines()
    expected = outcome(whole)
    killed, different = 0, []

    def go_on(where: str) -> None:
        finish(start_run(data, folder), folder)
        if outcome(folder) != expected:
            different.append(where)
        shutil.rmtree(folder)

    if how == "moments":
        generator = random.Random(0)
        while killed < int(sys.argv[4]):
            moment = generator.uniform(0, seconds)
            child = start_run(data, folder)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            killed += finish(child, folder)  # a run that was over by then does not count
            go_on(f"after {moment:.2f} of {seconds:.2f} s")
    else:
        for number, operation in enumerate(operations):
            killed += finish(start_run(data, folder, kill_at(number)), folder)
            go_on(f"{number}: {operation}")
    print(json.dumps({"operations": operations, "killed": killed, "different": different}))


if __name__ == "__main__":
    main()
