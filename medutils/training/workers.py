"""Processes that train for another one."""

import os
import threading
import time

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
