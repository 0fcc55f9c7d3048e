"""The command line as a user meets it: one sentence, a non-zero exit, and nothing left behind."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medutils import cli
from medutils.data.registry import find
from medutils.errors import InputError
from medutils.files import BOOK


def medutils(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from medutils.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def cpu_seconds() -> float:
    """What processes that were started here have computed: a loaded machine makes them no slower by it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "epohcs=5"], ["epohcs", "5", "did you mean 'epochs'"]),
        (["-p", "epochs=many"], ["epochs", "many", "a whole number from 1 to 10000"]),
        (["-p", "epochs=0"], ["epochs", "0", "a whole number from 1 to 10000"]),
        (["-p", "epochs"], ["-p", "NAME=VALUE"]),
        (["--profile", "quick"], ["profile", "quick", "smoke, demo, full"]),
        (["--data", "nowhere.csv"], ["nowhere.csv", "does not exist", "openml"]),
        (["--data", ""], ["data: found ''", "text that is not empty"]),
        (["-p", "data=phantom", "--data", "auto"], ["data: found both 'phantom' and 'auto'"]),
        (["-p", "profile=quick"], ["profile", "quick", "smoke, demo, full"]),
    ],
)
def test_a_mistake_ends_within_five_seconds_and_writes_nothing(arguments: list[str], words: list[str], tmp_path: Path):
    start = cpu_seconds()
    done = medutils("run", "spine_mlp", *arguments, "--out", "results", folder=tmp_path)
    assert cpu_seconds() - start < 5
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "epohcs", "5"], "parameter 'epohcs' (found 5) is not known; spine_mlp allows "),
        (["-p", "epochs", "many"], "epochs: found 'many'; expected a whole number from 1 to 10000"),
        (["-p", "data", "nowhere.csv"], "data: nowhere.csv does not exist; expected "),
        (
            ["-p", "out", "taken/results"],
            "taken/results: not a directory; expected a folder, found a file in this path",
        ),
    ],
)
def test_plain_papermill_ends_with_the_same_sentence(arguments: list[str], sentence: str, tmp_path: Path):
    (tmp_path / "taken").touch()
    given = ["-p", "data", "phantom", "-p", "out", "results", *arguments]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(BOOK / "spine_mlp.ipynb"),
        "out.ipynb",
        *given,
        "--no-progress-bar",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.rstrip().splitlines()[-1].startswith(f"InputError: {sentence}"), done.stderr
    assert "medutils/" not in done.stderr  # none of the code that it came through
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.ipynb", "taken"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--part", "../x"], "--part: found '../x'; expected a name of letters"),
        (["-p", "data=phantom"], "a reference run needs real data, found phantom; set MEDUTILS_DATA"),
        (["-p", "data={real}"], "{book}/reference/spine_mlp.json: found no results of a run; expected JSON"),
    ],
)
def test_a_reference_run_that_would_be_for_nothing_is_not_started(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("medutils.run.run_chapter", lambda *_, **__: pytest.fail("it was started"))
    monkeypatch.setattr("medutils.evidence.reference.BOOK", tmp_path)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "spine_mlp.json").write_text('{"data": ')
    shutil.copy(find("spine", "phantom").path, tmp_path / "real.csv")
    given = [word.format(real=tmp_path / "real.csv") for word in arguments]
    done = CliRunner().invoke(cli.app, ["reference", "spine_mlp", *given])
    assert str(done.exception).startswith(sentence.format(book=tmp_path)), done.exception


@pytest.mark.parametrize("command", [["book"], ["run", "spine_mlp"]])
def test_a_file_is_no_folder_to_write_into(command: list[str], tmp_path: Path):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(cli.app, [*command, "--out", str(tmp_path / "file" / "deep")])
    assert str(done.exception) == f"out: {tmp_path / 'file'} is a file; expected a folder"


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path):
    done = medutils("run", "spine_mlp", "--epochs", "5", folder=tmp_path)
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_chapters_lists_type_default_range_and_meaning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    cli.chapters()
    printed = capsys.readouterr().out
    for words in ("learning_rate", "a number above 0 to 1", "0.0001", "Adam's first step size", "profile smoke:"):
        assert words in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_from_outside_leaves_nothing(number: signal.Signals, tmp_path: Path):
    script = "import os, medutils.run, medutils.cli as c, medutils.files as f\n" + (
        "def run(*_, **__):\n"
        "    with f.scratch(f.Path('results')):\n"
        f"        os.kill(os.getpid(), {number:d})\n"
        "medutils.run.run_chapter = run\n"
        "c.main()"
    )
    done = subprocess.run([sys.executable, "-c", script, "run", "spine_mlp"], cwd=tmp_path, check=False)
    assert done.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_bad_data_is_refused_from_inside_the_notebook_and_leaves_nothing(tmp_path: Path):
    table = tmp_path / "table.csv"
    table.write_text("a,b,Class_att\n" + "\n".join(f"{n},{n * n % 7},Normal" for n in range(60)) + "\n")
    done = medutils("run", "spine_mlp", "--data", str(table), "--out", "results", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"medutils: {table}: Class_att is 'Abnormal' in 0 rows; expected at least 10 of each class"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_part_of_a_reference_run_keeps_what_is_new_and_leaves_the_run_as_it_is(tmp_path: Path, monkeypatch):
    def run(_: str, __: dict, out: Path, **___: object) -> None:
        (out / "results.json").write_text(json.dumps(results))

    monkeypatch.setattr("medutils.run.run_chapter", run)
    monkeypatch.setattr("medutils.evidence.reference.BOOK", tmp_path)
    monkeypatch.setenv("MEDUTILS_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "spine").mkdir(parents=True)
    shutil.copy(find("spine", "phantom").path, tmp_path / "data" / "spine")
    results = {"data": {"kind": "real"}, "metrics": {"x": {"value": 1}}, "experiments": {"seeds": {"a": [1]}}}
    cli.reference("spine_mlp")
    whole = (tmp_path / "reference" / "spine_mlp.json").read_text()
    results["experiments"] = {"seeds": {"a": [5], "b": [2]}}
    for _ in range(2):  # the second time it takes the place of the first
        cli.reference("spine_mlp", part="more")
        part = json.loads((tmp_path / "reference" / "spine_mlp.more.json").read_text())
        assert (part["metrics"], part["experiments"]) == ({}, {"seeds": {"b": [2]}})
    assert (tmp_path / "reference" / "spine_mlp.json").read_text() == whole
    with pytest.raises(InputError, match="--only: found 'seeds' without a part"):
        cli.reference("spine_mlp", only="seeds")
