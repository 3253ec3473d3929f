"""The table of named genera, by hand."""

from barcodemae.evaluation.assignments import assignments_table, compare_assignments
from helpers.evaluation_hits import make_hits
from helpers.evaluation_records import make_records

KEYS = make_records(genus=["Aus", "Aus", "Bus"])
QUERIES = make_records(
    id=["1", "2", "3", "4"],
    species=["Aus a", "Dus d", "Bus b", ""],
    genus=["Aus", "Dus", "Bus", ""],
)


def test_a_row_for_each_query_that_can_be_answered():
    hits = {"model": make_hits([[0], [0], [2], [2]]), "baseline": make_hits([[2], [2], [-1], [0]])}
    assert assignments_table(KEYS, QUERIES, hits).to_pydict() == {
        "id": ["1", "3"],
        "species": ["Aus a", "Bus b"],
        "genus": ["Aus", "Bus"],
        "model": ["Aus", "Bus"],
        "baseline": ["Bus", ""],
    }


def test_neighbours_vote():
    assert assignments_table(KEYS, QUERIES, {"model": make_hits([[2, 0, 1]] * 4)})["model"].to_pylist() == [
        "Aus",
        "Aus",
    ]


def test_without_contenders_the_barcodes_stand_alone():
    assert assignments_table(KEYS, QUERIES, {}).column_names == ["id", "species", "genus"]


def test_its_columns_can_be_compared():
    answers = assignments_table(
        KEYS, QUERIES, {"model": make_hits([[0], [0], [2], [2]]), "baseline": make_hits([[-1]] * 4)}
    )
    compared = compare_assignments(answers, "model", answers, "baseline")
    assert (compared["difference"], compared["n_rows"], compared["n_species"]) == (1, 2, 2)
