"""Parsers under a fuzzer that sees which branches an input takes: each input gives records or an error of the package.

`python benchmarks/fuzz_parsers.py a.fasta runs/fuzz --runs 100000` starts from real barcodes, as `fuzz_readers.py`
writes them, and continues from each input that reaches a new branch. `library.json`, `calibration-00000.json` and
`removed-00000.npy` of a reference library have parsers too. It needs libFuzzer for Python (`pip install atheris`),
which prints the number of inputs per second, and ends at an exception of another class, or an input that takes over
five seconds: it then names the file to which the input was written, and its exit code is not 0.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["barcodemae"]):
    import numpy as np
    import pyarrow as pa
    from fuzz_readers import TOKENS, outcome, read, real_files

    from barcodemae.data.sources import STANDARD_INPUT
    from barcodemae.library.calibration.guarantee import GROUPS, Guarantee, HeldOut
    from barcodemae.library.calibration.probability import LENGTHS, NUM_FEATURES, OWN, TARGETS, Calibration
    from barcodemae.library.store.manifest import MANIFEST_FILE, Fingerprint, Manifest, Segment, read_manifest
    from barcodemae.library.store.records import NAMES, write_part
    from barcodemae.library.store.stored import StoredLibrary

MANIFEST, CALIBRATION, REMOVED = MANIFEST_FILE, "calibration-00000.json", "removed-00000.npy"

HANG_SECONDS = 5
LONGEST_INPUT = 20_000

_BASES, _DIMENSION, _RECORDS = 8, 4, 5
_UNSEEN = Fingerprint(0, "")


def library_files(folder: Path) -> tuple[StoredLibrary, dict[str, bytes]]:
    """A small library, and the contents of those of its files that are to be damaged."""
    segment_folder = folder / "segment-00000"
    segment_folder.mkdir(exist_ok=True)
    text = pa.array([str(row) for row in range(_RECORDS)], pa.large_string())
    records = pa.table(dict.fromkeys((*NAMES, "nucleotides"), text))
    bases, vectors = np.zeros((_RECORDS, _BASES), np.int8), np.full((_RECORDS, _DIMENSION), 0.5)
    write_part(segment_folder / "part-00000.arrow", records, bases, vectors)
    np.save(folder / REMOVED, np.array([1, 3]))
    weights = np.tile(np.arange(float(NUM_FEATURES)), (len(LENGTHS), 1))
    held_out = (HeldOut(3, np.array([0.75, 0.25], np.float32)),) * len(LENGTHS)
    numbers = dict.fromkeys(TARGETS, np.full(len(LENGTHS), 9))
    calibration = Calibration(dict.fromkeys(TARGETS, weights), numbers, OWN, Guarantee(dict.fromkeys(GROUPS, held_out)))
    segment = Segment(segment_folder.name, _RECORDS, {"part-00000.arrow": _UNSEEN}, {"kind": "exact"})
    model = {"name": "nano", "weights_sha256": "0", "engine": "frame"}
    manifest = Manifest(model, _DIMENSION, _BASES, (segment,), {REMOVED: _UNSEEN}, {CALIBRATION: _UNSEEN})
    contents = {
        MANIFEST: manifest.as_text().encode(),
        CALIBRATION: json.dumps(calibration.as_json()).encode(),
        REMOVED: (folder / REMOVED).read_bytes(),
    }
    return StoredLibrary(folder, manifest), contents


def reading_of(name: str, folder: Path, library: StoredLibrary) -> Callable[[], object]:
    """What reads a file of that name in a folder."""
    if name == MANIFEST:
        return lambda: read_manifest(folder)
    if name in (CALIBRATION, REMOVED):
        return lambda: StoredLibrary(folder, library.manifest).calibration()
    return lambda: read(folder / name, name == STANDARD_INPUT)


def main() -> None:
    """Fuzz the parser of one kind of file."""
    files = real_files()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", choices=[*files, MANIFEST, CALIBRATION, REMOVED], help="whose parser")
    parser.add_argument("folder", type=Path, help="to work in; it keeps the inputs that reached something new")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other inputs")
    args = parser.parse_args()

    logging.disable()
    files, corpus = args.folder / "files", args.folder / f"corpus {args.file}"
    for folder in (files, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    library, contents = library_files(files)
    (corpus / "real").write_bytes((files | contents)[args.file])
    words = args.folder / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in TOKENS)
    words.write_text("".join(f'"{token}"\n' for token in escaped))
    reading = reading_of(args.file, files, library)

    def try_input(content: bytes) -> None:
        (files / args.file).write_bytes(content)
        outcome(reading)

    options = {"runs": args.runs, "seed": args.seed, "timeout": HANG_SECONDS, "max_len": LONGEST_INPUT, "dict": words}
    options |= {"artifact_prefix": f"{args.folder}/", "print_final_stats": 1}
    atheris.Setup([sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())], try_input)
    atheris.Fuzz()  # does not return


if __name__ == "__main__":
    main()
