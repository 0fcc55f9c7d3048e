"""The spine phantom: rows drawn from the real table's per-class means and covariances.

The numbers lie beside this file in `spine.json`. `python -m medutils.data.phantoms.spine Dataset_spine.csv` makes them
anew from the real table. They are summary statistics; no row of the real table can be read from them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medutils.data.manifest import mark_phantom
from medutils.files import write_json

STATISTICS = Path(__file__).with_suffix(".json")
DRAWN = ["Col2", "Col3", "Col4", "Col5", "Col6"]  # Col1 is computed: pelvic incidence = pelvic tilt + sacral slope
NOISE = ["Col7", "Col8", "Col9", "Col10", "Col11", "Col12"]
SHIFT = 12.0  # Col6 is skewed and starts at -11: its logarithm, shifted, is what looks normal
STRAY_TEXT = "PHANTOM: drawn by a program, not measured"


def make_spine(folder: Path, seed: int = 9) -> None:
    """Write `Dataset_spine.csv` in the Kaggle file's layout: 12 columns, the class, and a 14th of stray text.

    Classes, their counts and their order (all Abnormal rows first) are the real table's, so that the write-up's split
    with `random_state=13` takes the same rows of each class. Of the seeds 0 to 11 the default gives the table on which
    the chapter's procedures come nearest to what they give on the real one; a phantom illustrates, it proves nothing.
    """
    rng = np.random.default_rng(seed)
    statistics = json.loads(STATISTICS.read_text(encoding="utf-8"))
    parts = []
    for name, of_class in statistics["classes"].items():
        drawn = rng.multivariate_normal(of_class["mean"], of_class["covariance"], size=of_class["rows"])
        parts.append(pd.DataFrame(drawn, columns=DRAWN).assign(Class_att=name))
    table = pd.concat(parts, ignore_index=True)
    table["Col6"] = np.exp(table["Col6"]) - SHIFT
    table["Col1"] = table["Col2"] + table["Col4"]
    for column, (low, high) in statistics["noise"].items():
        table[column] = rng.uniform(low, high, size=len(table))
    table = table[["Col1", *DRAWN, *NOISE, "Class_att"]].round(9)
    table[""] = [STRAY_TEXT if 2 <= row < 16 else "" for row in table.index]
    table.to_csv(folder / "Dataset_spine.csv", index=False)
    mark_phantom(folder, name="spine", seed=seed)


def measure(table: pd.DataFrame) -> dict[str, Any]:
    """Per-class means and covariances of the drawn columns, and the ranges of the noise columns, of the real table."""
    table = table.assign(Col6=np.log(table["Col6"] + SHIFT))
    classes = {
        name: {
            "rows": len(rows),
            "mean": rows[DRAWN].mean().round(5).tolist(),
            "covariance": rows[DRAWN].cov().round(5).to_numpy().tolist(),
        }
        for name, rows in table.groupby("Class_att", sort=True)
    }
    return {"classes": classes, "noise": {column: [table[column].min(), table[column].max()] for column in NOISE}}


if __name__ == "__main__":
    write_json(STATISTICS, measure(pd.read_csv(sys.argv[1])))
