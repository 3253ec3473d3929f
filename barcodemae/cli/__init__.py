"""The `barcodemae` command: `barcodemae VERB --option value ...`."""

import sys
from pkgutil import resolve_name

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
    try:
        run = resolve_name(VERBS[verb][1])
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        raise ConfigurationError(f"{verb}: expected FAISS, got none: pip install 'barcodemae[identify]'") from error
    run(arguments)


# What each is about, and where it is: a verb's module is imported when the verb is called.
VERBS = {
    "embed": ("sequences to vectors", "barcodemae.cli.embed:embed"),
    "cluster": ("barcodes to groups, with no labels", "barcodemae.cli.cluster:cluster"),
    "index": ("barcodes with names to a reference library", "barcodemae.cli.index:index"),
    "remove": ("records out of a reference library", "barcodemae.cli.remove:remove"),
    "calibrate": ("how far a library's names can be trusted", "barcodemae.cli.calibrate:calibrate"),
    "identify": ("barcodes to names, with their confidence", "barcodemae.cli.identify:identify"),
    "leaderboard": ("results of many evaluations to one table", "barcodemae.cli.leaderboard:leaderboard"),
    "split": ("whole species held out of a file, to train and evaluate by", "barcodemae.cli.split:split"),
    "tokenizer": ("barcodes to a byte-pair encoding", "barcodemae.cli.tokenizer:tokenizer"),
    "tune": ("a pretrained checkpoint to one whose embeddings rank relatives", "barcodemae.cli.tune:tune"),
    "convert": ("a published checkpoint to one of ours", "barcodemae.cli.convert:convert"),
    "export": ("a checkpoint to ONNX", "barcodemae.cli.export:export"),
    "push": ("a checkpoint or a reference library to the Hub, with its card", "barcodemae.cli.push:push"),
}
