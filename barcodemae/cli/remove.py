"""`barcodemae remove`: removes records from a reference library."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError, UnreadableFileError


@dataclass
class RemoveArguments:
    """The library, and the records to remove."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    id: list[str] = field(
        default_factory=list,
        metadata={"help": "Ids of records; all records of an id are removed. An id removed before is not an error."},
    )
    ids: str | None = field(default=None, metadata={"help": "File with more ids, one per line."})


def remove(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input, or an id that the library never had; the library stays as it was.
    """
    (args,) = parse_arguments(
        (RemoveArguments,),
        arguments,
        positionals=("library", "id"),
        about="Remove records from a reference library.",
        example="barcodemae remove library RECORD-1 RECORD-2",
    )
    from barcodemae.library.building import remove_records

    ids = args.id if args.ids is None else [*args.id, *read_ids(Path(args.ids))]
    if not ids:
        raise ConfigurationError("expected ids of records to remove, or --ids FILE, got neither")
    removed = remove_records(Path(args.library), ids)
    print(f"Records removed from {args.library}: {removed.num_records:,}.")
    if before := removed.removed_before:
        print(f"Ids whose records had been removed before: {len(before):,} (such as {before[0]}).")


def read_ids(path: Path) -> list[str]:
    """Ids from a text file (also compressed), one per line. Blank lines are skipped.

    Raises:
        UnreadableFileError: the file can't be read to its end, or has no id.
    """
    from barcodemae.data.text import open_lines

    ids = []
    with open_lines(path) as lines:
        for line in lines:
            if id := lines.as_text(line).strip():
                ids.append(id)
    if not ids:
        raise UnreadableFileError(path, "expected ids, one per line, got none")
    return ids
