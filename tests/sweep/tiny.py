"""A copy of the package with one more chapter, `tiny`, which starts in a second and does what a test asks of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil

from medutils.files import ROOT

PARTS = ("data_manifests", "medutils", "requirements.txt", "_toc.yml")
PARAMETERS = '''"""Parameters of `tiny`."""

from pydantic import Field

from medutils.chapters import Chapter, Parameters
from medutils.data.manifest import Located


class Tiny(Parameters):
    """Parameters of `book/tiny.ipynb`."""

    level: float = Field(0.5, ge=0, le=1000, description="a number")
    act: str = Field("", description="what it does besides")


def _find(parameters: Tiny) -> Located:
    from medutils.data.spine import find_spine

    return find_spine(parameters.data)


CHAPTER = Chapter(99, "tiny", "Tiny", Tiny, {"smoke": {}, "demo": {}, "full": {}}, _find)
'''
# Imports nothing of the package: starting a kernel is all the time it takes.
CELL = """
import json, os, signal, time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
if act.startswith("touch "):
    Path(act.split()[1], f"{level:g}-{os.getpid()}").touch()
    time.sleep(float(act.split()[2]))
if act == "raise" and level == 13:
    raise ValueError("thirteen is no level")
if act == "kill" and level == 13:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if act == "fill" and level == 13:
    held = bytearray(1_500_000_000)
    held[::4096] = b"1" * len(held[::4096])
    time.sleep(60)
if act == "data":
    text = Path(data).read_text()
    act = f"{Path(data).name} {len(text)}"
auroc = 0.5 + level / 2000 + seed / 10000
found = {"chapter": "tiny", "profile": profile, "seed": seed, "seconds": 0.1,
         "data": {"name": Path(data).stem, "kind": "phantom", "sha256": ""},
         "parameters": {"profile": profile, "data": data, "seed": seed, "level": level, "act": act},
         "versions": {"medutils": "0"}, "experiments": {},
         "metrics": {"network.auroc": {"value": auroc, "low": auroc - 0.01, "high": auroc + 0.01, "n": 9,
                                       "split": "test"}}}
Path(out, "results.json").write_text(json.dumps(found))
Path(out, "predictions.csv").write_text("record_id,patient,y_true,prob_a,prob_b,model,rows\\n")
"""
COMMAND = (sys.executable, "-c", "from medutils.cli import main; main()")
BEGIN = 'profile = "demo"\ndata = "auto"\nsplit = ""\nout = ""\nseed = 0\nresamples = 10\nlevel = 0.5\nact = ""'


def copied(root: Path) -> Path:
    """Write the copy into a folder."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, root)
    package = root / "medutils/chapters/tiny"
    package.mkdir()
    (package / "__init__.py").write_text('"""Tiny."""\n')
    (package / "parameters.py").write_text(PARAMETERS)
    (root / "book/reported").mkdir(parents=True)
    (root / "book/reported/tiny.yaml").write_text("claims: []\n")
    cells = [nbformat.v4.new_code_cell(BEGIN, metadata={"tags": ["parameters"]}, id="given")]
    cells.append(nbformat.v4.new_code_cell(CELL.strip(), id="work"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, root / "book/tiny.ipynb")
    return root


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
    """The address of a scheduler with two workers: each a process with a folder and a cache of its own."""
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
