"""What write-up 000 claims or proposes and nobody measured."""

import numpy as np
import pytest

from medutils.chapters.spine_mlp import experiments, proposals
from medutils.data.spine import open_spine
from medutils.models.mlp import SpineMLP
from medutils.training.loop import Settings

SHORT = Settings(epochs=3)


@pytest.fixture(scope="module")
def task() -> experiments.Task:
    return experiments.Task(open_spine("phantom")[0], "Normal", "Abnormal")


def test_the_parts_are_left_out_one_at_a_time_and_both():
    parts = proposals.parts_left_out(Settings())
    assert {name: (part.dropout, part.batch_normalisation) for name, part in parts.items()} == {
        "as_written": (0.1, True),
        "no_dropout": (0.0, True),
        "no_batch_normalisation": (0.1, False),
        "neither": (0.0, False),
    }


def test_without_batch_normalisation_its_256_parameters_are_gone():
    with_it, without = (sum(w.numel() for w in SpineMLP(batch_normalisation=on).parameters()) for on in (True, False))
    assert with_it - without == 256


def test_each_network_is_trained_with_each_seed_and_the_first_is_the_write_ups(task):
    fits = proposals.training_by_parts(task, SHORT, range(2), ["as_written", "neither"])
    assert {fit.train_loss.shape for fit in fits.values()} == {(2, 3)}
    same = experiments.many_seeds(task, range(2), SHORT)
    assert np.array_equal(fits["as_written"].validation_loss, same.validation_loss)
    assert not np.array_equal(fits["neither"].validation_loss, same.validation_loss)


def test_the_first_epoch_at_a_level_is_counted_from_one_and_absent_when_never_reached():
    loss = np.array([[0.6, 0.4, 0.5], [0.7, 0.6, 0.5]])
    assert proposals.epochs_until(loss, 0.4).tolist() == pytest.approx([2, np.nan], nan_ok=True)


@pytest.fixture(scope="module")
def folds(task) -> experiments.Folds:
    return experiments.nested_folds(task, 1, 0)


def test_a_learning_curve_judges_every_size_on_the_same_rows(task, folds):
    whole, _ = experiments.nested_mlp(task, folds, SHORT, 0)
    curve = proposals.learning_curve(task, folds, SHORT, 0, whole)
    rows = [table["record_id"].tolist() for models in curve.values() for table in models.values()]
    assert list(curve) == [24, 49, 99, 198]
    assert all(part == rows[0] for part in rows)
    assert len(rows[0]) == len(task.records)
    assert curve[198]["network"] is whole


def test_sizes_that_leave_one_class_are_left_out(task, folds):
    ill = experiments.replace(folds, train=[rows[task.y[rows] == 1][:8] for rows in folds.train])
    whole, _ = experiments.nested_mlp(task, folds, SHORT, 0)
    healthy = [np.append(rows[:7], np.flatnonzero(task.y == 0)[0]) for rows in ill.train]
    curve = proposals.learning_curve(task, experiments.replace(ill, train=healthy), SHORT, 0, whole)
    assert list(curve) == [8]


def test_networks_of_several_sets_of_columns_are_trained_at_once_each_with_its_own(task, folds):
    sets = {"all": task.columns, "first": task.columns[:1]}
    tables, fitted = experiments.nested_by_columns(task, folds, SHORT, 0, sets)
    assert len(fitted.best_epoch) == 2 * len(folds.train)
    shuffled = task.x.copy()
    shuffled[:, 1:] = shuffled[::-1, 1:]
    seen, other = fitted.predict(task.x), fitted.predict(shuffled)
    assert np.array_equal(seen[5:], other[5:])  # those of one column do not see the others
    assert not np.allclose(seen[:5], other[:5])
    assert [len(table) for table in tables.values()] == [len(task.records)] * 2
