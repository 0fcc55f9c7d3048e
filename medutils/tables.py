"""The two contracts everything hangs on: records and predictions, as plain DataFrames with a checked schema.

A **record** is one row of a dataset: a line of a table, a film, a slice, a series.
A **prediction** is what a model said of one record, or of one of its many targets.
"""

import csv
import html
import io
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medutils.errors import InputError

if TYPE_CHECKING:
    import pandera.pandas as pa

RECORD_COLUMNS = ("record_id", "patient", "label", "source", "split", "path")
SPLITS = ("", "train", "validation", "test")
pd.set_option("mode.string_storage", "python")  # with Arrow, a file's name that is not UTF-8 could stand in no column
MAX_ROWS, MAX_BYTES = 1_000_000, 1_000_000_000  # of a table: it is held in memory
LARGEST = 1e30  # above it the square of a number, or the number itself in single precision, is near overflow
NUMBER = f"a number from {-LARGEST:g} to {LARGEST:g}"
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")  # bytes that no text holds, but text of two bytes a letter does
NOT_UTF8 = "read as Windows-1252 text (cp1252): it is not UTF-8"
# Characters that Markdown, the book's or a terminal's, reads as marks and not as themselves.
MARKS = re.compile(r"[\\`*{}\[\]<>$&|~^]|(?<!\w)_|_(?!\w)|^[-+=:%.#]|(?<=\d)[.)](?=\s|$)")


def read_csv(path: Path, columns: Collection[str] = (), *, min_rows: int = 0) -> pd.DataFrame:
    """Read a CSV file as text, without blanks around the cells; a row's index is its line in the file.

    Commas, semicolons and tabs are understood, with or without a byte-order mark; text that is not UTF-8 is taken for
    Windows-1252 (see `encoding_note`). Lines without a value are left out, and so are columns without a name (pandas
    writes `Unnamed: 0` for one). A cell that is empty or absent is "".

    Raises `InputError` when the file is no table of text, is larger than `MAX_BYTES` or has more than `MAX_ROWS` rows,
    a row has more cells than the header, a column comes twice, one of `columns` is not there, or there are fewer than
    `min_rows` rows.
    """
    lines = _csv_lines(path)
    if not lines:
        raise InputError(f"{path}: found no header line; expected a CSV table")
    header = lines.pop(min(lines))
    named = [name for name in header if name and not name.startswith("Unnamed:")]
    if missing := [name for name in columns if name not in named]:
        wanted = few([f"'{name}'" for name in missing])
        raise InputError(f"{path}: found no column {wanted}; its columns are {few(named)}")
    if twice := [name for name in named if named.count(name) > 1]:
        raise InputError(f"{path}: found the column '{twice[0]}' more than once; expected each once")
    for line, cells in lines.items():
        if any(cells[len(header) :]):
            raise InputError(f"{path}: line {line}: found a row of {len(cells)} cells; expected {len(header)}")
        cells += [""] * (len(header) - len(cells))
    if len(lines) < min_rows:
        raise InputError(f"{path}: found {len(lines)} rows; expected at least {min_rows}")
    rows = [cells[: len(header)] for cells in lines.values()]
    return pd.DataFrame(rows, pd.Index(lines, dtype=int), header, dtype=str)[named]


def numbers(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """The cells of a table of `read_csv` as floats, and those that are none: line, and what was found and expected."""
    found = table.apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = [
        (int(table.index[row]), f"{table.columns[place]} is '{table.iloc[row, place]}'; expected {NUMBER}")
        for row, place in np.argwhere(~(found.abs() <= LARGEST).to_numpy())
    ]
    return found, wrong


def count_columns(path: Path) -> int:
    """How many columns the header of a CSV file has, those without a name and those that `read_csv` leaves out too."""
    lines = _csv_lines(path)
    return len(lines[min(lines)]) if lines else 0


def encoding_note(path: Path) -> str:
    """`NOT_UTF8` for a table that `read_csv` takes for Windows-1252 text, else ""."""
    return NOT_UTF8 if _text(path)[1] == "cp1252" else ""


def _text(path: Path) -> tuple[str, str]:
    """The text of a file, and how it was decoded: UTF-8, or Windows-1252 as older spreadsheets write it."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path}: found {size:,} bytes; expected at most {MAX_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            at = error.start
            continue
        if not ("\0" in text if encoding == "utf-8-sig" else CONTROL.search(text)):
            return text, encoding
        at = content.find(b"\0") if encoding == "utf-8-sig" else at
    raise InputError(f"{path}: byte {at} is not UTF-8 text, nor is the file Windows-1252; expected a CSV table")


def _csv_lines(path: Path) -> dict[int, list[str]]:
    """The cells of each line that holds a value, by the number of the line."""
    text, _ = _text(path)
    header = next(filter(str.strip, io.StringIO(text, newline="")), "")
    separator = max(",;\t", key=re.sub('"[^"]*"', "", header).count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = {}
    try:
        for row in lines:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows[lines.line_num] = cells
            if len(rows) > MAX_ROWS + 1:
                raise InputError(f"{path}: found more than {MAX_ROWS:,} rows; expected at most as many")
    except csv.Error as error:
        raise InputError(f"{path}: line {lines.line_num}: {error}; expected a CSV table") from error
    return rows


def few(names: Collection[str], at_most: int = 6) -> str:
    """Some names for a sentence: the first of them, and how many more there are."""
    shown = ", ".join(list(names)[:at_most]) or "none"
    return shown + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def markdown_safe(text: str) -> str:
    """A name of the user's own, such as a class or a column, so that Markdown shows it as it is written."""
    return MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def figure_safe(text: str) -> str:
    """A name of the user's own so that a plotly figure shows it as it is written; a new line in it stays one.

    plotly takes text for a little HTML (`<b>`, `<br>`, `<a>`, entities) and, on a page with MathJax, for TeX between
    dollar signs.
    """
    return html.escape(text, quote=False).replace("$", "&#36;").replace("\n", "<br>")


def rest(positive: str) -> str:
    """The name of all other classes together."""
    return f"not {positive}"


@cache
def _schemas() -> "tuple[pa.DataFrameSchema, pa.DataFrameSchema, pa.DataFrameSchema]":
    import pandera.pandas as pa  # slow to import, so only when a table is checked

    text: dict[str, Any] = {"dtype": str, "coerce": True}
    named = pa.Check.str_length(min_value=1)
    records = pa.DataFrameSchema(
        {
            "record_id": pa.Column(**text, checks=named, unique=True),
            "patient": pa.Column(**text, checks=named),
            "label": pa.Column(**text, checks=named),
            "source": pa.Column(**text, checks=named),
            "split": pa.Column(**text, checks=pa.Check.isin(SPLITS)),
            "path": pa.Column(**text),
        },
        checks=pa.Check(lambda table: len(table) > 0, error="it has no rows"),
    )
    predictions = pa.DataFrameSchema(
        {
            "record_id": pa.Column(**text, checks=named),
            "patient": pa.Column(**text, checks=named),
            "y_true": pa.Column(**text, checks=named),
            "prob_.+": pa.Column(float, pa.Check.in_range(0, 1), regex=True),
        },
        checks=pa.Check(
            lambda table: table.filter(regex="^prob_").sum(axis=1).sub(1).abs().lt(1e-4).all(),
            error="the prob_ columns of a row do not sum to 1",
        ),
    )
    targets = predictions.update_column("y_true", checks=[], nullable=True).add_columns(
        {"target": pa.Column(**text, checks=named)}
    )
    return records, predictions, targets


def _check(schema: "pa.DataFrameSchema", table: pd.DataFrame, name: str) -> pd.DataFrame:
    import pandera.errors

    try:
        return schema.validate(table)
    except pandera.errors.SchemaError as error:
        raise InputError(f"the {name} table is not valid: {str(error).splitlines()[0]}") from error


def check_records(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` if it is a records table, else raise an `InputError`.

    Columns: `record_id` (unique), `patient`, `label`, `source`, `split` ("" when the dataset has none) and `path`, all
    text, then whatever columns the dataset has of its own.
    """
    return _check(_schemas()[0], table, "records")


def check_predictions(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` if it is a predictions table, else raise an `InputError`.

    Columns: `record_id`, `patient`, `y_true` (a class name) and one `prob_<class>` for each class, which sum to 1. With
    a column `target` (text) a record has one row for each of many targets, and `y_true` is "" or NaN where none was
    graded.
    """
    return _check(_schemas()[2 if "target" in table else 1], table, "predictions")


def graded(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows with a true class: of many targets, those where `y_true` is neither "" nor NaN."""
    if "target" not in predictions:
        return predictions
    return predictions[predictions["y_true"].notna() & predictions["y_true"].ne("")]


def predictions_table(records: pd.DataFrame, positive_probability: Any, negative: str, positive: str) -> pd.DataFrame:
    """Make a two-class predictions table from records and one probability of the positive class for each."""
    table = records[["record_id", "patient"]].assign(y_true=records["label"])
    table[f"prob_{negative}"] = 1 - np.asarray(positive_probability, dtype=float)
    table[f"prob_{positive}"] = np.asarray(positive_probability, dtype=float)
    return check_predictions(table.reset_index(drop=True))
