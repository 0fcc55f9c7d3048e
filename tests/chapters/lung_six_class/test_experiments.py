"""What the six-class chapter measures, on made-up trainings whose every decision is written down."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from medutils.chapters.lung_six_class import experiments
from medutils.chapters.lung_six_class.arithmetic import NAMES
from medutils.chapters.lung_six_class.plan import WRITTEN
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.evaluation import multiclass
from medutils.evidence import Results, reported_values
from medutils.models.cnn import Architecture

CLASSES = ("Normal", "TB", "Viral")


def predictions(records: pd.DataFrame, said: Sequence[str], classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Predictions in which each film is given to a class with 80 %."""
    table = records[["record_id", "patient"]].assign(y_true=records["label"]).reset_index(drop=True)
    rest = 0.2 / (len(classes) - 1)
    return table.assign(**{f"prob_{name}": [0.8 if one == name else rest for one in said] for name in classes})


def records(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Films of (label, source, split), each of a patient of its own."""
    table = pd.DataFrame(rows, columns=["label", "source", "split"])
    name = [f"film{place}" for place in range(len(rows))]
    return table.assign(record_id=name, patient=name, path=name)


def films_of(table: pd.DataFrame, classes: tuple[str, ...] = CLASSES) -> Films:
    return Films(table, classes, Located("own", "phantom", Path("own")))


def trained(table: pd.DataFrame, classes: Sequence[str] = CLASSES, **said: Sequence[str]) -> Any:
    """A training of a course on these films that says so of its validation and test films."""
    sides = {side: table[table["split"] == side] for side in ("train", "validation", "test")}
    logits = {
        side: torch.tensor([[float(one == name) for name in classes] for one in some]) for side, some in said.items()
    }
    rows = {side: np.flatnonzero(table["split"] == side) for side in sides}
    y = table["label"].map(list(classes).index).to_numpy()
    return SimpleNamespace(
        course=SimpleNamespace(records=table, classes=classes, pictures=SimpleNamespace(y=y, rows=rows)),
        logits=[logits],
        seconds=60.0,
        predictions=lambda split="test", phase=-1, calibrated=False: predictions(sides[split], said[split], classes),
    )


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return made(tmp_path, CLASSES)


def made(folder: Path, classes: tuple[str, ...]) -> Results:
    parameters = {"resamples": 50, "seed": 0, "prevalence": 0.1}
    return Results("lung_six_class", parameters, Located("own", "phantom", folder), multiclass(classes))


# --- every course on the test films -----------------------------------------------------------------------------------


def test_a_decoys_probability_goes_to_the_others_in_proportion() -> None:
    table = records(("TB", "a", "test"), ("Normal", "a", "test"))
    with_decoy = predictions(table, ["decoy", "TB"], (*CLASSES, "decoy"))
    found = experiments.of_classes(with_decoy, CLASSES)
    assert [name for name in found if name.startswith("prob_")] == [f"prob_{name}" for name in CLASSES]
    np.testing.assert_allclose(found["prob_TB"], [1 / 3, 0.8 / (0.8 + 2 * 0.2 / 3)])
    np.testing.assert_allclose(found.filter(like="prob_").sum(axis=1), 1)
    assert experiments.of_classes(found, CLASSES) is found


def test_every_phase_of_every_course_is_judged_and_rows_are_kept_of_the_two_stages(results: Results) -> None:
    table = records(*[(name, "a", "test") for name in CLASSES])
    right, wrong = (trained(table, test=said) for said in (CLASSES, ("TB",) * 3))
    for one in (right, wrong):
        one.logits = [one.logits[0], one.logits[0]]
    tables = experiments.judge_all(results, {"small": [right, wrong], "decoy": [right]}, CLASSES)
    assert list(tables) == ["small_frozen", "small", "decoy_frozen", "decoy"]
    assert results.experiments["runs"]["small"] == pytest.approx([1, 1 / 3])
    assert results.metrics["small.accuracy"].value == pytest.approx(2 / 3)
    assert [set(rows["model"]) for rows in results.predictions] == [{"small"}]
    np.testing.assert_allclose(experiments.mean_confusion(results, tables["small"]).loc["Normal"], [0.5, 0.5, 0])
    pairs = {"decoy_minus_small": ("decoy", "small"), "large_minus_small": ("large", "small")}
    experiments.differences(results, tables, pairs)
    assert results.metrics["decoy_minus_small.accuracy"].value == 0  # the first seed of both
    assert "large_minus_small.accuracy" not in results.metrics


def test_losses_of_the_stages_follow_each_other() -> None:
    history = {name: {"train_loss": [2.0, 1.0], "validation_loss": [3.0, 2.0]} for name in ("small", "large")}
    found = experiments.by_epoch({**history, "other": {}})
    assert found["epoch"].tolist() == [1, 2, 3, 4] and found["training loss"].tolist() == [2, 1, 2, 1]
    assert experiments.by_epoch({}).empty


# --- the split drawn anew ---------------------------------------------------------------------------------------------


def test_films_that_the_first_stage_trained_on_are_told_from_the_others() -> None:
    before = records(*[("TB", "a", split) for split in ["train"] * 4 + ["validation"] * 4])
    after = before.assign(split=["train", "train", "validation", "validation"] * 2)
    said = ["TB", "TB", "TB", "Normal"]  # of films 2, 3, 6 and 7, of which the first two were in training
    pair = {"small": [trained(before)] * 2, "redrawn": [trained(after, validation=said)] * 2}
    found = experiments.redraw(pair, 50, 0)
    values = {name: one.value for name, one in found.items()}
    assert values == {"seen": 1, "new": 0.5, "reported_way": 0.75, "gap": 0.5}
    assert {one.split for one in found.values()} == {"validation, drawn anew"}


# --- sources ----------------------------------------------------------------------------------------------------------

SOURCES = records(
    ("Normal", "a b", "test"),
    ("TB", "a b", "test"),
    ("Normal", "a b", "test"),
    ("Normal", "c", "test"),
    ("Viral", "d", "test"),
    ("Normal", "c", "train"),
)
TEST = SOURCES[SOURCES["split"] == "test"]


def test_inside_a_source_accuracy_stands_beside_its_commonest_class(results: Results) -> None:
    table = predictions(TEST, ["Normal", "Normal", "TB", "Normal", "Viral"])
    found = experiments.within_sources(results, {"large": table}, films_of(SOURCES))
    assert found == {"a_b": {"films": 3, "commonest": pytest.approx(2 / 3)}}  # the other sources have one class in test
    assert results.metrics["within_a_b_large.accuracy"].value == pytest.approx(1 / 3)


def test_healthy_films_of_a_source_left_out_are_told_by_what_they_are_called(results: Results) -> None:
    tables = {
        "small": predictions(TEST, ["Normal", "TB", "Normal", "Normal", "Viral"]),
        "without_a_b_frozen": predictions(TEST, ["Viral"] * 5),
        "without_a_b": predictions(TEST, ["TB", "TB", "Normal", "Normal", "Viral"]),
    }
    found = experiments.left_out(results, tables, films_of(SOURCES), "Normal")
    assert found == {"a_b": {"films": 2, "classes": ["TB"]}}
    values = {name.rpartition(".")[2]: one.value for name, one in results.metrics.items()}
    assert values == {"called_healthy": 0.5, "called_of_its_source": 0.5, "called_healthy_with_them": 1, "change": -0.5}


def test_a_source_left_out_whole_is_judged_as_healthy_or_diseased_inside_itself(results: Results) -> None:
    usual = predictions(TEST, ["Normal", "TB", "Normal", "Normal", "Viral"])
    tables = {"small": usual, "unseen_a_b": predictions(TEST, ["Normal"] * 5), "unseen_c": usual}
    found = experiments.unseen(results, tables, films_of(SOURCES), "Normal")
    assert found == {"a_b": {"films": 3}, "c": {"films": 1}}
    values = {name.rpartition(".")[2]: one.value for name, one in results.metrics.items() if "a_b" in name}
    assert values == {"auroc": 0.5, "auroc_with_it": 1, "change": -0.5}


def test_a_source_without_healthy_test_films_tells_nothing(results: Results) -> None:
    given = {name: predictions(TEST, ["Normal"] * 5) for name in ("small", "without_d")}
    assert experiments.left_out(results, given, films_of(SOURCES), "Normal") == {} == results.metrics


# --- what is folded away ----------------------------------------------------------------------------------------------


def test_copies_are_told_by_the_recall_of_their_class(results: Results) -> None:
    table = records(*[("TB", "a", side) for side in ("train", "validation", "validation", "test", "test")])
    table = pd.concat([table, records(*[("Normal", "a", "train")] * 9).assign(record_id=list("abcdefghi"))])
    table = table.assign(copy_of=["", "film0", "", *[""] * 11])
    copied = trained(table, validation=["TB", "Normal"], test=["TB", "TB"])
    test = table[table["split"] == "test"]
    tables = {"small": predictions(test, ["TB", "Normal"]), "copies_before_split": predictions(test, ["TB", "TB"])}
    experiments.small_effects(results, {"copies_before_split": [copied]}, tables, films_of(table))
    values = {name: one.value for name, one in results.metrics.items()}
    assert values == {"copies.in_validation": 1, "copies.in_test": 1, "copies.in_test_without": 0.5}


def test_films_called_the_decoy_are_counted(results: Results) -> None:
    table = records(*[("TB", "a", "test")] * 4)
    one = trained(table, (*CLASSES, "decoy"), test=["TB", "decoy", "TB", "Normal"])
    experiments.small_effects(results, {"decoy": [one]}, {}, films_of(table))
    assert results.experiments == {"decoy": {"called": 0.25}}


def test_the_learning_curve_tells_accuracy_by_films_of_the_largest_class(results: Results) -> None:
    found, tables = {}, {}
    for name, count, said in (("films_25", 2, "Normal"), ("small", 7, "TB")):
        table = records(*[("TB", "a", "train")] * count, ("Normal", "a", "train"), ("TB", "a", "test"))
        found[name], tables[name] = [trained(table)], predictions(table[table["split"] == "test"], [said])
        results.judge(name, tables[name], "test")
    experiments.small_effects(results, found, tables, films_of(table))
    assert results.experiments["learning_curve"]["rows"] == [2, 7]
    assert results.experiments["learning_curve"]["value"] == [0, 1]


def test_recalls_are_weighed_by_the_write_ups_classes(tmp_path: Path) -> None:
    assert experiments.with_shares({"a": 1.0, "b": 0.5}, {"a": 30, "b": 10}) == 0.875
    assert np.isnan(experiments.with_shares({"a": 1.0}, {"a": 30, "b": 10}))
    told = reported_values("lung_six_class")
    table = records(*[(name, "a", "test") for name in WRITTEN])
    said = ["Normal" if name == "Other Findings" else name for name in WRITTEN]  # all right but half of the films
    results = made(tmp_path, WRITTEN)
    results.judge("everything", predictions(table, said, WRITTEN), "test")
    experiments.small_effects(results, {"everything": []}, {}, films_of(table, WRITTEN))
    assert results.experiments["shares"]["everything"] == pytest.approx(1 - told["other"] / told["total"])
    assert told["total"] == sum(told[name] for name in NAMES)


# --- what is most wrong -----------------------------------------------------------------------------------------------


def test_the_most_confused_pairs_come_first_and_rare_ones_are_left_out() -> None:
    matrix = pd.DataFrame([[9, 2, 5], [1, 9, 0], [7, 3, 1]], index=CLASSES, columns=CLASSES)
    pairs = [("Viral", "Normal", 7), ("Normal", "Viral", 5), ("Viral", "TB", 3), ("Normal", "TB", 2)]
    assert experiments.most_confused(matrix) == pairs
    assert experiments.most_confused(matrix, 4) == pairs[:2]


def test_the_top_losses_are_wrong_films_with_the_least_probability_of_their_class() -> None:
    table = records(*[("TB", "a", "test")] * 3, ("Normal", "a", "test"))
    one = trained(table, test=["TB", "Viral", "Normal", "TB"])
    surer = one.predictions().assign(prob_TB=[0.8, 0.02, 0.1, 0.8])
    one.predictions = lambda split, calibrated: surer
    found = experiments.top_losses(one, films_of(table), 2)
    assert found["place"].tolist() == [1, 2]
    assert found["title"].tolist() == ["TB, called\nViral", "TB, called\nNormal"]


# --- a model to take away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sources", "words"), [("ab", "tell hospitals apart"), ("aa", "come from one source")])
def test_a_models_card_says_what_its_sources_mean(sources: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = records(*[(label, source, "test") for label, source in zip(CLASSES, sources + sources[0], strict=True)])
    one = trained(table)
    one.temperature, one.network = 1.5, lambda: SimpleNamespace(design=Architecture(size=32))
    monkeypatch.setattr(experiments.triage, "threshold", lambda *_: 0.3)
    setup = SimpleNamespace(films=films_of(table), records=table)
    data = {"name": "own", "kind": "real", "sha256": "0" * 64}
    for healthy, cut in (("Normal", 0.3), ("", 0.5)):
        found = experiments.about(one, setup, healthy, 0.98, data, {})  # type: ignore[arg-type]
        assert len(found.limits) == 1 and words in found.limits[0]
        assert (found.threshold, found.healthy, found.temperature) == (cut, healthy, 1.5)
