"""What a sweep shows of itself."""

import io

import pytest
from rich.console import Console

from medutils.sweep import Failure, Swept
from medutils.sweep.show import Terminal, clock


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "log"])
def test_points_done_running_and_failed_the_time_and_the_dashboard_are_shown(terminal: bool):
    display, said = Terminal(), io.StringIO()
    display.console = Console(file=said, force_terminal=terminal, width=120, color_system=None)
    counts = Swept(points=10, before=2)
    with display.sweeping(counts, "http://127.0.0.1:8787/status"):
        display.update(counts, 2)
        assert (display.progress is not None) == terminal
        if display.progress:
            assert display.progress.tasks[0].description.endswith("0:00 elapsed, -:-- remaining")
        counts.done, counts.failed = 3, [Failure("level=1", "no")]
        display.started -= 40
        display.update(counts, 4)
        if display.progress:
            task = display.progress.tasks[0]
            assert task.description == "5 done, 4 running, 1 failed, 0:40 elapsed, 0:40 remaining"
            assert (task.completed, task.total) == (6, 10)
    assert "10 points, 2 of them done before; dashboard http://127.0.0.1:8787/status\n" in said.getvalue()


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_a_time_is_read_at_a_glance(seconds: float, words: str):
    assert clock(seconds) == words
