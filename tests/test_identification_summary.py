"""The HTML summary of an identification: correct counts, one page, and harmless text from headers."""

import json
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.results.schema import CALLS
from barcodemae.library.summary import counts as summary_counts
from barcodemae.library.summary import page as summary
from barcodemae.library.summary.counts import NUM_BINS, OTHER_REASONS, SummaryCounts
from barcodemae.library.summary.figures import confidence_histogram, novelty_histogram, sunburst
from barcodemae.library.summary.page import open_summary
from helpers.result_records import MOTH, hit, moth, result, table, tables

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<b>{{ 7 * 7 }}"


class Page(HTMLParser):
    """The elements, texts and figures' data of a page."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.figures, self._open = [], [], "", ("", {})
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self._open = (tag, dict(attrs))

    def handle_endtag(self, tag):
        self._open = ("", {})

    def handle_data(self, data):
        tag, attributes = self._open
        if attributes.get("id") == "figures":
            self.figures += data
        elif tag not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def small_script(monkeypatch):
    """A page without the megabytes of plotly.js."""
    monkeypatch.setattr(summary, "_plotly_script", lambda: "let Plotly;")


def counted(*records):
    counts = SummaryCounts()
    counts.write(table(*records))
    return counts


def page_of(tmp_path, *records, title="moths"):
    path = tmp_path / "page.html"
    with open_summary(path, title, {"library": "moth library, 9 records"}) as counts:
        counts.write(table(*records))
    return Page(path.read_text(encoding="utf-8"))


def test_results_are_counted_by_call_and_taxon():
    fly = moth(call="order", order="Diptera")
    counts = counted(moth(), moth(), fly, result(), result(call="unreliable", reason="short"))
    lineage = tuple(MOTH.values())
    assert counts.n == 5
    assert counts.calls == {"species": 2, "order": 1, "novel": 1, "unreliable": 1}
    assert counts.taxa == {lineage: 2, ("Arthropoda", "Insecta", "Diptera"): 1}


def test_confidence_is_counted_at_the_called_rank():
    counts = counted(moth(), moth(call="genus", confidence=1.0), result())
    expected = np.zeros((len(RANKS), NUM_BINS), int)
    expected[RANKS.index("species"), 19] = 1  # 0.95
    expected[RANKS.index("genus"), 19] = 1  # 1 belongs to the last bin
    np.testing.assert_array_equal(counts.confidences, expected)


def test_novelty_is_counted_where_known():
    counts = counted(*(result(novelty=value) for value in (0.0, 0.04, 0.5, 1.0, None, float("nan"))))
    assert {bin: n for bin, n in enumerate(counts.novelties.tolist()) if n} == {0: 2, 10: 1, 19: 1}


def test_species_not_in_the_library_are_grouped_by_nearest_genus():
    near = hit(**MOTH, frame_identity=0.75)
    counts = counted(
        moth(id="a", novelty=0.5, hits=[near, hit(genus="Noctua")]),
        moth(id="b", novelty=1.0, size=4, hits=[near | {"frame_identity": 0.5, "identity": 0.25}]),
        moth(id="known", novelty=0.25, hits=[near]),
        result(id="far", novelty=0.75),
    )
    moths, far = counts.not_in_library.values()
    assert (moths.name, moths.higher_taxa) == ("Agrotis", ["Noctuidae", "Lepidoptera", "Insecta", "Arthropoda"])
    assert (moths.n, moths.reads, moths.ids, moths.probability, moths.identity) == (2, 5, ["a", "b"], 0.75, 0.5)
    assert (far.name, far.higher_taxa, far.n, far.identity) == ("", [], 1, 0)


def test_species_are_counted_with_their_confidence():
    counts = counted(moth(id="a", confidence=0.5), moth(id="b", confidence=1, size=9), moth(call="genus"), result())
    (found,) = counts.species.values()
    assert (found.name, found.n, found.reads, found.ids) == ("Agrotis ipsilon", 2, 10, ["a", "b"])
    assert found.probability == 0.75


def test_reads_are_counted_where_ids_have_their_number():
    counts = counted(moth(size=900), moth(call="genus", size=2), result(call="unreliable", reason="short", size=98))
    assert (counts.n, counts.reads, counts.unit) == (3, 1000, "reads")
    assert counts.calls == {"species": 900, "genus": 2, "unreliable": 98}
    assert counts.confidences.sum() == 902
    assert (counts.reasons["short"].n, counts.reasons["short"].reads) == (1, 98)
    assert counted(moth(), moth()).unit == "queries"


def test_number_of_ids_is_limited():
    unreliable = [result(id=str(number), call="unreliable", reason="short") for number in range(1000)]
    short = counted(*unreliable).reasons["short"]
    assert (short.n, short.ids) == (1000, [str(number) for number in range(20)])


def test_number_of_reasons_is_limited(monkeypatch):
    monkeypatch.setattr(summary_counts, "_MAX_REASONS", 2)
    counts = counted(*(result(call="unreliable", reason=reason) for reason in "abcda"))
    assert {reason: queries.n for reason, queries in counts.reasons.items()} == {"a": 2, "b": 1, OTHER_REASONS: 2}


@given(tables)
def test_counts_do_not_depend_on_how_results_are_split(results):
    together, apart = SummaryCounts(), SummaryCounts()
    together.write(results)
    for row in range(len(results)):
        apart.write(results.slice(row, 1))
    assert (apart.n, apart.calls, apart.taxa) == (together.n, together.calls, together.taxa)
    assert (apart.reasons, apart.not_in_library) == (together.reasons, together.not_in_library)
    assert (apart.species, apart.reads) == (together.species, together.reads)
    np.testing.assert_array_equal(apart.confidences, together.confidences)
    np.testing.assert_array_equal(apart.novelties, together.novelties)
    assert apart.n == len(results)
    assert sum(apart.calls.values()) == apart.reads == sum(results["size"].to_pylist())
    assert sum(apart.taxa.values()) == sum(apart.calls[rank] for rank in RANKS)


@given(tables)
def test_children_of_a_sector_sum_to_at_most_the_parent(results):
    counts = SummaryCounts()
    counts.write(results)
    (trace,) = sunburst(counts)["data"]
    values = dict(zip(trace["ids"], trace["values"], strict=True))
    assert len(values) == len(trace["ids"])
    parts = dict.fromkeys(values, 0)
    for parent, value in zip(trace["parents"][1:], trace["values"][1:], strict=True):
        parts[parent] += value
    assert all(parts[id] <= value for id, value in values.items())
    assert parts["0"] <= values["0"] == sum(results["size"].to_pylist())
    json.dumps([sunburst(counts), confidence_histogram(counts), novelty_histogram(counts)], allow_nan=False)


def test_ranks_without_a_name_are_left_out():
    beetle = {"phylum": "", "class": "", "order": "Coleoptera", "family": "", "genus": "Aus", "species": "Aus bus"}
    (trace,) = sunburst(counted(moth(**beetle), moth(**beetle), moth(call="class")))["data"]
    labels = trace["labels"]
    assert labels == ["all queries", "Coleoptera", "Aus", "Aus bus", "Arthropoda", "Insecta"]
    parent_of = dict(zip(trace["ids"], trace["parents"], strict=True))
    name_of = dict(zip(trace["ids"], labels, strict=True))
    assert [name_of[parent_of[id]] for id in trace["ids"][1:]] == [
        *("all queries", "Coleoptera", "Aus"),
        *("all queries", "Arthropoda"),
    ]
    assert trace["customdata"][1:4] == ["order", "genus", "species"]


def test_largest_taxa_are_drawn_with_their_parents(monkeypatch):
    monkeypatch.setattr("barcodemae.library.summary.figures.MAX_TAXA", 6)
    (trace,) = sunburst(counted(moth(), moth(), moth(order="Diptera")))["data"]
    assert trace["labels"] == ["all queries", *MOTH.values()]
    assert trace["parents"] == ["", "0", "1", "2", "3", "4", "5"]
    assert trace["values"] == [3, 3, 3, 2, 2, 2, 2]


@pytest.mark.usefixtures("small_script")
def test_number_of_taxa_not_drawn_is_on_the_page(tmp_path, monkeypatch):
    records = moth(), moth(order="Diptera")
    assert "not drawn" not in page_of(tmp_path, *records).text
    monkeypatch.setattr(summary, "MAX_TAXA", 6)
    assert "or the 4 smallest taxa, which are not drawn." in page_of(tmp_path, *records).text


@pytest.mark.usefixtures("small_script")
def test_counts_are_on_the_page(tmp_path):
    new = moth(call="genus", novelty=0.9, hits=[hit(**MOTH, frame_identity=0.5)])
    page = page_of(tmp_path, moth(), new, result(call="unreliable", id="q9", reason="too short"), title="moths of 2024")
    assert (
        "moths of 2024 Barcodes identified with BarcodeMAE library moth library, 9 records queries 3 2 reliable"
        in page.text
    )
    assert "species 1 33.3 % genus 1 33.3 % family 0 0.0 %" in page.text
    assert "species queries confidence identity ids Agrotis ipsilon Agrotis, Noctuidae, Lepidoptera" in page.text
    assert "1 query with a novelty of 0.5 or more: " in page.text
    assert "Agrotis Noctuidae, Lepidoptera, Insecta, Arthropoda 1 0.90 50.0 % q1" in page.text
    assert "ossibly new" not in page.text
    assert page.text.endswith("reason queries ids too short 1 q9")
    assert set(json.loads(page.figures)) == {"taxa", "confidence", "novelty"}


@pytest.mark.usefixtures("small_script")
def test_largest_groups_come_first_and_the_others_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "MAX_ROWS", 2)
    genera = ["B", "C", "C", "A", "D", "D", "D"]
    page = page_of(tmp_path, *(result(novelty=1, hits=[hit(genus=genus)]) for genus in genera))
    assert "7 queries with a novelty of 0.5 or more: " in page.text
    assert "In 4 groups, the 2 largest of which follow, by the genus" in page.text
    assert page.text.index(" D ") < page.text.index(" C ")
    assert " A " not in page.text.partition("Species not in this library")[2]


@pytest.mark.usefixtures("small_script")
def test_ids_not_listed_are_counted(tmp_path):
    new = [result(id=f"q{number}", novelty=1) for number in range(25)]
    assert "q0 and 24 more q1 , q2 ," in page_of(tmp_path, *new).text
    assert "q19 and 5 that are not listed here" in page_of(tmp_path, *new).text


@pytest.mark.usefixtures("small_script")
def test_page_without_results(tmp_path):
    page = page_of(tmp_path)
    assert "Queries by taxon" not in page.text
    assert "No query is named to species." in page.text
    assert json.loads(page.figures) == {}
    assert "No query has a novelty of 0.5 or more." in page.text
    assert page.text.endswith("Unreliable queries There are none.")


@pytest.mark.usefixtures("small_script")
def test_text_from_headers_is_escaped(tmp_path):
    def records(text):
        near = [hit(id=text, **dict.fromkeys(RANKS, text))]
        named = moth(id=text, novelty=0.9, hits=near, **dict.fromkeys(RANKS, text))
        return named, named, result(id=text, call="unreliable", reason=text)

    harmless = page_of(tmp_path, *records("plain"), title="plain")
    page = page_of(tmp_path, *records(HOSTILE), title=HOSTILE)
    assert page.elements == harmless.elements
    assert page.text == harmless.text.replace("plain", HOSTILE)
    (trace,) = json.loads(page.figures)["taxa"]["data"]
    # plotly.js interprets tags in a label, and shows entities as the characters that they encode.
    assert not any("<" in label for label in trace["labels"])
    assert trace["labels"][1].startswith("&lt;/script&gt;&lt;script&gt;")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.usefixtures("small_script")
def test_long_names_are_shortened(tmp_path):
    long = "A" * 10_000
    page = page_of(tmp_path, moth(id=long, novelty=1, genus=long, hits=[hit(genus=long)]), title=long)
    assert "A" * 100 not in page.text + page.figures


def test_page_is_one_file_without_external_resources(tmp_path):
    path = tmp_path / "page.html"
    with open_summary(path, "moths", {}) as counts:
        counts.write(table(*(moth(call=call) for call in CALLS)))
    page = Page(path.read_text(encoding="utf-8"))
    assert not {"link", "img", "iframe", "base"} & set(page.elements)
    assert page.elements.count("script") == 3
    assert path.stat().st_size > 1_000_000  # plotly.js is in the page


@pytest.mark.usefixtures("small_script")
def test_failure_leaves_the_old_page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail():
        with open_summary(path, "moths", {}) as counts:
            counts.write(table(moth()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("page.html", "old")]


def test_missing_plotly_is_an_error_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ConfigurationError, match=r"pip install .barcodemae\[identify\]"):
        open_summary(tmp_path / "page.html", "moths", {}).__enter__()
    assert not list(tmp_path.iterdir())


def test_folder_in_place_of_a_page_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="expected the name of a file, a pipe or a device, got a folder"):
        open_summary(tmp_path, "moths", {}).__enter__()
