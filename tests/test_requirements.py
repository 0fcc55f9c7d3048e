"""What requirements.txt pins is used: imported or named by what is ours, or needed by what is."""

import ast
import json
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from medutils.files import ROOT

FOLDERS = ("medutils", "book", "tests", "bench", "data_manifests")
FILES = ("Makefile", ".pre-commit-config.yaml", "_config.yml")
NAMED, _, NEEDED = (ROOT / "requirements.txt").read_text().partition("# What those need")
# What is used without its name: by its command, by another package that we call, or by a chapter that is to come.
UNNAMED = {
    "nbclient": "papermill runs notebooks with it",
    "ipykernel": "the kernel `python3`",
    "types-pyyaml": "mypy reads it",
    "jupytext": "a template of a chapter",
    "bokeh": "Dask's dashboard",
    "pytest-xdist": "`make test` runs tests side by side with it",
}


def pins(text: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.M)}


def files() -> list[Path]:
    """What of ours names packages; without this file, which names them all."""
    inside = [path for name in FOLDERS for kind in ("py", "ipynb", "yaml") for path in (ROOT / name).rglob(f"*.{kind}")]
    return [path for path in (*inside, *(ROOT / name for name in FILES)) if path != Path(__file__)]


def code() -> Iterator[str]:
    """Python code of ours: of modules, and of the cells of notebooks."""
    for path in files():
        if path.suffix == ".py":
            yield path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            yield from ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The packages that our code imports, by the names they are installed by."""
    modules = set()
    for node in (node for source in code() for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
    packages = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in packages.get(module, [])} - {"medutils"}


def test_every_package_that_is_pinned_by_name_is_used(imported: set[str]):
    texts = [path.read_text(encoding="utf-8") for path in files()]
    unused = [
        name
        for name in pins(NAMED) - imported - set(UNNAMED)
        if not any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for text in texts)
    ]
    assert not unused


def test_every_other_pin_is_needed_by_one_of_those():
    every, needed, ahead = pins(NAMED + NEEDED), set(), [(name, "") for name in pins(NAMED)]
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) not in needed:
            needed.add((name, extra))
            of_package = map(Requirement, (requires(name) or []) if name in every else [])
            asked = [
                one for one in of_package if "extra" not in str(one.marker) or one.marker.evaluate({"extra": extra})
            ]
            ahead += [(canonicalize_name(one.name), wanted) for one in asked for wanted in ("", *one.extras)]
    assert not pins(NEEDED) - {name for name, _ in needed}


def test_every_package_that_is_imported_is_pinned(imported: set[str]):
    assert not imported - pins(NAMED + NEEDED)
