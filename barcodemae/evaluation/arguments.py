"""What `evaluate_embeddings.py` can be told."""

from dataclasses import dataclass, field
from typing import Literal

from barcodemae.data import sample_path
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.protocol import TASKS
from barcodemae.evaluation.report.page import NAMES

NO_RIVALS = "none"


@dataclass
class EvaluationArguments:
    """The model that is judged, the barcodes it is judged on, and where the results go."""

    model: str = field(metadata={"help": "Folder of a checkpoint, or its id on the Hub."})
    output_dir: str = field(metadata={"help": "Where results.json, report.md and the plots go."})
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
    tasks: list[str] = field(default_factory=lambda: list(TASKS), metadata={"help": f"Any of {', '.join(TASKS)}."})
    rivals: list[str] = field(
        default_factory=lambda: list(NAMES), metadata={"help": f"Any of {', '.join(NAMES)}; or {NO_RIVALS}."}
    )
    seed: int = field(default=0, metadata={"help": "Of the untrained weights, the linear probe and the bootstrap."})
    batch_size: int = field(default=64, metadata={"help": "Barcodes in a batch of the model."})
    on_error: Literal["raise", "skip"] = field(
        default="skip", metadata={"help": "A record that is no barcode: raise (stop) or skip (count)."}
    )

    def __post_init__(self) -> None:
        if self.rivals == [NO_RIVALS]:
            self.rivals = []
        for option, given, known in (("tasks", self.tasks, TASKS), ("rivals", self.rivals, NAMES)):
            if unknown := sorted(set(given) - set(known)):
                raise ConfigurationError(f"--{option}: expected any of {', '.join(known)}, got {', '.join(unknown)}")
        if not self.tasks:
            raise ConfigurationError(f"--tasks: expected any of {', '.join(TASKS)}, got none")
        if self.batch_size < 1:
            raise ConfigurationError(f"expected a batch of 1 barcode or more, got {self.batch_size}")
