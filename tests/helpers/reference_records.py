"""Small libraries of real barcodes, with an embedder that needs no training."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.library.building import build_library
from tokenization_barcodemae import ReferenceFrame, bases_on_frame

MODEL = {"name": "bases", "weights_sha256": "0" * 64, "engine": "bases"}


class OneHotEmbedder:
    """A fixed random projection of the bases on the reference frame: similar barcodes have similar vectors."""

    def __init__(self, dimension=32):
        self.frame = ReferenceFrame.coi()
        self.dimension = dimension
        self._projection = np.random.default_rng(0).normal(size=(4 * self.frame.length, dimension)).astype(np.float32)
        self.num_encoded = 0

    def encode(self, sequences, *, normalize_embeddings=False, on_error="raise", placement=None):
        self.num_encoded += len(sequences)
        vectors = self.embed_bases(bases_on_frame(list(sequences), self.frame))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @property
    def base_map(self):
        return self

    def embed_bases(self, bases, first=0):
        one_hot = (bases[..., None] == np.arange(4)) - 0.25 * (bases >= 0)[..., None]
        projection = self._projection[4 * first : 4 * (first + bases.shape[1])]
        return one_hot.reshape(len(bases), len(projection)).astype(np.float32) @ projection


def write_fasta(records, file):
    """Write barcodes of an Arrow table as FASTA, with their taxonomy in the format of SINTAX."""
    prefixes = {"phylum": "p", "class": "c", "order": "o", "family": "f", "genus": "g", "species": "s"}
    lines = []
    for row in records.to_pylist():
        taxonomy = ",".join(f"{prefixes[rank]}:{row[rank].replace(' ', '_')}" for rank in prefixes if row[rank])
        lines.append(f">{row['id']};tax={taxonomy};\n{row['nucleotides']}\n")
    file.write_text("".join(lines))
    return str(file)


def write_barcodes(barcodes, file, phylum):
    """Write tuples of genus, species and sequence of one phylum as `write_fasta` does; the path."""
    ranks = {"phylum": phylum, "class": "", "order": "", "family": "Familia"}
    rows = [
        {"id": f"r{number}", **ranks, "genus": genus, "species": species, "nucleotides": text}
        for number, (genus, species, text) in enumerate(barcodes)
    ]
    return Path(write_fasta(pa.Table.from_pylist(rows), file))


def library_of(records, folder, embedder=None):
    """Build a library of the barcodes of an Arrow table in `folder / "library"`."""
    source = write_fasta(records, folder / "library.fasta")
    build_library(folder / "library", [source], embedder or OneHotEmbedder(), MODEL, on_error="skip")
    return folder / "library"
