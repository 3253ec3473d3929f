"""Load a pretrained folder as any user of transformers would, and embed: python tools/demo_load.py FOLDER"""

import sys

import torch
from transformers import AutoModel, AutoTokenizer

from barcodemae.data import read_records, sample_path

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()

barcodes = read_records(sample_path())["nucleotides"].slice(0, 8).to_pylist()
with torch.inference_mode():
    vectors = model(**tokenizer(barcodes, padding=True, return_tensors="pt")).pooler_output
shape = " x ".join(map(str, vectors.shape))
print(f"{type(model).__name__} from {folder}: {len(barcodes)} barcodes to vectors, {shape}")
