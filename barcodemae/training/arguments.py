"""What `train.py` can be told, in a YAML file or on the command line."""

from dataclasses import dataclass, field

from barcodemae.data import PRESETS
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP
from barcodemae.errors import ConfigurationError

_AT_LEAST_1 = (
    "batch_size",
    "accumulation",
    "log_every",
    "eval_every",
    "save_every",
    "save_total_limit",
    "max_bad_steps",
)

_RELATIVES = ("same_cluster_share", "near_cluster_share", "genus_share")


@dataclass
class ModelArguments:
    """The model that is trained."""

    size: str = field(
        default="tiny",
        metadata={"help": "Encoder size: nano (4 x 128), tiny (4 x 256), small (6 x 384) or base (6 x 768)."},
    )
    objective: str = field(
        default="mae",
        metadata={
            "help": "What is learnt: mae (masked k-mers are removed), or what that is compared with: mlm (BERT-style, "
            "[MASK] in their place) or causal (GPT-style, the next k-mer); or classification: the taxa of --ranks.",
            "choices": ["mae", "mlm", "causal", "classification"],
        },
    )
    backbone: str = field(
        default="bert",
        metadata={
            "help": "bert, or for --objective causal --frame none also mamba2 (a GPU's work).",
            "choices": ["bert", "mamba2"],
        },
    )
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "Checkpoint (folder, id on the Hub, or name of one that comes with the package) whose encoder "
            "training begins with; size, k, tokenizer and frame are its own. By default, weights are random."
        },
    )
    ranks: list[str] = field(
        default_factory=lambda: ["genus", "species"],
        metadata={"help": "Ranks that a classification learns; a record may lack a name at some of them."},
    )
    tokenizer: str = field(
        default="kmer",
        metadata={"help": "kmer, or the folder of a byte-pair encoding that `barcodemae tokenizer` made."},
    )
    k: int = field(default=6, metadata={"help": "Nucleotides in a token, 1 to 8."})
    mask_ratio: float = field(default=0.5, metadata={"help": "Share of the tokens that is removed and reconstructed."})
    mask_by_chance: bool = field(
        default=False,
        metadata={"help": "Mask each token by chance, as published, not the same number in every row."},
    )
    token_decoder_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight of the published decoder, which reconstructs masked tokens from all tokens of the encoder; "
            "0 leaves it out."
        },
    )
    pooled_decoder_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of a decoder that reconstructs all bases of a barcode from its pooled vector alone, for "
            "--objective mae; 0 leaves it out."
        },
    )
    matryoshka: list[int] = field(
        default_factory=list,
        metadata={
            "help": "The first so many numbers of the pooled vector reconstruct too: 32 64, say. It can be cut there."
        },
    )
    same_cluster_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the barcodes whose pooled vector is to reconstruct not themselves, but another barcode "
            "of their cluster; clusters are found without labels, on the reference frame."
        },
    )
    near_cluster_share: float = field(
        default=0.0,
        metadata={"help": "The same with a barcode of one of the nearest clusters, also without labels."},
    )
    genus_share: float = field(
        default=0.0, metadata={"help": "The same with a barcode of another species of their genus, by its name."}
    )
    cut_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the barcodes of which the encoder sees a cut alone, of 130 nucleotides or more, while "
            "its pooled vector is to reconstruct all."
        },
    )
    dropout: float = field(default=0.1, metadata={"help": "Dropout of encoder and decoder."})
    decoder_layers: int | None = field(
        default=None, metadata={"help": "Decoder depth; by default the encoder's (balanced)."}
    )
    decoder_width: int | None = field(default=None, metadata={"help": "Decoder width; by default the encoder's."})
    decoder_heads: int | None = field(
        default=None, metadata={"help": "Attention heads of the decoder; by default the encoder's."}
    )

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in (*_RELATIVES, "cut_share")}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigurationError(f"--{name} {share}: expected 0 to 1")
            if share and not self.pooled_decoder_weight:
                raise ConfigurationError(f"--{name} {share}: expected --pooled_decoder_weight above 0 beside it")
        if (total := sum(shares[name] for name in _RELATIVES)) > 1:
            raise ConfigurationError(f"--{', --'.join(_RELATIVES)}: expected 1 at most in sum, got {total}")
        if self.pooled_decoder_weight and self.objective != "mae":
            raise ConfigurationError(
                f"--pooled_decoder_weight {self.pooled_decoder_weight}: expected --objective mae, got {self.objective}"
            )


@dataclass
class DataArguments:
    """The barcodes it is trained on."""

    data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files (Parquet, TSV, CSV, FASTA, each also .gz) or hub:ORG/NAME; by default the bundled sample."
        },
    )
    preset: str | None = field(
        default=None,
        metadata={
            "help": "Layout of a known collection: its columns, words for splits, marker and length; by default, what "
            "the names of the columns tell.",
            "choices": list(PRESETS),
        },
    )
    split_column: str | None = field(default=None, metadata={"help": "Column that holds the split."})
    train_splits: list[str] = field(
        default_factory=lambda: ["pretrain", "train"],
        metadata={"help": "Splits to train on; rows without a split always count."},
    )
    val_split: str = field(default="val", metadata={"help": "Split to validate on."})
    frame: str = field(
        default="coi",
        metadata={"help": "Reference frame: coi, a file, or none (all records are read freely, as published)."},
    )
    unaligned_share: float = field(
        default=0.25,
        metadata={"help": "Share of the records that an epoch reads freely, from a random offset, not on the frame."},
    )
    max_nucleotides: int = field(default=660, metadata={"help": "Nucleotides of a record that are read freely."})
    min_nucleotides: int = field(default=100, metadata={"help": "Shorter records are bad records."})
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    max_unknown_share: float = field(
        default=0.5,
        metadata={"help": "Records with a larger share of bases other than A, C, G and T are bad."},
    )
    on_error: str = field(
        default="skip",
        metadata={
            "help": "A bad record: raise (stop) or skip (count and list).",
            "choices": ["raise", "skip"],
        },
    )
    cache_dir: str | None = field(
        default=None,
        metadata={
            "help": "Where the barcodes are kept, read and placed, for the next start; by default beside the caches of "
            "Hugging Face."
        },
    )


@dataclass
class LoopArguments:
    """How it is trained."""

    output_dir: str = field(default="runs/pretrain", metadata={"help": "Where the run and its model go."})
    resume: bool = field(default=False, metadata={"help": "Go on from the last saved state in output_dir."})
    seed: int = field(default=0, metadata={"help": "Everything random follows from it."})
    epochs: float = field(default=20, metadata={"help": "Passes over the training records; a part of one will do."})
    batch_size: int = field(default=16, metadata={"help": "Records in a batch of one process."})
    accumulation: int = field(default=1, metadata={"help": "Batches of each process in a step."})
    learning_rate: float = field(
        default=1e-3,
        metadata={"help": "Peak learning rate for 64 records in a step; it grows with their number."},
    )
    head_learning_rate_factor: float = field(
        default=8.0,
        metadata={"help": "What is no part of the encoder (decoder, head) learns so many times faster."},
    )
    schedule: str = field(
        default="one-cycle",
        metadata={"help": "one-cycle (as published) or cosine.", "choices": ["one-cycle", "cosine"]},
    )
    warmup_share: float = field(default=0.3, metadata={"help": "Share of the steps in which the learning rate rises."})
    weight_decay: float = field(default=1e-5, metadata={"help": "Of AdamW, on all weights."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm; 0 for never."})
    mixed_precision: str = field(
        default="auto",
        metadata={
            "help": "bf16, no, or auto: bf16 where this device is measured to be faster in it.",
            "choices": ["auto", "no", "bf16"],
        },
    )
    log_every: int = field(default=10, metadata={"help": "Steps between lines of metrics.jsonl."})
    eval_every: int = field(default=500, metadata={"help": "Steps between validations; one is made at the end."})
    save_every: int = field(default=500, metadata={"help": "Steps between saved states."})
    report_to: str = field(
        default="tensorboard",
        metadata={
            "help": "Where metrics go beside metrics.jsonl: tensorboard, wandb or none.",
            "choices": ["tensorboard", "wandb", "none"],
        },
    )
    dry_run: bool = field(
        default=False,
        metadata={"help": "Only tell options, data, and the memory and time that some steps were measured to take."},
    )
    save_total_limit: int = field(default=2, metadata={"help": "Saved states that stay; older ones are dropped."})
    max_bad_steps: int = field(
        default=10,
        metadata={
            "help": "A step whose loss or gradient is not finite is skipped; so many in a row stop the run.",
        },
    )
    compile: bool = field(
        default=False, metadata={"help": "Compile the model with torch.compile: minutes at the start, faster steps."}
    )

    def __post_init__(self) -> None:
        for name in _AT_LEAST_1:
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name} {getattr(self, name)}: expected 1 or more")


@dataclass
class HubArguments:
    """Where the finished model goes."""

    push_to_hub: bool = field(default=False, metadata={"help": "Push the model to the Hub when training is over."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Repository to push to: ORG/NAME."})
    hub_private_repo: bool = field(
        default=False, metadata={"help": "Whether a new repository is for its members alone."}
    )

    def __post_init__(self) -> None:
        if self.push_to_hub and self.hub_model_id is None:
            raise ConfigurationError("--push_to_hub: expected --hub_model_id ORG/NAME beside it")
