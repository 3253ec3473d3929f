"""What is installed: all modules and data files of the packages; and the recipes and wrappers for other managers."""

import re
import shutil
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest
import yaml

from barcodemae.cli.identify import IdentifyArguments
from barcodemae.cli.index import IndexArguments
from helpers.fresh_process import run_barcodemae

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
MODULE = PACKAGING / "nf-core" / "modules" / "nf-core" / "barcodemae" / "identify"


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


# Recipes and wrappers of other package managers

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "parasail": "parasail-python"}
"""Names of packages that differ between the package index and conda."""

# What conda-build gives to a recipe.
FUNCTIONS = {"PYTHON": "python", "environ": {}, "pin_subpackage": lambda name, max_pin: f"{name} {max_pin}"}


def conda_requirements(lines_of_pip):
    """Requirements as a recipe has them: conda's names, without the platforms of wheels."""
    for line in lines_of_pip:
        name, floor = line.split(";")[0].strip().split(">=")
        yield f"{CONDA_NAMES.get(name, name)} >={floor}"


def options_in(text):
    """The verbs of our command that a text calls, each with its options."""
    joined = re.sub(r"\\+\n|\n\s*#.*|\n", " ", text)
    calls = re.findall(r"barcodemae (index|identify)\s(.*?)(?= && |$|cat <<)", joined)
    return [(verb, re.findall(r"(?<!\S)(-[a-z]|--[a-z-]+)(?=\s)", rest)) for verb, rest in calls]


def known_options(verb):
    arguments = {"index": IndexArguments, "identify": IdentifyArguments}[verb]
    return {f"--{one.name.replace('_', '-')}" for one in fields(arguments)} | {"-o", "--threads"}


@pytest.fixture(scope="module")
def recipe():
    text = (PACKAGING / "bioconda" / "meta.yaml").read_text()
    return yaml.safe_load(jinja2.Template(text, undefined=jinja2.StrictUndefined).render(FUNCTIONS))


@pytest.fixture(scope="module")
def tool():
    return ElementTree.parse(PACKAGING / "galaxy" / "barcodemae_identify.xml").getroot()


class TestBioconda:
    def test_requirements_are_those_of_the_package_and_of_identification(self, setup, recipe):
        needed = lines(setup["options"]["install_requires"]) + lines(setup["options.extras_require"]["identify"])
        python = f"python {setup['options']['python_requires']}"
        assert sorted(recipe["requirements"]["run"]) == sorted([python, *conda_requirements(needed)])

    def test_build_requirements_are_those_of_the_build_system(self, setup, recipe):
        (needed,) = re.findall(r'requires = \["(\w+)(.*)"\]', (ROOT / "pyproject.toml").read_text())
        python = f"python {setup['options']['python_requires']}"
        assert sorted(recipe["requirements"]["host"]) == sorted([python, "pip", " ".join(needed)])

    def test_metadata_is_that_of_the_package(self, setup, recipe):
        assert (recipe["package"]["name"], recipe["package"]["version"]) == ("barcodemae", setup["metadata"]["version"])
        assert recipe["about"]["license"] == setup["metadata"]["license"]
        assert recipe["build"]["entry_points"] == lines(setup["options.entry_points"]["console_scripts"])
        assert set(recipe["test"]["imports"]) == {
            name for name in lines(setup["options"]["packages"]) if "." not in name
        }

    def test_options_exist(self, recipe):
        calls = [call for command in recipe["test"]["commands"] for call in options_in(command)]
        assert [verb for verb, _ in calls] == ["index", "identify"]
        for verb, options in calls:
            assert set(options) <= known_options(verb)


class TestGalaxy:
    def test_version_is_that_of_the_package(self, setup, tool):
        assert tool.find("macros/token").text == setup["metadata"]["version"]

    def test_options_exist(self, tool):
        calls = options_in(tool.find("command").text)
        assert [verb for verb, _ in calls] == ["index", "identify"]
        for verb, options in calls:
            assert options
            assert set(options) <= known_options(verb)
        arguments = {one.get("argument") for one in tool.iter("param")} - {None}
        assert arguments <= known_options("identify")

    def test_data_of_its_test_are_there(self, tool):
        values = {one.get("value") for one in tool.iter("param") if one.get("name") in ("queries", "references")}
        assert values - {None} == {file.name for file in (PACKAGING / "galaxy" / "test-data").iterdir()}


class TestNfCore:
    def test_version_is_that_of_the_package(self, setup):
        version = setup["metadata"]["version"]
        (dependency,) = yaml.safe_load((MODULE / "environment.yml").read_text())["dependencies"]
        assert dependency == f"bioconda::barcodemae={version}"
        assert set(re.findall(r"barcodemae:([\d.]+)--", (MODULE / "main.nf").read_text())) == {version}

    def test_description_has_the_channels_of_the_process(self):
        described, process = yaml.safe_load((MODULE / "meta.yml").read_text()), (MODULE / "main.nf").read_text()
        assert list(described["output"]) == re.findall(r"emit: (\w+)", process)
        (expression,) = re.findall(r'eval\("(.*?)"\)', process)
        for (channel,) in (described["output"]["versions_barcodemae"], described["topics"]["versions"]):
            assert [name for one in channel for name in one] == ["${task.process}", "barcodemae", expression]
        assert described["name"].upper() == re.findall(r"process (\w+)", process)[0]

    def test_options_exist(self):
        (script,) = re.findall(r'    script:.*?"""(.*?)"""', (MODULE / "main.nf").read_text(), re.DOTALL)
        ((verb, options),) = options_in(script)
        assert verb == "identify"
        assert {"--library", "--multiqc"} <= set(options) <= known_options(verb)


def test_citation_has_the_version(setup):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == setup["metadata"]["version"]
    assert citation["version"] in re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[0]


@pytest.mark.slow
def test_data_of_the_galaxy_test_give_what_it_expects(tool, tmp_path):
    for file in (PACKAGING / "galaxy" / "test-data").iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    for command in (
        "index references.fasta library --threads 1",
        "identify queries.fasta --library library -o names.tsv --summary summary.html --multiqc x_mqc.json --threads 1",
    ):
        done = run_barcodemae(*command.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    expected = {one.get("name"): one.find("assert_contents") for one in tool.iter("output")}
    names = (tmp_path / "names.tsv").read_text().splitlines()
    assert len(names) == int(expected["names"].find("has_n_lines").get("n"))
    assert re.search(expected["names"].find("has_line_matching").get("expression"), names[0])
    for name, file in (("summary", "summary.html"), ("multiqc", "x_mqc.json")):
        assert expected[name].find("has_text").get("text") in (tmp_path / file).read_text()
