"""Splits by patient: stratified, the same on every machine, saved with their records' hash, checked for overlap."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from medutils.data.images import SUFFIXES, VOLUMES, is_dicom
from medutils.errors import InputError
from medutils.files import explain, sha256, write_json
from medutils.tables import SPLITS, check_records, few

KNOWN = SUFFIXES | {*VOLUMES}
FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_by_patient(
    records: pd.DataFrame,
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
    keep: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return `records` with `split` filled: each patient in one split, each label in each split.

    Rows whose split is in `keep` stay as they are (a published test set, say), and the rest is divided by `fractions`.
    Patients are ordered by a hash of the seed and their name, so the result is the same on every machine and does not
    depend on the order of the rows. Raises `InputError` when the fractions do not sum to 1, a class has fewer patients
    than there are splits, or a patient has rows both in `keep` and in the rest.
    """
    _check_fractions(fractions)
    records = check_records(records)
    kept = records["split"].isin(keep)
    both = set(records.loc[kept, "patient"]) & set(records.loc[~kept, "patient"])
    if both:
        raise InputError(
            f"split: {len(both)} patients ({min(both)}, ...) are both in {' and '.join(keep)} and outside; "
            "expected each patient in one split"
        )
    split = records["split"].where(kept, records["patient"].map(assign_patients(records[~kept], fractions, seed)))
    return records.assign(split=split)


def assign_patients(records: pd.DataFrame, parts: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign each patient of `records` to one of `parts`, whose values are the share of records each should get.

    A patient counts for the class and the source that most of their records have. Within a class and a source, patients
    come in the order of their hash, and each goes to the part that lacks most records; the last ones fill parts that
    are still empty. A source with fewer patients of a class than there are parts joins the largest one of that class.
    """
    sizes = records.groupby(["patient", "label", "source"], sort=True).size().reset_index(name="records")
    sizes["stratum"] = _strata(sizes, len(parts))
    by_size = sizes.sort_values(["records", "label", "source"], ascending=[False, True, True])
    stratum = by_size.drop_duplicates("patient")
    total = sizes.groupby("patient")["records"].sum()
    assigned: dict[str, str] = {}
    for (label, _), group in stratum.groupby(["label", "stratum"], sort=True):
        patients = sorted(group["patient"], key=lambda patient: _order(seed, patient))
        if len(patients) < len(parts):
            raise InputError(
                f"label '{label}' has {len(patients)} patients; expected at least {len(parts)}, one a split"
            )
        whole = int(total[patients].sum())
        lacking = {part: share * whole for part, share in parts.items()}
        empty = list(parts)
        for left, patient in zip(range(len(patients), 0, -1), patients, strict=True):
            part = max(empty if len(empty) >= left else parts, key=lacking.__getitem__)
            assigned[patient] = part
            lacking[part] -= int(total[patient])
            empty = [name for name in empty if name != part]
    return assigned


def _strata(sizes: pd.DataFrame, least: int) -> pd.Series:
    """The source that each row of patient, label, source, records is drawn with."""
    first = sizes.sort_values(["records", "label", "source"], ascending=[False, True, True]).drop_duplicates("patient")
    patients = first.groupby(["label", "source"])["patient"].size().rename("patients").reset_index()
    by_size = patients.sort_values(["patients", "source"], ascending=[False, True])
    largest = by_size.drop_duplicates("label").set_index("label")["source"]
    few_of = {(row.label, row.source) for row in patients.itertuples() if row.patients < least}
    return pd.Series(
        [
            largest.get(label, source) if (label, source) in few_of else source
            for label, source in zip(sizes["label"], sizes["source"], strict=True)
        ],
        sizes.index,
    )


def _order(seed: int, patient: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{patient}".encode()).digest()


def _check_fractions(fractions: Mapping[str, float]) -> None:
    if unknown := set(fractions) - set(SPLITS[1:]):
        raise InputError(f"fractions: found {', '.join(sorted(unknown))}; expected {', '.join(SPLITS[1:])}")
    # NaN is neither above 0 nor at or below it, so what is asked is what must hold.
    if not (all(share > 0 for share in fractions.values()) and abs(sum(fractions.values()) - 1) < 1e-9):
        raise InputError(f"fractions: found {dict(fractions)}; expected positive numbers that sum to 1")


def records_hash(records: pd.DataFrame) -> str:
    """SHA-256 of what a split rests on: every record's id, patient and label, in any order and place on disk."""
    lines = sorted(records[["record_id", "patient", "label"]].agg("\t".join, axis=1))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def save_split(records: pd.DataFrame, path: Path) -> None:
    """Write the split of each record as JSON, with the hash of the records."""
    split = dict(sorted(zip(records["record_id"], records["split"], strict=True)))
    write_json(path, {"records_sha256": records_hash(records), "split": split})


def load_split(records: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return `records` with the split saved at `path`.

    Raises `InputError` when it was saved for other records, lacks one, has one too many, or was changed so that a
    record has no split or a patient has several.
    """
    split, saved_hash = _read_split(path)
    names, found = set(records["record_id"]), records_hash(records)
    apart = {"not in the data": split.keys() - names, "not in the split": names - split.keys()}
    alone = "; ".join(f"{where}: {few(sorted(some), 1)}" for where, some in apart.items() if some)
    if alone or saved_hash != found:
        raise InputError(
            f"{path}: it was saved for other records ({len(split):,}, hash {saved_hash:.12}); found {len(records):,} "
            f"with the hash {found:.12}{f' ({alone})' if alone else ''}, expected the same record_id, "
            "patient and label of each"
        )
    records = records.assign(split=records["record_id"].map(split))
    if (without := ~records["split"].isin(SPLITS)).any():
        first = records.loc[without, "record_id"].iloc[0]
        raise InputError(f"{path}: found no known split of {first}; expected {few(SPLITS[1:])}")
    sides = records.groupby("patient", sort=False)["split"].unique()
    if (torn := sides[sides.map(len) > 1]).size:
        raise InputError(
            f"{path}: patient {torn.index[0]} is in {' and '.join(map(repr, torn.iloc[0]))}; "
            "expected each patient in one split"
        )
    return check_records(records)


def given_split(records: pd.DataFrame, path: Path, sides: Sequence[str]) -> pd.DataFrame:
    """The same for a run that needs each of `sides` and knows no other: `InputError` when one is empty, or another is.

    sides: of `train`, `validation` and `test`
    """
    records = load_split(records, path)
    other = records[~records["split"].isin(sides)]
    if len(other):
        name, side = other[["record_id", "split"]].iloc[0]
        raise InputError(f"{path}: found {name} in '{side}'; expected each record in {' or '.join(sides)}")
    if empty := [side for side in sides if not records["split"].eq(side).any()]:
        raise InputError(f"{path}: found no record in {empty[0]}; expected some in each of {', '.join(sides)}")
    return records


def _read_split(path: Path) -> tuple[dict[str, str], str]:
    try:
        saved = json.loads(path.expanduser().read_text(encoding="utf-8"))
        split, saved_hash = {**saved["split"]}, saved["records_sha256"]
    except OSError as error:
        raise explain(error, path) from error
    except (ValueError, KeyError, TypeError, RuntimeError) as error:  # RuntimeError: too deep, or no such home
        raise InputError(f"{path}: not a saved split; expected JSON with records_sha256 and split") from error
    if not isinstance(saved_hash, str):
        raise InputError(f"{path}: records_sha256 is {saved_hash!r:.40}; expected the text of a hash")
    return split, saved_hash


def of_pictures(records: pd.DataFrame) -> pd.Series:
    """Rows whose path names a picture or a volume, not a table that many rows share."""
    pictures = {path for path in records["path"].unique() if Path(path).suffix.lower() in KNOWN or is_dicom(Path(path))}
    return records["path"].isin(pictures)


def content_hashes(records: pd.DataFrame, root: Path = Path()) -> pd.Series:
    """SHA-256 of each record's own file, "" for a record that has none or shares it (a row of a table).

    `root` is put before paths that are relative. Raises `InputError` for a file that is not there or cannot be read.
    """
    own = (records["path"] != "") & ~records["path"].duplicated(keep=False)
    try:
        hashes = [sha256(root / path) if mine else "" for path, mine in zip(records["path"], own, strict=True)]
    except OSError as error:
        raise explain(error, root) from error
    return pd.Series(hashes, records.index, dtype=str)


def overlap(records: pd.DataFrame, contents: pd.Series) -> pd.DataFrame:
    """What each two splits share: columns `first`, `second`, `patients`, `files` (contents that are in both)."""
    named = {name: records["split"] == name for name in SPLITS[1:] if (records["split"] == name).any()}
    rows = [
        {
            "first": first,
            "second": second,
            "patients": len(set(records.loc[named[first], "patient"]) & set(records.loc[named[second], "patient"])),
            "files": len((set(contents[named[first]]) & set(contents[named[second]])) - {""}),
        }
        for first, second in combinations(named, 2)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "patients", "files"])


def check_no_overlap(records: pd.DataFrame, root: Path = Path()) -> None:
    """Raise `InputError` when two splits share a picture's path, a patient, or a file of one content under any name."""
    pictures = records[of_pictures(records) & (records["split"] != "")]
    sides = pictures.groupby("path", sort=False)["split"].unique()
    if (twice := sides[sides.map(len) > 1]).size:
        raise InputError(
            f"split: {twice.index[0]} is in {' and '.join(twice.iloc[0])}; expected each file in one split"
        )
    for row in overlap(records, content_hashes(records, root)).itertuples():
        if row.patients or row.files:
            raise InputError(
                f"split: {row.first} and {row.second} share {row.patients} patients and {row.files} identical files; "
                "expected none"
            )
