"""`barcodemae page`: makes a page that identifies barcodes in the browser."""

from dataclasses import dataclass, field

from barcodemae.cli.arguments import parse_arguments


@dataclass
class PageArguments:
    """The library and the page."""

    library: str = field(
        metadata={
            "help": "Folder of a library of the base map (barcodemae index --engine frame), or hub:ORG/NAME of one on "
            "the Hub."
        }
    )
    output: str = field(metadata={"help": "Folder of the page: new or empty, or an earlier page, which is replaced."})
    title: str | None = field(
        default=None, metadata={"help": "Title of the page; by default the name of the library's folder."}
    )
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the library's model, if it has moved since."}
    )


def page(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written.
    """
    (args,) = parse_arguments(
        (PageArguments,),
        arguments,
        positionals=("library",),
        about="Make a page that identifies barcodes in the browser, as identify does with the same library. Nothing is "
        "computed on a server, and sequences stay on the visitor's machine.",
        example="barcodemae page library -o page --title 'Bees of Bavaria'",
    )
    from barcodemae.page.making import make_page

    folder = make_page(args.library, args.output, args.model, args.title)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"The page is in {folder} ({size / 1e6:.1f} MB).")
    print(f"Show it: python -m http.server --directory {folder}, then http://localhost:8000")
    print(f"Publish it: barcodemae push {folder} --space ORG/NAME --license LICENSE")
