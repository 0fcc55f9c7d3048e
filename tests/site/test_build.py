"""Building the book: nothing is done twice."""

import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.site import build as site
from medutils.site.build import build_book


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("reading\npage.md:3: WARNING: unknown term\ndone\n", "WARNING: unknown term"),
        ("reading\nno space left on device\n\n", "1: no space left on device"),
        ("", "1: it said nothing"),
    ],
)
def test_a_renderer_that_fails_is_quoted(printed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(command: list[str], stdout, **_) -> subprocess.CompletedProcess:
        stdout.write(printed)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match=said):
        site._jupyter_book(tmp_path, tmp_path, tmp_path / "log")


@pytest.mark.slow
def test_a_second_build_does_nothing_and_a_changed_profile_is_a_change(tmp_path: Path):
    said: list[str] = []
    build_book("smoke", "phantom", tmp_path, said.append)
    assert [line.split()[-3] for line in said[:-1]] == ["executed"] * len(all_chapters()) + ["rendered"]
    chapter = tmp_path / "_build" / "chapters" / "spine_mlp"
    judged = pd.read_csv(chapter / "predictions.csv").groupby("rows")["model"].unique().map(set)
    assert judged["validation, write-up split"] == {"majority", "logistic_regression", "mlp"}
    assert "clinical use" in torch.load(chapter / "weights.pt", weights_only=True)["notice"]
    written = (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns
    said.clear()
    start = time.monotonic()
    build_book("smoke", "phantom", tmp_path, said.append)
    assert time.monotonic() - start < 20
    assert [line.split()[-3] for line in said[:-1]] == ["unchanged"] * (len(all_chapters()) + 1)
    assert (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns == written
    assert said[-1] == f"open {tmp_path / '_build' / 'html' / 'index.html'}"
