"""How fast phantoms are made on one core (processor time): chest films at 128 pixels, lumbar studies as DICOM."""

import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

SIZE, FILMS, REPEATS = 128, 60, 3
STUDIES, STUDY_SIZE = 3, 192  # the size that the lumbar phantom has by default


def main() -> dict[str, float | int]:
    """Measure and print both phantoms; the fastest of several runs counts."""
    result = _chest() | _lumbar()
    table = Table("phantom", "what", "a second", title="phantoms, one core")
    table.add_row(f"chest, {SIZE} px", "films drawn", f"{result['films_per_second']:.0f}")
    table.add_row("", "films drawn and encoded as JPEG", f"{result['films_per_second_with_jpeg']:.0f}")
    table.add_row(f"lumbar, {STUDY_SIZE} px", "studies drawn and written", f"{result['studies_per_second']:.2f}")
    table.add_row("", "DICOM slices drawn and written", f"{result['slices_per_second']:.0f}")
    Console().print(table)
    return result


def _chest() -> dict[str, float | int]:
    """Films over all findings, alone and with their JPEG files."""
    import cv2

    from medutils.data.phantoms.chest_film import film
    from medutils.data.phantoms.chest_findings import DRAWERS

    findings = list(DRAWERS)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    drawing, writing = [], []
    for _ in range(REPEATS):
        start = time.process_time()
        films = [film(number, findings[number % len(findings)], SIZE) for number in range(FILMS)]
        drawing.append(time.process_time() - start)
        for image in films:
            cv2.imencode(".jpeg", image)
        writing.append(time.process_time() - start)
    cv2.setNumThreads(threads)
    return {
        "size": SIZE,
        "films": FILMS,
        "films_per_second": FILMS / min(drawing),
        "films_per_second_with_jpeg": FILMS / min(writing),
    }


def _lumbar() -> dict[str, float | int]:
    """Whole studies: three tables, and every slice of every series as a DICOM file."""
    from medutils.data.phantoms.lumbar import make_rsna

    making = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as scratch:
            start = time.process_time()
            make_rsna(Path(scratch), studies=STUDIES, size=STUDY_SIZE)
            making.append(time.process_time() - start)
            slices = sum(1 for _ in Path(scratch).rglob("*.dcm"))
    return {
        "studies": STUDIES,
        "slices": slices,
        "studies_per_second": STUDIES / min(making),
        "slices_per_second": slices / min(making),
    }


if __name__ == "__main__":
    main()
