"""Cross-validated regressions: fitted without the patient, the penalty chosen inside."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings.probes import FOLDS, cross_validated

RECORDS = pd.DataFrame(
    {
        "record_id": [f"r{n}" for n in range(120)],
        "patient": [f"p{n // 3}" for n in range(120)],
        "label": ["a" if n // 3 % 2 else "b" for n in range(120)],
    }
)
TOLD = RECORDS["label"].eq("a").to_numpy(float)[:, None]


@pytest.mark.parametrize("strengths", [(1.0,), (0.01, 1.0)])
def test_what_tells_the_class_is_learned_in_every_repeat(strengths: tuple[float, ...]) -> None:
    found = cross_validated(lambda train: TOLD, RECORDS, ("b", "a"), repeats=2, strengths=strengths)
    assert len(found) == 2 * len(RECORDS) and found["repeat"].nunique() == 2
    assert ((found["prob_a"] > 0.5) == (found["y_true"] == "a")).all()


def test_no_row_is_judged_by_a_regression_that_saw_its_patient() -> None:
    seen = []

    def design(train: np.ndarray) -> np.ndarray:
        seen.append(set(RECORDS["patient"].iloc[train]))
        return np.eye(40)[np.arange(120) // 3]  # a number a patient: learned by heart, and worth nothing for others

    found = cross_validated(design, RECORDS, ("b", "a"))
    by_fold = found.groupby("fold")["patient"].unique()
    assert len(seen) == FOLDS and not any(seen[fold] & set(patients) for fold, patients in by_fold.items())
    assert found["prob_a"].between(0.4, 0.6).all()


def test_a_class_of_many_weighs_more_when_it_is_asked_to() -> None:
    nothing = np.ones((120, 1))
    plain, heavy = (cross_validated(lambda train: nothing, RECORDS, ("b", "a"), weights=w) for w in ((), (1, 4)))
    assert plain["prob_a"].mean() == pytest.approx(0.5, abs=0.02)
    assert heavy["prob_a"].mean() == pytest.approx(0.8, abs=0.02)


def test_a_class_that_a_fold_lacks_has_no_probability_there() -> None:
    records = RECORDS.assign(label=RECORDS["label"].where(RECORDS["patient"] != "p0", "rare"))
    found = cross_validated(lambda train: TOLD, records, ("b", "a", "rare"))
    assert (found.loc[found["patient"] == "p0", "prob_rare"] == 0).all()
