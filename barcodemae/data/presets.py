"""How the collections that people bring are laid out: one table, read by `--preset NAME`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class Preset:
    """The layout of a collection of barcodes, where it differs from what is found by the names of the columns.

    Attributes:
        columns: our name -> the file's, for columns that the file must have; others are found by their names.
        splits: the collection's word for a split -> ours; other words stay as they are.
        file_splits: stem of a file's name -> split, where a file holds one split each.
        marker: column and the word in it that the rows must have; rows of other markers are left out.
        bases: so many bases of a sequence, as it stands in the file, are read; what follows is of low quality.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    file_splits: Mapping[str, str] = field(default_factory=dict)
    marker: tuple[str, str] | None = None
    bases: int | None = None


# All is left to the names of the columns.
BY_NAMES = Preset()

_RANKS = {rank: rank for rank in ("phylum", "class", "order", "family", "genus", "species")}
_RANK_NAMES = {rank: f"{rank}_name" for rank in _RANKS}

PRESETS: dict[str, Preset] = {
    # BIOSCAN_5M_Insect_Dataset_metadata.csv
    "bioscan-5m": Preset(
        columns={
            "id": "processid",
            "nucleotides": "dna_barcode",
            **_RANKS,
            "bin": "dna_bin",
            "country": "country",
            "split": "split",
        },
        bases=660,
    ),
    # BIOSCAN_Insect_Dataset_metadata.tsv. It has six columns of splits (--split_column takes another), each over a
    # part of the records; what belongs to none of its splits is free for pretraining.
    "bioscan-1m": Preset(
        columns={
            "id": "processid",
            "nucleotides": "nucraw",
            **_RANKS,
            "bin": "uri",
            "split": "large_diptera_family",
        },
        splits={"validation": "val", "no_split": "pretrain"},
        bases=660,
    ),
    # CanInv_metadata.csv
    "canadian-invertebrates": Preset(
        columns={"id": "processid", "nucleotides": "dna_barcode", **_RANKS, "bin": "dna_bin", "split": "split"},
        splits={"validation": "val"},
        bases=660,
    ),
    # The older form: a CSV for each split.
    "canadian-invertebrates-files": Preset(
        columns={
            "id": "processid",
            "nucleotides": "nucleotides",
            "genus": "genus_name",
            "species": "species_name",
            "bin": "bin_uri",
        },
        file_splits={
            "pre_training": "pretrain",
            "supervised_train": "train",
            "supervised_val": "val",
            "supervised_test": "test",
            "unseen": "test_unseen",
        },
        bases=660,
    ),
    "bold-v3": Preset(
        columns={"id": "processid", "nucleotides": "nucleotides", **_RANK_NAMES, "bin": "bin_uri"},
        marker=("markercode", "COI-5P"),
    ),
    # BOLD's data packages. They hold `nuc` or `nucraw`, so that is left to be found.
    "bold-bcdm": Preset(
        columns={"id": "processid", **_RANKS, "bin": "bin_uri", "country": "country/ocean"},
        marker=("marker_code", "COI-5P"),
    ),
}


def find_preset(name: str | None, split_column: str | None = None) -> Preset:
    """The preset of that name, or `BY_NAMES`.

    Args:
        name: one of `PRESETS`, or None.
        split_column: the column that holds the split, whatever the preset says.

    Raises:
        ConfigurationError: there is no preset of that name.
    """
    if name is not None and name not in PRESETS:
        raise ConfigurationError(f"--preset {name}: expected one of {', '.join(PRESETS)}")
    preset = BY_NAMES if name is None else PRESETS[name]
    if split_column is None:
        return preset
    return replace(preset, columns={**preset.columns, "split": split_column}, file_splits={})
