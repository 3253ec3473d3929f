"""The HTML summary of an identification: one page, which needs no network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jinja2

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError, printable
from barcodemae.library.results.schema import CALLS, NOVEL, UNRELIABLE
from barcodemae.library.summary.counts import MIN_NOVELTY, SummaryCounts
from barcodemae.library.summary.figures import (
    MAX_TAXA,
    confidence_histogram,
    named_totals,
    novelty_histogram,
    sunburst,
)
from barcodemae.outputs import check_output, open_output

MAX_ROWS = 200
"""Maximum number of species, and of groups of species not in the library, that are listed, the largest ones."""

_MAX_TEXT_LENGTH = 80


@contextmanager
def open_summary(path: Path, title: str, facts: Mapping[str, str]) -> Iterator[SummaryCounts]:
    """Counts to which results are written; the page is written, by `outputs.open_output`, at the end of the context.

    Args:
        path: of the page.
        title: of the page.
        facts: what the results were made with -> its description, such as the library.

    Raises:
        ConfigurationError: plotly is not installed, or no file can be written there; both before any work is done.
        OSError: the system refuses.
    """
    check_output(path)
    script = _plotly_script()
    counts = SummaryCounts()
    yield counts
    with open_output(path) as file:
        file.write(_render(counts, printable(title), facts, script).encode())


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigurationError('for a summary, install plotly: pip install "barcodemae[identify]"') from error
    return get_plotlyjs()


def _render(counts: SummaryCounts, title: str, facts: Mapping[str, str], script: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("barcodemae.library.summary"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": _short, "share": lambda n: n / max(counts.reads, 1)}
    species, not_in_library = (
        sorted(taxa.values(), key=lambda taxon: (-taxon.reads, taxon.lineage, taxon.ids))
        for taxa in (counts.species, counts.not_in_library)
    )
    figures = {
        "taxa": sunburst(counts),
        "confidence": confidence_histogram(counts),
        "novelty": novelty_histogram(counts),
    }
    return environment.get_template("summary.html.jinja").render(
        title=title,
        script=script,
        counts=counts,
        calls=[(call, counts.calls[call]) for call in reversed(CALLS[: len(RANKS)])],
        not_named=[(call, counts.calls[call]) for call in (NOVEL, UNRELIABLE)],
        facts={name: printable(text) for name, text in facts.items()},
        reasons=sorted(counts.reasons.items(), key=lambda item: (-item[1].reads, item[0])),
        species=species[:MAX_ROWS],
        num_species=len(species),
        not_in_library=not_in_library[:MAX_ROWS],
        num_groups=len(not_in_library),
        num_not_in_library=sum(taxon.reads for taxon in not_in_library),
        num_reliable=counts.reads - counts.calls[UNRELIABLE],
        min_novelty=MIN_NOVELTY,
        num_taxa=len(named_totals(counts)),
        max_drawn=MAX_TAXA,
        figures=figures if counts.n else {},
    )


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_LENGTH else f"{text[: _MAX_TEXT_LENGTH - 1]}…"
