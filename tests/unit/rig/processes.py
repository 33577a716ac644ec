"""What the fake kernel gives a process: others, threads, pipes, locks, limits, time, a database."""

from __future__ import annotations

import _thread
import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
import sqlite3
import subprocess
import time
from typing import Any

from .faults import WAIT, Effect
from .scene import Scene
from .steps import Replace, Steps

_FORK, _PIPE = os.fork, os.pipe
_CDLL = ctypes.CDLL
_CONNECT = sqlite3.connect
_FLOCK = fcntl.flock
_SELECT = select.select
_SLEEP = time.sleep
_START_THREAD = _thread.start_new_thread
_PAUSE = 0.001
"""Seconds that are really waited, for other threads and processes to go on."""
_SQLITE_ERRORS = {
    Effect.DISK: sqlite3.OperationalError,
    Effect.FULL: sqlite3.OperationalError,
    Effect.LOCKED: sqlite3.OperationalError,
    Effect.DAMAGED: sqlite3.DatabaseError,
}


class Processes:
    """The real ones, with a step before each.

    Attributes:
        rounds: how often a service may wait until it is told to stop; None: for ever.
    """

    def __init__(self, scene: Scene, step: Steps, paths: dict[int, str]) -> None:
        self.rounds: int | None = None
        self._step = step
        self._paths = paths
        self._limits = {each.pid: each.fds_limit for each in scene.processes}

    def install(self, replace: Replace) -> None:
        """Put them in the place of the real ones."""
        replace(os, "fork", self._fork)
        replace(os, "pipe", self._pipe)
        replace(_thread, "start_new_thread", self._start_thread)
        replace(resource, "prlimit", self._prlimit)
        replace(fcntl, "flock", self._flock)
        replace(time, "monotonic", self._step.now)
        replace(time, "sleep", self._sleep)
        replace(select, "select", self._select)
        replace(sqlite3, "connect", self._connect)
        replace(ctypes, "CDLL", self._library)
        subprocess.Popen = _popen(self._step)  # type: ignore[misc, assignment]

    def _fork(self) -> int:
        self._step("fork")
        return _FORK()

    def _pipe(self) -> tuple[int, int]:
        self._step("pipe")
        ends = _PIPE()
        for end in ends:
            self._paths[end] = ""
        return ends

    def _start_thread(self, *arguments: Any) -> int:
        self._step("thread")
        return _START_THREAD(*arguments)

    def _prlimit(self, pid: int, _what: int, *_: object) -> tuple[int, int]:
        self._step("prlimit", f"/proc/{pid}")
        if pid not in self._limits:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return self._limits[pid], 4096

    def _flock(self, fd: Any, operation: int) -> None:
        self._step("flock", self._paths.get(fd, ""))
        _FLOCK(fd, operation)

    def _sleep(self, seconds: float) -> None:
        _SLEEP(min(seconds, _PAUSE))
        self._step.let_pass(seconds)

    def _select(self, *arguments: Any) -> Any:
        """As select(2), which lets the time go by that it would wait."""
        *descriptors, timeout = arguments
        self._step(WAIT)
        found = _SELECT(*descriptors, _PAUSE)  # type: ignore[call-arg]
        if not any(found) and timeout:
            self._step.let_pass(timeout)
            if self.rounds is not None:
                self.rounds -= 1
                if self.rounds < 0:
                    os.kill(os.getpid(), signal.SIGTERM)
        return found

    @staticmethod
    def _library(name: str | None, **options: Any) -> ctypes.CDLL:
        """Load a library; libbpf, which would get at the real kernel, is not on this host."""
        if name and name.startswith("libbpf"):
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return _CDLL(name, **options)

    def _connect(self, path: Any, **options: Any) -> Any:
        _be_statement(self._step, "connect")
        made = _CONNECT(path, factory=_Connection, **options)
        made.step = self._step
        return made


def _be_statement(step: Steps, statement: str) -> None:
    """Be a step of a database, called by the first words of a statement."""
    effect = step("sqlite", " ".join(statement.split()[:3]))
    if effect is not None and effect in _SQLITE_ERRORS:
        raise _SQLITE_ERRORS[effect](effect.value)


class _Connection(sqlite3.Connection):
    """A database whose statements are steps."""

    step: Steps

    def execute(self, statement: str, *arguments: Any) -> Any:
        _be_statement(self.step, statement)
        return super().execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> Any:
        _be_statement(self.step, statement)
        return super().executemany(statement, *arguments)

    def executescript(self, statements: str) -> Any:
        _be_statement(self.step, statements)
        return super().executescript(statements)


def _popen(step: Steps) -> type[subprocess.Popen[bytes]]:
    """Return a Popen whose start is a step."""

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, arguments: Any, **options: Any) -> None:
            step("run", os.path.basename(arguments[0]))
            super().__init__(arguments, **options)

    return Popen
