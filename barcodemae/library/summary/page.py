"""The HTML summary of an identification: one page, which needs no network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jinja2

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError, printable
from barcodemae.library.results.schema import CALLS, NOVEL, UNRELIABLE
from barcodemae.library.summary.counts import MIN_NOVELTY, SummaryCounts
from barcodemae.library.summary.figures import MAX_TAXA, confidence_histogram, novelty_histogram, sunburst
from barcodemae.outputs import check_output, open_output

MAX_GROUPS = 200
"""Maximum number of groups of possibly new species that are listed, the largest ones."""

_MAX_TEXT_LENGTH = 80


@contextmanager
def open_summary(path: Path, title: str) -> Iterator[SummaryCounts]:
    """Counts to which results are written; the page is written, by `outputs.open_output`, at the end of the context.

    Args:
        path: of the page.
        title: of the page.

    Raises:
        ConfigurationError: plotly is not installed, or no file can be written there; both before any work is done.
        OSError: the system refuses.
    """
    check_output(path)
    script = _plotly_script()
    counts = SummaryCounts()
    yield counts
    with open_output(path) as file:
        file.write(_render(counts, printable(title), script).encode())


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigurationError('for a summary, install plotly: pip install "barcodemae[identify]"') from error
    return get_plotlyjs()


def _render(counts: SummaryCounts, title: str, script: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("barcodemae.library.summary"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": _short, "share": lambda n: n / max(counts.n, 1)}
    new_species = sorted(counts.new_species.values(), key=lambda group: (-group.n, group.lineage, group.ids))
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
        reasons=sorted(counts.reasons.items(), key=lambda item: (-item[1].n, item[0])),
        new_species=new_species[:MAX_GROUPS],
        num_groups=len(new_species),
        num_new=sum(group.n for group in new_species),
        num_reliable=counts.n - counts.calls[UNRELIABLE],
        min_novelty=MIN_NOVELTY,
        num_taxa=len(counts.totals()),
        max_drawn=MAX_TAXA,
        figures=figures if counts.n else {},
    )


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_LENGTH else f"{text[: _MAX_TEXT_LENGTH - 1]}…"
