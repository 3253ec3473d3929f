"""The layouts of well-known collections of barcodes, read by `--preset NAME`."""

from dataclasses import replace

from barcodemae.data.schema import BY_NAMES, RANKS, Preset
from barcodemae.errors import ConfigurationError

_RANKS = {rank: rank for rank in RANKS}
_RANK_NAMES = {rank: f"{rank}_name" for rank in RANKS}

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
        max_bases=660,
    ),
    # BIOSCAN_Insect_Dataset_metadata.tsv. It has six columns of splits (--split-column selects another one), each for a
    # part of the records; the other records can be used for pretraining.
    "bioscan-1m": Preset(
        columns={
            "id": "processid",
            "nucleotides": "nucraw",
            **_RANKS,
            "bin": "uri",
            "split": "large_diptera_family",
        },
        splits={"validation": "val", "no_split": "pretrain"},
        max_bases=660,
    ),
    # CanInv_metadata.csv
    "canadian-invertebrates": Preset(
        columns={"id": "processid", "nucleotides": "dna_barcode", **_RANKS, "bin": "dna_bin", "split": "split"},
        splits={"validation": "val"},
        max_bases=660,
    ),
    # The older form: one CSV file per split.
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
        max_bases=660,
    ),
    # UNITE+INSD as MycoAI distributes it (Zenodo 10946477): FASTA with headers of UNITE, five million sequences of
    # fungal ITS, two sets of the Westerdijk institute, of yeasts and of filamentous fungi, and MycoAI's own test set.
    "its-5m": Preset(
        file_splits={
            "trainset": "train",
            "trainset_valid": "val",
            "test1": "test_yeast",
            "test2": "test_filamentous",
            "test3": "test_mycoai",
        },
    ),
    "bold-v3": Preset(
        columns={"id": "processid", "nucleotides": "nucleotides", **_RANK_NAMES, "bin": "bin_uri"},
        marker=("markercode", "COI-5P"),
    ),
    # BOLD's data packages have `nuc` or `nucraw`, so the column of nucleotides is found by its name.
    "bold-bcdm": Preset(
        columns={"id": "processid", **_RANKS, "bin": "bin_uri", "country": "country/ocean"},
        marker=("marker_code", "COI-5P"),
    ),
}


def find_preset(name: str | None, split_column: str | None = None) -> Preset:
    """The preset of that name, or `BY_NAMES`.

    Args:
        name: one of `PRESETS`, or None.
        split_column: the column of the split, instead of that of the preset.

    Raises:
        ConfigurationError: there is no preset of that name.
    """
    if name is not None and name not in PRESETS:
        raise ConfigurationError(f"--preset {name}: expected one of {', '.join(PRESETS)}")
    preset = BY_NAMES if name is None else PRESETS[name]
    if split_column is None:
        return preset
    return replace(preset, columns={**preset.columns, "split": split_column}, file_splits={})
