"""How fast chest films are drawn at 128 pixels on one core, alone and with their JPEG files (processor time)."""

import time

from rich.console import Console
from rich.table import Table

SIZE, FILMS, REPEATS = 128, 60, 3


def main() -> dict[str, float | int]:
    """Measure and print films a second, over all findings; the fastest of several runs counts."""
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
    result: dict[str, float | int] = {
        "size": SIZE,
        "films": FILMS,
        "films_per_second": FILMS / min(drawing),
        "films_per_second_with_jpeg": FILMS / min(writing),
    }
    table = Table("what", "films a second", title=f"chest phantom at {SIZE} px, one core")
    table.add_row("drawn", f"{result['films_per_second']:.0f}")
    table.add_row("drawn and encoded as JPEG", f"{result['films_per_second_with_jpeg']:.0f}")
    Console().print(table)
    return result


if __name__ == "__main__":
    main()
