"""The code in a repository works with other versions of transformers."""

import importlib.util
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_relative_import_files, get_relative_imports

from modeling_barcodemae import configuration_barcodemae, modeling_barcodemae
from tokenization_barcodemae import barcode_tokenizer


@pytest.mark.parametrize("module", [modeling_barcodemae, barcode_tokenizer])
def test_entry_file_imports_all_files_itself(module):
    """From a folder, transformers before 5.17 copies the direct imports of an entry file, but not their imports."""
    needed = {Path(file).stem for file in get_relative_import_files(module.__file__)}
    assert set(get_relative_imports(module.__file__)) == needed - {Path(module.__file__).stem}


@pytest.mark.parametrize("module", [configuration_barcodemae, barcode_tokenizer])
def test_too_old_transformers_is_refused_with_the_required_version(module, monkeypatch):
    """By the first file that runs, before anything that the old version lacks is used."""
    monkeypatch.setattr("transformers.utils.versions.importlib.metadata.version", lambda name: "5.4.1")
    spec = importlib.util.spec_from_file_location(f"{module.__package__}.again", module.__file__)
    with pytest.raises(ImportError, match=r"transformers>=5\.5 is required .* found transformers==5\.4\.1"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
