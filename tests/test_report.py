import base64
import copy
import json
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from barcodemae.evaluation.options import EvaluationArguments
from barcodemae.evaluation.report.pages import render_html, render_report, report_sections, results_table
from barcodemae.evaluation.report.plots import draw_all
from barcodemae.evaluation.run import describe_run
from helpers.report_records import accuracies, full_results

SIZES = [
    {"n_references": [1, 1], "n_answerable": 3, "genus_accuracy": 1 / 3, "genus_accuracy_interval": [0.0, 1.0]},
    {"n_references": [2, 3], "n_answerable": 5, "genus_accuracy": 1.0, "genus_accuracy_interval": [1.0, 1.0]},
]
SCORES = {
    "knn": {
        "n_queries": 10,
        "n_answerable": 8,
        "genus_accuracy": 0.75,
        "genus_accuracy_interval": [0.6, 0.875],
        "genus_accuracy_by_species": 0.7,
        "by_genus_size": SIZES,
        "seen_species": {"species_accuracy": 0.99, "species_accuracy_interval": [0.98, 1.0]},
    },
    "linear_probe": {"n_answerable": 20, "species_accuracy": 0.985, "species_accuracy_interval": [0.97, 1.0]},
    "clustering": {"n_rows": 30, "n_bins": 9, "n_clusters": 8, "bin_ami": 0.8, "bin_ami_unseen": 0.85},
    "harmonic_mean": 0.7742,
}


@pytest.fixture
def results():
    baseline = copy.deepcopy(SCORES)
    del baseline["linear_probe"]
    return {
        **copy.deepcopy(SCORES),
        "baselines": {"kmer_4": baseline},
        "splits": {"train": 1000, "test": 20, "test_unseen": 10},
        "provenance": {
            "model": "tiny",
            "weights_sha256": "0123abcd",
            "data": [{"name": "barcodes.parquet", "sha256": "abc"}],
            "seed": 0,
            "command": "python evaluate_embeddings.py --model tiny",
            "versions": {"python": "3.12.1"},
            "machine": "some processor, 2 cores",
            "date": "2025-01-01T00:00:00+00:00",
        },
    }


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_by_hand(results):
    header, _, model, baseline = cells(results_table(results))
    assert header[1:] == [
        "genus, unseen",
        "by species",
        "species, probe",
        "species, 1-NN",
        "BIN AMI",
        "AMI, unseen",
        "harmonic mean",
    ]
    assert model == ["tiny", "75.0 (60.0-87.5)", "70.0", "98.5", "99.0", "80.0", "85.0", "77.4"]
    assert baseline == ["4-mer counts", "75.0 (60.0-87.5)", "70.0", "not run", "99.0", "80.0", "85.0", "77.4"]


def test_columns_of_tasks_that_nobody_ran_are_left_out(results):
    for scores in (results, results["baselines"]["kmer_4"]):
        scores.pop("linear_probe", None)
        scores["clustering"]["bin_ami_unseen"] = None
    header = cells(results_table(results))[0]
    assert "species, probe" not in header
    assert "AMI, unseen" not in header


def test_a_headline_without_its_interval_is_an_error(results):
    del results["knn"]["genus_accuracy_interval"]
    with pytest.raises(KeyError, match="genus_accuracy_interval"):
        results_table(results)


def test_extra_queries_have_a_column(results):
    results["extra_queries"] = {"knn": {"genus_accuracy": 0.5, "genus_accuracy_interval": [0.4, 0.6]}}
    header, _, model, baseline = cells(results_table(results))
    column = header.index("genus, extra")
    assert (model[column], baseline[column]) == ("50.0 (40.0-60.0)", "not run")


def test_any_baseline_has_a_row_under_its_own_name(results):
    results["baselines"] = {
        "some | encoder <b>": results["baselines"]["kmer_4"],
        "tiny": results["baselines"]["kmer_4"],
    }
    table = results_table(results)
    assert r"| some \| encoder &lt;b> |" in table
    assert "| tiny (baseline) " in table


def test_the_page_holds_tables_plots_and_provenance(results):
    page = render_report(results, ["accuracy.png", "genus_size.png", "map.png"])
    for part in (results_table(results), "(genus_size.png)", "`test_unseen` 10", "Of 10", "SHA-256 abc"):
        assert part in page
    for value in results["provenance"].values():
        if isinstance(value, str):
            assert value in page
    assert page.index("## More pictures") < page.index("(map.png)") < page.index("## Provenance")


def test_sections_of_tasks_that_nobody_ran_are_left_out(results):
    titles = [section.title for section in report_sections(results, [])]
    assert titles == ["Summary", "Ranks", "Errors at the rank of genus", "Linear probes", "Clustering"]


def test_every_task_and_picture_has_its_section(monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: None)
    results = full_results()
    pictures = draw_all(results)
    sections = report_sections(results, list(pictures))
    assert [section.title for section in sections] == [
        "Summary",
        "Model against baselines",
        "Ranks",
        "Errors at the rank of genus",
        "Linear probes",
        "Few barcodes per species",
        "Fine-tuning",
        "Clustering",
        "Novelty",
        "Robustness",
        "Compression",
    ]
    assert {name for section in sections for name in section.pictures} == set(pictures)
    for section in sections:
        for table in section.tables:
            assert all(len(row) == len(table.header) for row in table.rows)


def section_rows(results, title, table=0):
    section = next(section for section in report_sections(results, []) if section.title == title)
    return {row[0]: list(row[1:]) for row in section.tables[table].rows}


def test_comparisons_by_hand():
    rows = section_rows(full_results(), "Model against baselines")
    assert rows["4-mer counts"] == ["7.0 (-1.0 to 15.0)", "0.060", "40", "100"]
    assert rows["VSEARCH"] == ["-23.0 (-30.0 to -10.0)", "< 0.001", "40", "100"]


def test_weighted_vote_by_hand():
    results = full_results()
    results["weighted_knn"] |= accuracies("genus", share=0.65)
    header, *_ = cells(results_table(results))
    assert cells(results_table(results))[2][header.index("genus, weighted vote")] == "65.0 (57.0-71.0)"
    open_world, closed_world = (section_rows(results, "Ranks", table) for table in (2, 3))
    assert open_world["tiny"][-1] == "65.0 (57.0-71.0)"
    assert closed_world["tiny"][-1] == "99.0 (91.0-100.0)"
    assert "VSEARCH" not in open_world  # its scores are not cosines


def test_fine_tuning_by_hand():
    assert section_rows(full_results(), "Fine-tuning") == {"tiny": ["96.0 (88.0-100.0)", "80.0 (72.0-86.0)"]}


def test_what_was_cut_unknown_or_run_elsewhere_is_told():
    page = render_report(full_results(), [])
    counts = "3 were truncated to its longest input; 12 of 90,000 tokens are not in its vocabulary"
    assert f"- tiny read 1,420 barcodes: {counts}" in page
    assert "- VSEARCH, version 2.22.1: `vsearch --usearch_global queries.fasta`" in page


def test_robustness_by_hand():
    results = full_results()
    results["robustness"][1] |= {"genus_accuracy": 0.5, "genus_accuracy_interval": [0.25, 0.75]}
    rows = section_rows(results, "Robustness")
    assert rows["unchanged"][:2] == ["70.0 (62.0-76.0)", "93.0 (85.0-99.0)"]
    assert rows["substitutions 1 %"][0] == "50.0 (25.0-75.0)"
    assert {"indels 0.2 %", "mini barcode 400 nt", "shifted frame 5 nt", "reverse complement"} <= set(rows)


def test_a_clustering_marks_the_choice_of_the_silhouette():
    results = full_results() | {"baselines": {}}
    choices = [
        {"reduction": "umap", "method": "ward", "n_clusters": 1000, "bin_ami": 0.8, "silhouette": 0.25},
        {"reduction": "none", "method": "hdbscan", "n_clusters": 3, "bin_ami": 0.9, "silhouette": None},
    ]
    results["clustering_grid"] |= {"choices": choices, "chosen_by_silhouette": choices[0]}
    assert section_rows(results, "Clustering", 1) == {
        "umap, ward (the silhouette's choice)": ["1,000", "80.0", "0.250"],
        "none, hdbscan": ["3", "90.0", "none"],
    }
    chosen = section_rows(results, "Clustering", 2)
    assert chosen == {"tiny": ["umap, ward", "1,000", "80.0", "0.250", "none, hdbscan", "90.0"]}


def test_a_grid_without_choices_is_passed_over():
    results = full_results() | {"baselines": {}}
    del results["clustering"]
    results["clustering_grid"] |= {"choices": [], "chosen_by_silhouette": None}
    assert "Clustering" not in [section.title for section in report_sections(results, [])]


class Page(HTMLParser):
    """Open tags, cells and sources of pictures; raises where tags are not closed in their order."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.cells, self.sources = [], set(), [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_html_says_what_markdown_says_and_loads_nothing():
    results = full_results()
    pictures = {"accuracy.png": b"\x89PNG 1", "map.png": b"\x89PNG 2"}
    page = Page(render_html(results, pictures))
    sections = report_sections(results, list(pictures))
    rows = [row for section in sections for table in section.tables for row in (table.header, *table.rows)]
    assert page.cells == [cell for row in rows for cell in row]
    assert "script" not in page.tags
    assert [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in page.sources] == [
        b"\x89PNG 1",
        b"\x89PNG 2",
    ]


def test_html_is_escaped():
    results = full_results("<script>alert(1)</script>")
    results["baselines"]["<img src=x>"] = results["baselines"].pop("kmer_4")
    results["provenance"]["command"] = "python <script>"
    page = Page(render_html(results, {}))
    assert not {"script", "img"} & page.tags
    assert "<img src=x>" in page.cells


def test_provenance_holds_no_path_of_this_machine(tmp_path):
    model = tmp_path / "my-model"
    model.mkdir()
    data = tmp_path / "barcodes.tsv"
    data.write_text("abc")
    arguments = EvaluationArguments(str(model), str(tmp_path / "out"), data=str(data), queries=str(data))
    run = describe_run(arguments, "0123abcd")
    assert run["model"] == "my-model"
    assert [one["name"] for one in run["data"]] == ["barcodes.tsv"] * 2
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2
    assert run["data"][0]["sha256"] == expected
    assert str(tmp_path) not in json.dumps(run)
    assert "--model my-model --output-dir out --data barcodes.tsv" in run["command"]


def test_an_id_on_the_hub_stays_whole():
    arguments = EvaluationArguments("organisation/model", "out", data="hub:organisation/data")
    run = describe_run(arguments, "0123abcd")
    assert run["model"] == "organisation/model"
    assert run["data"] == [{"name": "hub:organisation/data", "sha256": None}]
