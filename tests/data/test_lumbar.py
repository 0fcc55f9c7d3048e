"""Lumbar MRI: single DICOM files, the RSNA tables and tree, slices and volumes; and what is done with bad ones."""

import gzip
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from medutils.data import dicom, lumbar
from medutils.data.dicom import read_dicom, read_values
from medutils.data.lumbar import LEVELS, TARGETS
from medutils.errors import InputError

RAMP = np.arange(32 * 24, dtype=np.uint16).reshape(32, 24) * 5
SAGITTAL = [0, 1, 0, 0, 0, -1]


def data_set(pixels: np.ndarray = RAMP, kind: str = "MONOCHROME2", bits: int = 12, **tags: object) -> Dataset:
    """A sound sagittal slice, with `tags` set; a tag of None is left out."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.MRImageStorage, UID("1.2.3")
    made.InstanceNumber, made.PixelSpacing = 1, [1.0, 1.0]
    made.ImagePositionPatient, made.ImageOrientationPatient = [0.0, 0.0, 0.0], SAGITTAL
    made.set_pixel_data(pixels, kind, bits)
    for tag, value in tags.items():
        if value is None:
            del made[tag]
        else:
            setattr(made, tag, value)
    return made


def written(path: Path, made: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def compressed(syntax: UID, frame: bytes, bits: int) -> Dataset:
    made = data_set(RAMP.astype(np.uint8) if bits == 8 else RAMP, bits=bits)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR = "OB"
    return made


def encoded(form: str, pixels: np.ndarray, **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **how)
    return file.getvalue()


# --- one DICOM file -------------------------------------------------------------------------------------------------


def test_values_are_rescaled(tmp_path: Path) -> None:
    values, _ = read_values(written(tmp_path / "1.dcm", data_set(RescaleSlope=2, RescaleIntercept=-100)))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, RAMP * 2.0 - 100)


def test_signed_pixels(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.int16) - 2000
    values, _ = read_values(written(tmp_path / "1.dcm", data_set(pixels, bits=16)))
    np.testing.assert_array_equal(values, pixels)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    plain = read_dicom(written(tmp_path / "2.dcm", data_set()))
    inverted = read_dicom(written(tmp_path / "1.dcm", data_set(kind="MONOCHROME1")))
    assert plain.dtype == np.uint8 and plain.shape == RAMP.shape
    assert plain[0, 0] == 0 and plain[-1, -1] == 255
    np.testing.assert_array_equal(inverted, 255 - plain)


def test_percentile_window_ignores_a_few_extreme_pixels(tmp_path: Path) -> None:
    pixels = RAMP.copy()
    pixels[0, 0] = 60_000
    image = read_dicom(written(tmp_path / "1.dcm", data_set(pixels, bits=16)))
    assert 124 < image[16, 12] < 134 and image[0, 0] == 255


@pytest.mark.parametrize(
    ("tags", "window", "limits"),
    [
        ({"WindowCenter": 1000, "WindowWidth": 401}, "header", (799.5, 1199.5)),
        ({"WindowCenter": [1000, 50], "WindowWidth": [41, 9]}, "header", (979.5, 1019.5)),
        ({"WindowCenter": 1000, "WindowWidth": 41, "VOILUTFunction": "LINEAR"}, "header", (979.5, 1019.5)),
        ({"WindowCenter": 1000, "WindowWidth": 40, "VOILUTFunction": "LINEAR_EXACT"}, "header", (980, 1020)),
        ({"WindowCenter": 1000, "WindowWidth": 1}, "header", (999.5, 999.5 + 1e-6)),
        ({"WindowCenter": 1000, "WindowWidth": 400}, (2000, 1000), (1500, 2500)),
        ({}, "header", tuple(np.percentile(RAMP, [1, 99]))),
    ],
)
def test_windows(tmp_path: Path, tags: dict[str, object], window: object, limits: tuple[float, float]) -> None:
    image = read_dicom(written(tmp_path / "1.dcm", data_set(**tags)), window)  # type: ignore[arg-type]
    expected = np.clip((RAMP.astype(float) - limits[0]) / (limits[1] - limits[0]) * 255, 0, 255)
    np.testing.assert_allclose(image, expected, atol=0.51)


def test_monochrome1_is_inverted_after_the_headers_window(tmp_path: Path) -> None:
    """A window off the middle: inverted before it, the film would come out black."""
    window = {"WindowCenter": 500, "WindowWidth": 200}
    plain = read_dicom(written(tmp_path / "2.dcm", data_set(**window)), "header")
    inverted = read_dicom(written(tmp_path / "1.dcm", data_set(kind="MONOCHROME1", **window)), "header")
    assert plain[0, 0] == 0 and plain[-1, -1] == 255
    np.testing.assert_array_equal(inverted, 255 - plain)


NAN = float("nan")


@pytest.mark.parametrize(
    ("tags", "window", "fault"),
    [
        ({}, (100, 0), "width is 0"),
        ({}, (100, NAN), "width is nan"),
        ({}, (NAN, 100), "centre is nan"),
        ({}, (100, float("inf")), "width is inf"),
        ({}, "foo", "window: found 'foo'; expected None, 'header' or"),
        ({}, (100,), r"window: found \(100,\)"),
        ({"WindowCenter": "nan", "WindowWidth": "100"}, "header", "centre is nan"),
        ({"WindowCenter": "100", "WindowWidth": "nan"}, "header", "width is nan"),
        ({"WindowCenter": "100", "WindowWidth": "0.5"}, "header", "width is 0.5; expected 1 or more"),
        ({"WindowCenter": "100", "WindowWidth": "50", "VOILUTFunction": "SIGMOID"}, "header", "FUNCTION is SIGMOID"),
    ],
)
def test_a_window_that_is_none_is_refused(tmp_path: Path, tags: dict[str, object], window: object, fault: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the number that is none
        path = written(tmp_path / "1.dcm", data_set(**tags))
        with pytest.raises(InputError, match=f"(?i){fault}"):
            read_dicom(path, window)  # type: ignore[arg-type]


def test_flat_image_is_black_not_an_error(tmp_path: Path) -> None:
    assert not read_dicom(written(tmp_path / "1.dcm", data_set(RAMP * 0 + 7))).any()


def test_compressed_syntaxes(tmp_path: Path) -> None:
    run_lengths = data_set()
    run_lengths.compress(RLELossless)
    np.testing.assert_array_equal(read_values(written(tmp_path / "rle.dcm", run_lengths))[0], RAMP)
    wavelets = compressed(JPEG2000Lossless, encoded("JPEG2000", RAMP, irreversible=False, no_jp2=True), 16)
    np.testing.assert_array_equal(read_values(written(tmp_path / "2000.dcm", wavelets))[0], RAMP)
    grey = (RAMP // 16).astype(np.uint8)
    cosines = compressed(JPEGBaseline8Bit, encoded("JPEG", grey, quality=95), 8)
    assert np.abs(read_values(written(tmp_path / "jpeg.dcm", cosines))[0] - grey).mean() < 3


LOSSLESS = {
    "JPEG Lossless": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "JPEG Lossless, first order": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
}


def without_loss(path: Path, syntax: str) -> Path:
    """The slice of `data_set` as a scanner compresses it."""
    source = gdcm.ImageReader()
    source.SetFileName(str(written(path.with_name("plain.dcm"), data_set())))
    change, target = gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    assert source.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(LOSSLESS[syntax]))
    change.SetInput(source.GetImage())
    assert change.Change()
    target.SetFileName(str(path))
    target.SetFile(source.GetFile())
    target.SetImage(change.GetOutput())
    assert target.Write()
    return path


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_syntaxes_without_loss_that_gdcm_alone_reads(tmp_path: Path, syntax: str) -> None:
    path = without_loss(tmp_path / "1.dcm", syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_values(path)[0], RAMP)


def test_a_file_that_ends_the_process_of_its_decoder_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = without_loss(tmp_path / "1.dcm", "JPEG Lossless, first order")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xff\xc3") + 4] = 22  # bits a pixel
    (tmp_path / "2.dcm").write_bytes(content)
    with pytest.raises(InputError, match=r"2\.dcm: its pixel data is damaged or cut off \(its decoder broke down"):
        read_values(tmp_path / "2.dcm")
    (tmp_path / "3.dcm").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"3\.dcm: is cut off"):
        read_values(tmp_path / "3.dcm")
    np.testing.assert_array_equal(read_values(path)[0], RAMP)  # the next file is read by another process
    assert capfd.readouterr().err == ""


def test_what_a_decoder_said_is_in_the_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "1.dcm", compressed(JPEG2000Lossless, b"no image at all.", 16))
    with pytest.raises(InputError) as refusal:
        read_dicom(path)
    assert "\n" not in str(refusal.value) and "plugins" not in str(refusal.value)
    assert str(refusal.value).endswith(")") and ":)" not in str(refusal.value)


def test_a_warning_does_not_stand_before_the_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "1.dcm", data_set(PixelData=bytes(RAMP.nbytes + 100)))  # pydicom warns of the padding
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_dicom(path)


def undecodable() -> Dataset:
    return compressed(MPEG2MPML, b"\x00\x00\x01\xb3" * 20, 8)


def deflated() -> Dataset:
    made = data_set()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return made


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: data_set(PixelData=None), "no pixel data"),
        (lambda: data_set(Rows=None), "no tag Rows"),
        (lambda: data_set(BitsStored=None), "no tag BitsStored"),
        (lambda: data_set(PhotometricInterpretation=None), "no tag PhotometricInterpretation"),
        (lambda: data_set(NumberOfFrames=3), "3 frames"),
        (lambda: data_set(np.zeros((4, 4, 3), np.uint8), "RGB", 8), "PhotometricInterpretation is RGB"),
        (lambda: data_set(Rows=20_000, Columns=20_000), "20000 x 20000 pixels"),
        (lambda: data_set(Rows=64), "damaged or cut off"),
        (lambda: data_set(RescaleSlope=1e300, RescaleIntercept=1e300), "no finite grey image"),
        (undecodable, "MPEG2 Main Profile"),
        (deflated, "Deflated Explicit VR"),
    ],
)
def test_refusals_name_the_file_and_the_fault(tmp_path: Path, make: Callable[[], Dataset], fault: str) -> None:
    path = written(tmp_path / "1.dcm", make())
    with pytest.raises(InputError, match=fault) as refusal, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_dicom(path)
    assert str(refusal.value).startswith(f"{path}: ") and "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"not a film at all", b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_other_files_are_no_dicom(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.dcm").write_bytes(content)
    with pytest.raises(InputError, match="not a DICOM file"):
        read_dicom(tmp_path / "1.dcm")


def test_a_file_too_large_for_one_image_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "1.dcm", data_set())
    size = path.stat().st_size
    monkeypatch.setattr(dicom, "MAX_BYTES", size)
    read_dicom(path)
    monkeypatch.setattr(dicom, "MAX_BYTES", size - 1)
    with pytest.raises(InputError, match=f"found {size:,} bytes; expected at most {size - 1:,}"):
        read_dicom(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1\.dcm: no such file"):
        read_dicom(tmp_path / "1.dcm")


# --- the RSNA tables ------------------------------------------------------------------------------------------------

SERIES_CSV = "study_id,series_id,series_description\n7,71,Sagittal T1\n7,72,Sagittal T2/STIR\n7,73,Axial T2\n"
POINTS_CSV = "study_id,series_id,instance_number,condition,level,x,y\n7,72,8,Spinal Canal Stenosis,L1/L2,30.5,22.25\n"


def train_csv(*rows: tuple[str, list[str]], columns: tuple[str, ...] = TARGETS) -> str:
    return "\n".join([",".join(["study_id", *columns]), *(",".join([study, *labels]) for study, labels in rows)]) + "\n"


NORMAL = ["Normal/Mild"] * 25
WITH_GAP = ["Severe", "", *["Moderate"] * 23]


def test_targets_keep_empty_cells_and_records_leave_them_out(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(train_csv(("7", NORMAL), ("12", WITH_GAP)))
    targets = lumbar.load_rsna_targets(tmp_path)
    assert targets.shape == (2, 25) and list(targets.index) == ["7", "12"]
    assert targets.isna().to_numpy().sum() == 1
    loaded = lumbar.load_rsna_tables(tmp_path)
    records = loaded.records.set_index("record_id")
    assert len(records) == 49 and loaded.unlabelled == 1
    severe = records.loc["12:spinal_canal_stenosis_l1_l2"]
    assert (severe["label"], severe["patient"], severe["level"]) == ("Severe", "12", "l1_l2")
    assert "12:spinal_canal_stenosis_l2_l3" not in records.index


def test_each_condition_belongs_to_the_series_that_shows_it(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(train_csv(("7", NORMAL)))
    records = lumbar.load_rsna_tables(tmp_path).records
    shown = records.groupby("condition")["series_description"].unique().map(list).to_dict()
    assert shown == {
        "spinal_canal_stenosis": ["Sagittal T2/STIR"],
        "left_neural_foraminal_narrowing": ["Sagittal T1"],
        "right_neural_foraminal_narrowing": ["Sagittal T1"],
        "left_subarticular_stenosis": ["Axial T2"],
        "right_subarticular_stenosis": ["Axial T2"],
    }


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace(",", ";")])
def test_byte_order_mark_and_semicolons_are_read(tmp_path: Path, change: Callable[[str], str]) -> None:
    (tmp_path / "train.csv").write_text(change(train_csv(("7", NORMAL))), encoding="utf-8")
    assert lumbar.load_rsna_targets(tmp_path).shape == (1, 25)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (train_csv(("7", NORMAL[:24]), columns=TARGETS[:24]), f"no column '{TARGETS[24]}'"),
        (train_csv(("7", ["Mild", *NORMAL[1:]])), f"{TARGETS[0]} of study 7 is 'Mild'"),
        (train_csv(("7", NORMAL), ("7", NORMAL)), "study 7 comes twice"),
        (train_csv(("7a", NORMAL)), "'7a' in column study_id"),
        (train_csv(), "found 0 rows"),
        (train_csv(("7", [""] * 25)), "has no grade"),
        ("", "no header line"),
        ("a,b\n1,2\n", "no column 'study_id'"),
    ],
)
def test_bad_target_tables_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(InputError, match=fault):
        lumbar.load_rsna_tables(tmp_path)


def test_table_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.csv: no such file"):
        lumbar.load_rsna_targets(tmp_path)
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match=r"train\.csv: byte 0 is not UTF-8"):
        lumbar.load_rsna_targets(tmp_path)


def test_series_are_records_with_orientation_and_weighting(tmp_path: Path) -> None:
    (tmp_path / "train_series_descriptions.csv").write_text(SERIES_CSV)
    series = lumbar.load_series(tmp_path).records
    assert list(series["record_id"]) == ["7/71", "7/72", "7/73"]
    assert list(series["orientation"]) == ["sagittal", "sagittal", "axial"]
    assert list(series["weighting"]) == ["T1", "T2/STIR", "T2"]
    (tmp_path / "train_series_descriptions.csv").write_text(SERIES_CSV.replace("Axial T2", "Coronal T1"))
    with pytest.raises(InputError, match="described as 'Coronal T1'"):
        lumbar.load_series(tmp_path)
    (tmp_path / "train_series_descriptions.csv").write_text(SERIES_CSV.splitlines()[0])
    with pytest.raises(InputError, match="found 0 rows"):
        lumbar.load_series(tmp_path)


def test_coordinates_in_either_spelling_and_under_either_name(tmp_path: Path) -> None:
    (tmp_path / "train_label_coordinates.csv").write_text(POINTS_CSV)
    plain = lumbar.load_coordinates(tmp_path)
    assert plain.loc[0, "target"] == "spinal_canal_stenosis_l1_l2"
    assert (plain.loc[0, "instance_number"], plain.loc[0, "x"], plain.loc[0, "y"]) == (8, 30.5, 22.25)
    (tmp_path / "train_label_coordinates.csv").unlink()
    head, row = POINTS_CSV.splitlines()
    row = row.replace("Spinal Canal Stenosis,L1/L2", "spinal_canal_stenosis,l1_l2")
    (tmp_path / "train_label_coordinates.fix01b.csv").write_text(f"{head},fix\n{row},1\n")
    fixed = lumbar.load_coordinates(tmp_path)
    pd.testing.assert_frame_equal(fixed.drop(columns="fix"), plain)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("30.5", "left", "'left' in column x"),
        ("22.25", "inf", "'inf' in column y"),
        (",8,", ",8.5,", r"'8\.5' in column instance_number"),
        ("L1/L2", "L6/S1", "target 'spinal_canal_stenosis_l6_s1'"),
        (",level,", ",height,", "no column 'level'"),
        (POINTS_CSV.splitlines()[1], "", "found 0 rows"),
    ],
)
def test_bad_coordinates_are_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    (tmp_path / "train_label_coordinates.csv").write_text(POINTS_CSV.replace(old, new))
    with pytest.raises(InputError, match=fault):
        lumbar.load_coordinates(tmp_path)


# --- the DICOM tree -------------------------------------------------------------------------------------------------


def tilted(degrees: float) -> list[float]:
    """Orientation of an axial plane whose back edge is raised."""
    angle = np.radians(degrees)
    return [1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))]


def test_slices_follow_each_other_by_place_not_by_name(tmp_path: Path) -> None:
    for name, x in {"1": 8, "2": -4, "10": 0, "3": 4}.items():
        made = data_set(InstanceNumber=int(name), ImagePositionPatient=[x, 0, 0])
        written(tmp_path / "train_images/7/71" / f"{name}.dcm", made)
    (tmp_path / "train_series_descriptions.csv").write_text(SERIES_CSV)
    records = lumbar.load_dicom_tree(tmp_path).records
    assert list(records["instance"]) == [1, 3, 10, 2]  # the normal of this orientation points to the patient's right
    np.testing.assert_allclose(np.diff(records["position_mm"]), 4)
    assert set(records["label"]) == {"Sagittal T1"} and set(records["orientation"]) == {"sagittal"}


def test_tilted_axial_stacks_are_ordered_by_the_slices_centres(tmp_path: Path) -> None:
    """Two stacks whose corners, but not whose centres, lie in the wrong order because the lower one tilts."""
    places = {1: (4.0, 0.0), 2: (0.0, 0.0), 3: (-25.0, 40.0), 4: (-29.0, 40.0)}
    for name, (z, degrees) in places.items():
        row = np.array(tilted(degrees)[3:])
        corner = np.array([0.0, 0.0, z]) - row * 200 * 31 / 2 / 31
        made = data_set(
            InstanceNumber=name,
            PixelSpacing=[200 / 31, 1.0],
            ImageOrientationPatient=tilted(degrees),
            ImagePositionPatient=[float(v) for v in corner],
            SeriesDescription="T2 AXIAL",
        )
        written(tmp_path / "train_images/7/73" / f"{name}.dcm", made)
    records = lumbar.load_dicom_tree(tmp_path).records
    assert list(records["instance"]) == [4, 3, 2, 1]
    assert set(records["orientation"]) == {"axial"} and set(records["label"]) == {"T2 AXIAL"}


@pytest.mark.parametrize("turned", [{2, 4}, {1, 3}, {2, 3, 4}])
def test_slices_turned_round_keep_their_order(tmp_path: Path, turned: set[int]) -> None:
    for number in range(1, 5):
        orientation = [0, -1, 0, 0, 0, -1] if number in turned else SAGITTAL
        made = data_set(
            InstanceNumber=number, ImagePositionPatient=[-5.0 * number, 0, 0], ImageOrientationPatient=orientation
        )
        written(tmp_path / "train_images/7/71" / f"{9 - number}.dcm", made)
    records = lumbar.load_dicom_tree(tmp_path).records
    assert list(records["instance"]) == ([4, 3, 2, 1] if 1 in turned else [1, 2, 3, 4])
    np.testing.assert_allclose(np.diff(records["position_mm"]), 5)


def test_coronal_and_oblique_orientations(tmp_path: Path) -> None:
    written(tmp_path / "train_images/7/70/1.dcm", data_set(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
    written(tmp_path / "train_images/7/71/1.dcm", data_set(ImageOrientationPatient=[0.1, 0.995, 0, 0, 0, -1]))
    assert list(lumbar.load_dicom_tree(tmp_path).records["orientation"]) == ["coronal", "sagittal"]


def test_faults_in_a_tree_are_named_skipped_and_counted(tmp_path: Path) -> None:
    series = tmp_path / "train_images/7/71"
    written(series / "1.dcm", data_set())
    written(series / "2.dcm", data_set(PixelData=None))
    written(series / "3.dcm", data_set(ImagePositionPatient=None))
    written(series / "4.dcm", data_set(ImageOrientationPatient=[0, 1, 0, 0, 1, 0]))
    (series / "5.dcm").write_text("no film")
    cut = written(series / "6.dcm", data_set())
    cut.write_bytes(cut.read_bytes()[:-700])
    (tmp_path / "train_images/notes.txt").write_text("a stray file")
    (series / ".DS_Store").write_text("")
    loaded = lumbar.load_dicom_tree(tmp_path)
    assert len(loaded.records) == 1
    found = {
        "2.dcm": "no pixel data",
        "3.dcm": "ImagePositionPatient",
        "4.dcm": "no place",
        "5.dcm": "not a DICOM file",
        "6.dcm": "cut off",
    }
    skipped = dict(loaded.skipped)
    assert set(skipped) == {"train_images/notes.txt", *(f"train_images/7/71/{name}" for name in found)}
    assert all(reason in skipped[f"train_images/7/71/{name}"] for name, reason in found.items())


def test_tree_without_a_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train_images: no such file"):
        lumbar.load_dicom_tree(tmp_path)
    (tmp_path / "train_images").mkdir()
    with pytest.raises(InputError, match="no readable slice"):
        lumbar.load_dicom_tree(tmp_path)


# --- slices and volumes ---------------------------------------------------------------------------------------------


def volume(path: Path, direction: str, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    """A volume stored in some orientation: brighter to the left, to the back and to the head of the patient."""
    left, back, up = np.meshgrid(np.arange(5), np.arange(9), np.arange(7), indexing="ij")
    image = sitk.GetImageFromArray((left * 100 + back * 10 + up).transpose(2, 1, 0).astype(np.int16))
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(path.name.lower())
    sitk.WriteImage(sitk.DICOMOrient(image, direction), str(plain))
    return plain.rename(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.NII", "a.NII.GZ", "a.MHA"])
@pytest.mark.parametrize("direction", ["LPS", "RAS", "PIL", "ASR"])
def test_volumes_are_read_as_sagittal_slices_however_stored(tmp_path: Path, name: str, direction: str) -> None:
    values, spacing = lumbar.read_volume(volume(tmp_path / name, direction, (4.0, 1.0, 2.0)))
    assert values.shape == (5, 7, 9) and spacing == pytest.approx((4.0, 2.0, 1.0))
    assert values[0, 0, 0] == 6 and values[4, 0, 0] == 406  # head row first, the patient's right slice first
    assert values[0, 6, 8] == 80  # the last row at the feet, the last column at the back


def test_mid_sagittal_has_square_pixels(tmp_path: Path) -> None:
    picture = lumbar.mid_sagittal(volume(tmp_path / "a.mha", "RAS", (4.0, 1.0, 2.0)))
    assert picture.dtype == np.uint8 and picture.shape == (14, 9)
    assert picture[0, -1] == 255 and picture[-1, 0] == 0


@pytest.mark.parametrize("spacing", [(1.0, 1e-9, 1.0), (1.0, 1.0, 1e30), (1.0, 1e-300, 1.0)])
def test_spacings_that_give_an_absurd_picture_are_refused(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"a\.mha: its 7 x 9 pixels of .* expected at most 64,000,000"):
        lumbar.mid_sagittal(volume(tmp_path / "a.mha", "PIL", spacing))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha"])
@pytest.mark.parametrize("cut", [1, 9, 300])
def test_volumes_that_are_cut_off_are_refused(tmp_path: Path, name: str, cut: int) -> None:
    path = volume(tmp_path / name, "RAS")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    with pytest.raises(InputError, match="cut off" if ".nii" in name else "no readable volume"):
        lumbar.read_volume(path)


def test_a_gzip_around_a_volume_cut_off_or_with_a_wrong_sum_is_refused(tmp_path: Path) -> None:
    path = volume(tmp_path / "a.nii.gz", "RAS")
    content = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(content)[:-1]))
    with pytest.raises(InputError, match="found 981 bytes, expected 982"):
        lumbar.read_volume(path)
    path.write_bytes(content[:-8] + bytes(8))
    with pytest.raises(InputError, match=r"no readable volume \(is not recognized"):
        lumbar.read_volume(path)


def test_voxels_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = volume(tmp_path / "a.mha", "RAS")
    monkeypatch.setattr(lumbar, "MAX_VOXELS", 315)
    lumbar.read_volume(path)
    monkeypatch.setattr(lumbar, "MAX_VOXELS", 314)
    with pytest.raises(InputError, match="has 315 voxels; expected at most 314"):
        lumbar.read_volume(path)


def test_volumes_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("nothing of the kind")
    with pytest.raises(InputError, match="no readable volume"):
        lumbar.read_volume(tmp_path / "a.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 5)), isVector=False), str(tmp_path / "b.nii"))
    with pytest.raises(InputError, match="4 dimensions"):
        lumbar.read_volume(tmp_path / "b.nii")
    with pytest.raises(InputError, match="no such file"):
        lumbar.read_volume(tmp_path / "c.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), np.nan, np.float32)), str(tmp_path / "d.mha"))
    with pytest.raises(InputError, match="not finite"):
        lumbar.read_volume(tmp_path / "d.mha")


@pytest.mark.parametrize("name", ["a.mha", "a.MHA"])
def test_header_that_names_another_file_for_its_voxels_is_refused(tmp_path: Path, name: str) -> None:
    path = volume(tmp_path / name, "LPS")
    (tmp_path / "secret").write_bytes(bytes(1000))
    path.write_bytes(path.read_bytes().replace(b"ElementDataFile = LOCAL", b"ElementDataFile = secret"))
    with pytest.raises(InputError, match="LOCAL"):
        lumbar.read_volume(path)


def test_folder_of_slices_and_volumes(tmp_path: Path) -> None:
    for name in ("5/5_t2_slice2.png", "5/5_t2_slice1.PNG", "7/7.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / name)
    volume(tmp_path / "11_t1.MHA", "LPS")
    volume(tmp_path / "12/t2.NII.GZ", "LPS")
    (tmp_path / "7/empty.png").touch()
    (tmp_path / "7/notes.txt").write_text("none")
    (tmp_path / "8").symlink_to(tmp_path / "7")
    loaded = lumbar.load_slices(tmp_path)
    records = loaded.records
    assert dict(zip(records["record_id"], records["patient"], strict=True)) == {
        "11_t1.MHA": "11",
        "12/t2.NII.GZ": "12",
        "5/5_t2_slice1.PNG": "5",
        "5/5_t2_slice2.png": "5",
        "7/7.png": "7",
    }
    assert list(records["kind"]) == ["volume", "volume", "image", "image", "image"]
    assert {path for path, _ in loaded.skipped} == {"7/empty.png", "7/notes.txt", "8"}


@pytest.mark.parametrize("name", ["1.mha", "1.nii"])
def test_itk_writes_nothing_before_the_sentence(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = volume(tmp_path / name, "LPS")
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"DimSize", b"DimSise") if name == "1.mha" else content[:70] + b"\xff" + content[71:]
    )
    with pytest.raises(InputError, match=name):
        lumbar.read_volume(path)
    assert capfd.readouterr().err == ""


def test_folder_without_a_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable slice"):
        lumbar.load_slices(tmp_path)


# --- the real data --------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_real_targets(real_data: Path) -> None:
    targets = lumbar.load_rsna_targets(real_data / "rsna_lumbar")
    assert targets.shape == (1975, 25) and targets.isna().to_numpy().sum() == 572
    loaded = lumbar.load_rsna_tables(real_data / "rsna_lumbar")
    records = loaded.records
    assert loaded.unlabelled == 572
    counts = records["label"].value_counts()
    assert counts.to_dict() == {"Normal/Mild": 37_754, "Moderate": 7_960, "Severe": 3_089}
    assert (counts / targets.size * 100).round(1).to_dict() == {"Normal/Mild": 76.5, "Moderate": 16.1, "Severe": 6.3}


@pytest.mark.real
def test_real_series(real_data: Path) -> None:
    counts = lumbar.load_series(real_data / "rsna_lumbar").records["label"].value_counts().to_dict()
    assert counts == {"Axial T2": 2340, "Sagittal T1": 1980, "Sagittal T2/STIR": 1974}


@pytest.mark.real
def test_real_coordinates(real_data: Path) -> None:
    """The corrected copy has 117 canal rows more than the 48,692 of the original; the rest is as published."""
    table = lumbar.load_coordinates(real_data / "rsna_lumbar")
    others = table[table["condition"] != "spinal_canal_stenosis"]
    assert sorted(others["condition"].value_counts()) == [9608, 9612, 9859, 9860]
    assert len(table) == 48_692 + 117 and (table["fix"] == "1").sum() == 141
    assert set(table["level"]) == set(LEVELS)


@pytest.mark.real
def test_real_slices(real_data: Path) -> None:
    loaded = lumbar.load_slices(real_data / "lumbar_sagittal_t2")
    records = loaded.records
    assert len(records) == 60 and records["patient"].nunique() == 12 and not loaded.skipped
