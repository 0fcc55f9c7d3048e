"""The numbers on the page: claims and their status, the reference run and its parts, and what a run keeps."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils import evidence
from medutils.chapters import all_chapters, resolve
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.evaluation import Estimate, binary, grades
from medutils.evidence import Claim, Results, held_against, ledger, load_reference, look_up, new_numbers, shown, status

CLAIM = {"id": "a", "what": "an accuracy", "section": "1", "words": "0.85"}


@pytest.mark.parametrize("name", all_chapters())
def test_every_claim_is_answered_by_the_reference_run_or_says_why_not(name: str):
    reference = load_reference(name)
    assert reference is None or reference["profile"] == "full"
    for claim, row in ledger(name).iterrows():
        assert row["status"] in evidence.WORDS, claim
        assert row["reason"], claim


@pytest.mark.parametrize("name", all_chapters())
def test_a_reference_run_holds_no_path_of_the_machine_it_was_made_on(name: str):
    assert not [text for text in re.findall(r'"([^"]*)"', json.dumps(load_reference(name))) if Path(text).is_absolute()]


def test_no_number_that_is_exact_differs_but_for_the_two_that_the_chapters_tell():
    differs = {claim for name in all_chapters() for claim, row in ledger(name).iterrows() if row["status"] == "differs"}
    assert {"all_positive", "samples_stated"} <= differs


@pytest.mark.parametrize(
    ("reported", "runs", "word"),
    [
        (0.85, [0.84, 0.85, 0.86, 0.85, 0.84], "agrees"),
        (0.95, [0.84, 0.85, 0.86, 0.85, 0.84], "differs"),
        (0.85, [0.70, 0.85, 0.99], "too few to tell"),  # so wide that anything would agree
        (0.85, [0.85, 0.85], "too few to tell"),
        (0.85, [], "too few to tell"),
        (0.85, [0.85, 0.85, 0.85], "agrees"),
        (0.95, [0.70, 0.85, 0.99], "too few to tell"),
    ],
)
def test_a_reported_number_is_held_against_the_spread_of_single_runs(reported: float, runs: list[float], word: str):
    found = held_against(reported, runs, 0.005, share=True)
    assert found.word == word
    ends = re.findall(r"gives (\S+) to (\S+) ", found.reason)
    assert all(0 <= float(end) <= 1 for pair in ends for end in pair)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"value": 0.85, "why": "no data"}, "cannot be answered"),
        ({"value": 0.85, "result": "metrics/net.accuracy", "why": "another split"}, "cannot be answered"),
        ({"value": 0.85, "result": "metrics/absent"}, "cannot be answered"),
        ({"value": 0.85, "result": "metrics/nan.accuracy"}, "cannot be answered"),
        ({"value": 0.85, "result": "metrics/net.accuracy"}, "too few to tell"),
        ({"value": 0.85, "result": "metrics/net.accuracy", "runs": "experiments/seeds/net"}, "agrees"),
        ({"value": 85.0, "unit": "%", "result": "metrics/net.accuracy", "runs": "experiments/seeds/net"}, "agrees"),
        ({"value": 0.95, "result": "metrics/net.accuracy", "runs": "experiments/seeds/net"}, "differs"),
        ({"value": 0.85, "result": "metrics/net.accuracy", "runs": "experiments/seeds/broken"}, "too few to tell"),
        ({"value": 0.85, "result": "metrics/net.accuracy", "runs": "experiments/seeds/mended"}, "agrees"),
        ({"value": 0.31, "result": "metrics/net.f1", "runs": "experiments/seeds/wide"}, "agrees"),
        ({"value": 0.31, "result": "metrics/net.log_loss", "runs": "experiments/seeds/wide"}, "too few to tell"),
        ({"value": 62.0, "result": "experiments/split/rows", "exact": True}, "agrees"),
        ({"value": 63.0, "result": "experiments/split/rows", "exact": True}, "differs"),
        ({"value": 0.742, "result": "experiments/split/share", "exact": True}, "agrees"),
        ({"value": [[1.0, 2.0]], "result": "experiments/split/matrix", "exact": True}, "agrees"),
        ({"value": [[1.0, 2.0]], "result": "experiments/split/rows", "exact": True}, "differs"),
        ({"value": [0.1, 0.2], "result": "experiments/seeds/net"}, "too few to tell"),
    ],
)
def test_a_claim_has_a_status_and_a_reason(fields: dict, word: str):
    results = {
        "metrics": {
            "net.accuracy": {"value": 0.85, "low": 0.5, "high": 1.0},
            "nan.accuracy": {"value": float("nan")},
            "net.f1": {"value": 0.3},
            "net.log_loss": {"value": 0.3},
        },
        "experiments": {
            "seeds": {
                "net": [0.84, 0.85, 0.86, 0.85],
                "broken": [float("nan"), None, 0.85, 0.85],
                "mended": [0.84, 0.85, 0.86, 0.85, float("nan"), None],
                "wide": [0.27, 0.30, 0.30, 0.33],
            },
            "split": {"rows": 62, "share": 0.74199, "matrix": [[1, 2]]},
        },
    }
    found = status(Claim(**CLAIM, **fields), results)
    assert found.word == word
    assert found.reason


@pytest.mark.parametrize(("words", "word"), [("a share of 0.5", "agrees"), ("a share of 0.5000 in 1 of 2", "differs")])
def test_a_number_is_as_exact_as_it_was_printed(words: str, word: str):
    claim = Claim(**CLAIM | {"words": words}, value=0.5, result="share", exact=True)
    assert status(claim, {"share": 0.54}).word == word


def test_a_claim_that_is_not_answered_must_say_why():
    with pytest.raises(ValueError, match="expected one of them"):
        Claim(**CLAIM, value=1.0)


def _reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: dict) -> None:
    monkeypatch.setattr("medutils.evidence.reference.BOOK", tmp_path)
    (tmp_path / "reference").mkdir()
    for name, content in files.items():
        whole = {"data": {"kind": "real"}, "seconds": 1, "metrics": {}, "experiments": {}} | content
        (tmp_path / "reference" / f"{name.replace('__', '.')}.json").write_text(json.dumps(whole))


def test_parts_of_a_reference_run_stand_among_its_numbers_and_keep_their_provenance(tmp_path, monkeypatch):
    _reference(tmp_path, monkeypatch, a={"metrics": {"x": 1}}, a__more={"metrics": {"y": 2}, "seconds": 7}, ab={})
    found = load_reference("a")
    assert found["metrics"] == {"x": 1, "y": 2}
    assert found["parts"]["more"]["seconds"] == 7


def test_a_part_adds_a_further_model_to_an_experiment_and_keeps_only_what_the_reference_lacks(tmp_path, monkeypatch):
    there = {"metrics": {"x": {"value": 1}}, "experiments": {"seeds": {"a": [1, 2]}, "films": 3}}
    again = {
        "metrics": {"x": {"value": 9}, "y": {"value": 2}},
        "experiments": {"seeds": {"a": [7], "b": [4]}, "films": 4},
    }
    _reference(tmp_path, monkeypatch, a=there, a__more=again)
    with pytest.raises(InputError, match="found metrics/x/value, which"):
        load_reference("a")
    part = new_numbers(again, there)
    assert part == {"metrics": {"y": {"value": 2}}, "experiments": {"seeds": {"b": [4]}}}
    assert new_numbers(again, there, ["see"]) == {"metrics": {}, "experiments": {"seeds": {"b": [4]}}}
    (tmp_path / "reference" / "a.more.json").write_text(json.dumps({"data": {"kind": "real"}} | part))
    assert load_reference("a")["experiments"] == {"seeds": {"a": [1, 2], "b": [4]}, "films": 3}


@pytest.mark.parametrize(
    ("part", "what"),
    [({"metrics": {"x": 1}}, "found metrics/x, which"), ({"data": {"kind": "phantom"}}, "of a phantom")],
)
def test_a_part_that_gives_a_number_again_or_is_of_a_phantom_is_refused(tmp_path, monkeypatch, part, what):
    _reference(tmp_path, monkeypatch, a={"metrics": {"x": 1}}, a__more=part)
    with pytest.raises(InputError, match=what):
        load_reference("a")


@pytest.mark.parametrize(
    ("path", "found"), [("a/b", 1), ("a/list/1", 5), ("a/list/9", None), ("a/c", None), ("a/b/c", None), ("x.y", None)]
)
def test_a_path_into_results_leads_to_a_value_or_to_nothing(path: str, found: object):
    assert look_up({"a": {"b": 1, "list": [4, 5]}}, path) == found


ROWS = pd.DataFrame(
    {
        "record_id": ["r1", "r2", "r3"],
        "patient": ["p1", "p2", "p3"],
        "y_true": ["ill", "well", "ill"],
        "prob_ill": [0.75, 0.4, 0.5],
        "prob_well": [0.25, 0.6, 0.5],
    }
)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    data = tmp_path / "table.csv"
    data.write_text("a\n1\n")
    parameters = resolve("spine_mlp", {"seed": 3, "resamples": 20}).model_dump()
    return Results("spine_mlp", parameters, Located("spine", "phantom", data), binary("ill", "well"))


def test_a_run_that_judges_no_model_has_predictions_without_a_row(results: Results, tmp_path: Path):
    results.experiment("films", count=3)
    results.write(str(tmp_path))
    assert pd.read_csv(tmp_path / "predictions.csv").empty
    assert json.loads((tmp_path / "results.json").read_text())["experiments"] == {"films": {"count": 3}}


def test_one_call_keeps_metrics_and_rows_and_results_json_has_what_was_promised(results: Results, tmp_path: Path):
    found = results.judge("mlp", ROWS, "validation")
    results.judge("mlp.as_written", ROWS, "validation", 0.6, keep_rows=False)
    results.compare("nothing", ROWS, ROWS, "validation")
    results.experiment("split", train=np.int64(248), validation=62, gap=float("nan"))
    results.split = pd.DataFrame(
        {"record_id": ["r1"], "patient": ["p1"], "label": ["ill"], "source": ["s"], "split": ["train"], "path": [""]}
    )
    results.write(str(tmp_path))
    written = json.loads((tmp_path / "results.json").read_text())
    assert {"chapter", "profile", "data", "parameters", "seed", "versions", "seconds", "metrics", "experiments"} <= set(
        written
    )
    assert written["data"]["kind"] == "phantom"
    assert len(written["data"]["sha256"]) == 64
    assert written["seed"] == 3
    assert written["metrics"]["mlp.accuracy"]["value"] == found["accuracy"].value == 1
    assert written["metrics"]["mlp.as_written.sensitivity"]["value"] == 0.5
    assert written["metrics"]["nothing.f1"]["value"] == 0
    assert written["experiments"]["split"] == {"train": 248, "validation": 62, "gap": None}
    assert "ot for clinical use" in written["notice"]
    assert pd.read_csv(tmp_path / "predictions.csv")["model"].tolist() == ["mlp"] * 3
    assert json.loads((tmp_path / "split.json").read_text())["split"] == {"r1": "train"}


@pytest.mark.parametrize("name", ["from fresh weights", "", "a/b", "raw, 0 to 255"])
def test_keys_are_names_and_no_display_text(results: Results, name: str):
    with pytest.raises(InputError, match="expected letters"):
        results.experiment(name, value=1)


def test_three_grades_are_kept_by_the_same_call(tmp_path: Path):
    data = tmp_path / "table.csv"
    data.write_text("a\n1\n")
    task = grades(["Normal", "Moderate", "Severe"])
    found = Results("any", {"seed": 0, "resamples": 10}, Located("x", "real", data), task)
    table = pd.DataFrame(
        {
            "record_id": list("abcd"),
            "patient": list("abcd"),
            "target": "canal",
            "y_true": ["Normal", "Severe", "Moderate", ""],
            "prob_Normal": [0.8, 0.1, 0.2, 0.4],
            "prob_Moderate": [0.1, 0.2, 0.7, 0.3],
            "prob_Severe": [0.1, 0.7, 0.1, 0.3],
        }
    )
    assert found.judge("model", table, "test")["kappa_linear"].value == 1
    assert found.metrics["model.sensitivity[Severe]"].value == 1


def test_reported_reference_and_this_run_are_numbers_and_become_text_only_to_be_shown(results: Results):
    results.experiment("split", train=248, validation=62)
    results.add("mlp", {"f1": Estimate(0.9, 0.8, 0.95, 62, "validation")})
    table = results.ledger()
    assert table.loc["train_rows", ["reported", "reference", "run"]].tolist() == [248, 248, 248]
    text = shown(table, results.on_what)
    assert list(text.columns)[:3] == ["Reported", "Reference run (real data)", "This run (phantom)"]
    assert text.loc["Training rows"].tolist()[:4] == ["248 rows", "248 rows", "248 rows", "agrees"]
    assert text.loc["Training time", "Reported"] == "18.311 s"  # as it was written, to the last digit
    assert text.loc["Epoch with the highest validation F1", "This run (phantom)"] == "–"
    both = results.against_reference(["mlp.f1", "experiments/split/train"])
    assert both.loc["mlp.f1", "run_low"] == 0.8
    assert shown(both, "phantom").loc["mlp.f1", "This run (phantom)"] == "0.900 (0.800 to 0.950)"
