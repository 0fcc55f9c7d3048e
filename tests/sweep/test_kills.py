"""A sweep loses nothing that was done, counts nothing that was not, and leaves no process, whatever is killed."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from machine import COMMAND, Machine, cluster

pytestmark = pytest.mark.slow
SECONDS = 900  # for what takes ten on an idle machine

# The command, with a `Path.write_bytes` of its own: results.json of the second run that is written ends in `{end}`.
BROKEN = """
import errno, os, pathlib, signal
write, runs = pathlib.Path.write_bytes, []
def broken(path, content):
    if path.name == "results.json" and "place" in path.parts:
        runs.append(path)
        if len(runs) == 2:
            write(path, content[:20])
            {end}
    return write(path, content)
pathlib.Path.write_bytes = broken
from medutils.cli import main
main()
"""


def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds
        time.sleep(0.2)


def at_work(folder: Path) -> int:
    return len(list(folder.glob("[0-9]*-*")))


def whole(machine: Machine) -> list[float]:
    """The levels of the runs that count, each of which must be whole."""
    found = []
    for key in machine.done():
        run = machine.place / "runs" / key
        assert {path.name for path in run.iterdir()} >= {"notebook.ipynb", "results.json", "predictions.csv"}
        found.append(json.loads((run / "results.json").read_text())["parameters"]["level"])
    return sorted(found)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=SECONDS)
    return process.returncode, err


def test_a_worker_that_is_killed_is_replaced_and_a_point_that_kills_two_is_named(machine: Machine):
    code, err = ended(machine.sweep("-g", "level=1,13,2", "-p", "act=kill", "--workers", "2"))
    assert code == 1
    assert "medutils: level=13: its worker ended each time, as happens when a machine has no memory left\n" in err
    assert whole(machine) == [1, 2]
    until(lambda: not machine.processes())


def test_a_run_that_takes_more_than_its_memory_is_ended_and_the_others_go_on(machine: Machine):
    given = ("-g", "level=1,13,2", "-p", "act=fill", "--workers", "2", "--memory", "1GB")
    code, err = ended(machine.sweep(*given))
    assert code == 1
    assert "medutils: level=13: memory: found " in err and "expected at most 1.0 GB on a worker\n" in err
    assert whole(machine) == [1, 2]
    assert not machine.processes()


def test_a_sweep_whose_parent_is_killed_leaves_no_process_and_goes_on(machine: Machine):
    given = ("-g", "level=1,2,3", "-p", f"act=touch {machine.folder} 3", "--workers", "2")
    first = machine.sweep(*given)
    until(lambda: len(machine.done()) >= 1)
    first.kill()
    before = whole(machine)
    until(lambda: not machine.processes(), 60)
    started = at_work(machine.folder)
    assert before == whole(machine)
    assert ended(machine.sweep(*given))[0] == 0
    assert whole(machine) == [1, 2, 3]
    assert at_work(machine.folder) == started + 3 - len(before)
    assert not list(machine.temporary.iterdir())  # what the first one left is swept


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("raise OSError(errno.ENOSPC, 'No space left on device')", 1, "no space left on device\n"),
    ],
    ids=["killed", "disk full"],
)
def test_a_write_that_ends_halfway_counts_for_nothing_and_is_made_good(
    machine: Machine, end: str, code: int, said: str
):
    given = ("sweep", "tiny", "--data", "phantom", "--out", str(machine.place), "-g", "level=1,2,3", "--workers", "2")
    found, err = ended(machine.start(COMMAND[0], "-c", BROKEN.format(end=end), *given))
    assert found == code
    assert err.endswith(said)
    assert len(whole(machine)) == 1
    until(lambda: not machine.processes(), 60)
    assert ended(machine.start(*COMMAND, *given))[0] == 0
    assert whole(machine) == [1, 2, 3]
    assert [path.name for path in (machine.place / "runs").iterdir() if path.name[0] == "."] == []


def test_a_scheduler_that_is_killed_ends_the_sweep_with_a_sentence_and_all_that_it_ran(machine: Machine):
    given = ("-g", "level=1,2,3,4", "-p", f"act=touch {machine.folder} 20")
    with cluster(machine) as address:
        sweeping = machine.sweep(*given, "--scheduler", address)
        until(lambda: at_work(machine.folder) >= 2)
        for process in machine.processes():
            if "scheduler" in process.cmdline():
                process.kill()
        code, err = ended(sweeping)
    assert code == 1
    assert err.endswith("medutils: the scheduler is gone: 0 of 4 points are done and kept; the same command goes on\n")
    assert whole(machine) == []
    until(lambda: not machine.processes(), 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_a_cluster_ends_what_a_sweep_that_is_ended_had_sent_it(machine: Machine, number: int):
    with cluster(machine) as address:
        sweeping = machine.sweep("-g", "level=1,2", "-p", f"act=touch {machine.folder} 600", "--scheduler", address)
        until(lambda: at_work(machine.folder) == 2)
        sweeping.send_signal(number)
        sweeping.wait(SECONDS)
        kernels = [one for one in machine.processes() if "ipykernel_launcher" in " ".join(one.cmdline())]
        psutil.wait_procs(kernels, 60)
        assert not [one for one in kernels if one.is_running()]
    assert whole(machine) == []


def test_a_second_sweep_in_one_place_is_refused_in_a_sentence(machine: Machine):
    first = machine.sweep("-g", "level=1", "-p", f"act=touch {machine.folder} 60", "--workers", "1")
    until(lambda: at_work(machine.folder) == 1)
    code, err = ended(machine.sweep("-g", "level=2", "--workers", "1"))
    assert (code, err) == (
        1,
        f"medutils: out: {machine.place} is being written by another run; expected a folder of its own\n",
    )
    first.send_signal(signal.SIGINT)
    assert ended(first)[0] == 128 + signal.SIGINT
    assert not machine.processes()
    assert whole(machine) == []
