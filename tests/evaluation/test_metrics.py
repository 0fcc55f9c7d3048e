"""Pooled metrics against scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from medutils.errors import InputError
from medutils.evaluation import METRICS, binary, grades, metric_name, multiclass, one_against_rest, values


def of_one_class(y, said, p):
    """scikit-learn's measures of one class against the rest; NaN where it warns that there is none."""
    both = y.any() and not y.all()
    return {
        "sensitivity": sk.recall_score(y, said, zero_division=np.nan),
        "specificity": sk.recall_score(~y, ~said, zero_division=np.nan),
        "precision": sk.precision_score(y, said, zero_division=0),
        "npv": sk.precision_score(~y, ~said, zero_division=0),
        "f1": sk.f1_score(y, said, zero_division=np.nan),
        "auroc": sk.roc_auc_score(y, p) if both else np.nan,
        "auprc": sk.average_precision_score(y, p) if y.any() else np.nan,
        "brier": ((p - y) ** 2).mean(),
    }


def expected(y, p, classes, task):
    """Every metric by scikit-learn, from class numbers and probabilities."""
    said = (p[:, 1] >= 0.5).astype(int) if task.kind == "binary" else p.argmax(1)
    numbers = list(range(len(classes)))
    occurs = np.unique(y)
    each = [of_one_class(y == k, said == k, p[:, k]) for k in numbers]
    found = {
        "accuracy": sk.accuracy_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "log_loss": sk.log_loss(y, p, labels=numbers),
    }
    macro = {f"macro_{name}": np.mean([each[k][name] for k in occurs]) for name in each[0]}
    if task.kind == "binary":
        found |= each[1] | {"macro_f1": macro["macro_f1"]}
    else:
        found |= macro | {f"{name}[{classes[k]}]": each[k][name] for k in numbers for name in each[k]}
    if task.kind == "grades":
        found["kappa_linear"] = sk.cohen_kappa_score(y, said, labels=numbers, weights="linear")
        weight = np.array(task.weights)[y]
        found["weighted_log_loss"] = sk.log_loss(y, p, labels=numbers, sample_weight=weight)
    if len(occurs) < 2:  # a mean over classes needs two of them
        found |= {name: np.nan for name in found if name.startswith(("macro_", "balanced"))}
    return found


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["binary", "multiclass", "grades"]))
def test_every_metric_is_scikit_learns_with_ties_missing_classes_and_one_class_only(data, kind):
    count = 2 if kind == "binary" else data.draw(st.integers(2, 4))
    classes = tuple("abcd"[:count])
    task = {
        "binary": binary("b", "a"),
        "multiclass": multiclass(classes),
        "grades": grades(classes, [2**k for k in range(count)]),
    }[kind]
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(0, count - 1), *[st.integers(1, 4)] * count),
            min_size=1,
            max_size=30,
        )
    )
    y, odds = np.array(rows)[:, 0], np.array(rows, dtype=float)[:, 1:]
    p = odds / odds.sum(1)[:, None]
    table = pd.DataFrame({"patient": [str(i // 2) for i in range(len(y))], "y_true": np.array(classes)[y]})
    table[[f"prob_{name}" for name in classes]] = p
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are not there
        wanted = expected(y, p, classes, task)
    assert values(table, task) == pytest.approx(wanted, nan_ok=True, abs=1e-9)


def test_the_positive_class_is_the_one_named(two_classes):
    sick, well = (values(two_classes(), binary(name), cut) for name, cut in (("sick", 0.505), ("well", 0.495)))
    assert sick["sensitivity"] == pytest.approx(well["specificity"])
    assert sick["npv"] == pytest.approx(well["precision"])
    assert sick["precision"] != pytest.approx(well["precision"])


def test_a_row_at_the_threshold_is_called_positive(two_classes):
    table = two_classes()
    lowest = table.loc[table["y_true"] == "sick", "prob_sick"].min()
    for threshold, column in ((lowest, table), ("own", table.assign(own=lowest))):
        assert values(column, binary("sick"), threshold)["sensitivity"] == 1


def test_ppv_and_npv_at_a_prevalence_are_those_of_rows_with_that_prevalence(two_classes):
    table = two_classes(400)
    sick = table["y_true"].eq("sick")
    rare = pd.concat([table[sick], *[table[~sick]] * 9])
    share = rare["y_true"].eq("sick").mean()
    found, wanted = values(table, binary("sick"), prevalence=share), values(rare, binary("sick"))
    assert found[f"ppv_at_{share:g}"] == pytest.approx(wanted["precision"])
    assert found[f"npv_at_{share:g}"] == pytest.approx(wanted["npv"])


def test_a_prevalence_of_one_grade_is_that_of_the_grade_against_the_rest(many_targets):
    table, task = many_targets(), grades(["mild", "moderate", "severe"])
    found = values(table, task, prevalence={"severe": 0.1})
    sensitivity, alarms = found["sensitivity[severe]"], 1 - found["specificity[severe]"]
    assert found["ppv_at_0.1[severe]"] == pytest.approx(0.1 * sensitivity / (0.1 * sensitivity + 0.9 * alarms))


@pytest.mark.parametrize("prevalence", [0, 1.0, {"Sick": 0.1}])
def test_an_impossible_prevalence_is_refused(two_classes, prevalence):
    with pytest.raises(InputError, match=r"prevalence: found .* expected 0 to 1 of one of well, sick"):
        values(two_classes(), binary("sick"), prevalence=prevalence)


def test_empty_cells_are_never_counted(many_targets):
    task = grades(["mild", "moderate", "severe"])
    table = many_targets()
    kept = table[table["y_true"] != ""]
    nan = table.assign(y_true=table["y_true"].replace("", np.nan))
    assert values(table, task) == values(kept, task) == values(nan, task)
    pooled = values(kept.drop(columns="target"), task)
    assert pooled.items() <= values(table, task).items()


def test_the_mean_over_targets_takes_those_that_are_defined(many_targets):
    table = many_targets()
    found = values(table, grades(["mild", "moderate", "severe"]))
    each = [values(part, grades(["mild", "moderate", "severe"])) for _, part in table.groupby("target")]
    assert np.isnan(each[-1]["auroc[severe]"])
    for name, of in (("auroc_over_targets[severe]", "auroc[severe]"), ("auroc_over_targets", "macro_auroc")):
        assert found[name] == pytest.approx(np.nanmean([one[of] for one in each]))


def test_one_class_against_the_rest_is_the_same_from_either_table(many_targets):
    table = many_targets()
    whole = values(table, multiclass(["mild", "moderate", "severe"]))
    two = values(one_against_rest(table, "severe"), binary("severe"))
    for name in ("auroc", "auprc", "brier"):
        assert two[name] == pytest.approx(whole[f"{name}[severe]"])


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("auroc", "AUROC"),
        ("macro_f1", "Macro-F1"),
        ("macro_auroc", "AUROC, macro"),
        ("npv[severe]", "NPV, severe"),
        ("ppv_at_0.1", "PPV at a prevalence of 0.1"),
        ("npv_at_0.05[severe]", "NPV at a prevalence of 0.05, severe"),
        ("auroc_over_targets[severe]", "AUROC, mean over targets, severe"),
        ("loss", "loss"),
    ],
)
def test_every_key_has_a_name_for_display(key, words):
    assert metric_name(key) == words


def test_no_key_is_shown_as_it_is(many_targets):
    found = values(many_targets(), grades(["mild", "moderate", "severe"]), prevalence={"severe": 0.1})
    assert all(metric_name(key) != key for key in found)
    assert set(METRICS) > {key for key in found if "[" not in key and not key.startswith("macro_")}
