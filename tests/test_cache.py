"""The one cache: made once, written whole, and made anew when the code it rests on has changed."""

import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from medutils import cache, chapters, run
from medutils.data.manifest import Located
from medutils.data.registry import DATASETS
from medutils.errors import InputError
from medutils.evidence import claims, reference
from medutils.files import ROOT
from medutils.training import trainer
from medutils.training.pretraining import phantom_weights


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what chapters are made from that may be changed, and that keys are taken of."""
    for name in ("medutils", "book", "data_manifests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "data.csv").write_text("1\n")
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setattr(run, "MANIFESTS", tmp_path / "data_manifests")
    monkeypatch.setattr(run, "REQUIREMENTS", tmp_path / "requirements.txt")
    for module in (chapters, claims, reference, run):
        monkeypatch.setattr(module, "BOOK", tmp_path / "book")
    return tmp_path


def key_of_chapter(name: str, dataset: str) -> str:
    """The key of a chapter over the data of one small file."""
    found = Located(dataset, "phantom", cache.ROOT / "data.csv", dataset)
    return run.chapter_key(replace(chapters.get_chapter(name), find=lambda _: found), chapters.resolve(name, {}))


KEYS = {
    "weights learnt on phantoms": lambda: cache.code_of(phantom_weights),
    "a training": lambda: cache.code_of(trainer.train),
    "chapter spine_mlp": lambda: key_of_chapter("spine_mlp", "spine"),
    "chapter pneumonia_cnn": lambda: key_of_chapter("pneumonia_cnn", "kermany_chest_xray"),
}
CHAPTERS = {"chapter spine_mlp", "chapter pneumonia_cnn"}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("medutils/data/phantoms/chest_anatomy.py", {"weights learnt on phantoms", "chapter pneumonia_cnn"}),
        # Every chapter exports by one format, which knows each kind of network; a training knows its own alone.
        ("medutils/models/mlp.py", CHAPTERS),
        ("medutils/models/cnn.py", set(KEYS)),
        ("medutils/training/loop.py", set(KEYS)),
        ("medutils/chapters/spine_mlp/sentences.py", {"chapter spine_mlp"}),
        ("medutils/chapters/pneumonia_cnn/sentences.py", {"chapter pneumonia_cnn"}),
        ("medutils/chapters/pneumonia_cnn/parameters.py", {"chapter pneumonia_cnn"}),
        ("medutils/evaluation/__init__.py", CHAPTERS),
        ("medutils/data/manifest.py", CHAPTERS),
        ("medutils/data/spine.py", {"chapter spine_mlp"}),
        ("medutils/data/chest_xray.py", {"chapter pneumonia_cnn"}),
        ("medutils/data/lumbar.py", CHAPTERS),  # a model of studies is exported by that format, too
        ("medutils/data/audit.py", set()),
        ("medutils/cli/__init__.py", set()),
        ("book/spine_mlp.ipynb", {"chapter spine_mlp"}),
        ("book/reported/spine_mlp.yaml", {"chapter spine_mlp"}),
        ("book/reference/spine_mlp.json", {"chapter spine_mlp"}),
        ("book/reference/pneumonia_cnn.frozen.json", {"chapter pneumonia_cnn"}),
        ("book/glossary.md", set()),
        # A chapter opens any dataset of its kind; the films' own sources are none that it opens.
        ("data_manifests/spine.yaml", {"chapter spine_mlp"}),
        ("data_manifests/kermany_chest_xray.yaml", {"chapter pneumonia_cnn"}),
        ("data_manifests/lung_six_class.yaml", {"chapter pneumonia_cnn"}),
        ("data_manifests/shenzhen_tb.yaml", set()),
        ("data_manifests/rsna_lumbar.yaml", set()),
        ("data_manifests/weights/efficientnet_lite0.yaml", {"chapter pneumonia_cnn"}),
        ("requirements.txt", CHAPTERS),
        ("data.csv", CHAPTERS),
    ],
)
def test_a_key_changes_with_what_it_rests_on_and_with_nothing_else(copy: Path, file: str, changes: set[str]):
    before = {name: key() for name, key in KEYS.items()}
    path = copy / file
    path.write_text(f"{path.read_text()}\n")  # a blank line: what is read still fits its schema
    assert {name for name, key in KEYS.items() if key() != before[name]} == changes


def test_a_part_of_the_reference_run_that_is_new_changes_the_key(copy: Path):
    before = {name: key() for name, key in KEYS.items()}
    shutil.copy(copy / "book/reference/pneumonia_cnn.frozen.json", copy / "book/reference/spine_mlp.more.json")
    assert {name for name, key in KEYS.items() if key() != before[name]} == {"chapter spine_mlp"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("book/evidence.ipynb", True),
        ("book/reported/spine_mlp.yaml", True),
        ("medutils/chapters/spine_mlp/parameters.py", True),  # the chapter's title
        ("medutils/chapters/spine_mlp/sentences.py", False),
        ("data_manifests/spine.yaml", False),
    ],
)
def test_the_page_over_all_chapters_is_executed_again_when_their_numbers_or_titles_change(
    copy: Path, monkeypatch: pytest.MonkeyPatch, file: str, changed: bool
):
    def execute(_: Path, __: dict, folder: Path, *___: object) -> None:
        (folder / run.NOTEBOOK).write_text("{}")

    monkeypatch.setattr(run, "_papermill", execute)
    page = copy / "book" / "evidence.ipynb"
    assert [run.executed_page(page, copy / "out").run() for _ in range(2)] == [True, False]
    (copy / file).write_text((copy / file).read_text() + "\n")
    assert run.executed_page(page, copy / "out").run() is changed


def test_numbers_that_lie_beside_a_module_belong_to_it(copy: Path):
    before = cache.hash_of(cache.sources_of(["medutils.data.phantoms.spine"]))
    (copy / "medutils" / "data" / "phantoms" / "spine.json").write_text("{}")
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


def test_keys_cost_little(copy: Path):
    """Of all that a chapter's notebook imports, once the files were read; a training asks for far less."""
    KEYS["chapter pneumonia_cnn"]()
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
