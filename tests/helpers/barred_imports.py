"""The beginning of a script that can import none of our packages, as where they were never installed."""

BARRED = """
import sys

class Barred:
    def find_spec(self, name, *args):
        if name.split(".")[0] in ("modeling_barcodemae", "tokenization_barcodemae", "barcodemae"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Barred())
"""
