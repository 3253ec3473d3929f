"""Commands of barcodemae in processes of their own."""

import subprocess
import sys


def run_barcodemae(*words, cwd=None):
    """Run a command with words, such as paths, as arguments. Returns the process, which has ended, with its texts."""
    command = [sys.executable, "-m", "barcodemae", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
