"""Every command that writes, killed with SIGKILL and repeated: is the result that of a command that was never killed?

`python benchmarks/kills.py [--commands embed tune ...] [--at writes] [--kills 100] [--seconds 600] [--output FILE]`

A command runs in a child, forked from a process that has imported what it needs, in a folder of its own.
`moments` kills it at random times, drawn evenly over the complete run; `writes` right before each file operation that
Python makes in that folder (opening to write, renaming, removing, making a folder). The command is then run once more
(`train` with `--resume true`). Each file must have the bytes that it has without a kill, except for dates and rates;
there may be no other files. A command that rejects an output that exists (`refused`) must have left it complete.
`--seconds` bounds the time of each command. The inputs are small parts of the bundled sample. For systems that fork.
"""

import argparse
import gc
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from transformers import BertConfig, BertForMaskedLM

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import micro_train  # noqa: F401 (knows the size `micro`)
from killed_children import Watch, append_to, finish, kill_at, start
from other_markers import ITS, with_random_ends

from barcodemae import cli
from barcodemae.checkpoints import shipped_folder
from barcodemae.data import sample_path
from barcodemae.data.schema import RANKS
from barcodemae.files import written_atomically
from barcodemae.provenance import describe_machine, describe_versions

MODEL = "nano_coi"

# What differs from run to run in text files: dates, rates, and whether the run was resumed.
_PASSING = re.compile(
    rb'\d{4}-\d\d-\d\dT[\d:]+(\+00:00|Z)?|"barcodes_per_second": [\d.e+]+|duration of the steps: .*|resume: \w+'
)
_TEXTS = (".json", ".jsonl", ".md", ".html", ".yaml")
# The name of a state holds a digest of its bytes, in which equal objects may be pickled once or twice.
_STATE = re.compile(r"(step-\d+)-[0-9a-f]+\.pt")


@dataclass(frozen=True)
class Command:
    """One command line.

    Attributes:
        words: its arguments; it runs in a folder that holds `inputs/`.
        before: commands that run first, and are not killed.
        again: more arguments when it is repeated.
    """

    words: str
    before: tuple[str, ...] = ()
    again: str = ""


_INDEX = f"index inputs/built.fasta -o library --model {MODEL}"
COMMANDS = {
    "index": Command(_INDEX),
    "index --append": Command("index inputs/appended.fasta -o library --append", (_INDEX,)),
    "index --marker all": Command("index inputs/mixed.fasta -o collection --marker all"),
    "remove": Command("remove library --ids inputs/ids.txt", (_INDEX,)),
    "calibrate": Command("calibrate library --queries inputs/appended.fasta --plot plots/calibration.png", (_INDEX,)),
    "identify": Command(
        "identify inputs/appended.fasta --library library --output out/names.tsv.gz --summary out/names.html", (_INDEX,)
    ),
    "identify --shards": Command(
        "identify inputs/built.fasta inputs/appended.fasta --library library --output out/names --shards", (_INDEX,)
    ),
    "embed": Command("embed --data inputs/built.fasta --output out/vectors.parquet"),
    "cluster": Command(
        "cluster inputs/built.fasta --output out/clusters.tsv --representatives out/one.fasta --plot out/gap.png"
    ),
    "split": Command("split --data inputs/some.parquet --output out/split.parquet"),
    "tokenizer": Command("tokenizer --data inputs/some.parquet --output out/words --vocab-size 256"),
    "tune": Command(f"tune {MODEL} -o out/tuned --data inputs/some.parquet --embedding-size 16"),
    "convert": Command("convert inputs/published.pt -o out/converted"),
    "export": Command(f"export {MODEL} -o out/exported"),
    "leaderboard": Command("leaderboard --results inputs/results.json --output out/leaderboard.md"),
    "evaluate": Command(
        f"evaluate --model {MODEL} --data inputs/some.parquet --output-dir out/evaluation --cache-dir out/cache "
        "--tasks knn --baselines none"
    ),
    "train": Command(
        "train --size micro --k 4 --data inputs/few.parquet --cache-dir out/cache --output-dir out/run --epochs 0.8 "
        "--batch-size 8 --log-every 2 --eval-every 4 --save-every 3 --mixed-precision no --report-to none",
        again="--resume true",
    ),
    "push --dry-run": Command("push library ORG/NAME --license cc0-1.0 --dry-run", (_INDEX,)),
}


def run(words: str, folder: Path) -> None:
    """Run a command in this process, in a folder."""
    os.chdir(folder)
    huggingface_hub.constants.HF_HOME = str(folder / "home")  # where caches are
    tempfile.tempdir = str(folder.with_suffix(".tmp"))
    sys.argv = ["barcodemae", *words.split()]
    cli.main()


def run_and_list(words: str, folder: Path) -> None:
    """Run a command, and list the modules that it imported."""
    run(words, folder)
    folder.with_suffix(".modules").write_text("\n".join(sys.modules))


def import_listed(folder: Path) -> None:
    """Import what a child imported, so that the next ones need not."""
    for name in folder.with_suffix(".modules").read_text().splitlines():
        with suppress(Exception):  # some modules can't be imported by name
            importlib.import_module(name)
    gc.freeze()  # children need not collect what exists by now


def write_inputs(folder: Path) -> None:
    """Small files of the bundled sample."""
    folder.mkdir()
    sample = pq.read_table(sample_path())
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    for rank in RANKS:
        named = pc.and_(named, pc.not_equal(sample[rank], ""))
    records = sample.filter(named)
    for name, begin, count in (("built", 0, 200), ("appended", 200, 80)):
        lines = []
        for row in records.slice(begin, count).to_pylist():
            names = ",".join(f"{rank[0]}:{row[rank].replace(' ', '_')}" for rank in RANKS)
            lines.append(f">{row['id']};tax={names};\n{row['nucleotides']}\n")
        (folder / f"{name}.fasta").write_text("".join(lines))
    mixed = [f">its{number};tax=g:Aa,s:Aa_b{number % 4};\n{with_random_ends(ITS, number)}\n" for number in range(40)]
    (folder / "mixed.fasta").write_text((folder / "built.fasta").read_text() + "".join(mixed))
    (folder / "ids.txt").write_text("\n".join(records["id"].to_pylist()[10:60]))
    rng = random.Random(0)
    pq.write_table(sample.take(sorted(rng.sample(range(len(sample)), 600))), folder / "some.parquet")
    pq.write_table(sample.take(sorted(rng.sample(range(len(sample)), 100))), folder / "few.parquet")
    size = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 96}
    torch.manual_seed(0)
    published = BertForMaskedLM(BertConfig(vocab_size=4**4 + 3, **size))
    torch.save({f"module.{name}": value for name, value in published.state_dict().items()}, folder / "published.pt")
    shutil.copy(next((shipped_folder(MODEL) / "evaluation").glob("results.json")), folder)


def files_in(folder: Path) -> dict[str, str]:
    """Digest of each file by its path, without what differs from run to run; and of each folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name, content = path.relative_to(folder).as_posix(), b"folder"
        if _STATE.fullmatch(path.name):
            name = _STATE.sub(r"\1", name)
            content = repr(_plain(torch.load(path, weights_only=True))).encode()
        elif path.is_file():
            content = path.read_bytes()
            if path.suffix in _TEXTS:
                content = _PASSING.sub(b"", content)
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((str(key), _plain(one)) for key, one in value.items() if key != "resume")
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


class Trial:
    """A command with its result where nothing is killed.

    Args:
        command: the command.
        root: folder of this trial; the inputs are in its `inputs`.
    """

    def __init__(self, command: Command, root: Path):
        self._command = command
        self._before, self._folder = root / "before", root / "here"
        for folder in (self._before, self._folder):
            shutil.rmtree(folder, ignore_errors=True)
        self._before.mkdir()
        for folder in (self._before, self._folder):
            folder.with_suffix(".tmp").mkdir(exist_ok=True)
        (self._before / "inputs").symlink_to(root / "inputs")
        for words in command.before:
            finish(self._start(words, self._before), self._before)
        self.expected, self.seconds = self._measured()
        self.num_killed = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.operations: list[str] = []

    def _measured(self) -> tuple[dict[str, str], float]:
        """The result, which must be the same each time, and how long the command takes."""
        self._begin()
        finish(start(lambda: run_and_list(self._command.words, self._folder), self._folder), self._folder)
        import_listed(self._folder)
        outcomes, seconds = [files_in(self._folder)], []
        for _ in range(2):
            self._begin()
            begin = time.perf_counter()
            finish(self._start(self._command.words, self._folder), self._folder)
            seconds.append(time.perf_counter() - begin)
            outcomes.append(files_in(self._folder))
        if changing := different(outcomes[0], outcomes[1]) + different(outcomes[1], outcomes[2]):
            raise AssertionError(f"{self._command.words}: results differ between runs: {changing}")
        return outcomes[0], min(seconds)

    def kill_at_moments(self, moments: Iterator[float], num_kills: int, seconds: float) -> None:
        """Kill at random times, until `num_kills` or `seconds` is reached."""
        end = time.perf_counter() + seconds
        while self.num_killed < num_kills and time.perf_counter() < end:
            moment = next(moments) * self.seconds
            self._begin()
            child = self._start(self._command.words, self._folder)
            time.sleep(moment)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            if finish(child, self._folder):
                self.num_killed += 1
                self._repeat(f"after {moment:.2f} of {self.seconds:.2f} s")
            else:  # it had ended: this run was faster than the measured one
                self.seconds = (self.seconds + moment) / 2

    def kill_at_writes(self, seconds: float) -> None:
        """Kill before each file operation, until the time is over."""
        self._begin()
        listed = self._folder.with_suffix(".operations")
        listed.unlink(missing_ok=True)
        finish(self._start(self._command.words, self._folder, append_to(listed)), self._folder)
        self.operations = listed.read_text().splitlines() if listed.exists() else []
        end = time.perf_counter() + seconds
        for number, operation in enumerate(self.operations):
            if time.perf_counter() > end:
                break
            self._begin()
            if finish(self._start(self._command.words, self._folder, kill_at(number)), self._folder):
                self.num_killed += 1
                self._repeat(f"before {number}: {operation}")

    def _begin(self) -> None:
        for path in (self._folder, *self._folder.with_suffix(".tmp").iterdir()):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self._before, self._folder, symlinks=True)

    def _start(self, words: str, folder: Path, watch: Watch | None = None) -> int:
        return start(lambda: run(words, folder), folder, watch)

    def _repeat(self, where: str) -> None:
        words = f"{self._command.words} {self._command.again}"
        outcome, message = "repeated", ""
        try:
            finish(self._start(words, self._folder), self._folder)
        except RuntimeError as error:
            lines = str(error).strip().splitlines()
            outcome, message = "refused", next((line for line in lines if "error: " in line), lines[-1])
        changed = different(files_in(self._folder), self.expected)
        if changed or (message and "error: " not in message):
            outcome = "wrong"
            self.wrong.append(f"{where}: other files than without a kill: {', '.join(changed) or 'none'}. {message}")
        self.outcomes[outcome] += 1


def different(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """The files that differ."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--at", choices=("moments", "writes"), default="moments")
    parser.add_argument("--kills", type=int, default=100, help="Number of kills of each command, at random moments.")
    parser.add_argument("--seconds", type=float, default=600, help="Time limit of each command.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="A .json file; the results of other commands in it stay.")
    args = parser.parse_args()
    generator = random.Random(args.seed)
    moments = iter(lambda: generator.uniform(0, 1), None)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        root = Path(scratch).resolve()
        # In a child: threads of torch do not survive a fork.
        finish(start(lambda: write_inputs(root / "inputs"), root / "inputs"), root / "inputs")
        for name in args.commands:
            trial = Trial(COMMANDS[name], root)
            if args.at == "moments":
                trial.kill_at_moments(moments, args.kills, args.seconds)
            else:
                trial.kill_at_writes(args.seconds)
            rows[name] = {
                "seconds": round(trial.seconds, 2),
                "killed": trial.num_killed,
                **{outcome: trial.outcomes[outcome] for outcome in ("repeated", "refused", "wrong")},
                "found_wrong": trial.wrong,
            }
            if args.at == "writes":
                rows[name]["operations"] = trial.operations
            print(json.dumps({name: rows[name]}), flush=True)
    if args.output is not None:
        about = {
            "at": args.at,
            "seed": args.seed,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "versions": describe_versions(("barcodemae", "filelock", "pyarrow", "faiss-cpu", "torch")),
        }
        if args.output.exists():
            rows = json.loads(args.output.read_text())["commands"] | rows
        with written_atomically(args.output.parent) as folder:
            (folder / args.output.name).write_text(json.dumps({"commands": rows} | about, indent=2) + "\n")


if __name__ == "__main__":
    main()
