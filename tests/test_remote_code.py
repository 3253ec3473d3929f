"""The code that a repository brings, as transformers of other versions takes it."""

import importlib.util
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_relative_import_files, get_relative_imports

from modeling_barcodemae import configuration_barcodemae, modeling_barcodemae
from tokenization_barcodemae import barcode_tokenizer


@pytest.mark.parametrize("module", [modeling_barcodemae, barcode_tokenizer])
def test_an_entry_file_imports_itself_all_that_it_needs(module):
    """From a folder, transformers before 5.17 copies what a file imports, and not what that imports in its turn."""
    needed = {Path(file).stem for file in get_relative_import_files(module.__file__)}
    assert set(get_relative_imports(module.__file__)) == needed - {Path(module.__file__).stem}


@pytest.mark.parametrize("module", [configuration_barcodemae, barcode_tokenizer])
def test_a_transformers_that_is_too_old_is_told_which_one_is_needed(module, monkeypatch):
    """By the first of our files that is run, before it comes to what the old one lacks."""
    monkeypatch.setattr("transformers.utils.versions.importlib.metadata.version", lambda name: "5.4.1")
    spec = importlib.util.spec_from_file_location(f"{module.__package__}.again", module.__file__)
    with pytest.raises(ImportError, match=r"transformers>=5\.5 is required .* found transformers==5\.4\.1"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
