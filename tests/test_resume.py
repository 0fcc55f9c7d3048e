"""A chapter that is killed goes on from what it had kept, and finds the same as one that was not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

GIVEN = {"data": "phantom", "epochs": 8, "variants": "002-baseline"}
ASKED = [word for name, value in GIVEN.items() for word in ("-p", f"{name}={value}")]
COMMAND = (sys.executable, "-c", "from medutils.cli import main; main()", "run", "pneumonia_cnn", "--profile", "smoke")
SECONDS = 1800


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_seconds(part) for name, part in value.items() if "seconds" not in name}
    return value


@pytest.mark.slow
def test_a_chapter_that_is_killed_goes_on_from_what_it_kept_with_the_same_numbers(tmp_path: Path):
    cache = tmp_path / "cache" / "medutils" / "trainings"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    killed = subprocess.Popen([*COMMAND, *ASKED, "--out", str(tmp_path / "killed")], env=environment)
    start = time.monotonic()
    while not [*cache.glob("*.checkpoint"), *cache.glob("*.pt")]:  # after an epoch, or a training
        assert killed.poll() is None and time.monotonic() - start < SECONDS
        time.sleep(0.02)
    killed.kill()
    killed.wait(60)
    assert not (tmp_path / "killed" / "results.json").exists()
    made = {path: path.stat().st_mtime_ns for path in cache.glob("*.pt")}
    again = [*COMMAND, *ASKED, "--out", str(tmp_path / "again")]
    subprocess.run(again, env=environment, check=True, capture_output=True, timeout=SECONDS)
    assert not list(cache.glob("*.checkpoint"))
    assert {path: path.stat().st_mtime_ns for path in made} == made

    fresh = {**environment, "XDG_CACHE_HOME": str(tmp_path / "fresh")}
    whole = [*COMMAND, *ASKED, "--out", str(tmp_path / "whole")]
    subprocess.run(whole, env=fresh, check=True, capture_output=True, timeout=SECONDS)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("again", "whole"))
    assert without_seconds(one) == without_seconds(two)
    assert (tmp_path / "again/predictions.csv").read_bytes() == (tmp_path / "whole/predictions.csv").read_bytes()
