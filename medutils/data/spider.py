"""SPIDER: mid-sagittal slices of lumbar MRI, and what radiologists graded on each disc."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from medutils.data import registry
from medutils.data.images import build_array
from medutils.data.loaded import Loaded
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.tables import check_records, numbers, read_csv

IMAGES, OVERVIEW, GRADINGS = "images", "overview.csv", "radiological_gradings.csv"
KINDS = ("t1", "t2", "t2_SPACE")
SUFFIX = ".jpg"
# The publisher's columns and ours; `Pfirrman` is the publisher's spelling.
COLUMNS = {
    "Patient": "patient",
    "IVD label": "disc",
    "Modic": "modic",
    "UP endplate": "up_endplate",
    "LOW endplate": "low_endplate",
    "Spondylolisthesis": "spondylolisthesis",
    "Disc herniation": "disc_herniation",
    "Disc narrowing": "disc_narrowing",
    "Disc bulging": "disc_bulging",
    "Pfirrman grade": "pfirrmann_grade",
}
GRADED = tuple(COLUMNS.values())[2:]
LARGEST = {"modic": 3, "pfirrmann_grade": 5}  # of a grading; 1 of all others


@dataclass(frozen=True, eq=False)
class Spider:
    """Graded discs and the slices of their patients.

    discs: one row a disc: `record_id` is `<patient>:<disc>`; patient (text), disc (int, 1 is the lowest), the gradings
        (int: modic, up_endplate, low_endplate, spondylolisthesis, disc_herniation, disc_narrowing, disc_bulging,
        pfirrmann_grade), and of the patient sex (`F`, `M` or ""), manufacturer and field_strength (tesla)
    series: by kind (`t1`, `t2`, `t2_SPACE`) the slice of each patient who has one
    skipped: what was left out: a file or a patient, and the reason
    """

    discs: pd.DataFrame
    series: dict[str, dict[str, Path]]
    located: Located
    skipped: tuple[tuple[str, str], ...] = ()

    def pixels(self, kind: str, size: int) -> tuple[tuple[str, ...], Tensor]:
        """The patients who have a series of this kind, and their slices: uint8 (patients, size, size), squashed."""
        patients = tuple(self.series[kind])
        array = build_array([*self.series[kind].values()], size, aspect="squash", strict=True)
        return patients, torch.from_numpy(array.pixels.copy())


def open_spider(data: str = "auto") -> Spider:
    """Find SPIDER's mid-sagittal slices and gradings, or make their phantom.

    data: `auto`, `phantom`, or a folder with `images/<patient>_<kind>.jpg` and the publisher's two tables

    Patients without a slice or without a graded disc are left out and named in `skipped`, and so are pictures that
    cannot be read. Raises `InputError` when a table is not as published, or no patient is left.
    """
    located = registry.find("spider_midsagittal", data)
    folder = located.path
    discs = _with_patients(read_gradings(folder / GRADINGS), folder / OVERVIEW)
    series, skipped = _series(folder / IMAGES)
    shown = {patient for of_kind in series.values() for patient in of_kind}
    graded = set(discs["patient"])
    skipped += [(patient, f"has no slice in {IMAGES}") for patient in sorted(graded - shown, key=_number)]
    skipped += [(patient, f"has no disc in {GRADINGS}") for patient in sorted(shown - graded, key=_number)]
    if not (both := shown & graded):
        raise InputError(f"{folder}: found no patient with a slice and a graded disc; expected tables of these images")
    kept = {
        kind: {patient: of_kind[patient] for patient in sorted(both & set(of_kind), key=_number)}
        for kind, of_kind in series.items()
    }
    discs = discs[discs["patient"].isin(both)].reset_index(drop=True)
    return Spider(discs, {kind: of_kind for kind, of_kind in kept.items() if of_kind}, located, tuple(skipped))


def load_spider(folder: Path) -> Loaded:
    """Read the gradings as records, one a disc: `label` is the Pfirrmann grade; see `read_gradings`."""
    discs = read_gradings(folder / GRADINGS)
    common = {"label": discs["pfirrmann_grade"].astype(str), "source": "spider", "split": ""}
    return Loaded(check_records(discs.assign(**common, path=str(folder / GRADINGS))))


def read_gradings(path: Path) -> pd.DataFrame:
    """Read `radiological_gradings.csv`: one row a disc, with `record_id`, patient (text), disc and gradings (int).

    Raises `InputError` for a cell that is no whole number, a grading out of its range, or a disc that comes twice.
    """
    table = read_csv(path, tuple(COLUMNS), min_rows=1)[[*COLUMNS]].rename(columns=COLUMNS)
    values, wrong = numbers(table)
    for column in COLUMNS.values():
        most = float("inf") if column in ("patient", "disc") else LARGEST.get(column, 1)
        sound = values[column].between(0, most) & (values[column] % 1 == 0)
        wrong += [
            (line, f"{column} is '{table.at[line, column]}'; expected a whole number of 0 to {most:g}")
            for line in values.index[~sound]
        ]
    if wrong:
        line, what = wrong[0]
        raise InputError(f"{path}: line {line}: {what}")
    discs = values.astype(int).reset_index(drop=True)
    discs["patient"] = discs["patient"].astype(str)
    discs.insert(0, "record_id", discs["patient"] + ":" + discs["disc"].astype(str))
    if (twice := discs["record_id"].duplicated()).any():
        patient, disc = discs.loc[twice.idxmax(), ["patient", "disc"]]
        raise InputError(f"{path}: disc {disc} of patient {patient} comes twice; expected each disc once")
    return discs


def _with_patients(discs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The discs with what `overview.csv` says of their patient; "" and NaN where it has no row of them."""
    table = read_csv(path, ("new_file_name", "sex", "Manufacturer", "MagneticFieldStrength"), min_rows=1)
    table["patient"] = table["new_file_name"].str.partition("_")[0]
    of = table.drop_duplicates("patient").set_index("patient")
    return discs.assign(
        sex=discs["patient"].map(of["sex"]).fillna(""),
        manufacturer=discs["patient"].map(of["Manufacturer"]).fillna(""),
        field_strength=discs["patient"].map(pd.to_numeric(of["MagneticFieldStrength"], errors="coerce")),
    )


def _series(folder: Path) -> tuple[dict[str, dict[str, Path]], list[tuple[str, str]]]:
    """By kind the readable slice of each patient, and the files left out."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"{folder}: found no picture; expected <patient>_<{' or '.join(KINDS)}>{SUFFIX}")
    array = build_array(files, 32, aspect="squash")
    skipped = [(f"{IMAGES}/{path.name}", why) for path, why in array.skipped]
    series: dict[str, dict[str, Path]] = {kind: {} for kind in KINDS}
    for path in (files[place] for place in array.kept):
        patient, _, kind = path.stem.partition("_")
        if kind in series and patient.isdecimal():
            series[kind][patient] = path
        else:
            skipped.append((f"{IMAGES}/{path.name}", f"its name is none of <patient>_<{' or '.join(KINDS)}>{SUFFIX}"))
    return series, skipped


def _number(patient: str) -> int:
    return int(patient)
