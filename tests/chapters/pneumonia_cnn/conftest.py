"""Phantom films that several files of tests look at."""

import pytest

from medutils.data.films import Films, open_films
from medutils.data.phantoms.chest import make_kermany


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    folder = tmp_path_factory.mktemp("films") / "chest_xray_pneumonia"
    folder.mkdir()
    make_kermany(folder, films=(120, 60), size=48)
    return open_films(str(folder))
