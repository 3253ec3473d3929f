"""Reads a file in a process that may use 800 MiB more than it has after its imports."""

import os
import subprocess
import sys

_SCRIPT = """
import resource, sys
from barcodemae.data import stream_records
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (800 << 20),) * 2)
print(sum(map(len, stream_records(sys.argv[1], on_error='skip'))))
"""


def count_records(path):
    """Number of records in a file, read in such a process, which must end without an error."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)
