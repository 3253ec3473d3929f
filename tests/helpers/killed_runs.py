"""Runs that are killed with SIGKILL and resumed: `killed_runs.py DATA FOLDER moments COUNT` or `... writes`.

Each run calls `pretrain` in a child, forked from a process that has imported all modules. `moments` kills at random
times, `writes` before each file operation of Python in the folder of the run (opening to write, renaming, removing,
creating a folder). Prints how many were killed, and which ended differently from the run that was never killed.
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
    """Start or resume a run in a child process, and return its process id."""
    options = {"epochs": 0.8, "batch_size": 8, "log_every": 2, "eval_every": 4, "save_every": 3}
    options["mixed_precision"] = "no"  # a measurement might differ between runs

    def run() -> None:
        pretrain(
            ModelArguments(size="micro", k=4),
            DataArguments(data=[str(data)], cache_dir=str(folder.parent / "cache")),
            LoopArguments(output_dir=str(folder), resume=folder.exists(), **options),
        )

    return start(run, folder, watch)


def outcome(folder: Path) -> tuple[bytes, list[dict]]:
    """The saved weights, and the metrics without the speed."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return (folder / "model.safetensors").read_bytes(), [line | {"barcodes_per_second": 0} for line in lines]


def main() -> None:
    data, root, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    complete, folder = root / "complete", root / "killed"
    finish(start_run(data, folder), folder)  # creates the caches
    shutil.rmtree(folder)

    begin = time.perf_counter()
    finish(start_run(data, complete, append_to(root / "operations.txt")), complete)
    seconds = time.perf_counter() - begin
    operations = (root / "operations.txt").read_text().splitlines()
    expected = outcome(complete)
    killed, different = 0, []

    def resume(description: str) -> None:
        finish(start_run(data, folder), folder)
        if outcome(folder) != expected:
            different.append(description)
        shutil.rmtree(folder)

    if how == "moments":
        generator = random.Random(0)
        while killed < int(sys.argv[4]):
            moment = generator.uniform(0, seconds)
            child = start_run(data, folder)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            killed += finish(child, folder)  # a run that had already ended does not count
            resume(f"after {moment:.2f} of {seconds:.2f} s")
    else:
        for number, operation in enumerate(operations):
            killed += finish(start_run(data, folder, kill_at(number)), folder)
            resume(f"{number}: {operation}")
    print(json.dumps({"operations": operations, "killed": killed, "different": different}))


if __name__ == "__main__":
    main()
