"""Building the book: nothing is done twice."""

import time
from pathlib import Path

import pytest

from medutils.site import build_book


@pytest.mark.slow
def test_a_second_build_does_nothing_and_a_changed_profile_is_a_change(tmp_path: Path):
    said: list[str] = []
    build_book("smoke", "phantom", tmp_path, said.append)
    assert [line.split()[-3] for line in said[:-1]] == ["executed", "rendered"]
    written = (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns
    said.clear()
    start = time.monotonic()
    build_book("smoke", "phantom", tmp_path, said.append)
    assert time.monotonic() - start < 20
    assert [line.split()[-3] for line in said[:-1]] == ["unchanged", "unchanged"]
    assert (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns == written
    assert said[-1] == f"open {tmp_path / '_build' / 'html' / 'index.html'}"
