"""`barcodemae leaderboard`: merges results of several evaluations."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError

_SUFFIX = ".md"


@dataclass
class LeaderboardArguments:
    """The results to merge, and the output."""

    results: list[str] = field(metadata={"help": "Files of results, or folders that are searched for results.json."})
    output: str = field(
        default="leaderboard.md",
        metadata={"help": "A .md file; a .json file with the same numbers is written next to it."},
    )
    seed: int = field(default=0, metadata={"help": "Random seed of the comparisons with the best row."})


def leaderboard(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (LeaderboardArguments,),
        arguments,
        positionals=("results",),
        about="Merge the results of several evaluations into one table.",
        example="barcodemae leaderboard runs -o leaderboard.md",
    )
    from barcodemae.evaluation.report.leaderboard import find_results, merge_results
    from barcodemae.evaluation.report.pages import render_leaderboard
    from barcodemae.outputs import check_outputs, open_output

    output = Path(args.output)
    if output.suffix != _SUFFIX:
        raise ConfigurationError(f"--output {output}: expected a name that ends with {_SUFFIX}")
    numbers = output.with_suffix(".json")
    files = find_results(args.results)
    check_outputs({"--output": output, f"--output {output}, written with": numbers}, files)
    boards = merge_results(files, args.seed)
    with open_output(output) as page, open_output(numbers) as content:
        page.write(render_leaderboard(boards).encode())
        content.write(f"{json.dumps({'boards': boards}, indent=2)}\n".encode())
    rows = sum(len(board["rows"]) for board in boards)
    print(f"{rows} rows of {len(files)} files are in {output}, in {len(boards)} tables by data set and splits.")
