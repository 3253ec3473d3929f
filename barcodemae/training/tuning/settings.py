"""What `barcodemae tune` can be told, and how a head is fitted."""

from dataclasses import dataclass, field

from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class HeadSettings:
    """How a head is fitted. All were chosen on species held out of `train`, and on `val_unseen`; see docs/tuning.md.

    Attributes:
        embedding_size: directions kept.
        label_share: how much names tell of who is related, from 0 (nothing: only barcodes do) to 1.
        network_share: length of the encoder's part of the features, as a share of that of the bases; 0 leaves it out.
        base_features: singular vectors of the bases.
        cluster_cosine: barcodes of a cluster are chained by pairs with at least that cosine.
        relative_cosine: clusters with at least that cosine are relatives.
        num_relatives: of each cluster, at most.
        species_share: weight of the differences within clusters, beside those between relatives, whose weight is 1.
        shrinkage: of the scatter within relatives towards a multiple of the identity.
    """

    embedding_size: int = 200
    label_share: float = 0.5
    network_share: float = 0.1
    base_features: int = 600
    cluster_cosine: float = 0.9
    relative_cosine: float = 0.3
    num_relatives: int = 3
    species_share: float = 0.3
    shrinkage: float = 0.15


@dataclass
class TuneArguments:
    """What to tune, on which barcodes, and how."""

    checkpoint: str = field(
        metadata={"help": "Pretrained checkpoint: a folder, an id on the Hub, or one that comes with the package."}
    )
    output: str = field(metadata={"help": "Folder of the tuned checkpoint; must not exist yet."})
    data: list[str] = field(metadata={"help": "Files (Parquet, TSV, CSV, FASTA, each also .gz) or hub:ORG/NAME."})
    preset: str | None = field(default=None, metadata={"help": "Layout of a known collection; see train.py."})
    splits: list[str] = field(
        default_factory=lambda: ["pretrain", "train"],
        metadata={"help": "Splits to tune with; rows without a split always count."},
    )
    label_share: float = field(
        default=HeadSettings.label_share,
        metadata={"help": "How much names tell of who is related, from 0 (nothing: no name is read) to 1."},
    )
    network_share: float = field(
        default=HeadSettings.network_share,
        metadata={"help": "Length of the network's part beside that of the bases; 0 leaves it out."},
    )
    encoder_stride: int = field(
        default=3,
        metadata={"help": "The encoder reads every n-th k-mer; the bases of all count whatever it reads."},
    )
    embedding_size: int = field(default=HeadSettings.embedding_size, metadata={"help": "Width of an embedding."})

    def __post_init__(self) -> None:
        if not 0 <= self.label_share <= 1:
            raise ConfigurationError(f"--label_share {self.label_share}: expected 0 to 1")
        if self.network_share < 0:
            raise ConfigurationError(f"--network_share {self.network_share}: expected 0 or more")
        if self.encoder_stride < 1:
            raise ConfigurationError(f"--encoder_stride {self.encoder_stride}: expected 1 or more")
        if self.embedding_size < 1:
            raise ConfigurationError(f"--embedding_size {self.embedding_size}: expected 1 or more")
