"""Threads for blocking functions that keep nobody: a process ends without waiting for what they do.

The standard pool's threads are joined when the interpreter ends, however long they take. It knows functions, not
steps.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

P = ParamSpec("P")
R = TypeVar("R")


class DaemonThreads(ThreadPoolExecutor):
    """An executor of daemon threads; an event loop takes it for its default one too.

    Args:
        count_max: Threads at most; a thread is made when none is idle.
        name: What their names begin with.
    """

    def __init__(self, count_max: int, name: str) -> None:
        super().__init__(count_max, thread_name_prefix=name)
        self._name = name
        self._count_max = count_max
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._count = 0
        self._idle_count = 0
        self._ended = False

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        work: Future[R] = Future()
        with self._changed:
            self._jobs.append((work, functools.partial(fn, *args, **kwargs)))
            if self._idle_count >= len(self._jobs) or self._count == self._count_max:
                self._changed.notify()
                return work
            self._count += 1
            name = f"{self._name}_{self._count}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        return work

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle_count += 1
            while not self._jobs and not self._ended:
                self._changed.wait()
            self._idle_count -= 1
            return self._jobs.popleft() if self._jobs else None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            _do(*job)

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nobody: threads that are idle end now, others with what they do, or with the process."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _do(work: Future[Any], job: Callable[[], Any]) -> None:
    if not work.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who waits
        work.set_exception(error)
    else:
        work.set_result(result)
