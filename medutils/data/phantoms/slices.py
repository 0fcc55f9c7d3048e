"""Phantom of the annotated slices of RSNA 2024: cut from its phantom's DICOM files, as real ones are."""

import shutil
from pathlib import Path

from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.slices import cut_slices
from medutils.files import scratch


def make_rsna_t1(folder: Path, *, seed: int | None = None) -> None:
    """Write the annotated sagittal T1 slices of the phantom studies: those that are kept, or others with a seed."""
    with scratch(folder) as work:
        cut_slices(_studies(work / "studies", seed), work / "slices")
        for path in (work / "slices").iterdir():
            shutil.move(path, folder / path.name)


def _studies(folder: Path, seed: int | None) -> Path:
    if seed is None:
        from medutils.data.registry import find

        return find("rsna_lumbar", "phantom").path
    folder.mkdir()
    make_rsna(folder, seed=seed)
    return folder
