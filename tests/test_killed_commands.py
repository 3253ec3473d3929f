"""Commands killed before each file operation and repeated: the result is as without kills."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["identify", "identify --shards", "embed", "cluster", "split", "tokenizer", "convert", "leaderboard"],
)
def test_repeated_command_has_the_same_result_after_kills(command, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    arguments = ["--commands", command, "--at", "writes", "--output", str(tmp_path / "kills.json")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "kills.py", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "kills.json").read_text())["commands"][command]
    assert any(operation.startswith("os.rename out/") for operation in found["operations"])
    assert found["killed"] == len(found["operations"])
    assert found["found_wrong"] == []
