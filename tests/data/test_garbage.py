"""Garbage thrown at every reader: nothing but `InputError` may come out of one.

A new reader is one more line of `FILES` (bytes in one file) or `NAMES` (names of folders and files).
"""

import contextlib
import io
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from medutils.data.chest_xray import load_class_folders, load_composed, load_kermany
from medutils.data.dicom import read_dicom
from medutils.data.fetch import unpack
from medutils.data.images import FORMATS, build_array, read_image
from medutils.data.lumbar import (
    TARGETS,
    load_coordinates,
    load_dicom_tree,
    load_rsna_tables,
    load_series,
    load_slices,
    mid_sagittal,
    read_volume,
)
from medutils.data.manifest import Located, load_manifest
from medutils.data.registry import DATASETS
from medutils.data.spine import load_spine
from medutils.data.splits import load_split, save_split
from medutils.data.verify import verify
from medutils.errors import InputError

Reader = Callable[[Path], object]

SETTINGS = settings(max_examples=30, deadline=None, derandomize=True)
SERIES = b"study_id,series_id,series_description\n1,2,Sagittal T1\n"
GRADES = f"study_id,{','.join(TARGETS)}\n1{',Moderate' * len(TARGETS)}\n".encode()
PLACES = b"study_id,series_id,instance_number,condition,level,x,y\n1,2,3,Spinal Canal Stenosis,L1/L2,4.5,6.7\n"
RECORDS = pd.DataFrame({"record_id": ["1", "2"], "label": "a", "source": "x", "split": "train", "path": ""})
RECORDS["patient"] = RECORDS["record_id"]
SPINE = b"Col1,Class_att\n" + b"".join(b"%d.5,%s\n" % (row, (b"Abnormal", b"Normal")[row % 2]) for row in range(60))
INDEX = b"file,label,source,patient,split\na/1.png,a,x,p1,train\nb/1.png,b,x,p2,test\n"


def sound_images() -> list[bytes]:
    """A small sound file of each format and of several ways to store pixels, to be damaged."""
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11), dtype=np.uint8))
    deep = Image.fromarray(np.arange(99, dtype=np.uint16).reshape(9, 11) * 600)
    made = [(grey, form, {}) for form in FORMATS]
    made += [(deep, "PNG", {}), (deep, "TIFF", {"compression": "tiff_lzw"}), (grey.convert("CMYK"), "JPEG", {})]
    made += [(grey, "JPEG", {"progressive": True}), (grey.quantize(4), "PNG", {"transparency": 1})]
    made += [(grey, form, {"save_all": True, "append_images": [grey.rotate(9)]}) for form in ("GIF", "PNG", "TIFF")]
    files = [io.BytesIO() for _ in made]
    for file, (image, form, how) in zip(files, made, strict=True):
        image.save(file, format=form, **how)
    return [file.getvalue() for file in files]


def sound_dicom() -> bytes:
    """A small MR slice whose header is longer than its pixels."""
    made = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    made.Rows, made.Columns, made.PixelData = 6, 6, bytes(range(72))
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def sound_archives() -> list[bytes]:
    packed, taped = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.txt", "one")
    with tarfile.open(fileobj=taped, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a/1.txt"))
    return [packed.getvalue(), taped.getvalue()]


def sound_split() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_split(RECORDS, Path(folder, "split.json"))
        return Path(folder, "split.json").read_bytes()


def sound_volume(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        sitk.WriteImage(sitk.Image(3, 3, 3, sitk.sitkUInt8), f"{folder}/1{suffix}")
        return Path(folder, f"1{suffix}").read_bytes()


PATTERN = st.text(max_size=9) | st.text(alphabet="()[]{}*+?|\\^$.:<>=!P1a", max_size=9)
SNIPPETS = st.binary(max_size=3) | st.text(alphabet=',;"\n/.ab1 ', max_size=3).map(str.encode)


@st.composite
def damaged(draw: st.DrawFn, sound: list[bytes]) -> bytes:
    """A sound file with up to three short pieces changed, taken out or put in, and sometimes its end cut off."""
    content = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        snippet = draw(SNIPPETS)
        content[at : at + draw(st.sampled_from([len(snippet), 0, 3]))] = snippet
    cut = draw(st.sampled_from([False, False, True]))
    return bytes(content[: draw(st.integers(0, len(content)))] if cut else content)


ODD = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
FILE = st.sampled_from([b"IM-2-1.jpeg", b"person2_virus_3.jpeg", b"index.csv", b".DS_Store"]) | ODD
FOLDER = st.sampled_from([b"train", b"val", b"Test", b"NORMAL", b"normal", b"a", b"A", b"chest_xray", b"1.png"]) | ODD
PATH = st.tuples(st.lists(FOLDER, max_size=3), FILE | ODD.map(lambda name: name + b".png"))


def split(path: str) -> tuple[list[bytes], bytes]:
    *above, name = map(os.fsencode, path.split("/"))
    return above, name


def make_tree(folder: Path, paths: Iterable[tuple[list[bytes], bytes]]) -> None:
    """Make an empty file at each path; one that runs into a file already there is left out."""
    for above, name in paths:
        inside = os.path.join(os.fsencode(folder), *above)  # noqa: PTH118 - pathlib takes no bytes
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            os.makedirs(inside, exist_ok=True)  # noqa: PTH103
            with open(os.path.join(inside, name), "xb"):  # noqa: PTH118, PTH123
                pass


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """Write the garbage to one file of a folder that is otherwise sound, and read."""

    def write_and_read(folder: Path, content: bytes) -> object:
        make_tree(folder, map(split, CLASSES))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return read(folder)

    return write_and_read


def array_of(folder: Path) -> object:
    return build_array([folder / "film.jpeg"], 8, "RGB", cache=folder / "cache")


def verified_rsna(folder: Path) -> object:
    """A tree and its tables, each sound unless the garbage lies there."""
    sound = {"train.csv": GRADES, "train_series_descriptions.csv": SERIES, "train_label_coordinates.csv": PLACES}
    for name, content in (sound | {SLICE: DICOM}).items():
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return verified("rsna_lumbar", folder)


def verified(name: str, folder: Path) -> object:
    return verify(load_manifest(name), Located(name, "real", folder))


DICOM = sound_dicom()
SLICE = "train_images/1/2/3.dcm"
FILES: dict[str, tuple[list[bytes], Callable[[Path, bytes], object]]] = (
    {
        "read_image": (sound_images(), in_file("film.png", lambda folder: read_image(folder / "film.png"))),
        "read_image in RGB": (
            sound_images(),
            in_file("film.gif", lambda folder: read_image(folder / "film.gif", "RGB")),
        ),
        "build_array": (sound_images(), in_file("film.jpeg", array_of)),
        "load_composed": ([INDEX, INDEX.replace(b",", b";")], in_file("index.csv", load_composed)),
        "load_spine": ([SPINE], in_file("table.csv", lambda folder: load_spine(folder / "table.csv"))),
        "load_split": (
            [sound_split()],
            in_file("split.json", lambda folder: load_split(RECORDS, folder / "split.json")),
        ),
        "unpack": (sound_archives(), in_file("set.zip", lambda folder: unpack(folder / "set.zip", folder / "out"))),
        "read_dicom": ([DICOM], in_file("1.dcm", lambda folder: read_dicom(folder / "1.dcm"))),
        "read_dicom in its window": ([DICOM], in_file("1.dcm", lambda folder: read_dicom(folder / "1.dcm", "header"))),
        "load_dicom_tree": ([DICOM], in_file(SLICE, load_dicom_tree)),
        "load_rsna_tables": ([GRADES], in_file("train.csv", load_rsna_tables)),
        "load_series": ([SERIES], in_file("train_series_descriptions.csv", load_series)),
        "load_coordinates": ([PLACES], in_file("train_label_coordinates.csv", load_coordinates)),
        "read_volume .mha": ([sound_volume(".mha")], in_file("1.mha", lambda folder: read_volume(folder / "1.mha"))),
        "read_volume .nii": ([sound_volume(".nii")], in_file("1.nii", lambda folder: read_volume(folder / "1.nii"))),
    }
    | {
        f"mid_sagittal {end}": (
            [sound_volume(end)],
            in_file(f"1{end}", lambda folder, end=end: mid_sagittal(folder / f"1{end}")),
        )
        for end in (".mha", ".nii", ".nii.gz")
    }
    | {
        f"verify rsna_lumbar, {name}": ([content], in_file(name, verified_rsna))
        for name, content in (
            ("train_series_descriptions.csv", SERIES),
            ("train_label_coordinates.csv", PLACES),
            (SLICE, DICOM),
        )
    }
)

CLASSES = ["a/1.png", "b/1.png"]
KERMANY = ["train/NORMAL/IM-1-1.jpeg", "train/PNEUMONIA/person1_virus_2.jpeg"]
NAMES: dict[str, tuple[list[str], Reader]] = {
    "load_class_folders": (CLASSES, lambda folder: load_class_folders(folder, r"(\d+)")),
    "load_class_folders in splits": (KERMANY, load_class_folders),
    "load_kermany": (KERMANY, load_kermany),
    "load_slices": (CLASSES, load_slices),
    "load_dicom_tree": ([SLICE], load_dicom_tree),
    "load_composed": (CLASSES, lambda folder: in_file("index.csv", load_composed)(folder, INDEX)),
} | {f"verify {name}": ([*CLASSES, *KERMANY, SLICE], partial(verified, name)) for name in DATASETS}
PATTERNS: dict[str, Callable[[Path, str], object]] = {"load_class_folders": load_class_folders}


def attempt(read: Callable[..., object], *args: object) -> str:
    """Call a reader on an empty folder; a result is a good answer, and so is an `InputError`; its sentence is given."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much before it gives up
        try:
            read(Path(folder), *args)
        except InputError as error:
            return str(error)
    return ""


@pytest.mark.parametrize("reader", FILES)
def test_bytes(reader: str) -> None:
    sound, read = FILES[reader]

    @SETTINGS
    @given(damaged(sound) | st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    @example(b"")
    @example(b"\xef\xbb\xbf")
    @example(sound[0].splitlines()[0])  # of a table, the header alone
    def throw(content: bytes) -> None:
        assert "\n" not in attempt(read, content)

    throw()


@pytest.mark.parametrize("reader", NAMES)
def test_names(reader: str) -> None:
    sound, read = NAMES[reader]

    @SETTINGS
    @given(st.sets(st.sampled_from(sound)) | st.just(set(sound)), st.lists(PATH, max_size=5))
    def throw(kept: set[str], added: list[tuple[list[bytes], bytes]]) -> None:
        attempt(lambda folder: (make_tree(folder, [*map(split, sorted(kept)), *added]), read(folder)))

    throw()


@pytest.mark.parametrize("reader", PATTERNS)
def test_patterns(reader: str) -> None:
    @SETTINGS
    @given(PATTERN | PATTERN.map("({})".format))
    def throw(pattern: str) -> None:
        attempt(lambda folder: (make_tree(folder, map(split, CLASSES)), PATTERNS[reader](folder, pattern)))

    throw()
