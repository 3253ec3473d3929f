"""The `barcodemae` command: `barcodemae VERB --option value ...`."""

import sys
from collections.abc import Callable

from barcodemae.cli.convert import convert
from barcodemae.cli.embed import embed
from barcodemae.cli.export import export
from barcodemae.cli.leaderboard import leaderboard
from barcodemae.cli.push import push
from barcodemae.cli.split import split
from barcodemae.cli.tokenizer import tokenizer
from barcodemae.cli.tune import tune
from barcodemae.commands import run_command
from barcodemae.errors import ConfigurationError


def main() -> None:
    """Entry point of the package."""
    run_command(_dispatch)


def _dispatch() -> None:
    verb, *arguments = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help"):
        print(__doc__, "", *(f"  {name:13}{about}" for name, (about, _) in VERBS.items()), sep="\n")
        print("\n`barcodemae VERB --help` lists the options of a verb.")
        return
    if verb not in VERBS:
        raise ConfigurationError(f"expected one of {', '.join(VERBS)}, got {verb}")
    sys.argv[0] = f"barcodemae {verb}"  # what a verb's own help calls the command
    VERBS[verb][1](arguments)


VERBS: dict[str, tuple[str, Callable[[list[str]], None]]] = {
    "embed": ("sequences to vectors", embed),
    "leaderboard": ("results of many evaluations to one table", leaderboard),
    "split": ("whole species held out of a file, to train and evaluate by", split),
    "tokenizer": ("barcodes to a byte-pair encoding", tokenizer),
    "tune": ("a pretrained checkpoint to one whose embeddings rank relatives", tune),
    "convert": ("a published checkpoint to one of ours", convert),
    "export": ("a checkpoint to ONNX", export),
    "push": ("a checkpoint to the Hub, with its card", push),
}
