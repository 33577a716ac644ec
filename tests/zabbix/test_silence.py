"""What a collector that fails, an agent that can't answer, and silence raise: one problem each."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .agents import Kind, free_port
from .documents import document, encoded, process
from .programs import wait_for
from .servers import SERVER_VERSIONS, Host, Server, Servers
from .stage import UnavailableError, as_zabbix
from .templates import import_yaml

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

MACROS = {
    "{$SOCKETS.INTERVAL}": "1s",
    "{$SOCKETS.HEARTBEAT}": "10s",
    "{$SOCKETS.COLLECTOR.ERROR.TIME}": "5s",
    "{$SOCKETS.NODATA.TIME}": "30s",
}
# A server then knows within seconds that an agent is down, or up.
QUICK = {"UnreachablePeriod": 4, "UnreachableDelay": 1, "UnavailableDelay": 1}

_TIMER_SECONDS = 30
"""How often a server looks whether data is missing."""

AVAILABLE = 'zabbix[host,"agent",available]'
FAILS = "Sockets: Collector fails"
SILENT = "Sockets: No document comes"


@dataclass(slots=True)
class Agent:
    """A real zabbix_agentd whose key prints what a file holds, and a host that it is asked for."""

    server: Server
    host: Host
    port: int
    directory: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, parameter: str = "UserParameter=sockets.get[*],cat {answer}") -> None:
        """Run the agent with that line in its configuration, instead of the one that runs."""
        self.stop()
        configuration = self.directory / "agentd.conf"
        configuration.write_text(
            f"LogType=console\nServer=127.0.0.1\nListenIP=127.0.0.1\nListenPort={self.port}\n"
            f"PidFile={self.directory}/pid\nTimeout=1\nHostname=silent\n"
            + parameter.format(answer=self.directory / "answer")
            + "\n"
        )
        program = Kind("zabbix_agentd", self.server.version).path("zabbix_agentd")
        with (self.directory / "log").open("ab") as log:
            command = as_zabbix([str(program), "-f", "-c", str(configuration)])
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        """End the agent, if it runs."""
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def says(self, answer: str) -> None:
        """Let the key print that from now on."""
        (self.directory / "next").write_text(answer)
        (self.directory / "next").replace(self.directory / "answer")

    def is_well(self) -> None:
        """Return when a document has come and no problem is left."""
        self.says(encoded(document(time.time(), {"processes": [process("nginx")]})))
        self.start()
        wait_for(lambda: self.last("sockets.collector.error") == "" and not self.problems())

    def last(self, key: str) -> str | None:
        """Return the last value of an item."""
        return self.server.last_values(self.host.hostid).get(key)

    def problems(self) -> dict[str, str]:
        """Return the names of the problems of now by their triggers'."""
        found = self.server.problems(self.host.hostid)
        triggers = self.server.api.trigger.get(
            triggerids=[each["objectid"] for each in found], output=["description"]
        )
        names = {each["triggerid"]: each["description"] for each in triggers}
        return {names[each["objectid"]]: each["name"] for each in found}

    def faults(self) -> set[str]:
        """Return the errors of items."""
        items = self.server.items(self.host.hostid)
        return {item["error"] for item in items if item["error"] or item["state"] != "0"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """The agent's files. Not pytest's own directory, which nobody but root may enter."""
    with tempfile.TemporaryDirectory(prefix="zabbix-sockets-") as name:
        os.chmod(name, 0o755)
        shutil.chown(name, "zabbix", "zabbix")
        yield Path(name)


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def agent(request: pytest.FixtureRequest, servers: Servers, directory: Path) -> Iterator[Agent]:
    """An agent on a server of its own, which soon knows of an agent that is down."""
    source = _polled(request.param)
    try:
        with servers.fresh(request.param, **QUICK) as server:
            import_yaml(server, source)
            (template,) = server.api.template.get(filter={"host": "Sockets by Zabbix agent"})
            port = free_port()
            macros = [{"macro": name, "value": value} for name, value in MACROS.items()]
            host = server.create_host(
                "silent", agent=port, templates=[template["templateid"]], macros=macros
            )
            server.reload()
            made = Agent(server, host, port, directory)
            yield made
            made.stop()
    except UnavailableError as exc:
        pytest.skip(str(exc))


def _polled(version: str) -> str:
    name = "sockets_by_zabbix_agent"
    folder = Path(__file__).parents[2] / "zabbix_templates" / name
    return (folder / f"{name}-{version}.yaml").read_text("utf-8")


def _fails(agent: Agent, text: str) -> None:
    """Check that this is the only problem, with that text, and no item has an error."""
    wanted = {FAILS: f"Sockets: zabbix-sockets fails: {text} (for 5s)"}
    wait_for(lambda: agent.problems() == wanted, agent.problems)
    assert agent.faults() == set()
    assert agent.last("sockets.collector.error") == text


def test_collector_fails(agent: Agent) -> None:
    """What it prints instead of a document is the problem's text."""
    agent.is_well()
    agent.says('{"error":"rules.toml line 1: Invalid value"}')
    _fails(agent, "rules.toml line 1: Invalid value")


def test_no_document(agent: Agent) -> None:
    """Whatever else the key prints is no document."""
    agent.is_well()
    agent.says("sh: 1: zabbix-sockets: not found")
    _fails(agent, "What came is no document: zabbix_get -k sockets.get shows it")


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("", "The agent has no key sockets.get: zabbix-sockets setup"),
        (
            "UserParameter=sockets.get[*],sleep 20",
            "The agent's timeout ended the call: Timeout=3 or more is needed",
        ),
    ],
    ids=["no key", "timeout"],
)
def test_agent_has_no_answer(agent: Agent, parameter: str, text: str) -> None:
    """That the item is not supported is told like an error of the collector; by 7.0 also why."""
    agent.is_well()
    agent.start(parameter)
    if agent.server.version == "6.0":
        text = "The agent gave no document: zabbix_get -k sockets.get says why"
    _fails(agent, text)


@pytest.mark.short_form
def test_agent_is_down(agent: Agent) -> None:
    """An agent that is known to be down is a problem of other templates."""
    agent.is_well()
    agent.stop()
    wait_for(lambda: agent.last(AVAILABLE) == "0", pause=1)
    time.sleep(3 * _TIMER_SECONDS)  # longer than nothing may come, and until it is looked at
    assert agent.problems() == {}
    agent.start()
    wait_for(lambda: agent.last(AVAILABLE) == "1", pause=1)
    assert agent.problems() == {}


def test_nobody_asks(agent: Agent) -> None:
    """An agent that is up and is not asked is missed."""
    agent.is_well()
    (item,) = agent.server.items(agent.host.hostid, filter={"name": "Get sockets"})
    agent.server.api.item.update(itemid=item["itemid"], status=1)
    agent.server.reload()
    wanted = {SILENT: "Sockets: No document of zabbix-sockets comes, for 30s now"}
    wait_for(lambda: agent.problems() == wanted, agent.problems, pause=1)
    agent.server.api.item.update(itemid=item["itemid"], status=0)
    agent.server.reload()
    wait_for(lambda: agent.problems() == {}, agent.problems, pause=1)
