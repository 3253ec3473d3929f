"""Barcodes tokenized per second on one core, and how many times faster than the other ways KmerEncoder is.

`python benchmarks/tokenization.py [--parquet FILE]`; the barcodes are cut or repeated to 658 bp. Every way
ends in arrays of ids and attention mask, which are compared. Rates are of processor time, so that what else
the machine does counts less.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenization_barcodemae import KmerEncoder, build_kmer_tokenizer
from tokenization_barcodemae.dna_tokenizers import kmer_vocabulary

SAMPLE = Path(__file__).parents[1] / "barcodemae" / "data" / "sample" / "barcodes.parquet"
LENGTH = 658
K = 6
N_BARCODES = 100_000
# The slow ways need not do all of them.
N_SLOW = 2_000

Arrays = tuple[np.ndarray, np.ndarray]


def rust_library() -> Callable[[list[str]], Arrays]:
    """The quickest way of the `tokenizers` library: no normaliser, upper-case DNA only, no offsets."""
    tokenizer = Tokenizer(models.WordLevel(kmer_vocabulary(K), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.FixedLength(length=K)

    def encode(sequences: list[str]) -> Arrays:
        encodings = tokenizer.encode_batch_fast(sequences)
        ids = np.array([encoding.ids for encoding in encodings])
        mask = np.array([encoding.attention_mask for encoding in encodings])
        return ids[:, : LENGTH // K], mask[:, : LENGTH // K]  # it keeps the short tail

    return encode


def python_loop() -> Callable[[list[str]], Arrays]:
    """Each barcode by itself: its k-mers, looked up in a dictionary."""
    vocabulary = kmer_vocabulary(K)

    def encode_one(sequence: str) -> Arrays:
        kmers = [sequence[i : i + K] for i in range(0, len(sequence) - K + 1, K)]
        ids = np.array([vocabulary.get(kmer, vocabulary["[UNK]"]) for kmer in kmers])
        return ids, np.ones(len(kmers), np.int64)

    def encode(sequences: list[str]) -> Arrays:
        ids, masks = zip(*map(encode_one, sequences), strict=True)
        return np.stack(ids), np.stack(masks)

    return encode


def rate(encode: Callable[[], object], n: int, repeats: int = 3) -> float:
    """Barcodes per second of processor time, the best of some runs."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        encode()
        seconds.append(time.process_time() - begin)
    return n / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parquet", type=Path, default=SAMPLE, help="file with a column nucleotides")
    column = pq.read_table(parser.parse_args().parquet, columns=["nucleotides"])["nucleotides"].to_pylist()
    barcodes = ((text * (1 + LENGTH // len(text)))[:LENGTH] for text in itertools.cycle(filter(None, column)))
    sequences = list(itertools.islice(barcodes, N_BARCODES))
    arrow = pa.array(sequences)
    few = sequences[:N_SLOW]

    encoder, tokenizer = KmerEncoder(K), build_kmer_tokenizer(K)
    rust, python = rust_library(), python_loop()
    encoded, tokenized = encoder(few), tokenizer(few, return_tensors="np")
    for ids, mask in (rust(few), python(few), (tokenized["input_ids"], tokenized["attention_mask"])):
        assert np.array_equal(ids, encoded["input_ids"])
        assert np.array_equal(mask, encoded["attention_mask"])

    rates = {
        "KmerEncoder, Arrow column": rate(lambda: encoder(arrow), N_BARCODES),
        "KmerEncoder, list of strings": rate(lambda: encoder(sequences), N_BARCODES),
        "Python loop, k-mers by dictionary": rate(lambda: python(few), N_SLOW),
        "tokenizers, FixedLength, encode_batch_fast": rate(lambda: rust(few), N_SLOW),
        "build_kmer_tokenizer, one batch": rate(lambda: tokenizer(few, return_tensors="np"), N_SLOW),
        "build_kmer_tokenizer, one barcode at a time": rate(lambda: [tokenizer(text) for text in few], N_SLOW),
    }
    arrow_rate, list_rate, *_ = rates.values()
    print(f"{LENGTH}-bp barcodes, k = {K}, one core")
    print(f"{'':45}{'barcodes/s':>12}{'Arrow is':>12}{'list is':>12}")
    for way, value in rates.items():
        print(f"{way:45}{value:12,.0f}{arrow_rate / value:11.1f}x{list_rate / value:11.1f}x")


if __name__ == "__main__":
    main()
