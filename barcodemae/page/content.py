"""The files of a library that a page reads: facts and settings, names, tensors, the calibration and some examples.

Settings of identification are written here once, so that the page's code has none of its own.
"""

import json
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import save_file

from barcodemae.data.schema import RANKS
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.embedding.singular import singular_vectors
from barcodemae.library.calibration import probability
from barcodemae.library.calibration.probability import Calibration
from barcodemae.library.checking import chimeras
from barcodemae.library.checking.reading_frame import count_stops, reading_frame
from barcodemae.library.search import evidence, short_queries
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.marker import MIN_BASES
from barcodemae.library.settings import MIN_CONFIDENCE, NUM_CANDIDATES, NUM_VOTERS
from barcodemae.library.store.stored import StoredLibrary
from tokenization_barcodemae import indels, reference_frame


def _constants(module: ModuleType, *names: str) -> dict[str, Any]:
    """Constants of a module by their names in lower case."""
    return {name.lower(): getattr(module, name) for name in names}


_SETTINGS = {
    "num_candidates": NUM_CANDIDATES,
    "num_voters": NUM_VOTERS,
    "min_confidence": MIN_CONFIDENCE,
    "identity_weight": BasesOnFrame.identity_weight,
    "min_bases": MIN_BASES,
    "max_length": MAX_LENGTH,
    **_constants(evidence, "VOTE_SCALE", "MAX_MARGIN"),
    **_constants(short_queries, "MAX_SHORT", "NUM_NEAR"),
    **_constants(probability, "MIN_PROBABILITY", "PRIOR_QUERIES", "MARGIN_SCALE"),
    "nearness": _constants(evidence, "CHANCE", "MIN_BEYOND_CHANCE", "MIN_DIFFERENCE"),
    "chimera": _constants(chimeras, "MIN_GAIN", "MIN_IDENTITY", "MIN_DIFFERENCE", "MIN_PART"),
    "frame": _constants(reference_frame, "WEIGHT_SCALE"),
    "indels": _constants(
        indels,
        "MAX_SHIFT",
        "UNIFORM_SHARE",
        "COST",
        "MIN_MEAN",
        "MIN_END",
        "MISFIT",
        "AMBIGUITY",
        "REACH",
        "CONSERVED",
        "WINDOWS",
    ),
}

FACTS_FILE = "library.json"

_NUM_EXAMPLES = 6


def write_content(
    library: StoredLibrary, embedder: BaseMapEmbedder, calibration: Calibration, title: str, folder: Path
) -> None:
    """Write the files of a library that a page reads.

    Args:
        library: has records.
        embedder: the base map that made its vectors.
        calibration: of the library.
        title: of the page.
        folder: exists, and is empty.
    """
    names = library.names().take(pa.array(library.live))
    facts = {
        "title": title,
        "made_by": f"barcodemae {version('barcodemae')}",
        "num_records": len(names),
        "num_named": {rank: _num_named(names[rank]) for rank in RANKS},
        "model": {"name": library.manifest.model["name"], "k": embedder.k},
        "frame": {"marker": embedder.frame.marker, "min_score": embedder.frame.min_score},
        "reading": {"begin": reading_frame(embedder.frame), "stops": _stop_codons(names)},
        "settings": _SETTINGS,
    }
    _write_json(folder / FACTS_FILE, facts)
    _write_json(folder / "calibration.json", calibration.as_json())
    columns = {"id": names["id"].to_pylist(), **{name: _as_numbers(names[name]) for name in (*RANKS, "bin")}}
    _write_json(folder / "names.json", columns)
    vectors = library.vectors(library.live)
    mean = vectors.mean(axis=0, dtype=np.float32)
    axes = singular_vectors([vectors - mean], 2).T
    tensors = {
        "profile": embedder.frame.profile,
        "table": embedder.table,
        "vectors": vectors,
        "bases": _pack(library.bases(library.live)),
        "mean": mean,
        "axes": np.concatenate([axes, np.zeros((2 - len(axes), len(mean)), np.float32)]),
    }
    contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    save_file(contiguous, folder / "library.safetensors")
    (folder / "examples.fasta").write_text(_examples(library, names), encoding="utf-8")


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def _num_named(column: pa.ChunkedArray) -> int:
    """Number of different names."""
    return pc.count_distinct(column.filter(pc.not_equal(column, ""))).as_py()


def _as_numbers(column: pa.ChunkedArray) -> dict[str, list[Any]]:
    """Different names, and the number of that of each record, -1 where unknown."""
    encoded = pc.dictionary_encode(pc.if_else(pc.equal(column, ""), None, column)).combine_chunks()
    return {"values": encoded.dictionary.to_pylist(), "numbers": encoded.indices.fill_null(-1).to_pylist()}


def _stop_codons(names: pa.Table) -> dict[str, list[int]]:
    """Phylum and class, with a tab between them and "" where unknown -> the numbers of stop codons, 0 to 63."""
    pairs = set(zip(names["phylum"].to_pylist(), names["class"].to_pylist(), strict=True))
    lineages = sorted(pairs | {(phylum, "") for phylum, _ in pairs} | {("", "")})
    codons = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)), axis=1).astype(np.int8)
    return {"\t".join(lineage): np.flatnonzero(count_stops(codons, 0, [lineage] * 64)).tolist() for lineage in lineages}


def _pack(bases: np.ndarray) -> np.ndarray:
    """Bases `[n, length]`, -1 to 3, plus 1 and two to a byte, the first one in the lower bits."""
    codes = (bases + 1).astype(np.uint8)
    codes = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2)))
    return codes[:, ::2] | codes[:, 1::2] << 4


def _examples(library: StoredLibrary, names: pa.Table) -> str:
    """Some records of the library as FASTA, far from each other in its order."""
    rows = np.unique(np.linspace(0, len(names) - 1, _NUM_EXAMPLES).astype(int))
    ids = names["id"].take(pa.array(rows)).to_pylist()
    sequences = library.nucleotides(library.live[rows])
    return "".join(f">{id}\n{sequence}\n" for id, sequence in zip(ids, sequences, strict=True))
