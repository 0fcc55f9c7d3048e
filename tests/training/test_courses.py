"""Trainings that are kept: found again, gone on with, one after another, and their predictions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from medutils.errors import InputError
from medutils.tables import check_predictions
from medutils.training import courses as module
from medutils.training import stages, workers
from medutils.training.courses import Course, Trained, accuracy, stacked, train, train_all
from medutils.training.stages import Phase, Stage

SIZE, CLASSES = 32, ("ill", "well")
STAGE = Stage(SIZE, (Phase(1, False, 1e-2),), "test_resnet", pretrained=False, batch_size=8)
STILL = replace(STAGE, phases=(Phase(1, False, 0.0, 0.0),))  # the weights stay those it begins with


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and trainings one by one in this process, where a test sees them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(workers, "cpu_count", lambda: 1)


def a_course(stage: Stage = STAGE, **changes: Any) -> Course:
    """24 films in mixed order: bright ones are ill; the last two are in no split."""
    number = np.random.default_rng(0).permutation(24)
    table = pd.DataFrame({"record_id": [f"film{n:02d}" for n in number], "patient": [f"p{n // 2}" for n in number]})
    table["label"] = np.where(number % 2, "ill", "well")
    table["split"] = np.select([number < 12, number < 17, number < 22], ["train", "validation", "test"], "")
    noise = torch.randint(100, (24, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    x = (noise + 100 * torch.from_numpy(number % 2)[:, None, None]).to(torch.uint8)
    return replace(Course(stage, table, CLASSES, x), **changes)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the stages that were trained, in their order."""
    seeds: list[int] = []
    run = stages.run
    monkeypatch.setattr(stages, "run", lambda *given: (seeds.append(given[2]), run(*given))[1])
    return seeds


def same_weights(one: Trained, other: Trained) -> bool:
    """Whether two trainings ended with the same weights, what batch normalisation counted left out."""
    state = other.state
    return all(torch.equal(value, state[name]) for name, value in one.state.items() if name.endswith("weight"))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_kept_training_is_found_again(runs: list[int]) -> None:
    first = train_all({"a": a_course()}, 2, 5)["a"]
    again = train_all({"a": a_course()}, 2, 5)["a"]
    assert runs == [5, 6]
    for one, other in zip(first, again, strict=True):
        assert one.path == other.path
        assert torch.equal(one.logits[0]["test"], other.logits[0]["test"])
        pd.testing.assert_frame_equal(one.history, other.history)
        assert same_weights(one, other)
    assert not same_weights(*first)


def brighter(course: Course) -> Course:
    return replace(course, x=course.x + 1)


def moved(course: Course) -> Course:
    return replace(course, records=course.records.assign(split=course.records["split"].replace("validation", "test")))


def relabelled(course: Course) -> Course:
    return replace(course, records=course.records.assign(label="ill"))


@pytest.mark.parametrize(
    "change",
    [brighter, moved, relabelled, lambda course: replace(course, stage=replace(STAGE, batch_size=4))],
    ids=["films", "split", "labels", "stage"],
)
def test_a_training_of_something_else_is_another(change: Callable[[Course], Course]) -> None:
    course = a_course()
    paths = {module._path(given, seed, None) for given in (course, change(course)) for seed in (0, 1)}
    assert len(paths) == 4


def test_an_interrupted_run_goes_on(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"a": a_course(), "b": a_course(STILL), "c": a_course(after="b")}
    counted = stages.run

    def killed(*given: Any) -> Any:
        if len(runs) == 3:
            raise KeyboardInterrupt
        return counted(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stages, "run", killed)
        train_all(wanted, 2, 0)
    told: list[tuple[int, int]] = []
    found = train_all(wanted, 2, 0, lambda *done: told.append(done))
    assert len(runs) == 6  # three before, three after
    assert list(found) == ["a", "b", "c"] and {len(trainings) for trainings in found.values()} == {2}
    assert told[-1] == (6, 6) and told == sorted(told)


@pytest.mark.slow
def test_a_new_process_gives_what_this_one_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two workers at once, for each of which it is the first training, give what trainings one by one give."""
    alone = train_all({"a": a_course()}, 2, 0)["a"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(workers, "cpu_count", lambda: 2)
    monkeypatch.setattr(module, "FEW", 0)  # else so few films are trained with in this process
    beside = train_all({"a": a_course()}, 2, 0)["a"]
    for one, other in zip(alone, beside, strict=True):
        assert one.path.name == other.path.name and one.path != other.path
        assert torch.equal(one.logits[0]["test"], other.logits[0]["test"])


def test_a_course_for_which_one_seed_is_enough_is_trained_once() -> None:
    found = train_all({"a": a_course(), "b": a_course(STILL, after="a", once=True)}, 2, 0)
    assert {name: len(trainings) for name, trainings in found.items()} == {"a": 2, "b": 1}
    assert same_weights(found["a"][0], found["b"][0])


# --- one after another ------------------------------------------------------------------------------------------------


def test_a_course_begins_with_the_weights_of_the_one_it_comes_after() -> None:
    found = train_all({"second": a_course(STILL, after="first"), "first": a_course()}, 2, 0)
    assert list(found) == ["second", "first"]
    for first, second in zip(found["first"], found["second"], strict=True):
        assert same_weights(first, second)
    assert not same_weights(found["first"][0], found["second"][1])


def test_the_key_of_a_later_course_follows_the_earlier_one(runs: list[int]) -> None:
    one = train_all({"first": a_course(), "second": a_course(STILL, after="first")}, 1, 0)["second"][0]
    changed = a_course(replace(STAGE, batch_size=4))
    other = train_all({"first": changed, "second": a_course(STILL, after="first")}, 1, 0)["second"][0]
    fresh = train(a_course(STILL), 0)
    assert len({one.path, other.path, fresh.path}) == 3 and len(runs) == 5
    assert not same_weights(one, other) and not same_weights(one, fresh)


@pytest.mark.parametrize(
    ("courses", "found"),
    [
        ({"a": "absent"}, "'a' after 'absent'"),
        ({"a": "a"}, "'a' after 'a'"),
        ({"a": "b", "b": "a"}, "'a' after 'b', 'b' after 'a'"),
    ],
    ids=["absent", "itself", "circle"],
)
def test_a_course_after_none_that_is_trained_is_refused(courses: dict[str, str], found: str, runs: list[int]) -> None:
    with pytest.raises(InputError, match=f"courses: found {found}; expected"):
        train_all({name: a_course(after=after) for name, after in courses.items()}, 1, 0)
    assert not runs


# --- what a training says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"normalise": False}], ids=["normalised", "as shares of 255"])
def test_the_network_to_take_away_says_what_the_training_said(changes: dict[str, Any]) -> None:
    course = a_course(replace(STAGE, **changes))
    trained = train(course, 0)
    network = trained.network()
    with torch.inference_mode():
        for side, said in trained.logits[-1].items():
            torch.testing.assert_close(network(course.x[course.pictures.rows[side]]), said, rtol=1e-4, atol=1e-5)


def made(validation: Tensor, test: Tensor, tmp_path: Path) -> Trained:
    """A training that is not trained: its logits are given, first all 0, then these."""
    logits = {"validation": validation, "test": test}
    before = {side: torch.zeros_like(said) for side, said in logits.items()}
    return Trained(a_course(), pd.DataFrame(), [before, logits], 0.0, tmp_path)


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """One that is always sure, and in validation right in three of five films."""
    pictures = a_course().pictures
    right = {side: torch.from_numpy(pictures.y[rows]) for side, rows in pictures.rows.items()}
    flipped = torch.cat([1 - right["validation"][:2], right["validation"][2:]])
    logits = [8.0 * torch.nn.functional.one_hot(said, 2) for said in (flipped, right["test"])]
    return made(*logits, tmp_path)


@pytest.mark.parametrize(("split", "films"), [("validation", 5), ("test", 5)])
def test_predictions_are_those_of_the_films_of_a_split(split: str, films: int, trained: Trained) -> None:
    table = check_predictions(trained.predictions(split))
    rows = trained.course.records.query("split == @split").reset_index(drop=True)
    assert list(table) == ["record_id", "patient", "y_true", "prob_ill", "prob_well"] and len(table) == films
    assert (table[["record_id", "patient"]] == rows[["record_id", "patient"]]).all(axis=None)
    assert table["y_true"].tolist() == rows["label"].tolist()
    probabilities = table[["prob_ill", "prob_well"]].to_numpy()
    np.testing.assert_allclose(probabilities, trained.logits[-1][split].double().softmax(1).numpy())
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_predictions_and_accuracy_are_of_the_phase_that_is_asked_for(trained: Trained) -> None:
    assert set(trained.predictions(phase=0)["prob_ill"]) == {0.5}
    assert (accuracy(trained), accuracy(trained, "validation")) == (1.0, pytest.approx(0.6))
    ill = (trained.predictions(phase=0)["y_true"] == "ill").mean()
    assert accuracy(trained, phase=0) == pytest.approx(ill)  # of equal logits the first class is taken


def test_the_temperature_is_that_of_the_validation_films(trained: Trained, tmp_path: Path) -> None:
    """Right in three of five films, a network of two classes is calibrated when it says 0.6: 8 / T = log(0.6 / 0.4)."""
    assert trained.temperature == pytest.approx(8 / np.log(1.5), rel=1e-3)
    plain, calibrated = (trained.predictions(calibrated=how) for how in (False, True))
    assert calibrated[["prob_ill", "prob_well"]].max(axis=1).tolist() == pytest.approx([0.6] * 5, rel=1e-3)
    assert (plain["prob_ill"] > 0.5).tolist() == (calibrated["prob_ill"] > 0.5).tolist()
    other = made(trained.logits[-1]["validation"], -trained.logits[-1]["test"], tmp_path)
    assert other.temperature == trained.temperature


def test_trainings_are_stacked_with_the_number_of_their_seed(trained: Trained) -> None:
    table = stacked([trained, trained], "validation")
    assert table["repeat"].tolist() == [0] * 5 + [1] * 5
    pd.testing.assert_frame_equal(
        table[table["repeat"] == 1].drop(columns="repeat").reset_index(drop=True), trained.predictions("validation")
    )


def test_a_film_in_no_split_has_no_part() -> None:
    course = a_course()
    rows = course.pictures.rows
    assert {side: len(numbers) for side, numbers in rows.items()} == {"train": 12, "validation": 5, "test": 5}
    assert [CLASSES[number] for number in course.pictures.y] == course.records["label"].tolist()
