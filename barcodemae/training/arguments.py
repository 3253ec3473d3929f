"""Options of `barcodemae train`, in a YAML file or on the command line."""

from dataclasses import dataclass, field

from barcodemae.data import PRESETS
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP
from barcodemae.errors import ConfigurationError, option_name

_POSITIVE = (
    "batch_size",
    "accumulation",
    "log_every",
    "eval_every",
    "save_every",
    "save_total_limit",
    "max_bad_steps",
)

_RELATIVE_SHARES = ("same_cluster_share", "near_cluster_share", "genus_share")
_CLASSIFICATION_OPTIONS = ("label_smoothing", "rank_smoothing", "class_weighting")


@dataclass
class ModelArguments:
    """Options of the model."""

    size: str = field(
        default="tiny",
        metadata={"help": "Encoder size: nano (4 x 128), tiny (4 x 256), small (6 x 384) or base (6 x 768)."},
    )
    objective: str = field(
        default="mae",
        metadata={
            "help": "Training objective: mae (masked k-mers are removed from the input), mlm (BERT-style: they are "
            "replaced by [MASK]), causal (GPT-style: the next k-mer) or classification (the taxa at --ranks).",
            "choices": ["mae", "mlm", "causal", "classification"],
        },
    )
    backbone: str = field(
        default="bert",
        metadata={
            "help": "bert, or mamba2 with --objective causal --frame none (needs a GPU in practice).",
            "choices": ["bert", "mamba2"],
        },
    )
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "Checkpoint (a folder, a Hub id, or one that is shipped with the package) whose weights training "
            "starts from; it determines size, k, tokenizer and frame. By default, weights are random."
        },
    )
    ranks: list[str] = field(
        default_factory=lambda: ["genus", "species"],
        metadata={"help": "Ranks to classify; records may lack the name at some of them."},
    )
    label_smoothing: float = field(
        default=0.0,
        metadata={
            "help": "For --objective classification: probability, in the targets, of all other taxa of a rank together."
        },
    )
    rank_smoothing: float = field(
        default=0.0,
        metadata={
            "help": "For --objective classification: probability, in the targets, that the taxa of the same group "
            "share, for each higher one of the --ranks, such as the species of a genus (hierarchical label smoothing)."
        },
    )
    class_weighting: float = field(
        default=0.0,
        metadata={
            "help": "For --objective classification: weight of a taxon as its number of training records to the power "
            "of minus this, 0 (equal weights of records) to 1 (equal weights of taxa)."
        },
    )
    tokenizer: str = field(
        default="kmer",
        metadata={"help": "kmer, or the folder of a byte-pair tokenizer created by `barcodemae tokenizer`."},
    )
    k: int = field(default=6, metadata={"help": "Nucleotides per token, 1 to 8."})
    mask_ratio: float = field(default=0.5, metadata={"help": "Share of the tokens that are masked."})
    mask_by_chance: bool = field(
        default=False,
        metadata={"help": "Mask each token by chance, as published, instead of the same number in every barcode."},
    )
    token_decoder_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight of the published decoder, which reconstructs masked tokens from all tokens of the encoder; "
            "0 for none."
        },
    )
    pooled_decoder_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of a decoder that reconstructs a barcode from its pooled vector alone, for --objective "
            "mae; 0 for none."
        },
    )
    pooled_target: str = field(
        default="bases",
        metadata={
            "help": "What that decoder reconstructs: bases (at each coordinate) or kmers (how often the barcode has "
            "each k-mer, for markers of uneven length, with --frame none).",
            "choices": ["bases", "kmers"],
        },
    )
    soft_target_temperature: float = field(
        default=0.0,
        metadata={
            "help": "Temperature of soft targets of the published decoder: a soft-max over the negative edit distances "
            "of all k-mers from the masked one; 0 for the masked k-mer alone, as published."
        },
    )
    pooling: str = field(
        default="mean",
        metadata={
            "help": "The pooled vector, which is the embedding: mean (over all tokens of the encoder) or cls (the "
            "encoder's output at an additional token, for --objective mae).",
            "choices": ["mean", "cls"],
        },
    )
    auxiliary: str = field(
        default="none",
        metadata={
            "help": "Objective on the pooled vector and the taxa at --auxiliary-rank, beside --objective mae: "
            "cross-entropy (the taxon), same-taxon (whether two barcodes have the same) or triplet (a barcode of the "
            "same taxon is nearer than one of another); none for no labels.",
            "choices": ["none", "cross-entropy", "same-taxon", "triplet"],
        },
    )
    auxiliary_rank: str = field(
        default="genus",
        metadata={"help": "Rank of the auxiliary objective and of --taxa-per-batch; records may lack a name at it."},
    )
    auxiliary_weight: float = field(default=0.1, metadata={"help": "Weight of the auxiliary objective."})
    auxiliary_warmup_epochs: int = field(
        default=5, metadata={"help": "Number of first epochs without the auxiliary objective."}
    )
    matryoshka: list[int] = field(
        default_factory=list,
        metadata={
            "help": "Lengths of prefixes of the pooled vector that reconstruct too, for instance 32 64, so "
            "that embeddings can be truncated to them."
        },
    )
    same_cluster_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the barcodes whose pooled vector reconstructs another barcode of their cluster instead "
            "of themselves; clusters are found without taxon names, on the reference frame."
        },
    )
    near_cluster_share: float = field(
        default=0.0,
        metadata={"help": "The same with a barcode of a neighbouring cluster, also without taxon names."},
    )
    genus_share: float = field(
        default=0.0, metadata={"help": "The same with a barcode of another species of the same genus."}
    )
    cut_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the barcodes of which the encoder sees only a segment, of 130 nucleotides or more, while "
            "the pooled vector reconstructs the complete barcode."
        },
    )
    dropout: float = field(default=0.1, metadata={"help": "Dropout of encoder and decoder."})
    decoder_layers: int | None = field(
        default=None, metadata={"help": "Decoder depth; by default that of the encoder (balanced)."}
    )
    decoder_width: int | None = field(default=None, metadata={"help": "Decoder width; by default that of the encoder."})
    decoder_heads: int | None = field(
        default=None, metadata={"help": "Attention heads of the decoder; by default those of the encoder."}
    )

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in (*_RELATIVE_SHARES, "cut_share")}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigurationError(f"{option_name(name)} {share}: expected 0 to 1")
            if share and not self.pooled_decoder_weight:
                raise ConfigurationError(
                    f"{option_name(name)} {share}: expected --pooled-decoder-weight above 0 with it"
                )
        if (total := sum(shares[name] for name in _RELATIVE_SHARES)) > 1:
            raise ConfigurationError(
                f"{', '.join(map(option_name, _RELATIVE_SHARES))}: expected a sum of at most 1, got {total}"
            )
        if self.pooled_decoder_weight and self.objective != "mae":
            raise ConfigurationError(
                f"--pooled-decoder-weight {self.pooled_decoder_weight}: expected --objective mae, got {self.objective}"
            )
        if self.pooled_target != "bases" and not self.pooled_decoder_weight:
            raise ConfigurationError(
                f"--pooled-target {self.pooled_target}: expected --pooled-decoder-weight above 0 with it"
            )
        if self.auxiliary != "none" and self.objective != "mae":
            raise ConfigurationError(f"--auxiliary {self.auxiliary}: expected --objective mae, got {self.objective}")
        if self.auxiliary_weight <= 0 or self.auxiliary_warmup_epochs < 0:
            raise ConfigurationError(
                "--auxiliary-weight and --auxiliary-warmup-epochs: expected above 0, and 0 or more, got "
                f"{self.auxiliary_weight} and {self.auxiliary_warmup_epochs}"
            )
        for name in _CLASSIFICATION_OPTIONS:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigurationError(f"{option_name(name)} {value}: expected 0 to 1")
            if value and self.objective != "classification":
                raise ConfigurationError(
                    f"{option_name(name)} {value}: expected --objective classification, got {self.objective}"
                )
        if (total := self.label_smoothing + self.rank_smoothing * (len(self.ranks) - 1)) >= 1:
            raise ConfigurationError(
                "--label-smoothing and --rank-smoothing: expected to leave a part of the probability to the taxon "
                f"itself, got {total:g} for others at the lowest of {len(self.ranks)} ranks"
            )
        if self.pooling == "cls" and self.objective in ("mlm", "causal"):
            raise ConfigurationError(f"--pooling cls: expected --objective mae, got {self.objective}")
        if self.soft_target_temperature and (self.objective != "mae" or not self.token_decoder_weight):
            raise ConfigurationError(
                f"--soft-target-temperature {self.soft_target_temperature}: expected --objective mae and "
                f"--token-decoder-weight above 0, got {self.objective} and {self.token_decoder_weight}"
            )


@dataclass
class DataArguments:
    """Options of the data."""

    data: list[str] = field(
        default_factory=list,
        metadata={"help": "Files (Parquet, TSV, CSV, FASTA, also .gz) or hub:ORG/NAME; by default the bundled sample."},
    )
    preset: str | None = field(
        default=None,
        metadata={
            "help": "Column layout of a known collection, with its names of splits, marker and length; by default, "
            "columns are recognised by their names.",
            "choices": list(PRESETS),
        },
    )
    split_column: str | None = field(default=None, metadata={"help": "Column with the split."})
    train_splits: list[str] = field(
        default_factory=lambda: ["pretrain", "train"],
        metadata={"help": "Splits to train on; records without a split are always used."},
    )
    val_split: str = field(default="val", metadata={"help": "Split to validate on."})
    frame: str = field(
        default="coi",
        metadata={"help": "Reference frame: coi, a file, or none (all records are read unaligned, as published)."},
    )
    unaligned_share: float = field(
        default=0.25,
        metadata={
            "help": "Share of the records that each epoch reads unaligned, from a random offset, not on the frame."
        },
    )
    max_nucleotides: int = field(
        default=660, metadata={"help": "Maximum number of nucleotides of an unaligned record."}
    )
    min_nucleotides: int = field(default=100, metadata={"help": "Shorter records are bad."})
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    max_unknown_share: float = field(
        default=0.5,
        metadata={"help": "Records with a larger share of bases other than A, C, G and T are bad."},
    )
    on_error: str = field(
        default="skip",
        metadata={
            "help": "What to do with a bad record: raise (stop) or skip (count and list it).",
            "choices": ["raise", "skip"],
        },
    )
    cache_dir: str | None = field(
        default=None,
        metadata={
            "help": "Folder in which prepared barcodes are cached for later runs; by default in the cache folder of "
            "Hugging Face."
        },
    )


@dataclass
class LoopArguments:
    """Options of the training loop."""

    output_dir: str = field(default="runs/pretrain", metadata={"help": "Folder of the run and its model."})
    resume: bool = field(default=False, metadata={"help": "Continue from the latest saved state in --output-dir."})
    seed: int = field(default=0, metadata={"help": "Random seed."})
    epochs: float = field(default=20, metadata={"help": "Passes over the training records; may be a fraction."})
    batch_size: int = field(default=16, metadata={"help": "Records per batch and process."})
    taxa_per_batch: int = field(
        default=0,
        metadata={
            "help": "With --auxiliary, the number of taxa at its rank of which each batch has --barcodes-per-taxon "
            "barcodes; its other records are all records in turn. 0 for batches of similar length."
        },
    )
    barcodes_per_taxon: int = field(default=4, metadata={"help": "Barcodes of each of the --taxa-per-batch."})
    accumulation: int = field(default=1, metadata={"help": "Accumulated batches per step and process."})
    learning_rate: float = field(
        default=1e-3,
        metadata={"help": "Peak learning rate for 64 records per step; it is scaled with their number."},
    )
    head_learning_rate_factor: float = field(
        default=8.0,
        metadata={"help": "Factor of the learning rate of decoder and head, relative to the encoder."},
    )
    schedule: str = field(
        default="one-cycle",
        metadata={"help": "one-cycle (as published) or cosine.", "choices": ["one-cycle", "cosine"]},
    )
    warmup_share: float = field(default=0.3, metadata={"help": "Share of the steps in which the learning rate rises."})
    weight_decay: float = field(default=1e-5, metadata={"help": "Weight decay of AdamW, on all weights."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Maximum norm of gradients; 0 for no clipping."})
    mixed_precision: str = field(
        default="auto",
        metadata={
            "help": "bf16, no, or auto: bf16 if a measurement shows that it is faster on this device.",
            "choices": ["auto", "no", "bf16"],
        },
    )
    log_every: int = field(default=10, metadata={"help": "Steps between lines of metrics.jsonl."})
    eval_every: int = field(default=500, metadata={"help": "Steps between validations; the last step has one too."})
    save_every: int = field(default=500, metadata={"help": "Steps between saved states."})
    report_to: str = field(
        default="tensorboard",
        metadata={
            "help": "Where to log metrics besides metrics.jsonl: tensorboard, wandb or none.",
            "choices": ["tensorboard", "wandb", "none"],
        },
    )
    dry_run: bool = field(
        default=False,
        metadata={"help": "Do not train: print options and data, and time and memory measured in some steps."},
    )
    save_total_limit: int = field(default=2, metadata={"help": "Saved states to retain; older ones are deleted."})
    max_bad_steps: int = field(
        default=10,
        metadata={
            "help": "Steps whose loss or gradient is not finite are skipped; this many in a row stop the run.",
        },
    )
    compile: bool = field(
        default=False, metadata={"help": "Compile the model with torch.compile: a slower start, and faster steps."}
    )

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{option_name(name)} {getattr(self, name)}: expected 1 or more")
        if self.taxa_per_batch and (self.taxa_per_batch < 2 or self.barcodes_per_taxon < 2):
            raise ConfigurationError(
                "--taxa-per-batch and --barcodes-per-taxon: expected 2 or more, got "
                f"{self.taxa_per_batch} and {self.barcodes_per_taxon}"
            )
        if (balanced := self.taxa_per_batch * self.barcodes_per_taxon) > self.batch_size:
            raise ConfigurationError(
                f"--batch-size {self.batch_size}: expected --taxa-per-batch times --barcodes-per-taxon, {balanced}, "
                "or more"
            )


@dataclass
class HubArguments:
    """Options for pushing the trained model to the Hub."""

    push_to_hub: bool = field(default=False, metadata={"help": "Push the model to the Hub after training."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Repository to push to: ORG/NAME."})
    hub_private_repo: bool = field(default=False, metadata={"help": "Create the repository as a private one."})

    def __post_init__(self) -> None:
        if self.push_to_hub and self.hub_model_id is None:
            raise ConfigurationError("--push-to-hub: expected --hub-model-id ORG/NAME with it")
