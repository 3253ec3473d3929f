"""Every way to load a checkpoint gives the embeddings of `BarcodeEmbedder`, or a clear error.

Kinds of checkpoints, where they lie, and how they were saved again are tried by each of the tools that people use, in
processes that can import none of our packages. The inputs are on either strand, begin anywhere, have primers, unknown
bases, or are no barcodes at all.
"""

import json

import numpy as np
import pytest
import torch

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from helpers.barred_imports import BARRED
from helpers.hub_server import HubServer, User
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForSequenceClassification
from tokenization_barcodemae import encode_barcodes, place_barcodes, reverse_complement

pytestmark = pytest.mark.slow

TOKEN = "hf_" + "q7Lm2" * 7
KINDS = ("untuned", "tuned", "classifier")
SAVED = ("saved", "trainer", "sentences")
RANKS = {"order": 2, "family": 3}

SAVE = """
import json
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments
)

home, classes = sys.argv[1], {"classifier": AutoModelForSequenceClassification, "tuned": AutoModel}
for kind in ("untuned", "tuned", "classifier"):
    name = f"{home}/{kind}"
    model = classes.get(kind, AutoModelForPreTraining).from_pretrained(name, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=True)
    model.save_pretrained(f"{name}-saved")
    tokenizer.save_pretrained(f"{name}-saved")
    arguments = TrainingArguments(f"{home}/run", report_to=[], use_cpu=True)
    Trainer(model, arguments, processing_class=tokenizer).save_model(f"{name}-trainer")
    SentenceTransformer(name, trust_remote_code=True, device="cpu").save(f"{name}-sentences")
    # The model with trust, and the tokenizer without, which reads from the first nucleotide.
    model.save_pretrained(f"{name}-plain")
    AutoTokenizer.from_pretrained(name).save_pretrained(f"{name}-plain")
"""

UPLOAD = """
import sys
from huggingface_hub import HfApi

home, *kinds = sys.argv[1:]
for kind in kinds:
    HfApi().create_repo(f"org/{kind}")
    HfApi().upload_folder(repo_id=f"org/{kind}", folder_path=f"{home}/{kind}")
"""

LOAD = """
import json
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoModelForSequenceClassification,
    AutoModelForTokenClassification, AutoTokenizer, DataCollatorWithPadding, pipeline
)

output, barcodes, masked, names = sys.argv[1], *map(json.loads, sys.argv[2:])
remote = {"trust_remote_code": True}
found = {}

def embed(model, batch):
    with torch.no_grad():
        return model(**batch).pooler_output

for key, (kind, name) in names.items():
    model, tokenizer = (auto.from_pretrained(name, **remote) for auto in (AutoModel, AutoTokenizer))
    found[f"{key} auto"] = embed(model, tokenizer(barcodes, padding=True, return_tensors="pt"))
    rows = [tokenizer(barcode) for barcode in barcodes]
    found[f"{key} collator"] = embed(model, DataCollatorWithPadding(tokenizer)(rows))
    left = AutoTokenizer.from_pretrained(name, padding_side="left", **remote)
    found[f"{key} left"] = embed(model, left(barcodes, padding=True, return_tensors="pt"))
    found[f"{key} left collator"] = embed(model, DataCollatorWithPadding(left)(rows))
    heads = (AutoModelForPreTraining, AutoModelForMaskedLM, AutoModelForSequenceClassification,
             AutoModelForTokenClassification)
    for head in heads:
        loaded = head.from_pretrained(name, **remote)
        batch = tokenizer(barcodes, padding=True, return_tensors="pt")
        found[f"{key} {head.__name__}"] = embed(loaded.base_model, batch)
    found[f"{key} sentences"] = SentenceTransformer(name, device="cpu", **remote).encode(barcodes)
    features = pipeline("feature-extraction", model=name, **remote)(barcodes, batch_size=3, return_tensors=True)
    found[f"{key} features"] = torch.stack([tokens[0].mean(0) for tokens in features])
    if "sentences" in name:  # sentence-transformers saves the encoder only
        continue
    if kind == "classifier":
        for size in (1, 4):
            guesses = pipeline("text-classification", model=name, **remote)(barcodes, top_k=None, batch_size=size)
            found[f"{key} probabilities {size}"] = np.array(
                [[one["score"] for one in sorted(labels, key=lambda one: one["label"])] for labels in guesses]
            )
    if kind == "untuned":
        fill = pipeline("fill-mask", model=name, **remote)
        for i, text in enumerate(masked):
            guesses = fill(text, top_k=4)
            guesses = guesses if isinstance(guesses[0], dict) else guesses[0]
            found[f"{key} fill {i}"] = np.array([[guess["token"], guess["score"]] for guess in guesses])
np.savez(output, **found)
"""

WITHOUT_TRUST = """
import json
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, pipeline
)

output, barcode, names = sys.argv[1], *map(json.loads, sys.argv[2:])
found, refusals = {}, {}

def record(key, load):
    try:
        loaded = load()
    except Exception as error:
        refusals[key] = str(error)
    else:
        refusals[key] = f"loaded {type(loaded).__name__}"

for key, (kind, name) in names.items():
    tokenizer = AutoTokenizer.from_pretrained(name)
    assert type(tokenizer).__name__ == "TokenizersBackend"
    if kind == "untuned":
        bert = AutoModel.from_pretrained(name)
        assert type(bert).__name__ == "BertModel"
        with torch.no_grad():
            found[f"{key} bert"] = bert(**tokenizer([barcode], return_tensors="pt")).last_hidden_state.mean(1)
        found[f"{key} sentences"] = SentenceTransformer(name, device="cpu").encode([barcode])
        features = pipeline("feature-extraction", model=name)(barcode, return_tensors=True)
        found[f"{key} features"] = features[0].mean(0, keepdims=True)
        continue
    for trust in ({}, {"trust_remote_code": False}):
        said = f"{key} {trust}"
        for auto in (AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification):
            record(f"{said} {auto.__name__}", lambda: auto.from_pretrained(name, **trust))
        record(f"{said} sentences", lambda: SentenceTransformer(name, device="cpu", **trust))
        for task in ("feature-extraction", "text-classification", "token-classification"):
            record(f"{said} {task}", lambda: pipeline(task, model=name, **trust))
np.savez(output, **found)
print()  # ends the line of a prompt
print(json.dumps(refusals))
"""


@pytest.fixture(scope="module")
def barcodes(full_length_barcodes):
    first, second, *others = full_length_barcodes[:8]
    return [
        first,
        reverse_complement(second),
        "GGTCAACAAATCATAAAGATATTGG" + others[0][:400],
        others[1][100:403],
        others[2][:200] + "N" * 132 + others[2][332:],
        reverse_complement("nn--" + others[3][:640].lower()),
        others[4][301:420] + "NNNNNNN" + others[4][427:500],
        "ACGT" * 40,
    ]


@pytest.fixture(scope="module")
def masked(full_length_barcodes):
    """A barcode with 4 masked nucleotides, which are one token, on either strand."""
    barcode = full_length_barcodes[0]
    before, behind = barcode[:100], barcode[104:]
    return [f"{before}[MASK]{behind}", f"{reverse_complement(behind)}[MASK]{reverse_complement(before)}"]


@pytest.fixture(scope="module")
def home(checkpoint, tuned_checkpoint, tmp_path_factory):
    """The kinds of checkpoints as the package saves them, and as other libraries save them again."""
    folder = tmp_path_factory.mktemp("home")
    frame = load_checkpoint(checkpoint).frame
    for kind, origin in (("untuned", checkpoint), ("tuned", tuned_checkpoint)):
        (folder / kind).symlink_to(origin)
    torch.manual_seed(9)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    labels = {i: f"{i}" for i in range(5)}
    config = BarcodeMAEConfig(k=4, label_ranks=RANKS, id2label=labels, **size)
    classifier = BarcodeMAEForSequenceClassification(config)
    torch.nn.init.normal_(classifier.classifier.weight, std=3)
    save_checkpoint(folder / "classifier", classifier, frame)
    run(folder, SAVE, folder)
    return folder


@pytest.fixture(scope="module")
def hub(home):
    with HubServer() as server:
        server.users = {TOKEN: User("ada", ("org",))}
        done = server.run(home / "author", "-c", UPLOAD, home, *KINDS, token=TOKEN)
        assert done.returncode == 0, done.stderr
        yield server


def run(home, script, *arguments):
    """Run a script without our packages, and with an empty Hub."""
    with HubServer() as empty:
        return finish(empty, home, script, *arguments)


def finish(server, home, script, *arguments):
    file = home / "script.py"
    file.write_text(BARRED + script)
    done = server.run(home / "huggingface", file, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def folders(home, kinds=KINDS, saved=("", *SAVED)):
    return {f"{kind} {how}": (kind, str(home / (f"{kind}-{how}" if how else kind))) for kind in kinds for how in saved}


def local_probabilities(folder, barcodes):
    """Probabilities by our own classes, tokens and placement."""
    loaded = load_checkpoint(folder)
    model = BarcodeMAEForSequenceClassification.from_pretrained(folder).eval()
    encoding = encode_barcodes(loaded.encoder, place_barcodes(barcodes, loaded.frame, loaded.encoder.k), None)
    with torch.no_grad():
        pooled = model.bert(**{name: torch.from_numpy(values) for name, values in encoding.items()}).pooler_output
        scores = model.classifier(pooled)
    return torch.cat([logits.softmax(1) for logits in scores.split(list(RANKS.values()), 1)], 1).numpy()


def check(home, found, barcodes):
    """Compare the embeddings of `LOAD` with those of `BarcodeEmbedder` for the original checkpoints."""
    expected = {kind: BarcodeEmbedder.from_pretrained(home / kind).encode(barcodes) for kind in KINDS}
    fills = [values for key, values in found.items() if " fill " in key]
    for key, values in found.items():
        if " fill " in key:
            np.testing.assert_allclose(values, fills[0], atol=1e-5, err_msg=key)
        elif " probabilities " in key:
            probabilities = local_probabilities(home / "classifier", barcodes)
            np.testing.assert_allclose(values, probabilities, atol=1e-5, err_msg=key)
            np.testing.assert_allclose(values[:, :2].sum(1), 1, atol=1e-5)
            assert np.ptp(values, axis=0).max() > 0.1
        else:
            np.testing.assert_allclose(values, expected[key.split()[0]], atol=1e-5, err_msg=key)


def test_folders_saved_by_the_package_and_by_others(home, barcodes, masked):
    run(home, LOAD, home / "found.npz", json.dumps(barcodes), json.dumps(masked), json.dumps(folders(home)))
    found = dict(np.load(home / "found.npz"))
    assert len({key.rsplit(" ", 1)[0] for key in found if key.endswith("auto")}) == 12
    check(home, found, barcodes)


def test_repositories_of_the_hub(home, hub, barcodes, masked):
    names = {kind: (kind, f"org/{kind}") for kind in KINDS}
    finish(hub, home, LOAD, home / "found.npz", json.dumps(barcodes), json.dumps(masked), json.dumps(names))
    check(home, dict(np.load(home / "found.npz")), barcodes)


def test_package_reads_folders_saved_by_others(home, barcodes):
    for kind in KINDS:
        expected = BarcodeEmbedder.from_pretrained(home / kind).encode(barcodes)
        for how in (*SAVED, "plain"):
            found = BarcodeEmbedder.from_pretrained(home / f"{kind}-{how}").encode(barcodes)
            np.testing.assert_array_equal(found, expected)


def test_tokenizer_saved_without_trust_reads_from_the_first_nucleotide(home, barcodes):
    """So a model that was fine-tuned without the frame is used without it, also with trust."""
    script = """
from transformers import AutoTokenizer
for kind in ("untuned", "tuned", "classifier"):
    plain, trusted = (AutoTokenizer.from_pretrained(f"{sys.argv[1]}/{kind}-plain", trust_remote_code=trust)
                      for trust in (False, True))
    assert type(trusted).__name__ == "BarcodeTokenizer"
    assert dict(trusted(sys.argv[2:])) == dict(plain(sys.argv[2:]))
"""
    run(home, script, home, *barcodes)


@pytest.mark.parametrize("source", ["folder", "hub"])
def test_loading_without_trust(home, hub, source, full_length_barcodes):
    if source == "folder":
        names, server = folders(home), hub
    else:
        names, server = {kind: (kind, f"org/{kind}") for kind in KINDS}, hub
    barcode = full_length_barcodes[0]
    output = finish(server, home, WITHOUT_TRUST, home / "found.npz", json.dumps(barcode), json.dumps(names))
    expected = BarcodeEmbedder.from_pretrained(home / "untuned").encode([barcode])
    found = dict(np.load(home / "found.npz"))
    assert len(found) == 3 * sum(kind == "untuned" for kind, _ in names.values())
    for key, values in found.items():
        np.testing.assert_allclose(values, expected, atol=1e-5, err_msg=key)
    refusals = json.loads(output.splitlines()[-1])
    assert len(refusals) == 14 * sum(kind != "untuned" for kind, _ in names.values())
    for key, message in refusals.items():
        assert "trust_remote_code=True" in message, (key, message)
