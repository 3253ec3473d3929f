"""The README's snippets run as they stand, in their order."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def snippets():
    return re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def checkout(tmp_path):
    """A folder with all that the snippets name, so that what they write is not left in the repository."""
    for name in ("train.py", "evaluate_embeddings.py", "configs", "barcodemae"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.slow
def test_snippets_run(checkout):
    environment_bin = Path(sys.executable).parent
    for language, code in snippets():
        if language == "python":
            command = [sys.executable, "-c", code]
        else:
            command = ["bash", "-euo", "pipefail", "-c", f'PATH="{environment_bin}:$PATH"\n{code}']
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert (checkout / "runs" / "vectors.parquet").is_file()
    assert (checkout / "runs" / "first" / "evaluation" / "results.json").is_file()


def shown_session():
    """The commands that the README shows with their output: command -> lines of output."""
    text = re.search(r"```console\n(\$ barcodemae index.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    commands = [part.splitlines() for part in re.split(r"^\$ ", text, flags=re.MULTILINE) if part]
    return {first.split("  #")[0].strip(): lines for first, *lines in commands}


def numbers_in(line):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", line.replace(",", ""))]


@pytest.mark.slow
def test_output_that_it_shows_is_what_the_commands_print(tmp_path):
    def run(command):
        path = f'PATH="{Path(sys.executable).parent}:$PATH"\n'
        done = subprocess.run(["bash", "-c", path + command], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    run(f"python {ROOT / 'tools' / 'demo_files.py'} . && mv queries.fasta reads.fasta && gzip reads.fasta")
    index, identify, cut = shown_session().items()
    printed = run(index[0])
    assert [line for line in index[1] if line not in printed] == []
    printed = run(identify[0])
    assert [line for line in identify[1] if not line.startswith("Calls") and line not in printed] == []
    calls = {line.split(":")[0]: line for line in printed}["Calls"]
    shown_calls = {line.split(":")[0]: line for line in identify[1]}["Calls"]
    assert re.sub(r"\d+", "", calls) == re.sub(r"\d+", "", shown_calls)
    # Confidence differs in the last digits between processors.
    assert numbers_in(calls) == pytest.approx(numbers_in(shown_calls), abs=3)
    rows = {line.split("\t")[0]: line.split("\t") for line in run(cut[0])}
    header, *shown_rows = (re.split(r"  +", line) for line in cut[1])
    assert rows["id"] == header
    for identifier, call, name, *values in shown_rows:
        assert rows[identifier][1:3] == [call, name]
        assert [float(value) for value in rows[identifier][3:] if value] == pytest.approx(
            [float(value) for value in values], abs=0.005
        )


def test_every_file_that_it_names_is_there():
    named = re.findall(r"\]\(([\w/.]+)\)|`([\w/]+\.(?:py|yaml))`", (ROOT / "README.md").read_text())
    assert named
    for path in map("".join, named):
        assert (ROOT / path).exists(), path
