"""Tables of spine measurements: the Kaggle file of write-up 000, the vertebral table of OpenML, or the reader's own."""

import warnings
from pathlib import Path

import pandas as pd

from medutils.data import registry
from medutils.data.loaded import Loaded
from medutils.data.manifest import Located, load_manifest
from medutils.errors import InputError
from medutils.files import cache_dir, written_whole
from medutils.tables import RECORD_COLUMNS, check_records, numbers, read_csv

MIN_ROWS, MIN_PER_CLASS = 50, 10  # rows in all, and patients of each class: cross-validation is nested in five folds
# OpenML numbers its classes; its own counts (210 and 100) say which is which, and `fetch_vertebral` checks them.
OPENML_CLASSES = {"1": "Abnormal", "2": "Normal"}


def open_spine(
    data: str = "auto",
    *,
    class_column: str = "Class_att",
    negative: str = "Normal",
    positive: str = "Abnormal",
    patient_column: str = "",
    dataset: str = "spine",
) -> tuple[pd.DataFrame, Located]:
    """Find a table of measurements and read it.

    `data` is `auto`, `phantom`, `openml` (six columns, fetched once without a key) or the path of a table. `dataset` is
    any dataset of the kind table.
    """
    load = registry.dataset(dataset, "table").load
    located = find_spine(data, dataset)
    return load(located.path, class_column, negative, positive, patient_column).records, located


def find_spine(data: str = "auto", dataset: str = "spine") -> Located:
    """Find the table, fetch it from OpenML (`openml`), or make the phantom; see `locate`."""
    if data == "openml":
        return Located("vertebral", "real", fetch_vertebral(), dataset)
    return registry.find(dataset, data)


def load_spine(
    path: Path,
    class_column: str = "Class_att",
    negative: str = "Normal",
    positive: str = "Abnormal",
    patient_column: str = "",
) -> Loaded:
    """Read a table of measurements into records, one a row, with the measurements as float columns.

    Columns without a name are left out: the Kaggle file has a 14th that holds free text. Each row is a patient of its
    own unless `patient_column` names one. Raises `InputError` for all else that is not a number where one is due.
    """
    named = [column for column in (class_column, patient_column) if column]
    table = read_csv(path, named, min_rows=MIN_ROWS)
    label = table[class_column]
    if patient_column and (empty := table[patient_column] == "").any():
        raise InputError(f"{path}: line {empty.idxmax()}: {patient_column} is empty; expected a patient in every row")
    record_id = pd.Series([f"row-{row:04d}" for row in range(1, len(table) + 1)], table.index)
    patient = table[patient_column] if patient_column else record_id
    _check_classes(path, label, (negative, positive), patient)
    measures = _numbers(path, table.drop(columns=named))
    if (twice := measures.assign(label=label).duplicated(keep=False)).any():
        lines = ", ".join(map(str, table.index[twice][:6]))
        raise InputError(f"{path}: lines {lines} hold the same row more than once; expected each row once")
    head = pd.DataFrame(
        {
            "record_id": record_id,
            "patient": patient,
            "label": label,
            "source": "table",
            "split": "",
            "path": path.name,
        }
    )
    return Loaded(check_records(pd.concat([head, measures], axis=1).reset_index(drop=True)))


def features(records: pd.DataFrame) -> list[str]:
    """Names of the measurement columns of a records table."""
    return [column for column in records.columns if column not in RECORD_COLUMNS]


def fetch_vertebral() -> Path:
    """Fetch the two-class vertebral table (310 rows, six measurements) from OpenML once; return it as a CSV file.

    The columns bear the names of the Kaggle file, `Col1` to `Col6`. Raises `InputError` when OpenML cannot be reached
    or its class counts are not those of the manifest.
    """
    path = cache_dir() / "datasets" / "vertebral" / "vertebral.csv"
    if path.is_file():
        return path
    from sklearn.datasets import fetch_openml

    manifest = load_manifest("spine")
    number = next(int(source.address) for source in manifest.sources if source.kind == "openml")
    home = str(path.with_name("openml"))
    # The pandas parser stumbles over a class whose names are numbers; the slower one reads them as text.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of every try; the error of the last one is enough
            frame = fetch_openml(data_id=number, as_frame=True, parser="liac-arff", data_home=home, n_retries=1).frame
    except (OSError, ValueError) as error:  # no network, or a checksum that does not fit
        raise InputError(
            f"data: OpenML data set {number} could not be fetched ({error}); expected a network"
        ) from error
    columns = [f"Col{number}" for number in range(1, 7)]
    if frame.shape[1] != len(columns) + 1:
        raise InputError(f"OpenML data set {number}: found {frame.shape[1]} columns, expected {len(columns) + 1}")
    table = frame.set_axis([*columns, "Class_att"], axis=1)
    table["Class_att"] = table["Class_att"].astype(str).map(OPENML_CLASSES)
    counts = table["Class_att"].value_counts().to_dict()
    if counts != manifest.counts:
        raise InputError(f"OpenML data set {number}: found the classes {counts}, expected {manifest.counts}")
    with written_whole(path) as part:
        table.to_csv(part, index=False)
    return path


def _check_classes(path: Path, label: pd.Series, classes: tuple[str, str], patient: pd.Series) -> None:
    if classes[0] == classes[1]:
        raise InputError(f"positive and negative are both '{classes[0]}'; expected two classes of {label.name}")
    column = label.name
    unknown = label[~label.isin(classes)]
    if len(unknown):
        line, found = unknown.index[0], unknown.iloc[0]
        raise InputError(f"{path}: line {line}: {column} is '{found}'; expected '{classes[0]}' or '{classes[1]}'")
    for name in classes:
        if (count := patient[label == name].nunique()) < MIN_PER_CLASS:
            what = "rows" if patient.is_unique else f"patients ({patient.name})"
            raise InputError(
                f"{path}: {column} is '{name}' in {count} {what}; expected at least {MIN_PER_CLASS} of each class"
            )


def _numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    if table.shape[1] == 0:
        raise InputError(f"{path}: found no column of measurements beside the class; expected at least one")
    if taken := [column for column in table if column in RECORD_COLUMNS]:
        raise InputError(
            f"{path}: found a measurement named '{taken[0]}', as a record's own column; expected another name"
        )
    values, wrong = numbers(table)
    if wrong:
        line, reason = wrong[0]
        raise InputError(f"{path}: line {line}: {reason}")
    return values
