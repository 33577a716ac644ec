"""Runs the whole command against the fake kernel, as an agent or a person would start it."""

from __future__ import annotations

import faulthandler
import fcntl
import importlib
import io
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import zabbix_sockets
from zabbix_sockets.command import cli

from .faults import WAIT, Step, Trial
from .kernel import Kernel

for _module in pkgutil.walk_packages(zabbix_sockets.__path__, "zabbix_sockets."):
    if not {"provision", "service_map", "__main__"} & {*_module.name.split(".")}:
        importlib.import_module(_module.name)  # so that no call needs to: see test_imports
TIMEOUT, LITTLE, GRACE = 20.0, 0.5, 0.2
"""Seconds: what calls are given, those of which one hangs, and what these may take beyond."""
SLACK = 10.0
"""Seconds that a busy machine may add."""
_CALL = "RIG_CALL"
"""The variable that tells the programs a call starts of its pid: they have their own sessions."""
_REAL_FLOCK, _REAL_LISTDIR = fcntl.flock, os.listdir


class Outcome(NamedTuple):
    """What a call of the command did; *left* are processes that outlived it."""

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    left: int
    steps: list[Step]
    fired: bool


class Running:
    """A call under way, in a process of its own.

    Args:
        kernel: what it runs against; its files are there.
        arguments: the command's.
        trial: what goes wrong.
        limits: resource limits, by the constants of `resource`.
        setup: called in the process before the command is.
    """

    def __init__(
        self,
        kernel: Kernel,
        arguments: Sequence[str],
        trial: Trial | None = None,
        limits: Mapping[int, int] | None = None,
        setup: Callable[[], None] = lambda: None,
    ) -> None:
        self._trial = trial
        self._out, self._err, self._told = (os.memfd_create(name) for name in ("1", "2", "steps"))
        fcntl.fcntl(self._told, fcntl.F_SETFL, os.O_APPEND)  # for several processes and threads
        self._alive, living = os.pipe()  # at its end when the last process of the call is
        self._started = time.perf_counter()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.setsid()
                os.environ[_CALL] = str(os.getpid())
                self._run(kernel, arguments, trial, limits or {}, setup)
            finally:
                os._exit(99)  # main() never comes back
        os.close(living)

    def _run(
        self,
        kernel: Kernel,
        arguments: Sequence[str],
        trial: Trial | None,
        limits: Mapping[int, int],
        setup: Callable[[], None],
    ) -> None:
        faulthandler.disable()
        os.dup2(self._out, 1)
        os.dup2(self._err, 2)
        kernel.step.on_step = self._note
        kernel.begin(trial)
        setup()
        kernel.install()
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(
                io.BufferedWriter(kernel.files.stream(fd, readable=False, closes=False))
            )
            for fd in (1, 2)
        )
        for what, most in limits.items():
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
        cli.main(arguments)

    def _note(self, step: Step, fired: bool) -> None:
        """Tell the rig of a step, whichever process comes to it; in a trial of few."""
        if not self._trial or fired or step.function == WAIT:
            os.pwrite(self._told, (json.dumps([step, fired]) + "\n").encode(), 0)

    def outcome(self, limit: float, *, programs: bool = False) -> Outcome:
        """Wait for its end, and kill it after *limit* seconds.

        *programs*: it may have started some, which are looked for, too.
        """
        status = _wait(self.pid, self._started + limit)
        seconds = time.perf_counter() - self._started
        left = 0 if self._have_all_ended() and not programs else kill_rest(self.pid)
        out, err, told = (_content(fd) for fd in (self._out, self._err, self._told))
        notes = [json.loads(line) for line in told.splitlines()]
        steps = [Step(*step) for step, _ in notes]
        return Outcome(status, out, err, seconds, left, steps, any(fired for _, fired in notes))

    def _have_all_ended(self) -> bool:
        """Whether no process of the call is left that started no other program."""
        try:
            return bool(select.select([self._alive], [], [], 0)[0])
        finally:
            os.close(self._alive)


def outcomes(
    trials: Iterable[Trial],
    start: Callable[[Trial, int], Running],
    outcome: Callable[[Running], Outcome],
    beside: int,
) -> Iterator[tuple[Trial, int, Outcome]]:
    """Yield each trial with the number of its place, and what became of it.

    *beside* are under way at the same time, each in a place of its own: *start* is given its
    number, below *beside*. Of a place the next trial begins when the last one has been judged.
    """
    under_way: deque[tuple[Trial, int, Running]] = deque()
    for number, trial in enumerate(trials):
        if number >= beside:
            done, place, call = under_way.popleft()
            yield done, place, outcome(call)
        under_way.append((trial, number % beside, start(trial, number % beside)))
    for done, place, call in under_way:
        yield done, place, outcome(call)


def _content(fd: int) -> bytes:
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    return data


def _wait(pid: int, until: float) -> int:
    """Return a process's exit status; -9 for one that had to be killed."""
    pause = 0.001
    while time.perf_counter() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.3, 0.02)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_ENDING = 5.0
"""Seconds that what ends by itself after its caller, as zabbix_sender's guard does, may take."""


def kill_rest(call: int) -> int:
    """Kill what is left of a call's processes after a while, and return how many there were."""
    until = time.perf_counter() + _ENDING
    while (left := _rest(call)) and time.perf_counter() < until:
        time.sleep(0.01)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _rest(call: int) -> list[int]:
    """Return the processes of a call: of its session, and programs that have one of their own."""
    pids = (int(name) for name in _REAL_LISTDIR("/proc") if name.isdecimal())
    return [pid for pid in pids if _is_of(pid, call)]


def _is_of(pid: int, call: int) -> bool:
    """Whether a process belongs to a call and has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        state, _, _, session = stat[stat.rfind(b")") + 2 :].split(None, 4)[:4]
        if state == b"Z":
            return False
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return int(session) == call or f"{_CALL}={call}".encode() in environment.split(b"\0")


def locks_held(root: Path) -> Iterator[str]:
    """Yield the locks below the folder *root* that somebody holds for good.

    On a busy machine a child that was killed may need a moment for its end.
    """
    until = time.monotonic() + _ENDING
    for path in root.rglob("*"):
        while path.is_file():
            with path.open("rb") as file:
                try:
                    _REAL_FLOCK(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        yield str(path)
                        break
                    time.sleep(0.05)
