"""What `evaluate_embeddings.py` can be told."""

from dataclasses import dataclass, field
from typing import Any, Literal

from barcodemae.data import sample_path
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.contenders import DEFAULT_RIVALS, RIVALS
from barcodemae.evaluation.protocol import PUBLISHED_TASKS, TASKS

FINE_TUNING = "fine_tuning"
ALL_TASKS = (*TASKS, FINE_TUNING)
DEFAULT_TASKS = (*PUBLISHED_TASKS, "novelty", "few_shot", "compression")

_EVERYTHING, _NOTHING = "all", "none"


@dataclass
class EvaluationArguments:
    """The model that is judged, the barcodes it is judged on, and where the results go."""

    model: str = field(
        metadata={
            "help": "A checkpoint: its folder, its id on the Hub (ours, or any that AutoModel loads), or the name of "
            "one that comes with the package."
        }
    )
    output_dir: str = field(metadata={"help": "Where results.json, the reports, answers.parquet and the plots go."})
    data: str = field(
        default_factory=lambda: str(sample_path()),
        metadata={"help": "Barcodes with splits: a file or hub:ORG/NAME; by default the bundled sample."},
    )
    queries: str | None = field(
        default=None, metadata={"help": "One more file: all of its rows ask the train split for their genus."}
    )
    query_split: str = field(
        default="test_unseen",
        metadata={"help": "Split of unseen species; with val_unseen, val stands in for test as well."},
    )
    tasks: list[str] = field(
        default_factory=lambda: list(DEFAULT_TASKS),
        metadata={"help": f"Any of {', '.join(ALL_TASKS)}; or {_EVERYTHING}."},
    )
    rivals: list[str] = field(
        default_factory=lambda: list(DEFAULT_RIVALS),
        metadata={"help": f"Any of {', '.join(RIVALS)}; or {_NOTHING}."},
    )
    pooling: Literal["mean", "first", "last"] | None = field(
        default=None, metadata={"help": "For any other encoder than ours: what of its tokens is taken (mean)."}
    )
    layer: int | None = field(
        default=None, metadata={"help": "Likewise: whose hidden state is taken; 0 is the embeddings, -1 the output."}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Likewise: folder or id of another tokenizer than its own."}
    )
    prepare: str | None = field(
        default=None, metadata={"help": "Likewise: how a barcode is written (plain, lower, rna, spaced, kmers_6 ...)."}
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Whether code that another encoder brings along may run here."}
    )
    neighbours: int = field(default=1, metadata={"help": "Nearest keys that vote for a name; 1 as published."})
    fine_tuning_epochs: float = field(default=5, metadata={"help": "Passes over train in the task fine_tuning."})
    seed: int = field(default=0, metadata={"help": "Of the untrained weights, the tasks and the bootstrap."})
    batch_size: int = field(default=64, metadata={"help": "Barcodes in a batch of the model."})
    cache_dir: str | None = field(
        default=None,
        metadata={
            "help": f"Where embeddings are kept for the next time, or {_NOTHING}; by default beside the caches of "
            "Hugging Face."
        },
    )
    on_error: Literal["raise", "skip"] = field(
        default="skip", metadata={"help": "A record that is no barcode: raise (stop) or skip (count)."}
    )

    def __post_init__(self) -> None:
        if self.tasks == [_EVERYTHING]:
            self.tasks = list(ALL_TASKS)
        if self.rivals == [_NOTHING]:
            self.rivals = []
        for option, given, known in (("tasks", self.tasks, ALL_TASKS), ("rivals", self.rivals, RIVALS)):
            if unknown := sorted(set(given) - set(known)):
                raise ConfigurationError(f"--{option}: expected any of {', '.join(known)}, got {', '.join(unknown)}")
        if not self.tasks:
            raise ConfigurationError(f"--tasks: expected any of {', '.join(ALL_TASKS)}, got none")
        for option, least in (("batch_size", 1), ("neighbours", 1), ("seed", 0)):
            if getattr(self, option) < least:
                raise ConfigurationError(f"--{option} {getattr(self, option)}: expected {least} or more")
        if self.fine_tuning_epochs <= 0:
            raise ConfigurationError(f"--fine_tuning_epochs {self.fine_tuning_epochs}: expected more than 0")

    def reading(self) -> dict[str, Any]:
        """How an encoder is read, as far as it was said."""
        options = {name: getattr(self, name) for name in ("pooling", "layer", "tokenizer", "prepare")}
        return {name: value for name, value in options.items() if value is not None}
