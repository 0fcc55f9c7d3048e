"""The one place that keeps what was computed: under a key of all that it depends on, made once, written whole.

The key holds what a result was computed from and the code that computed it: the module of the function that makes it,
and every module of this package that it imports, and that those import.
"""

import ast
import hashlib
import inspect
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from medutils.errors import InputError
from medutils.files import ROOT, cache_dir, explain, sha256, write_text, written_whole

PACKAGE = "medutils"
ENTRY_POINT = re.compile(r"([a-z_][\w.]*):[a-z_]\w*")


def kept(kind: str, make: Callable[[Path], object], key: str, suffix: str = "") -> Path:
    """The path of a result, a file or a folder: found when it is kept under `key`, else written by `make` and kept.

    Parameters
    ----------
    kind: what it is; a folder of that name in the package's cache holds all of its kind
    make: writes the result to the path it is given, where nothing is yet
    key: of all that the result depends on; see `key_of`
    suffix: of the file's name

    Of several processes that ask at once, one makes it and the others wait. What a killed process left is removed.
    Raises `InputError` when the cache cannot be written.
    """
    path = place(kind, key, suffix)
    if not path.exists():
        with locked(path):
            if not path.exists():
                with written_whole(path) as part:
                    make(part)
    return path


def unless_made(stamp: Path, key: str, outputs: Iterable[Path], make: Callable[[], object]) -> bool:
    """Make `outputs` where the user wants them, unless the file `stamp` says that they are of this key; True when made.

    For what is not kept in the cache: a chapter's run, the rendered site. A `make` that fails leaves no stamp.
    """
    if stamp.is_file() and stamp.read_text() == key and all(output.is_file() for output in outputs):
        return False
    stamp.unlink(missing_ok=True)
    make()
    write_text(stamp, key)
    return True


def place(kind: str, key: str, suffix: str = "") -> Path:
    """Where a result of a key lies when it is kept."""
    return cache_dir() / kind / f"{key}{suffix}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a kept result while it is made, and sweep first what a killed maker left of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            for left in path.parent.glob(f".{path.name}.*.part"):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
            yield
    except OSError as error:
        raise InputError(f"{explain(error, path)} (the cache; XDG_CACHE_HOME names another folder for it)") from error


def key_of(make: Callable[..., object], *depends: Any) -> str:
    """32 hex digits for what `make` computes from `depends`, whatever JSON can show, and from its code."""
    return digest([code_of(make), *depends])


def digest(parts: list[Any]) -> str:
    """32 hex digits of anything that JSON can show; what it cannot is taken by its text."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def array_hash(values: NDArray[Any]) -> str:
    """SHA-256 of an array's numbers, as 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def code_of(function: Callable[..., object]) -> str:
    """Hash of the code that a function rests on; see `sources_of`."""
    return hash_of(sources_of([inspect.getmodule(inspect.unwrap(function)).__name__]))  # type: ignore[union-attr]


def hash_of(files: Iterable[Path]) -> str:
    """Hash of files' names and contents."""
    names = {file: file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name for file in files}
    content = "\n".join(f"{name} {sha256(file)}" for file, name in sorted(names.items()))
    return hashlib.sha256(content.encode()).hexdigest()


def sources_of(modules: Iterable[str], left_out: Collection[str] = ()) -> frozenset[Path]:
    """The files of modules of this package and of all they import, directly or not.

    Imports inside functions count, and so do modules named as entry points are (`"spine:load_spine"`, a module beside
    the one that says so). Imports for type checkers alone do not. A JSON file of a module's name beside it, which holds
    its numbers, belongs to it. What is imported by a name put together at run time is not seen. A module of `left_out`
    counts where it is imported, and not where it is only named as an entry point.
    """
    found: dict[str, Path] = {}
    ahead = list(modules)
    while ahead:
        module = ahead.pop()
        if module not in found and (file := file_of(module)) is not None:
            found[module] = file
            imported, named = _imported(file, module)
            ahead += imported | named - set(left_out)
    numbers = {file.with_suffix(".json") for file in found.values()}
    return frozenset(found.values()) | {file for file in numbers if file.is_file()}


def imports_of(source: str) -> set[str]:
    """The modules of this package that Python code imports, and the packages they lie in."""
    return {part for name in _names(ast.parse(source), "") for part in _with_packages(name)}


@cache
def _imported(file: Path, module: str) -> tuple[frozenset[str], frozenset[str]]:
    """The same for a file of the package, read once in a process, and the modules it names as entry points are."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    named = (f"{package}.{found[1]}" for text in texts if (found := ENTRY_POINT.fullmatch(text)))
    return frozenset(part for name in _names(tree, package) for part in _with_packages(name)), frozenset(named)


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    """Every name that may be a module: of `from a import b` both `a` and `a.b`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
        else:
            yield from _names(node, package)


def _with_packages(name: str) -> Iterator[str]:
    """A module and the packages it lies in, as far as they are of this package."""
    parts = name.split(".")
    if parts[0] == PACKAGE:
        yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def file_of(module: str) -> Path | None:
    """The file of a module of this package; None where the name is none of a module."""
    path = ROOT.joinpath(*module.split("."))
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)
