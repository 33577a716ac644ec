"""The lab that other tests rely on: servers with their API and pages, senders, proxies."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from . import programs
from .agents import Active, Agents, Kind, Way
from .browser import Browser
from .programs import wait_for
from .proxies import Proxy
from .servers import Host, Server, Servers

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

FLOAT = 0
TRAPPER = 2
ACTIVE = 7

PNG_1280x720 = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (1280 << 32 | 720).to_bytes(8, "big")


@pytest.fixture
def host(server: Server) -> Iterator[Host]:
    """A new host without items."""
    host = server.create_host("lab")
    yield host
    server.disable_host(host)


def add_item(server: Server, host: Host, key: str, kind: int, **parameters: object) -> str:
    """Create an item for numbers."""
    what = {"name": key, "key_": key, "type": kind, "value_type": FLOAT, **parameters}
    (itemid,) = server.api.item.create(hostid=host.hostid, **what)["itemids"]
    return str(itemid)


def test_api_is_of_the_version(server: Server) -> None:
    """Each server has the frontend of its own version."""
    assert server.api.apiinfo.version().startswith(f"{server.version}.")


def test_sent_value_is_stored(server: Server, host: Host) -> None:
    """A value comes through zabbix_sender into the history, with its time."""
    itemid = add_item(server, host, "number", TRAPPER)
    server.reload()
    clock = time.time() - 60
    assert server.send([(host.name, "number", 1.5, clock), (host.name, "number", 2)]) == (2, 0)
    wait_for(lambda: len(server.history(itemid, FLOAT)) == 2)
    first = server.history(itemid, FLOAT)[0]
    assert float(f"{first['clock']}.{first['ns']:>09}") == pytest.approx(clock, abs=1e-6)
    assert server.last_values(host.hostid) == {"number": "2"}


def test_strange_value_is_sent_whole(server: Server, host: Host) -> None:
    """Quotes, backslashes and lines arrive as they are."""
    add_item(server, host, 'text["a\\b"]', TRAPPER, value_type=4)
    server.reload()
    text = ' "a"\\n\\\n b ü'
    # A busy server may still be reading the configuration of before.
    wait_for(lambda: server.send([(host.name, 'text["a\\b"]', text)]) == (1, 0))
    wait_for(lambda: server.last_values(host.hostid) == {'text["a\\b"]': text})


def test_refused_values_are_counted(server: Server, host: Host) -> None:
    """Unknown keys are failures that the sender reports, of every packet."""
    assert server.send([(host.name, f"unknown{n}", n) for n in range(600)]) == (0, 600)


def test_value_through_a_proxy(server: Server, proxy: Proxy) -> None:
    """A host that is assigned to the proxy has the values that were sent to the proxy."""
    host = server.create_host("proxied", **proxy.assignment)
    add_item(server, host, "number", TRAPPER)
    proxy.reload()
    assert proxy.send([(host.name, "number", 7)]) == (1, 0)
    wait_for(lambda: server.last_values(host.hostid) == {"number": "7"})
    server.disable_host(host)


@pytest.mark.parametrize("program", ["zabbix_agentd", "zabbix_agent2"])
def test_active_agent(server: Server, host: Host, agents: Agents, program: str) -> None:
    """An agent gives the server what it was asked to look at by itself."""
    add_item(server, host, "agent.ping", ACTIVE, delay="1s")
    server.reload()
    active = Active(f"127.0.0.1:{server.port}", host.name)
    agent = agents.get(Kind(program, server.version), Way.UNPRIVILEGED, active)
    wait_for(lambda: server.last_values(host.hostid) == {"agent.ping": "1"})
    agent.stop()


@pytest.mark.short_form
def test_page_of_the_frontend(server: Server, browser: Browser, tmp_path: Path) -> None:
    """The administrator is logged in and sees that the server runs."""
    path = "zabbix.php?action=report.status"
    with browser.page(server, path) as page:
        assert page.title() == f"Zabbix {server.version}: System information"
        assert page.get_by_text("Zabbix server is running").count() == 1
        assert page.get_by_text(f"127.0.0.1:{server.port}").count() == 1
    browser.screenshot(server, path, tmp_path / "page.png", 1280, 720)
    assert (tmp_path / "page.png").read_bytes().startswith(PNG_1280x720)
    assert not re.search(r"PHP (Fatal|Parse|Warning|Notice|Deprecated)", server.pages.tail())


@pytest.mark.short_form
def test_page_with_an_error(server: Server, browser: Browser) -> None:
    """A page that the frontend complains on is not shown for a good one."""
    with pytest.raises(AssertionError, match="not found"):
        browser.screenshot(server, "zabbix.php?action=nonsense", Path("/nonexistent"))


@pytest.mark.parametrize("version", ["6.0", "7.0"])
def test_fresh_server(servers: Servers, version: str) -> None:
    """Another server of the version knows nothing of the first, and leaves nothing."""
    host = servers.get(version).create_host("first")
    with servers.fresh(version, DebugLevel=4) as fresh:
        assert not fresh.api.host.get(filter={"host": host.name})
        assert fresh.sql("SELECT count(*) FROM hosts WHERE host LIKE 'first%'") == [{"count": "0"}]
        assert b" In " in fresh.log.read_bytes()
        assert fresh.cpu_seconds() > 0
        processes = psutil.Process(fresh.program.process.pid).children(recursive=True)
    assert not psutil.wait_procs(processes, timeout=10)[1]
    servers.get(version).disable_host(host)


def test_kept_logs(tmp_path: Path) -> None:
    """What programs have said outlives the lab, in a place that the next failure clears."""
    (tmp_path / "lab/6.0-1").mkdir(parents=True)
    (tmp_path / "lab/6.0-1/server.log").write_text("said")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/old").touch()
    programs.keep_logs(tmp_path / "lab", tmp_path / "kept")
    assert [log.name for log in (tmp_path / "kept").iterdir()] == ["6.0-1-server.log"]
