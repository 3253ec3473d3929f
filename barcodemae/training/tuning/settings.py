"""Options of `barcodemae tune`, and settings of the fit."""

from dataclasses import dataclass, field

from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class HeadSettings:
    """How a head is fitted. All values were chosen on species held out of `train`, and on `val_unseen`; see
    docs/tuning.md.

    Attributes:
        embedding_size: number of directions.
        label_share: weight of taxon names, relative to the barcodes alone, in deciding which barcodes are related, from
            0 (names are not used) to 1.
        network_share: length of the encoder's part of the features relative to that of the bases; 0 leaves it out.
        completion_weight: weight of the bases that a network with a pooled decoder reconstructs where a barcode lacks
            them; with it, `network_share` is not used.
        base_features: number of singular vectors of the bases.
        cluster_cosine: minimum cosine similarity of linked pairs within a cluster.
        relative_cosine: minimum cosine similarity of related clusters.
        num_relatives: maximum number of related clusters for each cluster.
        species_share: weight of the differences within clusters, relative to those between relatives.
        shrinkage: shrinkage of the scatter within relatives towards a multiple of the identity.
    """

    embedding_size: int = 200
    label_share: float = 0.5
    network_share: float = 0.1
    completion_weight: float = 0.3
    base_features: int = 600
    cluster_cosine: float = 0.9
    relative_cosine: float = 0.3
    num_relatives: int = 3
    species_share: float = 0.3
    shrinkage: float = 0.15


@dataclass
class TuneArguments:
    """Options of `barcodemae tune`."""

    checkpoint: str = field(
        metadata={
            "help": "Pretrained checkpoint: a folder, a Hub id, or one that is shipped with the package; or the folder "
            "of a marker (barcodemae marker build), for a model of its bases alone."
        }
    )
    output: str = field(metadata={"help": "Folder for the tuned checkpoint; it must not exist yet."})
    data: list[str] = field(metadata={"help": "Files (Parquet, TSV, CSV, FASTA, also .gz) or hub:ORG/NAME."})
    preset: str | None = field(default=None, metadata={"help": "Column layout of a known collection."})
    splits: list[str] = field(
        default_factory=lambda: ["pretrain", "train"],
        metadata={"help": "Splits to tune with; records without a split are always used."},
    )
    label_share: float = field(
        default=HeadSettings.label_share,
        metadata={"help": "Weight of taxon names in deciding which barcodes are related, from 0 (not used) to 1."},
    )
    network_share: float = field(
        default=HeadSettings.network_share,
        metadata={
            "help": "Weight of the network relative to that of the bases, for a checkpoint without the decoder of the "
            "pooled vector; 0 leaves the network out."
        },
    )
    completion_weight: float = field(
        default=HeadSettings.completion_weight,
        metadata={
            "help": "Weight of the bases that the network reconstructs where a barcode lacks them, for a checkpoint "
            "with the decoder of the pooled vector; 0 for a map of its output instead, by --network-share."
        },
    )
    encoder_stride: int = field(
        default=1,
        metadata={"help": "The encoder reads every n-th k-mer, to save time; bases are read at all k-mers."},
    )
    embedding_size: int = field(default=HeadSettings.embedding_size, metadata={"help": "Dimension of the embeddings."})
    max_per_species: int | None = field(
        default=None,
        metadata={
            "help": "Maximum number of barcodes of a species, drawn at random; of a BIN where no species is named. By "
            "default all are used. Names are used for this even with --label-share 0."
        },
    )

    def __post_init__(self) -> None:
        if not 0 <= self.label_share <= 1:
            raise ConfigurationError(f"--label-share {self.label_share}: expected 0 to 1")
        if self.network_share < 0:
            raise ConfigurationError(f"--network-share {self.network_share}: expected 0 or more")
        if self.completion_weight < 0:
            raise ConfigurationError(f"--completion-weight {self.completion_weight}: expected 0 or more")
        if self.encoder_stride < 1:
            raise ConfigurationError(f"--encoder-stride {self.encoder_stride}: expected 1 or more")
        if self.max_per_species is not None and self.max_per_species < 1:
            raise ConfigurationError(f"--max-per-species {self.max_per_species}: expected 1 or more")
        if self.embedding_size < 1:
            raise ConfigurationError(f"--embedding-size {self.embedding_size}: expected 1 or more")
