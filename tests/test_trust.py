"""No code of a library or a checkpoint is run, and there is no prompt, which standard input would reply to."""

import ast
import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from safetensors.torch import load_file, save_file

import barcodemae
from barcodemae.checkpoints.loading import load_checkpoint, load_saved_tokenizer
from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.embedding.embedder import BarcodeEmbedder
from barcodemae.errors import BarcodeMAEError, CheckpointError
from barcodemae.library.building import build_library
from barcodemae.library.models import describe_model, open_with_model

SOURCE = Path(barcodemae.__file__).parent
ROOT = Path(__file__).parent.parent
COMMAND = ["-m", "barcodemae"]

# An Auto class runs code that is named in the files that it loads; other classes run their own.
AUTO_CLASS_METHODS = {"from_pretrained", "from_config"}
OTHERS = {"pipeline", "SentenceTransformer", "evaluate.load", "torch.hub.load"}


def find_loads(tree):
    """Calls that may load code: of an Auto class, a pipeline, or `evaluate.load`."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func)
        owner, _, name = function.rpartition(".")
        is_of_auto_class = name in AUTO_CLASS_METHODS and owner.split(".")[-1].startswith("Auto")
        if is_of_auto_class or name in OTHERS or function in OTHERS:
            yield function, call


def may_run_code(function, call):
    if function == "evaluate.load":
        return not ast.unparse(call.args[0]).startswith("str(_METRICS / ")  # the package's own
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return options.get("trust_remote_code") not in (
        "False",
        "trust_remote_code",
    )  # the latter passes the choice of the user on


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_every_load_refuses_remote_code(file):
    calls = list(find_loads(ast.parse(file.read_text())))
    trusting = [f"{function}, line {call.lineno}" for function, call in calls if may_run_code(function, call)]
    # An endpoint runs the model code of the repository that it serves, which contains this file.
    assert len(trusting) == (file.name == "handler.py"), trusting


def test_loads_without_refusal_are_found():
    code = """
AutoTokenizer.from_pretrained(x)
transformers.pipeline("fill-mask", model=x)
evaluate.load(x)
Ours.from_pretrained(x)
transformers.AutoModel.from_pretrained(x, trust_remote_code=True)
AutoModel.from_config(x, trust_remote_code=False)
"""
    assert [may_run_code(*one) for one in find_loads(ast.parse(code))] == [True, True, True, True, False]


def test_remote_code_is_off_by_default():
    """Functions with an option `trust_remote_code` have False as its default."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
                defaults = dict(zip(reversed(names), reversed(node.args.defaults), strict=False))
                default = defaults.get("trust_remote_code")
                assert default is None or ast.unparse(default) == "False", (file, node.name)


def test_data_sets_run_no_code():
    """`datasets` runs no scripts from version 4 on."""
    from importlib.metadata import requires

    floors = [one for one in map(Requirement, requires("barcodemae")) if one.name == "datasets"]
    assert [str(one.specifier) for one in floors] == [">=4.0"]


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "code ran"


def evil(folder, mark, **config):
    """The checkpoint with code of its own for every Auto class."""
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Evil: pass\n"
    for name in ("configuration_evil.py", "tokenization_evil.py", "modeling_evil.py", "processing_evil.py"):
        (folder / name).write_text(code)
    auto_map = {
        "AutoConfig": "configuration_evil.Evil",
        "AutoModel": "modeling_evil.Evil",
        "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"],
        "AutoProcessor": "processing_evil.Evil",
    }
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text()) | {"auto_map": auto_map}
        settings |= config if name == "config.json" else {"tokenizer_class": "Evil"}
        (folder / name).write_text(json.dumps(settings))
    for name in ("processor_config.json", "preprocessor_config.json"):
        (folder / name).write_text(json.dumps({"auto_map": auto_map, "processor_class": "Evil"}))
    return folder


LOADS = [load_checkpoint, load_saved_tokenizer, BaseMapEmbedder.from_pretrained, BarcodeEmbedder.from_pretrained]


@pytest.mark.parametrize("model_type", ["bert", "evilmodel", "barcodemae", None, 3])
@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__qualname__)
def test_no_code_is_run_and_there_is_no_prompt(load, model_type, tuned_checkpoint, tmp_path, mark, monkeypatch):
    def prompt(*_):
        raise AssertionError("there was a prompt")

    monkeypatch.setattr("builtins.input", prompt)
    folder = evil(shutil.copytree(tuned_checkpoint, tmp_path / "evil"), mark, model_type=model_type)
    refusals = (BarcodeMAEError, ValueError, OSError) if load is load_saved_tokenizer else BarcodeMAEError
    with suppress(refusals):
        load(str(folder))
    assert not mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["identify", "embed", "tune", "export", "push", "evaluate", "train", "tokenizer"])
def test_standard_input_replies_to_no_prompt(verb, tuned_checkpoint, sample, tmp_path, mark):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "good")
    rows = sample.slice(0, 60)
    (tmp_path / "a.fasta").write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in rows.to_pylist()))
    engine = BarcodeEmbedder.from_pretrained(folder)
    if verb == "identify":
        build_library(tmp_path / "library", [str(tmp_path / "a.fasta")], engine, describe_model(str(folder), "network"))
    evil(folder, mark, model_type="evilmodel")
    arguments = {
        "identify": [*COMMAND, "identify", "-", "--library", "library", "--output", "n.tsv", "--model", "good"],
        "embed": [*COMMAND, "embed", "--data", "-", "--output", "v.npy", "--model", "good"],
        "tune": [*COMMAND, "tune", "good", "--data", "sample", "--output", "tuned"],
        "export": [*COMMAND, "export", "good", "out"],
        "push": [*COMMAND, "push", "good", "org/x", "--dry-run"],
        "evaluate": [str(ROOT / "evaluate_embeddings.py"), "--model", "good", "--data", "sample", "--output-dir", "e"],
        "train": [str(ROOT / "train.py"), "--init-from", "good", "--data", "sample", "--output-dir", "t"],
        "tokenizer": [str(ROOT / "train.py"), "--tokenizer", "good", "--data", "sample", "--output-dir", "t"],
    }[verb]
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        input="Y\n1\nyes\n" + (tmp_path / "a.fasta").read_text(),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert not mark.exists()
    assert "[y/N]" not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr, run.stderr
    assert run.returncode == 2, run.stderr
    refusals = {"tokenizer": "byte-pair encoding", "evaluate": "needs code of its own"}
    assert refusals.get(verb, "other models are not loaded") in run.stderr.splitlines()[-1]


# Other files that a configuration may refer to


@pytest.mark.parametrize(
    "key", ["transformers_weights", "quantization_config", "attn_implementation", "_attn_implementation"]
)
@pytest.mark.parametrize("load", [load_checkpoint, BaseMapEmbedder.from_pretrained], ids=lambda load: load.__qualname__)
def test_other_weights_and_kernels_are_refused(key, load, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: "kernels-community/flash-attn"}))
    with pytest.raises(CheckpointError, match=f"expected no {key}, got 'kernels-community/flash-attn'"):
        load(folder)


@pytest.mark.parametrize("k", [None, "6", 0, -1, 6.0, True, 10**9, [], {}])
@pytest.mark.parametrize("load", [load_checkpoint, BaseMapEmbedder.from_pretrained], ids=lambda load: load.__qualname__)
def test_invalid_k_is_an_error(k, load, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"k": k}))
    with pytest.raises(CheckpointError, match="expected k, a whole number from 1 to 12, got"):
        load(folder)


@pytest.mark.parametrize("value", [None, "x", -1, 0, 1.5, 3, 10**6, 10**12, 2**70, [], {}])
@pytest.mark.parametrize(
    "key",
    [
        *("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings"),
        *("vocab_size", "embedding_size", "frame_slots", "type_vocab_size"),
    ],
)
def test_sizes_that_do_not_match_the_weights_are_an_error(key, value, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    try:
        load_checkpoint(folder)
    except CheckpointError:
        return
    # A vocabulary size of zero stands for that of k.
    assert (key, value) in [("vocab_size", 0)], "loaded"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_base_map_with_nonfinite_values_is_an_error(value, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    name = "bert.projection_head.bases.weight"
    weights[name][3, 2] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="expected finite numbers in bert"):
        BaseMapEmbedder.from_pretrained(folder)


def test_library_with_another_dimension_is_an_error(tuned_checkpoint, sample, tmp_path):
    model = shutil.copytree(tuned_checkpoint, tmp_path / "model")
    (tmp_path / "a.fasta").write_text(
        "".join(f">{row['id']}\n{row['nucleotides']}\n" for row in sample.slice(0, 20).to_pylist())
    )
    engine = BaseMapEmbedder.from_pretrained(model)
    wider = BaseMapEmbedder.from_pretrained(model)
    wider.dimension = 26
    wider.encode = lambda *given, **more: with_two_more(engine.encode(*given, **more))
    wider.embed_bases = lambda *given, **more: with_two_more(engine.embed_bases(*given, **more))
    build_library(tmp_path / "library", [str(tmp_path / "a.fasta")], wider, describe_model(str(model), "frame"))
    with pytest.raises(BarcodeMAEError, match=r"vectors of 24 numbers and bases on a frame of 658 .* got 26 numbers"):
        open_with_model(tmp_path / "library", str(model))


def with_two_more(vectors):
    import numpy as np

    return np.pad(vectors, ((0, 0), (0, 2)))
