"""The one cache: made once, written whole, and made anew when the code it rests on has changed."""

import multiprocessing
import shutil
import time
from pathlib import Path

import pytest

from medutils import cache
from medutils.chapters import get_chapter
from medutils.data.registry import DATASETS
from medutils.errors import InputError
from medutils.files import ROOT
from medutils.run import notebook_sources
from medutils.training import trainer
from medutils.training.pretraining import phantom_weights


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that may be changed, and that keys are taken of."""
    shutil.copytree(ROOT / "medutils", tmp_path / "medutils", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    return tmp_path / "medutils"


def chapter_code(name: str) -> str:
    chapter = get_chapter(name)
    return cache.hash_of(notebook_sources(chapter.notebook, chapter.parameters.__module__))


KEYS = {
    "weights learnt on phantoms": lambda: cache.code_of(phantom_weights),
    "a training": lambda: cache.code_of(trainer.train),
    "chapter spine_mlp": lambda: chapter_code("spine_mlp"),
    "chapter pneumonia_cnn": lambda: chapter_code("pneumonia_cnn"),
}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("data/phantoms/chest_anatomy.py", {"weights learnt on phantoms", "chapter pneumonia_cnn"}),
        # Every chapter exports by one format, which knows each kind of network; a training knows its own alone.
        ("models/mlp.py", {"chapter spine_mlp", "chapter pneumonia_cnn"}),
        ("models/cnn.py", set(KEYS)),
        ("training/loop.py", set(KEYS)),
        ("chapters/spine_mlp/sentences.py", {"chapter spine_mlp"}),
        ("chapters/pneumonia_cnn/sentences.py", {"chapter pneumonia_cnn"}),
        ("chapters/pneumonia_cnn/parameters.py", {"chapter pneumonia_cnn"}),
        ("evaluation/__init__.py", {"chapter spine_mlp", "chapter pneumonia_cnn"}),
        ("cli/__init__.py", set()),
        ("data/audit.py", set()),
    ],
)
def test_a_key_changes_with_the_code_it_rests_on_and_with_no_other(package: Path, file: str, changes: set[str]):
    before = {name: key() for name, key in KEYS.items()}
    path = package / file
    path.write_text(path.read_text() + "# a comma\n")
    assert {name for name, key in KEYS.items() if key() != before[name]} == changes


def test_numbers_that_lie_beside_a_module_belong_to_it(package: Path):
    before = cache.hash_of(cache.sources_of(["medutils.data.phantoms.spine"]))
    (package / "data" / "phantoms" / "spine.json").write_text("{}")
    assert cache.hash_of(cache.sources_of(["medutils.data.phantoms.spine"])) != before


def test_imports_of_every_form_are_seen_but_those_for_type_checkers():
    code = """
import medutils.run
from medutils import plots
def f():
    from medutils.data.films import open_films
if TYPE_CHECKING:
    from medutils.data import lumbar
"""
    found = cache.imports_of(code)
    assert {"medutils.run", "medutils.plots", "medutils.data.films", "medutils.data", "medutils"} <= found
    assert "medutils.data.lumbar" not in found


def test_loaders_that_the_registry_names_belong_to_it():
    found = {path.relative_to(ROOT).as_posix() for path in cache.sources_of(["medutils.data.registry"])}
    assert {f"medutils/data/{entry.loader.partition(':')[0]}.py" for entry in DATASETS.values()} <= found


def test_keys_cost_little():
    """Of all that a chapter's notebook imports, once the files were read; a training asks for far less."""
    chapter_code("pneumonia_cnn")
    started = time.perf_counter()
    cache.code_of(trainer.train)
    assert time.perf_counter() - started < 0.05


def test_a_result_is_made_once_and_again_under_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    for key in ("a", "a", "b"):
        path = cache.kept("things", lambda part, key=key: (made.append(key), part.write_text(key)), key, ".txt")
        assert path.read_text() == key
    assert made == ["a", "b"]


def test_a_maker_that_fails_leaves_nothing_and_one_that_was_killed_is_swept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(part: Path) -> None:
        part.write_text("half")
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        cache.kept("things", fail, "a")
    folder = cache.place("things", "a").parent
    (folder / ".a.0123abcd.part").mkdir()
    cache.kept("things", lambda part: part.write_text("whole"), "a")
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") == ["a"]


def _make(folder: str) -> None:
    def make(part: Path) -> None:
        with (Path(folder) / "made").open("a") as count:
            count.write("x")
        part.write_text("done")

    cache.kept("things", make, "shared")


def test_of_several_processes_one_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    workers = [multiprocessing.get_context("fork").Process(target=_make, args=(str(tmp_path),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "made").read_text() == "x"


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="not a directory"):
        cache.kept("things", lambda part: part.write_text(""), "a")
