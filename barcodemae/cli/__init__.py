"""The `barcodemae` command: `barcodemae VERB [inputs] [options]`."""

import difflib
import sys
from importlib.metadata import version
from pkgutil import resolve_name

from barcodemae.cli.command import run_command
from barcodemae.errors import ConfigurationError


def main() -> None:
    """Entry point of the package."""
    run_command(_dispatch)


def _dispatch() -> None:
    verb, *arguments = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help"):
        print(__doc__, "", *(f"  {name:13}{about}" for name, (about, _) in VERBS.items()), sep="\n")
        print("\n`barcodemae VERB --help` lists the options of a verb, `barcodemae --version` tells the version.")
        return
    if verb == "--version":
        print(f"barcodemae {version('barcodemae')}")
        return
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; do you mean {close[0]}?" if close else ""
        raise ConfigurationError(f"expected one of {', '.join(VERBS)}, got {verb}{hint}")
    sys.argv[0] = f"barcodemae {verb}"  # what a verb's own help calls the command
    try:
        resolve_name(VERBS[verb][1])(arguments)
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        raise ConfigurationError(f"{verb}: expected FAISS, got none: pip install 'barcodemae[identify]'") from error


# What each does, and where it is. A module is imported when its verb is called, and imports at its head only what the
# help needs: the rest takes seconds.
VERBS = {
    "index": ("make a reference library of named barcodes", "barcodemae.cli.index:index"),
    "identify": ("name barcodes by a library, with confidence", "barcodemae.cli.identify:identify"),
    "calibrate": ("learn how far a library's names can be trusted", "barcodemae.cli.calibrate:calibrate"),
    "remove": ("take records out of a library", "barcodemae.cli.remove:remove"),
    "cluster": ("group barcodes without labels", "barcodemae.cli.cluster:cluster"),
    "embed": ("turn barcodes into vectors", "barcodemae.cli.embed:embed"),
    "train": ("pretrain or fine-tune a model", "barcodemae.cli.train:train"),
    "tune": ("fit the head by which embeddings rank relatives", "barcodemae.cli.tune:tune"),
    "evaluate": ("evaluate a model beside baselines", "barcodemae.cli.evaluate:evaluate"),
    "leaderboard": ("merge results of evaluations into one table", "barcodemae.cli.leaderboard:leaderboard"),
    "split": ("hold whole species out of a file", "barcodemae.cli.split:split"),
    "tokenizer": ("learn a byte-pair encoding", "barcodemae.cli.tokenizer:tokenizer"),
    "convert": ("convert a published checkpoint", "barcodemae.cli.convert:convert"),
    "export": ("write a checkpoint for other programs", "barcodemae.cli.export:export"),
    "push": ("publish a checkpoint or library on the Hub", "barcodemae.cli.push:push"),
}
