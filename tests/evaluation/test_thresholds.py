"""Thresholds by rule, and for a wanted sensitivity or specificity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medutils.errors import InputError
from medutils.evaluation import choose_threshold, threshold_for


def test_the_threshold_is_the_best_f1_and_half_when_all_are_equal():
    y = np.array([0, 0, 1, 1, 1.0])
    assert 0.2 < choose_threshold(y, np.array([0.1, 0.2, 0.3, 0.4, 0.9])) < 0.3
    assert choose_threshold(y, np.array([0.1, 0.2, 0.8, 0.9, 0.9])) == 0.5


def test_balanced_accuracy_chooses_another_threshold_than_f1_where_most_are_ill():
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], [100, 900])
    probability = 1 / (1 + np.exp(-(y + rng.normal(0, 1, 1000))))
    by_f1, by_both = (choose_threshold(y, probability, rule) for rule in ("F1", "balanced accuracy"))
    assert by_f1 < by_both

    def balanced(threshold):
        said = probability >= threshold
        return said[y == 1].mean() + (~said)[y == 0].mean()

    assert balanced(by_both) == pytest.approx(max(balanced(edge) for edge in np.r_[probability + 1e-9, 0.5]))


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=30)


@given(rows=ROWS, wanted=st.floats(0, 1), name=st.sampled_from(["sensitivity", "specificity"]))
def test_a_wanted_value_is_reached_and_no_better_threshold_reaches_it(rows, wanted, name):
    rows += [(True, 5), (False, 5)]
    y, p = np.array(rows).T
    y, p = y.astype(float), p / 10

    def reached(threshold):
        said = p >= threshold
        return said[y == 1].mean() if name == "sensitivity" else (~said)[y == 0].mean()

    found = threshold_for(name, wanted, y, p)
    assert reached(found) >= wanted - 1e-9
    further = p[p > found] if name == "sensitivity" else p[p < found]
    if len(further):  # the next threshold that decides otherwise
        beyond = further.min() + 1e-6 if name == "sensitivity" else further.max()
        assert reached(beyond) < wanted


@pytest.mark.parametrize(("wanted", "y"), [(1.2, [0.0, 1.0]), (0.9, [0.0, 0.0])])
def test_a_sensitivity_that_cannot_be_is_refused(wanted, y):
    with pytest.raises(InputError, match=f"sensitivity: found {wanted}"):
        threshold_for("sensitivity", wanted, np.array(y), np.array([0.2, 0.8]))
