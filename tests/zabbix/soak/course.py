"""A host for an hour: what runs there, what is done to it, and what was noted meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.readers.bpf.pins import find_pins, load

from ..agents import Agent  # noqa: TID252  # a test folder is no installed package
from ..outages import Receiver, host_with_documents, stop  # noqa: TID252
from ..programs import wait_for  # noqa: TID252
from ..pushing import running, waiting, with_sender  # noqa: TID252
from ..recorder import recording  # noqa: TID252
from ..servers import Host  # noqa: TID252
from ..stage import Stage  # noqa: TID252
from . import watched
from .watched import Sample
from .world import churn

LISTS = ("processes", "listeners", "upstreams")

_SAMPLES = 120
"""How often memory and descriptors are looked at, about, and never at the same part of a second."""

_OUTAGE = 1 / 24
"""The share of the time for which the server is away, once in each half."""


Event = tuple[float, str, Callable[[], object]]
"""A moment, the words for it, and what is done."""


@dataclass
class Soak:
    """What was noted; moments are seconds since it began, but for times of documents."""

    seconds: float
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """Of `send --interval`, the agent, and `show --interval`."""
    maps: list[tuple[float, int]] = field(default_factory=list)
    """When, and how many bytes of the kernel's memory the maps of the pinned programs took."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What the agent has answered, without what is not compared."""
    failures: list[str] = field(default_factory=list)
    """Its answers that are no documents."""
    took: list[float] = field(default_factory=list)
    """How many seconds each answer took."""
    made: list[float] = field(default_factory=list)
    """The times of the documents that came to a server which never went away, in Unix seconds."""
    printed: list[float] = field(default_factory=list)
    """The times of what `show --interval` printed, in Unix seconds."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """What was done."""

    def save(self, path: Path) -> None:
        """Write what can be drawn, as JSON; see plot.py."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(self), "answers": len(self.answers)}))


def run(stage: Stage, agent: Agent, receiver: Receiver, folder: Path, seconds: float) -> Soak:
    """Run all of it for so many seconds; an AssertionError says what has ended early or is lost."""
    soak, pins = Soak(seconds), stage.root / "pins"
    _load(pins)
    with ExitStack() as stack:
        stack.enter_context(churn(folder))
        host = stack.enter_context(host_with_documents(receiver))
        steady = stack.enter_context(recording())
        to, spool = f"127.0.0.1:{receiver.port}", folder / "spool.sqlite"
        where = ["--server", to, "--server", steady.address, "--host", host.name]
        how = ["--interval", "1", "--send-timeout", "1", "--spool", str(spool)]
        command = [*_command("send", pins), *how, *where]
        pushing = stack.enter_context(
            running(with_sender(agent.kind.version, command), folder / "log")
        )
        monitor = stack.enter_context(_monitor(pins, folder / "printed"))
        wait_for(lambda: steady.requests > 0)
        begun = time.monotonic()
        pids = {"send": (pushing.pid, ""), "agent": (agent.process.pid, "zabbix_agentd")}
        pids["show"] = (monitor.pid, "")
        stack.enter_context(_every(1.0, lambda: _ask(agent, soak)))
        apart = seconds / _SAMPLES + 0.07
        stack.enter_context(_every(apart, lambda: _look(soak, pids, pins, begun)))
        _do(soak, begun, _events(receiver, pins, seconds))
        assert monitor.poll() is None
        wait_for(lambda: waiting(spool, to) == 0, lambda: waiting(spool, to))
        made = {(each["clock"], each["ns"]) for each in steady.taken}
        # Nothing is lost: the server that was away has them all in the end.
        taken = partial(_stored, receiver, host)
        wait_for(lambda: made <= taken(), lambda: len(taken()), pause=1)
        soak.made = sorted(clock + ns / 1e9 for clock, ns in made)
    lines = (folder / "printed").read_bytes().splitlines()
    soak.printed = [json.loads(line)["time"] for line in lines]
    return soak


def _stored(receiver: Receiver, host: Host) -> set[tuple[int, int]]:
    """Return the seconds and nanoseconds of the documents that the server has stored."""
    rows = receiver.server.sql(
        f"SELECT clock, ns FROM history_text JOIN items USING (itemid) WHERE hostid = {host.hostid}"
    )
    return {(int(row["clock"]), int(row["ns"])) for row in rows}


def _command(verb: str, pins: Path) -> list[str]:
    return [sys.executable, "-m", "zabbix_sockets", verb, "--pins", str(pins)]


def _load(pins: Path) -> None:
    load(str(pins), with_totals=True, warn=pytest.fail)


def _restart(pins: Path) -> None:
    """Do what a restart of the unit that loads does, which may not unmount the bpffs."""
    for path in list(find_pins(str(pins))):
        os.unlink(path)
    _load(pins)


@contextmanager
def _monitor(pins: Path, printed: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `show processes --interval 1`, with what it prints in a file."""
    command = [*_command("show", pins), "processes", "--interval", "1", "--json"]
    with printed.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _every(interval: float, work: Callable[[], None]) -> Iterator[None]:
    """Do *work* in a thread at each *interval*."""
    stopped, failures = threading.Event(), []

    def go_on() -> None:
        start = time.monotonic()
        for number in count():
            moment = start + number * interval
            if stopped.wait(max(0.0, moment - time.monotonic())):
                return
            try:
                work()
            except Exception as error:  # noqa: BLE001  # told when the course is over
                failures.append(error)
                return

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
    if failures:
        raise failures[0]


def _ask(agent: Agent, soak: Soak) -> None:
    """Ask the agent, and keep what is compared."""
    began = time.monotonic()
    answer = agent.ask("sockets.get")
    soak.took.append(time.monotonic() - began)
    content = json.loads(answer) if answer.startswith("{") else {}
    if "processes" not in content:
        soak.failures.append(answer[:300])
        return
    rows = {
        f"{kind} {row['id']}": row["totals"]
        for kind in LISTS
        for row in content[kind]
        if row["id"] != "(absent)" and "totals" in row
    }
    kept = {name: content["collector"].get(name) for name in ("totals", "source", "warnings")}
    soak.answers.append(
        {"time": content["time"], "host": content["host"]["totals"], "rows": rows, **kept}
    )


def _look(soak: Soak, pids: dict[str, tuple[int, str]], pins: Path, begun: float) -> None:
    """Note what each process has, and what the maps take, where they are loaded just now."""
    now = time.monotonic() - begun
    for name, (pid, prefix) in pids.items():
        soak.samples.setdefault(name, []).append(watched.sample(now, pid, prefix))
    try:
        soak.maps.append((now, watched.map_bytes(pins)))
    except FileNotFoundError:
        pass  # they are loaded anew in this moment


def _events(receiver: Receiver, pins: Path, seconds: float) -> list[Event]:
    """Return what is done when: two ways of loading anew, and two outages of the server."""

    def away() -> None:
        with stop(receiver):
            time.sleep(seconds * _OUTAGE)

    each: list[Event] = [
        (0.15, "load restarted", lambda: _restart(pins)),
        (0.25, "server away", away),
        (0.35, "load reloaded", lambda: _load(pins)),
        (0.45, "server away", away),
    ]
    return [(share * seconds, name, work) for share, name, work in each]


def _do(soak: Soak, begun: float, events: list[Event]) -> None:
    """Do each at its moment, and return when the time is over."""
    for moment, name, work in events:
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        soak.events.append((time.monotonic() - begun, name))
        work()
    time.sleep(max(0.0, begun + soak.seconds - time.monotonic()))
