"""A copy of the package with a small chapter, and commands on it that leave nothing."""

import signal
from collections.abc import Iterator
from pathlib import Path

import machine as machines
import psutil
import pytest

from bench import tiny


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.copied(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Iterator[machines.Machine]:
    """At the end its own processes are ended, whatever a test left."""
    machine = machines.Machine(root, tmp_path)
    yield machine
    for process in machine.processes():
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
