"""A picture of an explanation: the bases of the query in the colour of their contributions, between two references."""

from html import escape

import numpy as np

from barcodemae.errors import printable
from barcodemae.library.explanation.contributions import Explanation
from barcodemae.plotting import BLUE, ORANGE

_LINE_BASES, _BLOCK_BASES = 60, 10
_BASES = "ACGT"

# In pixels: a base, a row, the margin with the numbers of coordinates, and the rows of the heading.
_WIDTH, _HEIGHT, _LEFT, _TOP = 11, 16, 56, 92

# The text of a base can be read on the darkest colour.
_MAX_OPACITY = 0.7

_STYLE = """
text{font:13px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1d2733}
.heading{font:15px system-ui,sans-serif;font-weight:600}
.note,.number{font:12px system-ui,sans-serif;fill:#46505c}
.equal{fill:#8b95a1}.number{text-anchor:end}
"""


def draw_explanation(explanation: Explanation) -> str:
    """Draw an explanation as SVG.

    A blue base speaks for the name, an orange one for the other name; the darker, the more. The row above has the bases
    of the reference with the name, the row below those of the other one: a point for the base of the query, and
    its own base where it differs. A tooltip gives the contribution of each base.
    """
    first, last = int(explanation.coordinates[0]), int(explanation.coordinates[-1])
    num_lines = (last - first) // _LINE_BASES + 1
    largest = max(float(np.abs(explanation.contributions).max()), np.finfo(float).tiny)
    width = _LEFT + _LINE_BASES * _WIDTH + (_LINE_BASES // _BLOCK_BASES) * _WIDTH
    height = _TOP + 4 * _HEIGHT * num_lines
    has_references = bool((explanation.reference_bases >= 0).any())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
        *_heading(explanation, largest),
    ]
    line, column = np.divmod(explanation.coordinates - first, _LINE_BASES)
    x = _LEFT + _WIDTH * (column + column // _BLOCK_BASES)
    for number in range(num_lines):
        top = _TOP + 4 * _HEIGHT * number
        at = np.flatnonzero(line == number)
        parts.append(_text(_LEFT - _WIDTH, top + 2 * _HEIGHT - 4, f"{first + number * _LINE_BASES + 1}", "number"))
        for row in at:
            share = float(explanation.contributions[row]) / largest
            base = _BASES[explanation.bases[row]]
            title = f"{base}{explanation.coordinates[row] + 1}: {explanation.contributions[row]:+.5f}"
            colour, opacity = BLUE if share > 0 else ORANGE, _MAX_OPACITY * abs(share)
            parts.append(
                f'<rect x="{x[row]}" y="{top + _HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" fill="{colour}" '
                f'fill-opacity="{opacity:.3f}"><title>{title}</title></rect>'
            )
        parts.append(_bases(x[at], top + 2 * _HEIGHT - 4, explanation.bases[at], None))
        if has_references:
            for offset, bases in ((0, explanation.reference_bases), (2, explanation.other_bases)):
                parts.append(_bases(x[at], top + (offset + 1) * _HEIGHT - 4, bases[at], explanation.bases[at]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _heading(explanation: Explanation, largest: float) -> list[str]:
    names = [printable(name) for name in (explanation.id, explanation.name, explanation.other_name)]
    references = [printable(name) for name in (explanation.reference, explanation.other_reference)]
    note = (
        f"Difference of the scores {explanation.difference:.4f}. Blue: for the name, orange: against it; darkest: "
        f"{largest:.4f}. A point is an equal base."
    )
    return [
        f"<title>{escape(f'Why {names[0]} is {names[1]} rather than {names[2]}')}</title>",
        _text(12, 22, f"{names[0]}: {names[1]} ({explanation.rank}) rather than {names[2]}", "heading"),
        _text(12, 42, f"row above: {names[1]}, {references[0]}", "note"),
        _text(12, 58, f"row below: {names[2]}, {references[1]}", "note"),
        _text(12, 76, note, "note"),
    ]


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" class="{style}">{escape(text)}</text>'


def _bases(x: np.ndarray, y: int, bases: np.ndarray, query: np.ndarray | None) -> str:
    """A row of bases, with a point for those that are equal to the query's, if it is given."""
    is_equal = np.zeros(len(bases), bool) if query is None else bases == query
    drawn = []
    for style, chosen in (("base", np.flatnonzero(~is_equal & (bases >= 0))), ("equal", np.flatnonzero(is_equal))):
        if len(chosen):
            lefts = " ".join(f"{left + 1.5:g}" for left in x[chosen])
            text = "".join("·" if style == "equal" else _BASES[base] for base in bases[chosen])
            drawn.append(f'<text x="{lefts}" y="{y}" class="{style}">{text}</text>')
    return "".join(drawn)
