"""The figure of `results/embeddings`, drawn from its figures: `python benchmarks/embeddings_figure.py`.

Each method has a row and each measure a panel: accuracies with their 95 % intervals over species, agreement with BINs,
and speed.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from barcodemae.cli.command import run_command
from barcodemae.files import written_atomically
from barcodemae.plotting import BLACK, BLUE, GREY, PlainFigure, draw_rows, name_rows, png, rows_from_top

FOLDER = Path(__file__).parent / "results" / "embeddings"
ACCURACIES = {
    "genus of `test_unseen`": "genus of new species",
    "genus of the other file": "genus of new species,\nanother data set",
    "species of `test`, sample": "species of known ones",
}
BINS = "BINs of `test` and `test_unseen`"
SPEED = "barcodes/s, times VSEARCH"
OURS = "nano_coi"


def draw(results: Mapping[str, Any]) -> Figure:
    """A panel for each measure, with the methods as rows."""
    methods = list(results["accuracy"][next(iter(ACCURACIES))]["scores"])
    colours = [BLUE if name.startswith(OURS) else BLACK for name in methods]
    figure = PlainFigure(figsize=(13, 3.6), layout="constrained")
    panels = figure.subplots(1, len(ACCURACIES) + 2, sharey=True)
    for axes, (measure, title) in zip(panels, ACCURACIES.items(), strict=False):
        found = results["accuracy"][measure]
        draw_rows(axes, [found["scores"][name] for name in methods], f"{found['rank']}_accuracy", colours)
        axes.set(title=title, xlabel="right, %")
    bins, speed = results["bins"][BINS]["scores"], results["speed"][SPEED]["times_vsearch"]
    agreements = [100 * bins[name]["bin_ami"] if name in bins else np.nan for name in methods]
    times = [speed.get(name, np.nan) for name in methods]
    for axes, values in zip(panels[-2:], (agreements, times), strict=True):
        axes.scatter(values, rows_from_top(len(methods)), color=colours, s=25)
    panels[-2].set(title="clusters and BINs", xlabel="agreement (AMI), %")
    panels[-1].set(title="speed", xlabel="barcodes/s, times VSEARCH", xscale="log")
    panels[-1].axvline(1, color=GREY, lw=1)
    panels[-1].xaxis.set_major_locator(FixedLocator([1, 3, 10, 30]))
    panels[-1].xaxis.set_major_formatter("{x:g}")
    panels[-1].xaxis.set_minor_locator(NullLocator())
    name_rows(panels, methods, colours)
    figure.supxlabel("Bars are 95 % intervals over species; our checkpoints are blue.", fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="With embeddings.json.")
    args = parser.parse_args()
    results = json.loads((args.folder / "embeddings.json").read_text())
    with written_atomically(args.folder) as scratch:
        (scratch / "embeddings.png").write_bytes(png(draw(results)))


if __name__ == "__main__":
    run_command(main)
