"""The report of one evaluation as a single HTML file, pictures and style within it."""

import base64
from collections.abc import Mapping
from typing import Any

from barcodemae.evaluation.report.page import render_template


def render_html(results: dict[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page `report.html`: it says what `report.md` says, and loads nothing.

    Args:
        results: as in `results.json`.
        pictures: file name -> PNG.
    """
    encoded = {name: base64.b64encode(picture).decode("ascii") for name, picture in pictures.items()}
    return render_template("report.html.jinja", results, list(pictures), autoescape=True, encoded=encoded)
