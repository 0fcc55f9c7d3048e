"""Running a chapter: what fails is named by where the user asked for it."""

from pathlib import Path

import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from medutils.errors import InputError
from medutils.run import run_chapter


def test_a_table_is_checked_before_the_notebook_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("the notebook was started"))
    with pytest.raises(InputError, match="found no column 'diagnosis'"):
        run_chapter("spine_mlp", {"data": "phantom", "class_column": "diagnosis"}, tmp_path / "asked", "smoke")
    assert list(tmp_path.iterdir()) == []


def test_what_a_chapter_cannot_write_is_named_by_the_folder_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def execute(_, notebook: Path, **__) -> None:
        said = f"{notebook.parent / 'results.json'}: no space left on device"
        raise PapermillExecutionError(0, 1, "", "InputError", said, "")

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    with pytest.raises(InputError) as caught:
        run_chapter("spine_mlp", {"data": "phantom"}, tmp_path / "asked", "smoke")
    assert str(caught.value) == f"{tmp_path / 'asked' / 'results.json'}: no space left on device"
    assert list(tmp_path.iterdir()) == []
