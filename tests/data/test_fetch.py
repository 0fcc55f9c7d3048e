"""Fetch: downloads that break off, wrong hashes, servers without ranges, and archives that must not be trusted."""

import errno
import hashlib
import io
import json
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medutils.data.fetch import Limits, ResumingDownloader, download, fetch, manual_steps, unpack
from medutils.data.manifest import Archive, Manifest, load_manifest
from medutils.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)


@dataclass
class Shelf:
    """What the test server gives, how it behaves, and what it was asked for."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    break_after: int | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """One file over HTTP, with ranges and a connection that breaks off when the shelf says so."""

    shelf: Shelf

    def do_GET(self) -> None:
        shelf, asked = self.shelf, self.headers.get("Range", "")
        shelf.asked.append(asked)
        same = self.headers.get("If-Range", shelf.etag) == shelf.etag
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and shelf.ranges and same else 0
        if start >= len(shelf.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(shelf.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = shelf.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(shelf.content) - 1}/{len(shelf.content)}")
        self.send_header("Content-Length", str(len(body)))
        if shelf.etag:
            self.send_header("ETag", shelf.etag)
        self.end_headers()
        self.wfile.write(body[: shelf.break_after])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"shelf": shelf}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    shelf.url = f"http://127.0.0.1:{server.server_port}/set.zip"
    yield shelf
    server.shutdown()
    server.server_close()


def archive_at(shelf: Shelf, sha256: str | None = None, root: str = "") -> Archive:
    """An archive on the test server; the schema itself would refuse an address without https."""
    return Archive.model_construct(name="set.zip", url=shelf.url, sha256=sha256, root=root)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".set.zip.lock"}


def break_off(shelf: Shelf, folder: Path) -> None:
    """Download until the connection breaks, at a third of the file."""
    shelf.break_after = 100_000
    with pytest.raises(InputError, match="run this again"):
        download(archive_at(shelf, sha(CONTENT)), folder)
    assert "set.zip" not in left_in(folder)
    shelf.break_after = None


def test_a_broken_download_goes_on_where_it_stopped(shelf: Shelf, tmp_path: Path) -> None:
    break_off(shelf, tmp_path)
    part = (tmp_path / ".set.zip.part").stat().st_size
    assert 0 < part <= 100_000
    assert download(archive_at(shelf, sha(CONTENT)), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == ["", f"bytes={part}-"]
    assert left_in(tmp_path) == {"set.zip"}


def test_a_server_without_ranges_starts_over(shelf: Shelf, tmp_path: Path) -> None:
    break_off(shelf, tmp_path)
    shelf.ranges = False
    assert download(archive_at(shelf, sha(CONTENT)), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ['"two"', 'W/"one"', ""])
def test_a_file_that_changed_or_bears_no_version_starts_over(shelf: Shelf, tmp_path: Path, etag: str) -> None:
    shelf.etag = etag if etag != '"two"' else '"one"'
    break_off(shelf, tmp_path)
    shelf.etag, shelf.content = etag, CONTENT[::-1]
    assert download(archive_at(shelf, sha(CONTENT[::-1])), tmp_path).read_bytes() == CONTENT[::-1]


def leave_part(shelf: Shelf, folder: Path, content: bytes) -> None:
    (folder / ".set.zip.part").write_bytes(content)
    (folder / ".set.zip.part.json").write_text(json.dumps({"version": shelf.etag}))


def test_a_part_that_is_whole_is_not_downloaded_again(shelf: Shelf, tmp_path: Path) -> None:
    leave_part(shelf, tmp_path, CONTENT)
    assert download(archive_at(shelf, sha(CONTENT)), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == [f"bytes={len(CONTENT)}-"]
    assert left_in(tmp_path) == {"set.zip"}


def test_a_part_that_is_whole_and_wrong_is_deleted(shelf: Shelf, tmp_path: Path) -> None:
    leave_part(shelf, tmp_path, CONTENT[::-1])
    with pytest.raises(InputError, match="SHA-256 is not the manifest's"):
        download(archive_at(shelf, sha(CONTENT)), tmp_path)
    assert left_in(tmp_path) == set()


def test_a_part_longer_than_the_file_is_dropped(shelf: Shelf, tmp_path: Path) -> None:
    leave_part(shelf, tmp_path, b"x" * 400_000)
    with pytest.raises(InputError, match="416"):
        download(archive_at(shelf, sha(CONTENT)), tmp_path)
    assert download(archive_at(shelf, sha(CONTENT)), tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_no_file(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SHA-256 is not the manifest's"):
        download(archive_at(shelf, sha(b"other")), tmp_path)
    assert left_in(tmp_path) == set()


def test_without_a_known_hash_the_one_found_is_written_down(shelf: Shelf, tmp_path: Path) -> None:
    download(archive_at(shelf), tmp_path)
    assert json.loads((tmp_path / "set.zip.sha256.json").read_text())["sha256"] == sha(CONTENT)


def test_a_file_that_is_there_is_not_downloaded_again(shelf: Shelf, tmp_path: Path) -> None:
    for _ in range(2):
        download(archive_at(shelf, sha(CONTENT)), tmp_path)
    assert len(shelf.asked) == 1


def test_no_server_is_one_sentence(shelf: Shelf, tmp_path: Path) -> None:
    archive = Archive.model_construct(name="set.zip", url="http://127.0.0.1:9/set.zip", sha256=None, root="")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        download(archive, tmp_path)


def test_fetch_puts_the_archives_folder_where_chapters_look(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shelf.content = zipped({"wide/a/x.png": b"x", "wide/b/y.png": b"y", "other.txt": b"-", "wide/a/._x.png": b"-"})
    (tmp_path / "medutils" / "datasets" / "chest_xray_pneumonia").mkdir(parents=True)  # empty: nothing was fetched yet
    found = fetch(kermany_at(shelf, root="wide"))
    files = {path.relative_to(found.path).as_posix() for path in found.path.rglob("*") if path.is_file()}
    assert files == {"a/x.png", "b/y.png"}
    assert found.path == tmp_path / "medutils" / "datasets" / "chest_xray_pneumonia"
    assert found.unknown_sha256 == sha(shelf.content)
    assert not (tmp_path / "medutils" / "downloads" / "set.zip").exists()


def kermany_at(shelf: Shelf, sha256: str | None = None, root: str = "") -> Manifest:
    """Kermany's manifest, its archive on the test server."""
    manifest = load_manifest("kermany_chest_xray")
    source = manifest.sources[0].model_copy(update={"archive": archive_at(shelf, sha256, root)})
    return manifest.model_copy(update={"sources": [source]})


def test_two_that_fetch_at_once_download_once(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shelf.content = zipped({f"{number}.png": CONTENT[number:] for number in range(5)})
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(fetch, [kermany_at(shelf)] * 2)
    assert first.path == second.path and len(list(first.path.iterdir())) == 5
    assert shelf.asked == [""]


def test_what_a_killed_fetch_left_is_removed(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shelf.content = zipped({"x.png": b"x"})
    left = tmp_path / "medutils/datasets/.chest_xray_pneumonia.0.part"
    left.mkdir(parents=True)
    fetch(kermany_at(shelf))
    assert not left.exists()


@pytest.mark.parametrize("known", [True, False])
def test_an_archive_that_cannot_be_unpacked_is_kept_only_if_it_is_known_to_be_sound(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shelf.content = zipped({"x.png": b"x"})
    with pytest.raises(InputError, match="found no file in elsewhere"):
        fetch(kermany_at(shelf, sha(shelf.content) if known else None, root="elsewhere"))
    assert (tmp_path / "medutils/downloads/set.zip").is_file() is known


def test_a_full_disk_is_one_sentence_that_names_the_file(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ResumingDownloader, "_write", full)
    with pytest.raises(InputError, match=r"set\.zip: no space left on device"):
        download(archive_at(shelf), tmp_path)


def test_a_dataset_behind_an_account_is_refused_and_its_steps_are_numbered(tmp_path: Path) -> None:
    manifest = load_manifest("rsna_lumbar")
    with pytest.raises(InputError, match="by hand"):
        fetch(manifest, tmp_path / "never")
    steps = manual_steps(manifest)
    assert "1. Sign in to Kaggle" in steps and "an account is needed" in steps


def zipped(members: dict[str, bytes], unix_mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A zip archive in memory."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = unix_mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return memory.getvalue()


def tarred(members: dict[str, bytes], **header: Any) -> bytes:
    """A gzipped tar archive in memory; `header` sets the fields of each member."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in header.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return memory.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_unpacked_as_it_is(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "set").write_bytes(pack({"a/b.txt": b"one", "c.txt": b"two"}))
    unpack(tmp_path / "set", tmp_path / "out")
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"one"
    assert (tmp_path / "out/c.txt").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped({"ok.txt": b"1", "../evil.txt": b"2"}), "leads out"),
        (zipped({"ok.txt": b"1", "a/../../evil.txt": b"2"}), "leads out"),
        (zipped({"/etc/evil.txt": b"2"}), "leads out"),
        (zipped({"C:/evil.txt": b"2"}), "leads out"),
        (zipped({"a\\..\\..\\evil.txt": b"2"}), "leads out"),
        (tarred({"../evil.txt": b"2"}), "leads out"),
        (tarred({"/evil.txt": b"2"}), "leads out"),
        (zipped({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777), "link or device"),
        (tarred({"link": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link or device"),
        (tarred({"link": b""}, type=tarfile.LNKTYPE, linkname="ok.txt"), "link or device"),
        (tarred({"pipe": b""}, type=tarfile.FIFOTYPE), "link or device"),
        (tarred({"disk": b""}, type=tarfile.BLKTYPE), "link or device"),
        (zipped({"zeros": bytes(10_000_000)}), "times its size"),
        (tarred({"zeros": bytes(10_000_000)}), "times its size"),
        (zipped({f"{number}": CONTENT[number : number + 40] for number in range(60)}), "more than 50 members"),
        (zipped({"big": CONTENT, "bigger": CONTENT[::-1]}), "more than 500,000 bytes"),
        (zipped({"a/./b.txt": b"1", "a/b.txt": b"2"}), "twice"),
        (zipped({}), "found no file"),
        (b"no archive at all", "neither a zip nor a tar"),
        (zipped({"a.txt": CONTENT})[:-400], "neither|damaged"),
        (zipped({"a.txt": CONTENT}).replace(CONTENT[1000:1010], b"0123456789"), "damaged"),
        (tarred({"a.txt": CONTENT})[:1000], "damaged|neither"),
    ],
)
def test_an_unsafe_or_damaged_archive_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes, words: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "set").write_bytes(content)
    with pytest.raises(InputError, match=words):
        unpack(
            inner / "set", inner / "out", limits=Limits(size=500_000_000 if "times" in words else 500_000, members=50)
        )
    assert [path.name for path in inner.iterdir()] == ["set"]
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


def test_a_member_longer_than_it_states_is_stopped(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.txt": b"x" * 5000}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(InputError):
        unpack(tmp_path / "set.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
