"""The alignment programs that barcodes are usually identified with: their settings, and how they are run."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from barcodemae.errors import ConfigurationError

# BLAST reports each run to NCBI unless this is switched off.
ENVIRONMENT = {"BLAST_USAGE_REPORT": "false"}


@dataclass(frozen=True)
class Setting:
    """A program with the options that decide its speed and accuracy."""

    program: str
    options: str


# blastn's own defaults are `-task megablast`, words of 28 bases, 500 targets, and low-complexity masking (dust).
# A small -max_target_seqs drops candidates before their final scores are known: a trap for users who want the best hit.
# VSEARCH takes references by the number of words that they share with the query, until --maxaccepts or --maxrejects.
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
    """Command lines that are run in a folder of their own: BLAST cannot open a database whose path has a space.

    Attributes:
        packages: that contain it.
        version: prints its version.
        index: makes a database of `references.fasta`.
        search: reads `queries.fasta` and writes `hits.tsv`: query, reference, score (larger is better), percent
            identity.
        num_queries: in a run of `search`: each run loads the database again; progress is shown between runs.
    """

    packages: str
    version: str
    index: str
    search: str
    num_queries: int


# VSEARCH: --maxhits 1 is the first of the hits that --top_hits_only lists.
PROGRAMS = {
    "blastn": Program(
        packages="ncbi-blast+ (Debian), blast (bioconda, Homebrew)",
        version="blastn -version",
        index="makeblastdb -in references.fasta -dbtype nucl -title references -out references",
        search="blastn {options} -db references -query queries.fasta -num_threads {num_threads} -max_hsps 1 "
        "-outfmt '6 qseqid sseqid bitscore pident' -out hits.tsv",
        num_queries=128,
    ),
    "vsearch": Program(
        packages="vsearch (Debian, bioconda, Homebrew)",
        version="vsearch --version",
        index="vsearch --makeudb_usearch references.fasta --output references.udb --threads {num_threads} --quiet",
        search="vsearch --usearch_global queries.fasta --db references.udb {options} --threads {num_threads} --quiet "
        "--maxhits {num_neighbours} --userfields query+target+id+id --userout hits.tsv",
        num_queries=4096,
    ),
}


def run_program(command: str, folder: Path) -> str:
    """Run a command line in a folder.

    Returns:
        What it prints: standard output, then standard error.

    Raises:
        ConfigurationError: it fails; the message is the last line of its standard error.
    """
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
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
