"""Published checkpoints: rebuilt here with plain `transformers` and `torch.save`, and compared after conversion."""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertForTokenClassification, BertModel

from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.errors import CheckpointError, ConfigurationError, UnreadableFileError
from barcodemae.hub import conversion as conversion_module
from barcodemae.hub.conversion import convert_published

K = 3
SIZE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
# Different from the defaults, so that a setting that is not read from the file shows.
SETTINGS = SIZE | {"layer_norm_eps": 1e-3, "hidden_act": "relu", "max_position_embeddings": 230, "type_vocab_size": 3}


def randomized(model):
    """Larger weights than fresh ones, so that every single one shows in the output; biases too."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model.eval()


def bert_config(**changes):
    return BertConfig(**({"vocab_size": 4**K + 2, "num_labels": 4**K} | SETTINGS | changes))


def run_file(path, model, arch, prefix="", with_n=False, **more):
    """As all three repositories save a run: see `safe_save_model` in their `io.py`. `more` are options of the run."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model(input_ids=torch.tensor([[2, 3]]))[0].sum().backward()
    optimizer.step()  # so that it has a state
    optimizer.zero_grad()
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-4, total_steps=10)
    randomized(model)
    state = {prefix + name: value for name, value in model.state_dict().items()}
    embeddings = "embeddings." if isinstance(model, BertModel) else "bert.embeddings."
    state[f"{prefix}{embeddings}position_ids"] = torch.arange(230)[None]
    run = {"k_mer": K, "stride": None, "max_len": 660, "tokenizer": "kmer", "tokenize_n_nucleotide": with_n}
    run |= {"run_name": "name of the run", "data_dir": "data"} | ({"arch": arch} if arch else {}) | more
    content = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "config": argparse.Namespace(**run),
        "epoch": 44,
        "total_step": 10,
        "n_samples_seen": 160,
        "bert_config": model.config.to_dict() | {"transformers_version": "4.29.2", "output_hidden_states": True},
        "max_accuracy": 0.5,
        "best_epoch": 40,
    }
    torch.save(content, path)


def published_maelm(path):
    model = BertModel(bert_config())
    run_file(path, model, "maelm")
    return model, "pooler, optimizer, scheduler"


class MAELMModel(torch.nn.Module):
    """The parts of a complete run of BarcodeMAE and BarcodeMAE+, under the names in its `maelm_model.py`."""

    def __init__(self, config):
        super().__init__()
        self.encoder, self.decoder = BertModel(config), BertForTokenClassification(config)
        self.projection_layer = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.decoder_embedding = self.decoder.bert.embeddings.word_embeddings


def change_file(path, change):
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def published_complete(path):
    """`--checkpoint` of a run with a decoder, whose encoder alone is the file of `--checkpoint_maelm`."""
    complete = randomized(MAELMModel(bert_config()))
    run_file(path, BertModel(bert_config()), "maelm")
    weights = {f"module.{name}": value for name, value in complete.state_dict().items()}
    more = {"decoder_config": complete.decoder.config.to_dict(), "scaler": {"scale": 65536.0}}
    change_file(path, lambda content: content.update(model=weights, **more))
    parts = "decoder, decoder_embedding, pooler, projection_layer"
    return complete.encoder, f"{parts}, optimizer, scheduler, scaler"


PLUS = {"use_cls_token": True, "aux_loss_type": "ce", "jumbo": False, "n_registers": 0}


def published_plus(path):
    model = BertModel(bert_config(vocab_size=4**K + 3))
    run_file(path, model, "maelm", **PLUS)
    return model, "pooler, optimizer, scheduler"


def published_plus_transformer(path):
    """An encoder without a decoder, with the classifier of the binary objective beside it."""
    model = BertForTokenClassification(bert_config(vocab_size=4**K + 3))
    run_file(path, model, "transformer", prefix="module.", **PLUS)
    classifier = torch.nn.Linear(2, 1).state_dict()
    change_file(path, lambda content: content.update(cls_taxonomy_classifier=classifier))
    return model.bert, "classifier, optimizer, scheduler, cls_taxonomy_classifier"


def published_with_n(path):
    model = BertModel(bert_config(vocab_size=5**K + 2))
    run_file(path, model, "maelm", with_n=True)
    return model, "pooler, optimizer, scheduler"


def published_transformer(path):
    model = BertForTokenClassification(bert_config())
    run_file(path, model, "transformer", prefix="module.")
    return model.bert, "classifier, optimizer, scheduler"


def published_barcodebert(path):
    model = BertForTokenClassification(bert_config())
    run_file(path, model, None)
    return model.bert, "classifier, optimizer, scheduler"


def published_workshop(path):
    """Weights of the masked language model only; settings that do not follow from their shapes are the defaults."""
    model = randomized(BertForMaskedLM(BertConfig(vocab_size=4**K + 3, **(SIZE | {"num_attention_heads": 12}))))
    torch.save({f"module.{name}": value for name, value in model.state_dict().items()}, path)
    return model.bert, "<CLS>, cls"


KMERS = list(map("".join, itertools.product("ACGT", repeat=K)))
KMERS_WITH_N = [kmer for kmer in map("".join, itertools.product("ACGTN", repeat=K)) if "N" in kmer]
LAYOUTS = {
    "maelm": (published_maelm, ["[MASK]", "[UNK]", *KMERS]),
    "complete": (published_complete, ["[MASK]", "[UNK]", *KMERS]),
    "plus": (published_plus, ["[MASK]", "[UNK]", "[CLS]", *KMERS]),
    "plus_transformer": (published_plus_transformer, ["[MASK]", "[UNK]", "[CLS]", *KMERS]),
    "with_n": (published_with_n, ["[MASK]", "[UNK]", *KMERS, *KMERS_WITH_N]),
    "transformer": (published_transformer, ["[MASK]", "[UNK]", *KMERS]),
    "barcodebert": (published_barcodebert, ["[MASK]", "[UNK]", *KMERS]),
    "workshop": (published_workshop, ["<MASK>", "<CLS>", "<UNK>", *KMERS]),
}


@pytest.fixture(params=LAYOUTS)
def published(request, tmp_path):
    """File of a published checkpoint, its encoder, its vocabulary, and what else is in it."""
    write, tokens = LAYOUTS[request.param]
    encoder, left_out = write(tmp_path / "published.pt")
    return tmp_path / "published.pt", encoder, {token: i for i, token in enumerate(tokens)}, left_out


def their_embedding(encoder, vocabulary, barcode):
    """Embedding of one sequence by the published code: the output at `[CLS]` if there is one, else the mean."""
    unknown = vocabulary.get("[UNK]", vocabulary.get("<UNK>"))
    kmers = [barcode[i : i + K] for i in range(0, len(barcode) - K + 1, K)]
    cls = [vocabulary["[CLS]"]] if "[CLS]" in vocabulary else []
    ids = torch.tensor([cls + [vocabulary.get(kmer, unknown) for kmer in kmers]])
    with torch.no_grad():
        hidden = encoder(input_ids=ids).last_hidden_state[0]
    return hidden[0] if cls else hidden.mean(0)


def test_embeddings_equal_those_of_the_published_encoder(published, sample, tmp_path):
    file, encoder, vocabulary, left_out = published
    read, difference = convert_published(file, tmp_path / "out")
    assert difference <= 1e-5
    assert ", ".join(read.left_out) == left_out

    barcodes = [barcode[:600] for barcode in sample["nucleotides"].slice(100, 5).to_pylist()]
    barcodes += [barcodes[0][:100] + "NN" + barcodes[0][102:401]]
    expected = torch.stack([their_embedding(encoder, vocabulary, barcode) for barcode in barcodes])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(barcodes, padding=True, return_tensors="pt")
    model = load_checkpoint(tmp_path / "out").model
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).pooler_output, expected, rtol=0, atol=1e-5)
        if "[CLS]" in vocabulary:
            return  # a plain BERT does not have the token
        plain = AutoModel.from_pretrained(tmp_path / "out", trust_remote_code=False)
        assert type(plain) is BertModel
        hidden = plain(**batch).last_hidden_state
    for row, attended, embedding in zip(hidden, batch["attention_mask"].bool(), expected, strict=True):
        torch.testing.assert_close(row[attended].mean(0), embedding, rtol=0, atol=1e-5)


def test_vocabulary_and_settings_are_converted(published, tmp_path):
    file, encoder, vocabulary, _ = published
    convert_published(file, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    max_tokens = encoder.config.max_position_embeddings - ("[CLS]" in vocabulary)
    assert tokenizer.model_max_length == max_tokens
    tokens = tokenizer.get_vocab()
    assert (tokens["[MASK]"], tokens["[UNK]"], tokens["AAA"], tokens["TTT"]) == (0, 1, 2, 65)
    assert tokens["[PAD]"] == len(tokens) - 1 == len(set(vocabulary) - {"<CLS>", "[CLS]"})
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.frame is None
    words = checkpoint.model.embeddings.word_embeddings.weight
    theirs = encoder.embeddings.word_embeddings.weight
    for token, i in vocabulary.items():
        if token not in ("<CLS>", "[CLS]"):
            assert torch.equal(words[tokens[token.upper().replace("<", "[").replace(">", "]")]], theirs[i])
    assert not words[tokens["[PAD]"]].any()
    saved = json.loads((tmp_path / "out" / "config.json").read_text())
    for name in (*SETTINGS, "hidden_dropout_prob", "attention_probs_dropout_prob"):
        assert saved[name] == (max_tokens if name == "max_position_embeddings" else getattr(encoder.config, name))
    assert "position_ids" not in checkpoint.model.state_dict()


def test_published_pooling_is_stated(published, tmp_path):
    file, _, vocabulary, _ = published
    read, _ = convert_published(file, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert f"from `published.pt` (layout {read.layout})" in page
    assert read.pooling == ("cls" if "[CLS]" in vocabulary else "mean")
    assert ("is the output at a [CLS] token, as that of" in page) == ("[CLS]" in vocabulary)
    assert ("is the mean over the k-mers, as that of" in page) == ("[CLS]" not in vocabulary)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def saved(path, change):
    """A `maelm` run, changed before it is saved."""
    published_maelm(path)
    change_file(path, change)


BAD_CONTENT = {
    r"expected a dict as 'model', got Tensor": lambda content: content.update(model=torch.zeros(2)),
    r"expected a dict as 'bert_config', got NoneType": lambda content: content.pop("bert_config"),
    r"expected a Namespace as 'config', got dict": lambda content: content.update(config={"k_mer": 3}),
    r"got dict for 'optimizer'": lambda content: content.pop("model"),
    r"got str for 'odd'": lambda content: content["model"].update(odd="text"),
    r"expected a matrix embeddings.word_embeddings": lambda content: content["model"].clear(),
    r"got 'vit'": lambda content: setattr(content["config"], "arch", "vit"),
    r"got the tokenizer 'bpe'": lambda content: setattr(content["config"], "tokenizer", "bpe"),
    r"got k = 3 with a stride of 1": lambda content: setattr(content["config"], "stride", 1),
    r"expected a vocabulary of 127 for k = 3": lambda content: setattr(
        content["config"], "tokenize_n_nucleotide", True
    ),
    r"expected a vocabulary of 67 for k = 3, got 66": lambda content: setattr(content["config"], "use_cls_token", True),
    r"expected a model without further learned tokens, got jumbo = True": lambda content: setattr(
        content["config"], "jumbo", True
    ),
    r"expected a model without further learned tokens, got n_registers = 4": lambda content: setattr(
        content["config"], "n_registers", 4
    ),
    r"expected a token for unknown k-mers": lambda content: setattr(content["config"], "use_unk_token", False),
    r"expected a vocabulary of 258 for k = 4, got 66": lambda content: setattr(content["config"], "k_mer", 4),
    r"expected k_mer from 1 to 8, got 'six'": lambda content: setattr(content["config"], "k_mer", "six"),
    r"expected a plain value as k_mer, got Tensor": lambda content: setattr(content["config"], "k_mer", torch.ones(2)),
    r"expected an encoder with is_decoder = False": lambda content: content["bert_config"].update(is_decoder=True),
    r"expected num_hidden_layers = 2, as in the weights, got 7": lambda content: content["bert_config"].update(
        num_hidden_layers=7
    ),
    r"not a multiple": lambda content: content["bert_config"].update(num_attention_heads=5),
    r"expected attention heads, got -3": lambda content: content["bert_config"].update(num_attention_heads=-3),
    r"Missing key\(s\).*encoder.layer.1.output.dense.bias": lambda content: content["model"].pop(
        "encoder.layer.1.output.dense.bias"
    ),
    r"Unexpected key\(s\).*distance": lambda content: content["model"].update({"encoder.distance": torch.zeros(3)}),
    r"size mismatch for encoder.layer.1.output.dense.bias": lambda content: content["model"].update(
        {"encoder.layer.1.output.dense.bias": torch.zeros(3)}
    ),
    r"expected a matrix embeddings.position": lambda content: content["model"].update(
        {"embeddings.position_embeddings.weight": torch.zeros(3)}
    ),
    r"differ by nan": lambda content: content["model"]["encoder.layer.1.output.dense.bias"].fill_(float("nan")),
}


@pytest.mark.parametrize(("message", "change"), BAD_CONTENT.items())
def test_other_content_is_refused_and_nothing_is_written(message, change, tmp_path):
    file = tmp_path / "published.pt"
    saved(file, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        convert_published(file, tmp_path / "out")
    assert str(caught.value).startswith(str(file))
    assert list(tmp_path.iterdir()) == [file]


def test_wrong_vocabulary_is_noticed(monkeypatch, tmp_path):
    def shuffled(model):
        ours = _convert_model(model)
        with torch.no_grad():
            ours.embeddings.word_embeddings.weight[2:66] = ours.embeddings.word_embeddings.weight[2:66].flip(0)
        return ours

    file = tmp_path / "published.pt"
    published_maelm(file)
    _convert_model = conversion_module._convert_model
    monkeypatch.setattr(conversion_module, "_convert_model", shuffled)
    with pytest.raises(CheckpointError, match="expected the converted checkpoint to give the same embeddings"):
        convert_published(file, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [file]


def truncate(file):
    published_maelm(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


BAD_FILES = {
    "No such file": lambda file: None,
    "Is a directory": lambda file: file.mkdir(),
    r"can't be read as one \(EOFError": lambda file: file.write_bytes(b""),
    r"expected a file of torch.save": lambda file: file.write_text("ACGT\n"),
    r"can't be read as one \(RuntimeError": truncate,
    r"got pathlib\S*, and no code in it was run": lambda file: torch.save(pathlib.Path("x"), file),
}


@pytest.mark.parametrize(("message", "write"), BAD_FILES.items())
def test_other_files_are_refused_and_nothing_is_written(message, write, tmp_path):
    file = tmp_path / "published.pt"
    write(file)
    before = list(tmp_path.iterdir())
    with pytest.raises(UnreadableFileError, match=message) as caught:
        convert_published(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("key", ["model", "config", "other"])
def test_malicious_pickle_is_refused_and_not_run(key, is_zip, tmp_path):
    file, trace = tmp_path / "published.pt", tmp_path / "trace"
    published_maelm(file)
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(file, weights_only=True)
    if key == "config":
        content["config"].run_name = Malicious(trace)
    else:
        content[key] = Malicious(trace)
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(UnreadableFileError, match=r"got \w+\.system, and no code in it was run"):
        convert_published(file, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [file]
    torch.load(file, weights_only=False)
    assert trace.exists()  # it would have run


def test_used_folder_is_not_overwritten(tmp_path):
    file, folder = tmp_path / "published.pt", tmp_path / "out"
    published_maelm(file)
    folder.mkdir()
    convert_published(file, folder)  # an empty one will do
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for path in (folder, file):
        with pytest.raises(ConfigurationError, match="expected a new or an empty folder"):
            convert_published(file, path)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.slow
def test_command(tmp_path):
    file, folder, trace = tmp_path / "published.pt", tmp_path / "out", tmp_path / "trace"
    torch.save({"model": Malicious(trace)}, file)
    command = [sys.executable, "-m", "barcodemae", "convert", str(file), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no code in it was run" in done.stderr
    assert done.stderr.count("error: ") == done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]

    published_maelm(file)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{file}: layout maelm, k = 3, 2 layers of 24, 3 heads." in done.stdout
    assert "Weights outside the encoder, left out: pooler, optimizer, scheduler." in done.stdout
    assert float(done.stdout.partition("differ by at most ")[2].split()[0]) <= 1e-5
    assert "The published embedding is the mean over the k-mers" in done.stdout
    assert f"The checkpoint is in {folder}." in done.stdout
