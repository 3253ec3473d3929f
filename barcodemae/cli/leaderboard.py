"""`barcodemae leaderboard`: results of many evaluations in, one leaderboard out."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.commands import parse_arguments
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.report.leaderboard import find_results, merge_results
from barcodemae.evaluation.report.pages import render_leaderboard
from barcodemae.files import written_whole

_SUFFIX = ".md"


@dataclass
class LeaderboardArguments:
    """What to merge, and where to."""

    results: list[str] = field(metadata={"help": "Files of results, or folders in which every results.json is taken."})
    output: str = field(
        default="leaderboard.md", metadata={"help": "A .md file; a .json file with the same numbers stands beside it."}
    )
    seed: int = field(default=0, metadata={"help": "Of the comparisons with the best row."})


def leaderboard(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments((LeaderboardArguments,), arguments)
    output = Path(args.output)
    if output.suffix != _SUFFIX:
        raise ConfigurationError(f"--output {output}: expected a name that ends with {_SUFFIX}")
    files = find_results(args.results)
    boards = merge_results(files, args.seed)
    with written_whole(output.parent) as scratch:
        (scratch / output.name).write_text(render_leaderboard(boards), encoding="utf-8")
        content = json.dumps({"boards": boards}, indent=2) + "\n"
        (scratch / output.with_suffix(".json").name).write_text(content, encoding="utf-8")
    rows = sum(len(board["rows"]) for board in boards)
    print(f"{rows} rows of {len(files)} files, in {len(boards)} tables by data and splits, are in {output}.")
