"""`barcodemae push`: publishes a checkpoint, a reference library or a page on the Hub."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.checkpoints import shipped_checkpoints
from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError


@dataclass
class PushArguments:
    """The checkpoint, library or page, and its repository."""

    folder: str = field(
        metadata={
            "help": "Folder of a checkpoint, of a reference library (barcodemae index) or, with --space, of a page "
            "(barcodemae page), or the name of a checkpoint that comes with the package."
        }
    )
    repository: str | None = field(
        default=None,
        metadata={
            "help": "ORG/NAME on the Hub, made where it does not exist: a model for a checkpoint, or a data set for a "
            "library, which `identify --library hub:ORG/NAME` uses."
        },
    )
    space: str | None = field(
        default=None,
        metadata={
            "help": "ORG/NAME of a static Space on the Hub, made where it does not exist, that shows a page; instead "
            "of REPOSITORY."
        },
    )
    license: str | None = field(
        default=None,
        metadata={
            "help": "Licence of the records of a library or a page, as an identifier of the Hub such as cc-by-4.0; ask "
            "the source of the records (docs/identification.md). Required for both."
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
        about="Publish a checkpoint, a reference library or a page on the Hub, with its card.",
        example="barcodemae push runs/first ORG/NAME --dry-run",
    )
    if not Path(args.folder).is_dir() and args.folder not in shipped_checkpoints():
        raise ConfigurationError(f"{args.folder}: expected the folder of a checkpoint or of a library, found none")
    repository = args.repository or ""
    if bool(repository) == bool(args.space):
        raise ConfigurationError("expected REPOSITORY, or --space ORG/NAME for a page; one of the two")
    from barcodemae.library.store.manifest import MANIFEST_FILE, libraries_within, read_manifest
    from barcodemae.page.making import is_page

    if args.space:
        _push_page(args, args.space, _license(args, "page"))
    elif is_page(Path(args.folder)):
        raise ConfigurationError(f"{args.folder}: is a page; expected --space {repository} for it")
    elif libraries_within(Path(args.folder)):
        read_manifest(Path(args.folder))  # raises: each is published by itself
    elif (Path(args.folder) / MANIFEST_FILE).is_file():
        _push_library(args, repository, _license(args, "library"))
    else:
        if args.license is not None:
            raise ConfigurationError(f"--license: expected a reference library, but {args.folder} is not one")
        _push_checkpoint(args, repository)


def _license(args: PushArguments, noun: str) -> str:
    if args.license is None:
        raise ConfigurationError(
            f"expected --license, the licence of the {noun}'s records: ask their source (docs/identification.md)"
        )
    return args.license


def _push_page(args: PushArguments, space: str, license: str) -> None:
    from barcodemae.hub.push_page import assemble_page, push_page
    from barcodemae.repositories import check_name

    page = Path(args.folder)
    if args.dry_run:
        check_name(space)
        with tempfile.TemporaryDirectory() as scratch:
            _print_files(assemble_page(page, license, Path(scratch)))
        return
    print(push_page(page, space, license, args.private, args.revision))
    print(f"Show it: https://huggingface.co/spaces/{space}")


def _push_library(args: PushArguments, repository: str, license: str) -> None:
    from barcodemae.hub.push_library import assemble_library, push_library
    from barcodemae.repositories import check_name

    library = Path(args.folder)
    if args.dry_run:
        check_name(repository)
        with tempfile.TemporaryDirectory() as scratch:
            _print_files(assemble_library(library, repository, license, Path(scratch)))
        return
    print(push_library(library, repository, license, args.private, args.revision))
    pinned = f"@{args.revision}" if args.revision else ""
    print(f"Use it: barcodemae identify QUERIES --library hub:{repository}{pinned} --output FILE")


def _push_checkpoint(args: PushArguments, repository: str) -> None:
    from barcodemae.checkpoints.files import find_checkpoint
    from barcodemae.hub.publication import assemble
    from barcodemae.hub.push_checkpoint import push_checkpoint
    from barcodemae.repositories import check_name

    checkpoint = Path(find_checkpoint(args.folder))
    if args.dry_run:
        check_name(repository)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            assemble(checkpoint, repository, folder)
            _print_files({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})
        return
    print(push_checkpoint(checkpoint, repository, args.private, args.revision))
    pinned = f', revision="{args.revision}"' if args.revision else ""
    print(f'Load it: AutoModel.from_pretrained("{repository}"{pinned}, trust_remote_code=True)')


def _print_files(files: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    for name, size in sorted(sizes.items()):
        print(f"{size:>14,}  {name}")
    print(f"{sum(sizes.values()):>14,}  bytes in {len(sizes)} files\n")
    print(files["README.md"].read_text(encoding="utf-8"))
