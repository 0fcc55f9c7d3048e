"""`medutils predict` on study folders: a table or JSON, what was missing, and the attention as a file."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from medutils import NOT_FOR_CLINICAL_USE
from medutils.cli import app
from medutils.data.lumbar import TARGETS
from medutils.data.phantoms.lumbar import make_rsna
from medutils.errors import InputError
from tests.export.study_models import write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a phantom study without its first series."""
    folder = tmp_path_factory.mktemp("made")
    make_rsna(folder, studies=1, size=24)
    write(folder / "run" / "model.pt")
    study = next((folder / "train_images").iterdir()).rename(folder / "study")
    table = pd.read_csv(folder / "train.csv", dtype=str).assign(study_id="study")
    table.to_csv(folder / "grades.csv", index=False)
    descriptions = pd.read_csv(folder / "train_series_descriptions.csv", dtype=str)
    gone = descriptions.loc[descriptions["series_description"] == "Sagittal T1", "series_id"].iloc[0]
    shutil.rmtree(study / gone)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def predict(*given: str) -> Result:
    return CliRunner().invoke(app, ["predict", "run", *given])


def test_json_has_a_row_a_target_and_says_what_was_missing(here: Path) -> None:
    done = predict("study", "--json", "--attention", str(here / "attention.csv"))
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["target"] for row in rows] == list(TARGETS)
    first = rows[0]
    assert list(first) == [
        *("study", "target", "condition", "level", "side", "series", "missing"),
        *("prob_Normal/Mild", "prob_Moderate", "prob_Severe"),
        *("decision", "reaches_threshold", "graded", "trained_on", "notice"),
    ]
    assert (first["study"], first["series"], first["missing"]) == ("study", "sagittal_t2, axial_t2", "sagittal_t1")
    assert (first["condition"], first["level"], first["side"]) == ("spinal_canal_stenosis", "l1_l2", "")
    assert first["notice"] == NOT_FOR_CLINICAL_USE and first["trained_on"] == "rsna_lumbar (phantom)"
    grades = pd.read_csv("grades.csv", dtype=str)[list(TARGETS)].iloc[0]
    assert [row["graded"] for row in rows] == [None if pd.isna(grade) else grade for grade in grades]
    assert "Missing: Sagittal T1. What that costs, on 40 phantom studies of its own evaluation: log loss" in done.stderr
    assert pd.read_csv(here / "attention.csv").groupby("series")["weight"].sum().tolist() == pytest.approx([1, 1])


def test_the_table_says_what_it_is_not_for(here: Path) -> None:
    done = predict("study")
    assert done.exit_code == 0 and done.stdout.rstrip().endswith(NOT_FOR_CLINICAL_USE)
    for words in ("A tiny network, trained on rsna_lumbar (phantom); Severe from 0.3000 on", "spinal canal stenosis"):
        assert words in done.stdout, done.stdout


def test_what_cannot_be_judged_is_counted_in_studies(here: Path) -> None:
    done = predict("study", "nowhere", "--json")
    assert str(done.exception) == "INPUT: left out 1 of 2 studies, named above; expected to judge all"
    assert len(json.loads(done.stdout)) == 25 and "nowhere: no such folder" in done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["run"], "run: found no readable DICOM slice"),
        (["grades.csv"], "grades.csv: found no folder"),
        (["/dev/zero"], "/dev/zero: found no folder"),
        (["study", "--gradcam", "maps"], "heat maps: found a model for a study; expected one for films"),
        (["study", "--attention", "study"], "study: found a folder; expected a file"),
        (["study", "--attention", "grades.csv/a.csv"], "grades.csv"),
    ],
)
def test_refusals_are_one_sentence_and_leave_nothing(given: list[str], words: str, here: Path) -> None:
    before = sorted(Path().rglob("*"))
    done = predict(*given)
    assert isinstance(done.exception, InputError) and words in str(done.exception), done.exception
    assert "\n" not in str(done.exception) and done.stdout == "" and sorted(Path().rglob("*")) == before
