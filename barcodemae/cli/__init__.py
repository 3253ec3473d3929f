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
        print("\n`barcodemae VERB --help` lists the options of a verb, `barcodemae --version` prints the version.")
        return
    if verb == "--version":
        print(f"barcodemae {version('barcodemae')}")
        return
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigurationError(f"expected one of {', '.join(VERBS)}, got {verb}{hint}")
    sys.argv[0] = f"barcodemae {verb}"  # the name of the command in the verb's own help
    try:
        resolve_name(VERBS[verb][1])(arguments)
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        raise ConfigurationError(f"{verb}: FAISS is not installed: pip install 'barcodemae[identify]'") from error


# The purpose of each verb, and its function. A module is imported when its verb is called, and imports at the top only
# what its help needs: other imports take seconds.
VERBS = {
    "index": ("make a reference library of named barcodes", "barcodemae.cli.index:index"),
    "identify": ("name barcodes by a library, with a confidence", "barcodemae.cli.identify:identify"),
    "check": ("list doubtful references or sequences", "barcodemae.cli.check:check"),
    "sites": ("list the bases that distinguish a taxon from its relatives", "barcodemae.cli.sites:sites"),
    "calibrate": ("fit the confidence of a library's names", "barcodemae.cli.calibrate:calibrate"),
    "distil": ("make a small library that gives the same names", "barcodemae.cli.distil:distil"),
    "remove": ("remove records from a library", "barcodemae.cli.remove:remove"),
    "cluster": ("group unlabelled barcodes", "barcodemae.cli.cluster:cluster"),
    "embed": ("compute embeddings of barcodes", "barcodemae.cli.embed:embed"),
    "train": ("pretrain or fine-tune a model", "barcodemae.cli.train:train"),
    "tune": ("fit a projection head that ranks relatives", "barcodemae.cli.tune:tune"),
    "marker": ("make the reference frame of another marker", "barcodemae.cli.marker:marker"),
    "evaluate": ("compare a model with baselines", "barcodemae.cli.evaluate:evaluate"),
    "leaderboard": ("merge results of several evaluations", "barcodemae.cli.leaderboard:leaderboard"),
    "split": ("hold species out for validation and test", "barcodemae.cli.split:split"),
    "tokenizer": ("learn a byte-pair encoding", "barcodemae.cli.tokenizer:tokenizer"),
    "convert": ("convert a published checkpoint", "barcodemae.cli.convert:convert"),
    "page": ("make a page that names barcodes in the browser", "barcodemae.cli.page:page"),
    "export": ("export a checkpoint to ONNX or a Hub folder", "barcodemae.cli.export:export"),
    "push": ("publish a checkpoint or library on the Hub", "barcodemae.cli.push:push"),
}
