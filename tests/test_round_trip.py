"""From a checkpoint through the Hub into the hands of somebody who never installed this package."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from barcodemae.checkpoints.loading import save_checkpoint
from helpers.barred_imports import BARRED
from helpers.hub_server import HubServer, User
from modeling_barcodemae import BarcodeMAEForMaskedLM, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame

pytestmark = pytest.mark.slow

REPOSITORY = "org/BarcodeMAE"
TOKEN = "hf_" + "q7Lm2" * 7

EVERYTHING = """
import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

name, output, masked, *barcodes = sys.argv[1:]
found = {}
remote = {"trust_remote_code": True}
assert type(AutoConfig.from_pretrained(name, **remote)).__name__ == "BarcodeMAEConfig"

tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
batch = tokenizer(barcodes, padding=True, return_tensors="pt")
gap = tokenizer(masked, return_tensors="pt")
noise = torch.linspace(0, 1, batch["input_ids"].numel()).reshape(batch["input_ids"].shape)
found["input_ids"] = batch["input_ids"]

with torch.no_grad():
    model = AutoModel.from_pretrained(name, **remote)
    assert type(model).__name__ == "BarcodeMAEModel"
    found["model"] = model(**batch).last_hidden_state
    found["pooled"] = model(**batch).pooler_output
    found["pretraining"] = AutoModelForPreTraining.from_pretrained(name, **remote)(**batch, noise=noise).logits
    found["masked_lm"] = AutoModelForMaskedLM.from_pretrained(name, **remote)(**gap).logits
    classifier = AutoModelForSequenceClassification.from_pretrained(name, **remote)
    assert classifier(**batch).logits.shape == (len(barcodes), 2)
    found["classifier"] = classifier.base_model(**batch).last_hidden_state  # its head is new, and so random

    bert = AutoModel.from_pretrained(name, trust_remote_code=False)
    assert type(bert).__name__ == "BertModel"
    hidden = bert(**batch).last_hidden_state * batch["attention_mask"][..., None]
    found["bert"] = hidden.sum(1) / batch["attention_mask"].sum(1, keepdim=True)

for trust in (True, False):
    features = pipeline("feature-extraction", model=name, trust_remote_code=trust)
    found[f"features_{trust}"] = features(barcodes[0], return_tensors=True)
guesses = pipeline("fill-mask", model=name, **remote)(masked, top_k=5)
found["guessed_ids"], found["guesses"] = (np.array([guess[key] for guess in guesses]) for key in ("token", "score"))
np.savez(output, **found)
"""

SENTENCES = """
import numpy as np
from sentence_transformers import SentenceTransformer

name, output, *barcodes = sys.argv[1:]
np.save(output, SentenceTransformer(name, device="cpu").encode(barcodes))
"""

PINNED = """
import numpy as np
from transformers import AutoModel

name, output, *revisions = sys.argv[1:]
weights = {}
for revision in revisions:
    model = AutoModel.from_pretrained(name, revision=revision, trust_remote_code=True)
    weights[revision] = model.state_dict()["embeddings.word_embeddings.weight"]
np.savez(output, **weights)
"""

UNKNOWN = """
from transformers import AutoModel

AutoModel.from_pretrained(sys.argv[1], revision="never-made", trust_remote_code=True)
"""


@contextmanager
def running_hub():
    with HubServer() as server:
        server.users = {TOKEN: User("ada", ("org",))}
        yield server


def push(hub, home, checkpoint, *options):
    done = hub.run(home, "-m", "barcodemae", "push", checkpoint, REPOSITORY, *options, token=TOKEN)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[0].rsplit("/", 1)[1]


@pytest.fixture(scope="module")
def hub(checkpoint, tmp_path_factory):
    """A Hub to which the checkpoint was pushed."""
    with running_hub() as server:
        push(server, tmp_path_factory.mktemp("author"), checkpoint)
        yield server


def somebody_else(hub, home, script, *arguments):
    """Run a script with an empty HF_HOME, without a token, where our packages can't be imported."""
    file = home / "script.py"
    file.write_text(BARRED + script)
    return hub.run(home / "huggingface", file, *arguments)


@pytest.fixture(scope="module")
def barcodes(full_length_barcodes):
    return [full_length_barcodes[0], full_length_barcodes[1][:403]]


def test_every_class_and_pipeline_gives_the_local_numbers(hub, checkpoint, barcodes, tmp_path):
    masked = barcodes[0][:100] + "[MASK]" + barcodes[0][104:]
    done = somebody_else(hub, tmp_path, EVERYTHING, REPOSITORY, tmp_path / "found.npz", masked, *barcodes)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    batch = tokenizer(barcodes, padding=True, return_tensors="pt")
    gap = tokenizer(masked, return_tensors="pt")
    noise = torch.linspace(0, 1, batch["input_ids"].numel()).reshape(batch["input_ids"].shape)
    with torch.no_grad():
        encoded = BarcodeMAEModel.from_pretrained(checkpoint)(**batch)
        alone = BarcodeMAEModel.from_pretrained(checkpoint)(**tokenizer(barcodes[0], return_tensors="pt"))
        expected = {
            "input_ids": batch["input_ids"],
            "model": encoded.last_hidden_state,
            "pooled": encoded.pooler_output,
            "classifier": encoded.last_hidden_state,
            "bert": encoded.pooler_output,
            "features_True": alone.last_hidden_state,
            "features_False": alone.last_hidden_state,
            "pretraining": BarcodeMAEForPreTraining.from_pretrained(checkpoint)(**batch, noise=noise).logits,
            "masked_lm": BarcodeMAEForMaskedLM.from_pretrained(checkpoint)(**gap).logits,
        }
    (at_gap,) = expected["masked_lm"][gap["input_ids"] == tokenizer.mask_token_id]
    best = at_gap.softmax(-1).topk(5)
    expected |= {"guesses": best.values, "guessed_ids": best.indices}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.numpy(), rtol=0, atol=1e-6, err_msg=name)
    assert all("Authorization" not in call.headers for call in hub.calls if call.step == "resolve")


def test_sentence_transformers_gives_the_masked_mean(hub, checkpoint, barcodes, tmp_path):
    done = somebody_else(hub, tmp_path, SENTENCES, REPOSITORY, tmp_path / "found.npy", *barcodes)
    assert done.returncode == 0, done.stderr
    batch = AutoTokenizer.from_pretrained(checkpoint)(barcodes, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = BarcodeMAEModel.from_pretrained(checkpoint)(**batch).pooler_output
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected.numpy(), rtol=0, atol=1e-5)


def test_a_pinned_revision_stays_what_it_was(checkpoint, tmp_path):
    torch.manual_seed(8)
    config = BarcodeMAEForPreTraining.from_pretrained(checkpoint).config
    other = tmp_path / "other"
    save_checkpoint(other, BarcodeMAEForPreTraining(config), ReferenceFrame.coi())
    with running_hub() as hub:
        pushes = {
            push(hub, tmp_path, checkpoint): checkpoint,
            push(hub, tmp_path, other): other,
            push(hub, tmp_path, checkpoint, "--revision", "back"): checkpoint,
        }
        assert len(pushes) == 3
        expected = pushes | {"main": other, "back": checkpoint}
        done = somebody_else(hub, tmp_path, PINNED, REPOSITORY, tmp_path / "found.npz", *expected)
        assert done.returncode == 0, done.stderr
        unknown = somebody_else(hub, tmp_path, UNKNOWN, REPOSITORY)
    found = np.load(tmp_path / "found.npz")
    for revision, folder in expected.items():
        weights = load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
        np.testing.assert_array_equal(found[revision], weights.numpy())
    assert unknown.returncode == 1
    assert "never-made is not a valid git identifier" in unknown.stderr
