"""What is installed: all modules and data files of the packages."""

from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def setup():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text):
    return text.split("\n")[1:]


@pytest.fixture(scope="module")
def folders(setup):
    """Package -> its folder."""
    moved = dict(line.split(" = ") for line in lines(setup["options"]["package_dir"]))
    return {name: ROOT / moved.get(name, name.replace(".", "/")) for name in lines(setup["options"]["packages"])}


def test_all_folders_with_modules_are_installed(folders):
    installed = set(folders.values())
    tops = {folder for name, folder in folders.items() if "." not in name}
    assert {file.parent for top in tops for file in top.rglob("__init__.py")} <= installed


def test_all_data_files_are_installed(setup, folders):
    patterns = {name: text.split(", ") for name, text in setup["options.package_data"].items()}
    installed = {
        file for name, folder in folders.items() for pattern in patterns.get(name, ()) for file in folder.glob(pattern)
    }
    in_packages = {file for folder in folders.values() for file in folder.rglob("*") if file.is_file()}
    others = {file for file in in_packages if file.suffix != ".pyc" and file.parent not in folders.values()}
    others |= {file for file in in_packages if file.suffix not in (".py", ".pyc")}
    assert others - installed == set()
