"""`results.json`: what is accepted, what is refused and where."""

import json
import sys

import pytest

from barcodemae.errors import ConfigurationError, UnreadableFileError
from barcodemae.evaluation.report.schema import load_results, validate_results
from helpers.report_records import full_results


def changed(path, value):
    """Whole results with one value replaced, or removed where the value is None."""
    results = full_results()
    position = results
    for key in path[:-1]:
        position = position[key]
    if value is None:
        del position[path[-1]]
    else:
        position[path[-1]] = value
    return results


def test_results_of_every_task_are_accepted():
    validate_results(full_results())


def test_every_task_is_optional():
    results = full_results()
    common = ("schema_version", "provenance", "splits", "harmonic_mean")
    validate_results({key: results[key] for key in common} | {"baselines": {}})


@pytest.mark.parametrize(
    ("path", "value", "position"),
    [
        (["blast"], {}, r"^\$: .*'blast' was unexpected"),
        (["baselines", "kmer_4", "knnn"], {}, r"^\$\.baselines\.kmer_4: .*'knnn' was unexpected"),
        (["splits"], None, r"^\$: .*'splits' is a required property"),
        (["schema_version"], 1, r"^\$\.schema_version: .*3 was expected"),
        (["knn", "genus_accuracy"], None, r"^\$\.knn: .*'genus_accuracy' is a required property"),
        (["knn", "genus_accuracy"], 70.0, r"^\$\.knn\.genus_accuracy: .*greater than the maximum of 1"),
        (["knn", "genus_accuracy"], float("nan"), r"^\$\.knn\.genus_accuracy: expected a finite number"),
        (["novelty", "auroc_interval"], [0.5], r"^\$\.novelty\.auroc_interval: .*too short"),
        (["knn", "family_accuracy_interval"], [0, "1"], r"^\$\.knn\.family_accuracy_interval\[1\]: .*'number'"),
        (["compression", 1, "bytes"], float("inf"), r"^\$\.compression\[1\]\.bytes: expected a finite number"),
        (["few_shot"], {}, r"^\$\.few_shot: .*not of type 'array'"),
        (["comparisons", "kmer_4", "p_value"], -0.1, r"^\$\.comparisons\.kmer_4\.p_value: .*minimum of 0"),
        (["provenance", "data"], [], r"^\$\.provenance\.data: "),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(path, value, position):
    with pytest.raises(ConfigurationError, match=position):
        validate_results(changed(path, value))


def test_a_message_stays_short_whatever_is_wrong():
    with pytest.raises(ConfigurationError) as error:
        validate_results(changed(["knn", "by_order"], {f"order {number}": number for number in range(1000)}))
    assert len(str(error.value)) < 400


def test_the_package_jsonschema_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'barcodemae\[evaluate\]'"):
        validate_results(full_results())


def test_a_file_is_read_as_it_was_written(tmp_path):
    results = full_results()
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    assert load_results(file) == results


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", UnreadableFileError, "expected a JSON file"),
        ("[]", UnreadableFileError, "expected a JSON object, got list"),
        ('{"schema_version": 2}', ConfigurationError, "expected results of version 3, got version 2"),
        ('{"points": []}', ConfigurationError, "expected results of version 3, got version unknown"),
        ('{"schema_version": 3}', ConfigurationError, r"\$: .*'provenance' is a required property"),
    ],
)
def test_files_that_are_no_results(text, error, message, tmp_path):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(error, match=f"results.json: {message}"):
        load_results(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"missing\.json: expected a JSON file"):
        load_results(tmp_path / "missing.json")
