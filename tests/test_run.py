"""Running a chapter: what fails is named by where the user asked for it; a run that is ended leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from medutils.chapters import all_chapters, get_chapter, resolve
from medutils.data.films import open_films
from medutils.data.spine import find_spine, open_spine
from medutils.data.splits import records_hash, save_split, split_by_patient
from medutils.errors import InputError
from medutils.plots import counter
from medutils.run import chapter_key, run_chapter


def test_a_table_is_checked_before_the_notebook_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("the notebook was started"))
    with pytest.raises(InputError, match="found no column 'diagnosis'"):
        run_chapter("spine_mlp", {"data": "phantom", "class_column": "diagnosis"}, tmp_path / "asked", "smoke")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A split of the phantom by chapter, such as a run of it saves, and not the chapter's own."""
    folder = tmp_path_factory.mktemp("splits")
    rows = open_spine("phantom")[0]
    save_split(rows.assign(split=["validation", *["train"] * 9] * 31), folder / "spine_mlp.json")
    films = split_by_patient(open_films("phantom").records.assign(split=""), seed=5)
    save_split(films, folder / "pneumonia_cnn.json")
    return {path.stem: path for path in folder.iterdir()}


BAD_SPLITS = {
    "missing": (None, "no such file or directory"),
    "no JSON": (lambda _: "split", "not a saved split"),
    "no split": (lambda _: '{"metrics": {}}', "not a saved split"),
    "a record too many": (lambda saved: saved["split"].update(new="train"), "not in the data: new"),
    "a record too few": (lambda saved: saved["split"].popitem(), "not in the split: "),
    "other records": (lambda saved: saved.update(records_sha256="0" * 64), "saved for other records"),
    "one side": (lambda saved: saved.update(split=dict.fromkeys(saved["split"], "train")), "found no record in valid"),
    "no side": (lambda saved: saved.update(split=dict.fromkeys(saved["split"], "else")), "no known split"),
}


@pytest.mark.parametrize("chapter", all_chapters())
@pytest.mark.parametrize(("change", "words"), BAD_SPLITS.values(), ids=BAD_SPLITS)
def test_a_split_is_checked_before_the_notebook_starts(
    splits: dict[str, Path], chapter: str, change, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("the notebook was started"))
    path = tmp_path / "split.json"
    if change:
        content = json.loads(splits[chapter].read_text())
        text = change(content)
        path.write_text(text if isinstance(text, str) else json.dumps(content))
    given = {"data": "phantom", "split": str(path)}
    with pytest.raises(InputError, match=words) as caught:
        run_chapter(chapter, given, tmp_path / "out", "smoke")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("chapter", "given"), [("pneumonia_cnn", {}), ("spine_mlp", {"patient_column": "Col13"})])
def test_a_patient_on_both_sides_is_refused_before_the_notebook_starts(
    splits: dict[str, Path], chapter: str, given: dict[str, str], tmp_path: Path
):
    content = json.loads(splits[chapter].read_text())
    if chapter == "spine_mlp":
        table = (
            pd.read_csv(find_spine("phantom").path).iloc[:, :13].assign(Col13=[f"p{row // 2}" for row in range(310)])
        )
        table.to_csv(tmp_path / "table.csv", index=False)
        given = {"data": str(tmp_path / "table.csv"), **given}
        content["records_sha256"] = records_hash(open_spine(given["data"], patient_column="Col13")[0])
    else:
        records = open_films("phantom").records
        several = records.groupby("patient")["record_id"].filter(lambda ids: len(ids) > 1)
        first, second = several[records["patient"] == records["patient"][several.index[0]]].iloc[:2]
        content["split"] |= {first: "train", second: "validation"}
        given = {"data": "phantom"}
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"split\.json: patient .* is in .*; expected each patient in one split"):
        run_chapter(chapter, {**given, "split": str(tmp_path / "split.json")}, tmp_path / "out", "smoke")


def test_a_chapters_key_holds_what_its_split_says(splits: dict[str, Path], tmp_path: Path):
    chapter, path = get_chapter("spine_mlp"), tmp_path / "split.json"
    keys = set()
    for text in ("train", "validation"):
        content = json.loads(splits["spine_mlp"].read_text())
        content["split"]["row-0002"] = text
        path.write_text(json.dumps(content))
        keys.add(chapter_key(chapter, resolve("spine_mlp", {"data": "phantom", "split": str(path)}, "smoke")))
    assert len(keys) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("chapter", "side"), [("spine_mlp", "validation"), ("pneumonia_cnn", "test")])
def test_a_run_judges_the_rows_of_the_split_given_and_one_on_its_split_predicts_the_same(
    splits: dict[str, Path], chapter: str, side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = {"profile": "smoke", "data": "phantom"}
    run_chapter(chapter, {**given, "split": str(splits[chapter])}, tmp_path / "one", progress=False)
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")  # papermill itself: paths are those of the folder it is called in
    again = {**given, "split": "../one/split.json", "out": "."}
    papermill.execute_notebook(get_chapter(chapter).notebook, "notebook.ipynb", again, progress_bar=False)
    for name in ("predictions.csv", "split.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    table = pd.read_csv(tmp_path / "one/predictions.csv")
    judged = set(table.loc[table["rows"].str.startswith(side), "record_id"])
    sides = json.loads(splits[chapter].read_text())["split"]
    assert judged == {record for record, where in sides.items() if where == side}


def test_what_a_chapter_cannot_write_is_named_by_the_folder_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def execute(_, notebook: Path, **__) -> None:
        said = f"{notebook.parent / 'results.json'}: no space left on device"
        raise PapermillExecutionError(0, 1, "", "InputError", said, "")

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    with pytest.raises(InputError) as caught:
        run_chapter("spine_mlp", {"data": "phantom"}, tmp_path / "asked", "smoke")
    assert str(caught.value) == f"{tmp_path / 'asked' / 'results.json'}: no space left on device"
    assert list(tmp_path.iterdir()) == []


# --- whole commands, on a notebook of one cell in a chapter's place ---------------------------------------------------

WORK = """
import os, time
from pathlib import Path
from joblib import Parallel, delayed
from medutils.training.workers import end_with

def work(folder, asker, number):
    end_with(asker)
    Path(folder, str(number)).touch()
    time.sleep(300)

list(Parallel(2)(delayed(work)({folder!r}, os.getpid(), number) for number in range(2)))
"""


class Runs:
    """Starts the command in a folder of its own, with a temporary folder of its own, and finds what it leaves."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder, self.temporary = folder, temporary
        (folder / "cwd").mkdir()
        (folder / "ready").mkdir()

    def start(self, cell: str, out: str = "out") -> subprocess.Popen[str]:
        notebook = nbformat.read(get_chapter("spine_mlp").notebook, 4)
        given = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        notebook.cells = [*given, nbformat.v4.new_code_cell(cell.format(folder=str(self.folder / "ready")))]
        nbformat.write(notebook, self.folder / "spine_mlp.ipynb")
        script = (
            f"import pathlib, medutils.chapters as c; c.BOOK = pathlib.Path({str(self.folder)!r})\n"
            "from medutils.cli import main; main()"
        )
        given = ["run", "spine_mlp", "--data", "phantom", "--out", str(self.folder / "out" / out)]
        return subprocess.Popen(
            [sys.executable, "-c", script, *given],
            cwd=self.folder / "cwd",
            env={**os.environ, "TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, files: int) -> None:
        until(lambda: len(names(self.folder / "ready")) >= files)

    def processes(self) -> list[str]:
        """Those that still run with this temporary folder in their environment."""
        mark, found = f"TMPDIR={self.temporary}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def until(true, seconds: float = 60) -> None:
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds
        time.sleep(0.1)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        yield Runs(tmp_path, Path(temporary))


@pytest.mark.slow
def test_two_runs_at_once_in_one_folder_do_not_meet_and_leave_nothing_there(runs: Runs):
    both = [runs.start("import os; print(os.getcwd())", out) for out in ("one", "two")]
    for run in both:
        _, said = run.communicate(timeout=120)
        assert (run.returncode, said) == (0, "")
    assert names(runs.folder / "cwd") == names(runs.temporary) == []
    assert names(runs.folder / "out" / "one") == ["notebook.ipynb"]


@pytest.mark.slow
def test_a_folder_that_another_run_writes_is_refused_in_a_sentence(runs: Runs):
    first = runs.start("import pathlib, time; pathlib.Path({folder!r}, 'here').touch(); time.sleep(8)")
    runs.wait_for(1)
    second = runs.start("")
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    expected = f"medutils: out: {runs.folder / 'out' / 'out'} is being written by another run; expected a folder"
    assert said.startswith(expected) and said.count("\n") == 1
    assert first.wait(60) == 0
    assert names(runs.folder / "out" / "out") == ["notebook.ipynb"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_run_that_is_ended_says_one_line_and_leaves_no_process_and_no_file(runs: Runs, number: int, said: str):
    run = runs.start(WORK)
    runs.wait_for(2)
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out, err) == (128 + number, "", f"medutils: {said}\n")
    assert not (runs.folder / "out").exists()
    assert names(runs.folder / "cwd") == []
    until(lambda: not runs.processes(), 5)
    assert names(runs.temporary) == []


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_sweeps_what_it_wrote(runs: Runs):
    run = runs.start(WORK)
    runs.wait_for(2)
    run.kill()
    until(lambda: not runs.processes(), 10)
    assert names(runs.folder / "cwd") == []
    assert runs.start("").wait(60) == 0
    assert names(runs.folder / "out" / "out") == ["notebook.ipynb"]


def test_progress_leaves_an_empty_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    terminal = tmp_path / "terminal"
    monkeypatch.setenv("MEDUTILS_TERMINAL", str(terminal))
    tell = counter("training")
    tell(1, 2)
    assert terminal.read_bytes() == b"\rtraining 1 of 2 "
    tell(2, 2)
    assert terminal.read_bytes() == b"\r\x1b[K"  # erases the line
