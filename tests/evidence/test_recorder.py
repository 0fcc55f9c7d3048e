"""The numbers on the page: claims, the reference run, and results.json."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.chapters import all_chapters, resolve
from medutils.chapters.pneumonia_cnn.variants import VARIANTS
from medutils.data.manifest import Located
from medutils.evaluation import Estimate
from medutils.evidence import Results, load_reference, load_reported


@pytest.mark.parametrize("name", all_chapters())
def test_every_claim_that_names_a_result_has_it_in_the_reference_run(name: str):
    if (reference := load_reference(name)) is None:
        pytest.skip("there is no reference run yet, and the chapter's table says so")
    assert reference["data"]["kind"] == "real"
    assert reference["profile"] == "full"
    trained = reference["parameters"].get("variants", "").split(",")
    left_out = [name for name in VARIANTS if name not in trained]
    for claim in load_reported(name).claims:
        assert claim.words.strip()
        keys = claim.result.split("/") if claim.result else []
        if any(re.match(rf"{re.escape(name)}($|[ .])", key) for name in left_out for key in keys):
            continue  # the page says which networks the reference run left out
        found = reference
        for key in keys:
            assert key in found, claim.id
            found = found[key]


@pytest.mark.parametrize("name", all_chapters())
def test_a_reference_run_holds_no_path_of_the_machine_it_was_made_on(name: str):
    assert not [text for text in re.findall(r'"([^"]*)"', json.dumps(load_reference(name))) if Path(text).is_absolute()]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    data = tmp_path / "table.csv"
    data.write_text("a\n1\n")
    found = Results("spine_mlp", resolve("spine_mlp", {"seed": 3}).model_dump(), Located("spine", "phantom", data))
    found.add("mlp", {"f1": Estimate(0.9, 0.8, float("nan"), 62, "validation")})
    found.files["weights.pt"] = b"weights"
    found.experiment("split", train=np.int64(248), validation=62)
    found.predict(
        pd.DataFrame(
            {"record_id": ["r1"], "patient": ["p1"], "y_true": ["ill"], "prob_ill": [0.75], "prob_well": [0.25]}
        )
    )
    return found


def test_results_json_has_what_was_promised_and_nan_is_null(results: Results, tmp_path: Path):
    results.write(str(tmp_path))
    written = json.loads((tmp_path / "results.json").read_text())
    assert {"chapter", "profile", "data", "parameters", "seed", "versions", "seconds", "metrics", "experiments"} <= set(
        written
    )
    assert written["data"]["kind"] == "phantom"
    assert len(written["data"]["sha256"]) == 64
    assert written["seed"] == 3
    kept = {"value": 0.9, "low": 0.8, "high": None, "n": 62, "split": "validation"}
    assert kept.items() <= written["metrics"]["mlp.f1"].items()
    assert written["experiments"]["split"] == {"train": 248, "validation": 62}
    assert "ot for clinical use" in written["notice"]
    assert pd.read_csv(tmp_path / "predictions.csv").loc[0, "prob_ill"] == 0.75
    assert (tmp_path / "weights.pt").read_bytes() == b"weights"


def test_the_three_columns_say_phantom_and_stand_side_by_side(results: Results):
    table = results.against_reported()
    assert list(table.columns) == ["Reported", "Reference run (real data)", "This run (phantom)"]
    assert table.loc["Training rows"].tolist() == ["248 rows", "248 rows", "248 rows"]
    assert table.loc["Class columns"].tolist() == ["1", "–", "–"]
    assert table.loc["Training time", "Reported"] == "18.311 s"  # as it was written, to the last digit
    assert table.loc["Epoch with the highest validation F1", "This run (phantom)"] == "not run"
