"""Fetch: download a dataset, resumed where it broke off and its hash checked, and unpack it with care."""

import json
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from medutils.data.manifest import Archive, Manifest, holds_files
from medutils.errors import InputError
from medutils.files import cache_dir, explain, sha256, write_json, written_whole

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces of data
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    OSError,
    UnicodeError,
)
HIDDEN = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Limits:
    """The most an archive may unpack to: bytes in all, members, and bytes for each byte of the archive."""

    size: int = 60_000_000_000
    members: int = 500_000
    ratio: float = 200.0


@dataclass(frozen=True)
class Fetched:
    """Where a dataset was put, the hash found for an archive whose hash the manifest does not know, and how to use it.

    `use` is a sentence where the usual lookup does not find what was fetched.
    """

    path: Path
    unknown_sha256: str | None = None
    use: str = ""


def fetch(manifest: Manifest, target: Path | None = None) -> Fetched:
    """Download the first source that needs no account and unpack it into the cache, where `locate` looks.

    A dataset that is there already is left alone, and the archive is deleted once it is unpacked. When several
    processes ask for it at once, one fetches it and the others wait. Raises `InputError` when every source has to be
    had by hand (see `manual_steps`), the hash is not the manifest's, the network fails, the disk is full, or the
    archive is not safe to unpack.
    """
    if any(source.kind == "openml" for source in manifest.sources):
        from medutils.data.spine import fetch_vertebral

        use = "Nothing finds this six-column table by itself; use it with `medutils run spine_mlp --data openml`."
        return Fetched(fetch_vertebral(), use=use)
    archive = next((source.archive for source in manifest.sources if source.archive), None)
    if archive is None:
        raise InputError(f"dataset '{manifest.name}' cannot be fetched by a program; expected it to be had by hand")
    folder = target or cache_dir() / "datasets" / manifest.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        return Fetched(folder) if holds_files(folder) else _fetched(archive, folder)


def _fetched(archive: Archive, folder: Path) -> Fetched:
    for left_by_a_killed_fetch in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left_by_a_killed_fetch, ignore_errors=True)
    file = download(archive, cache_dir() / "downloads")
    unknown = None if archive.sha256 else sha256(file)
    try:
        unpack(file, folder, archive.root)
    except InputError:
        if unknown:  # it may be no archive at all, and must not stand in the way of a sound one
            file.unlink()
        raise
    file.unlink()
    return Fetched(folder, unknown)


def manual_steps(manifest: Manifest) -> str:
    """What a reader does by hand to get a dataset, source by source."""
    lines = []
    for source in manifest.sources:
        lines.append(f"{source.name}{' (an account is needed)' if source.account else ''}\n  {source.address}")
        lines += [f"  {number}. {step}" for number, step in enumerate(source.steps, 1)]
    return "\n".join(lines)


def download(archive: Archive, folder: Path) -> Path:
    """Download an archive into `folder` by pooch, going on where an earlier try broke off.

    The file takes its name only once its hash is the manifest's. Where the manifest knows none, the hash found is
    written to `<name>.sha256.json` beside the file. Raises `InputError` for a failed download or another hash.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    known = f"sha256:{archive.sha256}" if archive.sha256 else None
    get = ResumingDownloader(folder / f".{archive.name}.part")
    try:
        with FileLock(folder / f".{archive.name}.lock"):
            path = Path(pooch.retrieve(archive.url, known, fname=archive.name, path=folder, downloader=get))
    except requests.exceptions.RequestException as error:
        raise InputError(
            f"{archive.url}: {_network_reason(error)}; run this again to go on from what has come"
        ) from error
    except OSError as error:
        raise explain(error, folder / archive.name) from error
    except ValueError as error:
        raise InputError(
            f"{archive.name}: its SHA-256 is not the manifest's {archive.sha256}; it was deleted"
        ) from error
    if not known:
        write_json(folder / f"{archive.name}.sha256.json", {"file": archive.name, "sha256": sha256(path)})
    return path


def _network_reason(error: "requests.RequestException") -> str:
    import requests

    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    return "no connection to the server" if isinstance(error, requests.ConnectionError) else _reason(error)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class ResumingDownloader:
    """A pooch downloader that keeps what has come in `part` and asks a server that can for the rest only.

    Beside `part` lies what the server called this version of the file (ETag or Last-Modified). The rest is asked for
    on the condition that it is still that version, so two versions are never joined. A server that does not know
    ranges sends the whole file, and the download starts over.
    """

    def __init__(self, part: Path) -> None:
        self.part = part
        self.version = part.with_name(part.name + ".json")

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        """Download `url` to `output_file`; on a broken connection `requests` raises and `part` stays."""
        import requests

        self.part.parent.mkdir(parents=True, exist_ok=True)
        headers = {"Accept-Encoding": "identity", **self._rest()}
        with closing(requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)) as answer:
            if not (answer.status_code == 416 and self._is_whole(answer)):
                self._take(answer)
        shutil.move(self.part, output_file)
        self.version.unlink(missing_ok=True)

    def _take(self, answer: "requests.Response") -> None:
        """Write what the server sends, behind the part or instead of it."""
        import requests

        resumed = answer.status_code == 206 and self._starts_here(answer)
        if answer.status_code in (206, 416) and not resumed:  # with 416 the part is longer than the file
            self.part.unlink(missing_ok=True)
        answer.raise_for_status()
        if answer.status_code == 206 and not resumed:
            raise requests.exceptions.RequestException("the server sent another part than asked for")
        self._note_version(answer)
        self._write(answer, "ab" if resumed else "wb")

    def _rest(self) -> dict[str, str]:
        """Headers that ask for what is missing, where the part and its version are known."""
        if not (self.part.is_file() and self.version.is_file()):
            return {}
        try:
            version = json.loads(self.version.read_text())["version"]
        except (ValueError, KeyError, TypeError):  # written when the disk was full, or by another program
            return {}
        return {"Range": f"bytes={self.part.stat().st_size}-", "If-Range": version} if version else {}

    def _starts_here(self, answer: "requests.Response") -> bool:
        return answer.headers.get("Content-Range", "").startswith(f"bytes {self.part.stat().st_size}-")

    def _is_whole(self, answer: "requests.Response") -> bool:
        """Whether the part is as long as the file is, so that nothing is left to ask for."""
        return answer.headers.get("Content-Range", "") == f"bytes */{self.part.stat().st_size}"

    def _note_version(self, answer: "requests.Response") -> None:
        etag = answer.headers.get("ETag", "")
        strong = "" if etag.startswith("W/") else etag  # a weak tag does not promise the same bytes
        self.version.write_text(json.dumps({"version": strong or answer.headers.get("Last-Modified", "")}))

    def _write(self, answer: "requests.Response", mode: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        length = answer.headers.get("Content-Length")
        columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with self.part.open(mode) as file, Progress(*columns) as progress:
            done = file.tell()
            name = self.part.name.removeprefix(".").removesuffix(".part")
            task = progress.add_task(name, total=done + int(length) if length else None, completed=done)
            for piece in answer.iter_content(CHUNK):
                file.write(piece)
                progress.advance(task, len(piece))


@dataclass(frozen=True)
class _Member:
    """One member of an archive, zip or tar: its name, size and kind, and the archive's own object for it."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    handle: Any


def unpack(archive: Path, target: Path, root: str = "", limits: Limits | None = None) -> None:
    """Unpack the members of a zip or tar archive below its folder `root` into `target`, whole or not at all.

    Nothing is written before every member has been looked at. Raises `InputError` for a name that is absolute or leads
    out of the target, a link, a device, two members of one name, more than `limits`, or an archive that is damaged.
    """
    limits = limits or Limits()
    with _opened(archive) as (members, open_member):
        wanted = _wanted(archive, members, root, limits)
        with written_whole(target) as part:
            part.mkdir()
            for place, member in wanted.items():
                (part / place).parent.mkdir(parents=True, exist_ok=True)
                with open_member(member.handle) as source, (part / place).open("wb") as file:
                    _copy(source, file, member, archive)


def _copy(source: IO[bytes], file: IO[bytes], member: _Member, archive: Path) -> None:
    """Copy a member, and stop when it turns out longer than it said."""
    left = member.size
    while piece := source.read(min(CHUNK, left + 1)):
        left -= len(piece)
        if left < 0:
            raise InputError(f"{archive}: {member.name} is longer than the {member.size:,} bytes that it states")
        file.write(piece)


def _wanted(archive: Path, members: Iterable[_Member], root: str, limits: Limits) -> dict[str, _Member]:
    """Check all members, and return the files to unpack by their place below the target."""
    packed, total = max(archive.stat().st_size, 1), 0
    wanted: dict[str, _Member] = {}
    for number, member in enumerate(members, 1):
        total += member.size
        if number > limits.members:
            raise InputError(f"{archive}: has more than {limits.members:,} members; nothing was unpacked")
        if total > limits.size:
            raise InputError(f"{archive}: unpacks to more than {limits.size:,} bytes; nothing was unpacked")
        if total > limits.ratio * packed:
            raise InputError(f"{archive}: unpacks to more than {limits.ratio:g} times its size; nothing was unpacked")
        place = _safe_place(archive, member)
        if member.is_folder or not place.is_relative_to(root) or any(_hidden(part) for part in place.parts):
            continue
        inside = place.relative_to(root).as_posix()
        if inside in wanted:
            raise InputError(f"{archive}: holds {member.name} twice; expected each name once")
        wanted[inside] = member
    if not wanted:
        raise InputError(f"{archive}: found no file in {root or 'it'}; expected the dataset there")
    return wanted


def _hidden(part: str) -> bool:
    return part in HIDDEN or part.startswith("._")


def _safe_place(archive: Path, member: _Member) -> PurePosixPath:
    """The member's place below the archive's top; `InputError` where it would leave the target or is no plain file."""
    place = PurePosixPath(member.name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in member.name.split("/")[0] or "\0" in member.name:
        raise InputError(
            f"{archive}: holds {member.name!r}, which leads out of the target folder; nothing was unpacked"
        )
    if not (member.is_file or member.is_folder):
        raise InputError(f"{archive}: holds {member.name!r}, a link or device; expected files and folders only")
    return place


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterable[_Member], Any]]:
    """Open a zip or tar archive: its members, and the function that opens one of them."""
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                yield map(_tar_member, tar), tar.extractfile
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield map(_zip_member, packed.infolist()), packed.open
        else:
            raise InputError(f"{archive}: is neither a zip nor a tar archive")
    except DAMAGE as error:
        raise InputError(f"{archive}: is damaged or cannot be read ({_reason(error)})") from error


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return _Member(info.filename, info.file_size, info.is_dir(), not info.is_dir() and kind in (0, stat.S_IFREG), info)


def _tar_member(info: tarfile.TarInfo) -> _Member:
    return _Member(info.name, info.size, info.isdir(), info.isfile() and not info.issparse(), info)
