"""send --values on real servers: to trapper items that discovery makes, each value once."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .agents import Kind
from .processes import Holder
from .programs import wait_for
from .servers import Host, Server
from .test_send import command

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

_TRAPPER, _UNSIGNED, _TEXT = 2, 3, 4
_FIGURES = ("sockets", "tcp.established", "tcp.listen")


@pytest.fixture
def host(server: Server) -> Iterator[Host]:
    """A host whose user has made items of his own, and none for most of the figures."""
    host = server.create_host("values")
    common: dict[str, Any] = {"hostid": host.hostid, "type": _TRAPPER, "delay": "0"}
    api = server.api
    for key, kind in (("sockets.tcp.listen", _UNSIGNED), ("sockets.version", _TEXT)):
        api.item.create(name=key, key_=key, value_type=kind, **common)
    key = "sockets.processes.discovery"
    (rule,) = api.discoveryrule.create(name=key, key_=key, **common)["itemids"]
    for figure in _FIGURES:
        key = f'sockets.process.{figure}["{{#ID}}"]'
        api.itemprototype.create(name=key, key_=key, value_type=_UNSIGNED, ruleid=rule, **common)
    server.reload()
    yield host
    server.disable_host(host)


def push(server: Server, host: Host, folder: Path) -> subprocess.CompletedProcess[str]:
    """Push once, of the own namespace."""
    program = str(Kind("zabbix_sender", server.version).path("zabbix_sender"))
    to = ("--server", f"127.0.0.1:{server.port}", "--host", host.name)
    how = ("--netns", "own", "--timeout", "60", "--spool", str(folder / "s.sqlite"), "--values")
    return subprocess.run(command(program, *to, *how), capture_output=True, text=True, check=False)


def history(server: Server, host: Host) -> dict[str, list[tuple[int, int]]]:
    """Return the moments of all stored values, by key."""
    moments: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for table in ("history_uint", "history_text"):
        for row in server.sql(
            f"SELECT key_, clock, ns FROM {table} JOIN items USING (itemid)"
            f" WHERE hostid = {host.hostid} ORDER BY clock, ns"
        ):
            moments[row["key_"]].append((int(row["clock"]), int(row["ns"])))
    return moments


def test_values(server: Server, host: Host, hostile: Mapping[str, Holder], tmp_path: Path) -> None:
    """Items that discovery has yet to make get the values of before they were there."""
    answer = push(server, host, tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "failed 0, " in answer.stdout
    assert "rows wait for items" in answer.stdout
    wanted = {f'sockets.process.{figure}["{row}"]' for figure in _FIGURES for row in hostile}
    wait_for(lambda: wanted <= {item["key_"] for item in server.items(host.hostid)}, pause=0.3)
    server.reload()
    time.sleep(10)  # after which it tries again, at the earliest
    for _ in range(2):
        answer = push(server, host, tmp_path)
        assert (answer.returncode, answer.stderr) == (0, "")
    assert "failed 0" in answer.stdout

    def all_there() -> bool:
        stored = history(server, host)
        return all(len(stored[key]) == 3 for key in wanted)

    wait_for(all_there, lambda: history(server, host))
    stored = history(server, host)
    moments = stored["sockets.version"]
    assert len(moments) == 3
    for key in wanted:
        assert stored[key] == moments, key
    values = server.last_values(host.hostid)
    for row in hostile:
        assert values[f'sockets.process.sockets["{row}"]'] == "10", row


def test_all_refused(server: Server, tmp_path: Path) -> None:
    """A host without any of the items is a failure: nothing is lost meanwhile."""
    host = server.create_host("without items")
    server.reload()
    answer = push(server, host, tmp_path)
    assert answer.returncode == 1
    assert "sent 0, failed " in answer.stderr
    assert "no such host or item" in answer.stderr
    server.disable_host(host)
