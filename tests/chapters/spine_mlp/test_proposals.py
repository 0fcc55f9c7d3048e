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


def test_a_learning_curve_judges_every_size_on_the_same_rows(task):
    folds = experiments.nested_folds(task, 1, 0)
    curve = proposals.learning_curve(task, folds, SHORT, 0, [40, 80])
    rows = [table["record_id"].tolist() for models in curve.values() for table in models.values()]
    assert list(curve) == [40, 80]
    assert all(part == rows[0] for part in rows)
    assert len(rows[0]) == len(task.records)


def test_sizes_that_leave_one_class_are_left_out(task):
    folds = experiments.nested_folds(task, 1, 0)
    assert proposals.learning_curve(task, folds, SHORT, 0, [1]) == {}


def test_a_curve_halves_the_rows_three_times(task):
    folds = experiments.nested_folds(task, 1, 0)
    assert proposals.sizes(folds) == [24, 49, 99, 198]
