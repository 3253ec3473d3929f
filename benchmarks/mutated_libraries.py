"""Maliciously changed libraries: each is rejected in one line or searched as any other, and nothing crashes.

`python benchmarks/mutated_libraries.py --inputs 400` makes a small library of barcodes that come with the package, with
two segments, one of them with an inverted file, and some records removed. One file at a time is then changed and its
fingerprint updated, as a malicious author would; a child process opens the library, identifies barcodes with it, and
aligns two hits of each. The outcomes are counted by the kind of the file:

- refused: an error of the package, which the command line prints as one line;
- same: the same names, probabilities, hits and alignments as before;
- other: the change made a name or a number that a library may hold;
- traceback, signal, memory, hang: failures. The limits are 2 GiB beyond what the process has, and one minute.

The exit code is 1 after a failure, whose seed is printed: `--seed N --inputs 1 --kind part` repeats that input.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # threads of OpenMP do not survive a fork: a child would wait for them forever

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from barcodemae.data import RANKS, read_records, sample_path
from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.errors import BarcodeMAEError
from barcodemae.files import written_atomically
from barcodemae.library import segments
from barcodemae.library.building import append_records, build_library, remove_records
from barcodemae.library.identification import Identifier
from barcodemae.library.models import describe_model, open_with_model
from barcodemae.library.store.manifest import MANIFEST_FILE, fingerprint

KINDS = {
    "part": "segment-00000/part-00000.arrow",
    "index": "segment-00000/index.safetensors",
    "manifest": MANIFEST_FILE,
    "calibration": "calibration-*.json",
    "removed": "removed-*.npy",
}
BAD = ("traceback", "signal", "memory", "hang")
RECORDS, MORE, QUERIES = 150, 60, 20
SECONDS = 60
MEMORY = 2**31
# Sizes, offsets and numbers at which checks and arithmetic break.
NUMBERS = [0, 1, -1, 2, 127, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63), 2**64 - 1]
WORDS = ["null", "true", "-1", "0", "1e400", "NaN", '"x"', "[]", "{}", "[[[]]]", str(2**70), '"../x"', '"\\ud800"']


def make_library(folder: Path) -> Path:
    """The library, and beside it the FASTA file of queries."""
    table = pq.read_table(sample_path())
    table = table.filter(pc.match_substring_regex(table["species"], "^[A-Z][a-z]+ [a-z]+$"))
    for name, rows in (
        ("references.parquet", table.slice(0, RECORDS)),
        ("more.parquet", table.slice(RECORDS, MORE)),
    ):
        pq.write_table(rows, folder / name)
    queries = table.slice(RECORDS - QUERIES // 2, QUERIES).to_pylist()
    (folder / "q.fasta").write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in queries))
    embedder, model = BaseMapEmbedder.from_pretrained(), describe_model("nano_coi", "frame")
    segments.MAX_EXACT_RECORDS = 100  # so that the first segment has an inverted file
    library = folder / "library"
    build_library(library, [str(folder / "references.parquet")], embedder, model)
    append_records(library, [str(folder / "more.parquet")], embedder, model)
    remove_records(library, table["id"].to_pylist()[:3])
    return library


def mutated(content: bytes, is_text: bool, chance: random.Random) -> bytes:
    """The content after one to four changes."""
    if is_text and chance.random() < 0.8:
        return mutated_text(content.decode(), chance).encode()
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        # Headers, which describe the rest, are at the beginning.
        offset = chance.randrange(min(len(changed), chance.choice([400, 4000, len(content), len(content)])))
        (what,) = chance.choices(range(6), [4, 4, 1, 2, 0.3, 0.3])
        if what == 0:
            changed[offset : offset + 1] = bytes([changed[offset] ^ (1 << chance.randrange(8))])
        elif what == 1:
            width = chance.choice([1, 4, 8])
            offset -= offset % width
            number = chance.choice([*NUMBERS, chance.getrandbits(64)]) % 2 ** (8 * width)
            changed[offset : offset + width] = number.to_bytes(width, "little")
        elif what == 2:
            changed[offset : offset + chance.choice([1, 8, 100])] = chance.randbytes(chance.choice([1, 8, 100]))
        elif what == 3:
            other = chance.randrange(len(changed))
            size = chance.choice([4, 8, 64, 1024])
            changed[offset : offset + size] = changed[other : other + size]
        elif what == 4:
            del changed[offset : offset + chance.choice([1, 8, 4096])]
        else:
            changed[offset:offset] = bytes(chance.choice([1, 8, 4096]))
    return bytes(changed)


def mutated_text(text: str, chance: random.Random) -> str:
    """JSON in which one value is replaced."""
    parsed = json.loads(text)
    spot = parsed
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        key = chance.choice(keys)
        below = spot[key]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.15:
            break
        spot = below
    if isinstance(spot, dict) and chance.random() < 0.2:
        spot[chance.choice(["", "../x", "segment-00009", "\x1b[2J", "part-00000.arrow"])] = spot.pop(key)
    elif type(below) in (int, float) and chance.random() < 0.5:
        spot[key] = type(below)(below * chance.choice([-1, 0, 0.5, 1.01, 2, 1000]))
    else:
        spot[key] = "@"
    return json.dumps(parsed).replace('"@"', chance.choice(WORDS), 1)


def forge(library: Path) -> None:
    """Update the fingerprints."""
    manifest = json.loads((library / MANIFEST_FILE).read_text())
    for segment in manifest["segments"]:
        for name in segment["files"]:
            segment["files"][name] = vars(fingerprint(library / segment["name"] / name))
    for kind in ("removed", "calibration"):
        manifest[kind] = {name: vars(fingerprint(library / name)) for name in manifest[kind]}
    (library / MANIFEST_FILE).write_text(json.dumps(manifest))


def identified(library: Path) -> bytes:
    """The results of the queries, as bytes."""
    opened, embedder = open_with_model(library)
    calibration = opened.calibration()
    assert calibration is not None
    identify = Identifier(opened, embedder, calibration, num_aligned=2)
    table = identify(read_records(library.parent / "q.fasta"))
    held = opened.names().select(["id", *RANKS])
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return buffer.getvalue().to_pybytes() + repr(held.num_rows).encode()


def outcome_of(search: Callable[[], bytes], expected: bytes) -> tuple[str, str]:
    """How a search in a child process ends, and its error message."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(SECONDS)
        try:
            outcome = "same" if search() == expected else "other"
        except BarcodeMAEError as error:
            outcome = f"refused\n{error}"
        except MemoryError:
            outcome = "memory\n" + traceback.format_exc()
        except BaseException:
            outcome = "traceback\n" + traceback.format_exc()
        os.write(writing, outcome.encode("utf-8", "replace")[:60_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        outcome = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return ("hang" if number == signal.SIGALRM else "signal"), signal.Signals(number).name
    kind, _, message = outcome.partition("\n")
    return kind, message


def main() -> int:
    """Try the inputs of every kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=400, help="number of changed files of each kind")
    parser.add_argument("--kind", choices=list(KINDS), help="only files of this kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first input; each further one adds 1")
    parser.add_argument("--output", type=Path, help="JSON file of the counts")
    args = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory() as scratch:
        library = make_library(Path(scratch))
        expected = identified(library)
        for kind in [args.kind] if args.kind else KINDS:
            counts[kind] = Counter()
            (file,) = library.glob(KINDS[kind])
            content, manifest = file.read_bytes(), (library / MANIFEST_FILE).read_bytes()
            for seed in range(args.seed, args.seed + args.inputs):
                file.write_bytes(mutated(content, file.suffix == ".json", random.Random(f"{kind} {seed}")))
                if kind != "manifest":
                    forge(library)
                how, message = outcome_of(lambda: identified(library), expected)
                counts[kind][how] += 1
                if how in BAD:
                    print(f"{kind}, seed {seed}: {how}\n{message}", file=sys.stderr)
                file.write_bytes(content)
                (library / MANIFEST_FILE).write_bytes(manifest)
            print(f"{kind:12}", dict(counts[kind]), flush=True)
        shutil.rmtree(library)
    if args.output:
        with written_atomically(args.output.parent) as folder:
            (folder / args.output.name).write_text(json.dumps(counts, indent=2, sort_keys=True) + "\n")
    return int(any(count[how] for count in counts.values() for how in BAD))


if __name__ == "__main__":
    sys.exit(main())
