"""Lumbar MRI: the tables and DICOM tree of RSNA 2024, and folders of slices or volumes such as SPIDER's."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medutils.data.dicom import (
    MAX_PIXELS,
    apply_window,
    check_image,
    damage_named,
    percentile_limits,
    read_header,
    require_tags,
)
from medutils.data.loaded import Loaded
from medutils.data.manifest import PHANTOM_MARK
from medutils.errors import InputError
from medutils.files import explain
from medutils.tables import check_records, read_csv

GRADES = ("Normal/Mild", "Moderate", "Severe")
LEVELS = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
# A condition is graded on the one kind of series that shows it (RSNA 2024, and its label coordinates).
SERIES_OF_CONDITION = {
    "spinal_canal_stenosis": "Sagittal T2/STIR",
    "left_neural_foraminal_narrowing": "Sagittal T1",
    "right_neural_foraminal_narrowing": "Sagittal T1",
    "left_subarticular_stenosis": "Axial T2",
    "right_subarticular_stenosis": "Axial T2",
}
CONDITIONS = tuple(SERIES_OF_CONDITION)
TARGETS = tuple(f"{condition}_{level}" for condition, level in product(CONDITIONS, LEVELS))
SERIES = ("Sagittal T1", "Sagittal T2/STIR", "Axial T2")
NOT_LABELLED = "Not labelled"
NOT_DESCRIBED = "Not described"

VOLUMES = (".nii", ".nii.gz", ".mha")
MAX_VOXELS = 512_000_000
MAX_COORDINATE = 1e6
SAME_PLACE = 0.01  # mm between the centres of two slices that are one
TEXT_TAGS = ("SeriesDescription", "StudyInstanceUID", "SeriesInstanceUID")
PLACE_TAGS = ("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
Skipped = list[tuple[Path, str]]
PLANES = ("sagittal", "coronal", "axial")  # by the patient axis (left, back, head) nearest to the plane's normal


class Slice(NamedTuple):
    """What a DICOM header says of a slice: its place is the centre (mm) and the plane's normal, in patient axes.

    size: rows and columns; study, series: StudyInstanceUID and SeriesInstanceUID, "" where the file has none
    """

    path: Path
    instance: int
    description: str
    normal: np.ndarray
    centre: np.ndarray
    size: tuple[int, int]
    study: str
    series: str

    @property
    def plane(self) -> str:
        """One of `PLANES`."""
        return PLANES[int(np.abs(self.normal).argmax())]


def load_rsna_targets(folder: Path) -> pd.DataFrame:
    """Read `train.csv`: one row a study (index `study_id`, text), the 25 targets as columns, NaN where not labelled.

    Raises `InputError` for a missing target, a label that is no grade, or a study that comes twice.
    """
    path = folder / "train.csv"
    table = read_table(path, ("study_id", *TARGETS)).set_index("study_id")
    if (twice := table.index.duplicated()).any():
        raise InputError(f"{path}: study {table.index[twice][0]} comes twice; expected one row a study")
    return graded_cells(table[list(TARGETS)], path)


def graded_cells(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table of text with the index `study_id` and targets as columns, NaN in its empty cells.

    Raises `InputError` for a cell that is neither a grade nor empty.
    """
    table = table.replace("", np.nan)
    unknown = table.notna() & ~table.isin(GRADES)
    if unknown.to_numpy().any():
        row, column = np.argwhere(unknown.to_numpy())[0]
        found, target, study = table.iloc[row, column], table.columns[column], table.index[row]
        raise InputError(
            f"{path}: {target} of study {study} is '{found}'; expected {', '.join(GRADES)} or an empty cell"
        )
    return table


def graded_targets(targets: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The cells with a grade as records, one for each study and target; `targets` as `load_rsna_targets` gives them.

    `record_id` is `study:target`; own columns are study_id, target, condition, level and series_description.
    """
    cells = targets.rename_axis(columns="target").stack().rename("label").dropna().reset_index()
    parts = cells["target"].str.extract(r"(?P<condition>.+)_(?P<level>l\d_[ls]\d)$")
    return pd.DataFrame(
        {
            "record_id": cells["study_id"] + ":" + cells["target"],
            "patient": cells["study_id"],
            "label": cells["label"],
            "source": "rsna_lumbar",
            "split": "",
            "path": str(path),
            "study_id": cells["study_id"],
            "target": cells["target"],
            "condition": parts["condition"],
            "level": parts["level"],
            "series_description": parts["condition"].map(SERIES_OF_CONDITION),
        }
    )


def load_rsna_tables(folder: Path) -> Loaded:
    """Read `train.csv` as records, one for each study and target that has a grade.

    `record_id` is `study:target` and `label` one of `GRADES`; own columns are study_id, target, condition, level and
    series_description (the kind of series that shows the condition). `Loaded.unlabelled` counts the empty cells.
    """
    targets = load_rsna_targets(folder)
    records = graded_targets(targets, folder / "train.csv")
    if records.empty:
        raise InputError(f"{folder / 'train.csv'}: has no grade; expected {', '.join(GRADES)} in some cells")
    return Loaded(check_records(records), unlabelled=int(targets.isna().to_numpy().sum()))


def load_series(folder: Path) -> Loaded:
    """Read `train_series_descriptions.csv` as records, one a series, `label` being its description.

    Own columns: study_id, series_id, orientation (`sagittal` or `axial`) and weighting (`T1`, `T2` or `T2/STIR`).
    """
    path = folder / "train_series_descriptions.csv"
    table = read_table(path, ("study_id", "series_id", "series_description"))
    unknown = table.loc[~table["series_description"].isin(SERIES), "series_description"]
    if len(unknown):
        raise InputError(f"{path}: found a series described as '{unknown.iloc[0]}'; expected {', '.join(SERIES)}")
    parts = table["series_description"].str.extract(r"(?P<orientation>\w+) (?P<weighting>.+)")
    record_id = table["study_id"] + "/" + table["series_id"]
    images = folder / "train_images"
    records = pd.DataFrame(
        {
            "record_id": record_id,
            "patient": table["study_id"],
            "label": table["series_description"],
            "source": "rsna_lumbar",
            "split": "",
            "path": str(images) + "/" + record_id if images.is_dir() else "",
            "study_id": table["study_id"],
            "series_id": table["series_id"],
            "orientation": parts["orientation"].str.lower(),
            "weighting": parts["weighting"],
        }
    )
    return Loaded(check_records(records))


def load_coordinates(folder: Path) -> pd.DataFrame:
    """Read where in which image each target was graded: `train_label_coordinates.csv`, or a corrected copy of it.

    A corrected copy is named `train_label_coordinates.<anything>.csv` and is taken only where there is no plain one.
    Columns: study_id, series_id (text), instance_number, condition, level, x, y (pixels from the image's left and top
    edge), target, then whatever the copy adds. Conditions and levels are spelt as in `TARGETS`, also where the file
    writes `Spinal Canal Stenosis` and `L1/L2`.
    """
    plain = folder / "train_label_coordinates.csv"
    path = next((p for p in (plain, *sorted(folder.glob("train_label_coordinates.*.csv"))) if p.is_file()), plain)
    table = read_table(path, ("study_id", "series_id", "instance_number", "condition", "level", "x", "y"))
    for column in ("condition", "level"):
        table[column] = table[column].str.lower().str.replace(r"[ /]", "_", regex=True)
    for column in ("instance_number", "x", "y"):
        numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
        sound = numbers.abs() < MAX_COORDINATE
        if column == "instance_number":
            sound &= numbers % 1 == 0
        if not sound.all():
            raise InputError(
                f"{path}: found '{table.loc[~sound, column].iloc[0]}' in column {column}; expected a number"
            )
        table[column] = numbers.astype(int) if column == "instance_number" else numbers
    table.insert(7, "target", table["condition"] + "_" + table["level"])
    unknown = table.loc[~table["target"].isin(TARGETS), "target"]
    if len(unknown):
        raise InputError(f"{path}: found the target '{unknown.iloc[0]}'; expected one of the 25, such as {TARGETS[0]}")
    return table.reset_index(drop=True)


def load_dicom_tree(folder: Path) -> Loaded:
    """Read `train_images/<study>/<series>/<instance>.dcm` as records, one a slice, from the headers alone.

    Slices of a series follow each other by place in the patient, never by name. `position_mm` is the slice's centre
    along the series' mean normal; for parallel slices that is ImagePositionPatient along the normal up to a constant,
    and it also holds for axial stacks that tilt from disc to disc. Own columns: study_id, series_id,
    series_description (from `train_series_descriptions.csv`, else the file), orientation, instance, position_mm.

    What cannot be read is skipped and named in `Loaded.skipped`. Raises `InputError` when no slice is left.
    """
    root = folder / "train_images"
    described: dict[str, str] = {}
    if (folder / "train_series_descriptions.csv").is_file():
        series_table = load_series(folder).records
        described = dict(zip(series_table["record_id"], series_table["label"], strict=True))
    skipped: Skipped = []
    rows: list[dict[str, object]] = []
    for study in listing(root, skipped):
        for series in listing(study, skipped):
            rows += _series_rows(series, read_slices(series, skipped), described)
    return _loaded(folder, rows, skipped, "train_images/<study>/<series>/<instance>.dcm")


def load_slices(folder: Path) -> Loaded:
    """Read a folder of `<patient>/*.png` slices and of .nii, .nii.gz and .mha volumes as records, one a file.

    A volume lies in its patient's folder, or in `folder` itself, where the patient is its name up to the first `_`
    (SPIDER: `11_t2.mha`). Own column: `kind`, `image` or `volume`; `mid_sagittal` gives a volume's picture. Files of
    other kinds and empty ones are skipped and named in `Loaded.skipped`. Raises `InputError` when no file is left.
    """
    skipped: Skipped = []
    rows: list[dict[str, object]] = []
    for path in listing(folder, skipped):
        inside = listing(path, skipped) if path.is_dir() else [path]
        for file in inside:
            kind = _kind(file, top=file is path)
            if kind and file.stat().st_size:
                patient = path.name if path.is_dir() else file.name.split(".")[0].split("_")[0]
                rows.append(
                    {
                        "record_id": file.relative_to(folder).as_posix(),
                        "patient": patient,
                        "label": NOT_LABELLED,
                        "source": "spider_lumbar",
                        "split": "",
                        "path": str(file),
                        "kind": kind,
                    }
                )
            else:
                skipped.append((file, "is empty" if kind else "is no slice or volume"))
    return _loaded(folder, rows, skipped, f"<patient>/*.png or volumes ({', '.join(VOLUMES)})")


def read_volume(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Read a NIfTI or MetaImage volume as sagittal slices, whatever way it was stored.

    Returns float32 of shape (slices from the patient's right to left, rows from head to foot, columns from front to
    back) and the spacing in mm in that order. Raises `InputError` for a file that is no grey volume of three
    dimensions, is cut off, holds a value that is not finite or has more than 512 million voxels.
    """
    _check_own_voxels(path)
    with _terminal_spared():
        return _read_volume(path)


def _read_volume(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("MetaImageIO" if path.suffix.lower() == ".mha" else "NiftiImageIO")
    try:
        reader.ReadImageInformation()
        if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            found = f"{reader.GetDimension()} dimensions and {reader.GetNumberOfComponents()} values a voxel"
            raise InputError(f"{path}: has {found}; expected three dimensions and one value")
        if (voxels := int(np.prod(reader.GetSize(), dtype=np.int64))) > MAX_VOXELS:
            raise InputError(f"{path}: has {voxels:,} voxels; expected at most {MAX_VOXELS:,}")
        if reader.HasMetaDataKey("vox_offset"):
            needed = float(reader.GetMetaData("vox_offset")) + voxels * int(reader.GetMetaData("bitpix")) / 8
            _check_all_voxels(path, needed)
        image = sitk.DICOMOrient(reader.Execute(), "PIL")
    except RuntimeError as error:
        reason = re.split(r"ERROR: |\(0x\w+\): ", str(error).strip().splitlines()[-1])[-1].removeprefix(f"{path} ")
        raise InputError(f"{path}: is no readable volume ({reason})") from error
    with np.errstate(over="ignore"):
        values = sitk.GetArrayFromImage(image).astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds values that are not finite; expected a number in every voxel")
    return values, image.GetSpacing()[::-1]


@contextmanager
def _terminal_spared() -> Iterator[None]:
    """Drop what ITK's readers write to the terminal past Python: what matters of it is in our sentence."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_all_voxels(path: Path, needed: float) -> None:
    """Raise an `InputError` for a NIfTI file that is cut off: ITK fills up what is missing and says nothing."""
    found = 0
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while part := file.read(1 << 20):  # to the end, where gzip keeps the sum that tells of damage
                found += len(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: is cut off or damaged after {found:,} unpacked bytes ({error})") from error
    except OSError as error:
        raise explain(error, path) from error
    if not found >= needed:
        raise InputError(f"{path}: is cut off: found {found:,} bytes, expected {needed:,.0f} for its voxels")


def _check_own_voxels(path: Path) -> None:
    """A MetaImage header can name any file of the machine as its voxels: only the file's own are read."""
    try:
        with path.open("rb") as file:
            head = file.read(65_536)
    except OSError as error:
        raise explain(error, path) from error
    if path.suffix.lower() == ".mha" and not re.search(rb"^ElementDataFile *= *LOCAL\s", head, re.MULTILINE):
        raise InputError(f"{path}: its header names no voxels of its own; expected ElementDataFile = LOCAL")


def mid_sagittal(path: Path) -> np.ndarray:
    """The middle sagittal slice of a volume as uint8 (H, W), head up, front left, pixels made square, 1-99 % window.

    Raises `InputError` for what `read_volume` refuses and for a spacing that gives more than 64 million pixels.
    """
    from PIL import Image

    volume, (_, height, width) = read_volume(path)
    values = volume[len(volume) // 2]
    pixel = min(height, width)
    if not values.size * (height / pixel) * (width / pixel) <= MAX_PIXELS:
        raise InputError(
            f"{path}: its {' x '.join(map(str, values.shape))} pixels of {height:g} x {width:g} mm give too large a "
            f"picture when made square; expected at most {MAX_PIXELS:,} pixels"
        )
    picture = Image.fromarray(apply_window(values, *percentile_limits(values)))
    size = (round(picture.width * width / pixel), round(picture.height * height / pixel))
    return np.asarray(picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR))


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read one of the tables as text; `InputError` where a study or a series is no whole number."""
    table = read_csv(path, columns, min_rows=1)
    for column in (name for name in columns if name in ("study_id", "series_id")):
        wrong = table.loc[~table[column].str.fullmatch(r"\d+"), column]
        if len(wrong):
            raise InputError(f"{path}: found '{wrong.iloc[0]}' in column {column}; expected a whole number")
    return table


def _loaded(folder: Path, rows: list[dict[str, object]], skipped: Skipped, expected: str) -> Loaded:
    """The records with what was skipped, named from `folder` on; `InputError` when there is no record."""
    named = [(path.relative_to(folder).as_posix(), reason) for path, reason in skipped]
    if not rows:
        first = f"; the first of {len(named)} faults is in {': '.join(named[0])}" if named else ""
        raise InputError(f"{folder}: found no readable slice; expected {expected}{first}")
    return Loaded(check_records(pd.DataFrame(rows)), tuple(named))


def listing(folder: Path, skipped: Skipped) -> list[Path]:
    """What lies in a folder, sorted by name, hidden files left out; links and what cannot be read are skipped."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", PHANTOM_MARK)))
    except OSError as error:
        skipped.append((folder, str(explain(error, folder)).removeprefix(f"{folder}: ")))
        return []
    sound = []
    for path in paths:
        if path.name != os.fsencode(path.name).decode(errors="replace"):
            skipped.append((path.with_name(ascii(path.name)[1:-1]), "its name is not UTF-8"))
        elif path.is_symlink():
            skipped.append((path, "a link, which is not followed"))
        else:
            sound.append(path)
    return sound


def _kind(file: Path, top: bool) -> str | None:
    name = file.name.lower()
    if file.is_file() and name.endswith(VOLUMES):
        return "volume"
    return "image" if file.is_file() and name.endswith(".png") and not top else None


def read_slices(series: Path, skipped: Skipped) -> list[Slice]:
    """The slices below a series' folder that can be read; the others are added to `skipped`, each with the reason."""
    slices = []
    for path in listing(series, skipped):
        try:
            slices.append(read_slice(path))
        except InputError as error:
            skipped.append((path, str(error).removeprefix(f"{path}: ")))
    return slices


def read_slice(path: Path) -> Slice:
    """Read where a slice lies in the patient, from its header alone; `InputError` when it does not say so."""
    header = read_header(path)
    check_image(header, path)
    require_tags(header, PLACE_TAGS, path)
    with damage_named(path, "place in the patient"):
        needed = header.Rows * header.Columns * header.BitsAllocated // 8
        # Tells a file that lost its pixels without reading them: it is shorter than the image it describes.
        if not header.file_meta.TransferSyntaxUID.is_compressed and (found := path.stat().st_size) < needed:
            raise InputError(f"{path}: has no pixel data or is cut off: found {found} bytes, expected over {needed}")
        along_row, along_column = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3)
        between_rows, between_columns = header.PixelSpacing
        to_centre = along_row * between_columns * (header.Columns - 1) + along_column * between_rows * (header.Rows - 1)
        centre = np.array(header.ImagePositionPatient, dtype=float) + to_centre / 2
        normal = np.cross(along_row, along_column)
        if centre.shape != (3,) or not np.isfinite(centre).all() or not abs(np.linalg.norm(normal) - 1) < 0.01:
            raise InputError(
                f"{path}: ImageOrientationPatient and ImagePositionPatient give no place; expected a plane"
            )
        description, study, series = (str(header.get(tag) or "") for tag in TEXT_TAGS)
        size = (int(header.Rows), int(header.Columns))
        return Slice(path, int(header.InstanceNumber), description, normal, centre, size, study, series)


def in_place_order(slices: Sequence[Slice]) -> list[tuple[Slice, float]]:
    """The slices of a series in order of their centres along their mean normal, each with that place (mm).

    Some scanners turn single slices round: all normals are brought to the side of the first instance's.
    """
    first = min(slices, key=lambda one: one.instance).normal
    mean = np.sum([one.normal if one.normal @ first >= 0 else -one.normal for one in slices], axis=0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-9)
    placed = [(one, float(one.centre @ mean)) for one in slices]
    return sorted(placed, key=lambda pair: (pair[1], pair[0].instance))


def each_place_once(placed: Sequence[tuple[Slice, float]]) -> tuple[list[tuple[Slice, float]], list[Slice]]:
    """Slices in place order without those whose centre is that of an earlier one, to `SAME_PLACE`; and these."""
    kept: list[tuple[Slice, float]] = []
    copies = []
    for one, place in placed:
        near = (other for other, there in kept if abs(there - place) < SAME_PLACE)
        if any(np.abs(one.centre - other.centre).max() < SAME_PLACE for other in near):
            copies.append(one)
        else:
            kept.append((one, place))
    return kept, copies


def _series_rows(series: Path, slices: list[Slice], described: dict[str, str]) -> list[dict[str, object]]:
    """Records of one series, in place order."""
    rows: list[dict[str, object]] = []
    if not slices:
        return rows
    for one, position in in_place_order(slices):
        study, name = series.parent.name, series.name
        description = described.get(f"{study}/{name}") or one.description or NOT_DESCRIBED
        rows.append(
            {
                "record_id": f"{study}/{name}/{one.path.name}",
                "patient": study,
                "label": description,
                "source": "rsna_lumbar",
                "split": "",
                "path": str(one.path),
                "study_id": study,
                "series_id": name,
                "series_description": description,
                "orientation": one.plane,
                "instance": one.instance,
                "position_mm": position,
            }
        )
    return rows
