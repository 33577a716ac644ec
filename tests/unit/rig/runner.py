"""Runs a call in a process of its own, once for each trial, and looks at what it leaves."""

import gc
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from zabbix_sockets.model.errors import SocketsError

from . import figures
from .calls import Call
from .faults import Effect, Trial
from .kernel import Kernel
from .plan import trials

_PATIENCE = 1.0
"""Seconds that a thread may take to end after its call."""
_ABOUT_US = ("/proc/self/", "/proc/thread-self/", "/proc")
"""What a call can't do without, where the file is no other process's: cli tells the error."""
_LIMIT = 5.0
"""Seconds after which a call has no answer: none of these faults is a hang."""
_listdir = os.listdir


class Result(NamedTuple):
    """What became of a trial; *faults* are what is wrong with that."""

    trial: Trial
    answer: str
    """`whole`, `marked` (it says what it lacks), or the error."""
    faults: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Whole, marked incomplete, or an error."""
        kinds = {"whole": "whole", "marked": "marked incomplete"}
        return kinds.get(self.answer, "one error")

    def __str__(self) -> str:
        """Return it for people."""
        step, fault = self.trial
        return f"{step}: {fault}: {self.answer}: {'; '.join(self.faults) or 'right'}"


class StuckError(BaseException):
    """A call has no answer in time."""


def run(call: Call, root: Path) -> tuple[int, list[Result]]:
    """Return how many steps a call has, and what becomes of each trial of it.

    They are made in a process that is forked for them.
    """
    receive, send = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(receive)
            with open(send, "wb") as out:
                trier = _Trier(call, root)
                pickle.dump(trier.steps, out)
                for result in trier.results():
                    pickle.dump(result, out)
                    out.flush()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(send)
    with open(receive, "rb") as results:
        steps, *found = list(_load(results)) or [0]
    _, status = os.waitpid(pid, 0)
    assert not status, f"{call.name}: ended with {status} after {found[-1] if found else 'none'}"
    return steps, found


def _load(file: IO[bytes]) -> Iterator[Any]:
    while True:
        try:
            result = pickle.load(file)
        except EOFError:
            return
        yield result


class _Trier:
    """Tries a call against the fake kernel, which stays installed in this process."""

    def __init__(self, call: Call, root: Path) -> None:
        self._call = call
        self._make: Callable[[], object] = call.make
        self._kernel = Kernel(root, call.scene).write()
        self._kernel.install()
        signal.signal(signal.SIGALRM, _give_up)
        call.make()  # what is imported late is
        self._kernel.begin()
        self._expected = call.make()
        self._steps = self._kernel.step.done

    @property
    def steps(self) -> int:
        """How many steps the faultless call has."""
        return len(self._steps)

    def results(self) -> Iterator[Result]:
        """Yield what becomes of each trial."""
        for trial in trials(self._steps, thorough=self._call.thorough):
            yield self._try(trial)

    def _try(self, trial: Trial) -> Result:
        before = _left()
        self._kernel.begin(trial)
        answer, faults = self._answer(trial)
        if not self._kernel.step.fired:
            faults.append("the step did not come")
        if not (self._kernel.is_at_home or trial.keeps_from_home):
            faults.append("left in another network namespace")
        self._kernel.begin()
        faults += _leaks(before)
        return Result(trial, answer, tuple(faults))

    def _answer(self, trial: Trial) -> tuple[str, list[str]]:
        """Return what became of the call, and what is wrong with it."""
        signal.setitimer(signal.ITIMER_REAL, _LIMIT, _LIMIT)
        try:
            found = self._make()
        except SocketsError as error:
            return f"{type(error).__name__}: {error}", []
        except MemoryError:
            wanted = trial.fault.what is Effect.MEMORY
            return "MemoryError", [] if wanted else ["no memory, of which there is enough"]
        except BaseException as error:  # noqa: BLE001  # whatever it is: it has no place here
            about_us = trial.keeps_from_home or (
                not trial.step.pid and trial.step.label.startswith(_ABOUT_US)
            )
            allowed = about_us and isinstance(error, OSError)
            faults = [] if allowed else [f"raised {_place(error)}"]
            return f"{type(error).__name__}: {error}", faults
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        whole = found == self._expected or not self._is_marked(found)
        return "whole" if whole else "marked", list(self._wrong(trial, found))

    @staticmethod
    def _is_marked(found: object) -> bool:
        return isinstance(found, dict) and not found["complete"]

    def _wrong(self, trial: Trial, found: object) -> Iterator[str]:
        what, expected = trial.fault.what, self._expected
        if what in (Effect.ENDLESS, Effect.GARBAGE):
            return  # what the kernel says is wrong itself: that there is an answer is all
        excuse = figures.Excuse(
            trial.is_an_end, trial.fault.is_a_fact, by_rules=self._call.by_rules
        )
        if isinstance(found, dict) and isinstance(expected, dict):
            yield from figures.of_document(found, expected, excuse)
        elif isinstance(found, list) and isinstance(expected, list):
            yield from figures.of_sockets(found, expected, excuse)
        elif found != expected and not excuse.ended:
            yield f"{found}, not {expected}"


def _give_up(_signal: int, _frame: object) -> None:
    raise StuckError


def _place(error: BaseException) -> str:
    """Return where an error comes from, in the package."""
    place, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if "zabbix_sockets" in code.co_filename:
            place = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}()"
        trace = trace.tb_next
    return place


def _left() -> tuple[set[str], int, float]:
    """Return what a call must give back: descriptors, threads, the switch interval."""
    return set(_listdir("/proc/self/fd")), len(_listdir("/proc/self/task")), sys.getswitchinterval()


def _leaks(before: tuple[set[str], int, float]) -> Iterator[str]:
    deadline = time.perf_counter() + _PATIENCE
    while _left() != before and time.perf_counter() < deadline:
        time.sleep(0.001)
    if _left() != before:
        gc.collect()
    descriptors, threads, interval = _left()
    if descriptors - before[0]:
        yield f"{len(descriptors - before[0])} descriptors are left"
    if threads > before[1]:
        yield f"{threads - before[1]} threads are left"
    if interval != before[2]:
        yield "the switch interval is another"
    assert threading.current_thread() is threading.main_thread()
