"""BLAST's and VSEARCH's answers, kept on disk: they take minutes, and are the same each time."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from barcodemae.evaluation.kept_vectors import texts_sha256
from barcodemae.evaluation.rivals.alignment import AlignmentSearcher
from barcodemae.evaluation.rivals.alignment_programs import program_version, run_program
from barcodemae.evaluation.rivals.text_forms import write_barcodes
from barcodemae.evaluation.scores import load_metric
from barcodemae.files import written_whole

IDENTITIES = tuple(round(0.95 + 0.005 * step, 3) for step in range(9))

# So many answers are lost at most when a search is stopped.
_BLOCK = 500

_CLUSTER = "vsearch --cluster_fast barcodes.fasta --id {identity} --uc clusters.tsv --quiet"


def kept(folder: Path, key: dict[str, Any], make: Callable[[], Any]) -> Any:
    """What `make` gives, made once for each key.

    Args:
        folder: a file for each key lies in it.
        key: all that the answer depends on, as JSON has it.
        make: gives the answer, as JSON has it.
    """
    name = f"{texts_sha256([json.dumps(key, sort_keys=True)])[:32]}.json"
    if (folder / name).exists():
        return json.loads((folder / name).read_text())["answer"]
    answer = make()
    with written_whole(folder) as scratch:
        (scratch / name).write_text(json.dumps({"key": key, "answer": answer}))
    return answer


def nearest_by_alignment(setting: str, keys: list[str], queries: list[str], folder: Path) -> np.ndarray:
    """Row of the best key of each query `[n_queries]`, -1 where nothing was found.

    Args:
        setting: one of `SETTINGS`.
        keys: barcodes.
        queries: barcodes.
        folder: where answers are kept.

    Raises:
        ConfigurationError: the program is not installed, or fails.
    """
    searcher = AlignmentSearcher(setting)
    # Threads change the speed, not the answers.
    key = {"setting": setting, "options": AlignmentSearcher(setting, 1).commands(), "version": searcher.version}
    key["keys"] = texts_sha256(keys)
    rows: list[int] = []
    for begin in tqdm(range(0, len(queries), _BLOCK), desc=setting, unit="block", leave=False):
        block = queries[begin : begin + _BLOCK]
        rows += kept(
            folder,
            key | {"queries": texts_sha256(block)},
            partial(_nearest, searcher, keys, block),
        )
    return np.array(rows, dtype=np.int64)


def _nearest(searcher: AlignmentSearcher, keys: list[str], queries: list[str]) -> list[int]:
    return searcher.search(keys, queries).rows[:, 0].tolist()


def vsearch_clusters(sequences: list[str], identity: float) -> list[int]:
    """Cluster of each barcode, by VSEARCH's greedy clustering at an identity, longest first.

    Raises:
        ConfigurationError: the program is not installed, or fails.
    """
    clusters = [-1] * len(sequences)
    with tempfile.TemporaryDirectory(prefix="barcodes-") as scratch:
        folder = Path(scratch)
        texts = write_barcodes(sequences, "plain")
        (folder / "barcodes.fasta").write_text("".join(f">{row}\n{text}\n" for row, text in enumerate(texts)))
        run_program(_CLUSTER.format(identity=identity), folder)
        for line in (folder / "clusters.tsv").read_text().splitlines():
            kind, cluster, *_, label, _ = line.split("\t")
            if kind in "SH":  # a cluster's first barcode, and its others
                clusters[int(label)] = int(cluster)
    return clusters


def vsearch_bin_scores(sequences: list[str], bins: np.ndarray, folder: Path) -> dict[str, Any]:
    """Adjusted mutual information of BINs and VSEARCH's clusters at nine identities.

    Args:
        sequences: `[n]`, barcodes.
        bins: `[n]`, their BINs.
        folder: where clusters are kept.

    Returns:
        `bin_ami_by_identity` (identity as text -> share), and the best of them, which labels have picked:
        `best_identity, n_clusters, bin_ami`.
    """
    key = {"version": program_version("vsearch"), "command": _CLUSTER, "barcodes": texts_sha256(sequences)}
    found, counts = {}, {}
    for identity in tqdm(IDENTITIES, desc="vsearch --cluster_fast", unit="identity", leave=False):
        clusters = kept(
            folder,
            key | {"identity": identity},
            partial(vsearch_clusters, sequences, identity),
        )
        found[str(identity)] = load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"]
        counts[str(identity)] = len(set(clusters))
    best = max(found, key=lambda identity: found[identity])
    return {
        "bin_ami_by_identity": found,
        "best_identity": float(best),
        "n_clusters": counts[best],
        "bin_ami": found[best],
    }
