import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines import aligners
from barcodemae.evaluation.baselines.aligner_programs import PROGRAMS, SETTINGS
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher

INSTALLED = [name for name in PROGRAMS if shutil.which(name)]


def needs(program):
    return pytest.mark.skipif(
        program not in INSTALLED, reason=f"{program} is not on the PATH: tools/install_aligners.sh"
    )


each_program = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in PROGRAMS])
each_setting = pytest.mark.parametrize(
    "setting", [pytest.param(name, marks=needs(setting.program)) for name, setting in SETTINGS.items()]
)


def changed(barcode, positions):
    """Another base at each of the positions."""
    bases = list(barcode)
    for position in positions:
        bases[position] = {"A": "C", "C": "A", "G": "T", "T": "G"}[bases[position]]
    return "".join(bases)


@pytest.fixture
def references():
    """Random DNA: only a copy is similar to any of it."""
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGT"), 658)) for _ in range(6)]


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go; a path with a space, which BLAST does not allow in a database's name."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def fake_blast(tmp_path, monkeypatch):
    """Replaces BLAST on the PATH by the given line of shell."""

    def install(line):
        scripts = {"makeblastdb": "exit 0", "blastn": f'[ "$1" = -version ] && echo "blastn: 9.8.7+" && exit\n{line}'}
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


@each_program
def test_hits_are_sorted_by_identity(name, references, scratch):
    # 16 of 658 bases differ, then 32: far from the ends, so that a local alignment spans the barcode.
    near, far = changed(references[2], range(25, 650, 40)), changed(references[2], range(25, 650, 20))
    hits = AlignmentSearcher("blastn_word_16" if name == "blastn" else name, num_threads=1).search(
        [references[0], far, references[1], near, references[2]], [references[2], references[1]], num_neighbours=3
    )
    np.testing.assert_array_equal(hits.rows, [[4, 3, 1], [2, -1, -1]])
    identities = [[100, 100 * (1 - 16 / 658), 100 * (1 - 32 / 658)], [100, -np.inf, -np.inf]]
    np.testing.assert_allclose(hits.similarities, identities, atol=0.06)
    assert list(scratch.iterdir()) == []


@each_program
def test_case_gaps_and_other_characters_make_no_difference(name, references, scratch):
    searcher = AlignmentSearcher(name, num_threads=1)
    written = [
        f"--{references[3][:300].lower()}-.{references[3][300:]}\n",
        references[1].replace("T", "U"),
        references[5][:-1] + "?",
    ]
    np.testing.assert_array_equal(searcher.search(references, written).rows[:, 0], [3, 1, 5])
    np.testing.assert_array_equal(
        searcher.search(written, [references[5], references[1], references[3]]).rows[:, 0], [2, 1, 0]
    )


@each_program
def test_unrelated_queries_have_no_hits(name, references):
    hits = AlignmentSearcher(name, num_threads=1).search(
        [*references[:4], "--", "N" * 658], ["", references[5], "N" * 658, references[3]]
    )
    np.testing.assert_array_equal(hits.rows[:, 0], [-1, -1, -1, 3])
    np.testing.assert_array_equal(hits.similarities[:, 0], [-np.inf, -np.inf, -np.inf, 100])


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        pytest.param("blastn", 100 * 648 / 658, marks=needs("blastn")),
        pytest.param("vsearch", 100, marks=needs("vsearch")),
    ],
)
def test_unknown_base_is_a_mismatch_for_blast_but_not_for_vsearch(name, identity, references):
    query = f"{references[2][:320]}{'N' * 10}{references[2][330:]}"
    hits = AlignmentSearcher(name, num_threads=1).search(references, [query])
    assert hits.rows == 2
    np.testing.assert_allclose(hits.similarities, identity, atol=0.06)


@each_program
def test_no_queries_have_no_hits(name, references):
    assert AlignmentSearcher(name, num_threads=1).search(references, []).rows.shape == (0, 1)


@each_program
def test_hits_do_not_depend_on_blocks_of_queries(name, sample, monkeypatch):
    barcodes = sample["nucleotides"].to_pylist()
    references, queries = barcodes[::40], [*barcodes[1:150:30], "", *barcodes[2:150:30]]
    searcher = AlignmentSearcher(name, num_threads=1)
    at_once = searcher.search(references, queries, 3)
    monkeypatch.setitem(PROGRAMS, name, replace(PROGRAMS[name], num_queries=4))
    blocks = AlignmentSearcher(name, num_threads=1).search(references, queries, 3)
    np.testing.assert_array_equal(blocks.rows, at_once.rows)
    np.testing.assert_array_equal(blocks.similarities, at_once.similarities)


BY_HAND = {
    "blastn": [
        "makeblastdb -in k.fa -dbtype nucl",
        "blastn -db k.fa -query q.fa -outfmt 6 -out found",
    ],
    "vsearch": [
        "vsearch --usearch_global q.fa --db k.fa --id 0.5 --maxaccepts 8 --maxrejects 64 --top_hits_only --quiet "
        "--blast6out found"
    ],
}


@each_program
def test_hits_are_those_of_the_program_run_by_hand(name, sample, tmp_path):
    barcodes = sample["nucleotides"].to_pylist()
    references, queries = barcodes[::40], barcodes[5:200:20]
    for file, sequences in (("k.fa", references), ("q.fa", queries)):
        (tmp_path / file).write_text("".join(f">{row}\n{text}\n" for row, text in enumerate(sequences)))
    for line in BY_HAND[name]:
        subprocess.run(shlex.split(line), cwd=tmp_path, check=True, capture_output=True)
    first = {}
    for line in (tmp_path / "found").read_text().splitlines():
        query, reference, identity, *_ = line.split("\t")
        first.setdefault(int(query), (int(reference), float(identity)))
    assert len(first) > len(queries) / 2
    hits = AlignmentSearcher(name, num_threads=1).search(references, queries)
    expected = [first.get(row, (-1, -np.inf)) for row in range(len(queries))]
    np.testing.assert_array_equal(hits.rows[:, 0], [row for row, _ in expected])
    # One of them prints a tenth of a percent, the other a thousandth.
    np.testing.assert_allclose(hits.similarities[:, 0], [identity for _, identity in expected], atol=0.051)


@each_setting
def test_every_setting_is_accepted_by_its_program(setting, references):
    assert AlignmentSearcher(setting, num_threads=1).search(references, [references[4]]).rows == 4


@each_program
def test_reported_commands_can_be_rerun(name, references, tmp_path):
    (tmp_path / "references.fasta").write_text("".join(f">{row}\n{text}\n" for row, text in enumerate(references)))
    (tmp_path / "queries.fasta").write_text(f">0\n{references[2]}\n")
    searcher = AlignmentSearcher(name, num_threads=1)
    for command in searcher.commands():
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "hits.tsv").read_text().split("\t")[1] == "2"
    assert searcher.version[0].isdigit()


def test_hits_of_equal_bit_score_keep_their_order(references, fake_blast):
    rows = ["1 5 300 98.5", "1 0 310 91.0", "1 2 310 99.0", "0 3 200 88.0", "1 4 290 97.0"]
    fake_blast(f"echo '{'/'.join(rows)}' | tr ' /' '\\t\\n' >hits.tsv")
    searcher = AlignmentSearcher("blastn")
    hits = searcher.search(references, references[:3], num_neighbours=3)
    np.testing.assert_array_equal(hits.rows, [[3, -1, -1], [0, 2, 5], [-1, -1, -1]])
    np.testing.assert_allclose(hits.similarities[1], [91, 99, 98.5])
    assert searcher.version == "9.8.7+"


def test_error_of_a_program_is_quoted(references, fake_blast, scratch):
    fake_blast("echo first >&2; echo the last word >&2; exit 3")
    with pytest.raises(ConfigurationError, match="blastn ended with code 3: the last word"):
        AlignmentSearcher("blastn").search(references, references)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(("setting", "package"), [("blastn", "ncbi-blast"), ("vsearch", "vsearch .Debian")])
def test_error_of_a_missing_program_names_its_packages(setting, package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=f"is not on the PATH: install {package}"):
        AlignmentSearcher(setting)


def test_bad_input_is_rejected(references, fake_blast):
    fake_blast("exit 0")
    with pytest.raises(ConfigurationError, match=r"expected one of blastn, .*, got 'blat'"):
        AlignmentSearcher("blat")
    searcher = AlignmentSearcher("blastn")
    with pytest.raises(ConfigurationError, match="expected 7 references or more, got 6"):
        searcher.search(references, references, num_neighbours=7)
    with pytest.raises(ConfigurationError, match="expected 1 references or more, got 0"):
        searcher.search([], references)
    with pytest.raises(ConfigurationError, match="expected references with DNA bases, got none in 2"):
        searcher.search(["", "--"], references)


def test_by_default_all_cores_of_this_process_are_used(fake_blast, monkeypatch):
    fake_blast("exit 0")
    monkeypatch.setattr(aligners, "_usable_cores", lambda: 5)
    assert "-num_threads 5 " in AlignmentSearcher("blastn").commands()[1]
    assert "-num_threads 2 " in AlignmentSearcher("blastn", num_threads=2).commands()[1]


@pytest.mark.slow
def test_interrupted_search_leaves_no_files_and_no_process(tmp_path, fake_blast):
    fake_blast(f'echo $$ >"{tmp_path}/pid"; exec sleep 60')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # A process in the background of a shell ignores interrupts, and so would this one.
    script = (
        "import signal\n"
        "from barcodemae.evaluation.baselines.aligners import AlignmentSearcher\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "AlignmentSearcher('blastn').search(['ACGT'], ['ACGT'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"TMPDIR": str(scratch)})
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    assert len(list(scratch.iterdir())) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert list(scratch.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
