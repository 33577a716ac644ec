"""A host of a server: an agent with the pinned iterators, and what the server says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zabbix_sockets.model.paths import CONFIG
from zabbix_templates.generator.model import Trigger
from zabbix_templates.generator.templates import TEMPLATES

from ..agents import HOSTILE_ENVIRONMENT, Kind, configuration, free_port  # noqa: TID252
from ..programs import wait_for  # noqa: TID252
from ..servers import Host, Server  # noqa: TID252
from ..stage import Stage  # noqa: TID252
from ..templates import template  # noqa: TID252

PROGRAMS = {"6.0": "zabbix_agentd", "7.0": "zabbix_agent2"}
"""The agent that each server asks."""

WITH_KEYS, WITHOUT = "agent.conf", "bare.conf"
"""An agent's configuration files, with the product's keys and without."""

_EVERY = "sockets.collector.seconds"
"""The key of an item that has a value of each document."""

_ROW = re.compile(r'sockets\.(process|listener|upstream)\..*\["(.+)"\]')
_KINDS = {"process": "processes", "listener": "listeners", "upstream": "upstreams"}

_TEMPLATE = next(each for each in TEMPLATES if each.way.name == "Sockets by Zabbix agent")
TRIGGERS: dict[str, tuple[Trigger, ...]] = {
    "host": _TEMPLATE.triggers,
    **{rule.kind: rule.triggers for rule in _TEMPLATE.rules},
}
"""The template's triggers: of the host, and of the rows of each kind."""


class Subject(NamedTuple):
    """What a problem is of: a row, or the host."""

    kind: str
    row: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.row}".strip()


class Problem(NamedTuple):
    """A problem that the server has raised, and when, in Unix seconds."""

    subject: Subject
    alarm: str
    """The id of its trigger in the generator."""
    name: str
    severity: int
    opened: float
    closed: float | None


@dataclass(slots=True)
class Watched:
    """A host, its agent and its server."""

    server: Server
    stage: Stage
    host: Host
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def rules(self) -> Path:
        """The administrator's file of the product."""
        return self.folder / "etc" / Path(CONFIG).name

    def start(self, *, group: bool = True, keys: bool = True) -> None:
        """Start the agent: with its user in the group zabbix, with the product's keys, or not."""
        kind = Kind(PROGRAMS[self.server.version], self.server.version)
        user = (
            ["--regid", "zabbix", "--init-groups"]
            if group
            else ["--regid", "nogroup", "--clear-groups"]
        )
        command = ["setpriv", "--reuid", "zabbix", *user, "--pdeathsig", "TERM"]
        command += [
            str(kind.path(kind.program)),
            "-f",
            "-c",
            f"{self.folder}/{WITH_KEYS if keys else WITHOUT}",
        ]
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                self.stage.inside(command, pins=True, rules=self.rules.parent),
                cwd="/",
                env=HOSTILE_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def stop(self) -> None:
        """End the agent."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def ask(self, *, enabled: bool) -> None:
        """Let the server ask for documents, or not."""
        (item,) = self.server.items(
            self.host.hostid, filter={"key_": "sockets.get[{$SOCKETS.GROUP.BY}]"}
        )
        self.server.api.item.update(itemid=item["itemid"], status=0 if enabled else 1)
        self.server.reload()

    def problems(self) -> list[Problem]:
        """Return all problems there were and are, the oldest first."""
        hostid = self.host.hostid
        known = self.server.api.trigger.get(
            hostids=hostid, output=["description"], selectItems=["key_"]
        )
        triggers = {each["triggerid"]: each for each in known}
        return [
            Problem(
                *_alarm(triggers[each.triggerid]),
                each.name,
                each.severity,
                each.opened,
                each.closed,
            )
            for each in self.server.raised(hostid)
        ]

    def wait_for_document(self, since: float) -> None:
        """Return when a document of then or later has been stored."""

        def last() -> float:
            wanted = {"key_": _EVERY}
            (item,) = self.server.items(self.host.hostid, output=["lastclock"], filter=wanted)
            return float(item["lastclock"])

        wait_for(lambda: last() >= since, last, 0.5)

    def documents(self, since: float, until: float) -> int:
        """Return how many documents of that time have been stored."""
        (item,) = self.server.items(self.host.hostid, filter={"key_": _EVERY})
        stored = self.server.history(item["itemid"], int(item["value_type"]))
        return sum(since <= float(each["clock"]) <= until for each in stored)

    def wait_for_rows(self, wanted: set[Subject]) -> None:
        """Return when the server has values of all these rows."""
        wait_for(lambda: wanted <= self.rows(), lambda: wanted - self.rows(), 0.5)

    def rows(self) -> set[Subject]:
        """Return the rows of which an item has got a value."""
        found = (_ROW.fullmatch(key) for key in self.server.last_values(self.host.hostid))
        return {Subject(_KINDS[match[1]], match[2]) for match in found if match}


def _alarm(trigger: Mapping[str, object]) -> tuple[Subject, str]:
    """Return what a trigger of the host is of, and its id in the generator."""
    items, description = trigger["items"], str(trigger["description"])
    assert isinstance(items, list)
    rows = {
        Subject(_KINDS[row[1]], row[2])
        for row in (_ROW.fullmatch(each["key_"]) for each in items)
        if row
    }
    assert len(rows) <= 1, trigger
    subject = rows.pop() if rows else Subject("host")
    (alarm,) = (
        each.id for each in TRIGGERS[subject.kind] if f": {description}".endswith(f": {each.name}")
    )
    return subject, alarm


@contextmanager
def watched(
    server: Server, stage: Stage, folder: Path, macros: Mapping[str, str]
) -> Iterator[Watched]:
    """Run an agent, and have a host with the template and these macros that asks it."""
    port = free_port()
    folder.mkdir(mode=0o755)
    (folder / "etc").mkdir(mode=0o755)
    kind = Kind(PROGRAMS[server.version], server.version)
    included = "zabbix_sockets.conf"
    shutil.copyfile(stage.conf / included, folder / included)
    whole = configuration(kind, folder, port, included)
    (folder / WITH_KEYS).write_text(whole)
    (folder / WITHOUT).write_text(re.sub("Include=.*", "", whole))
    shutil.chown(folder, "zabbix", "zabbix")
    listed = [{"macro": name, "value": value} for name, value in macros.items()]
    host = server.create_host(
        "trial", agent=port, templates=[template(server, "agent")], macros=listed
    )
    made = Watched(server, stage, host, folder, port)
    made.start()
    try:
        server.reload()
        yield made
    finally:
        made.stop()
