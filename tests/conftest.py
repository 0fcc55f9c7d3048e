"""Every test has a cache of its own and sees real data only when it asks for them."""

import os
from pathlib import Path

import pytest

# Processes that run tests side by side are started when this one has read the variable, so it goes on by another name.
REAL_DATA = os.environ.pop("MEDUTILS_DATA", "") or os.environ.get("MEDUTILS_TESTED_DATA", "")
os.environ["MEDUTILS_TESTED_DATA"] = REAL_DATA


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Downloads, phantoms and decoded images go to a folder that ends with the session."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def real_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path | None:
    """The folder of the real data for tests marked `real`, which are skipped where there is none."""
    if request.node.get_closest_marker("real") is None:
        return None
    if not REAL_DATA:
        pytest.skip("needs real data: set MEDUTILS_DATA to their folder")
    monkeypatch.setenv("MEDUTILS_DATA", REAL_DATA)
    return Path(REAL_DATA)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: those that run a chapter or build the site come last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
