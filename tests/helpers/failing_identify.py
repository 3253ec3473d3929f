"""`barcodemae identify` whose second process fails: `torchrun ... failing_identify.py HOW WHEN ARGUMENTS...`.

HOW it fails: `bad input`, `defect` or `killed`; WHEN: at which of its blocks, from 0, or -1 for before it has a model.
"""

import os
import signal
import sys

from barcodemae.cli.command import run_command
from barcodemae.cli.identify import identify
from barcodemae.errors import LibraryError
from barcodemae.library import identification, models
from barcodemae.library.identification import Identifier


def fail(how):
    if how == "bad input":
        raise LibraryError("library: expected a file of the library, found none")
    if how == "defect":
        raise ZeroDivisionError("by nothing")
    os.kill(os.getpid(), signal.SIGKILL)


class FailingIdentifier(Identifier):
    """An identifier that fails at a given block."""

    def __call__(self, records):
        global when
        if when == 0:
            fail(how)
        when -= 1
        return super().__call__(records)


how, when, *arguments = sys.argv[1:]
when = int(when)
if os.environ["RANK"] == "1":
    identification.Identifier = FailingIdentifier
    if when < 0:
        models.open_with_model = lambda *given: fail(how)
run_command(lambda: identify(arguments))
