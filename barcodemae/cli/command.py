"""How a command ends: with one clear line when the input is bad, and with the code that a shell expects."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from barcodemae.errors import BarcodeMAEError, printable, system_refusal
from barcodemae.terminal import drop_output, flush_output, standard_streams

# What a shell tells of a command that a signal ended: so much, and the signal's number.
_SIGNALLED, _SIGPIPE = 128, 13
BAD_INPUT = 2


def run_command(main: Callable[[], None]) -> None:
    """Run a command, and end with a code that tells how it went.

    Bad input, or what the system refuses (a file, disk space, memory), becomes one line and exit code 2; a signal one
    line and 128 with its number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM. Where nobody reads the output any
    more, as in `... | head -1`, it ends quietly, with 141. Anything else is a defect, and keeps its traceback.

    Args:
        main: reads `sys.argv` and does the work.
    """
    with standard_streams(), _stopped_by_signals():
        logging.basicConfig(format="%(message)s")
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


class _Stopped(BaseException):
    """A signal came that would have ended the process at once, and what is half written with it."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _Stopped(number)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
        for name in ("SIGTERM", "SIGHUP"):  # the latter is not on every system, and nohup has it ignored
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(code: int, line: str) -> NoReturn:
    """Say one line, in the first process alone, and end."""
    try:
        flush_output()
    except OSError:
        drop_output(sys.stdout)
    if is_main_process():
        with suppress(OSError):  # standard error may be what can't be written
            print(printable(line), file=sys.stderr)
    sys.exit(code)


def is_main_process() -> bool:
    """Whether this is the first, or the only, of the processes that a launcher started."""
    return os.environ.get("RANK", "0") == "0"
