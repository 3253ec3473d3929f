"""The files that a model keeps with its weights: the reference frame and the code of the tokenizer."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

_FRAME_FILE = "reference_frame.safetensors"
_TOKENIZER_CODE = ("barcode_tokenizer.py", "indels.py", "reference_frame.py", "sequences.py")
_TOKENIZER_PACKAGE = "tokenization_barcodemae"


def read_companions(source: Any, options: dict[str, Any]) -> dict[str, bytes]:
    """Read the reference frame and the code of the tokenizer.

    Args:
        source: a folder or the id of a Hub repository.
        options: keyword arguments of `from_pretrained`.

    Returns:
        File name -> content; empty if there is no reference frame.
    """
    hub_options = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
    options = {name: options[name] for name in hub_options if options.get(name) is not None}
    options |= {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    frame_file = cached_file(source, _FRAME_FILE, **options)
    if frame_file is None:
        return {}
    files: dict[str, Any] = {_FRAME_FILE: frame_file}
    # If the packages are installed, a model is saved with their code.
    package: Any = find_spec(_TOKENIZER_PACKAGE) if __name__.startswith("modeling_barcodemae.") else None
    for name in _TOKENIZER_CODE:
        files[name] = cached_file(source, name, **options) if package is None else Path(package.origin).parent / name
    return {name: Path(file).read_bytes() for name, file in files.items() if file is not None}
