"""The alignment programs that barcodes are usually identified with: their settings, and how they are run."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from barcodemae.errors import ConfigurationError

# BLAST tells NCBI of each run unless it is told not to.
_ENVIRONMENT = {"BLAST_USAGE_REPORT": "false"}


@dataclass(frozen=True)
class Setting:
    """A program and the options that make out its speed and accuracy."""

    program: str
    options: str


# blastn's own defaults are `-task megablast`, words of 28 letters, 500 targets, and low-complexity masking (dust).
# A small -max_target_seqs drops candidates before their final scores are known: a trap for who wants the best hit.
# VSEARCH takes keys by the number of words that they share with the query, until so many are accepted or rejected.
SETTINGS = {
    "blastn": Setting("blastn", ""),
    "blastn_5_targets": Setting("blastn", "-max_target_seqs 5"),
    "blastn_word_64": Setting("blastn", "-word_size 64"),
    "blastn_word_40": Setting("blastn", "-word_size 40"),
    "blastn_word_16": Setting("blastn", "-word_size 16"),
    "blastn_task_blastn": Setting("blastn", "-task blastn"),
    "vsearch": Setting("vsearch", "--id 0.5 --maxaccepts 8 --maxrejects 64"),
    "vsearch_1_accept": Setting("vsearch", "--id 0.5 --maxaccepts 1 --maxrejects 32"),
    "vsearch_64_accepts": Setting("vsearch", "--id 0.5 --maxaccepts 64 --maxrejects 512"),
    "vsearch_512_accepts": Setting("vsearch", "--id 0.5 --maxaccepts 512 --maxrejects 4096"),
}


@dataclass(frozen=True)
class Program:
    """Command lines that are run in a folder of their own: BLAST can't open a database whose path has a space.

    Attributes:
        packages: that bring it.
        version: asks for its version.
        index: makes a library of `keys.fasta`.
        search: reads `queries.fasta` and writes `hits.tsv`: query, key, score (larger is better), percent identity.
        n_queries: in a run of `search`: each run loads the library again, and reports progress.
    """

    packages: str
    version: str
    index: str
    search: str
    n_queries: int


# VSEARCH: --maxhits 1 is the first of the hits that --top_hits_only lists.
PROGRAMS = {
    "blastn": Program(
        packages="ncbi-blast+ (Debian), blast (bioconda, Homebrew)",
        version="blastn -version",
        index="makeblastdb -in keys.fasta -dbtype nucl -title keys -out keys",
        search="blastn {options} -db keys -query queries.fasta -num_threads {n_threads} -max_hsps 1 "
        "-outfmt '6 qseqid sseqid bitscore pident' -out hits.tsv",
        n_queries=128,
    ),
    "vsearch": Program(
        packages="vsearch (Debian, bioconda, Homebrew)",
        version="vsearch --version",
        index="vsearch --makeudb_usearch keys.fasta --output keys.udb --threads {n_threads} --quiet",
        search="vsearch --usearch_global queries.fasta --db keys.udb {options} --threads {n_threads} --quiet "
        "--maxhits {n_neighbours} --userfields query+target+id+id --userout hits.tsv",
        n_queries=4096,
    ),
}


def run_program(command: str, folder: Path) -> str:
    """Run a command line in a folder.

    Returns:
        What it prints: standard output, then standard error.

    Raises:
        ConfigurationError: it fails; the message is the last line of its standard error.
    """
    environment = os.environ | _ENVIRONMENT
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise ConfigurationError(f"{command.split()[0]} ended with code {done.returncode}: {lines[-1]}")
    return done.stdout + done.stderr


def program_version(name: str) -> str:
    """Version of an installed program.

    Raises:
        ConfigurationError: it is not on the PATH.
    """
    program = PROGRAMS[name]
    for command in (program.index, program.search):
        if shutil.which(missing := command.split()[0]) is None:
            raise ConfigurationError(f"{missing} is not on the PATH: install {program.packages}")
    found = re.search(rf"{name}:? v?([\d.]+\+?)", run_program(program.version, Path()))
    return found[1] if found else "unknown"
