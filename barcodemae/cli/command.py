"""Runs a command: bad input becomes one line, and the exit code is the one that a shell expects."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NoReturn

from barcodemae.errors import BarcodeMAEError, printable, system_refusal
from barcodemae.terminal import drop_output, flush_output, standard_streams

# The exit code of a command that a signal ended is this and the signal's number.
_SIGNALLED, _SIGPIPE = 128, 13
BAD_INPUT = 2


def run_command(main: Callable[[], None]) -> None:
    """Run a command, and exit with a code that says how it ended.

    Bad input, or a refusal of the system (a file, disk space, memory), becomes one line and exit code 2. A signal
    becomes one line and 128 plus its number, as in shells: 130 for Ctrl-C, 143 for SIGTERM. When the reader of the
    output has gone, as in `... | head -1`, the command ends silently with 141. Anything else is a defect, and keeps its
    traceback.

    Args:
        main: reads `sys.argv` and does the work.
    """
    with standard_streams(), _stopped_by_signals():
        logging.basicConfig(format="%(message)s", handlers=[_AboveProgressBars()])
        logging.getLogger("barcodemae").setLevel(logging.INFO if is_main_process() else logging.ERROR)
        try:
            try:
                main()
            finally:
                flush_output()
        except BarcodeMAEError as error:
            _end(BAD_INPUT, f"error: {error}")
        except BrokenPipeError:
            drop_output(sys.stdout, sys.stderr)
            sys.exit(_SIGNALLED + _SIGPIPE)
        except KeyboardInterrupt:
            _end(_SIGNALLED + signal.SIGINT, "interrupted")
        except _Stopped as stopped:
            _end(_SIGNALLED + stopped.signal, f"stopped by {stopped.signal.name}")
        except Exception as error:
            refusal = system_refusal(error)
            if refusal is None:
                raise
            _end(BAD_INPUT, f"error: {refusal}")


class _AboveProgressBars(logging.StreamHandler):
    """Writes messages to standard error, each on its own line, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")  # slow to import, and without it there is no bar
        with nullcontext() if tqdm is None else tqdm.tqdm.external_write_mode(self.stream):
            super().emit(record)


class _Stopped(BaseException):
    """Raised by a signal that would otherwise end the process at once and leave temporary files behind."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _Stopped(number)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
        for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP, and nohup ignores it
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(code: int, line: str) -> NoReturn:
    """Print one line, from the first process only, and exit."""
    try:
        flush_output()
    except OSError:
        drop_output(sys.stdout)
    if is_main_process():
        with suppress(OSError):  # standard error itself may be closed
            print(printable(line), file=sys.stderr)
    sys.exit(code)


def is_main_process() -> bool:
    """Whether this is the first, or the only, process that a launcher started."""
    return os.environ.get("RANK", "0") == "0"
