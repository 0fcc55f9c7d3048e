"""A sweep as a user meets it, on this machine and on a cluster of processes that share nothing."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from machine import COMMAND, Machine, cluster

from medutils.data.spine import find_spine

pytestmark = pytest.mark.slow


def ended(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def test_a_sweep_goes_on_after_a_point_that_fails_names_it_and_does_not_run_the_others_again(machine: Machine):
    grid = ("-g", "level=1,13", "--seeds", "2", "-p", "act=raise", "--workers", "2")
    code, out, err = ended(machine.sweep(*grid))
    assert (code, out) == (1, f"2 of 4 points are done, in {machine.place}\n")
    assert err.startswith("4 points; dashboard http://127.0.0.1:")
    assert "medutils: level=13, seed=1: cell 2: ValueError: thirteen is no level\n" in err
    assert err.endswith("medutils: 2 of 4 points failed, named above; expected none\n")
    written = {key: (machine.place / "runs" / key / "point.json").stat().st_mtime_ns for key in machine.done()}
    assert len(written) == 2
    found = [json.loads((machine.place / "runs" / key / "results.json").read_text()) for key in written]
    assert sorted(one["parameters"]["seed"] for one in found) == [0, 1]
    assert [one["point"] for one in json.loads((machine.place / "failed.json").read_text())] == [
        "level=13, seed=0",
        "level=13, seed=1",
    ]

    code, out, err = ended(machine.sweep(*("-g", "level=1", "--seeds", "2", "-p", "act=raise")))
    assert (code, out, err) == (0, f"2 of 2 points are done, in {machine.place}\n", "")
    assert written == {key: (machine.place / "runs" / key / "point.json").stat().st_mtime_ns for key in machine.done()}
    assert not (machine.place / "failed.json").exists()
    assert list(machine.temporary.iterdir()) == []


def test_a_sweep_is_sent_to_workers_with_folders_and_caches_of_their_own(machine: Machine):
    (machine.folder / "mine").mkdir()
    table = machine.folder / "mine" / "table.csv"
    shutil.copy(find_spine("phantom").path, table)
    length = len(table.read_text())
    with cluster(machine) as address:
        given = ("--data", str(table), "-p", "act=data", "-g", "level=1,2,3,4", "--scheduler", address)
        code, _, err = ended(machine.start(*COMMAND, "sweep", "tiny", "--out", str(machine.place), *given))
    assert code == 0, err
    points = [json.loads((machine.place / "runs" / key / "point.json").read_text()) for key in machine.done()]
    found = [json.loads((machine.place / "runs" / key / "results.json").read_text()) for key in machine.done()]
    assert len(points) == 4
    assert len({one["worker"] for one in points}) == 2
    assert {one["parameters"]["act"] for one in found} == {f"table.csv {length}"}
    read = {Path(one["parameters"]["data"]) for one in found}
    assert len(read) == 2 and table not in read
    assert {path.relative_to(machine.folder).parts[0] for path in read} == {"worker0", "worker1"}
    table_of = pd.DataFrame([one["parameters"] for one in found])
    assert sorted(table_of["level"]) == [1, 2, 3, 4]


def test_a_scheduler_that_does_not_answer_is_named(machine: Machine):
    code, _, err = ended(machine.sweep("--scheduler", "tcp://127.0.0.1:1"))
    assert code == 1
    assert err == (
        "medutils: --scheduler: found none at tcp://127.0.0.1:1; expected an address such as tcp://host:8786\n"
    )
