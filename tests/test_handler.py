"""The Inference Endpoints handler: behind an HTTP server in a process without our packages, and its errors."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from transformers import pipeline

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.hub.handler import EndpointHandler
from barcodemae.hub.publication import assemble
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForMaskedLM, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import reverse_complement

# Loads the handler as the toolkit of Inference Endpoints does (huggingface-inference-toolkit 0.5.6, utils.py and
# webservice_starlette.py), except that it does not change sys.path, and sends responses as the toolkit does.
SERVER = """
import importlib.util
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

OURS = ("modeling_barcodemae", "tokenization_barcodemae", "barcodemae")
FOLDER = sys.argv[1]

class Barred:
    def find_spec(self, name, path=None, target=None):
        installed = path is None and FOLDER not in sys.path
        if name.split(".")[0] in OURS and installed or name.split(".")[0] == "barcodemae":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Barred())
spec = importlib.util.spec_from_file_location("handler.EndpointHandler", FOLDER + "/handler.py")
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
serve = module.EndpointHandler(FOLDER)
assert sys.modules["tokenization_barcodemae"].__file__.startswith(FOLDER)

class Responses(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, result = 200, serve(json.loads(body))
        except Exception as error:
            status, result = 400, {"error": str(error)}
        content = json.dumps(result, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Responses)
print(server.server_port, flush=True)
server.serve_forever()
"""


def as_repository(checkpoint, folder):
    """The checkpoint with its code and handler, as in a repository on the Hub."""
    folder.mkdir()
    assemble(checkpoint, "org/BarcodeMAE", folder)
    return folder


@pytest.fixture(scope="module")
def post(checkpoint, tmp_path_factory):
    """Sends a request over HTTP; returns status and content of the response."""
    home = tmp_path_factory.mktemp("endpoint")
    folder = as_repository(checkpoint, home / "repository")
    (home / "serve.py").write_text(SERVER)
    process = subprocess.Popen(
        [sys.executable, str(home / "serve.py"), str(folder)],
        cwd=home,
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    port = process.stdout.readline().strip()
    assert port, "the server did not start"

    def send(body):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    yield send
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def handler(checkpoint):
    return EndpointHandler(str(checkpoint))


@pytest.fixture(scope="module")
def embedder(checkpoint):
    return BarcodeEmbedder.from_pretrained(checkpoint, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def barcodes(full_length_barcodes):
    """Barcodes of many lengths, more than a batch, not sorted by length."""
    return [barcode[: 658 - 13 * (7 * row % 40)] for row, barcode in enumerate(full_length_barcodes[:40])]


@pytest.mark.slow
def test_embeddings_over_http_equal_those_of_the_embedder(post, embedder, barcodes):
    status, result = post({"inputs": barcodes})
    assert status == 200
    np.testing.assert_allclose(result, embedder.encode(barcodes), atol=1e-5)
    status, result = post({"inputs": barcodes[1], "parameters": {"normalize": True}})
    assert status == 200
    np.testing.assert_allclose(result, embedder.encode([barcodes[1]], normalize_embeddings=True), atol=1e-5)


@pytest.mark.slow
def test_fasta_over_http_returns_its_ids(post, embedder, barcodes):
    wrapped = "\r\n".join([barcodes[0][:300], barcodes[0][300:]])
    status, result = post({"inputs": f"\n>first some words\r\n{wrapped}\n\n>second\n{barcodes[1].lower()}"})
    assert status == 200
    assert [record["id"] for record in result] == ["first", "second"]
    got = [record["embedding"] for record in result]
    np.testing.assert_allclose(got, embedder.encode(barcodes[:2]), atol=1e-5)


@pytest.mark.slow
def test_gaps_are_filled_over_http(post, barcodes):
    status, (result,) = post(
        {"inputs": barcodes[0][:40] + "[MASK]" + barcodes[0][44:], "parameters": {"task": "fill-mask", "top_k": 3}}
    )
    assert status == 200
    assert (result["id"], result["strand"], [gap["start"] for gap in result["gaps"]]) == ("0", 1, [40])
    assert len(result["gaps"][0]["guesses"]) == 3


@pytest.mark.slow
def test_bad_input_over_http_is_status_400_with_a_message(post, barcodes):
    for body, message in [
        ({"inputs": 5}, "inputs: expected a sequence, a list of them, or FASTA, got int"),
        ({"inputs": ["ACGTACGT", "NNNNNNNN"]}, "sequence 1: expected a known 4-mer, got none"),
        ([], 'expected a request {"inputs": ..., "parameters": {...}}, got no "inputs"'),
    ]:
        assert post(body) == (400, {"error": message})
    assert post({"inputs": barcodes[0]})[0] == 200


def test_all_spellings_of_a_barcode_have_the_same_embedding(handler, barcodes):
    barcode = barcodes[0]
    spellings = [
        barcode,
        barcode.lower(),
        barcode.replace("T", "U"),
        barcode[:100] + "--- \n" + barcode[100:],
        reverse_complement(barcode),
    ]
    embeddings = np.array(handler({"inputs": spellings}))
    np.testing.assert_allclose(embeddings, np.tile(embeddings[0], (len(spellings), 1)), atol=1e-5)


def test_sequences_are_read_from_their_first_nucleotide_without_frame(handler, checkpoint, barcodes):
    cut = [barcode[1:] for barcode in barcodes[:3]]
    unplaced = BarcodeEmbedder.from_pretrained(checkpoint, use_frame=False, device="cpu", dtype=torch.float32)
    got = handler({"inputs": cut, "parameters": {"use_frame": False}})
    np.testing.assert_allclose(got, unplaced.encode(cut), atol=1e-5)
    assert np.abs(np.array(got) - handler({"inputs": cut})).max() > 0.01


def test_repository_without_frame(checkpoint, barcodes, tmp_path):
    save_checkpoint(tmp_path / "copy", BarcodeMAEForPreTraining.from_pretrained(checkpoint), None)
    embedder = BarcodeEmbedder.from_pretrained(tmp_path / "copy", device="cpu", dtype=torch.float32)
    got = EndpointHandler(str(tmp_path / "copy"))({"inputs": barcodes[:3]})
    np.testing.assert_allclose(got, embedder.encode(barcodes[:3]), atol=1e-5)


def test_missing_frame_is_an_error(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("reference_frame.safetensors"))
    with pytest.raises(ValueError, match=r"expected reference_frame\.safetensors, .* found none"):
        EndpointHandler(str(tmp_path / "copy"))


def test_predictions_equal_those_of_the_fill_mask_pipeline(handler, checkpoint, barcodes):
    masked = barcodes[0][:40] + "[MASK]" + barcodes[0][44:]
    expected = pipeline("fill-mask", model=str(checkpoint), trust_remote_code=True, device="cpu")(masked, top_k=256)
    parameters = {"task": "fill-mask", "top_k": 100, "use_frame": False}
    (gap,) = handler({"inputs": masked, "parameters": parameters})[0]["gaps"]
    assert [guess["kmer"] for guess in gap["guesses"]] == [guess["token_str"] for guess in expected[:100]]
    scores = np.array([guess["score"] for guess in gap["guesses"]])
    np.testing.assert_allclose(scores, [guess["score"] for guess in expected[:100]], atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    assert 0 < scores.sum() < 1


def test_scores_of_all_kmers_sum_to_one(tmp_path):
    """With k = 2 there are 16 k-mers, fewer than may be requested."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    save_checkpoint(tmp_path, BarcodeMAEForMaskedLM(BarcodeMAEConfig(k=2, **size)), None)
    (result,) = EndpointHandler(str(tmp_path))(
        {"inputs": "ACGTNNACGN", "parameters": {"task": "fill-mask", "top_k": 100}}
    )
    assert [gap["start"] for gap in result["gaps"]] == [4, 8]
    for gap in result["gaps"]:
        assert len({guess["kmer"] for guess in gap["guesses"]}) == 16
        assert sum(guess["score"] for guess in gap["guesses"]) == pytest.approx(1, abs=1e-5)


def test_start_of_a_gap_is_counted_on_the_strand_that_is_read(handler, barcodes):
    """Unknown bases at 40 to 43 fill slot 10 of a barcode that starts with the frame."""
    barcode = barcodes[0][:40] + "NNNN" + barcodes[0][44:]
    cases = {
        barcode: (1, 40),
        barcode[3:]: (1, 37),
        "GG" + barcode: (1, 42),
        reverse_complement(barcode): (-1, 40),
    }
    parameters = {"task": "fill-mask", "top_k": 4}
    results = handler({"inputs": list(cases), "parameters": parameters})
    for result, (strand, start) in zip(results, cases.values(), strict=True):
        assert (result["strand"], [gap["start"] for gap in result["gaps"]]) == (strand, [start])
    # The other strand is another spelling of the same barcode.
    first, *_, last = (result["gaps"][0]["guesses"] for result in results)
    assert [guess["kmer"] for guess in first] == [guess["kmer"] for guess in last]


def test_sequence_without_gaps_has_no_predictions(handler, barcodes):
    parameters = {"task": "fill-mask"}
    assert handler({"inputs": f">a\n{barcodes[0]}", "parameters": parameters}) == [{"id": "a", "strand": 1, "gaps": []}]


def test_encoder_without_decoder_embeds_only(checkpoint, embedder, barcodes, tmp_path):
    loaded = load_checkpoint(checkpoint)
    assert isinstance(loaded.model, BarcodeMAEModel)
    save_checkpoint(tmp_path / "encoder", loaded.model, loaded.frame)
    encoder = EndpointHandler(str(tmp_path / "encoder"))
    np.testing.assert_allclose(encoder({"inputs": barcodes[:2]}), embedder.encode(barcodes[:2]), atol=1e-5)
    with pytest.raises(ValueError, match="expected a model with a decoder"):
        encoder({"inputs": barcodes[0], "parameters": {"task": "fill-mask"}})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "expected a sequence, a list of them, or FASTA, got NoneType"),
        ({"a": "ACGT"}, "expected a sequence, a list of them, or FASTA, got dict"),
        (["ACGTACGT", 3], "sequence 1: expected text, got int"),
        ([], "expected 1 to 1024 sequences, got 0"),
        ("", "sequence 0: expected DNA, got an empty sequence"),
        (["ACGTACGT", " \n"], "sequence 1: expected DNA, got an empty sequence"),
        ("ACG", "sequence 0: expected a known 4-mer, got none"),
        ("NNNNNNNN", "sequence 0: expected a known 4-mer, got none"),
        ("ACGTACGT[MASK]", "sequence 0: expected DNA, got '['"),
        ("MKVLAAGIVG", "sequence 0: expected DNA, got 'L'"),
        ("ACGT\n>late\nACGT", "sequence 0: expected DNA, got '>'"),
        (">\nACGTACGT", "line 1: expected an id after >, got none"),
        (">a\nACGTACGT\n>  \nACGT", "line 3: expected an id after >, got none"),
        (">a\n>b\nACGTACGT", "sequence a: expected DNA, got an empty sequence"),
        (">a", "sequence a: expected DNA, got an empty sequence"),
        (["ACGT"] * 1025, "expected 1 to 1024 sequences, got 1025"),
        (["ACGT", "A" * 10_001], "sequence 1: expected at most 10000 bases, got 10001"),
        (["A" * 10_000] * 101, "expected at most 1000000 bases in total, got 1010000"),
    ],
)
def test_bad_inputs(inputs, message, handler):
    with pytest.raises(ValueError, match=r"expected") as caught:
        handler({"inputs": inputs})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("embed", "parameters: expected an object, got str"),
        ({"task": "generate"}, "task: expected one of embed, fill-mask, got 'generate'"),
        ({"task": ["embed"]}, "task: expected one of embed, fill-mask, got ['embed']"),
        ({"normalise": True}, "parameters of embed: expected task, use_frame, normalize, got 'normalise'"),
        ({"top_k": 3}, "parameters of embed: expected task, use_frame, normalize, got 'top_k'"),
        ({"normalize": "yes"}, "normalize: expected a value like False, got 'yes'"),
        ({"normalize": 1}, "normalize: expected a value like False, got 1"),
        ({"task": "fill-mask", "top_k": True}, "top_k: expected a value like 5, got True"),
        ({"task": "fill-mask", "top_k": 0}, "top_k: expected 1 to 100, got 0"),
        ({"task": "fill-mask", "top_k": 101}, "top_k: expected 1 to 100, got 101"),
    ],
)
def test_bad_parameters(parameters, message, handler):
    with pytest.raises(ValueError, match=r"expected") as caught:
        handler({"inputs": "ACGTACGT", "parameters": parameters})
    assert str(caught.value) == message


def test_sequence_of_gaps_only_is_an_error(handler):
    with pytest.raises(ValueError, match="sequence 0: expected a known 4-mer, got none"):
        handler({"inputs": "[MASK][MASK]", "parameters": {"task": "fill-mask"}})


def test_total_number_of_predictions_is_limited(handler):
    sequences = ["ACGT" + "N" * 2000] * 3
    parameters = {"task": "fill-mask", "use_frame": False}
    with pytest.raises(ValueError, match="expected at most 100000 predictions"):
        handler({"inputs": sequences, "parameters": parameters | {"top_k": 100}})
    results = handler({"inputs": sequences, "parameters": parameters | {"top_k": 5}})
    assert [len(result["gaps"]) for result in results] == [500, 500, 500]
