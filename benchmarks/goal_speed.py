"""Barcodes embedded a second beside VSEARCH's queries a second, turn by turn in one process: part of `goals.py`.

`goals.py` starts it twice, the second time with what limits matrix products to AVX2, as on most processors: that has
to stand in the environment before torch is loaded. All use the threads that they use by default.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import torch
from goal_models import embedders

from barcodemae.commands import run_command
from barcodemae.evaluation.rivals.alignment import AlignmentSearcher
from barcodemae.evaluation.rivals.frame_maps import FrameLDA, FrameSVD
from barcodemae.evaluation.splits import labels, read_usable_records, select_splits
from tokenization_barcodemae import ReferenceFrame

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
ROUNDS = 3
UNIT = "VSEARCH"

_WARM_UP = 64


def speed_in_fresh_process(data: str, models: list[str], n_queries: int, environment: dict[str, str]) -> dict[str, Any]:
    """What `measure` gives, in a process of its own.

    Args:
        data: file of barcodes with splits.
        models: checkpoints.
        n_queries: barcodes of `test_unseen`; some stand twice where it has fewer.
        environment: variables that the process gets besides ours.
    """
    command = [sys.executable, __file__, "--data", data, "--queries", str(n_queries), "--models", *models]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(data: str, models: list[str], n_queries: int) -> dict[str, Any]:
    """Rates of VSEARCH, both linear maps and the models.

    VSEARCH's library is made and loaded in each search: a search of one query is timed beside it and taken off.

    Returns:
        `per_second`, the median of three rounds, and `times_vsearch`, the median of the ratio within a round: each
        name -> figure; `n_queries, torch_threads`.
    """
    train, asked = select_splits(read_usable_records(data, "skip"), ["train", "test_unseen"])
    train = train.filter(pa.array(labels(train, "genus") != ""))
    keys, genera = train["nucleotides"].to_pylist(), labels(train, "genus")
    barcodes = asked["nucleotides"].to_pylist()
    barcodes = (barcodes * (n_queries // len(barcodes) + 1))[:n_queries]
    embed: dict[str, Callable[[list[str]], Any]] = {}
    for name, linear in (("SVD", FrameSVD(ReferenceFrame.coi())), ("SVD + LDA", FrameLDA(ReferenceFrame.coi()))):
        linear.fit(keys, genera)
        embed[name] = linear.embed
    # What lies off the frame is nothing to letters alone.
    embed |= {name: partial(load().encode, on_error="skip") for name, load in embedders(models).items()}
    vsearch = AlignmentSearcher("vsearch")
    for encode in embed.values():
        encode(barcodes[:_WARM_UP])
    rates: dict[str, list[float]] = {name: [] for name in (UNIT, *embed)}
    for _ in range(ROUNDS):
        start = seconds(vsearch.search, keys, barcodes[:1])
        rates[UNIT].append((n_queries - 1) / (seconds(vsearch.search, keys, barcodes) - start))
        for name, encode in embed.items():
            rates[name].append(n_queries / seconds(encode, barcodes))
    return {
        "per_second": {name: statistics.median(found) for name, found in rates.items()},
        "times_vsearch": {
            name: statistics.median(rate / unit for rate, unit in zip(found, rates[UNIT], strict=True))
            for name, found in rates.items()
        },
        "n_queries": n_queries,
        "torch_threads": torch.get_num_threads(),
    }


def seconds(work: Callable[..., Any], *given: Any) -> float:
    begin = time.perf_counter()
    work(*given)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Barcodes with splits.")
    parser.add_argument("--models", nargs="+", required=True, help="Checkpoints.")
    parser.add_argument("--queries", type=int, default=2000)
    args = parser.parse_args()
    print(json.dumps(measure(args.data, args.models, args.queries)))


if __name__ == "__main__":
    run_command(main)
