"""`barcodemae push`: a checkpoint in, a repository on the Hub out."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.commands import parse_arguments
from barcodemae.hub.checkpoint import find_checkpoint
from barcodemae.hub.commit import check_name
from barcodemae.hub.publication import assemble
from barcodemae.hub.push import push_checkpoint


@dataclass
class PushArguments:
    """What to publish, and where."""

    checkpoint: str = field(
        metadata={"help": "Folder of a checkpoint, or the name of one that comes with the package."}
    )
    repository: str = field(metadata={"help": "ORG/NAME on the Hub, made where it does not exist."})
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
    (args,) = parse_arguments((PushArguments,), arguments, positionals=("checkpoint", "repository"))
    checkpoint = Path(find_checkpoint(args.checkpoint))
    if args.dry_run:
        _show(checkpoint, args.repository)
        return
    print(push_checkpoint(checkpoint, args.repository, args.private, args.revision))
    pinned = f', revision="{args.revision}"' if args.revision else ""
    print(f'Load it: AutoModel.from_pretrained("{args.repository}"{pinned}, trust_remote_code=True)')


def _show(checkpoint: Path, repository: str) -> None:
    check_name(repository)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        assemble(checkpoint, repository, folder)
        sizes = {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        for name, size in sorted(sizes.items()):
            print(f"{size:>14,}  {name}")
        print(f"{sum(sizes.values()):>14,}  bytes in {len(sizes)} files\n")
        print((folder / "README.md").read_text(encoding="utf-8"))
