"""`medutils predict` on tables: a decision for each line, and one sentence for what cannot be judged."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from medutils.cli import app
from medutils.errors import InputError
from medutils.export import About, TableInput, TrainedOn, save_model
from medutils.models.mlp import SpineMLP


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose network's logit is the standardised angle where that is above 0, and 0 elsewhere."""
    network = SpineMLP(2, 1, 0.0, batch_normalisation=False).eval()
    with torch.no_grad():
        for part in network.parameters():
            part.fill_(1.0 if part.ndim == 2 else 0.0)
        network[0].weight[0, 1] = 0.0
    about = About(
        title="A tiny network",
        reads=TableInput(
            columns=("angle", "slip"), mean=(40, 1), scale=(10, 2), hidden=1, dropout=0, batch_normalisation=False
        ),
        classes=("well", "ill"),
        threshold=0.52,
        threshold_rule="given",
        temperature=0.05,
        data=TrainedOn(name="clinic", kind="real", sha256="0" * 64),
    )
    save_model(tmp_path / "run" / "model.pt", network, about)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "run"


def predict(content: str, *options: str, name: str = "rows.csv") -> Result:
    Path(name).write_text(content)
    return CliRunner().invoke(app, ["predict", "run", name, *options])


def test_each_line_has_probabilities_and_a_decision(run: Path):
    done = predict("name;slip;angle\nAnn;1;40\n\nBob;1;40.05\n", "--json")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert [first[key] for key in ("file", "line", "decision")] == ["rows.csv", 2, "well"]
    assert [second[key] for key in ("line", "decision", "trained_on")] == [4, "ill", "clinic (real data)"]
    assert first["prob_ill"] == 0.5
    assert second["prob_ill"] == pytest.approx(1 / (1 + math.exp(-0.005 / 0.05)), abs=1e-6)
    assert "columns that the model does not take, ignored: name" in done.stderr
    assert "no temperature calibrates this network" in done.stderr


def test_the_same_is_shown_as_a_table(run: Path):
    done = predict("angle,slip\n60,1\n")
    assert done.exit_code == 0, done.output
    for words in ("A tiny network, trained on clinic (real data)", "0.5200 on", "rows.csv", "prob_well", "1.0000"):
        assert words in done.stdout, done.stdout
    assert "Not for clinical use" in done.stdout and "ignored" not in done.stderr


def test_cells_that_are_no_number_are_named_by_line_and_the_other_rows_are_judged(run: Path):
    done = predict("angle,slip\n60,1\nhigh,?\n,1\n1e999,1\nnan,1\n40,1\n", "--json")
    assert [row["line"] for row in json.loads(done.stdout)] == [2, 7]
    named = [line for line in done.stderr.splitlines() if ": line " in line]
    assert [line.split("; ")[0] for line in named] == [
        "medutils: rows.csv: line 3: angle is 'high'",
        "medutils: rows.csv: line 4: angle is ''",
        "medutils: rows.csv: line 5: angle is '1e999'",
        "medutils: rows.csv: line 6: angle is 'nan'",
    ]
    assert str(done.exception) == "INPUT: left out 4 of 6 rows, named above; expected to judge all"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("angle,name\n60,Ann\n", "rows.csv: found no column 'slip'; its columns are angle, name"),
        ("", "rows.csv: found no header line"),
        ("angle,slip\n", "rows.csv: found 0 rows; expected at least 1"),
        ("angle,slip\nhigh,1\n", "rows.csv: line 2: angle is 'high'; expected a number from"),
        ("angle,slip,angle\n1,2,3\n", "the column 'angle' more than once"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused_in_one_sentence(content: str, words: str, run: Path):
    done = predict(content)
    assert isinstance(done.exception, InputError) and words in str(done.exception), done.exception
    assert "\n" not in str(done.exception) and done.stdout == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["film.png"], "film.png: found an image; expected a CSV table"),
        (["run"], "run: found a folder; expected a CSV table"),
        (["zeros.csv"], "zeros.csv: byte 3 is not UTF-8 text, nor is the file Windows-1252; expected a CSV table"),
        (["nowhere.csv"], "nowhere.csv: no such file"),
        (["/dev/zero"], "/dev/zero: found neither file nor folder"),
        (["rows.csv", "--gradcam", "maps"], "a model for a table; expected one for films"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(given: list[str], words: str, run: Path):
    Image.new("L", (8, 8)).save("film.png")
    Path("rows.csv").write_text("angle,slip\n60,1\n")
    Path("zeros.csv").write_bytes(b"abc" + bytes(9))
    done = CliRunner().invoke(app, ["predict", "run", *given])
    assert isinstance(done.exception, InputError) and words in str(done.exception), done.exception
    assert "\n" not in str(done.exception) and done.stdout == "" and not Path("maps").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_model_is_read_from_a_file_alone(make, run: Path):
    (run / "model.pt").unlink()
    make(run / "model.pt")
    done = predict("angle,slip\n60,1\n")
    assert str(done.exception) == "run/model.pt: found no file; expected one written by medutils"
