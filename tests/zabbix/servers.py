"""Real Zabbix servers with database, frontend and API, all on loopback."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import requests
from pyzabbix.api import ZabbixAPI

from . import database, frontend, programs, sending
from .agents import TIMEOUT_SECONDS, Kind, free_port
from .database import Cluster, Database
from .programs import Program, listens
from .sending import Row, Sent

SERVER_VERSIONS = ("6.0", "7.0")

SCRIPTS = "externalscripts"
"""The folder of external checks, below that of the server or proxy; a test makes it."""

ADMIN = ("Admin", "zabbix")
"""The user that every new database has, and the password."""

UPDATE_SECONDS = 15
"""The seconds between two readings of the configuration, which are most of a server's work. Tests
ask for one when they need it (Server.reload); this stays above a second, as 6.0 may overlook new
items where it reads twice in one."""

# Small, but no test waits for the only process of a kind.
_SETTINGS = {
    "AllowUnsupportedDBVersions": 1,
    "CacheSize": "64M",
    "CacheUpdateFrequency": UPDATE_SECONDS,
    "StartDBSyncers": 2,
    "StartHistoryPollers": 2,
    "StartLLDProcessors": 2,
    "StartPingers": 0,
    "StartPollers": 3,
    "StartPreprocessors": 2,
    "StartTrappers": 3,
    "StatsAllowedIP": "127.0.0.1",
    "Timeout": TIMEOUT_SECONDS,
}

_API_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Host:
    """A host that a test has created, in a group of its own."""

    hostid: str
    name: str
    groupid: str


class Raised(NamedTuple):
    """A problem that a server has raised: of which trigger, and when, in Unix seconds.

    *closed* is None while it is there.
    """

    eventid: str
    triggerid: str
    name: str
    severity: int
    opened: float
    closed: float | None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; see Servers."""

    version: str
    port: int
    url: str
    api: ZabbixAPI
    database: Database
    directory: Path
    program: Program
    pages: Program
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def log(self) -> Path:
        """What the server has written."""
        return self.program.log

    def send(self, rows: Sequence[Row]) -> Sent:
        """Send *rows* with zabbix_sender."""
        return sending.send(self.version, self.port, rows)

    def reload(self) -> None:
        """Return when the server knows all that is configured now."""
        programs.reload(_command(self.version, self.directory), self.log)

    def create_host(
        self,
        name: str = "host",
        *,
        agent: int | None = None,
        templates: Sequence[str] = (),
        **parameters: object,
    ) -> Host:
        """Create a host; a number makes its name unique.

        It has the interface of an *agent* on that port and is linked to *templates* by their
        ids; *parameters* go to host.create as they are.
        """
        name = f"{name} {next(self._names)}"
        (groupid,) = self.api.hostgroup.create(name=name)["groupids"]
        interface = {"type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": ""}
        created = self.api.host.create(
            host=name,
            groups=[{"groupid": groupid}],
            interfaces=[] if agent is None else [interface | {"port": str(agent)}],
            templates=[{"templateid": template} for template in templates],
            **parameters,
        )
        return Host(created["hostids"][0], name, groupid)

    def disable_host(self, host: Host) -> None:
        """Return when nothing of the host is polled, taken or evaluated any more.

        It stays with all that it has: thousands of items take seconds to delete.
        """
        self.api.host.update(hostid=host.hostid, status=1)
        self.reload()

    def items(self, hostid: str, **parameters: object) -> list[dict[str, Any]]:
        """Return the host's items, those that LLD has made among them."""
        return _rows(self.api.item.get(**{"hostids": hostid, "output": "extend"} | parameters))

    def last_values(self, hostid: str) -> dict[str, str]:
        """Return the last value by key, of all items that have one in their history."""
        items = self.items(hostid)
        return {item["key_"]: item["lastvalue"] for item in items if item["lastclock"] != "0"}

    def history(self, itemid: str, value_type: int) -> list[dict[str, Any]]:
        """Return what is stored of an item, the oldest first."""
        rows = _rows(self.api.history.get(itemids=itemid, history=value_type, output="extend"))
        return sorted(rows, key=lambda row: (int(row["clock"]), int(row["ns"])))

    def problems(self, hostid: str) -> list[dict[str, Any]]:
        """Return the host's problems of now with their tags, the oldest first."""
        wanted = {"output": "extend", "selectTags": "extend", "sortfield": "eventid"}
        return _rows(self.api.problem.get(hostids=hostid, **wanted))

    def raised(self, hostid: str) -> list[Raised]:
        """Return all problems of the host there were and are, the oldest first."""
        wanted = {"output": "extend", "sortfield": ["clock", "eventid"], "value": [0, 1]}
        events = _rows(self.api.event.get(hostids=hostid, **wanted))
        clocks = {
            event["eventid"]: int(event["clock"]) + int(event["ns"]) / 1e9 for event in events
        }
        return [
            Raised(
                event["eventid"],
                event["objectid"],
                event["name"],
                int(event["severity"]),
                clocks[event["eventid"]],
                clocks.get(event["r_eventid"]),
            )
            for event in events
            if event["value"] == "1"
        ]

    def run_now(self, itemids: Sequence[str]) -> None:
        """Let the server poll these items, which it does within 5 seconds."""
        self.api.task.create(*({"type": 6, "request": {"itemid": item}} for item in itemids))

    def sql(self, query: str) -> list[dict[str, str]]:
        """Return the rows of *query* on the server's database."""
        return self.database.sql(query)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server so far, without its database and frontend."""
        return self.program.cpu_seconds()


class Servers:
    """Starts each server once, when it is first wanted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self._cluster: Cluster | None = None
        self._running: dict[str, Server] = {}
        self._numbers = itertools.count(1)

    def get(self, version: str) -> Server:
        """Return the server of *version* that all tests share."""
        if version not in self._running:
            self._running[version] = self._stack.enter_context(self.fresh(version))
        return self._running[version]

    @contextmanager
    def fresh(self, version: str, **settings: object) -> Iterator[Server]:
        """Run a server with a new database, and *settings* in its configuration."""
        if self._cluster is None:
            self._cluster = database.start(self._root / "postgresql", SERVER_VERSIONS)
            self._stack.callback(self._cluster.program.stop)
        directory = self._root / f"{version}-{next(self._numbers)}"
        directory.mkdir()
        shutil.chown(directory, "zabbix", "zabbix")
        with ExitStack() as stack:
            own = self._cluster.create(version, directory.name)
            stack.callback(own.drop)
            port = free_port()
            _configure(directory, own, {"ListenPort": port, **settings})
            command = [*_command(version, directory), "--foreground"]
            program = programs.start(command, directory / "server.log")
            stack.callback(program.stop)
            url, pages = frontend.start(version, directory, own, port)
            stack.callback(pages.stop)
            program.wait(lambda: listens(port))
            session = stack.enter_context(requests.Session())
            yield Server(version, port, url, _log_in(url, session), own, directory, program, pages)

    def stop(self) -> None:
        """End them all."""
        self._stack.close()


def _command(version: str, directory: Path) -> list[str]:
    program = Kind("zabbix_server", version).path("zabbix_server")
    return [str(program), "--config", str(directory / "server.conf")]


def _configure(directory: Path, own: Database, settings: Mapping[str, object]) -> None:
    places = {
        "ListenIP": "127.0.0.1",
        "LogType": "console",
        "PidFile": directory / "server.pid",
        "SocketDir": directory,
        "TmpDir": directory,
        "ExternalScripts": directory / SCRIPTS,
        "DBHost": own.cluster.directory,
        "DBName": own.name,
        "DBUser": database.USER,
    }
    lines = [f"{name}={value}\n" for name, value in {**_SETTINGS, **places, **settings}.items()]
    (directory / "server.conf").write_text("".join(lines))


def _log_in(url: str, session: requests.Session) -> ZabbixAPI:
    session.trust_env = False  # no proxy leads to loopback
    api = ZabbixAPI(url, session=session, timeout=_API_SECONDS)
    api.login(*ADMIN)
    return api


def _rows(answer: object) -> list[dict[str, Any]]:
    assert isinstance(answer, list)
    return answer
