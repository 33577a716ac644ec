"""Faults of the collector itself: each is prepared, then there, then mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zabbix_sockets.readers.bpf.pins import unload

from .faults import Course, described
from .hosts import Subject, Watched


@dataclass(frozen=True, slots=True)
class Blindness:
    """A fault of the collector, and the one problem, if any, that the server raises for it."""

    make: Callable[[Sequence[Watched]], Course]
    text: str = ""
    """A regular expression for all of the problem's name."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.make.__name__

    @property
    def subject(self) -> Subject:
        """What the problem is of."""
        return Subject("host")

    @property
    def alarm(self) -> str:
        """The id of the trigger in the generator; empty where another template tells of it."""
        return described(self.name).alarm[1]


def iterators_unloaded(hosts: Sequence[Watched]) -> Course:
    """The iterators are not loaded any more."""
    stage = hosts[0].stage
    yield
    pins = str(stage.root / "pins")
    busy = os.open(pins, os.O_RDONLY)  # which keeps mounted what agents have in their namespaces
    try:
        unload(pins)
    finally:
        os.close(busy)
    yield
    stage.load()
    yield


def no_group(hosts: Sequence[Watched]) -> Course:
    """The agent's user is not in the group zabbix."""
    yield
    for host in hosts:
        host.stop()
        host.start(group=False)
    yield
    for host in hosts:
        host.stop()
        host.start()
    yield


def broken_rules(hosts: Sequence[Watched]) -> Course:
    """The administrator's file is no TOML."""
    yield
    for host in hosts:
        host.rules.write_text("[[rule\n")
        host.rules.chmod(0o644)
    yield
    for host in hosts:
        host.rules.unlink()
    yield


def no_keys(hosts: Sequence[Watched]) -> Course:
    """The agent runs without the product's keys."""
    yield
    for host in hosts:
        host.stop()
        host.start(keys=False)
    yield
    for host in hosts:
        host.stop()
        host.start()
    yield


def nobody_asks(hosts: Sequence[Watched]) -> Course:
    """Somebody has disabled the item that asks."""
    yield
    for host in hosts:
        host.ask(enabled=False)
    yield
    for host in hosts:
        host.ask(enabled=True)
    yield


def agent_stopped(hosts: Sequence[Watched]) -> Course:
    """The agent does not run, which Zabbix's own templates tell."""
    yield
    for host in hosts:
        host.stop()
    yield
    for host in hosts:
        host.start()
    yield


BLINDNESSES = (
    Blindness(iterators_unloaded, "Collector is degraded: bpf: not loaded into .*: run .*"),
    Blindness(no_group, "Collector is degraded: bpf: this process runs without the group zabbix.*"),
    Blindness(broken_rules, r"zabbix-sockets fails: .*zabbix-sockets\.toml line 1.*"),
    Blindness(no_keys, "zabbix-sockets fails: The agent (has no key|gave no document).*"),
    Blindness(nobody_asks, "No document of zabbix-sockets comes, for .* now"),
    Blindness(agent_stopped),
)
