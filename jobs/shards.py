# /// script
# requires-python = ">=3.10"
# dependencies = ["barcodemae[identify]"]
# ///
"""Identify or embed the files of a data set on the Hub; each becomes a file of another data set.

`hf jobs uv run --flavor cpu-upgrade --secrets HF_TOKEN --env RANK=0 --env WORLD_SIZE=8 jobs/shards.py identify
ORG/READS ORG/NAMES --library hub:ORG/LIBRARY`

and the same with RANK=1 to 7: each job makes every eighth file, and commits it when it is complete. What a stopped job
has not made is made when the job is repeated. With `embed`, the further options are those of `barcodemae embed`, such
as `--engine frame`. Where the files are in a folder, no script is needed: `barcodemae identify --shards`.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from pkgutil import resolve_name

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from barcodemae.cli import VERBS
from barcodemae.cli.command import run_command
from barcodemae.cli.shards import COMMAND_FILE, name_shards
from barcodemae.embedding.processes import separate_process
from barcodemae.errors import BadRecordError, BarcodeMAEError, ConfigurationError, HubError, UnreadableFileError
from barcodemae.repositories import check_name, explain_error

_COMMANDS = ("identify", "embed")
_NOT_SHARDS = (".md", ".json", ".yaml", ".yml", ".txt", ".py")

# Jobs that commit at the same time hinder each other.
_CONFLICTS, _MAX_ATTEMPTS, _SECONDS = (409, 412), 8, 2.0


def main() -> None:
    """Run the script.

    Raises:
        BarcodeMAEError: bad input, or the Hub refuses; files that are complete stay.
    """
    if len(sys.argv) < 4 or sys.argv[1] not in _COMMANDS:
        raise ConfigurationError(f"expected {' or '.join(_COMMANDS)}, ORG/READS and ORG/RESULTS, got {sys.argv[1:]}")
    command, source, target, *words = sys.argv[1:]
    options = [str(Path(word).resolve()) if Path(word).exists() else word for word in words]
    for name in (source, target):
        check_name(name)
    process, hub = separate_process(), HfApi()
    with _explained(source, target):
        hub.create_repo(target, repo_type="dataset", private=True, exist_ok=True)
        files = [PurePosixPath(name) for name in hub.list_repo_files(source, repo_type="dataset")]
        made = set(hub.list_repo_files(target, repo_type="dataset"))
    shards = name_shards(sorted(str(file) for file in files if file.name[0] != "." and file.suffix not in _NOT_SHARDS))
    own = list(shards.items())[process.rank :: process.count]
    failures, home = [], Path.cwd()
    for name, shard in own:
        if name in made:
            continue
        with tempfile.TemporaryDirectory() as scratch, _explained(source, target):
            folder = Path(scratch) / "results"
            if COMMAND_FILE in made:
                hub.hf_hub_download(target, COMMAND_FILE, repo_type="dataset", local_dir=folder)
            hub.hf_hub_download(source, shard, repo_type="dataset", local_dir=Path(scratch) / "shards")
            os.chdir(Path(scratch) / "shards")  # so that the results have the name of the file in the data set
            try:
                resolve_name(VERBS[command][1])([shard, "--output", str(folder), "--shards", *options])
            except (UnreadableFileError, BadRecordError) as error:
                failures.append(f"{shard}: {error}")
                continue
            finally:
                os.chdir(home)
            _commit(hub, target, {path: folder / path for path in (COMMAND_FILE, name)})
        made.add(COMMAND_FILE)
    print(f"Shards of this job: {len(own) - len(failures):,} of {len(own):,} are in {target}.")
    if failures:
        raise BarcodeMAEError(f"{len(failures):,} of {len(own):,} shards could not be read; the first: {failures[0]}")


def _commit(hub: HfApi, repository: str, files: dict[str, Path]) -> None:
    """Commit files, again after a while if another job has committed at the same time."""
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            additions = [CommitOperationAdd(path, file) for path, file in files.items()]
            hub.create_commit(repository, additions, commit_message=f"Add {list(files)[-1]}", repo_type="dataset")
            return
        except HfHubHTTPError as error:
            if error.response.status_code not in _CONFLICTS or attempt == _MAX_ATTEMPTS:
                raise
            time.sleep(attempt * _SECONDS * random.random())


@contextmanager
def _explained(source: str, target: str) -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        problem = explain_error(error, {})[0]
        raise HubError(f"expected the data set {source}, and one to write to, {target}: {problem}") from error


if __name__ == "__main__":
    run_command(main)
