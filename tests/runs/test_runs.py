"""Runs read back: the table, what a condition may say and what it may not, and paired comparisons."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from medutils import cli
from medutils.errors import InputError
from medutils.evaluation import Task, binary, compare, evaluate, multiclass
from medutils.runs import compare_runs, export, filtered, find_run, runs_table

SICK = binary("sick", "well")


def predictions(seed: int, skill: float, classes: tuple[str, ...] = ("well", "sick"), shift: int = 0) -> pd.DataFrame:
    """Guesses at 60 rows of 40 patients, which differ with the seed; the rows do not, but by `shift`."""
    truth = np.random.default_rng(7).integers(len(classes), size=60)
    noise = np.random.default_rng(seed).random((60, len(classes)))
    chance = noise + skill * np.eye(len(classes))[truth]
    chance = (chance / chance.sum(1, keepdims=True)).round(6)
    table = pd.DataFrame({"record_id": [f"r{row + shift}" for row in range(60)]})
    table = table.assign(patient=[f"p{row % 40}" for row in range(60)], y_true=[classes[one] for one in truth])
    return table.assign(**{f"prob_{name}": chance[:, place] for place, name in enumerate(classes)})


def write_run(
    folder: Path, table: pd.DataFrame, task: Task = SICK, chapter: str = "tiny", **parameters: object
) -> pd.DataFrame:
    folder.mkdir(parents=True)
    found = {name: asdict(one) for name, one in evaluate(table, task, "test", 0.5, 100).items()}
    plain = json.loads(pd.Series(found).to_json())  # NaN as null
    results = {
        "chapter": chapter,
        "profile": "smoke",
        "data": {"name": "spine", "kind": "phantom"},
        "parameters": {"seed": 0, "data": "phantom", **parameters},
        "versions": {"torch": "2"},
        "seconds": 1.5,
        "metrics": {f"network.{name}": one for name, one in plain.items()},
    }
    (folder / "results.json").write_text(json.dumps(results))
    table.assign(model="network", rows="test").to_csv(folder / "predictions.csv", index=False, float_format="%.6g")
    return table


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    for number, (epochs, skill) in enumerate(((5, 0.1), (50, 0.9), (50, 0.2))):
        write_run(place / "runs" / f"{number}abc", predictions(number, skill), epochs=epochs, rule="youden")
    return place


def test_the_table_has_a_row_a_run_and_what_a_sweep_is_writing_counts_for_nothing(place: Path, tmp_path: Path):
    write_run(place / "runs" / ".3abc.1234.part", predictions(0, 0.1))
    table = runs_table(place)
    assert table["run"].tolist() == [f"runs/{number}abc" for number in range(3)]
    assert table["epochs"].tolist() == [5, 50, 50]
    assert (table["network.auroc_low"] <= table["network.auroc"]).all()
    assert set(table["version_torch"]) == {"2"} and set(table["seconds"]) == {1.5}
    assert table.attrs["parameters"] == ["seed", "epochs", "rule"]
    export(table, tmp_path / "t.csv", tmp_path / "t.parquet")
    for again in (pd.read_csv(tmp_path / "t.csv"), pd.read_parquet(tmp_path / "t.parquet")):
        assert again["network.auroc"].tolist() == pytest.approx(table["network.auroc"].tolist())
        assert list(again) == list(table)


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("auroc > .9 and epochs == 50", "1"),
        ("network.auroc > .9 or epochs < 10", "01"),
        ("not (epochs == 50)", "0"),
        ("1 < epochs <= 5", "0"),
        ("50 == epochs", "12"),
        ("epochs in (5, 7)", "0"),
        ("epochs not in [5]", "12"),
        ("rule == 'youden' and chapter != \"spine_mlp\"", "012"),
        ("`network.auroc` > .9", "1"),
        ("auroc > -1", "012"),
        ("auroc_low > 2", ""),
    ],
)
def test_a_condition_chooses_runs(place: Path, condition: str, runs: str):
    assert "".join(run.split("/")[1][0] for run in filtered(runs_table(place), condition)["run"]) == runs


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true') == 0",
        "auroc.__class__ == 1",
        "epochs == [x for x in (1,)]",
        "(lambda: 1)() == 1",
        "epochs[0] == 5",
        "epochs + 1 == 6",
        "f'{epochs}' == '5'",
        "epochs",
        "1",
        "epochs = 5",
        "",
        "epochs ==",
        "nothing > 1",
        "rule > 3",
        "(" * 900 + "epochs == 5" + ")" * 900,
        "epochs == " + "1" * 3000,
        "epochs is 5",
    ],
)
def test_a_condition_is_never_executed_and_what_is_no_comparison_is_refused(place: Path, condition: str):
    with pytest.raises(InputError) as caught:
        filtered(runs_table(place), condition)
    assert str(caught.value).startswith(("--where: found ", "nothing: found ", "auroc.__class__: found "))
    assert "expected" in str(caught.value)


def test_a_metric_of_several_models_is_asked_for_by_name(place: Path, tmp_path: Path):
    write_run(tmp_path / "run", predictions(0, 0.1))
    content = json.loads((tmp_path / "run/results.json").read_text())
    content["metrics"] |= {"line.auroc": {"value": 0.5}}
    (tmp_path / "run/results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"auroc: found that metric of 2 models \(network.auroc, line.auroc\)"):
        filtered(runs_table(tmp_path), "auroc > 0.4")
    assert len(filtered(runs_table(tmp_path), "auroc == 0.5", model="line")) == 1


def test_two_runs_on_the_same_rows_are_compared_by_the_paired_bootstrap(place: Path):
    told, found = compare_runs(find_run(place, "1"), find_run(place, "0"))
    assert told.to_dict("index") == {"epochs": {"first": 50, "second": 5}}
    expected = compare(predictions(1, 0.9), predictions(0, 0.1), SICK, "test", 0.5)
    row = found.set_index("metric").loc["network.auroc"]
    assert [row[name] for name in ("difference", "low", "high", "n")] == pytest.approx(
        [expected["auroc"].value, expected["auroc"].low, expected["auroc"].high, 40], abs=1e-5
    )
    assert set(found["paired"]) == {""}


def test_runs_of_several_classes_are_compared_in_the_way_they_were_judged(tmp_path: Path):
    classes = ("a", "b", "c")
    for name, seed in (("one", 0), ("two", 1)):
        write_run(tmp_path / name, predictions(seed, 0.5, classes), multiclass(classes))
    found = compare_runs(tmp_path / "one", tmp_path / "two")[1].set_index("metric")
    assert found.loc["network.macro_auroc", ["low", "high"]].notna().all()


def other_rows(folder: Path) -> str:
    write_run(folder, predictions(1, 0.5, shift=1))
    return "other rows"


def without_predictions(folder: Path) -> str:
    write_run(folder, predictions(1, 0.5))
    (folder / "predictions.csv").unlink()
    return "no predictions of both"


def judged_otherwise(folder: Path) -> str:
    table = write_run(folder, predictions(1, 0.5))
    table.assign(prob_sick=0.5, prob_well=0.5, model="network", rows="test").to_csv(
        folder / "predictions.csv", index=False
    )
    return "judged in a way that predictions.csv does not tell"


@pytest.mark.parametrize("write", [other_rows, without_predictions, judged_otherwise])
def test_without_the_same_rows_there_is_a_difference_and_no_interval(tmp_path: Path, write):
    write_run(tmp_path / "one", predictions(0, 0.5))
    why = write(tmp_path / "two")
    row = compare_runs(tmp_path / "one", tmp_path / "two")[1].set_index("metric").loc["network.auroc"]
    assert row["difference"] == pytest.approx(row["first"] - row["second"])
    assert row["paired"] == why and ("low" not in row or pd.isna(row["low"]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{place}/nowhere"], "nowhere: found no folder; expected one with runs in it"),
        (["{empty}"], "found no results.json, here or in a folder below"),
        (["{broken}"], "results.json: found no results of a run; expected JSON as a chapter writes it"),
        (["{place}", "--compare", "0", "9"], "run '9': found none in"),
        (["{place}", "--sort", "nothing"], "nothing: found no parameter and no metric of that name"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(place: Path, tmp_path: Path, arguments: list[str], sentence: str):
    for name in ("empty", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken/results.json").write_text('{"metrics": []}')
    names = {"place": place, "empty": tmp_path / "empty", "broken": tmp_path / "broken"}
    done = CliRunner().invoke(cli.app, ["runs", *(word.format(**names) for word in arguments)])
    assert isinstance(done.exception, InputError)
    assert sentence in str(done.exception)


def test_the_command_lists_sorts_filters_compares_and_writes(place: Path, tmp_path: Path):
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(cli.app, ["runs", str(place), *arguments], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.exception
        return done.stdout

    listed = said("--sort", "auroc", "--csv", str(tmp_path / "t.csv"))
    assert "3 runs in" in listed and listed.index("1abc") < listed.index("0abc")
    assert pd.read_csv(tmp_path / "t.csv")["network.auroc"].is_monotonic_decreasing
    assert "1 of 3 runs in" in said("--where", "auroc > .9 and epochs == 50")
    compared = said("--compare", "1", "0")
    assert "network.auroc" in compared and " to +" in compared
