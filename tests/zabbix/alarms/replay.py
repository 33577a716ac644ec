"""A host's past, told to a server within seconds: its documents with the times they are of.

Servers evaluate a trigger at the time of the value, also when that is long ago; only nodata()
asks what time it is now.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..documents import Row, encoded  # noqa: TID252  # a test folder is no installed package
from ..programs import wait_for  # noqa: TID252
from ..servers import Host, Server  # noqa: TID252

KEY = "sockets.get"
MINUTE, HOUR = 60, 3600

_ON_ITS_WAY = 1.2
"""Seconds in which values may be in no queue: preprocessing passes few of them on in a second."""

_POLLS = 6
"""So many answers in a row must say it: where each takes long, so does all else that it does."""

_IDLE_CPU_SECONDS = 0.05
"""What a server and its database take in that time to answer how long their queues are."""

_HALF_READ = "Cannot obtain function and item"
"""What 6.0 says of a trigger that discovery made while it read the configuration, so that it knows
the trigger and not its items yet. The next value that comes finds both."""

TABLES = ("history", "history_uint", "history_str", "history_text", "history_log")


class Problem(NamedTuple):
    """A problem that the server has raised, and when, in minutes of the replay."""

    eventid: str
    trigger: str
    name: str
    severity: int
    opened: float
    closed: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A host whose minute 0 is at *start*, in Unix seconds."""

    server: Server
    host: Host
    start: float

    def clock(self, minute: float) -> float:
        """Return when that minute is."""
        return self.start + minute * MINUTE

    def minute(self, clock: str | float) -> float:
        """Return the minute that is then."""
        return (float(clock) - self.start) / MINUTE

    def tell(self, documents: Iterable[tuple[float, Row]]) -> None:
        """Send documents and the minutes that they are of."""
        rows = [(self.host.name, KEY, encoded(each), self.clock(at)) for at, each in documents]
        assert self.server.send(rows) == (len(rows), 0)

    def play(self, documents: Iterable[tuple[float, Row]]) -> None:
        """Send documents, and return when all that comes of them is stored."""
        self.tell(documents)
        settle(self.server)

    def discover(self, minute: float, first: Row) -> None:
        """Send a document only for what is discovered in it."""
        self.play([(minute, first)])
        self.server.reload()

    def problems(self) -> list[Problem]:
        """Return all problems so far, the oldest first."""
        triggers = {each["triggerid"]: each["description"] for each in self.triggers()}
        return [
            Problem(
                each.eventid,
                triggers[each.triggerid],
                each.name,
                each.severity,
                self.minute(each.opened),
                None if each.closed is None else self.minute(each.closed),
            )
            for each in self.server.raised(self.host.hostid)
        ]

    def triggers(self, **parameters: object) -> list[dict[str, Any]]:
        """Return the host's triggers, those that LLD has made among them."""
        wanted: dict[str, object] = {"output": "extend"}
        return list(self.server.api.trigger.get(hostids=self.host.hostid, **wanted | parameters))

    def faults(self) -> list[str]:
        """Return what is not as on a host where all is well: items, rules, triggers, problems."""
        rules = self.server.api.discoveryrule.get(hostids=self.host.hostid, output="extend")
        things = [*self.server.items(self.host.hostid), *rules, *self.triggers()]
        faults = [
            f"{each.get('key_', each.get('description'))}: {each['error']}"
            for each in things
            if (each["error"] or each["state"] != "0") and not each["error"].startswith(_HALF_READ)
        ]
        return faults + [problem.name for problem in self.problems()]

    def history(self) -> dict[str, list[tuple[float, str]]]:
        """Return all stored values by key, with the minutes they are of, in their order."""
        found: dict[str, list[tuple[float, str]]] = {}
        for table in TABLES:
            for row in self.server.sql(
                f"SELECT key_, clock, value FROM {table} JOIN items USING (itemid)"
                f" WHERE hostid = {self.host.hostid} ORDER BY clock, ns"
            ):
                found.setdefault(row["key_"], []).append((self.minute(row["clock"]), row["value"]))
        return found

    def set_macros(self, macros: Mapping[str, str]) -> None:
        """Replace the host's macros, which the server knows from now on."""
        listed = [{"macro": macro, "value": value} for macro, value in macros.items()]
        self.server.api.host.update(hostid=self.host.hostid, macros=listed)
        self.server.reload()


def new_replay(
    server: Server, template: str, minutes: int, macros: Mapping[str, str] | None = None
) -> Replay:
    """Return a new host with that template: minute 0 begins an hour, the last is over by now."""
    listed = [{"macro": macro, "value": value} for macro, value in (macros or {}).items()]
    host = server.create_host("replay", templates=[template], macros=listed)
    server.reload()
    return Replay(server, host, (time.time() - minutes * MINUTE) // HOUR * HOUR)


def import_template(server: Server, source: str) -> str:
    """Import the only template of a YAML file, and return its id."""
    rules: dict[str, object] = {
        "templates": {"createMissing": True},
        "items": {"createMissing": True},
        "discoveryRules": {"createMissing": True},
        "triggers": {"createMissing": True},
        "graphs": {"createMissing": True},
        "templateDashboards": {"createMissing": True},
        "valueMaps": {"createMissing": True},
        "groups" if server.version == "6.0" else "template_groups": {"createMissing": True},
    }
    server.api.configuration["import"](format="yaml", source=source, rules=rules)
    name = re.search(r"^    - uuid: .*\n      template: (.*)$", source, re.MULTILINE)
    assert name
    (found,) = server.api.template.get(filter={"host": name[1]})
    return str(found["templateid"])


def settle(server: Server) -> None:
    """Return when the server has nothing left to preprocess, to store and to discover.

    What a process has taken from a queue is in none: so neither the server nor its database may
    have worked for a while, which on a busy machine they do in small slices.
    """
    left: list[Any] = []
    quiet_since: float | None = None
    polls = 0
    spent = 0.0

    def is_quiet() -> bool:
        nonlocal quiet_since, polls, spent
        data = server_stats(server.port)
        left[:] = data["preprocessing_queue"], data["lld_queue"], data["wcache"]["history"]["used"]
        now = time.monotonic()
        polls += 1
        if any(left):
            quiet_since = None
        elif quiet_since is None or (is_long_enough(now) and has_worked()):
            quiet_since, polls, spent = now, 0, cpu_seconds()
        return is_long_enough(now)

    def is_long_enough(now: float) -> bool:
        return quiet_since is not None and now > quiet_since + _ON_ITS_WAY and polls >= _POLLS

    def has_worked() -> bool:
        return cpu_seconds() > spent + _IDLE_CPU_SECONDS

    def cpu_seconds() -> float:
        return server.cpu_seconds() + server.database.cluster.program.cpu_seconds()

    wait_for(is_quiet, lambda: (tuple(left), spent), pause=0.2)


def server_stats(port: int) -> dict[str, Any]:
    """Return what a server tells of itself: queues, caches."""
    request = b'{"request":"zabbix.stats"}'
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"ZBXD\1" + struct.pack("<II", len(request), 0) + request)
        with client.makefile("rb") as answer:
            body = json.loads(answer.read()[13:])
    assert body["response"] == "success", body
    data: dict[str, Any] = body["data"]
    return data
