"""The model card: all its values come from the checkpoint's files, and its snippets run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from transformers import AutoTokenizer

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints import DEFAULT, shipped_folder
from barcodemae.checkpoints.files import weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.data import sample_path
from barcodemae.errors import CheckpointError
from barcodemae.hub.card import render_card
from barcodemae.hub.card_facts import format_duration
from barcodemae.hub.handler import EndpointHandler
from barcodemae.hub.onnx import export_onnx
from helpers.barred_imports import BARRED
from helpers.hub_server import HubServer, User
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel

ROOT = Path(__file__).parent.parent
REPOSITORY = "org/BarcodeMAE"
TOKEN = "hf_" + "q7Lm2" * 7

TRAINING = {
    "settings": {
        "mask_ratio": 0.5,
        "train_splits": ["pretrain", "train"],
        "val_split": "val",
        "unaligned_share": 0.25,
        "min_nucleotides": 100,
        "max_unknown_share": 0.5,
        "seed": 0,
        "epochs": 2.5,
        "learning_rate": 0.0004,
        "schedule": "one-cycle",
    },
    "data": [{"name": "coi.parquet", "sha256": "c0ffee"}, {"name": "hub:org/barcodes", "sha256": None}],
    "records": {"training": 12345, "validation": 678, "fingerprint": "f"},
    "records_per_step": 36,
    "processes": 1,
    "mixed_precision": "bf16",
    "machine": "some processor, 2 cores",
    "versions": {"python": "3.12.1"},
    "date": "2025-01-01T00:00:00+00:00",
}
# 100 steps of 36 barcodes at 1 a second are an hour, and at 2 a second half of one.
LOG = [
    {"step": 100, "epoch": 0.5, "loss": 3.0, "barcodes_per_second": 1.0},
    {"step": 100, "epoch": 0.5, "val_loss": 2.5, "val_accuracy": 0.25},
    {"step": 200, "epoch": 1.0, "loss": 2.0, "barcodes_per_second": 2.0},
    {"step": 200, "epoch": 1.0, "val_loss": 1.5, "val_accuracy": 0.375},
]


def scores(genus, species=None, ami=None):
    found = {
        "knn": {
            "n_queries": 2000,
            "n_answerable": 1800,
            "genus_accuracy": genus,
            "genus_accuracy_interval": [genus - 0.125, genus + 0.125],
            "genus_accuracy_by_species": genus,
        },
        "harmonic_mean": None,
    }
    if species is not None:
        found["linear_probe"] = {"species_accuracy": species, "species_accuracy_interval": [0.9, 1.0]}
    if ami is not None:
        found |= {"clustering": {"bin_ami": ami}, "harmonic_mean": 2 * genus * ami / (genus + ami)}
    return found


def write_results(folder, name="evaluation", **changes):
    results = scores(0.625, 0.975, 0.75) | {
        "baselines": {"untrained": scores(0.65, ami=0.5), "kmer_4": scores(0.5), "frame_lda": scores(0.875, 0.975)},
        "splits": {"train": 9000, "test": 500, "test_unseen": 2000},
        "provenance": {
            "model": "ours",
            "weights_sha256": weights_sha256(folder),
            "data": [{"name": "coi.parquet", "sha256": "c0ffee"}],
            "date": "2025-01-02T00:00:00+00:00",
        },
    }
    file = folder / name / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(results | changes))
    return results


def write_training(folder, **changes):
    (folder / "training.json").write_text(json.dumps(TRAINING | changes))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))


def write_onnx(folder, weights=None):
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(bytes(3 * 2**19))
    described = {
        "weights_sha256": weights or weights_sha256(folder),
        "parity": {"barcodes": 256, "quantized_equal_neighbours": 0.996},
    }
    (folder / "onnx" / "export.json").write_text(json.dumps(described))


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A checkpoint without records of training or evaluation."""
    return shutil.copytree(checkpoint, tmp_path / "checkpoint")


@pytest.fixture
def encoder(checkpoint, tmp_path):
    """An encoder only, without a frame, as conversion writes it."""
    save_checkpoint(tmp_path / "encoder", BarcodeMAEModel.from_pretrained(checkpoint), None)
    return tmp_path / "encoder"


def section(card, title):
    return card.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_metadata(folder):
    write_training(folder)
    write_onnx(folder)
    data = ModelCard(render_card(folder, REPOSITORY)).data
    assert (data.pipeline_tag, data.library_name, data.license) == ("feature-extraction", "transformers", "apache-2.0")
    assert data.datasets == ["org/barcodes"]
    assert data.metrics is None
    assert {"biology", "dna", "dna-barcode", "COI", "biodiversity", "sentence-transformers", "onnx"} <= set(data.tags)
    sample = set(pq.read_table(sample_path())["nucleotides"].to_pylist())
    assert len(data.widget) == 2
    assert {example["text"] for example in data.widget} <= sample
    assert data.eval_results is None


def test_model_index_has_the_numbers_of_the_files(folder):
    results = write_results(folder, "evaluation/test_unseen")
    data = ModelCard(render_card(folder, REPOSITORY)).data
    index = data.eval_results
    assert data.metrics == ["accuracy", "adjusted_mutual_information", "harmonic_mean"]
    assert [(one.metric_type, one.dataset_split, one.metric_value) for one in index] == [
        ("accuracy", "test_unseen", 0.625),
        ("accuracy", "test", 0.975),
        ("adjusted_mutual_information", "test+test_unseen", 0.75),
        ("harmonic_mean", "test+test_unseen", results["harmonic_mean"]),
    ]
    assert [one.metric_name for one in index] == [
        "Genus of unseen species, nearest neighbour (95 % interval 0.500-0.750, over species)",
        "Species, linear probe (95 % interval 0.900-1.000, over species)",
        "BINs, clustering",
        "Genus of unseen species and BINs, harmonic mean",
    ]
    for one in index:
        assert (one.dataset_name, one.dataset_revision) == ("coi.parquet", "c0ffee")
        assert one.source_url == f"https://huggingface.co/{REPOSITORY}/blob/main/evaluation/test_unseen/results.json"


def test_results_are_compared_with_baselines(folder):
    write_results(folder)
    results = section(render_card(folder, REPOSITORY), "Results")
    assert "9,000 `train`, 500 `test`, 2,000 `test_unseen` of `coi.parquet`" in results
    assert "Of 2,000 barcodes of unseen species, 1,800 have a genus" in results
    assert re.search(r"\| ours +\| 62\.5 \(50\.0-75\.0\) +\|", results)
    assert re.search(r"\| frame SVD \+ LDA +\| 87\.5 \(75\.0-100\.0\) +\|", results)
    genus, species, bins = re.findall(r"^- (.*)$", results, re.MULTILINE)
    assert genus.endswith(
        "this model 62.5 %; **as good or better are** frame SVD + LDA (87.5 %), untrained (65.0 %); worse are "
        "4-mer counts (50.0 %). **By this measure pretraining did not help.**"
    )
    assert species.endswith("this model 97.5 %; **as good or better are** frame SVD + LDA (97.5 %).")
    assert bins.endswith("this model 75.0 %; worse are untrained (50.0 %).")


def test_results_without_baselines(folder):
    write_results(folder, baselines={})
    assert "this model 62.5 %; no baseline was run." in section(render_card(folder, REPOSITORY), "Results")


def test_every_evaluation_is_described(folder):
    write_results(folder, "evaluation/one", splits={"train": 1, "test": 2, "test_unseen": 3})
    write_results(folder, "evaluation/two", splits={"train": 1, "val": 2, "val_unseen": 3})
    card = render_card(folder, REPOSITORY)
    assert "`evaluation/one/results.json`" in card
    assert "`evaluation/two/results.json`" in card
    splits = [one.dataset_split for one in ModelCard(card).data.eval_results]
    assert splits.count("test_unseen") == splits.count("val_unseen") == 1


def test_training_is_described(folder):
    write_training(folder)
    training = section(render_card(folder, REPOSITORY), "Training")
    assert "12,345 barcodes of `coi.parquet`, `org/barcodes`, splits `pretrain`, `train`; 678 of `val`" in training
    reconstructed = "50 % of the 4-mers were masked; the masked ones were reconstructed from the tokens that were left."
    assert f"{reconstructed} 25 % of the barcodes were read from a random offset" in training
    assert "2.5 epochs (200 steps of 36 barcodes)" in training
    assert "peak learning rate 0.0004" in training
    assert "The steps took 1.5 hours on some processor, 2 cores (2025-01-01; python 3.12.1)." in training
    assert "| 100 | 0.50 | 2.500 | 25.0 % |\n| 200 | 1.00 | 1.500 | 37.5 % |" in training
    assert "`coi.parquet`: SHA-256 `c0ffee`" in training


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3599, "60 minutes"),
        (3600, "1.0 hours"),
        (9e4, "25.0 hours"),
    ],
)
def test_durations_in_words(seconds, words):
    assert format_duration(seconds) == words


def test_short_run(folder):
    write_training(folder)
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 2, "epoch": 0.5, "barcodes_per_second": 1.0}) + "\n")
    assert "The steps took 72 seconds on" in section(render_card(folder, REPOSITORY), "Training")


def test_training_on_the_sample_names_it(folder):
    """Without --data, training reads the sample."""
    write_training(folder, data=[])
    card = render_card(folder, REPOSITORY)
    assert "12,345 barcodes of the sample that comes with `barcodemae`, splits `pretrain`" in card
    assert ModelCard(card).data.datasets is None


def test_stages_are_described_with_their_data(folder):
    first = TRAINING | {"data": [{"name": "hub:org/first", "sha256": "0"}], "init_from": None}
    first["settings"] = TRAINING["settings"] | {"token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0}
    start = {"name": "first", "weights_sha256": "0", "training": first}
    pooled = {"token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0, "near_cluster_share": 0.7}
    write_training(folder, init_from=start, settings=TRAINING["settings"] | pooled)
    card = render_card(folder, "org/name")
    text = section(card, "Training")
    assert text.index("First: ") < text.index("`org/first`") < text.index("Then, from these weights: ")
    assert "; all bases were reconstructed from the pooled vector alone (" in text
    assert (
        "from the pooled vector alone, for 70 % of the barcodes those of a barcode of a neighbouring cluster." in text
    )
    assert "accuracy of bases" in text
    assert "org/first" in ModelCard(card).data.datasets
    write_training(folder, init_from=start, settings=TRAINING["settings"] | pooled | {"pooled_target": "kmers"})
    text = section(render_card(folder, "org/name"), "Training")
    assert "the numbers of all k-mers were reconstructed from the pooled vector alone" in text
    assert f"accuracy of {BarcodeMAEConfig.from_pretrained(folder).k}-mers" in text


def test_auxiliary_objective_is_described(folder):
    write_training(folder)
    assert "auxiliary" not in render_card(folder, REPOSITORY)
    write_training(folder, settings=TRAINING["settings"] | {"auxiliary": "triplet", "auxiliary_rank": "genus"})
    training = section(render_card(folder, REPOSITORY), "Training")
    assert "An auxiliary objective, triplet, read names at the rank genus." in training


class TestIntendedUse:
    def first(self, folder):
        return render_card(folder, REPOSITORY).partition("\n# BarcodeMAE\n")[2].strip().partition("\n\n")[0]

    def test_unevaluated_model_is_a_starting_point(self, folder, encoder):
        assert self.first(folder).startswith("**Use it as** a starting point for fine-tuning on COI-5P barcodes")
        assert "It was not evaluated as it is" in self.first(folder)
        assert "**Do not use it for** markers other than COI-5P" in self.first(folder)
        assert "fine-tuning on DNA barcodes" in self.first(encoder)
        assert "another marker or region than it was trained on" in self.first(encoder)

    def test_use_depends_on_the_results(self, folder, tmp_path):
        better = {"untrained": scores(0.5), "kmer_4": scores(0.6)}
        ahead = shutil.copytree(folder, tmp_path / "ahead")
        write_results(folder)
        assert "simpler methods are better: see Results" in self.first(folder)
        write_results(ahead, baselines=better)
        assert self.first(ahead).startswith("**Use it for** embeddings of COI-5P barcodes, as it is or fine-tuned")
        write_results(ahead, "evaluation/other")
        assert self.first(ahead).startswith("**Use it as** a starting point")

    def test_tuned_model(self):
        card = render_card(shipped_folder(DEFAULT), REPOSITORY)
        assert "\n# BarcodeMAE\n\n**Use it for** embeddings of COI-5P barcodes in which" in card
        assert "the mean over its" not in card
        assert "trust_remote_code=False" not in card
        assert "--model org/BarcodeMAE\n" in card


def test_existing_plot_is_shown(folder):
    write_results(folder, "evaluation/one")
    assert "![" not in render_card(folder, REPOSITORY)
    (folder / "evaluation" / "one" / "accuracy.png").write_bytes(b"plot")
    assert re.findall(r"!\[.*\]\((.*)\)", render_card(folder, REPOSITORY)) == ["evaluation/one/accuracy.png"]


@pytest.mark.slow
def test_commands_of_the_card_run(folder, sample, tmp_path, monkeypatch):
    """Those of a tuned model, and those of one that is not, which use the network."""
    monkeypatch.chdir(tmp_path)
    for name, split in (("references.fasta", "train"), ("queries.fasta", "test")):
        rows = sample.filter(pc.equal(sample["split"], split)).slice(0, 200).to_pylist()
        headers = [f">{row['id']};tax=g:{row['genus']},s:{row['species']}" for row in rows]
        texts = (f"{header}\n{row['nucleotides']}\n" for header, row in zip(headers, rows, strict=True))
        Path(name).write_text("".join(texts))
    for model in (shipped_folder(DEFAULT), folder):
        (code,) = re.findall(r"```console\n(.*?)```", render_card(model, REPOSITORY), re.DOTALL)
        for line in code.replace(REPOSITORY, str(model)).splitlines()[1:]:
            command, *arguments = shlex.split(line)
            assert command == "barcodemae"
            done = subprocess.run(
                [sys.executable, "-m", "barcodemae", *arguments], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        assert len(Path("names.tsv").read_text().splitlines()) == 201
        shutil.rmtree("library")


def test_long_curve_is_shortened_to_six_rows_with_the_last(folder):
    write_training(folder)
    lines = [{"step": i, "epoch": i / 10, "val_loss": 1.0, "val_accuracy": 0.5} for i in range(1, 42)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    training = section(render_card(folder, REPOSITORY), "Training")
    assert [int(step) for step in re.findall(r"^\| (\d+) \|", training, re.MULTILINE)] == [1, 9, 17, 25, 33, 41]


def test_card_without_records_has_no_numbers(encoder):
    card = render_card(encoder, REPOSITORY)
    for title in ("Training", "Results"):
        assert not re.search(r"\d", section(card, title))
    assert "This repository has no record of the training" in card
    assert "This checkpoint was not evaluated." in card
    data = ModelCard(card).data
    assert (data.license, data.datasets, data.eval_results) == (None, None, None)
    assert not {"COI", "onnx"} & set(data.tags)
    for snippet in ("fill-mask", "BarcodeEmbedder", "onnxruntime"):
        assert snippet not in card


def test_encoder_is_described_by_its_files(encoder):
    weights = sum(weight.numel() for weight in load_checkpoint(encoder).model.parameters())
    assert f"| encoder | 2 layers of 32, 2 heads, {weights:,} weights |" in render_card(encoder, REPOSITORY)


def test_cls_token_is_described(tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    save_checkpoint(tmp_path, BarcodeMAEModel(BarcodeMAEConfig(k=4, pooling="cls", **size)), None)
    card = render_card(tmp_path, REPOSITORY)
    assert "and the output at a token `[CLS]` before them is the embedding" in card
    assert "the mean over its" not in card
    assert "trust_remote_code=False" not in card


def test_results_of_other_weights_are_refused(folder, encoder):
    provenance = write_results(encoder)["provenance"]
    write_results(folder, "evaluation/old", provenance=provenance)
    with pytest.raises(CheckpointError, match=r"evaluation/old/results\.json: made from other weights"):
        render_card(folder, REPOSITORY)


def test_onnx_files_of_other_weights_are_refused(folder):
    write_onnx(folder, weights="0" * 64)
    with pytest.raises(CheckpointError, match=r"onnx/export\.json: made from other weights"):
        render_card(folder, REPOSITORY)


def without(mapping, *path):
    *parents, name = path
    changed = json.loads(json.dumps(mapping))
    inner = changed
    for key in parents:
        inner = inner[key]
    del inner[name]
    return changed


@pytest.mark.parametrize(
    "path",
    [
        ("records", "training"),
        ("records_per_step",),
        ("settings", "mask_ratio"),
        ("settings", "min_nucleotides"),
        ("machine",),
    ],
)
def test_missing_training_value_is_an_error(path, folder):
    write_training(folder)
    (folder / "training.json").write_text(json.dumps(without(TRAINING, *path)))
    with pytest.raises(CheckpointError, match=path[-1]):
        render_card(folder, REPOSITORY)


def test_null_is_an_error(folder):
    write_training(folder, mixed_precision=None)
    with pytest.raises(CheckpointError, match="a value is null"):
        render_card(folder, REPOSITORY)


@pytest.mark.parametrize(
    "path", [("knn", "n_answerable"), ("knn", "genus_accuracy_interval"), ("splits",), ("baselines",)]
)
def test_missing_result_is_an_error(path, folder):
    results = write_results(folder)
    (folder / "evaluation" / "results.json").write_text(json.dumps(without(results, *path)))
    with pytest.raises(CheckpointError):
        render_card(folder, REPOSITORY)


@pytest.mark.parametrize("name", ["training.json", "metrics.jsonl", "config.json", "evaluation/results.json"])
def test_broken_file_is_named(name, folder):
    write_training(folder)
    write_results(folder)
    (folder / name).write_text("{")
    with pytest.raises(CheckpointError, match=re.escape(name)):
        render_card(folder, REPOSITORY)


def test_citation_is_that_of_the_repository():
    citation = (ROOT / "CITATION.cff").read_text().partition("preferred-citation:")[2]
    template = (ROOT / "model_cards" / "template.md").read_text()
    assert re.search(r"title: (.*)", citation)[1] in template
    assert re.search(r"url: (.*)", citation)[1] in template
    for name in re.findall(r"family-names: (.*)", citation):
        assert name in template


CHECKS = """
import torch

with torch.no_grad():
    pinned = model(**batch).pooler_output
for other in (pinned, plain_embeddings, torch.tensor(sentence_embeddings), torch.tensor(onnx_embeddings)):
    assert torch.allclose(embeddings, other, atol=1e-4)
assert len(commit) == 40 and len(guesses) == 3
torch.save(embeddings.detach(), "embeddings.pt")
"""


@pytest.fixture(scope="module")
def hub(checkpoint, tmp_path_factory):
    """A Hub with a checkpoint, its ONNX files and its card, and the folder of the checkpoint."""
    folder = shutil.copytree(checkpoint, tmp_path_factory.mktemp("card") / "checkpoint")
    export_onnx(folder, folder)
    (folder / "README.md").write_text(render_card(folder, REPOSITORY))
    with HubServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        server.users = {TOKEN: User("ada", ("org",))}
        api = HfApi(endpoint=server.url, token=TOKEN)
        api.create_repo(REPOSITORY)
        api.upload_folder(repo_id=REPOSITORY, folder_path=folder)
        yield server, folder


def snippets(folder, language):
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


@pytest.mark.slow
def test_python_snippets_run_without_the_packages(hub, tmp_path):
    server, folder = hub
    ours = [code for code in snippets(folder, "python") if "from barcodemae" not in code]
    assert len(ours) == 6
    script = tmp_path / "snippets.py"
    script.write_text("\n".join([BARRED, *ours, CHECKS]).replace('"embeddings.pt"', f'r"{tmp_path}/embeddings.pt"'))
    done = server.run(tmp_path / "home", script)
    assert done.returncode == 0, done.stderr

    barcodes = re.findall(r'^    "([ACGT]+)",', snippets(folder, "python")[0], re.MULTILINE)
    batch = AutoTokenizer.from_pretrained(folder)(barcodes, padding=True, return_tensors="pt")
    expected = load_checkpoint(folder).model(**batch).pooler_output
    torch.testing.assert_close(torch.load(tmp_path / "embeddings.pt"), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_snippet_of_the_package_runs(hub, tmp_path):
    server, folder = hub
    first, *others = snippets(folder, "python")
    (embedder,) = [code for code in others if "from barcodemae" in code]
    barcodes = first[first.index("barcodes = [") : first.index("]") + 1]
    script = tmp_path / "snippets.py"
    script.write_text(
        f"{barcodes}\n{embedder}\nimport numpy\nnumpy.save(r'{tmp_path}/placed.npy', placed_embeddings)\n"
    )
    done = server.run(tmp_path / "home", script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "placed.npy").is_file()


class Endpoint(BaseHTTPRequestHandler):
    """Stores the request."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.request = (self.headers["Authorization"], json.loads(body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *args):
        pass


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the snippet calls curl")
def test_request_of_the_snippet_is_what_the_handler_reads(folder, monkeypatch):
    (folder / "README.md").write_text(render_card(folder, REPOSITORY))
    (code,) = snippets(folder, "bash")
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        authorization, request = server.request
    assert authorization == f"Bearer {TOKEN}"
    (embedding,) = EndpointHandler(str(folder))(request)
    embedder = BarcodeEmbedder.from_pretrained(folder, dtype=torch.float32)
    (expected,) = embedder.encode(request["inputs"], normalize_embeddings=True)
    assert embedding == pytest.approx(expected.tolist(), abs=1e-5)
