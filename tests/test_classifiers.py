"""The classifiers of `benchmarks/identification_classifiers.py`: what they are given, and how their output is read."""

import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from barcodemae.data import RANKS

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def classifiers(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("identification_classifiers")


@pytest.fixture
def references():
    lineages = [
        ("Arthropoda", "Insecta", "Diptera", "Culicidae", "Culex", "Culex pipiens"),
        ("Arthropoda", "Insecta", "Diptera", "", "Culex", "Culex torrentium"),  # as of the first
        ("Arthropoda", "Insecta", "Diptera", "", "Mystax", "Mystax one"),
        ("Arthropoda", "Insecta", "Coleoptera", "", "Olla", "Olla v-nigrum"),
    ]
    return pa.table({rank: [lineage[depth] for lineage in lineages] for depth, rank in enumerate(RANKS)})


def test_taxa_are_numbered_by_their_lineages(classifiers, references):
    taxonomy = classifiers.Taxonomy(references)
    assert taxonomy.lineages() == [
        ["p0", "c0", "o1", "f2", "g0", "s0"],
        ["p0", "c0", "o1", "f2", "g0", "s1"],
        ["p0", "c0", "o1", "f1", "g1", "s2"],
        ["p0", "c0", "o0", "f0", "g2", "s3"],
    ]
    found = taxonomy.assigned(np.array([[0, 0, 1, 1, 1, -1]]), np.full((1, 6), 0.5))
    assert {rank: values.tolist() for rank, values in found.taxa.items()} == {
        "phylum": ["Arthropoda"],
        "class": ["Insecta"],
        "order": ["Diptera"],
        "family": [""],
        "genus": ["Mystax"],
        "species": [""],
    }


def test_output_of_sintax(classifiers, tmp_path):
    (tmp_path / "a").write_text(
        "1\tp:0(1.00),c:0(0.95),o:1(0.40),f:12(0.40),g:3(0.10),s:7(0.05)\t+\tp:0\n0\t\t\t\n2\tp:0(0.30)\t-\t\n"
    )
    taxa, confidence = classifiers.parse_sintax(tmp_path / "a", np.full((3, 6), -1), np.zeros((3, 6)))
    assert taxa.tolist() == [[-1] * 6, [0, 0, 1, 12, 3, 7], [0, -1, -1, -1, -1, -1]]
    assert confidence.tolist() == [[0] * 6, [1, 0.95, 0.4, 0.4, 0.1, 0.05], [0.3, 0, 0, 0, 0, 0]]


def test_taxonomy_and_output_of_rdp(classifiers, references, tmp_path):
    lineages = classifiers.Taxonomy(references).lineages()
    assert classifiers.rdp_taxonomy(lineages[:2]) == [
        "0*Root*-1*0*rootrank",
        "1*p0*0*1*phylum",
        "2*c0*1*2*class",
        "3*o1*2*3*order",
        "4*f2*3*4*family",
        "5*g0*4*5*genus",
        "6*s0*5*6*species",
        "7*s1*5*6*species",
    ]
    (tmp_path / "a").write_text("1\t-\tRoot\trootrank\t1.0\tp0\tphylum\t0.9\tc12\tclass\t0.5\n")
    taxa, confidence = classifiers.parse_rdp(tmp_path / "a", np.full((2, 6), -1), np.zeros((2, 6)))
    assert taxa.tolist() == [[-1] * 6, [0, 12, -1, -1, -1, -1]]
    assert confidence.tolist() == [[0] * 6, [0.9, 0.5, 0, 0, 0, 0]]


def test_confidence_of_naive_bayes_is_the_sum_over_lineages(classifiers):
    naive_bayes = importlib.import_module("naive_bayes")
    rng = np.random.default_rng(0)
    texts = ["".join("ACGT"[base] for base in rng.integers(0, 4, 60)) for _ in range(3)]
    lineages = ["p0;g0;s0", "p0;g0;s1", "p0;g1;s2"]
    classifier = naive_bayes.fit(lineages, texts)
    query = texts[0][:30] + texts[2][30:]
    probabilities = dict(zip(classifier.classes_, classifier.predict_proba([query])[0], strict=True))
    (taxa,), (confidence,) = naive_bayes.classify(classifier, [query])
    best = max(probabilities, key=probabilities.get)
    assert [f"{rank}{taxon}" for rank, taxon in zip("pgs", taxa, strict=True)] == best.split(";")
    genus = sum(value for name, value in probabilities.items() if name.split(";")[1] == best.split(";")[1])
    assert confidence == pytest.approx([1, genus, probabilities[best]])
    (taxa,), _ = naive_bayes.classify(classifier, [texts[1]])
    assert taxa.tolist() == [0, 0, 1]
