"""The card of a reference library: a template that is filled from the library itself."""

from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from huggingface_hub import DatasetCard, DatasetCardData

from barcodemae.checkpoints import shipped_checkpoints
from barcodemae.data.schema import RANKS
from barcodemae.library.store.stored import StoredLibrary

_TAGS = ["biology", "dna", "dna-barcode", "biodiversity", "taxonomy"]

# Size categories of the Hub: maximum number of records (exclusive) and name.
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
_LARGEST = "100M<n<1B"


def render_library_card(folder: Path, repository: str, license: str) -> str:
    """Write the card of a library.

    Args:
        folder: of the library.
        repository: id on the Hub, for the snippets.
        license: of the records, as an identifier of the Hub.

    Returns:
        Markdown, with the Hub's metadata at the top, which `datasets` reads to find the records.

    Raises:
        LibraryError: the library is missing or incomplete.
    """
    library = StoredLibrary.open(folder)
    manifest = library.manifest
    text = (files("barcodemae.model_cards") / "library.md").read_text(encoding="utf-8")
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    ).from_string(text)
    body = template.render(
        repository=repository,
        records=len(library.live),
        ranks=_count_names(library),
        is_calibrated=bool(manifest.calibration),
        is_public=_is_public(manifest.model["name"]),
        model=manifest.model,
        dimension=manifest.dimension,
        frame_length=manifest.frame_length,
        segments=manifest.segments,
        distilled_from=sum(segment.distilled_from or 0 for segment in manifest.segments),
        removed=len(library.removed),
    )
    metadata = DatasetCardData(
        license=license,
        tags=_TAGS,
        pretty_name=repository.rpartition("/")[2],
        size_categories=[_size(len(library.live))],
        configs=[
            {"config_name": "default", "data_files": [{"split": "train", "path": "segment-*/part-*.arrow"}]},
        ],
    )
    return DatasetCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}").content


def _count_names(library: StoredLibrary) -> list[tuple[str, int, int]]:
    """For each rank and for BINs: number of records with a name, and number of distinct names."""
    live = np.setdiff1d(np.arange(library.manifest.num_records), library.removed, assume_unique=True)
    names = library.names().take(pa.array(live))
    counts = []
    for rank in (*RANKS, "bin"):
        named = pc.filter(names[rank], pc.not_equal(names[rank], ""))
        counts.append(("BIN" if rank == "bin" else rank, len(named), pc.count_distinct(named).as_py()))
    return counts


def _is_public(model: str) -> bool:
    """Whether anybody can load a model by its name: it comes with the package, or is on the Hub."""
    return model in shipped_checkpoints() or "/" in model


def _size(num_records: int) -> str:
    return next((name for maximum, name in _SIZES if num_records < maximum), _LARGEST)
