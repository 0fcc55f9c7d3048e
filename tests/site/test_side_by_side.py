"""Notebooks executed side by side: within cores and memory, each told for itself, and none left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from papermill.exceptions import PapermillExecutionError

from medutils import run
from medutils.errors import InputError
from medutils.run import Executed, Supervision
from medutils.site import side_by_side
from medutils.site.side_by_side import execute, former_seconds, remaining


def executed(folder: Path, name: str, work: Callable[[Supervision], object]) -> Executed:
    def make(_: bool, under: Supervision) -> None:
        work(under)
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "notebook.ipynb").write_text("{}")

    return Executed(name, folder / name, "key", ("notebook.ipynb",), make)


@pytest.mark.parametrize(("room", "cores", "at_once", "each"), [(2, 2, 2, 1), (1, 2, 1, 2), (4, 8, 4, 2), (9, 8, 5, 1)])
def test_as_many_run_at_once_as_there_is_room_for_and_share_the_cores(
    room: int, cores: int, at_once: int, each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(side_by_side, "fitting", lambda: room)
    monkeypatch.setattr(side_by_side, "cpu_count", lambda: cores)
    meeting = threading.Barrier(at_once)
    lock, now, most = threading.Lock(), [0], [0]

    def work(under: Supervision) -> None:
        assert under.cores == each
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        if len(met) < at_once:
            met.append(1)
            meeting.wait(20)
        time.sleep(0.05)
        with lock:
            now[0] -= 1

    met: list[int] = []
    said: list[str] = []
    execute([executed(tmp_path, f"page{number}", work) for number in range(5)], said.append)
    assert most[0] == at_once
    assert [line.split()[2] for line in said] == ["executed"] * 5


def test_one_that_fails_stops_no_other_and_its_cell_and_error_come_last(tmp_path: Path):
    def fail(_: Supervision) -> None:
        raise PapermillExecutionError(12, 3, "", "ValueError", "no\nsuch level", "")

    def refuse(_: Supervision) -> None:
        raise InputError("data: found nothing; expected a folder")

    works = {"one": fail, "two": lambda _: None, "three": refuse}
    said: list[str] = []
    notebooks = [executed(tmp_path, name, work) for name, work in works.items()]
    with pytest.raises(InputError, match=r"^2 of 3 notebooks failed \("):
        execute(notebooks, said.append)
    assert sorted(said[-2:]) == [
        "one: cell 12: ValueError: no such level",
        "three: data: found nothing; expected a folder",
    ]
    assert {line.split()[1]: line.split()[2] for line in said[:-2]} == {
        "one": "failed",
        "two": "executed",
        "three": "failed",
    }
    assert [one.changed for one in notebooks] == [True, False, True]
    said.clear()
    with pytest.raises(InputError, match=r"^2 of 3"):
        execute(notebooks, said.append)
    assert said[0].split()[1:3] == ["two", "unchanged"]


@pytest.mark.parametrize(
    ("done", "elapsed", "former", "seconds"),
    [
        (0, 0.0, [1.0, 5.0, 2.0], 8.0),
        (2, 3.0, [1.0, 5.0, 2.0], 2.0),
        (2, 3.0, [1.0, 5.0], 1.5),
        (0, 0.0, [], None),
    ],
    ids=["as before, all", "as before, the last", "another notebook than before", "nothing to go by"],
)
def test_what_remains_is_what_the_cells_took_before(done: int, elapsed: float, former: list[float], seconds):
    assert remaining(done, 3, elapsed, former) == seconds


def test_the_seconds_of_cells_are_read_from_what_was_executed_before(tmp_path: Path):
    cells = [nbformat.v4.new_code_cell(metadata={"papermill": {"duration": 2.5}}), nbformat.v4.new_markdown_cell("x")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "done.ipynb")
    assert former_seconds(tmp_path / "done.ipynb") == [2.5, 0.0]
    (tmp_path / "broken.ipynb").write_text("{")
    assert former_seconds(tmp_path / "broken.ipynb") == former_seconds(tmp_path / "nowhere.ipynb") == []


def test_a_kernel_is_given_its_cores_and_variables_and_this_process_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = {}

    def execute_notebook(*_: object, km, **__: object) -> None:
        found.update(km.start_kernel.keywords["env"])
        assert dict(os.environ) == before

    before = dict(os.environ)
    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    run._papermill(tmp_path / "x.ipynb", {}, tmp_path, False, "book", Supervision(cores=3))
    given = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "MEDUTILS_RENDERER", "MEDUTILS_TERMINAL")
    assert [found[name] for name in given] == ["3", "3", "book", ""]
    assert found["IPYTHONDIR"] != before.get("IPYTHONDIR")


SCRIPT = """
import sys
from pathlib import Path
from medutils import cli
from medutils.run import Executed, _papermill
from medutils.site import side_by_side
side_by_side.fitting = lambda: 2
folder = Path(sys.argv[1])

def make(progress, under):
    _papermill(folder / "page.ipynb", {}, folder, False, "book", under)

cli.app = lambda: side_by_side.execute([Executed(n, folder / n, "", (), make) for n in "ab"], print)
cli.main()
"""


@pytest.mark.slow
def test_an_interrupt_ends_all_that_run(tmp_path: Path):
    lines = ("import os, time", "from pathlib import Path", "time.sleep(600)")
    touch = f"Path({str(tmp_path)!r}, f'at{{os.getpid()}}').touch()"
    cell = nbformat.v4.new_code_cell("\n".join([*lines[:2], touch, lines[2]]), id="work")
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), tmp_path / "page.ipynb")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    start = time.monotonic()
    while len(at := list(tmp_path.glob("at*"))) < 2:
        assert time.monotonic() - start < 300
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "medutils: interrupted\n")
    assert "executed" not in out
    assert not [path for path in at if psutil.pid_exists(int(path.name.removeprefix("at")))]
