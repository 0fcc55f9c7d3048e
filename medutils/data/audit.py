"""Audit: what in a dataset could fool a model, or the reader of its result.

Patients and files that two splits share, identical and near-identical pictures, how well the source alone tells the
class, or a picture's border, a thumbnail of it, its grey levels or its file, and how size, brightness and prevalence
differ between classes and splits. An audit holds numbers and file names of the reader's own disk; its JSON holds
numbers alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medutils.bootstrap import by_patient, interval, patient_codes, resampled
from medutils.data.chest_xray import INDEX, NO_DATA, load_films
from medutils.data.images import VOLUMES, read_image
from medutils.data.loaded import Loaded
from medutils.data.shortcuts import FOLDS, called_by_regression, features, folds_by_patient, too_small
from medutils.data.splits import of_pictures, overlap
from medutils.data.verify import over_files
from medutils.errors import InputError
from medutils.files import explain, printable, sha256
from medutils.tables import few

if TYPE_CHECKING:
    from PIL import Image
    from rich.table import Table

# Films of different people look alike: hashes a few bits apart are candidates, and the pictures themselves decide.
NEAR_BITS = 8
NEAR_CORRELATION = 0.98
THUMBNAIL, FREQUENCIES = 32, 8
BLOCK = 512
RESAMPLES = 1000
SHOWN, REASONS = 40, 6
NOT_LABELLED = "Not labelled"
COLUMNS = ["predictor", "measure", "value", "low", "high"]  # of what tells the class
SHARES, CRAMER = ("accuracy", "balanced accuracy"), "Cramer's V"
PREDICTORS = {"source": "source", "image size": "image_size"}
ACROSS = ("split", "label", "patient")
LOOKED = ("sha256", "height", "width", "mean", "sd", "bytes", "format", "thumbnail")


@dataclass(frozen=True)
class Audit:
    """The numbers of an audit, and its tables.

    numbers: records, patients, those in two classes, pictures, distinct contents, groups and pairs of (near-)identical
        ones, what was left out
    prevalence: split, label, records, patients, share of the split's records
    overlap: first, second (splits), patients, files (what both have)
    identical: one row a group of identical files: files, splits, labels, patients, each a tuple
    near: one row a pair of near-identical pictures: first, second, bits (differing, of 64), correlation, and whether
        label, split and patient are the same
    association: predictor, measure, value, low, high (95 % interval by patient; none for the baseline)
    appearance: label, pictures, sizes (how many), height, width (medians), mean, sd (grey level, 0 to 255)
    left_out: file, reason; what the loader skipped and what cannot be opened
    said: sentences on what the tables cannot tell and why, and last on how to read them
    """

    numbers: dict[str, int]
    prevalence: pd.DataFrame
    overlap: pd.DataFrame
    identical: pd.DataFrame
    near: pd.DataFrame
    association: pd.DataFrame
    appearance: pd.DataFrame
    left_out: pd.DataFrame
    said: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The numbers and the tables that hold no file name, for `write_json`."""
        named = ("prevalence", "overlap", "association", "appearance")
        tables = {name: _rounded(getattr(self, name), 6).to_dict("records") for name in named}
        return {"numbers": self.numbers, "near": {"bits": NEAR_BITS, "correlation": NEAR_CORRELATION}, **tables}


def read_folder(folder: Path, patient_pattern: str = "") -> Loaded:
    """Read a folder of class folders as `load_films` does; beside an index, classes left without a film are skipped.

    Raises `InputError` when `folder` is none, and whatever `load_films` raises.
    """
    if not folder.is_dir():
        found = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(f"{folder}: {found}; expected a folder that holds a folder of films for each class")
    loaded = load_films(folder, patient_pattern)
    if not (folder / INDEX).is_file():
        return loaded
    named = {file.partition("/")[0] for file, _ in loaded.skipped if "/" in file}
    named |= {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()}
    known = {*loaded.records["label"]}
    gone = sorted(name for name in named - known if not name.startswith(".") and name.lower() not in NO_DATA)
    return replace(
        loaded, skipped=(*loaded.skipped, *((name, f"a class folder without a film of {INDEX}") for name in gone))
    )


def audit(loaded: Loaded, root: Path = Path(), seed: int = 0) -> Audit:
    """Audit a dataset's records; each picture file they name is opened once.

    `root` is put before paths that are relative. Files that cannot be opened are counted as `unreadable`, named and
    left out. What tells the class is judged on the records whose picture can be opened, where there are pictures, and
    on classes with patients enough. Intervals come from resampling patients with `seed`.
    """
    records = loaded.records.reset_index(drop=True)
    looked, unreadable = _looked_at(records, root)
    pictures = looked.drop_duplicates("path")
    identical, near = identical_files(pictures), near_identical(pictures)
    left_out = pd.DataFrame([*loaded.skipped, *unreadable], columns=["file", "reason"])
    judged = looked if len(looked) else records
    small = dict.fromkeys(sorted({*records["label"]} - {*judged["label"]}), 0) | too_small(judged)
    told = _associations(judged[~judged["label"].isin(small)], seed)
    return Audit(
        numbers={
            "records": len(records),
            "patients": records["patient"].nunique(),
            "patients_in_two_classes": len(_in_two_classes(records)),
            **_cells(loaded),
            **_pictures_counted(records, pictures, identical, near),
            "left_out": len(left_out),
        },
        prevalence=prevalence(records, loaded.unlabelled),
        overlap=overlap(records, looked["sha256"].astype(str).reindex(records.index, fill_value="")),
        identical=identical,
        near=near,
        association=told,
        appearance=appearance(looked.drop_duplicates(["path", "label"])),
        left_out=left_out,
        said=(
            *_left_out_said(left_out),
            *_patients_said(records, loaded.unmatched),
            *(_classes_said(judged, small, told) if records["label"].nunique() > 1 else ()),
        ),
    )


def _in_two_classes(records: pd.DataFrame) -> list[str]:
    """The patients that have records of more than one class; of many targets a patient, none."""
    if "target" in records:
        return []
    classes = records.groupby("patient")["label"].nunique()
    return [*classes.index[classes > 1]]


def _cells(loaded: Loaded) -> dict[str, int]:
    """Of a table with several targets a patient: how many, and how many cells of it are empty."""
    records, unlabelled = loaded.records, loaded.unlabelled
    if "target" not in records:
        return {}
    return {"targets": records["target"].nunique(), "cells": len(records) + unlabelled, "unlabelled": unlabelled}


def _pictures_counted(
    records: pd.DataFrame, pictures: pd.DataFrame, identical: pd.DataFrame, near: pd.DataFrame
) -> dict[str, int]:
    if not (named := records.loc[of_pictures(records), "path"].nunique()):
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
    groups = pictures.groupby("label", sort=True)
    return groups.agg(
        pictures=("image_size", "size"),
        sizes=("image_size", "nunique"),
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
    values[CRAMER] = (float(contingency_association(table, method="cramer")), np.nan, np.nan)
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


def _associations(judged: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How well the source and the size tell the class, where they vary, and, of pictures, `shortcuts.features`."""
    found = [pd.DataFrame(columns=COLUMNS)]
    if judged["label"].nunique() > 1:
        for predictor, column in PREDICTORS.items():
            if column in judged and judged[column].nunique() > 1:
                found.append(association(judged, column, seed).assign(predictor=predictor))
        for predictor, x in features(judged).items() if "thumbnail" in judged else ():
            called = called_by_regression(judged, x, seed)
            found.append(_measures(_judged(judged, called, seed)).assign(predictor=predictor))
    return pd.concat(found[1:] or found, ignore_index=True)[COLUMNS]


def _left_out_said(left_out: pd.DataFrame) -> Iterator[str]:
    reasons = left_out.groupby("reason", sort=False)["file"].agg(["size", "first"])
    for reason, number, first in reasons.head(REASONS).itertuples():
        yield f"Left out: {number:,}, the first {first}: {reason}."
    if len(left_out):
        yield f"Mend what is left out ({len(left_out):,}) where it is a film, for a model would miss it too."


def _patients_said(records: pd.DataFrame, unmatched: tuple[str, ...]) -> Iterator[str]:
    if unmatched:
        yield (
            f"The patient of {len(unmatched):,} of {len(records):,} records is not known, and each counts as a patient "
            "of its own: intervals may be too narrow, and a patient on both sides of a split is not seen; name the "
            f"patients in an {INDEX} or with --patient-pattern."
        )
    if both := _in_two_classes(records):
        yield (
            f"Patients with records of two classes or more: {len(both):,} ({few(both, 3)}); keep a patient's films "
            "together on one side of every split, or, where one name stands for several people, tell them apart."
        )


def _classes_said(judged: pd.DataFrame, small: dict[str, int], told: pd.DataFrame) -> Iterator[str]:
    """What cannot be told of the classes, and how to read what can."""
    if small:
        named = few([f"'{label}' has {patients}" for label, patients in small.items()])
        yield (
            f"Too small for five folds by patient, which need {FOLDS} patients a class, each counted where most of "
            f"their records are: {named}; copies, overlap and size are audited, but not what tells such a class: add "
            "patients, or leave it out of the model."
        )
    sources = _classes_of_sources(judged)
    if len(sources) == 1:
        yield (
            f"The source tells nothing of the class: there is one source, '{sources[0][0]}'; if the films come from "
            f"several places, name them in an {INDEX}."
        )
    elif alone := [f"'{source}' ('{labels[0]}')" for source, labels in sources if len(labels) == 1]:
        yield (
            f"Sources with one class only: {few(alone)}; within such a source nothing can be told from looking: the "
            "source is the class."
        )
    yield _how_to_read(judged[~judged["label"].isin(small)], told)


def _classes_of_sources(judged: pd.DataFrame) -> list[tuple[str, list[str]]]:
    return [(source, sorted(set(labels))) for source, labels in judged.groupby("source")["label"]]


def _how_to_read(kept: pd.DataFrame, told: pd.DataFrame) -> str:
    """Which predictor that knows nothing of what the pictures show comes nearest to a model, and what to do."""
    if kept["label"].nunique() < 2:
        return "How to read this: what tells the class could not be judged, nor can a model be: add patients first."
    shares = kept["label"].value_counts(normalize=True).sort_index()
    majority = f"{shares.max():.1%} for always saying '{shares.idxmax()}', the majority class"
    accuracy = told[told["measure"] == "accuracy"]
    if accuracy.empty:
        return f"How to read this: no shortcut could be tried, so compare your model with {majority}."
    best = accuracy.loc[accuracy["value"].idxmax()]
    better = "against" if best["low"] > shares.max() else "no better than"
    return (
        f"How to read this: of what knows nothing of what the pictures show, the {best['predictor']} comes nearest to "
        f"a model's accuracy with {best['value']:.1%} (95% interval {best['low']:.1%} to {best['high']:.1%}; {better} "
        f"{majority}): compare your model with it on the same patients, and {_tests(kept)}."
    )


def _tests(kept: pd.DataFrame) -> str:
    """What to test a model on, by the sources there are."""
    sources = _classes_of_sources(kept)
    if len(sources) == 1:
        return "test it on films of a second source"
    if mixed := [f"'{source}'" for source, labels in sources if len(labels) > 1]:
        return f"test it inside one source ({few(mixed)}), and on one that was left out of training"
    return "get films of two classes from one source to test it inside that: no source here has two"


def _looked_at(records: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Records that have a picture, with what was seen of it; and those whose picture cannot be opened, with why.

    A picture that several records share is opened once.
    """
    with_picture = records[of_pictures(records)]
    paths = with_picture["path"].unique()
    seen = dict(zip(paths, over_files(look, [root / path for path in paths]), strict=True))
    found = [seen[path] for path in with_picture["path"]]
    first = with_picture.drop_duplicates("path")
    unreadable = [
        (name, row)
        for name, path in zip(first["record_id"], first["path"], strict=True)
        if isinstance(row := seen[path], str)
    ]
    looked = pd.DataFrame(
        [{} if isinstance(row, str) else row for row in found], with_picture.index, columns=list(LOOKED)
    )
    pictures = pd.concat([with_picture, looked], axis=1)[looked["sha256"].notna()]
    return pictures.assign(image_size=_sizes(pictures)), unreadable


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


def _told(association: pd.DataFrame) -> pd.DataFrame:
    """`association` to be read: a row a predictor, the majority class first, and each interval below its value."""
    rows: list[dict[str, Any]] = []
    for predictor, found in association.set_index("measure").groupby("predictor", sort=False):
        if not rows:
            baseline = {share: f"{found.loc[f'baseline {share}', 'value']:.3f}" for share in SHARES}
            rows.append({"predictor": "majority class", **baseline})
        of_share = found.loc[[*SHARES]].itertuples()
        told = {share: (f"{value:.3f}", f"{low:.3f} to {high:.3f}") for share, _, value, low, high in of_share}
        rows.append({"predictor": predictor, **told, CRAMER: found["value"].get(CRAMER)})
    return pd.DataFrame(rows)


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
    frames |= {"What tells the class": _told(found.association), "Size and grey level": found.appearance}
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
