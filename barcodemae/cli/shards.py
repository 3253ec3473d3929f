"""Many files as shards: each becomes a file of results, made by one of several processes, and only once.

The processes do not communicate, so that they may be on any number of machines with a common folder. Process `RANK` of
`WORLD_SIZE`, two environment variables that launchers set, makes every `WORLD_SIZE`-th shard. What a killed process
has not made is made when the command is repeated.
"""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from barcodemae.data.sources import HUB, SAMPLE, STANDARD_INPUT
from barcodemae.errors import BadRecordError, BarcodeMAEError, ConfigurationError, UnreadableFileError
from barcodemae.files import clear_abandoned, written_atomically

SHARDS_HELP = (
    "Make one Parquet file of each input file, of the same name, in the folder --output. Files that are there already "
    "are not made again. Several processes (accelerate launch, or RANK and WORLD_SIZE) share the files."
)

COMMAND_FILE = ".shards.json"
"""The command that made the files of a folder. It appears right before the first of them, by the order of names."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def shared_options(args: Any, *without: str) -> dict[str, Any]:
    """The options of a command that its results depend on, by name: all but files and the options of a process.

    Args:
        args: a dataclass of options.
        without: more fields that are left out.
    """
    left_out = {*without, "output", "shards"}
    return {field.name: getattr(args, field.name) for field in fields(args) if field.name not in left_out}


def run_shards(inputs: Sequence[str], folder: Path, command: dict[str, Any], run: Callable[[str, Path], None]) -> None:
    """Make the files of this process's shards that are not there yet.

    A shard that cannot be read is reported, and the others are made nevertheless.

    Args:
        inputs: files, one a shard.
        folder: of the results: a new or empty one, or one of the same command.
        command: what the results depend on, beside the shards.
        run: makes the file of a shard, atomically.

    Raises:
        ConfigurationError: an input is not a file, two have the same name, or the folder is that of another command.
        BarcodeMAEError: shards could not be read; for one shard, its own error.
    """
    from barcodemae.embedding.processes import separate_process
    from barcodemae.outputs import check_output_folder

    shards = name_shards(inputs)
    check_output_folder(folder)
    process = separate_process()
    command = command | {"made_by": version("barcodemae")}
    _check_command(folder, command)
    clear_abandoned(folder)  # a process may have been killed after its last file was complete
    own = list(shards.items())[process.rank :: process.count]
    num_made = 0
    failures: list[BarcodeMAEError] = []
    for number, (name, shard) in enumerate(own, 1):
        if (folder / name).exists():
            continue
        print(f"Shard {number} of {len(own)}: {shard}", flush=True)
        try:
            with written_atomically(folder) as scratch:
                with redirect_stdout(io.StringIO()):  # its messages name the file in the scratch folder
                    run(shard, scratch / name)
                (scratch / COMMAND_FILE).write_text(json.dumps(command, indent=2) + "\n", encoding="utf-8")
            num_made += 1
        except (UnreadableFileError, BadRecordError) as error:
            failures.append(error)
    share = f", of {len(shards):,} in all" if process.count > 1 else ""
    print(
        f"Shards of this process{share}: {num_made:,} made now, {len(own) - num_made - len(failures):,} before, "
        f"{len(failures):,} not readable."
    )
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise BarcodeMAEError(f"{len(failures):,} of {len(own):,} shards could not be read; the first: {failures[0]}")


def name_shards(inputs: Sequence[str]) -> dict[str, str]:
    """The name of each shard's file of results, in the order of the inputs.

    Raises:
        ConfigurationError: an input is not a file, or two have the same name.
    """
    shards: dict[str, str] = {}
    for shard in inputs:
        if shard in (STANDARD_INPUT, SAMPLE) or shard.startswith(HUB):
            raise ConfigurationError(f"{shard}: expected files with --shards")
        path = Path(shard)
        name = f"{Path(path.stem).stem if path.suffix.lower() in _COMPRESSED else path.stem}.parquet"
        if name in shards:
            raise ConfigurationError(f"expected shards of different names, got {shards[name]} and {shard}")
        shards[name] = shard
    return shards


def _check_command(folder: Path, command: dict[str, Any]) -> None:
    """Check that the files of a folder are results of the same command.

    Raises:
        ConfigurationError: they are those of another command, or something else.
    """
    names = sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))
    file = folder / COMMAND_FILE  # looked for after the names: other processes may have just begun
    if not file.exists():
        if names:
            raise ConfigurationError(
                f"{folder}: expected a new or empty folder, or one of the same command, got one with {names[0]}"
            )
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        differing = sorted(key for key in found.keys() | command.keys() if found.get(key) != command.get(key))
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{file}: expected the command that made this folder, got: {error}") from error
    if differing:
        raise ConfigurationError(
            f"{folder}: expected a folder that the same command made, got one with another {', '.join(differing)} "
            f"({COMMAND_FILE} has the values)"
        )
