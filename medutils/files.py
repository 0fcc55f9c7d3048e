"""Where things lie, and how a file is written: whole or not at all."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from medutils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
MANIFESTS = ROOT / "data_manifests"


def cache_dir() -> Path:
    """The user's cache folder for downloads, phantoms and decoded images (`$XDG_CACHE_HOME/medutils` on Linux)."""
    return platformdirs.user_cache_path("medutils", appauthor=False)


def explain(error: OSError, path: Path) -> InputError:
    """One sentence for an operating system error met at `path`, or at the file the error itself names."""
    reason = (error.strerror or str(error).partition("\n")[0]).lower()
    if isinstance(error, FileExistsError):
        reason = "found a file of this name; expected a folder, or nothing"
    elif isinstance(error, NotADirectoryError):
        reason = "not a directory; expected a folder, found a file in this path"
    elif isinstance(error, IsADirectoryError):
        reason = "found a folder; expected a file"
    named = error.filename if error.filename and ".part" not in str(error.filename) else path
    return InputError(f"{named}: {reason}")


def printable(text: str) -> str:
    """Text that any terminal can show: file names may hold bytes that are no UTF-8, and codes that move the cursor."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to (a file or a folder), and rename it to `path` when the block succeeds.

    When the block fails, nothing is left behind and `path` is as it was. A full disk, a missing right or any other
    operating system error becomes an `InputError` that names the file.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if part.is_dir() and path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        with suppress(OSError):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder inside `folder` (made if need be) to work in, and remove it at the end.

    `folder` itself is removed again when it was made here and the block left nothing in it. What a killed process left
    there is removed.
    """
    made = [up for up in (folder, *folder.parents) if not up.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, ".", ".part") as part:
            yield part
    except OSError as error:
        raise explain(error, folder) from error
    finally:
        for up in made:
            if up.is_dir() and not any(up.iterdir()):
                up.rmdir()


@contextmanager
def held(folder: Path, before: str, after: str = "") -> Iterator[Path]:
    """Make a folder inside `folder` for this process and no other user, and remove it at the end.

    Its name is eight random digits between `before` and `after`. Folders of such a name whose process was killed are
    removed first: the lock beside each, which ends with its process, tells whether it is in use. One without a lock
    was not made here, and stays.
    """
    for lock in folder.glob(f"{before}{'[0-9a-f]' * 8}{after}.lock"):
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            _remove_held(lock.with_suffix(""))
    part = folder / f"{before}{uuid.uuid4().hex[:8]}{after}"
    try:
        with FileLock(_lock_of(part)):
            part.mkdir(mode=0o700)
            yield part
    finally:
        _remove_held(part)


def _lock_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.lock")


def _remove_held(part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
    with suppress(OSError):
        _lock_of(part).unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON to `path`, whole or not at all. NaN is refused: JSON has no such number."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, or of a folder's file names and contents, as 64 hex digits."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(part for part in path.rglob("*") if part.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
