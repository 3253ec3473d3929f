"""Changes of a library killed and repeated: it is the old or the new one, and in the end as without kills."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from barcodemae.data.schema import RANKS
from helpers.reference_records import write_fasta

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def named(sample, tmp_path_factory):
    """A FASTA of 200 barcodes with a name at each rank, enough to calibrate."""
    has_name = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    for rank in RANKS:
        has_name = pc.and_(has_name, pc.not_equal(sample[rank], ""))
    return write_fasta(sample.filter(has_name).slice(0, 200), tmp_path_factory.mktemp("data") / "named.fasta")


def kill_writers(*arguments):
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, TESTS / "helpers" / "killed_writers.py", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_library_is_the_same_after_kills_at_each_write(named, tmp_path):
    found = kill_writers(named, tmp_path, "writes")
    written = {operation.rpartition("/")[2] for step in found["operations"].values() for operation in step}
    assert {
        "part-00002.arrow",
        "building.json",
        "os.rename library.json",
        "os.rename removed-00000.npy",
        "os.rename calibration-00000.json",
        "os.remove calibration-00000.json",
    } <= written
    assert found["killed"] == sum(map(len, found["operations"].values()))
    assert found["left"].keys() == {"old", "new"}
    assert found["wrong"] == []


@pytest.mark.slow
def test_library_is_the_same_after_kills_at_20_random_times(named, tmp_path):
    found = kill_writers(named, tmp_path, "moments", 20)
    assert found["killed"] >= 20
    assert found["wrong"] == []
