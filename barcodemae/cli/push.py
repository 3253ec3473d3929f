"""`barcodemae push`: publishes a checkpoint or a reference library on the Hub."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.checkpoints import shipped_checkpoints
from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError


@dataclass
class PushArguments:
    """The checkpoint or library, and its repository."""

    folder: str = field(
        metadata={
            "help": "Folder of a checkpoint or of a reference library (barcodemae index), or the name of a checkpoint "
            "that comes with the package."
        }
    )
    repository: str = field(
        metadata={
            "help": "ORG/NAME on the Hub, made where it does not exist: a model for a checkpoint, or a data set for a "
            "library, which `identify --library hub:ORG/NAME` uses."
        }
    )
    license: str | None = field(
        default=None,
        metadata={
            "help": "Licence of a library's records, as an identifier of the Hub such as cc-by-4.0; ask the source of "
            "the records (docs/identification.md). Required for a library."
        },
    )
    private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    revision: str | None = field(
        default=None, metadata={"help": "Branch to push to, made where it does not exist; by default main."}
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Only show what would be published; needs neither token nor network."}
    )


def push(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input, or a refusal of the Hub; nothing is published then.
    """
    (args,) = parse_arguments(
        (PushArguments,),
        arguments,
        positionals=("folder", "repository"),
        about="Publish a checkpoint or a reference library on the Hub, with its card.",
        example="barcodemae push runs/first ORG/NAME --dry-run",
    )
    if not Path(args.folder).is_dir() and args.folder not in shipped_checkpoints():
        raise ConfigurationError(f"{args.folder}: expected the folder of a checkpoint or of a library, found none")
    from barcodemae.library.store.manifest import MANIFEST_FILE

    if (Path(args.folder) / MANIFEST_FILE).is_file():
        if args.license is None:
            raise ConfigurationError(
                "expected --license, the licence of the library's records: ask their source (docs/identification.md)"
            )
        _push_library(args, args.license)
    else:
        if args.license is not None:
            raise ConfigurationError(f"--license: expected a reference library, but {args.folder} is not one")
        _push_checkpoint(args)


def _push_library(args: PushArguments, license: str) -> None:
    from barcodemae.hub.push_library import assemble_library, push_library
    from barcodemae.repositories import check_name

    library = Path(args.folder)
    if args.dry_run:
        check_name(args.repository)
        with tempfile.TemporaryDirectory() as scratch:
            _print_files(assemble_library(library, args.repository, license, Path(scratch)))
        return
    print(push_library(library, args.repository, license, args.private, args.revision))
    pinned = f"@{args.revision}" if args.revision else ""
    print(f"Use it: barcodemae identify QUERIES --library hub:{args.repository}{pinned} --output FILE")


def _push_checkpoint(args: PushArguments) -> None:
    from barcodemae.checkpoints.files import find_checkpoint
    from barcodemae.hub.publication import assemble
    from barcodemae.hub.push_checkpoint import push_checkpoint
    from barcodemae.repositories import check_name

    checkpoint = Path(find_checkpoint(args.folder))
    if args.dry_run:
        check_name(args.repository)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            assemble(checkpoint, args.repository, folder)
            _print_files({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})
        return
    print(push_checkpoint(checkpoint, args.repository, args.private, args.revision))
    pinned = f', revision="{args.revision}"' if args.revision else ""
    print(f'Load it: AutoModel.from_pretrained("{args.repository}"{pinned}, trust_remote_code=True)')


def _print_files(files: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    for name, size in sorted(sizes.items()):
        print(f"{size:>14,}  {name}")
    print(f"{sum(sizes.values()):>14,}  bytes in {len(sizes)} files\n")
    print(files["README.md"].read_text(encoding="utf-8"))
