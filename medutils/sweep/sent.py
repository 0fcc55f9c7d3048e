"""Files and folders of the user's own that a worker needs, and may not share a disk for: they travel."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medutils import cache
from medutils.errors import InputError
from medutils.files import explain, sha256

LIMIT = 256 * 2**20  # bytes that travel: each worker holds them in memory while it has points to run
NAMING = ("data", "split")  # the parameters that may name a file


@dataclass(frozen=True)
class Sent:
    """A file or a folder as bytes, or the address that a worker fetches it from.

    name: of the file or folder; it is kept, because results bear it
    sha256: of its content, as `files.sha256` takes it
    files: content by path below the folder; of a file, by its own name
    address: one that fsspec opens, in place of `files`
    """

    name: str
    sha256: str
    folder: bool
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    address: str = ""

    def laid_out(self) -> Path:
        """Where the content lies on this machine: written once. `InputError` when it is another one."""

        def make(part: Path) -> None:
            part.mkdir()
            _fetch(self.address, part / self.name) if self.address else self._write(part)
            if (found := sha256(part / self.name)) != self.sha256:
                what = self.address or self.name
                raise InputError(f"{what}: found the content {found[:12]}; expected {self.sha256[:12]}")

        return cache.kept("sent", make, self.sha256[:32]) / self.name

    def _write(self, part: Path) -> None:
        for name, content in self.files.items():
            path = part / self.name / name if self.folder else part / self.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def is_address(text: str) -> bool:
    """Whether a value names something by an address, such as `s3://bucket/films`."""
    return "://" in text


def at_hand(address: str) -> tuple[Path, Sent]:
    """What an address names: fetched, so that it can be checked here, and as each worker is to fetch it."""
    name = address.rstrip("/").rpartition("/")[2] or "data"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _fetch(address, path)
        sent = Sent(name, sha256(path), path.is_dir(), address=address)

        def make(part: Path) -> None:
            part.mkdir()
            shutil.move(path, part / name)

        return cache.kept("sent", make, sent.sha256[:32]) / name, sent


def packed(path: Path) -> Sent:
    """A file or folder of this machine as bytes; `InputError` where it is larger than `LIMIT`."""
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    try:
        if (size := sum(file.stat().st_size for file in files)) > LIMIT:
            raise InputError(
                f"{path}: found {size:,} bytes; expected at most {LIMIT:,} to send to workers, or an address that each "
                "of them reaches (file:///..., s3://...)"
            )
        content = {
            file.relative_to(path).as_posix() if path.is_dir() else file.name: file.read_bytes() for file in files
        }
    except OSError as error:
        raise explain(error, path) from error
    return Sent(path.resolve().name, sha256(path), path.is_dir(), content)


def _fetch(address: str, to: Path) -> None:
    """Fetch a file or a folder. `InputError` for an address that does not answer or that fsspec does not know."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
        if system.isdir(path):
            system.get(path.rstrip("/"), str(to), recursive=True)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(path, str(to))
        if not to.exists():
            raise FileNotFoundError("nothing was found there")
    except (OSError, ValueError, ImportError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{address}: it could not be fetched ({said}); expected an address that fsspec opens"
        ) from error
