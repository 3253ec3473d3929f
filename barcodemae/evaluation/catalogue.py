"""The tasks, votes and baselines that a command can name, and what reports call them. Imports nothing heavy."""

from dataclasses import dataclass

from barcodemae.evaluation.baselines.aligner_programs import SETTINGS
from barcodemae.evaluation.baselines.known_encoders import KNOWN_ENCODERS

PUBLISHED_TASKS = ("knn", "linear_probe", "clustering")
"""The evaluation of the paper (arXiv 2502.18405)."""

DEFAULT_TASKS = (*PUBLISHED_TASKS, "novelty", "few_shot", "compression")

FINE_TUNING = "fine_tuning"

TASKS = (*DEFAULT_TASKS, "logistic_probe", "clustering_grid", "robustness", FINE_TUNING)
"""All tasks, in the order in which they run."""

SEARCH_TASKS = ("knn", "novelty", "robustness")
"""Tasks that need nearest references alone; all others need vectors."""


@dataclass(frozen=True)
class WeightedVote:
    """A vote of the nearest references, each with the weight exp(cosine similarity / temperature).

    Attributes:
        num_neighbours: nearest references of each query.
        temperature: the smaller, the more the nearest ones decide.
    """

    num_neighbours: int
    temperature: float = 0.02


@dataclass(frozen=True)
class Baseline:
    """A method to compare the model with.

    Attributes:
        name: by which a command selects it.
        title: its name in reports; by default `name`.
        meaning: explanation in reports, where the title alone does not explain it.
        skipped_tasks: tasks that would take longer than all others together.
    """

    name: str
    title: str = ""
    meaning: str = ""
    skipped_tasks: tuple[str, ...] = ()


UNTRAINED, WITHOUT_FRAME = "untrained", "without_frame"

_RAW_COUNTS_SKIP = ("linear_probe", "logistic_probe", "compression", "clustering_grid")
_ALIGNER_TITLES = {"blastn": "BLAST", "vsearch": "VSEARCH"}

_ROWS = (
    Baseline(UNTRAINED, meaning="the same architecture with random weights."),
    Baseline(WITHOUT_FRAME, "without frame", "the model with k-mers counted from the first base of the sequence."),
    Baseline("kmer_4", "4-mer counts", "counts of overlapping 4-mers.", _RAW_COUNTS_SKIP),
    Baseline("kmer_6", "6-mer counts", "counts of overlapping 6-mers.", _RAW_COUNTS_SKIP),
    Baseline(
        "kmer_6_lda",
        "6-mer SVD + LDA",
        "square roots of 6-mer counts, on singular vectors of train, then a discriminant analysis.",
    ),
    Baseline(
        "frame_svd",
        "frame SVD",
        "each barcode as one-hot bases on the reference frame of COI, centred by column, on 400 singular vectors of "
        "train.",
    ),
    Baseline("frame_lda", "frame SVD + LDA", "frame SVD, then a linear discriminant analysis of the train genera."),
    Baseline("compressor", "compression distance", "normalized compression distance, by DEFLATE.", ("robustness",)),
    *(Baseline(setting, _ALIGNER_TITLES.get(setting, "")) for setting in SETTINGS),
    *(Baseline(encoder.name, encoder.title) for encoder in KNOWN_ENCODERS),
)

BASELINES = {row.name: row for row in _ROWS}
"""All baselines, by name."""

DEFAULT_BASELINES = (UNTRAINED, WITHOUT_FRAME, "kmer_4", "kmer_6", "frame_svd", "frame_lda")
"""Those that need no other program, no network and no long computation."""


def title_of(baseline: str) -> str:
    """The name of a baseline in reports."""
    return baseline if baseline not in BASELINES else BASELINES[baseline].title or baseline
