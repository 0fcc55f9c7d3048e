"""Slices near a marked narrowing, in phantom studies whose places are known."""

from pathlib import Path

import numpy as np
import pytest

from medutils.data.lesions import slices_near
from medutils.data.lumbar import GRADES, SERIES, SERIES_OF_CONDITION
from medutils.data.phantom_studies import phantom_studies
from medutils.data.phantoms import lumbar


def test_slices_near_a_narrowing_lie_where_it_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    studies = phantom_studies(6, 1, 32)
    assert studies.located.kind == "phantom"
    names = list(studies.grades.index)
    near = slices_near(studies, names)
    for kind in SERIES:
        of = [name for name, shown in SERIES_OF_CONDITION.items() if shown == kind]
        columns = [column for column in studies.grades if column.startswith(tuple(of))]
        ill = studies.grades.loc[names, columns].isin(GRADES[1:]).any(axis=1).to_numpy()
        assert (np.array([places.any() for places in near[kind]]) == ill).all()
    middle = near["Sagittal T2/STIR"]
    assert all(not places[[0, -1]].any() for places in middle)  # the canal lies in the middle of the body
    sides = [places for places in near["Sagittal T1"] if places.any()]
    assert sides and all(not places[len(places) // 2] for places in sides)  # and the foramina beside it


def test_a_large_phantom_is_the_same_from_several_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, many in (("one", 99), ("several", 1)):
        monkeypatch.setattr(lumbar, "MANY", many)
        (tmp_path / name).mkdir()
        lumbar.make_rsna(tmp_path / name, studies=2, seed=5, size=32)
    one, several = (sorted((tmp_path / name).rglob("*")) for name in ("one", "several"))
    assert [a.read_bytes() for a in one if a.is_file()] == [b.read_bytes() for b in several if b.is_file()]
