"""Audit: what in a dataset could fool a model, or the reader of its result.

Patients and files that two splits share, identical and near-identical pictures, how well the source alone tells the
class, or a picture's border, a thumbnail of it, its grey levels or its file, and how size, brightness and prevalence
differ between classes and splits. An audit holds numbers and file names of the reader's own disk; its JSON holds
numbers alone.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medutils.bootstrap import by_patient, interval, patient_codes, resampled
from medutils.data.images import VOLUMES, read_image
from medutils.data.loaded import Loaded
from medutils.data.shortcuts import FOLDS, called_by_regression, features, folds_by_patient
from medutils.data.splits import of_pictures, overlap
from medutils.data.verify import over_files
from medutils.errors import InputError
from medutils.files import explain, printable, sha256

if TYPE_CHECKING:
    from PIL import Image
    from rich.table import Table

# Films of different people look alike: hashes a few bits apart are candidates, and the pictures themselves decide.
NEAR_BITS = 8
NEAR_CORRELATION = 0.98
THUMBNAIL, FREQUENCIES = 32, 8
BLOCK = 512
RESAMPLES = 1000
SHOWN = 40
NOT_LABELLED = "Not labelled"
COLUMNS = ["predictor", "measure", "value", "low", "high"]  # of what tells the class
PREDICTORS = {"source": "source", "image size": "image_size"}
ACROSS = ("split", "label", "patient")
LOOKED = ("sha256", "height", "width", "mean", "sd", "bytes", "format", "thumbnail")


@dataclass(frozen=True)
class Audit:
    """The numbers of an audit, and its tables.

    numbers: records, patients, pictures, distinct contents, groups and pairs of (near-)identical ones
    prevalence: split, label, records, patients, share of the split's records
    overlap: first, second (splits), patients, files (what both have)
    identical: one row a group of identical files: files, splits, labels, patients, each a tuple
    near: one row a pair of near-identical pictures: first, second, bits (differing, of 64), correlation, and whether
        label, split and patient are the same
    association: predictor, measure, value, low, high (95 % interval by patient; none for the baseline)
    appearance: label, pictures, sizes (how many), height, width (medians), mean, sd (grey level, 0 to 255)
    left_out: file, reason; what the loader skipped and what cannot be opened
    """

    numbers: dict[str, int]
    prevalence: pd.DataFrame
    overlap: pd.DataFrame
    identical: pd.DataFrame
    near: pd.DataFrame
    association: pd.DataFrame
    appearance: pd.DataFrame
    left_out: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """The numbers and the tables that hold no file name, for `write_json`."""
        named = ("prevalence", "overlap", "association", "appearance")
        tables = {name: _rounded(getattr(self, name), 6).to_dict("records") for name in named}
        return {"numbers": self.numbers, "near": {"bits": NEAR_BITS, "correlation": NEAR_CORRELATION}, **tables}


def audit(loaded: Loaded, root: Path = Path(), seed: int = 0) -> Audit:
    """Audit a dataset's records; each picture file they name is opened once.

    `root` is put before paths that are relative. Files that cannot be opened are counted as `unreadable`, named and
    left out. Intervals come from resampling patients with `seed`.
    """
    records = loaded.records.reset_index(drop=True)
    pictures, unreadable = _looked_at(records, root)
    identical, near = identical_files(pictures), near_identical(pictures)
    with_size = records.assign(image_size=_sizes(pictures).reindex(records.index))
    return Audit(
        numbers={
            "records": len(records),
            "patients": records["patient"].nunique(),
            **_cells(loaded),
            **_pictures_counted(records, pictures, identical, near),
        },
        prevalence=prevalence(records, loaded.unlabelled),
        overlap=overlap(records, pictures["sha256"].astype(str).reindex(records.index, fill_value="")),
        identical=identical,
        near=near,
        association=pd.concat([_associations(with_size, seed), _without_looking(pictures, seed)], ignore_index=True),
        appearance=appearance(pictures),
        left_out=pd.DataFrame([*loaded.skipped, *unreadable], columns=["file", "reason"]),
    )


def _cells(loaded: Loaded) -> dict[str, int]:
    """Of a table with several targets a patient: how many, and how many cells of it are empty."""
    records, unlabelled = loaded.records, loaded.unlabelled
    if "target" not in records:
        return {}
    return {"targets": records["target"].nunique(), "cells": len(records) + unlabelled, "unlabelled": unlabelled}


def _pictures_counted(
    records: pd.DataFrame, pictures: pd.DataFrame, identical: pd.DataFrame, near: pd.DataFrame
) -> dict[str, int]:
    if not (named := int(_has_picture(records).sum())):
        return {}
    counted = {
        "pictures": len(pictures),
        "unreadable": named - len(pictures),
        "distinct": pictures["sha256"].nunique(),
        "identical_groups": len(identical),
    }
    for name in ACROSS:
        counted[f"identical_groups_across_{name}s"] = int((identical[f"{name}s"].map(len) > 1).sum())
    counted["near_pairs"] = len(near)
    for name in ACROSS:
        counted[f"near_pairs_across_{name}s"] = int((~near[f"same_{name}"]).sum())
    return counted


def prevalence(records: pd.DataFrame, unlabelled: int = 0) -> pd.DataFrame:
    """Records and patients of each label in each split; unlabelled cells, where the loader counted some, as a row."""
    groups = records.groupby(["split", "label"], sort=True)["patient"]
    table = groups.agg(records="size", patients="nunique").reset_index()
    if unlabelled:
        table.loc[len(table)] = ["", NOT_LABELLED, unlabelled, 0]
    return table.assign(share=table["records"] / table.groupby("split")["records"].transform("sum"))


def identical_files(pictures: pd.DataFrame) -> pd.DataFrame:
    """Groups of files with the same content, one row each."""
    groups = pictures[pictures["sha256"].duplicated(keep=False)].groupby("sha256", sort=False)
    rows = [
        {
            "files": tuple(group["record_id"]),
            **{f"{name}s": tuple(sorted(set(group[name]))) for name in ACROSS},
        }
        for _, group in groups
    ]
    return pd.DataFrame(rows, columns=["files", *(f"{name}s" for name in ACROSS)])


def near_identical(pictures: pd.DataFrame) -> pd.DataFrame:
    """Pairs of pictures of different content that are nearly the same.

    Candidates are pairs whose perceptual hashes differ in at most 8 of 64 bits. Of these, a pair counts when its
    thumbnails (32 by 32) correlate by 0.98 or more, as a scaled, recompressed or brightened copy does.
    """
    one = pictures.drop_duplicates("sha256").reset_index(drop=True)
    thumbnails = np.array([*one["thumbnail"]], float).reshape(-1, THUMBNAIL, THUMBNAIL)
    first, second, bits = _candidates(perceptual_hashes(thumbnails))
    flat = (thumbnails - thumbnails.mean(axis=(1, 2), keepdims=True)).reshape(-1, THUMBNAIL**2)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    correlation = np.einsum("ij,ij->i", flat[first], flat[second])
    near = correlation >= NEAR_CORRELATION
    left, right = one.loc[first[near]].reset_index(drop=True), one.loc[second[near]].reset_index(drop=True)
    same = {f"same_{name}": left[name] == right[name] for name in ACROSS}
    ids = {"first": left["record_id"], "second": right["record_id"]}
    return pd.DataFrame({**ids, "bits": bits[near], "correlation": correlation[near], **same})


def perceptual_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """64 bits a picture, uint64 of shape (n,), that stay alike when it is scaled, recompressed or made brighter.

    thumbnails: float of shape (n, 32, 32). The 64 lowest frequencies of the cosine transform are compared with their
    median (Zauner, Implementation and benchmarking of perceptual image hash functions, 2010).
    """
    from scipy.fft import dctn

    low = dctn(thumbnails, axes=(1, 2))[:, :FREQUENCIES, :FREQUENCIES].reshape(-1, FREQUENCIES**2)
    bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
    return bits.view(">u8").astype(np.uint64).reshape(-1)


def _candidates(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of hashes that differ in at most `NEAR_BITS`: two positions and the number of bits."""
    found = [np.zeros((3, 0), int)]
    for start in range(0, len(hashes), BLOCK):
        differ = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        first, second = np.nonzero(np.triu(differ <= NEAR_BITS, k=1))
        found.append(np.stack([first + start, second + start, differ[first, second]]))
    first, second, bits = np.concatenate(found, axis=1)
    return first, second, bits


def appearance(pictures: pd.DataFrame) -> pd.DataFrame:
    """Size and grey level of the pictures of each label: medians of height and width, means of mean and deviation."""
    if pictures.empty:
        return pd.DataFrame(columns=["label", "pictures", "sizes", "height", "width", "mean", "sd"])
    groups = pictures.assign(size=_sizes(pictures)).groupby("label", sort=True)
    return groups.agg(
        pictures=("size", "size"),
        sizes=("size", "nunique"),
        height=("height", "median"),
        width=("width", "median"),
        mean=("mean", "mean"),
        sd=("sd", "mean"),
    ).reset_index()


def association(records: pd.DataFrame, column: str, seed: int = 0) -> pd.DataFrame:
    """How well one column alone tells the label: rows of measure, value, low, high.

    In each of five folds by patient, a record is called what most records of its value of `column` are in the other
    folds (or most records of all, for a value not seen there). The pooled calls give accuracy and balanced accuracy
    with a 95 % bootstrap interval over patients, beside the baseline that always says the most frequent class, and
    Cramer's V of the table of column by label.
    """
    from scipy.stats.contingency import association as contingency_association

    values = _judged(records, _called_by_majority(records, column, seed), seed)
    table = pd.crosstab(records[column], records["label"]).to_numpy()
    values["Cramer's V"] = (float(contingency_association(table, method="cramer")), np.nan, np.nan)
    return _measures(values)


def _judged(records: pd.DataFrame, called: pd.Series, seed: int) -> dict[str, tuple[float, float, float]]:
    """Accuracy and balanced accuracy of the class that each record was called, beside the majority class's."""
    right = (called == records["label"]).to_numpy()
    labels, classes = pd.factorize(records["label"], sort=True)
    return {
        "accuracy": _interval(right, np.zeros(len(records), int), records["patient"], seed),
        "balanced accuracy": _interval(right, labels, records["patient"], seed),
        "baseline accuracy": (records["label"].value_counts(normalize=True).iloc[0], np.nan, np.nan),
        "baseline balanced accuracy": (1 / len(classes), np.nan, np.nan),
    }


def _measures(values: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame([(name, *row) for name, row in values.items()], columns=["measure", "value", "low", "high"])


def _without_looking(pictures: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How well each of `shortcuts.features` tells the class, where there are two and enough patients of each."""
    found = [pd.DataFrame(columns=COLUMNS)]
    if len(pictures) and pictures["label"].nunique() > 1:
        for name, x in features(pictures).items():
            with suppress(InputError):  # a class has fewer patients than there are folds
                called = called_by_regression(pictures, x, seed)
                found.append(_measures(_judged(pictures, called, seed)).assign(predictor=name))
    return pd.concat(found[1:] or found, ignore_index=True)[COLUMNS]


def _called_by_majority(records: pd.DataFrame, column: str, seed: int) -> pd.Series:
    fold = folds_by_patient(records, seed)
    called = pd.Series("", index=records.index, dtype=str)
    for number in range(FOLDS):
        others, held_out = records[fold != number], records[fold == number]
        counts = others.groupby([column, "label"], sort=True).size().reset_index(name="records")
        most = counts.sort_values(["records", "label"], ascending=[False, True]).drop_duplicates(column)
        majority = held_out[column].map(most.set_index(column)["label"])
        called[held_out.index] = majority.fillna(others["label"].mode().iloc[0])
    return called


def _interval(right: np.ndarray, group: np.ndarray, patients: pd.Series, seed: int) -> tuple[float, float, float]:
    """Mean over groups of the share that is right, and its percentile interval when patients are drawn again."""
    code, count = patient_codes(patients)
    groups = np.eye(group.max() + 1)[group]
    correct, total = (by_patient(part, code, count) for part in (groups * right[:, None], groups))

    def mean_share(weights: np.ndarray) -> np.ndarray:
        found, of = weights.T @ correct, weights.T @ total
        # A group that no drawn patient has is left out.
        return np.nanmean(np.divide(found, of, out=np.full_like(found, np.nan), where=of > 0), axis=1)

    draws = resampled(mean_share, count, RESAMPLES, seed, count)
    return float(draws[0]), *interval(draws[1:])


def _associations(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`association` for the source and the picture's size, where they vary and every class has patients enough."""
    found = [pd.DataFrame(columns=COLUMNS)]
    for predictor, column in PREDICTORS.items():
        known = records[records[column].notna()]
        if known[column].nunique() > 1 and known["label"].nunique() > 1:
            with suppress(InputError):  # a class has fewer patients than there are folds
                found.append(association(known, column, seed).assign(predictor=predictor))
    return pd.concat(found[1:] or found, ignore_index=True)[COLUMNS]


def _has_picture(records: pd.DataFrame) -> pd.Series:
    """Rows whose path is a picture file of their own, not a table that many rows share."""
    return of_pictures(records) & ~records["path"].duplicated(keep=False)


def _looked_at(records: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Records that have a picture, with what was seen of it; and those whose picture cannot be opened, with why."""
    with_picture = records[_has_picture(records)]
    seen = over_files(look, [root / path for path in with_picture["path"]])
    unreadable = [
        (name, row) for name, row in zip(with_picture["record_id"], seen, strict=True) if isinstance(row, str)
    ]
    looked = pd.DataFrame(
        [{} if isinstance(row, str) else row for row in seen], with_picture.index, columns=list(LOOKED)
    )
    return pd.concat([with_picture, looked], axis=1)[looked["sha256"].notna()], unreadable


def look(path: Path) -> dict[str, Any] | str:
    """Open a picture: its content's hash, size, mean and deviation of grey, thumbnail; the reason when that fails."""
    from PIL.Image import Resampling

    try:
        picture = _picture(path)
        content = sha256(path)
    except OSError as error:
        return str(explain(error, path)).removeprefix(f"{path}: ")
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    grey = np.asarray(picture)
    height, width = grey.shape
    return {
        "sha256": content,
        "height": height,
        "width": width,
        "mean": float(grey.mean()),
        "sd": float(grey.std()),
        "bytes": path.stat().st_size,
        "format": path.suffix.lower(),
        "thumbnail": np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Resampling.LANCZOS)),
    }


def _picture(path: Path) -> "Image.Image":
    """A file as an 8-bit grey picture, a volume as its middle sagittal slice."""
    if path.suffix.lower() not in VOLUMES:
        return read_image(path, "L")
    from PIL import Image

    from medutils.data.lumbar import mid_sagittal

    return Image.fromarray(mid_sagittal(path))


def _sizes(pictures: pd.DataFrame) -> pd.Series:
    height, width = (pictures[side].map("{:.0f}".format).astype(str) for side in ("height", "width"))
    return height + " x " + width  # text even where there is no picture


def _rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Numbers with so many digits after the point, and None, not NaN, where there is none."""
    return table.round(digits).astype(object).where(table.notna(), None)


def _cell(value: Any) -> str:
    from rich.markup import escape

    lines = value if isinstance(value, tuple) else () if value is None else (value,)
    return "\n".join(escape(printable(str(line))) for line in lines)


def _pairs(near: pd.DataFrame) -> pd.DataFrame:
    """Near-identical pairs in few columns, to be read on a narrow screen."""
    pictures = list(zip(near["first"], near["second"], strict=True))
    same = near[[f"same_{name}" for name in ACROSS]].to_numpy()
    differ = [tuple(name for name, alike in zip(ACROSS, row, strict=True) if not alike) for row in same]
    return near[["bits", "correlation"]].assign(pictures=pictures, differ=differ).iloc[:, [2, 0, 1, 3]]


def report(found: Audit) -> "list[Table]":
    """The audit as rich tables; of long lists the first rows only."""
    from rich.table import Column, Table

    numbers = pd.DataFrame(found.numbers.items(), columns=["what", "count"])
    frames = {"Numbers": numbers, "Labels": found.prevalence, "What splits share": found.overlap}
    frames |= {"What tells the class": found.association, "Size and grey level": found.appearance}
    frames |= {"Identical files": found.identical, "Near-identical pictures": _pairs(found.near)}
    frames |= {"Left out": found.left_out}
    tables = []
    for title, frame in frames.items():
        if len(frame):
            shown = f"{title} (the first {SHOWN} of {len(frame):,})" if len(frame) > SHOWN else title
            table = Table(*(Column(name, overflow="fold") for name in frame.columns), title=shown)
            for row in _rounded(frame.head(SHOWN), 3).itertuples(index=False):
                table.add_row(*map(_cell, row))
            tables.append(table)
    return tables
