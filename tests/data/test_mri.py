"""From MRI values to 8-bit grey: normalised, equalised, and clipped as write-up 001 did."""

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from medutils.data.mri import clipped, equalised, grey_levels, read_grey

STORED = (np.random.default_rng(0).gamma(2.0, 220.0, (48, 40))).astype(np.uint16).clip(0, 4095)


def written(path: Path, stored: np.ndarray = STORED, kind: str = "MONOCHROME2", **tags: float) -> Path:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.MRImageStorage, UID("1.2.3")
    made.set_pixel_data(stored, kind, 12)
    for tag, value in tags.items():
        setattr(made, tag, value)
    made.save_as(path, enforce_file_format=True)
    return path


def test_grey_levels_do_not_hang_on_the_gain_of_the_scanner_and_keep_the_shape() -> None:
    volume = np.stack([STORED, 3.5 * STORED + 100, np.full_like(STORED, 7)]).astype(np.float32)
    grey = grey_levels(volume)
    assert grey.dtype == np.uint8 and grey.shape == volume.shape
    assert np.abs(grey[0].astype(int) - grey[1]).max() <= 1
    assert (grey[0].min(), grey[0].max()) == (0, 255) and not grey[2].any()
    assert np.array_equal(grey_levels(volume[0]), grey[0])


def test_equalised_is_opencv_slice_by_slice() -> None:
    grey = grey_levels(np.stack([STORED, STORED[::-1] * 2]))
    found = equalised(grey)
    assert found.dtype == np.uint8 and found.shape == grey.shape
    assert all(np.array_equal(one, cv2.equalizeHist(of)) for one, of in zip(found, grey, strict=True))
    quarters = np.quantile(found[0], [0.25, 0.5, 0.75])
    assert np.abs(quarters - [64, 128, 191]).max() < 16
    assert equalised(grey[:0]).shape == (0, 48, 40)


def test_clipped_is_what_pil_makes_of_16_bits() -> None:
    assert np.array_equal(clipped(STORED), np.asarray(Image.fromarray(STORED).convert("L")))
    assert (clipped(STORED) == 255).mean() > 0.5


@pytest.mark.parametrize("grey", ["gsl", "hist"])
def test_monochrome1_is_turned_round_but_not_by_the_faulty_way(tmp_path: Path, grey: str) -> None:
    plain = written(tmp_path / "2.dcm")
    turned = written(tmp_path / "1.dcm", 4095 - STORED, "MONOCHROME1")
    first, second = (read_grey(path, 32, grey).astype(int) for path in (plain, turned))
    assert first.shape == (32, 32) and np.abs(first - second).mean() < 1
    assert not np.array_equal(read_grey(plain, 32, "clipped"), read_grey(turned, 32, "clipped"))


def test_the_faulty_way_begins_from_the_stored_pixels(tmp_path: Path) -> None:
    scaled = written(tmp_path / "a.dcm", RescaleSlope=2.0, RescaleIntercept=-40.0)
    expected = Image.fromarray(STORED).convert("L").resize((24, 24), Image.Resampling.BILINEAR)
    assert np.array_equal(read_grey(scaled, 24, "clipped"), np.asarray(expected))


@pytest.mark.real
def test_half_of_the_tissue_of_a_real_t1_series_is_white_when_clipped(real_data: Path) -> None:
    series = sorted((real_data / "rsna_lumbar_studies/train_images/100206310/2092806862").glob("*.dcm"))
    stored = np.stack([pydicom.dcmread(path).pixel_array for path in series])
    tissue = stored > np.percentile(stored, 99) / 10
    assert (clipped(stored)[tissue] == 255).mean() > 0.5
    assert np.mean([(read_grey(path, 224) == 255).mean() for path in series]) < 0.02
