"""Phantom studies in any number, for what takes more of them than the phantom that stands in for the real set."""

from pathlib import Path

from medutils import cache
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.studies import Studies, open_studies

SMALL = 96  # pixels a side; a slice of twice as many takes three times as long to draw


def phantom_studies(studies: int, seed: int = 0, size: int = SMALL) -> Studies:
    """Phantom studies in the layout of RSNA 2024, made once and kept; `located` says that they are a phantom.

    size: pixels a side of their slices. Of one seed, a study does not change with the number of studies but for its
        grades, which are spread over all of them.
    """

    def make(part: Path) -> None:
        part.mkdir()
        make_rsna(part, studies=studies, seed=seed, size=size)

    return open_studies(
        str(cache.kept("phantoms", make, f"lumbar-{cache.key_of(make_rsna, studies, seed, size)}")), seed
    )
