"""The HTML summary of an identification: one page that needs no network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jinja2

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError, printable
from barcodemae.library.results.schema import CALLS, NOVEL, UNRELIABLE
from barcodemae.library.summary.counts import NOVELTY, SummaryCounts
from barcodemae.library.summary.figures import TAXA, confidence_histogram, novelty_histogram, sunburst
from barcodemae.outputs import check_output, open_output

GROUPS = 200
"""So many of the largest groups of possibly new species are listed."""

_LONGEST_TEXT = 80


@contextmanager
def open_summary(path: Path, title: str, groups: Mapping[str, int] | None = None) -> Iterator[SummaryCounts]:
    """Counts to write answers to; the page is written, by `outputs.open_output`, when the context ends well.

    Args:
        path: of the page.
        title: what was identified.
        groups: as `SummaryCounts`.

    Raises:
        ConfigurationError: plotly is not installed, or no file can be written there; raised before any work is done.
        OSError: the system refuses.
    """
    check_output(path)
    script = _plotly_script()
    counts = SummaryCounts(groups)
    yield counts
    with open_output(path) as file:
        file.write(_render(counts, printable(title), script).encode())


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigurationError(
            'the summary is drawn with plotly, which is not installed: pip install "barcodemae[identify]"'
        ) from error
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
        new_species=new_species[:GROUPS],
        num_groups=len(new_species),
        n_new=sum(group.n for group in new_species),
        n_reliable=counts.n - counts.calls[UNRELIABLE],
        is_grouped=any(group.number is not None for group in new_species),
        novelty=NOVELTY,
        n_taxa=len(counts.totals()),
        n_drawn=TAXA,
        figures=figures if counts.n else {},
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
