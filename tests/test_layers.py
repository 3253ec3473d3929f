"""Imports point down: a package imports its own modules and those of the layers below it."""

import ast
from pathlib import Path

import pytest

import barcodemae

# From top to bottom; what stands in one line does not import each other.
LAYERS = (
    ("cli",),
    ("hub",),
    ("evaluation",),
    ("training",),
    ("clustering", "page"),
    ("library",),
    ("embedding",),
    ("checkpoints",),
    ("data",),
    ("outputs", "plotting", "provenance", "repositories"),
    ("files",),
    ("locks", "terminal"),
    ("errors", "lazy"),
    ("modeling_barcodemae", "tokenization_barcodemae"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

ROOT = Path(barcodemae.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py") if len(path.relative_to(ROOT).parts) > 1)
SINGLE = sorted(path.relative_to(ROOT) for path in ROOT.glob("*.py") if not path.stem.startswith("__"))


def own_imports(path):
    """The packages of ours that a module imports, at whatever depth."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports of the toolkit are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "barcodemae" and rest:
                yield rest[0]
            elif first in LEVEL:
                yield first


def test_every_module_is_in_a_layer():
    assert {path.parts[0] for path in MODULES} | {path.stem for path in SINGLE} <= set(LEVEL) | {"model_cards"}


@pytest.mark.parametrize("path", [*MODULES, *SINGLE], ids=str)
def test_imports_point_down(path):
    own = path.parts[0].removesuffix(".py")
    up = {name for name in own_imports(path) if name != own and LEVEL[name] <= LEVEL[own]}
    assert not up
