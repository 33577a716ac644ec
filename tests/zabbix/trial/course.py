"""What the trial does, once for both versions: two servers with an agent each watch one machine.

At first all is well and a host lives its ordinary life. Then all faults that don't disturb each
other are there at the same time, until each server has raised the problem of each, and are mended.
Then come those that silence others, in the same way.
At last the collector itself is at fault, in one way after the other.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import rounds

from ..programs import wait_for  # noqa: TID252  # a test folder is no installed package
from ..servers import SERVER_VERSIONS, Servers  # noqa: TID252
from ..stage import Stage  # noqa: TID252
from . import life
from .blindness import BLINDNESSES, Blindness
from .faults import FAULTS, Course, Fault
from .hosts import Problem, Subject, Watched, watched
from .machine import machine

_log = logging.getLogger(__name__)
"""Says what is going on: `pytest -o log_cli=true --log-cli-level=INFO`."""

WINDOW = 12
"""Seconds: what alarms look back on, and the least that is at least two heartbeats."""

_NODATA_SECONDS = 8 * WINDOW

MACROS = {
    "{$SOCKETS.INTERVAL}": "2s",
    "{$SOCKETS.HEARTBEAT}": "5s",
    "{$SOCKETS.TIMEOUT}": "30s",
    **{
        f"{{$SOCKETS.{name}.TIME}}": f"{WINDOW}s"
        for name in (
            "CLOSE_WAIT",
            "SYN_SENT",
            "FDS",
            "GONE",
            "SEEN",
            "EPHEMERAL",
            "LISTEN.DROPS",
            "COLLECTOR.DEGRADED",
            "PARTIAL",
            "ATTEMPT_FAILS",
            "ESTAB_RESETS",
            "TRUNCATED",
            "UNSEEN",
            "ACCEPT_QUEUE",
            "ACCEPT_QUEUE.WAITING",
            "UDP.ERRORS",
            "UDP.NO_PORTS",
            "SYN_COOKIES",
        )
    },
    "{$SOCKETS.CLOSE_WAIT.GROWTH.TIME}": f"{2 * WINDOW}s",
    # A call may fail on a busy machine, and scanning all ports takes it more than a moment.
    "{$SOCKETS.COLLECTOR.ERROR.TIME}": f"{3 * WINDOW}s",
    "{$SOCKETS.OUT_RSTS.TIME}": f"{5 * WINDOW}s",
    # By then a server knows that an agent is down, or that the collector fails.
    "{$SOCKETS.NODATA.TIME}": f"{_NODATA_SECONDS}s",
    "{$SOCKETS.LLD.GONE.MATCHES}": r"^tcp/127\.0\.0\.1:9000$",
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": "^haproxy>",
    # Restarts take seconds on a busy machine.
    **{
        f'{{$SOCKETS.{name}.TIME:"{row}"}}': f"{5 * WINDOW}s"
        for row in life.LISTENERS
        for name in ("GONE", "ACCEPT_QUEUE.WAITING")
    },
    # Not so many that the alarm on their number fires, too.
    '{$SOCKETS.CLOSE_WAIT.MIN:"slow-leaker"}': "100000",
}
"""What makes hours minutes; thresholds are those of the templates."""

_PATIENCE_SECONDS = 14 * WINDOW
"""How long an alarm is waited for while no other comes: machines are busy."""

_STAYS_SECONDS = WINDOW if rounds.WHOLE_TRIAL else 0
"""How long faults stay when each has its problem, and might raise others."""

_SILENT_SECONDS = _NODATA_SECONDS + 40
"""How long what is no problem stays: a server asks nodata() twice a minute."""

_SERVER = {
    "UnreachablePeriod": 10,
    "UnreachableDelay": 3,
    "UnavailableDelay": 3,
    "CacheUpdateFrequency": 5,
}
"""How soon a server knows that an agent is down, which by default takes it 45 s, and new items."""

FAULTS_TRIED = tuple(each for each in FAULTS if each.short or rounds.WHOLE_TRIAL)
FAULTS_ALONE = tuple(each for each in FAULTS_TRIED if each.alone)
BLINDNESSES_TRIED = BLINDNESSES if rounds.WHOLE_TRIAL else ()
LIFE_TRIED = life.LIFE if rounds.WHOLE_TRIAL else life.SHORT
VERSIONS_TRIED = SERVER_VERSIONS if rounds.WHOLE_TRIAL else SERVER_VERSIONS[-1:]


class Tried(Protocol):
    """A fault of the machine or of the collector."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def subject(self) -> Subject:
        """What its problem is of."""

    @property
    def alarm(self) -> str:
        """The id of the problem's trigger; empty where there is no problem."""


@dataclass(slots=True)
class Trial:
    """What was done when, in Unix seconds, and what each server has raised."""

    began: dict[str, float] = field(default_factory=dict)
    """When each fault was there, by its name."""
    mended: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    """When its problem had recovered, too."""
    lived: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From when until when each thing of ordinary life was done."""
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    """By the version of the server."""

    def of(self, version: str, fault: Fault) -> list[Problem]:
        """Return the problems that a server has raised for a fault, whatever they are."""
        rows = fault.needs
        return [
            each
            for each in self.problems[version]
            if each.subject in rows or (each.subject, each.alarm) == (fault.subject, fault.alarm)
        ]

    @property
    def blind(self) -> list[float]:
        """When each fault of the collector began."""
        names = [each.name for each in BLINDNESSES]
        return [begun for name, begun in self.began.items() if name in names]

    def during(self, version: str, blindness: Blindness) -> list[Problem]:
        """Return the problems that a server has raised while that alone was at fault."""
        begun, ended = self.began[blindness.name], self.ended[blindness.name]
        return [each for each in self.problems[version] if begun <= each.opened < ended]


@contextmanager
def hosts(servers: Servers, stage: Stage, folder: Path) -> Iterator[list[Watched]]:
    """Have both servers, each with a host that is this machine."""
    with ExitStack() as stack:
        made = []
        for version in VERSIONS_TRIED:
            server = stack.enter_context(servers.fresh(version, **_SERVER))
            at = watched(server, stage, folder / f"agent-{version}", MACROS)
            made.append(stack.enter_context(at))
        yield made


def run(servers: Servers, stage: Stage, folder: Path) -> Trial:
    """Go through all of it; what does not come within patience is missing from what is returned."""
    trial = Trial()
    with machine(folder) as made:
        courses: dict[Tried, Course] = {fault: fault.make(made) for fault in FAULTS_TRIED}
        for course in courses.values():
            next(course)
        services = life.services(made)
        with hosts(servers, stage, folder) as seen:
            services.watched.extend(seen)
            for host in seen:
                host.wait_for_rows(_known_before())
            known = time.time()
            _log.info("all rows are known")
            _live(trial, services)
            # A listener is missed if it was there a window before that in which it isn't.
            for host in seen:
                host.wait_for_document(max(time.time(), known + WINDOW) + WINDOW)
            together = {
                fault: course for fault, course in courses.items() if fault not in FAULTS_ALONE
            }
            _go(trial, together, seen, _STAYS_SECONDS)
            for fault in FAULTS_ALONE:
                _go(trial, {fault: courses[fault]}, seen, 0)
            for blindness in BLINDNESSES_TRIED:
                course = blindness.make(seen)
                next(course)
                _go(trial, {blindness: course}, seen, 0 if blindness.alarm else _SILENT_SECONDS)
            for host in seen:
                trial.problems[host.server.version] = [
                    each for each in host.problems() if not _of_load(trial, host, each)
                ]
    return trial


def _of_load(trial: Trial, host: Watched, problem: Problem) -> bool:
    """Tell whether it says, and rightly, that this machine is too busy for the collector."""
    if problem.alarm == "collector_fails":
        return "timed out" in problem.name
    if problem.alarm != "nodata" or problem.opened > min(trial.blind, default=math.inf):
        return False
    return not host.documents(problem.opened - _NODATA_SECONDS + 5, problem.opened)


def _known_before() -> set[Subject]:
    """Return the rows that each server has to know before anything begins."""
    # Upstreams are discovered when there are any.
    wanted = {row for fault in FAULTS_TRIED for row in fault.needs if row.kind != "upstreams"}
    wanted |= {Subject("processes", name) for name in life.PROCESSES}
    return wanted | {Subject("listeners", row) for row in life.LISTENERS}


def _live(trial: Trial, services: life.Services) -> None:
    for each in LIFE_TRIED:
        begun = time.time()
        each(services)
        trial.lived[each.__name__] = begun, time.time()
        _log.info("done: %s", each.__name__)


def _go(
    trial: Trial, courses: Mapping[Tried, Course], seen: Sequence[Watched], stays: float
) -> None:
    """Have the faults until all have raised their problem, and that long more; then mend them."""
    for tried, course in courses.items():
        trial.began[tried.name] = time.time()
        next(course)
    _patiently(lambda: _missing(trial, courses, seen, closed=False))
    until = time.time() + stays
    wait_for(lambda: time.time() >= until, time.time)
    for tried, course in courses.items():
        trial.mended[tried.name] = time.time()
        next(course)
    _patiently(lambda: _missing(trial, courses, seen, closed=True))
    for host in seen:
        host.wait_for_document(time.time())
    for tried in courses:
        trial.ended[tried.name] = time.time()


def _missing(
    trial: Trial, tried: Iterable[Tried], seen: Sequence[Watched], *, closed: bool
) -> set[tuple[str, str]]:
    """Return by version the faults of which no problem has been raised yet; or has recovered."""
    return {
        (each.server.version, fault.name)
        for each in seen
        for problems in [each.problems()]
        for fault in tried
        if fault.alarm
        and not any(
            (problem.subject, problem.alarm) == (fault.subject, fault.alarm)
            and problem.opened >= trial.began[fault.name]
            and (problem.closed or not closed)
            for problem in problems
        )
    }


def _patiently(missing: Callable[[], set[tuple[str, str]]]) -> None:
    """Return when nothing is missing any more, or when nothing has come for long."""
    last, since = missing(), time.monotonic()
    _log.info("to come: %s", sorted(last))
    while last and time.monotonic() < since + _PATIENCE_SECONDS:
        time.sleep(0.5)
        now = missing()
        if now != last:
            last, since = now, time.monotonic()
            _log.info("to come: %s", sorted(last))
