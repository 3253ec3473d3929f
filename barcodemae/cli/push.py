"""`barcodemae push`: a checkpoint or a reference library in, a repository on the Hub out."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError


@dataclass
class PushArguments:
    """What to publish, and where."""

    folder: str = field(
        metadata={
            "help": "Folder of a checkpoint or of a reference library (barcodemae index), or the name of a checkpoint "
            "that comes with the package."
        }
    )
    repository: str = field(
        metadata={
            "help": "ORG/NAME on the Hub, made where it does not exist: a model, or of a library a data set, which "
            "`identify --library hub:ORG/NAME` asks."
        }
    )
    license: str | None = field(
        default=None,
        metadata={
            "help": "Licence of a library's records, in the Hub's words; it has to be found where they come from "
            "(docs/identification.md). A library needs it."
        },
    )
    private: bool = field(default=False, metadata={"help": "Whether a new repository is for its members alone."})
    revision: str | None = field(
        default=None, metadata={"help": "Branch to push to, made where it does not exist; by default the main one."}
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Only show what would be published, without token or network."}
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
        about="Publish a checkpoint, or a reference library, on the Hub with its card.",
        example="barcodemae push runs/first ORG/NAME --dry-run",
    )
    from barcodemae.library.store.manifest import MANIFEST_FILE

    is_library = (Path(args.folder) / MANIFEST_FILE).is_file()
    if is_library and args.license is None:
        raise ConfigurationError(
            "expected --license, the licence of the library's records: look for it where they come from "
            "(docs/identification.md)"
        )
    if not is_library and args.license is not None:
        raise ConfigurationError(f"--license: expected a reference library, which {args.folder} is not")
    run = _push_library if is_library else _push_checkpoint
    run(args)


def _push_library(args: Any) -> None:
    from barcodemae.hub.push_library import assemble_library, push_library
    from barcodemae.repositories import check_name

    library = Path(args.folder)
    if args.dry_run:
        check_name(args.repository)
        with tempfile.TemporaryDirectory() as scratch:
            _show(assemble_library(library, args.repository, args.license, Path(scratch)))
        return
    print(push_library(library, args.repository, args.license, args.private, args.revision))
    pinned = f"@{args.revision}" if args.revision else ""
    print(f"Ask it: barcodemae identify QUERIES --library hub:{args.repository}{pinned} --output FILE")


def _push_checkpoint(args: Any) -> None:
    from barcodemae.checkpoints.loading import find_checkpoint
    from barcodemae.hub.publication import assemble
    from barcodemae.hub.push import push_checkpoint
    from barcodemae.repositories import check_name

    checkpoint = Path(find_checkpoint(args.folder))
    if args.dry_run:
        check_name(args.repository)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            assemble(checkpoint, args.repository, folder)
            _show({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})
        return
    print(push_checkpoint(checkpoint, args.repository, args.private, args.revision))
    pinned = f', revision="{args.revision}"' if args.revision else ""
    print(f'Load it: AutoModel.from_pretrained("{args.repository}"{pinned}, trust_remote_code=True)')


def _show(files: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    for name, size in sorted(sizes.items()):
        print(f"{size:>14,}  {name}")
    print(f"{sum(sizes.values()):>14,}  bytes in {len(sizes)} files\n")
    print(files["README.md"].read_text(encoding="utf-8"))
