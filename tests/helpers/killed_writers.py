"""Changes of a library killed with SIGKILL: `killed_writers.py FASTA FOLDER writes` or `... moments COUNT`.

In each step a library is built, appended to, reduced or calibrated in a child process, forked from a process that has
imported all modules. `writes` kills immediately before each file operation of Python in the library's folder (opening
to write, renaming, removing, making a folder), which is immediately after the one before; `moments` at random times,
again and again until the step is complete. After each kill the library must be the old one or the new one. The step is
then repeated, whether it was complete or not, and all files must be the same as without kills, with no others. Prints
the number of kills, how many left the old and the new library, and all deviations.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sklearn.isotonic
import sklearn.linear_model  # noqa: F401 (imported once, before the children are made)
from killed_children import Watch, append_to, finish, kill_at, start
from reference_records import MODEL, OneHotEmbedder

from barcodemae.data import read_records, text
from barcodemae.errors import LibraryError
from barcodemae.library import segments
from barcodemae.library.building import append_records, build_library, remove_records, save_calibration
from barcodemae.library.calibration.fitting import calibrate_by_own
from barcodemae.library.search import indexing
from barcodemae.library.store.stored import StoredLibrary

NO_LIBRARY = "no library"


class Steps:
    """The changes of a library, in this order.

    Args:
        source: FASTA of named barcodes; the first three quarters are built, the others appended.
        folder: for the two parts.
    """

    def __init__(self, source: Path, folder: Path):
        lines = source.read_text().splitlines(keepends=True)
        cut = len(lines) // 8 * 6
        self._parts = [folder / "built.fasta", folder / "appended.fasta"]
        for part, some in zip(self._parts, (lines[:cut], lines[cut:]), strict=True):
            part.write_text("".join(some))
        records = read_records(source)
        self.ids = records["id"].to_pylist()
        self.embedder = OneHotEmbedder()
        self.queries = self.embedder.encode(records["nucleotides"].to_pylist())
        self.names = ("build", "append", "remove", "calibrate")

    def take(self, name: str, library: Path) -> None:
        """Take one of the steps."""
        if name == "build":
            build_library(library, [str(self._parts[0])], self.embedder, MODEL)
        elif name == "append":
            append_records(library, [str(self._parts[1])], self.embedder, MODEL)
        elif name == "remove":
            remove_records(library, self.ids[3:6])
        else:
            opened = StoredLibrary.open(library)
            save_calibration(opened, calibrate_by_own(opened, self.embedder))

    def content(self, folder: Path) -> str:
        """Digest of a library's records, their hits, and its calibration."""
        try:
            library = StoredLibrary.open(folder)
        except LibraryError as error:
            if "expected a reference library" in str(error) or "whose build has not ended" in str(error):
                return NO_LIBRARY
            raise
        hits = library.search(self.queries, 5)
        calibration = library.calibration()
        content = [
            library.live.tolist(),
            library.names().to_pylist(),
            library.nucleotides(np.arange(library.manifest.num_records)),
            hits.rows.tolist(),
            hits.similarities.tolist(),
            None if calibration is None else calibration.as_json(),
        ]
        return _digest(json.dumps(content).encode())


def files_in(folder: Path) -> dict[str, str]:
    """Digest of each file by its path; folders are included, for empty ones."""
    return {
        path.relative_to(folder).as_posix(): _digest(path.read_bytes()) if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class Trial:
    """One step, from the library before it, with the result without kills.

    Args:
        steps: all of them.
        name: of this one.
        before: the folder of the library before it; does not exist before a build.
        root: for other folders.
    """

    def __init__(self, steps: Steps, name: str, before: Path, root: Path):
        self.steps, self.name, self.before = steps, name, before
        self.library, self.after = root / "library", root / f"after {name}"
        self.left: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._old = steps.content(before)
        self._begin()
        operations = root / "operations.txt"
        operations.unlink(missing_ok=True)
        start_time = time.perf_counter()
        finish(self._start(append_to(operations)), self.library)
        self.seconds = time.perf_counter() - start_time
        self.operations = operations.read_text().splitlines()
        self._new = steps.content(self.library)
        _copy(self.library, self.after)
        self._end = files_in(self.library)

    def at_write(self, number: int) -> None:
        """Kill before one of the operations, and check the library."""
        self._begin()
        if finish(self._start(kill_at(number)), self.library):
            where = f"{self.name}, before {number}: {self.operations[number]}"
            self._check(where)
            self._repeat(where)

    def at_moments(self, moments: Iterator[float]) -> int:
        """Kill again and again until the step is complete, then repeat it; returns the number of kills."""
        self._begin()
        killed = 0
        where = self.name
        for share in moments:
            child = self._start()
            time.sleep(share * self.seconds)
            os.kill(child, signal.SIGKILL)
            if not finish(child, self.library):
                break
            killed += 1
            where += f", after {share * self.seconds:.3f} of {self.seconds:.3f} s"
            if self._check(where) != "old":
                break
        self._repeat(where)
        return killed

    def _start(self, watch: Watch | None = None) -> int:
        return start(lambda: self.steps.take(self.name, self.library), self.library, watch)

    def _begin(self) -> None:
        shutil.rmtree(self.library, ignore_errors=True)
        if self.before.exists():
            _copy(self.before, self.library)

    def _check(self, where: str) -> str:
        try:
            found = {self._old: "old", self._new: "new"}.get(self.steps.content(self.library), "neither")
        except LibraryError as error:
            found = "neither"
            self.wrong.append(f"{where}: {error}")
        self.left[found] += 1
        if found == "neither":
            self.wrong.append(f"{where}: neither the old library nor the new one")
        return found

    def _repeat(self, where: str) -> None:
        try:
            finish(self._start(), self.library)
        except RuntimeError as error:
            self.wrong.append(f"{where}: failed when repeated: {error}")
            return
        found = files_in(self.library)
        different = sorted(name for name in found.keys() | self._end.keys() if found.get(name) != self._end.get(name))
        if different:
            self.wrong.append(f"{where}: other files than without a kill: {', '.join(different)}")


def main() -> None:
    source, root, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    # Several parts and an inverted file from few records.
    text.BATCH_ROWS = 50
    segments.MAX_EXACT_RECORDS = indexing.MAX_EXACT_RECORDS = 100
    steps = Steps(source, root)
    trials: list[Trial] = []
    for name in steps.names:
        trials.append(Trial(steps, name, trials[-1].after if trials else root / "nothing", root))
    killed = 0
    if how == "moments":
        generator = random.Random(0)
        moments = iter(lambda: generator.uniform(0, 1), None)
        while killed < int(sys.argv[4]):
            for trial in trials:
                killed += trial.at_moments(moments)
    else:
        for trial in trials:
            for number in range(len(trial.operations)):
                trial.at_write(number)
            killed += trial.left.total()
    left: Counter[str] = sum((trial.left for trial in trials), Counter())
    operations = {trial.name: trial.operations for trial in trials}
    wrong = [line for trial in trials for line in trial.wrong]
    print(json.dumps({"operations": operations, "killed": killed, "left": left, "wrong": wrong}))


def _copy(folder: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)


if __name__ == "__main__":
    main()
