"""`barcodemae marker build`: frames of other markers, and models of them without a network."""

import json

import numpy as np
import pytest
import torch

from barcodemae.checkpoints.marker import build_marker
from barcodemae.cli.marker import marker
from barcodemae.cli.tune import tune
from barcodemae.embedding import BarcodeEmbedder, BaseMapEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError, UnreadableFileError
from barcodemae.library.library import Library
from helpers.fresh_process import run_barcodemae
from helpers.reference_records import write_barcodes
from tokenization_barcodemae import ReferenceFrame, reverse_complement

LENGTH = 240


def relatives(num_genera=6, num_species=3, num_barcodes=3, length=LENGTH, seed=0):
    """Names and barcodes of a marker that is not COI: the genera differ in 15 % of their bases, species in 3 %."""
    rng = np.random.default_rng(seed)

    def changed(bases, share):
        return np.where(rng.random(len(bases)) < share, rng.integers(0, 4, len(bases)), bases)

    root = rng.integers(0, 4, length)
    records = []
    for genus in range(num_genera):
        of_genus = changed(root, 0.2)
        for species in range(num_species):
            of_species = changed(of_genus, 0.04)
            for _ in range(num_barcodes):
                text = "".join("ACGT"[base] for base in changed(of_species, 0.004))
                records.append((f"Genus{chr(97 + genus)}", f"Genus{chr(97 + genus)} sp{chr(97 + species)}ecies", text))
    return records


@pytest.fixture(scope="module")
def sequences():
    return [text for _, _, text in relatives()]


@pytest.fixture
def fasta(tmp_path):
    return write_barcodes(relatives(), tmp_path / "barcodes.fasta", "Plantae")


def plain_fasta(path, texts):
    path.write_text("".join(f">s{number}\n{text}\n" for number, text in enumerate(texts)))
    return str(path)


class TestFrames:
    def test_alignment_by_hand(self):
        """Of five columns, the third has a base in one of four sequences, the last in two of three that cover it."""
        frame = ReferenceFrame.from_alignment(["AC-GT", "ACTGT", "AC-G-", "AT-A."], marker="toy")
        expected = [[1, 0, 0, 0], [0, 0.75, 0, 0.25], [0.25, 0, 0.75, 0], [0, 0, 0, 1]]
        np.testing.assert_allclose(frame.profile, expected)
        assert frame.marker == "toy"

    def test_gap_within_a_sequence_counts_and_a_short_end_does_not(self):
        frame = ReferenceFrame.from_alignment(["ACGT", "A-GT", "A-GT", "--GT"])
        np.testing.assert_allclose(frame.profile, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    def test_alignment_without_gaps_gives_the_frame_of_its_sequences(self, sequences):
        assert (
            ReferenceFrame.from_alignment(sequences).checksum() == ReferenceFrame.from_sequences(sequences).checksum()
        )

    def test_insertion_in_one_sequence_leaves_the_coordinates(self, sequences):
        aligned = [text[:100] + ("ACG" if row == 5 else "---") + text[100:] for row, text in enumerate(sequences)]
        frame = ReferenceFrame.from_alignment(aligned)
        np.testing.assert_array_equal(frame.profile, ReferenceFrame.from_sequences(sequences).profile)

    def test_profile_is_calibrated_on_sequences_of_any_length_and_strand(self, sequences):
        frame = ReferenceFrame.from_sequences(sequences)
        mixed = [reverse_complement(text[40:]) if row % 2 else text[:150] for row, text in enumerate(sequences)]
        strangers = ["".join(row) for row in np.random.default_rng(1).choice(list("ACGT"), (20, 200))]
        found = ReferenceFrame.from_profile(frame.profile, mixed + strangers)
        assert found.accepts(found.place(mixed)).all()
        assert not found.accepts(found.place(strangers)).any()

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            (["ACG-", "ACG"], "equal length, gaps included, got lengths of 3 to 4"),
            (["--", "NN"], "with bases, got none"),
            ([], "got lengths of none"),
        ],
    )
    def test_sequences_that_are_not_an_alignment(self, rows, expected):
        with pytest.raises(ValueError, match=expected):
            ReferenceFrame.from_alignment(rows)

    def test_profile_that_no_sequence_agrees_with(self):
        with pytest.raises(ValueError, match="found none among 1"):
            ReferenceFrame.from_profile(np.full((50, 4), 0.25), ["ACGT" * 10])


class TestBuild:
    def test_sequences_of_other_lengths_are_placed_not_used(self, tmp_path, sequences):
        texts = [*sequences, sequences[0][30:], reverse_complement(sequences[1][:150]), sequences[2]]
        built = build_marker([plain_fasta(tmp_path / "a.fasta", texts)], "rbcL", tmp_path / "marker")
        num_different = len(set(sequences)) + 2
        assert (built.num_sequences, built.num_used, built.num_placed) == (
            num_different,
            num_different - 2,
            num_different,
        )
        saved = ReferenceFrame.load(tmp_path / "marker" / "reference_frame.safetensors")
        assert (saved.marker, saved.length) == ("rbcL", LENGTH)
        assert saved.checksum() == ReferenceFrame.from_sequences(list(dict.fromkeys(sequences))).checksum()

    def test_length_is_chosen(self, tmp_path, sequences):
        texts = [*sequences, *(text[40:] for text in sequences[::3])]
        built = build_marker([plain_fasta(tmp_path / "a.fasta", texts)], "x", tmp_path / "marker", length=LENGTH - 40)
        assert built.frame.length == LENGTH - 40

    def test_alignment_is_recognised_by_its_gaps(self, tmp_path, sequences):
        texts = [text[:100] + "-" * 3 + text[100:] for text in sequences] + [
            sequences[0][:100] + "ACG" + sequences[0][100:]
        ]
        built = build_marker([plain_fasta(tmp_path / "a.fasta", texts)], "x", tmp_path / "marker")
        assert (built.frame.length, built.num_used) == (LENGTH, len(set(texts)))

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda text, row: text[row % 40 :] + "A" * (row % 40), "a frame of one half of them does not fit"),
            (lambda text, row: reverse_complement(text) if row % 2 else text, "on the coding strand"),
            (lambda text, row: "".join(np.random.default_rng(row).permutation(list(text))), "do(es)? not fit"),
            (lambda text, row: text[: 100 + row], "expected two different sequences of 100 nucleotides or more, got 1"),
            (lambda text, row: text[:100] + "-" * (row % 2) + text[100:], "equal length, gaps included"),
        ],
        ids=["shifted", "other strand", "random", "uneven", "no alignment"],
    )
    def test_sequences_that_do_not_align(self, tmp_path, sequences, change, expected):
        rng = np.random.default_rng(0)
        texts = [change(sequences[row], number) for number, row in enumerate(rng.permutation(len(sequences)))]
        with pytest.raises(UnreadableFileError, match=expected):
            build_marker([plain_fasta(tmp_path / "a.fasta", texts)], "x", tmp_path / "marker")
        assert not (tmp_path / "marker").exists()

    def test_few_equally_long_sequences_among_others(self, tmp_path, sequences):
        strangers = ["".join(row) for row in np.random.default_rng(1).choice(list("ACGT"), (200, 300))]
        others = [text[: 241 + row % 59] for row, text in enumerate(strangers)]
        with pytest.raises(UnreadableFileError, match=r"on one reference frame, got \d+ of 245 that .*of uneven"):
            build_marker([plain_fasta(tmp_path / "a.fasta", sequences + others)], "x", tmp_path / "marker")

    def test_one_line_and_nothing_written(self, tmp_path, fasta):
        with pytest.raises(ConfigurationError, match="--name: expected the name of a marker"):
            marker(["build", str(fasta), "--name", " ", "-o", str(tmp_path / "m")])
        with pytest.raises(ConfigurationError, match="expected build, got make"):
            marker(["make", str(fasta)])
        with pytest.raises(ConfigurationError, match="--length or --hmm, got both"):
            marker(["build", str(fasta), "--name", "x", "-o", "m", "--length", "3", "--hmm", str(fasta)])
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        with pytest.raises(ConfigurationError, match="expected a folder without a model"):
            marker(["build", str(fasta), "--name", "x", "-o", str(tmp_path / "model")])
        assert not (tmp_path / "m").exists()


class TestHiddenMarkovModel:
    @pytest.fixture
    def model_file(self, tmp_path, sequences):
        pytest.importorskip("pyhmmer")
        from pyhmmer.easel import Alphabet, DigitalMSA, TextMSA, TextSequence
        from pyhmmer.plan7 import Background, Builder

        alphabet = Alphabet.dna()
        rows = [TextSequence(name=f"s{row}".encode(), sequence=text) for row, text in enumerate(sequences)]
        msa: DigitalMSA = TextMSA(name=b"toy", sequences=rows).digitize(alphabet)
        hmm, _, _ = Builder(alphabet).build_msa(msa, Background(alphabet))
        with (tmp_path / "toy.hmm").open("wb") as file:
            hmm.write(file)
        return tmp_path / "toy.hmm"

    def test_match_states_are_the_coordinates(self, tmp_path, model_file, sequences):
        texts = [text[row % 60 :] for row, text in enumerate(sequences)]
        built = build_marker([plain_fasta(tmp_path / "a.fasta", texts)], "x", tmp_path / "m", hmm=str(model_file))
        placement = built.frame.place(texts)
        assert built.frame.length == LENGTH
        assert placement.start.tolist() == [row % 60 for row in range(len(texts))]
        assert (built.num_used, built.num_placed) == (0, built.num_sequences)

    def test_other_file(self, tmp_path, fasta):
        pytest.importorskip("pyhmmer")
        with pytest.raises(UnreadableFileError, match=r"barcodes.fasta: expected a hidden Markov model of DNA"):
            build_marker([str(fasta)], "x", tmp_path / "m", hmm=str(fasta))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the toy marker, made by the commands."""
    folder = tmp_path_factory.mktemp("marker")
    fasta = write_barcodes(relatives(), folder / "barcodes.fasta", "Plantae")
    marker(["build", str(fasta), "--name", "rbcL", "-o", str(folder / "frame")])
    tune([str(folder / "frame"), "-o", str(folder / "model"), "--data", str(fasta), "--embedding-size", "20"])
    return folder / "model"


class TestModelWithoutNetwork:
    def test_it_reads_bases_alone(self, model, sequences):
        with_network = BarcodeEmbedder.from_pretrained(model)
        bases_alone = BaseMapEmbedder.from_pretrained(model)
        assert not with_network.model.projection_head.network.weight.any()
        np.testing.assert_allclose(with_network.encode(sequences), bases_alone.encode(sequences), atol=1e-4)

    def test_it_is_the_same_each_time(self, model, tmp_path):
        torch.manual_seed(5)
        fasta = write_barcodes(relatives(), tmp_path / "barcodes.fasta", "Plantae")
        tune(
            [str(model.parent / "frame"), "-o", str(tmp_path / "model"), "--data", str(fasta), "--embedding-size", "20"]
        )
        assert (tmp_path / "model" / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()

    def test_tuning_file_says_so(self, model):
        origin = json.loads((model / "tuning.json").read_text())
        assert origin["pretrained_weights_sha256"] is None
        assert origin["settings"]["network_share"] == 0

    def test_library_of_the_marker(self, model, tmp_path):
        records = relatives()
        references = write_barcodes(records[::3], tmp_path / "references.fasta", "Plantae")
        library = Library.build(references, tmp_path / "library", model=str(model))
        results = library.identify([text for _, _, text in records[1::3]])
        assert results["best_genus"].to_pylist() == [genus for genus, _, _ in records[1::3]]
        assert library.identify(["ACGT" * 60])["reason"].to_pylist() == ["not the marker"]

    def test_damaged_frame(self, tmp_path, fasta):
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "reference_frame.safetensors").write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match="expected a reference frame"):
            tune([str(tmp_path / "m"), "-o", str(tmp_path / "out"), "--data", str(fasta)])


@pytest.mark.slow
def test_a_marker_in_a_fresh_process(tmp_path, fasta):
    frame, built, library = tmp_path / "frame", tmp_path / "model", tmp_path / "library"
    assert run_barcodemae("marker", "build", fasta, "--name", "rbcL", "-o", frame).returncode == 0
    assert run_barcodemae("tune", frame, "-o", built, "--data", fasta, "--embedding-size", 20).returncode == 0
    assert run_barcodemae("index", fasta, "-o", library, "--model", built).returncode == 0
    done = run_barcodemae("identify", fasta, "--library", library, "--model", built, "-o", tmp_path / "names.tsv")
    assert "Results of 54 queries" in done.stdout, done.stderr
    assert run_barcodemae("calibrate", library, "--model", built).returncode == 0
    done = run_barcodemae("cluster", fasta, "--model", built, "-o", tmp_path / "clusters.tsv")
    assert done.returncode == 0, done.stderr
    texts = np.random.default_rng(0).choice(list("ACGT"), (30, 200))
    failed = run_barcodemae(
        "marker", "build", plain_fasta(tmp_path / "x.fasta", map("".join, texts)), "--name", "x", "-o", "m"
    )
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 2), failed.stderr
