"""The options of `evaluate_embeddings.py`."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from barcodemae.data import sample_path
from barcodemae.errors import ConfigurationError, option_name
from barcodemae.evaluation.catalogue import BASELINES, DEFAULT_BASELINES, DEFAULT_TASKS, TASKS, WeightedVote

_EVERYTHING, _NOTHING = "all", "none"


@dataclass
class EvaluationArguments:
    """The model to evaluate, the barcodes to evaluate it on, and the folder for the results."""

    model: str = field(
        metadata={
            "help": "A checkpoint: its folder, its id on the Hub (ours, or any that AutoModel loads), or the name of "
            "one that comes with the package."
        }
    )
    output_dir: str = field(
        metadata={"help": "Folder for results.json, the reports, assignments.parquet and the plots."}
    )
    data: str = field(
        default_factory=lambda: str(sample_path()),
        metadata={"help": "Barcodes with splits: a file or hub:ORG/NAME; by default the bundled sample."},
    )
    queries: str | None = field(
        default=None,
        metadata={"help": "One more file, whose barcodes are all queries: the genus is searched in the train split."},
    )
    query_split: str = field(
        default="test_unseen",
        metadata={"help": "Split of unseen species; with val_unseen, val is used instead of test as well."},
    )
    tasks: list[str] = field(
        default_factory=lambda: list(DEFAULT_TASKS),
        metadata={"help": f"Any of {', '.join(TASKS)}; or {_EVERYTHING}."},
    )
    baselines: list[str] = field(
        default_factory=lambda: list(DEFAULT_BASELINES),
        metadata={"help": f"Methods to compare the model with: any of {', '.join(BASELINES)}; or {_NOTHING}."},
    )
    pooling: Literal["mean", "first", "last"] | None = field(
        default=None, metadata={"help": "For an encoder other than ours: how its tokens are pooled (mean)."}
    )
    layer: int | None = field(
        default=None,
        metadata={"help": "For an encoder other than ours: hidden state to use; 0 is the embeddings, -1 the output."},
    )
    tokenizer: str | None = field(
        default=None,
        metadata={"help": "For an encoder other than ours: folder or id of a tokenizer other than its own."},
    )
    prepare: str | None = field(
        default=None,
        metadata={
            "help": "For an encoder other than ours: how a barcode is written (plain, lower, rna, spaced, kmers_6 ...)."
        },
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Whether code that another encoder brings along may run here."}
    )
    neighbours: int = field(
        default=1, metadata={"help": "Nearest references that vote for an assignment; 1 as published."}
    )
    weighted_neighbours: int = field(
        default=0,
        metadata={
            "help": "Nearest references of a second vote in the task knn, with weights exp(cosine / temperature) as in "
            "BarcodeMAE+, which has up to 50; 0 for none."
        },
    )
    temperature: float = field(
        default=WeightedVote.temperature, metadata={"help": "Temperature of --weighted-neighbours."}
    )
    fine_tuning_epochs: float = field(default=5, metadata={"help": "Passes over train in the task fine_tuning."})
    seed: int = field(
        default=0, metadata={"help": "Random seed of the untrained weights, the tasks and the bootstrap."}
    )
    batch_size: int = field(default=64, metadata={"help": "Barcodes in a batch of the model."})
    cache_dir: str | None = field(
        default=None,
        metadata={
            "help": f"Folder in which embeddings are cached, or {_NOTHING}; by default beside the caches of Hugging "
            "Face."
        },
    )
    on_error: Literal["raise", "skip"] = field(
        default="skip", metadata={"help": "For a record that is not a barcode: raise (stop) or skip (count)."}
    )

    def __post_init__(self) -> None:
        if self.tasks == [_EVERYTHING]:
            self.tasks = list(TASKS)
        if self.baselines == [_NOTHING]:
            self.baselines = []
        for name, given, known in (("tasks", self.tasks, TASKS), ("baselines", self.baselines, BASELINES)):
            if unknown := sorted(set(given) - set(known)):
                raise ConfigurationError(
                    f"{option_name(name)}: expected any of {', '.join(known)}, got {', '.join(unknown)}"
                )
        if not self.tasks:
            raise ConfigurationError(f"--tasks: expected any of {', '.join(TASKS)}, got none")
        for name, minimum in (("batch_size", 1), ("neighbours", 1), ("weighted_neighbours", 0), ("seed", 0)):
            if getattr(self, name) < minimum:
                raise ConfigurationError(f"{option_name(name)} {getattr(self, name)}: expected {minimum} or more")
        self._check_weighted_vote()
        if self.fine_tuning_epochs <= 0:
            raise ConfigurationError(f"--fine-tuning-epochs {self.fine_tuning_epochs}: expected more than 0")

    def _check_weighted_vote(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigurationError(f"--temperature {self.temperature}: expected a number above 0")
        if not self.weighted_neighbours and self.temperature != WeightedVote.temperature:
            raise ConfigurationError(f"--temperature {self.temperature}: expected --weighted-neighbours with it")
        if self.weighted_neighbours and "knn" not in self.tasks:
            raise ConfigurationError(
                f"--weighted-neighbours {self.weighted_neighbours}: expected knn among the --tasks, got "
                f"{', '.join(self.tasks)}"
            )

    def weighted_vote(self) -> WeightedVote | None:
        """The second vote of the task knn, if there is one."""
        return WeightedVote(self.weighted_neighbours, self.temperature) if self.weighted_neighbours else None

    def reading(self) -> dict[str, Any]:
        """The options of an encoder that were given."""
        options = {name: getattr(self, name) for name in ("pooling", "layer", "tokenizer", "prepare")}
        return {name: value for name, value in options.items() if value is not None}
