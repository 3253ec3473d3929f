"""Steps in child processes, which are killed at a file operation or at any time."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}

Watch = Callable[[str], None]


def start(step: Callable[[], None], folder: Path, watch: Watch | None = None) -> int:
    """Start a step in a child process, and return its process id.

    Args:
        step: what the child does.
        folder: where it writes to.
        watch: called with each file operation in the folder that changes something, immediately before it.
    """
    gc.collect()  # a mapped index of FAISS has threads, without which a child process cannot delete it
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
        step()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _report(event: str, details: tuple, folder: Path, watch: Watch) -> None:
    is_reading = event == "open" and not (details[2] or 0) & (os.O_WRONLY | os.O_RDWR)
    if event in OPERATIONS and not is_reading and Path(str(details[0])).absolute().is_relative_to(folder):
        where = details[1] if event == "os.rename" else details[0]
        watch(f"{event} {Path(where).absolute().relative_to(folder)}")


def finish(child: int, folder: Path) -> bool:
    """Wait for a child: whether it was killed. It must not have failed otherwise."""
    status = os.waitpid(child, 0)[1]
    was_killed = os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    if status and not was_killed:
        raise RuntimeError(f"status {status}: {folder.with_suffix('.log').read_text()}")
    return was_killed


def append_to(file: Path) -> Watch:
    """Notes each operation."""

    def append(operation: str) -> None:
        with file.open("a") as lines:
            lines.write(f"{operation}\n")

    return append


def kill_at(number: int) -> Watch:
    """Kills the process before its operation of this number, from 0."""
    left = iter(range(number))

    def kill(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
