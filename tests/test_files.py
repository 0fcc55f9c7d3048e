"""A file is written whole or not at all."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from medutils.errors import InputError
from medutils.files import scratch, sha256, write_json, write_text, written_whole


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "results.json"
    write_text(path, "old")

    def full(self: Path, text: str, **_: str) -> int:
        with self.open("w") as file:
            file.write(text[:3])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="no space left on device"):
        write_text(path, "new and longer")
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("inside", ["results.json", "deep/er/results.json"])
def test_a_file_in_a_folders_place_is_a_whole_sentence(tmp_path: Path, inside: str):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        InputError, match=r"out: found a file of this name; expected a folder|not a directory; expected a folder"
    ):
        write_text(tmp_path / "out" / inside, "{}")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_folder_is_replaced_whole_and_kept_when_the_writer_fails(tmp_path: Path):
    folder = tmp_path / "made"
    for content in ("first", "second"):
        with written_whole(folder) as part:
            part.mkdir()
            (part / content).touch()
    assert [file.name for file in folder.iterdir()] == ["second"]
    with pytest.raises(RuntimeError), written_whole(folder) as part:
        part.mkdir()
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["made"]
    assert (folder / "second").is_file()


def test_a_failed_run_leaves_no_folder_that_was_not_there(tmp_path: Path):
    with pytest.raises(RuntimeError), scratch(tmp_path / "a" / "b") as part:
        (part / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next_and_what_a_live_one_uses_is_not(tmp_path: Path):
    script = "import os, medutils.files as f\nwith f.scratch(f.Path('.')) as part: os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert any(path.is_dir() for path in tmp_path.iterdir())
    not_made_here = tmp_path / ".0123abcd.part"
    not_made_here.mkdir()
    with scratch(tmp_path) as live, scratch(tmp_path) as second:
        assert {path for path in tmp_path.iterdir() if path.is_dir()} == {live, second, not_made_here}
    assert list(tmp_path.iterdir()) == [not_made_here]


def test_json_has_no_nan(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_hash_of_a_folder_changes_with_a_name_and_with_a_content(tmp_path: Path):
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, sha256(tmp_path)}) == 3
