"""How long each workflow from a published checkpoint to a first embedding takes, and how large the published files are.

`python benchmarks/hub_loading.py CHECKPOINT`, with ONNX files (`barcodemae export CHECKPOINT -o CHECKPOINT`). Each
workflow is a fresh process, timed from before its first import; workflows take turns, and the median of each counts.
Ratios are to the model with remote code. Linux alone: memory is read from /proc.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from barcodemae.data import sample_path
from barcodemae.hub.publication import assemble
from tokenization_barcodemae import ReferenceFrame

WORKFLOWS = {
    "AutoModel, remote code": """
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
embedding = model(**tokenizer([barcode], return_tensors="pt")).pooler_output.detach().numpy()
""",
    "AutoModel, plain BERT": """
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder)
embedding = model(**tokenizer([barcode], return_tensors="pt")).last_hidden_state.mean(1).detach().numpy()
""",
    "BarcodeEmbedder": """
import torch
from barcodemae import BarcodeEmbedder

embedding = BarcodeEmbedder.from_pretrained(folder, dtype=torch.float32).encode([barcode])
""",
    "ONNX, fp32": """
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

ids = np.array([Tokenizer.from_file(f"{folder}/tokenizer.json").encode(barcode).ids])
session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx")
embedding = session.run(["pooler_output"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
""",
}
WORKFLOWS["ONNX, int8"] = WORKFLOWS["ONNX, fp32"].replace("model.onnx", "model_quantized.onnx")

BEGIN = """
import time

began = time.perf_counter()
import json, sys

folder, barcode = sys.argv[1:]
"""
END = """
seconds = time.perf_counter() - began
status = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
megabytes = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "embedding": embedding[0].tolist()}))
"""


def canonical_barcode() -> str:
    """A barcode that starts and ends with the reference frame, so that all workflows read the same k-mers."""
    frame = ReferenceFrame.coi()
    barcodes = pq.read_table(sample_path())["nucleotides"].to_pylist()
    complete = [barcode for barcode in barcodes if len(barcode) == frame.length and set(barcode) == set("ACGT")]
    return complete[int(np.flatnonzero(frame.place(complete).start == 0)[0])]


def run_workflow(workflow: str, folder: Path, barcode: str, home: Path) -> dict:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    command = [sys.executable, "-c", BEGIN + WORKFLOWS[workflow] + END, str(folder), barcode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{workflow}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def megabytes(file: Path) -> float:
    return file.stat().st_size / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    barcode = canonical_barcode()

    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch, "repository"), Path(scratch, "home")
        folder.mkdir()
        assemble(args.checkpoint, "org/BarcodeMAE", folder)
        files = sorted(filter(Path.is_file, folder.rglob("*")), key=megabytes, reverse=True)
        print(f"published: {len(files)} files, {sum(map(megabytes, files)):.1f} MiB")
        for file in files[:6]:
            print(f"{megabytes(file):10.2f} MiB  {file.relative_to(folder)}")

        runs: dict[str, list[dict]] = {
            workflow: [run_workflow(workflow, folder, barcode, home)] for workflow in WORKFLOWS
        }  # warms the caches
        for _ in tqdm(range(args.repeats), desc="repeat"):
            for workflow in WORKFLOWS:
                runs[workflow].append(run_workflow(workflow, folder, barcode, home))

    first = np.array(runs["AutoModel, remote code"][0]["embedding"])
    print(f"\n{'workflow':<26}{'seconds':>9}{'ratio':>8}{'peak MiB':>10}{'cosine to the first':>21}")
    seconds = {workflow: statistics.median(run["seconds"] for run in repeats[1:]) for workflow, repeats in runs.items()}
    for workflow, repeats in runs.items():
        embedding = np.array(repeats[0]["embedding"])
        cosine = embedding @ first / np.linalg.norm(embedding) / np.linalg.norm(first)
        ratio = seconds[workflow] / seconds["AutoModel, remote code"]
        print(f"{workflow:<26}{seconds[workflow]:9.2f}{ratio:8.2f}{repeats[0]['megabytes']:10.0f}{cosine:21.4f}")


if __name__ == "__main__":
    main()
