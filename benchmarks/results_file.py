"""Results of a benchmark of libraries, printed and saved with what they were measured with."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from barcodemae.files import written_atomically
from barcodemae.provenance import describe_machine, describe_versions


def save_results(results: Mapping[str, Any], output: Path | None) -> None:
    """Print results as JSON, and write them to a file, if one is given, with versions, machine and date."""
    described = {
        **results,
        "versions": describe_versions(("barcodemae", "faiss-cpu", "numpy", "pyarrow")),
        "machine": describe_machine(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    text = json.dumps(described, indent=2)
    print(text)
    if output is not None:
        with written_atomically(output.parent) as scratch:
            (scratch / output.name).write_text(text + "\n")
