"""The steps of a call, and what goes wrong at one of them."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType

from modules import qualified_name

from .faults import Effect, Fault, Step, Trial
from .scene import OWN, Scene

_NAMING = ("open", "listdir", "scandir", "stat", "readlink", "mkdir", "replace", "unlink")
"""Functions whose errors name a file."""
_OPENING = ("open", "netlink", "pipe")
"""Functions that need a descriptor."""
_DENIED = re.compile(r"/proc/(\d+)/(fd(?=/)|fd$|ns/|exe$|task/\d+/fd)")
_PACKAGE = f"{os.sep}zabbix_sockets{os.sep}"
_LATE_SECONDS = 3600.0
_MONOTONIC, _SLEEP = time.monotonic, time.sleep

Replace = Callable[[object, str, Callable[..., object]], None]
"""Puts a fake function in the place of a module's."""


class Steps:
    """What was called so far, and the trial that is under way.

    Attributes:
        done: the steps of this process.
        trial: the step at which something goes wrong, and what.
        fired: it has.
        netns: the network namespace in which the thread is.
        gone: pids of processes that have ended since.
        on_step: called at each step, with whether something goes wrong there.
    """

    def __init__(self, scene: Scene) -> None:
        self.done: list[Step] = []
        self.trial: Trial | None = None
        self.fired = False
        self.netns = OWN
        self.gone: set[int] = set()
        self.on_step: Callable[[Step, bool], None] = lambda _step, _fired: None
        self._scene = scene
        self._seen: Counter[tuple[str, str, int]] = Counter()
        self._pid = os.getpid()
        self._forks = 0
        self._seconds = 0.0

    def begin(self, trial: Trial | None) -> None:
        """Forget what has been, and let *trial* go wrong from now on, in this process or others."""
        self.done = []
        self.trial = trial
        self.fired = False
        self.netns = OWN
        self.gone.clear()
        self._seen.clear()
        self._pid = os.getpid()
        self._forks = 0
        self._seconds = 0.0

    def now(self) -> float:
        """Return the moment of the monotonic clock, which goes ahead where time passes here."""
        return _MONOTONIC() + self._seconds

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        self._seconds += seconds

    def __call__(self, function: str, label: str = "") -> Effect | None:
        """Note a step; raise what goes wrong there, or return what its result is to suffer."""
        child = self._forks if os.getpid() != self._pid else 0
        self._seen[function, label, child] += 1
        self._forks += function == "fork" and not child
        place = "" if self.trial else _place()
        step = Step(function, label, self._seen[function, label, child], child, place)
        self._refuse(function, label)
        self.done.append(step)
        fault = self._fault_at(step)
        self.on_step(step, fault is not None)
        if fault is None:
            return None
        self.fired = True
        if isinstance(fault.what, int):
            names = (label,) if function in _NAMING else ()
            raise OSError(fault.what, os.strerror(fault.what), *names)
        self._suffer(fault.what, step)
        return fault.what

    def _fault_at(self, step: Step) -> Fault | None:
        if self.trial is None:
            return None
        at, fault = self.trial
        lasts = fault.lasting and self.fired and step.function in _OPENING
        return fault if step.key == at.key or lasts else None

    def _refuse(self, function: str, label: str) -> None:
        """Raise what this host says to the caller in any case, or since a process has ended."""
        for wanted, number in self._scene.refusals:
            if wanted in (function, label):
                raise OSError(number, os.strerror(number))
        found = _DENIED.match(label)
        may_look = function == "access" or (function == "stat" and label.endswith("/fd"))
        if found and int(found[1]) in self._scene.denied and not may_look:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), label)
        if Step(function, label).pid in self.gone:
            number = errno.ESRCH if function in ("read", "listdir") else errno.ENOENT
            raise OSError(number, os.strerror(number), label)

    def _suffer(self, effect: Effect, step: Step) -> None:
        if effect is Effect.MEMORY:
            raise MemoryError
        if effect is Effect.THREAD:
            raise RuntimeError("can't start new thread")
        if effect is Effect.LATE:
            self.let_pass(_LATE_SECONDS)
        elif effect is Effect.GONE:
            self.gone.add(step.pid)
            self._refuse(step.function, step.label)
        elif effect is Effect.HANG:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while True:
                _SLEEP(60)
        elif effect in (Effect.KILL, Effect.CRASH):
            os.kill(os.getpid(), signal.SIGKILL if effect is Effect.KILL else signal.SIGSEGV)


def _place() -> str:
    """Return the functions of the package that are making a call: the innermost and its caller."""
    names: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(names) < 2:
        code = frame.f_code
        if _PACKAGE in code.co_filename:
            module = code.co_filename.rpartition(_PACKAGE)[2].removesuffix(".py")
            names.append(f"{module}:{qualified_name(code)}")
        frame = frame.f_back
    return " < ".join(names)
