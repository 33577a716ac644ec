"""The steps of a call, and what goes wrong at one of them."""

import errno
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable

from .faults import WAIT, Effect, Fault, Step, Trial
from .scene import OWN, Scene

_NAMING = ("open", "listdir", "scandir", "stat", "readlink", "mkdir")
"""Functions whose errors name a file."""
_OPENING = ("open", "netlink", "pipe")
"""Functions that need a descriptor."""
_DENIED = re.compile(r"/proc/(\d+)/(fd(?=/)|fd$|ns/|exe$|task/\d+/fd)")
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
        self._seen: Counter[tuple[str, str, bool]] = Counter()
        self._pid = os.getpid()
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
        self._seconds = 0.0

    def now(self) -> float:
        """Return the moment of the monotonic clock, which goes ahead where time passes here."""
        return _MONOTONIC() + self._seconds

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        self._seconds += seconds

    def __call__(self, function: str, label: str = "") -> Effect | None:
        """Note a step; raise what goes wrong there, or return what its result is to suffer."""
        in_child = os.getpid() != self._pid
        self._seen[function, label, in_child] += 1
        step = Step(function, label, self._seen[function, label, in_child], in_child)
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
        if self.trial is None or step.function == WAIT:
            return None
        at, fault = self.trial
        lasts = fault.lasting and self.fired and step.function in _OPENING
        return fault if step == at or lasts else None

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
