"""Running a chapter: what fails is named by where the user asked for it; a run that is ended leaves nothing."""

import ctypes
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
from medutils.data.graded_slices import open_slices
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


def test_a_chapter_that_holds_out_every_patient_takes_no_split(tmp_path: Path):
    with pytest.raises(InputError, match=r"split: found .*; expected none"):
        run_chapter("lumbar_fusion", {"data": "phantom", "split": "split.json"}, tmp_path / "asked", "smoke")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A split of the phantom by chapter, such as a run of it saves, and not the chapter's own."""
    folder = tmp_path_factory.mktemp("splits")
    rows = open_spine("phantom")[0]
    save_split(rows.assign(split=["validation", *["train"] * 9] * 31), folder / "spine_mlp.json")
    films = split_by_patient(open_films("phantom").records.assign(split=""), seed=5)
    save_split(films, folder / "pneumonia_cnn.json")
    films = open_films("phantom", None, dataset="lung_six_class").records
    save_split(split_by_patient(films.assign(split=""), seed=5), folder / "lung_six_class.json")
    save_split(open_slices("phantom", seed=5).records, folder / "lumbar_embeddings.json")
    return {path.stem: path for path in folder.iterdir()}


CROSS_VALIDATED = {"lumbar_fusion"}  # chapters that hold out every patient once, and so take no split
DIVIDED = [name for name in all_chapters() if name not in CROSS_VALIDATED]

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


@pytest.mark.slow
@pytest.mark.parametrize("chapter", DIVIDED)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def without_rights_of_root() -> None:
    """Root may write where no one may; the process that is started now gives that up (`man 7 capabilities`)."""
    if os.geteuid() == 0:
        drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        assert [ctypes.CDLL(None).prctl(drop, right, 0, 0, 0) for right in (override, search)] == [0, 0]


class Runs:
    """Starts the command in a folder of its own, with a temporary folder of its own, and finds what it leaves."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder, self.temporary = folder, temporary
        (folder / "cwd").mkdir()
        (folder / "ready").mkdir()

    def start(self, cell: str, out: str = "out", **environment: str) -> subprocess.Popen[str]:
        """Run a notebook of this cell; `{folder}` in it is where files say that it is at work."""
        notebook = nbformat.read(get_chapter("spine_mlp").notebook, 4)
        given = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        notebook.cells = [*given, nbformat.v4.new_code_cell(cell.format(folder=str(self.folder / "ready")))]
        nbformat.write(notebook, self.folder / "spine_mlp.ipynb")
        script = (
            f"import pathlib, medutils.chapters as c; c.BOOK = pathlib.Path({str(self.folder)!r})\n"
            "from medutils.cli import main; main()"
        )
        asked = ["--out", str(self.folder / "out" / out)] if out else []
        return subprocess.Popen(
            [sys.executable, "-c", script, "run", "spine_mlp", "--data", "phantom", *asked],
            cwd=self.folder / "cwd",
            env={**os.environ, "TMPDIR": str(self.temporary), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=without_rights_of_root,
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


def until(true, seconds: float = 300) -> None:
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
@pytest.mark.parametrize("work", [WORK, WORK.replace("    end_with(asker)\n", "")], ids=["watches", "does not"])
def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_sweeps_what_it_wrote(runs: Runs, work: str):
    run = runs.start(work)
    runs.wait_for(2)
    run.kill()
    until(lambda: not runs.processes(), 30)
    assert names(runs.folder / "cwd") == []
    assert any(name.startswith("medutils-") for name in names(runs.temporary))
    assert runs.start("").wait(300) == 0
    assert names(runs.folder / "out" / "out") == ["notebook.ipynb"]
    assert names(runs.temporary) == []


@pytest.mark.slow
def test_a_sweep_leaves_a_run_that_is_at_work_alone(runs: Runs):
    at_work = runs.start(
        "from pathlib import Path\nimport time\nPath({folder!r}, '1').touch()\n"
        "while not Path({folder!r}, 'go').exists(): time.sleep(0.1)",
        "first",
    )
    runs.wait_for(1)
    used = names(runs.temporary)
    assert runs.start("", "second").wait(60) == 0
    assert names(runs.temporary) == used
    (runs.folder / "ready" / "go").touch()
    assert (at_work.wait(60), names(runs.temporary)) == (0, [])


@pytest.mark.slow
def test_a_run_needs_no_right_to_write_in_the_folder_it_is_started_in_or_in_the_home_folder(runs: Runs):
    home = runs.folder / "home"
    home.mkdir()
    for folder in (home, runs.folder / "cwd"):
        folder.chmod(0o555)
    run = runs.start("", HOME=str(home))
    out, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (0, "")
    assert out.split() == [str(runs.folder / "out" / "out" / "notebook.ipynb")]
    assert names(home) == names(runs.folder / "cwd") == []


@pytest.mark.parametrize(
    ("out", "closed", "said"),
    [
        ("", "cwd", "out: found no right to write in {folder}/cwd; expected another folder, which --out names"),
        ("deep/er", "out", "out: found no right to write in {folder}/out; expected another folder, which --out names"),
        ("here", "cache", "{folder}/cache/medutils: permission denied (the cache; XDG_CACHE_HOME names another folder"),
    ],
    ids=["no --out", "--out", "cache"],
)
def test_a_folder_that_cannot_be_written_is_named_in_one_sentence(runs: Runs, out: str, closed: str, said: str):
    for name in ("out", "cache"):
        (runs.folder / name).mkdir()
    (runs.folder / closed).chmod(0o555)
    run = runs.start("", out, XDG_CACHE_HOME=str(runs.folder / "cache"))
    printed, sentence = run.communicate(timeout=60)
    assert (run.returncode, printed, sentence.count("\n")) == (1, "", 1)
    assert sentence.startswith(f"medutils: {said.format(folder=runs.folder)}"), sentence
    assert names(runs.folder / "out") == names(runs.folder / "cwd") == names(runs.temporary) == []


def test_progress_leaves_an_empty_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    terminal = tmp_path / "terminal"
    monkeypatch.setenv("MEDUTILS_TERMINAL", str(terminal))
    tell = counter("training")
    tell(1, 2)
    assert terminal.read_bytes() == b"\rtraining 1 of 2 "
    tell(2, 2)
    assert terminal.read_bytes() == b"\r\x1b[K"  # erases the line
