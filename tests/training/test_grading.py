"""Fine-tuning on graded slices: which answer counts, what the side is, what is kept, gone on with and said."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.data.lumbar import GRADES, LEVELS
from medutils.errors import InputError
from medutils.evaluation import evaluate, grades
from medutils.models.augment import Augment, Augmentation
from medutils.tables import check_predictions
from medutils.training import grader, grading, workers
from medutils.training.grader import Annotated, Recipe, weighted_loss
from medutils.training.grading import (
    FINE_TUNED,
    Course,
    Graded,
    as_frequencies,
    averaged,
    by_studies,
    fewer,
    stacked,
    train,
    train_all,
)

SIZE, HELD = 32, ("validation", "test")
RECIPE = Recipe(SIZE, 2, 1e-2, "test_resnet", pretrained=False, batch_size=4, augmentation=Augmentation())


@dataclass(frozen=True, eq=False)
class Slices:
    """What a course needs of `GradedSlices`, without files."""

    records: pd.DataFrame
    x: Tensor

    def pixels(self, size: int) -> Tensor:
        return self.x

    def rows(self, split: str) -> NDArray[np.int64]:
        return np.flatnonzero(self.records["split"] == split)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and trainings one by one in this process, where a test sees them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(workers, "cpu_count", lambda: 1)


def some_slices(studies: int = 12) -> Slices:
    """Two slices a study, left and right, each with all levels; a brighter one is worse; the last has no split."""
    draws = np.random.default_rng(0)
    rows = []
    for place in range(2 * studies):
        study, side = f"s{place // 2:02d}", ("left", "right")[place % 2]
        split = "train" if place // 2 < studies // 2 else "validation" if place // 2 < studies - 4 else "test"
        for level in draws.permutation(LEVELS):
            target = f"{side}_neural_foraminal_narrowing_{level}"
            label = GRADES[(place + LEVELS.index(level)) % 3]
            rows.append((f"{study}:{target}", study, label, split, level, side, target, place))
    names = ["record_id", "patient", "label", "split", "level", "side", "target", "slice"]
    table = pd.DataFrame(rows, columns=names)
    table.loc[table["patient"] == f"s{studies - 1:02d}", "split"] = ""
    noise = torch.randint(60, (2 * studies, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    bright = 60 * (torch.arange(2 * studies) % 3)[:, None, None]
    return Slices(table, (noise + bright).to(torch.uint8))


def a_course(recipe: Recipe = RECIPE, **changes: Any) -> Course:
    return Course(recipe, replace(some_slices(), **changes))  # type: ignore[arg-type]


def same(one: Graded, other: Graded) -> bool:
    """Whether two trainings said the same of every slice and ended with the same weights."""
    state = other.state
    logits = all(torch.equal(said, other.logits[side]) for side, said in one.logits.items())
    return logits and all(torch.equal(value, state[name]) for name, value in one.state.items())


# --- which answer counts ----------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_annotations_one_by_one() -> None:
    """Two annotations of one slice and level, and a level without any."""
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    slices, levels, y = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2])
    data = Annotated(torch.zeros(2, 1, 1), slices, levels, y, {"train": np.arange(4)}, 3)
    weights = torch.tensor([1.0, 2.0, 4.0])
    wanted = torch.nn.functional.cross_entropy(logits[slices, levels], torch.from_numpy(y), weights)
    torch.testing.assert_close(weighted_loss(logits, data.counts("train", 3), (1, 2, 4)), wanted)


def test_only_the_levels_of_the_annotations_learn() -> None:
    """Of a level without an annotation the network is not told anything: its answers stay what they were."""
    table = some_slices().records
    course = a_course(recipe=replace(RECIPE, weight_decay=0.0), records=table[table["level"] == "l4_l5"])
    before, after = grader.build(RECIPE, len(LEVELS)).head.last, train(course, 0).network().head.last
    for place, level in enumerate(LEVELS):
        rows = slice(3 * place, 3 * place + 3)
        assert torch.equal(before.weight[rows], after.weight[rows]) is (level != "l4_l5")


def test_the_severe_grade_counts_as_its_weight_says() -> None:
    trained = train(a_course(), 0)
    table = trained.predictions("validation", calibrated=False)
    found = evaluate(table, grades(GRADES, RECIPE.weights), "validation", resamples=10)["weighted_log_loss"]
    assert found.value == pytest.approx(trained.history["validation_loss"].iloc[-1], rel=1e-4)


# --- left and right ---------------------------------------------------------------------------------------------------


def test_the_side_is_a_matter_of_the_slice_alone() -> None:
    """A slice called left and one called right are read alike: with all sides exchanged nothing changes."""
    exchanged = some_slices().records.replace({"side": {"left": "right", "right": "left"}})
    exchanged["target"] = exchanged["side"] + exchanged["target"].str.removeprefix("left").str.removeprefix("right")
    one, other = train(a_course(), 0), train(a_course(records=exchanged), 0)
    assert same(one, other)
    columns = [f"prob_{name}" for name in GRADES]
    pd.testing.assert_frame_equal(one.predictions()[columns], other.predictions()[columns])


def test_no_picture_is_flipped() -> None:
    """The mirror lies across a sagittal picture: a flip would swap belly and back, or head and foot."""
    half = torch.zeros(64, 1, SIZE, SIZE)
    half[:, :, : SIZE // 2, : SIZE // 2] = 1
    moved = Augment(FINE_TUNED.augmentation).train()(half)
    quarters = torch.stack([moved[..., :8, :8], moved[..., -8:, :8], moved[..., :8, -8:], moved[..., -8:, -8:]])
    assert (quarters.mean((2, 3, 4)).argmax(0) == 0).all() and not torch.equal(moved, half)


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each epoch that was trained, in their order."""
    seen: list[int] = []
    epoch = grader.Learner.epoch
    monkeypatch.setattr(grader.Learner, "epoch", lambda self: (seen.append(len(self.history) + 1), epoch(self))[1])
    return seen


def test_a_kept_training_is_found_again(epochs: list[int]) -> None:
    told: list[tuple[int, int]] = []
    first = train_all({"a": a_course()}, 2, 5, lambda *done: told.append(done))["a"]
    assert epochs == [1, 1, 2, 2] and told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    again = train_all({"a": a_course()}, 2, 5)["a"]
    assert epochs == [1, 1, 2, 2]
    assert all(same(one, other) for one, other in zip(first, again, strict=True)) and not same(*first)
    assert not [path for path in first[0].path.parent.iterdir() if path.suffix == ".checkpoint"]


def test_an_interrupted_training_goes_on_after_its_last_epoch(
    epochs: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = train(a_course(), 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    counted = grader.Learner.epoch

    def killed(self: grader.Learner) -> None:
        if self.history:
            raise KeyboardInterrupt
        counted(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(grader.Learner, "epoch", killed)
        train_all({"a": a_course()}, 1, 0)
    torch.rand(3)  # what others draw in the meantime changes nothing
    assert same(whole, train_all({"a": a_course()}, 1, 0)["a"][0])
    assert epochs == [1, 2, 1, 2]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    data, path = a_course().data, tmp_path / "checkpoint"
    grader.learn(RECIPE, data, 0, 1, path)
    with pytest.raises(InputError, match="the checkpoint of another training"):
        grader.learn(RECIPE, data, 1, 2, path)


def relabelled(slices: Slices) -> Slices:
    return replace(slices, records=slices.records.assign(label=GRADES[0]))


def moved(slices: Slices) -> Slices:
    return replace(slices, records=slices.records.assign(split=slices.records["split"].replace("validation", "test")))


@pytest.mark.parametrize(
    "change", [relabelled, moved, lambda slices: replace(slices, x=slices.x + 1)], ids=["grades", "split", "pixels"]
)
def test_a_training_of_something_else_is_another(change: Callable[[Slices], Slices]) -> None:
    courses = (a_course(), Course(RECIPE, change(some_slices())), a_course(replace(RECIPE, rate=1e-3)))  # type: ignore[arg-type]
    assert len({grading._path(course, seed) for course in courses for seed in (0, 1)}) == 6


@pytest.mark.slow
def test_the_number_of_processes_changes_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone = train_all({"a": a_course()}, 2, 0)["a"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(workers, "cpu_count", lambda: 2)
    beside = train_all({"a": a_course()}, 2, 0)["a"]
    assert all(same(one, other) and one.path != other.path for one, other in zip(alone, beside, strict=True))


def test_a_rate_that_is_too_high_is_named() -> None:
    with pytest.raises(InputError, match=r"rate: at .* the loss is no longer finite in epoch 1"):
        train(a_course(replace(RECIPE, rate=1e6)), 0)


# --- what a training says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", HELD)
def test_predictions_are_those_of_each_annotations_slice_and_level(split: str) -> None:
    course = a_course()
    trained = train(course, 0)
    rows = course.slices.records.query("split == @split").reset_index(drop=True)
    table = trained.predictions(split, calibrated=False)
    assert table[["record_id", "patient", "target"]].equals(rows[["record_id", "patient", "target"]])
    assert table["y_true"].equals(rows["label"].rename("y_true"))
    with torch.inference_mode():
        said = trained.network()(course.slices.pixels(SIZE)).unflatten(1, (len(LEVELS), 3))
    wanted = said[rows["slice"].to_numpy(), [LEVELS.index(level) for level in rows["level"]]].softmax(-1)
    np.testing.assert_allclose(table[[f"prob_{name}" for name in GRADES]], wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_the_temperature_is_that_of_the_weighted_validation_annotations(tmp_path: Path) -> None:
    """Always sure of Severe, and right in a third of the cells, 4 in 7 by weight: it is to say 4/7."""
    course = a_course()
    logits = {split: torch.tensor([0.0, 0.0, 9.0]).expand(len(course.data.slices(split)), 5, 3) for split in HELD}
    made = Graded(course, pd.DataFrame(), logits, 0.0, tmp_path)
    validation = course.slices.records.query("split == 'validation'")["label"]
    weight = validation.map(dict(zip(GRADES, (1, 2, 4), strict=True)))
    share = weight[validation == "Severe"].sum() / weight.sum()
    assert made.predictions()["prob_Severe"].to_numpy() == pytest.approx(share, rel=1e-3)


def test_as_frequencies_takes_the_weights_out() -> None:
    """Shares of 70, 20 and 10 % with the weights 1, 2 and 4 give probabilities of 70, 40 and 40 in 150."""
    columns = [f"prob_{name}" for name in GRADES]
    table = pd.DataFrame([[70 / 150, 40 / 150, 40 / 150]], columns=columns)
    np.testing.assert_allclose(as_frequencies(table)[columns], [[0.7, 0.2, 0.1]])


def test_pooled_predictions_do_not_know_the_slice(tmp_path: Path) -> None:
    """Sure of Normal/Mild on the left slice and of Severe on the right one: between the two on either."""
    course = a_course()
    side = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    logits = {split: side.repeat(len(course.data.slices(split)) // 2, 1)[:, None].expand(-1, 5, 3) for split in HELD}
    made = Graded(course, pd.DataFrame(), logits, 0.0, tmp_path)
    known, pooled = (made.predictions(calibrated=False, pooled=how) for how in (False, True))
    left = known["target"].str.startswith("left")
    assert (known["prob_Severe"] > 0.9).equals(~left)
    middle = torch.tensor([4.5, 0.0, 4.5]).softmax(0)[2]
    assert pooled["prob_Severe"].to_numpy() == pytest.approx(float(middle))


def test_trainings_are_stacked_or_averaged() -> None:
    trainings = train_all({"a": a_course()}, 2, 0)["a"]
    columns = [f"prob_{name}" for name in GRADES]
    table, mean = stacked(trainings, "validation"), averaged(trainings, "validation")
    assert table.groupby("repeat").size().tolist() == [len(mean)] * 2
    one, other = (table.loc[table["repeat"] == number, columns].to_numpy() for number in (0, 1))
    np.testing.assert_allclose(mean[columns], (one + other) / 2)
    check_predictions(mean)


# --- how performance grows with the studies ---------------------------------------------------------------------------


def test_fewer_studies_are_a_part_of_more() -> None:
    slices = some_slices()
    kept = [set(fewer(slices, number, 3).records.query("split == 'train'")["patient"]) for number in (2, 4, 6)]  # type: ignore[arg-type]
    assert [len(one) for one in kept] == [2, 4, 6] and kept[0] < kept[1] < kept[2]
    few = fewer(slices, 2).records  # type: ignore[arg-type]
    held = slices.records["split"].isin(["validation", "test", ""])
    assert few["split"][held].equals(slices.records["split"][held])
    with pytest.raises(InputError, match="studies: found 7; expected 1 to 6"):
        fewer(slices, 7)  # type: ignore[arg-type]


def test_fewer_studies_have_more_epochs() -> None:
    """All, a quarter and a sixteenth of 32 training studies: steps fall by the root of what epochs alone would lack."""
    course = Course(replace(RECIPE, epochs=4), some_slices(64))  # type: ignore[arg-type]
    courses = by_studies(course, (2, 8, 32))
    assert {number: one.recipe.epochs for number, one in courses.items()} == {2: 16, 8: 8, 32: 4}
    studies = {
        number: one.slices.records.query("split == 'train'")["patient"].nunique() for number, one in courses.items()
    }
    assert studies == {2: 2, 8: 8, 32: 32}
    assert grading._path(courses[32], 0) == grading._path(course, 0)  # all studies are not trained with twice
