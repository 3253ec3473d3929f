"""The Inference Endpoints handler: behind a real HTTP server in a process without our packages, and its refusals."""

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
# webservice_starlette.py), except that it leaves sys.path alone, and answers as that does.
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

class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, answer = 200, serve(json.loads(body))
        except Exception as error:
            status, answer = 400, {"error": str(error)}
        content = json.dumps(answer, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Answers)
print(server.server_port, flush=True)
server.serve_forever()
"""


def as_repository(checkpoint, folder):
    """What serves it stands beside the model, as in a repository on the Hub."""
    folder.mkdir()
    assemble(checkpoint, "org/BarcodeMAE", folder)
    return folder


@pytest.fixture(scope="module")
def ask(checkpoint, tmp_path_factory):
    """Sends a request over HTTP: status and answer."""
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

    def post(body):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    yield post
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
    """Of many lengths: more than a batch, out of order."""
    return [barcode[: 658 - 13 * (7 * row % 40)] for row, barcode in enumerate(full_length_barcodes[:40])]


@pytest.mark.slow
def test_over_http_embeddings_are_those_of_the_embedder(ask, embedder, barcodes):
    status, answer = ask({"inputs": barcodes})
    assert status == 200
    np.testing.assert_allclose(answer, embedder.encode(barcodes), atol=1e-5)
    status, answer = ask({"inputs": barcodes[1], "parameters": {"normalize": True}})
    assert status == 200
    np.testing.assert_allclose(answer, embedder.encode([barcodes[1]], normalize_embeddings=True), atol=1e-5)


@pytest.mark.slow
def test_over_http_fasta_keeps_its_ids(ask, embedder, barcodes):
    wrapped = "\r\n".join([barcodes[0][:300], barcodes[0][300:]])
    status, answer = ask({"inputs": f"\n>first some words\r\n{wrapped}\n\n>second\n{barcodes[1].lower()}"})
    assert status == 200
    assert [record["id"] for record in answer] == ["first", "second"]
    got = [record["embedding"] for record in answer]
    np.testing.assert_allclose(got, embedder.encode(barcodes[:2]), atol=1e-5)


@pytest.mark.slow
def test_over_http_gaps_are_filled(ask, barcodes):
    status, (answer,) = ask(
        {"inputs": barcodes[0][:40] + "[MASK]" + barcodes[0][44:], "parameters": {"task": "fill-mask", "top_k": 3}}
    )
    assert status == 200
    assert (answer["id"], answer["strand"], [gap["start"] for gap in answer["gaps"]]) == ("0", 1, [40])
    assert len(answer["gaps"][0]["guesses"]) == 3


@pytest.mark.slow
def test_over_http_bad_input_is_status_400_with_a_message_and_the_server_goes_on(ask, barcodes):
    for body, message in [
        ({"inputs": 5}, "inputs: expected a sequence, a list of them, or FASTA, got int"),
        ({"inputs": ["ACGTACGT", "NNNNNNNN"]}, "sequence 1: expected a known 4-mer, got none"),
        ([], 'expected a request {"inputs": ..., "parameters": {...}}, got no "inputs"'),
    ]:
        assert ask(body) == (400, {"error": message})
    assert ask({"inputs": barcodes[0]})[0] == 200


def test_each_spelling_of_a_barcode_has_one_embedding(handler, barcodes):
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


def test_without_the_frame_sequences_are_read_from_their_first_nucleotide(handler, checkpoint, barcodes):
    cut = [barcode[1:] for barcode in barcodes[:3]]
    unplaced = BarcodeEmbedder.from_pretrained(checkpoint, use_frame=False, device="cpu", dtype=torch.float32)
    got = handler({"inputs": cut, "parameters": {"use_frame": False}})
    np.testing.assert_allclose(got, unplaced.encode(cut), atol=1e-5)
    assert np.abs(np.array(got) - handler({"inputs": cut})).max() > 0.01


def test_a_repository_without_a_frame(checkpoint, barcodes, tmp_path):
    save_checkpoint(tmp_path / "copy", BarcodeMAEForPreTraining.from_pretrained(checkpoint), None)
    embedder = BarcodeEmbedder.from_pretrained(tmp_path / "copy", device="cpu", dtype=torch.float32)
    got = EndpointHandler(str(tmp_path / "copy"))({"inputs": barcodes[:3]})
    np.testing.assert_allclose(got, embedder.encode(barcodes[:3]), atol=1e-5)


def test_a_repository_that_lost_its_frame_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("reference_frame.safetensors"))
    with pytest.raises(ValueError, match=r"expected reference_frame\.safetensors, .* found none"):
        EndpointHandler(str(tmp_path / "copy"))


def test_guesses_are_those_of_the_fill_mask_pipeline(handler, checkpoint, barcodes):
    masked = barcodes[0][:40] + "[MASK]" + barcodes[0][44:]
    expected = pipeline("fill-mask", model=str(checkpoint), trust_remote_code=True, device="cpu")(masked, top_k=256)
    parameters = {"task": "fill-mask", "top_k": 100, "use_frame": False}
    (gap,) = handler({"inputs": masked, "parameters": parameters})[0]["gaps"]
    assert [guess["kmer"] for guess in gap["guesses"]] == [guess["token_str"] for guess in expected[:100]]
    scores = np.array([guess["score"] for guess in gap["guesses"]])
    np.testing.assert_allclose(scores, [guess["score"] for guess in expected[:100]], atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    assert 0 < scores.sum() < 1


def test_all_guesses_together_are_certain(tmp_path):
    """With k = 2 there are 16 k-mers, fewer than may be asked for."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    save_checkpoint(tmp_path, BarcodeMAEForMaskedLM(BarcodeMAEConfig(k=2, **size)), None)
    (answer,) = EndpointHandler(str(tmp_path))(
        {"inputs": "ACGTNNACGN", "parameters": {"task": "fill-mask", "top_k": 100}}
    )
    assert [gap["start"] for gap in answer["gaps"]] == [4, 8]
    for gap in answer["gaps"]:
        assert len({guess["kmer"] for guess in gap["guesses"]}) == 16
        assert sum(guess["score"] for guess in gap["guesses"]) == pytest.approx(1, abs=1e-5)


def test_a_gap_is_found_where_it_lies_on_the_strand_that_is_read(handler, barcodes):
    """Unknown bases at 40 to 43 fill slot 10 of a barcode that begins with the frame."""
    barcode = barcodes[0][:40] + "NNNN" + barcodes[0][44:]
    cases = {
        barcode: (1, 40),
        barcode[3:]: (1, 37),
        "GG" + barcode: (1, 42),
        reverse_complement(barcode): (-1, 40),
    }
    parameters = {"task": "fill-mask", "top_k": 4}
    answers = handler({"inputs": list(cases), "parameters": parameters})
    for answer, (strand, start) in zip(answers, cases.values(), strict=True):
        assert (answer["strand"], [gap["start"] for gap in answer["gaps"]]) == (strand, [start])
    # The other strand is another spelling of the same barcode.
    first, *_, last = (answer["gaps"][0]["guesses"] for answer in answers)
    assert [guess["kmer"] for guess in first] == [guess["kmer"] for guess in last]


def test_a_sequence_without_gaps_has_no_guesses(handler, barcodes):
    parameters = {"task": "fill-mask"}
    assert handler({"inputs": f">a\n{barcodes[0]}", "parameters": parameters}) == [{"id": "a", "strand": 1, "gaps": []}]


def test_an_encoder_alone_embeds_and_does_not_guess(checkpoint, embedder, barcodes, tmp_path):
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
        ("", "sequence 0: expected DNA, got nothing"),
        (["ACGTACGT", " \n"], "sequence 1: expected DNA, got nothing"),
        ("ACG", "sequence 0: expected a known 4-mer, got none"),
        ("NNNNNNNN", "sequence 0: expected a known 4-mer, got none"),
        ("ACGTACGT[MASK]", "sequence 0: expected bases of DNA, got '['"),
        ("MKVLAAGIVG", "sequence 0: expected bases of DNA, got 'L'"),
        ("ACGT\n>late\nACGT", "sequence 0: expected bases of DNA, got '>'"),
        (">\nACGTACGT", "line 1: expected an id after >, got none"),
        (">a\nACGTACGT\n>  \nACGT", "line 3: expected an id after >, got none"),
        (">a\n>b\nACGTACGT", "sequence a: expected DNA, got nothing"),
        (">a", "sequence a: expected DNA, got nothing"),
        (["ACGT"] * 1025, "expected 1 to 1024 sequences, got 1025"),
        (["ACGT", "A" * 10_001], "sequence 1: expected at most 10000 bases, got 10001"),
        (["A" * 10_000] * 101, "expected at most 1000000 bases in all, got 1010000"),
    ],
)
def test_bad_inputs_are_told(inputs, message, handler):
    with pytest.raises(ValueError, match=r"expected") as caught:
        handler({"inputs": inputs})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("embed", "parameters: expected an object, got str"),
        ({"task": "generate"}, "task: expected one of embed, fill-mask, got 'generate'"),
        ({"task": ["embed"]}, "task: expected one of embed, fill-mask, got ['embed']"),
        ({"normalise": True}, "expected no parameters of embed but task, use_frame, normalize, got 'normalise'"),
        ({"top_k": 3}, "expected no parameters of embed but task, use_frame, normalize, got 'top_k'"),
        ({"normalize": "yes"}, "normalize: expected a value like False, got 'yes'"),
        ({"normalize": 1}, "normalize: expected a value like False, got 1"),
        ({"task": "fill-mask", "top_k": True}, "top_k: expected a value like 5, got True"),
        ({"task": "fill-mask", "top_k": 0}, "top_k: expected 1 to 100, got 0"),
        ({"task": "fill-mask", "top_k": 101}, "top_k: expected 1 to 100, got 101"),
    ],
)
def test_bad_parameters_are_told(parameters, message, handler):
    with pytest.raises(ValueError, match=r"expected") as caught:
        handler({"inputs": "ACGTACGT", "parameters": parameters})
    assert str(caught.value) == message


def test_a_gap_needs_something_known_around_it(handler):
    with pytest.raises(ValueError, match="sequence 0: expected a known 4-mer, got none"):
        handler({"inputs": "[MASK][MASK]", "parameters": {"task": "fill-mask"}})


def test_guesses_are_bounded_in_all(handler):
    sequences = ["ACGT" + "N" * 2000] * 3
    parameters = {"task": "fill-mask", "use_frame": False}
    with pytest.raises(ValueError, match="expected at most 100000 guesses in all"):
        handler({"inputs": sequences, "parameters": parameters | {"top_k": 100}})
    answers = handler({"inputs": sequences, "parameters": parameters | {"top_k": 5}})
    assert [len(answer["gaps"]) for answer in answers] == [500, 500, 500]
