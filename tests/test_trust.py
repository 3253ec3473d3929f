"""No code of a library or a checkpoint is run, and nobody is asked whether it may: standard input would reply."""

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

# A class that is named runs its own code. An Auto class looks up in what it loads whose code to run.
OF_AUTO_CLASSES = {"from_pretrained", "from_config"}
OTHERS = {"pipeline", "SentenceTransformer", "evaluate.load", "torch.hub.load"}


def loads_of(tree):
    """Calls that may load code: of an Auto class, a pipeline, or `evaluate.load`."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func)
        owner, _, name = function.rpartition(".")
        is_of_auto_class = name in OF_AUTO_CLASSES and owner.split(".")[-1].startswith("Auto")
        if is_of_auto_class or name in OTHERS or function in OTHERS:
            yield function, call


def may_run_code(function, call):
    if function == "evaluate.load":
        return not ast.unparse(call.args[0]).startswith("str(_METRICS / ")  # the package's own
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return said.get("trust_remote_code") not in (
        "False",
        "trust_remote_code",
    )  # what a user said, where it is passed on


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_what_loads_says_that_it_trusts_nobody(file):
    calls = list(loads_of(ast.parse(file.read_text())))
    trusting = [f"{function}, line {call.lineno}" for function, call in calls if may_run_code(function, call)]
    # An endpoint runs the model code of the repository that it serves, which is the one that this file lies in.
    assert len(trusting) == (file.name == "handler.py"), trusting


def test_the_walk_sees_a_load_that_does_not_say_so():
    code = """
AutoTokenizer.from_pretrained(x)
transformers.pipeline("fill-mask", model=x)
evaluate.load(x)
Ours.from_pretrained(x)
transformers.AutoModel.from_pretrained(x, trust_remote_code=True)
AutoModel.from_config(x, trust_remote_code=False)
"""
    assert [may_run_code(*one) for one in loads_of(ast.parse(code))] == [True, True, True, True, False]


def test_a_user_allows_code_only_by_name():
    """What passes `trust_remote_code` on has it from an option that is off by default."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
                defaults = dict(zip(reversed(names), reversed(node.args.defaults), strict=False))
                default = defaults.get("trust_remote_code")
                assert default is None or ast.unparse(default) == "False", (file, node.name)


def test_data_sets_bring_no_code():
    """`datasets` runs no scripts from version 4 on."""
    from importlib.metadata import requires

    floors = [one for one in map(Requirement, requires("barcodemae")) if one.name == "datasets"]
    assert [str(one.specifier) for one in floors] == [">=4.0"]


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "code ran"


def evil(folder, mark, **config):
    """The checkpoint with code of its own for whatever may be asked for."""
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
        told = json.loads((folder / name).read_text()) | {"auto_map": auto_map}
        told |= config if name == "config.json" else {"tokenizer_class": "Evil"}
        (folder / name).write_text(json.dumps(told))
    for name in ("processor_config.json", "preprocessor_config.json"):
        (folder / name).write_text(json.dumps({"auto_map": auto_map, "processor_class": "Evil"}))
    return folder


LOADS = [load_checkpoint, load_saved_tokenizer, BaseMapEmbedder.from_pretrained, BarcodeEmbedder.from_pretrained]


@pytest.mark.parametrize("model_type", ["bert", "evilmodel", "barcodemae", None, 3])
@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__qualname__)
def test_no_code_is_run_and_nobody_is_asked(load, model_type, tuned_checkpoint, tmp_path, mark, monkeypatch):
    def asked(*_):
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", asked)
    folder = evil(shutil.copytree(tuned_checkpoint, tmp_path / "evil"), mark, model_type=model_type)
    refusals = (BarcodeMAEError, ValueError, OSError) if load is load_saved_tokenizer else BarcodeMAEError
    with suppress(refusals):
        load(str(folder))
    assert not mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["identify", "embed", "tune", "export", "push", "evaluate", "train", "tokenizer"])
def test_standard_input_replies_to_no_question(verb, tuned_checkpoint, sample, tmp_path, mark):
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
        "push": [*COMMAND, "push", "good", "org/x", "--dry_run"],
        "evaluate": [str(ROOT / "evaluate_embeddings.py"), "--model", "good", "--data", "sample", "--output_dir", "e"],
        "train": [str(ROOT / "train.py"), "--init_from", "good", "--data", "sample", "--output_dir", "t"],
        "tokenizer": [str(ROOT / "train.py"), "--tokenizer", "good", "--data", "sample", "--output_dir", "t"],
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
    expected = "byte-pair encoding" if verb == "tokenizer" else "code of its own"
    assert expected in run.stderr.splitlines()[-1]


# What else a configuration may lead to


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
def test_what_is_no_k_is_told(k, load, tuned_checkpoint, tmp_path):
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
def test_other_sizes_than_those_of_the_weights_are_told(key, value, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    try:
        load_checkpoint(folder)
    except CheckpointError:
        return
    # By zero the vocabulary has the size that k gives it, and fewer positions or heads are no other weights.
    assert (key, value) in [("vocab_size", 0)], "loaded"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_letters_that_are_no_numbers_are_told(value, tuned_checkpoint, tmp_path):
    folder = shutil.copytree(tuned_checkpoint, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    name = "bert.projection_head.bases.weight"
    weights[name][3, 2] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="expected finite numbers in bert"):
        BaseMapEmbedder.from_pretrained(folder)


def test_a_library_of_other_sizes_is_told(tuned_checkpoint, sample, tmp_path):
    model = shutil.copytree(tuned_checkpoint, tmp_path / "model")
    (tmp_path / "a.fasta").write_text(
        "".join(f">{row['id']}\n{row['nucleotides']}\n" for row in sample.slice(0, 20).to_pylist())
    )
    engine = BaseMapEmbedder.from_pretrained(model)
    wider = BaseMapEmbedder.from_pretrained(model)
    wider.dimension, wider.encode = 26, lambda *given, **more: with_two_more(engine.encode(*given, **more))
    build_library(tmp_path / "library", [str(tmp_path / "a.fasta")], wider, describe_model(str(model), "frame"))
    with pytest.raises(BarcodeMAEError, match=r"expected vectors of 24 numbers on a frame of 658 .* got 26 on 658"):
        open_with_model(tmp_path / "library", str(model))


def with_two_more(vectors):
    import numpy as np

    return np.pad(vectors, ((0, 0), (0, 2)))
