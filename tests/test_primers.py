"""Regions between primers: where they are on the marker, and that bases outside of them are not compared."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from barcodemae import cluster
from barcodemae.data import read_records
from barcodemae.errors import BadRecordError, ConfigurationError, LibraryError
from barcodemae.library.building import build_library
from barcodemae.library.calibration.fitting import calibrate
from barcodemae.library.calibration.named_queries import search_own
from barcodemae.library.calibration.probability import OWN
from barcodemae.library.identification import Identifier
from barcodemae.library.search.marker import read_on_marker, why_unusable
from barcodemae.library.search.primers import find_region
from barcodemae.library.settings import PRIMERS
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import MODEL, OneHotEmbedder, library_of
from tokenization_barcodemae import ReferenceFrame, reverse_complement

COI = ReferenceFrame.coi()


@pytest.mark.parametrize(
    ("primers", "region"),
    [
        ("folmer", (0, 658)),
        ("leray", (345, 658)),
        ("Leray", (345, 658)),
        ("uni-minibar", (3, 130)),
        ("zeale", (21, 178)),
        # mlCOIintF-XT and jgHCO2198 with inosine; fwhF2 and fwhR2n (Vamos et al. 2017), 205 bases.
        ("GGWACWRGWTGRACWITITAYCCYCC,TAIACYTCIGGRTGICCRAARAAYCA", (345, 658)),
        ("GGDACWGGWTGAACWGTWTAYCCHCC,GTRATWGCHCCDGCTARWACWGG", (345, 550)),
        ("gguacwgguugaacwguwuayccycc,TAAACTTCAGGGTGACCAAAAAATCA", (345, 658)),
    ],
)
def test_regions_have_the_published_coordinates(primers, region):
    assert tuple(find_region(primers, COI)) == region


@pytest.mark.parametrize(
    ("primers", "problem"),
    [
        ("laray", "expected folmer, leray, uni-minibar, zeale, or FORWARD,REVERSE"),
        ("GTGYCAGCMGCCGCGGTAA,GGACTACNVGGGTWTCTAAT", "expected primers on the marker, got GTGYCAGCMGCCGCGGTAA"),
        ("GGWACWGGWTGAACWGTWTAYCCYCC", "expected folmer"),
        ("GGWACWGGWTGAACWGTWTAYCCYCC,", "expected folmer"),
        ("GGWACWGGWTGAACWGTWTAYCCYCC,TAAACTTCAXX", "IUPAC codes"),
        ("NNNNNNNNNNNNNNNNNNNN,TAAACTTCAGGGTGACCAAAAAATCA", "expected 10 bases or more, got NNNN"),
        ("TAAACTTCAGGGTGACCAAAAAATCA,GGTCAACAAATCATAAAGATATTGG", "expected primers on the marker"),
    ],
)
def test_wrong_primers_are_refused(primers, problem):
    with pytest.raises(ConfigurationError, match=problem):
        find_region(primers, COI)


def test_primers_of_another_marker_are_looked_for_in_its_frame_only():
    profile = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, 300)]
    frame = ReferenceFrame(profile, 5.0, "other")
    text = "".join("ACGT"[base] for base in profile.argmax(axis=1))
    assert tuple(find_region(f"{text[20:40]},{reverse_complement(text[200:220])}", frame)) == (40, 200)
    with pytest.raises(ConfigurationError, match="expected primers on the marker"):
        find_region("folmer", frame)


def amplicon(text, primers="leray", forward=None):
    """A read with the bases of primers as they are synthesised: other than those of the specimen."""
    region = find_region(primers, COI)
    first, second = (primer.replace("N", "A").replace("W", "T").replace("Y", "C") for primer in PRIMERS[primers])
    first, second = (primer.replace("R", "G") for primer in (first, second))
    return (forward or first) + text[region.begin : region.end] + reverse_complement(second)


def test_bases_outside_of_the_region_are_unknown(full_length_barcodes):
    texts = full_length_barcodes[:20]
    region = find_region("leray", COI)
    reads = [amplicon(text) for text in texts] + [reverse_complement(amplicon(text)) for text in texts] + texts
    with_indels = [text[:100] + text[101:400] + "G" + text[400:] for text in texts]
    read = read_on_marker(reads + with_indels, COI, region)
    assert (read.bases[:, : region.begin] == -1).all()
    complete = read_on_marker(texts, COI).bases[:, region.begin :]
    for part in range(4):
        found = read.bases[20 * part : 20 * (part + 1), region.begin :]
        is_known = (found >= 0) & (complete >= 0)
        assert np.mean(is_known) > 0.95
        assert np.mean((found == complete)[is_known]) > 0.995
    assert [len(text) for text in read.sequences] == [len(text) for text in reads + with_indels]


def test_reads_outside_of_the_region_have_no_bases(full_length_barcodes):
    read = read_on_marker(
        [full_length_barcodes[0][:300], full_length_barcodes[0][400:]], COI, find_region("zeale", COI)
    )
    assert read.num_bases.tolist() == [157, 0]


def test_why_reads_outside_of_the_region_are_not_usable(full_length_barcodes):
    text = full_length_barcodes[0]
    reads = [text[400:], text[330:360], text[:150], "N" * 120, text[:90], text]
    problems = pa.chunked_array([[""] * len(reads)])
    read = read_on_marker(reads, COI, find_region("zeale", COI))
    assert why_unusable(problems, read, "COI-5P").tolist() == [
        "outside the region",
        "not the marker",
        "",
        "no DNA",
        "too short",
        "",
    ]
    assert why_unusable(problems, read.take(np.arange(6)), "COI-5P").tolist()[0] == "outside the region"
    random = "".join("ACGT"[base] for base in np.random.default_rng(0).integers(0, 4, 120))
    read = read_on_marker([random + text[:95]], COI)  # most of it is before the marker's region
    assert why_unusable(problems.slice(0, 1), read, "COI-5P").tolist() == ["outside the region"]


def test_primers_of_references_are_trimmed(sample, tmp_path):
    records = sample.filter(pc.equal(pc.utf8_length(sample["nucleotides"]), 658)).slice(0, 30)
    texts = records["nucleotides"].to_pylist()
    lines = [f">{row} Apis mellifera\n{amplicon(text)}\n" for row, text in enumerate(texts)]
    (tmp_path / "refs.fasta").write_text("".join(lines) + f">short Apis mellifera\n{texts[0][:340]}\n")

    def build(folder, primers, on_error="skip"):
        return build_library(
            tmp_path / folder, [str(tmp_path / "refs.fasta")], OneHotEmbedder(), MODEL, on_error, primers=primers
        )

    added = build("a", "leray")
    assert (added.num_records, added.off_marker) == (30, 1)
    library = StoredLibrary.open(tmp_path / "a")
    assert (library.bases(library.live)[:, :345] == -1).all()
    trimmed = library.nucleotides(library.live)
    assert [text[345:] for text in texts] == trimmed
    assert build("a", "leray") is None
    with pytest.raises(LibraryError, match="expected a folder without a library"):
        build("a", None)
    with pytest.raises(BadRecordError, match=r"'short'.*100 bases or more between the primers"):
        build("b", "leray", on_error="raise")
    with pytest.raises(ConfigurationError, match="--primers laray: expected folmer"):
        build("b", "laray")
    assert [file.name for file in (tmp_path / "b").iterdir()] == [".lock"]


def test_amplicon_has_the_names_of_its_complete_barcode(sample, tmp_path):
    named = sample.filter(pc.equal(sample["split"], "train"))
    named = named.filter(pc.match_substring_regex(named["species"], "^[A-Z][a-z]+ [a-z]+$"))
    named = named.filter(pc.equal(pc.utf8_length(named["nucleotides"]), 658)).slice(0, 600)
    library = StoredLibrary.open(library_of(named, tmp_path))
    embedder = OneHotEmbedder()
    calibration = calibrate(search_own(library, embedder, (130, 300)), OWN)
    texts = [text for text in named["nucleotides"].to_pylist()[::12] if set(text) <= set("ACGT")]
    (tmp_path / "reads.fasta").write_text("".join(f">{row}\n{amplicon(text)}\n" for row, text in enumerate(texts)))
    reads = read_records(tmp_path / "reads.fasta")
    cut = Identifier(library, embedder, calibration, primers="leray")(reads)
    uncut = Identifier(library, embedder, calibration)(reads)
    assert pc.max(cut["bases"]).as_py() == 313
    assert pc.mean(pc.greater_equal(cut["bases"], 300).cast("int8")).as_py() > 0.95
    assert pc.all(pc.greater(uncut["bases"], cut["bases"])).as_py()
    nearest = [hits[0]["frame_identity"] for hits in cut["hits"].to_pylist()]
    assert np.mean(np.array(nearest) == 1) > 0.95


def test_clusters_do_not_depend_on_primers(full_length_barcodes):
    texts = full_length_barcodes[:6]
    other = "GGTACTGGTTGAACTGTTTATCCTCC"
    reads = [amplicon(text) for text in texts] + [amplicon(text, forward=other) for text in texts]
    with_primers = cluster(reads, threshold=0.001, primers="leray")["cluster"].to_pylist()
    assert with_primers[:6] == with_primers[6:]
