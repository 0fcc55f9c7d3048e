"""One study folder in any layout: sorted by its headers or refused in one sentence, whatever it holds."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from medutils.data.mri import read_grey
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.studies import open_studies
from medutils.data.study_folder import KINDS, known_grades, open_study, read_study
from medutils.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantom studies."""
    folder = tmp_path_factory.mktemp("made")
    make_rsna(folder, studies=2, size=24)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    first = sorted((made / "train_images").iterdir())[0]
    return Path(shutil.copytree(first, tmp_path / "study"))


def of(study: Path, words: str) -> Path:
    """The folder of the series whose description begins so (`T1`), or ends so (`AXI`)."""
    for folder in sorted(study.iterdir()):
        said = pydicom.dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).SeriesDescription
        if said.startswith(words) or said.endswith(words):
            return folder
    raise AssertionError(words)


def tell(where: Path, **tags: object) -> None:
    """Set tags of all files below a folder, or of one; None takes a tag away."""
    for path in sorted(where.rglob("*.dcm")) if where.is_dir() else [where]:
        data = pydicom.dcmread(path)
        for tag, value in tags.items():
            if value is None:
                del data[tag]
            else:
                setattr(data, tag, value)
        data.save_as(path)


def slices(study: Path, words: str) -> list[Path]:
    return sorted(of(study, words).iterdir())


SPIN_ECHO_T1 = {"EchoTime": 11, "RepetitionTime": 550, "ScanningSequence": "SE"}
SPIN_ECHO_T2 = {"EchoTime": 102, "RepetitionTime": 3500, "ScanningSequence": "SE"}
INVERSION = {"EchoTime": 40, "RepetitionTime": 4000, "ScanningSequence": ["SE", "IR"], "InversionTime": 160}
T1_FLAIR = {"EchoTime": 12, "RepetitionTime": 2100, "ScanningSequence": "IR", "InversionTime": 820}
GRADIENT = {"EchoTime": 10, "RepetitionTime": 500, "ScanningSequence": "GR"}
PROTON = {"EchoTime": 20, "RepetitionTime": 3000, "ScanningSequence": "SE"}


# --- layouts and order ------------------------------------------------------------------------------------------------


def test_a_folder_a_series_gives_three_kinds_in_place_order(study: Path) -> None:
    found = open_study(study)
    assert tuple(found.series) == KINDS and found.missing == found.notes == ()
    assert [len(one.slices) for one in found.series.values()] == [13, 13, 15]
    assert found.series["sagittal_t1"].name == of(study, "T1").name
    for one in found.series.values():
        assert np.all(np.diff(one.position_mm) > 0) and len(one.position_mm) == len(one.slices)
    first = pydicom.dcmread(found.series["sagittal_t1"].slices[0])
    last = pydicom.dcmread(found.series["sagittal_t1"].slices[-1])
    assert abs(last.ImagePositionPatient[0] - first.ImagePositionPatient[0]) == pytest.approx(48, abs=0.1)


@pytest.mark.parametrize("layout", ["flat", "challenge", "a folder a slice", "copied twice"])
def test_any_layout_gives_the_same_series(layout: str, study: Path, tmp_path: Path) -> None:
    expected = {kind: one.position_mm for kind, one in open_study(study).series.items()}
    other = tmp_path / "train_images" / "17"
    for number, path in enumerate(sorted(study.rglob("*.dcm"))):
        names = {
            "flat": [f"IM{number:04}"],
            "challenge": [f"{path.parent.name}/{path.name}"],
            "a folder a slice": [f"DICOM/PA0/SE{number}/{path.name}"],
            "copied twice": [f"a/{number}.dcm", f"b/{number}.dcm"],
        }[layout]
        for name in names:
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, other / name)
    found = open_study(other)
    assert {kind: one.position_mm for kind, one in found.series.items()} == expected
    assert bool(found.notes) == (layout == "copied twice")


def test_pixels_are_those_of_each_slice_in_order(study: Path) -> None:
    found, pixels = read_study(open_study(study), 16)
    assert {kind: values.shape for kind, values in pixels.items()} == dict(
        zip(KINDS, [(13, 16, 16), (13, 16, 16), (15, 16, 16)], strict=True)
    )
    assert np.array_equal(pixels["axial_t2"][4], read_grey(found.series["axial_t2"].slices[4], 16))


# --- what headers say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "times", "kind"),
    [
        ("SAG T1 TSE", {}, "sagittal_t1"),
        ("t2_tse_sag", {}, "sagittal_t2"),
        ("SAGT2", {}, "sagittal_t2"),
        ("Sag STIR", {}, "sagittal_t2"),
        ("T2 TIRM sagittal", {}, "sagittal_t2"),
        ("SAG T1 FLAIR", T1_FLAIR, "sagittal_t1"),
        ("L-SPINE", SPIN_ECHO_T1, "sagittal_t1"),
        ("L-SPINE", SPIN_ECHO_T2, "sagittal_t2"),
        ("", INVERSION, "sagittal_t2"),
        ("", T1_FLAIR, "sagittal_t1"),
        ("T2 SAG", SPIN_ECHO_T1, "sagittal_t2"),  # words before times
        ("L-SPINE", GRADIENT, None),
        ("L-SPINE", PROTON, None),
        ("L-SPINE", {}, None),
        ("T2 LOCALIZER", {}, None),
        ("PD SAG", {}, None),
    ],
)
def test_the_weighting_is_told_by_words_then_by_times(
    description: str, times: dict[str, object], kind: str | None, study: Path
) -> None:
    shutil.rmtree(of(study, "AXI"))
    shutil.rmtree(of(study, "T2") if kind == "sagittal_t2" else of(study, "T1"))
    tell(next(study.iterdir()), SeriesDescription=description, **times)
    if kind:
        found = open_study(study)
        assert tuple(found.series) == (kind,) and set(found.missing) == {*KINDS} - {kind}
        assert any("its echo time is one of T1" in note for note in found.notes) == (description == "T2 SAG")
    else:
        with pytest.raises(InputError, match="found no series of Sagittal T1, Sagittal T2/STIR, Axial T2"):
            open_study(study)


@pytest.mark.parametrize("name", ["again", "0_again"])
def test_several_series_of_a_kind_follow_each_other_as_in_training(name: str, made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "made"))
    study = sorted((folder / "train_images").iterdir())[0]
    again = Path(shutil.copytree(of(study, "T1"), study / name))
    tell(again, SeriesInstanceUID="1.2.3")
    for path in sorted(again.iterdir())[:4]:
        path.unlink()
    found = open_study(study)
    rows = open_studies(str(folder)).series.set_index(["study_id", "description"]).loc[(study.name, "Sagittal T1")]
    assert found.series["sagittal_t1"].slices == tuple(path for slices in rows["slices"] for path in slices)
    assert len(found.series["sagittal_t1"].position_mm) == 13 + 9
    assert (
        found.notes[0].startswith("Series of Sagittal T1 that follow each other")
        and f"`{name}` with 9 slices" in (found.notes[0])
    )


@pytest.mark.parametrize("tags", [{"SeriesDescription": "SCOUT"}, {"ImageType": ["ORIGINAL", "LOCALIZER"]}])
def test_localisers_of_three_planes_are_left_aside(tags: dict[str, object], study: Path) -> None:
    loc = study / "loc"
    loc.mkdir()
    for number, path in enumerate([slices(study, "T1")[3], slices(study, "AXI")[3]]):
        shutil.copy(path, loc / f"{number}.dcm")
    tell(loc, **({"SeriesInstanceUID": "9.9", "SeriesDescription": "T1"} | tags))
    found = open_study(study)
    assert found.notes == ("Series that are not used: `loc` (a localiser).",) and len(found.series) == 3


def test_grades_beside_a_study_are_found_in_the_tree_and_beside_it(made: Path, study: Path) -> None:
    first = sorted((made / "train_images").iterdir())[0]
    grades = known_grades(first)
    assert 20 <= len(grades) <= 25 and set(grades.values()) <= {"Normal/Mild", "Moderate", "Severe"}
    assert known_grades(study) == {}
    table = "study_id,spinal_canal_stenosis_l4_l5,remark\nstudy,Severe,none\n"
    (study.parent / "grades.csv").write_text(table)
    assert known_grades(study) == {"spinal_canal_stenosis_l4_l5": "Severe"}
    (study.parent / "grades.csv").write_text(table.replace("Severe", "bad"))
    with pytest.raises(InputError, match="is 'bad'"):
        known_grades(study)


# --- what is refused --------------------------------------------------------------------------------------------------


def emptied(study: Path) -> None:
    shutil.rmtree(study)
    study.mkdir()


def without_dicom(study: Path) -> None:
    emptied(study)
    (study / "notes.dcm").write_text("no DICOM")


def of_another_plane(study: Path) -> None:
    tell(of(study, "AXI"), SeriesDescription="T2 SAG")


def in_a_folder_of_another_plane(study: Path) -> None:
    of(study, "AXI").rename(study / "sagittal_t2_tse")


def of_two_orientations(study: Path) -> None:
    axial, sagittal = of(study, "AXI"), of(study, "T2")
    uid = pydicom.dcmread(next(axial.iterdir())).SeriesInstanceUID
    tell(sagittal, SeriesInstanceUID=uid, SeriesDescription="T2")
    tell(axial, SeriesDescription="T2")


def of_turned_sagittal_slices(study: Path) -> None:
    for path in slices(study, "T1")[:3]:
        tell(path, ImageOrientationPatient=[0.6, 0.8, 0, 0, 0, -1])


def of_two_studies(study: Path) -> None:
    tell(of(study, "T1"), StudyInstanceUID="1.2.3")


def of_two_patients(study: Path) -> None:
    tell(of(study, "T1"), PatientID="another")


def of_other_weightings(study: Path) -> None:
    tell(study, SeriesDescription="PD FS")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such folder"),
    "nothing in it": (emptied, "found no readable DICOM slice"),
    "no DICOM in it": (without_dicom, "notes.dcm: is not a DICOM file"),
    "another plane": (of_another_plane, "found axial slices, by ImageOrientationPatient, described as 'T2 SAG'"),
    "another folder": (in_a_folder_of_another_plane, "in the folder 'sagittal_t2_tse'; expected sagittal"),
    "two orientations": (of_two_orientations, "slices of two orientations, 90 degrees apart (axial, sagittal)"),
    "turned slices": (of_turned_sagittal_slices, "slices of two orientations"),
    "two studies": (of_two_studies, "found 2 studies, by their StudyInstanceUID"),
    "two patients": (of_two_patients, "found 2 patients, by their PatientID"),
    "no known kind": (of_other_weightings, "found no series of Sagittal T1, Sagittal T2/STIR, Axial T2"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_study_is_refused_in_one_sentence(kind: str, study: Path) -> None:
    spoil, words = REFUSED[kind]
    spoil(study)
    with pytest.raises(InputError) as caught:
        open_study(study)
    assert words in str(caught.value) and str(caught.value).startswith(str(study)) and "\n" not in str(caught.value)


def damaged(path: Path) -> None:
    tell(path, BitsStored=77)


def test_a_slice_with_damaged_pixels_is_named_and_left_out(study: Path) -> None:
    odd = slices(study, "T1")[2]
    damaged(odd)
    for path in slices(study, "AXI"):
        damaged(path)
    found, pixels = read_study(open_study(study), 16)
    assert len(found.series["sagittal_t1"].slices) == len(pixels["sagittal_t1"]) == 12
    assert found.missing == ("axial_t2",) and odd not in found.series["sagittal_t1"].slices
    assert f"{odd.relative_to(study)}` (its pixel data is damaged" in found.notes[0]
    for path in study.rglob("*.dcm"):
        damaged(path)
    with pytest.raises(InputError, match="found no slice whose pixels can be read"):
        read_study(open_study(study), 16)


# --- odd files beside, which break nothing ----------------------------------------------------------------------------


def compressed(study: Path) -> None:
    for path in slices(study, "T1")[::2]:
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)


def of_sixteen_bits(study: Path) -> None:
    for path in slices(study, "T1"):
        data = pydicom.dcmread(path)
        data.set_pixel_data(data.pixel_array * np.uint16(15), "MONOCHROME2", 16, generate_instance_uid=False)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)


def of_a_zip(study: Path) -> None:
    with zipfile.ZipFile(study / "all.dcm", "w") as out:
        out.write(slices(study, "T1")[0])


def of_a_directory_file(study: Path) -> None:
    data = pydicom.dcmread(slices(study, "T1")[0])
    for tag in ("Rows", "Columns", "PixelData", "ImageOrientationPatient"):
        del data[tag]
    data.save_as(study / "DICOMDIR")


def of_huge_numbers(study: Path) -> None:
    first, second, third = slices(study, "T1")[:3]
    tell(first, ImagePositionPatient=["1e308", "1e308", "1e308"], PixelSpacing=["1e308", "1e308"])
    tell(second, Rows=65535, Columns=65535)
    tell(third, RepetitionTime="1e300", EchoTime="-1e300", RescaleSlope="1e300")


def of_wrong_times(study: Path) -> None:
    for path in slices(study, "T1"):
        data = pydicom.dcmread(path)
        data.add_new("EchoTime", "LO", "soon")
        data.save_as(path)


def of_far_places(study: Path) -> None:
    for number, path in enumerate(slices(study, "T1")):
        tell(path, ImagePositionPatient=[f"1e{290 + number}", "0", "0"])


ODD: dict[str, Callable[[Path], object]] = {
    "a link to itself": lambda study: (study / "loop").symlink_to(study),
    "a link to nowhere": lambda study: (study / "gone.dcm").symlink_to("nowhere"),
    "a pipe": lambda study: os.mkfifo(study / "pipe.dcm"),
    "an empty file": lambda study: (study / "empty.dcm").touch(),
    "a file cut short": lambda study: (study / "cut.dcm").write_bytes(slices(study, "T1")[0].read_bytes()[:300]),
    "zeros": lambda study: (study / "zeros.dcm").write_bytes(bytes(2000)),
    "the letters DICM alone": lambda study: (study / "x.dcm").write_bytes(bytes(128) + b"DICM"),
    "noise after the letters": lambda study: (study / "x.dcm").write_bytes(
        bytes(128) + b"DICM" + np.random.default_rng(0).bytes(3000)
    ),
    "a folder named as a slice": lambda study: (study / "1.dcm").mkdir(),
    "folders too deep": lambda study: (study / "a/b/c/d/e/f").mkdir(parents=True),
    "a name that is no text": lambda study: Path(os.fsdecode(os.fsencode(study) + b"/\xff.dcm")).touch(),
    "a zip": of_a_zip,
    "a directory file": of_a_directory_file,
    "no orientation": lambda study: tell(slices(study, "T1")[0], ImageOrientationPatient=None),
    "no description": lambda study: tell(of(study, "T1"), SeriesDescription=None),
    "no UIDs": lambda study: tell(study, SeriesInstanceUID=None, StudyInstanceUID=None),
    "colour": lambda study: tell(slices(study, "T1")[0], PhotometricInterpretation="RGB", SamplesPerPixel=3),
    "many frames": lambda study: tell(slices(study, "T1")[0], NumberOfFrames=3),
    "an instance that is huge": lambda study: tell(slices(study, "T1")[0], InstanceNumber=2**31 - 1),
    "one slice": lambda study: [path.unlink() for path in slices(study, "T1")[1:]],
    "another modality": lambda study: tell(of(study, "T1"), Modality="CT"),
    "inverted": lambda study: tell(of(study, "T1"), PhotometricInterpretation="MONOCHROME1"),
    "12 bits by run lengths": compressed,
    "16 bits by run lengths": of_sixteen_bits,
    "huge numbers": of_huge_numbers,
    "words for times": of_wrong_times,
    "places far away": of_far_places,
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_leave_a_study_that_can_be_read_or_one_sentence(kind: str, study: Path) -> None:
    ODD[kind](study)
    found, pixels = read_study(open_study(study), 16)
    assert {"sagittal_t2", "axial_t2"} <= set(found.series) and set(pixels) == set(found.series)
    for one in found.series.values():
        assert np.isfinite(one.position_mm).all() and len(set(one.slices)) == len(one.slices)
    silent = ("no UIDs", "12 bits by run lengths", "16 bits by run lengths", "inverted")
    silent += ("an instance that is huge", "a folder named as a slice", "words for times", "places far away")
    assert bool(found.notes) == (kind not in silent), found.notes


@pytest.mark.real
@pytest.mark.parametrize(("name", "axial"), [("100206310", 60), ("1002894806", 42)])
def test_the_two_real_studies(name: str, axial: int, real_data: Path) -> None:
    folder = real_data / "rsna_lumbar_studies" / "train_images" / name
    found = open_study(folder)
    assert [len(one.slices) for one in found.series.values()] == [18, 18, axial] and found.notes == ()
    assert len(known_grades(folder)) == 25
