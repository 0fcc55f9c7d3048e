"""Probes of each disc on made gradings: what an embedding knows is found, what it does not know is not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import discs as module
from medutils.errors import InputError

PATIENTS, NUMBERS = 60, 3


def made(seed: int = 0) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Discs whose Pfirrmann grade is its number's and the patient's together, and embeddings that hold the latter."""
    rng = np.random.default_rng(seed)
    names = [f"{place}" for place in range(PATIENTS)]
    worn = rng.normal(size=PATIENTS)
    rows = []
    for patient, of_patient in zip(names, worn, strict=True):
        for disc in range(1, NUMBERS + 1):
            grade = int(np.clip(np.round(3 + of_patient + (2 - disc) / 2), 1, 5))
            rows.append({"record_id": f"{patient}:{disc}", "patient": patient, "disc": disc, "pfirrmann_grade": grade})
    table = pd.DataFrame(rows).assign(disc_bulging=rng.integers(2, size=len(rows)), spondylolisthesis=0)
    table["modic"] = np.where(table["pfirrmann_grade"] > 3, 2, 0)
    table["disc_narrowing"] = table["disc_herniation"] = (table["pfirrmann_grade"] > 3).astype(int)
    table["sex"] = np.where(table["patient"].astype(int) % 2, "F", "M")
    table["field_strength"] = 1.5
    t1 = pd.DataFrame(rng.normal(size=(PATIENTS, 20)), names)
    t2 = pd.DataFrame(rng.normal(size=(PATIENTS, 20)) + 2 * worn[:, None], names)
    return table, {"t1": t1, "t2": t2}


DISCS, EMBEDDINGS = made()


@pytest.mark.parametrize(
    ("finding", "metric", "more"),
    [("pfirrmann", "macro_auroc", ()), ("modic", "auroc", ("noise", "t1", "both", "both_per_disc"))],
)
def test_the_series_that_knows_is_told_from_those_that_do_not(finding: str, metric: str, more: tuple[str, ...]) -> None:
    tables = module.probe(DISCS, EMBEDDINGS, 1, findings=[finding], inputs=("prior", "t2", *more))
    found = module.measure(tables, resamples=50)
    assert found[f"{finding}_t2_over_prior"][metric].low > 0.05
    assert found[f"{finding}_prior"]["auroc_over_targets"].value == 0.5  # at one disc it knows nothing
    assert found[f"{finding}_t2"]["auroc_over_targets"].low > 0.7
    assert found[f"{finding}_t2"][metric].n == PATIENTS
    if more:
        assert found["modic_both_over_prior"][metric].low > 0.05
        assert max(found[f"modic_{name}_over_prior"][metric].value for name in ("noise", "t1")) < 0.05
        assert "modic_both_per_disc_over_both" in found


def test_grades_are_five_and_findings_present_or_absent() -> None:
    assert module.task_of("pfirrmann").classes == ("1", "2", "3", "4", "5")
    assert module.labels_of("pfirrmann", DISCS).isin(module.PFIRRMANN).all()
    assert module.labels_of("modic", DISCS).eq("present").equals(DISCS["modic"].eq(2))
    assert module.task_of("modic").positive == "present"


def test_a_finding_that_nobody_has_is_left_out() -> None:
    found = module.probe(DISCS, EMBEDDINGS, 1, findings=["spondylolisthesis", "bulging"], inputs=["prior", "clinical"])
    assert list(found) == ["bulging"]


def test_all_are_held_against_each_other_on_the_patients_who_have_every_series() -> None:
    fewer = {**EMBEDDINGS, "t2": EMBEDDINGS["t2"].iloc[:30]}
    assert module.with_series(DISCS, fewer)["patient"].nunique() == 30
    with pytest.raises(InputError, match=r"found 3 patients with all of t1, t2; expected at least 5"):
        module.with_series(DISCS, {**EMBEDDINGS, "t2": EMBEDDINGS["t2"].iloc[:3]})


def test_the_clinical_input_is_counted_by_patient_and_by_scanner(tmp_path: Path) -> None:
    path = tmp_path / "overview.csv"
    path.write_text(
        "new_file_name,sex,birth_date,Manufacturer\n1_t1,F ,,A\n1_t2,F,59,A\n2_t1,M,,A\n3_t1,,,B\n", encoding="utf-8"
    )
    found = module.recorded(path)
    assert found.loc["all"].to_dict() == {"patients": 3, "sex": 2, "birth_date": 1, "MagneticFieldStrength": 0}
    assert found["birth_date"].to_dict() == {"A": 1, "B": 0, "all": 1}
