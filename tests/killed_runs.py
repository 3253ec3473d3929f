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
import traceback
from collections.abc import Callable
from pathlib import Path

import micro_train  # noqa: F401 (knows the size `micro`)
import torch.utils.tensorboard  # noqa: F401 (imported once, before the children are made)

from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.pretrain import pretrain

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir"}


def start(data: Path, folder: Path, watch: Callable[[str], None] | None = None) -> int:
    """Start a run, or go on with it, in a child: its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if watch is not None:
            sys.addaudithook(lambda event, details: _report(event, details, folder, watch))
        options = {"epochs": 0.8, "batch_size": 8, "log_every": 2, "eval_every": 4, "save_every": 3}
        options["mixed_precision"] = "no"  # not what a busy machine measures
        pretrain(
            ModelArguments(size="micro", k=4),
            DataArguments(data=[str(data)], cache_dir=str(folder.parent / "cache")),
            LoopArguments(output_dir=str(folder), resume=folder.exists(), **options),
        )
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _report(event: str, details: tuple, folder: Path, watch: Callable[[str], None]) -> None:
    is_reading = event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR)
    if event in OPERATIONS and not is_reading and str(details[0]).startswith(f"{folder}/"):
        watch(f"{event} {Path(details[0]).relative_to(folder)}")


def finish(child: int, folder: Path) -> bool:
    """Wait for a child: whether it was killed. It must not have failed otherwise."""
    status = os.waitpid(child, 0)[1]
    was_killed = os.WIFSIGNALED(status)
    if not was_killed and os.WEXITSTATUS(status):
        sys.exit(folder.with_suffix(".log").read_text())
    return was_killed


def outcome(folder: Path) -> tuple[bytes, list[dict]]:
    """The weights as they stand on disk, and the metrics but for the speed."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return (folder / "model.safetensors").read_bytes(), [line | {"barcodes_per_second": 0} for line in lines]


def main() -> None:
    data, root, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    whole, folder = root / "whole", root / "killed"
    finish(start(data, folder), folder)  # what is made once, such as caches, is made here
    shutil.rmtree(folder)

    begin = time.perf_counter()
    finish(start(data, whole, _append_to(root / "operations.txt")), whole)
    seconds = time.perf_counter() - begin
    operations = (root / "operations.txt").read_text().splitlines()
    expected = outcome(whole)
    killed, different = 0, []

    def go_on(where: str) -> None:
        finish(start(data, folder), folder)
        if outcome(folder) != expected:
            different.append(where)
        shutil.rmtree(folder)

    if how == "moments":
        generator = random.Random(0)
        while killed < int(sys.argv[4]):
            moment = generator.uniform(0, seconds)
            child = start(data, folder)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            killed += finish(child, folder)  # a run that was over by then does not count
            go_on(f"after {moment:.2f} of {seconds:.2f} s")
    else:
        for number, operation in enumerate(operations):
            killed += finish(start(data, folder, _kill_at(number)), folder)
            go_on(f"{number}: {operation}")
    print(json.dumps({"operations": operations, "killed": killed, "different": different}))


def _append_to(file: Path) -> Callable[[str], None]:
    def append(operation: str) -> None:
        with file.open("a") as lines:
            lines.write(f"{operation}\n")

    return append


def _kill_at(number: int) -> Callable[[str], None]:
    left = iter(range(number))

    def kill(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


if __name__ == "__main__":
    main()
