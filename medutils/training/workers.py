"""Processes that train for another one."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

from joblib import Parallel, cpu_count, delayed

from medutils.training.loop import one_thread

MAX_JOBS = 8  # trainings at once: each holds a network and what it learns with in memory

WATCH = "parent"  # the thread that looks after the parent
SECONDS = 0.5


def end_with(parent: int) -> None:
    """End this process soon after its parent has ended, however that was; nothing where this is that process itself."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)  # an exception would only end this thread

    if os.getpid() != parent and not any(thread.name == WATCH for thread in threading.enumerate()):
        threading.Thread(target=watch, name=WATCH, daemon=True).start()


def each_apart(work: Sequence[Callable[[], object]], alone: bool = False) -> Iterator[None]:
    """Do each piece of work on one core, and say no more of it than that one more is done.

    As many run at once as there are cores, each in a process that ends with this one; `alone` does them one after the
    other in this one. What a piece of work finds is to be on disk.
    """
    jobs = 1 if alone else min(cpu_count(), max(len(work), 1), MAX_JOBS)
    calls = (delayed(_apart)(os.getpid(), piece) for piece in work)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # joblib starts those anew that have grown large
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)(calls)


def _apart(asker: int, work: Callable[[], object]) -> None:
    end_with(asker)
    with one_thread():
        work()
