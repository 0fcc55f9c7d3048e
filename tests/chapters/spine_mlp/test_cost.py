"""The time of the spine chapter: told before it starts, and kept within a limit by a stated rule."""

from dataclasses import replace

import pytest

from medutils.chapters import resolve
from medutils.chapters.spine_mlp import cost, sentences
from medutils.chapters.spine_mlp.experiments import LARGE, Task, nested_folds
from medutils.data.spine import open_spine

CHAPTER = "spine_mlp"


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(open_spine("phantom")[0], "Normal", "Abnormal")


@pytest.mark.parametrize("profile", ["smoke", "demo", "full"])
def test_the_write_ups_own_table_is_run_as_asked(task: Task, profile: str):
    p = resolve(CHAPTER, {}, profile)
    asked = cost.of(p, task)
    assert cost.scaled(asked, p.minutes) == asked
    assert cost.parameters(p, asked) == p
    assert "scaled down" not in sentences.time_needed(asked, asked)


@pytest.mark.parametrize("rows", [3_000, 20_000, 200_000])
def test_a_large_table_is_scaled_down_to_the_limit_and_the_page_says_what(task: Task, rows: int):
    p = resolve(CHAPTER, {})
    asked = replace(cost.of(p, task), rows=rows, variant_rows=rows)
    done = cost.scaled(asked, p.minutes)
    assert asked.seconds > 60 * p.minutes >= done.seconds
    assert all(getattr(done, name) >= least for name, least in cost.LEAST.items())
    assert done.epochs >= cost.LEAST_EPOCHS
    text = sentences.time_needed(asked, done)
    assert f"{rows:,} rows" in text
    assert f"replicas 30 to {done.replicas}" in text
    assert cost.parameters(p, done).repeats == done.repeats


def test_without_a_limit_nothing_is_scaled_and_what_was_below_its_least_stays(task: Task):
    asked = replace(cost.of(resolve(CHAPTER, {}), task), rows=200_000, variant_rows=200_000, replicas=3, splits=4)
    assert cost.scaled(asked, 0) == asked
    done = cost.scaled(asked, 5)
    assert (done.replicas, done.splits) == (3, 4)


def test_a_table_that_can_be_scaled_no_further_is_still_run(task: Task):
    asked = replace(cost.of(resolve(CHAPTER, {}), task), rows=1_000_000, variant_rows=1_000_000)
    done = cost.scaled(asked, 0.1)
    assert done.epochs == cost.LEAST_EPOCHS
    assert {name: getattr(done, name) for name in cost.LEAST} == cost.LEAST
    assert done.seconds > 6


def test_every_count_costs_time(task: Task):
    asked = cost.of(resolve(CHAPTER, {}), task)
    for name in (*cost.LEAST, "epochs"):
        assert replace(asked, **{name: getattr(asked, name) // 2}).seconds < asked.seconds, name


def test_folds_of_a_large_table_are_stratified_and_each_row_is_tested_once(task: Task):
    copies = LARGE // len(task.records) + 1
    rows = task.records.loc[task.records.index.repeat(copies)].reset_index(drop=True)
    names = [f"row-{row}" for row in range(len(rows))]
    large = Task(rows.assign(record_id=names, patient=names), "Normal", "Abnormal")
    folds = nested_folds(large, 1, 0)
    assert sorted(row for part in folds.test for row in part) == list(range(len(rows)))
    for _, *parts in folds:
        assert [large.y[part].mean() for part in parts] == pytest.approx([large.y.mean()] * 3, abs=0.01)
        assert sum(map(len, parts)) == len(set().union(*map(set, parts)))
