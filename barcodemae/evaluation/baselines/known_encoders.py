"""Published encoders of DNA: their repositories, and how their authors read them; None where that is not known."""

from dataclasses import dataclass

from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class KnownEncoder:
    """How to read one published encoder.

    Attributes:
        name: by which a command selects it.
        title: its name in reports.
        hub_id: its repository on the Hub.
        revision: a commit that holds weights and code.
        pooling, layer, prepare: as `AnyEncoder` has them, after the authors' own use.
        remote_code: whether it needs code from its repository to run.
        installs: packages that this code needs beyond PyTorch and transformers.
        licence: of the weights, as the repository states it.
        source: paper, and where pooling and layer come from.
        results: a result file of this project, as a path in the repository, that lists the encoder.
    """

    name: str
    title: str
    hub_id: str
    revision: str | None
    pooling: str
    layer: int
    prepare: str
    remote_code: bool
    installs: tuple[str, ...] | None
    licence: str | None
    source: str
    results: str | None = None

    @property
    def status(self) -> str:
        """`run` where a result file shows it, else `not run here`."""
        return "not run here" if self.results is None else "run"

    def check_remote_code(self, trust_remote_code: bool) -> None:
        """Refuse to run code that was not allowed.

        Raises:
            ConfigurationError: the encoder needs code from its repository, and `trust_remote_code` is false.
        """
        if self.remote_code and not trust_remote_code:
            raise ConfigurationError(
                f"{self.hub_id} needs code of its own to run: read it, then allow it (trust_remote_code)"
            )


KNOWN_ENCODERS = (
    KnownEncoder(
        name="dnabert2",
        title="DNABERT-2",
        hub_id="zhihan1996/DNABERT-2-117M",
        revision="d064dece8a8b41d9fb8729fbe3435278786931f1",
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=True,
        installs=("einops",),
        licence=None,
        source="DNABERT-2, arXiv 2306.15006; its model card",
    ),
    KnownEncoder(
        name="dnabert_s",
        title="DNABERT-S",
        hub_id="zhihan1996/DNABERT-S",
        revision=None,
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=True,
        installs=("einops",),
        licence="apache-2.0",
        source="DNABERT-S, arXiv 2402.08777; its repository's README",
    ),
    KnownEncoder(
        name="hyenadna",
        title="HyenaDNA",
        hub_id="LongSafari/hyenadna-tiny-1k-seqlen-hf",
        revision="e8c1effa8673814e257e627d2e1eda9ea5a373f6",
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=True,
        installs=None,
        licence="bsd-3-clause",
        source="HyenaDNA, arXiv 2306.15794; the classification head of its repository",
    ),
    KnownEncoder(
        name="nucleotide_transformer",
        title="Nucleotide Transformer",
        hub_id="InstaDeepAI/nucleotide-transformer-500m-human-ref",
        revision=None,
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=False,
        installs=(),
        licence="cc-by-nc-sa-4.0",
        source="The Nucleotide Transformer, doi 10.1101/2023.01.11.523679; its model card",
    ),
    KnownEncoder(
        name="caduceus",
        title="Caduceus",
        hub_id="kuleshov-group/caduceus-ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3",
        revision="63caf5b116ddea6f43dd03dc1b1850d478ba8e0a",
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=True,
        installs=("causal-conv1d", "mamba-ssm"),
        licence=None,
        source="Caduceus, arXiv 2403.03234; its repository's README on GenomicBenchmarks",
    ),
    KnownEncoder(
        name="barcodebert",
        title="BarcodeBERT",
        hub_id="bioscan-ml/BarcodeBERT",
        revision=None,
        pooling="mean",
        layer=-1,
        prepare="plain",
        remote_code=True,
        installs=None,
        licence=None,
        source="BarcodeBERT, arXiv 2311.02401; its repository's README",
    ),
)
