"""Commands on a copy of the package that has the chapter `tiny`, each process marked, so that none is overlooked."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed import Client

COMMAND = (sys.executable, "-c", "from medutils.cli import main; main()")


class Machine:
    """Starts commands on the copy, marks their processes, and finds those that are left."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.place, self.temporary = folder / "place", folder / "tmp"
        self.temporary.mkdir()
        self.mark = str(folder)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "TMPDIR": str(self.temporary),
            "MEDUTILS_TEST": self.mark,
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # the copy is compiled once, and not by every process
        }

    def start(self, *command: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=cwd or self.folder,
            env={**self.environment(), **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sweep(self, *given: str, **more: str) -> subprocess.Popen[str]:
        fixed = ("sweep", "tiny", "--data", "phantom", "--out", str(self.place))
        return self.start(*COMMAND, *fixed, *given, **more)

    def done(self) -> list[str]:
        """The runs that count, by key."""
        runs = self.place / "runs"
        return sorted(path.name for path in runs.iterdir() if path.name[0] != ".") if runs.is_dir() else []

    def processes(self) -> list[psutil.Process]:
        """Those that still run with this machine's mark in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MEDUTILS_TEST") == self.mark and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found


@contextmanager
def cluster(machine: Machine) -> Iterator[str]:
    """The address of a scheduler that two workers have joined: each a process with a folder and a cache of its own."""
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = str(Path(sys.executable).with_name("dask"))
    started = [machine.start(dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    for number in range(2):
        folder = machine.folder / f"worker{number}"
        folder.mkdir()
        command = (dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        started.append(machine.start(*command, cwd=folder, XDG_CACHE_HOME=str(folder / "cache")))
    try:
        while subprocess.run(["bash", "-c", f"echo >/dev/tcp/127.0.0.1/{port}"], capture_output=True).returncode:
            time.sleep(0.2)
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.communicate(timeout=60)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
