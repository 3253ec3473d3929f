"""An exported checkpoint in transformers.js, under Node: the same ids and the same embeddings."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from transformers import AutoTokenizer

from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.hub.onnx_parity import onnx_encoder, torch_encoder

SOURCE = Path(__file__).parent / "transformers_js"
INSTALLED = Path(__file__).parents[1] / "build" / "transformers_js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js on this machine"),
]


@pytest.fixture(scope="module")
def embed_in_node():
    """Runs embed.mjs where its packages are: installed once, and again when the lock file is another."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    done = INSTALLED / "installed-package-lock.json"
    INSTALLED.parent.mkdir(exist_ok=True)
    with FileLock(f"{INSTALLED}.lock"):  # tests run in several processes
        if not (done.is_file() and done.read_bytes() == lock):
            shutil.rmtree(INSTALLED, ignore_errors=True)
            shutil.copytree(SOURCE, INSTALLED)
            # Nobody needs the CUDA build of onnxruntime, which its install step would fetch.
            settings = os.environ | {"ONNXRUNTIME_NODE_INSTALL": "skip"}
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=INSTALLED, env=settings, check=True)
            done.write_bytes(lock)

    def embed(folder, dtype, texts):
        shutil.copy(SOURCE / "embed.mjs", INSTALLED)
        command = ["node", "embed.mjs", str(folder), dtype]
        run = subprocess.run(
            command, cwd=INSTALLED, input=json.dumps(texts), capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return embed


@pytest.fixture(scope="module")
def texts(full_length_barcodes):
    """Whole and short, lower case, RNA, gaps and white space, unknown bases, a mask, longer than the model reads."""
    barcode = full_length_barcodes[0]
    return [
        barcode,
        full_length_barcodes[1][:101],
        barcode[:4],
        barcode[:300].lower(),
        barcode[:300].replace("T", "U"),
        barcode[:50] + "---" + barcode[50:90] + " \t\n" + barcode[90:200],
        barcode[:100] + "NNRY" + barcode[104:400],
        barcode[:80] + "[MASK]" + barcode[84:200],
        barcode * 4,
    ]


@pytest.mark.parametrize(("dtype", "file"), [("fp32", "model.onnx"), ("q8", "model_quantized.onnx")])
@pytest.mark.parametrize(("kind", "width"), [("", 32), ("_tuned", 24)])
def test_ids_and_embeddings_are_ours(dtype, file, kind, width, request, embed_in_node, texts):
    checkpoint = request.getfixturevalue("tuned_checkpoint" if kind else "checkpoint")
    exported = request.getfixturevalue(f"exported{kind}")
    answer = embed_in_node(exported, dtype, texts)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    assert answer["ids"] == tokenizer(texts, truncation=True)["input_ids"]
    batch = dict(tokenizer(texts, padding=True, truncation=True, return_tensors="np"))
    assert answer["shape"] == [len(texts), 512, width]
    # What 8 bits differ from ours by is measured in test_onnx.py; here, Node is to give what Python does.
    encode = (
        torch_encoder(load_checkpoint(checkpoint).model) if dtype == "fp32" else onnx_encoder(exported / "onnx" / file)
    )
    expected = encode(batch).pooled
    np.testing.assert_allclose(answer["pooled"], expected, atol=1e-3)
    np.testing.assert_allclose(answer["extracted"], expected, atol=1e-3)
