"""Workers end soon after the process that asked them, however it ended."""

import subprocess
import sys
import time
from pathlib import Path

WORKER = (
    "import os, sys, time; from medutils.training.workers import end_with; end_with(int(sys.argv[1])); time.sleep(60)"
)


def test_a_worker_ends_with_its_parent():
    parent = (
        "import os, subprocess, sys\n"
        f"print(subprocess.Popen([sys.executable, '-c', {WORKER!r}, str(os.getpid())], stdout=subprocess.DEVNULL).pid)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True, timeout=30)
    worker = Path("/proc", done.stdout.strip())
    start = time.monotonic()
    while worker.exists() and "Z" not in (worker / "stat").read_text().split()[2]:
        assert time.monotonic() - start < 10
        time.sleep(0.1)


def test_a_process_that_works_for_itself_goes_on():
    code = "import os, threading; from medutils.training.workers import end_with; end_with(os.getpid()); "
    code += "print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "1\n"
