"""The code of this checkpoint is that of the package it comes with."""

import modeling_barcodemae


def __getattr__(name: str) -> object:
    return getattr(modeling_barcodemae, name)
