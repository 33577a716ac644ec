"""A host with several network namespaces, of files and a netlink made by hand."""

from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets import Query, Snapshot
from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.collector.tables.collection import TableCollection
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import HostCounters, PortRange, Visibility
from zabbix_sockets.model.wire import Table
from zabbix_sockets.readers.proc.net_tables import ProcTables

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no package
from .fakes import TCP, FakeTables, Step, maker

LISTEN = 10
ADMIN = 1 << 21  # CAP_SYS_ADMIN
PORTS = PortRange(32768, 60999, 28232)
LINE = (
    "   0: 0100007F:{port:04X} 0100007F:{remote:04X} {state:02X} 00000000:00000000 00:00000000"
    " 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
)


def line(inode: int, state: int = 1, port: int = 40000, remote: int = 5432) -> str:
    """Return a socket's line in /proc/net/tcp."""
    return LINE.format(inode=inode, state=state, port=port, remote=remote)


class Host:
    """A host, its namespaces, and a netlink made by hand."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc = ProcTree(root)
        self.scripts: dict[Table, list[list[Step]]] = {TCP: [[]]}
        self.entered: list[str] = []
        self.inside = 0
        self.closed_inside: list[int] = []
        self.refused: dict[str, Exception] = {}
        self.deadline = Deadline(600)
        for name in ("tcp", "tcp6", "udp", "udp6", "unix"):
            (root / "net" / name).write_text("titles\n")

        class Stay:
            """A stay that is noted, with its end."""

            def __init__(self, path: str) -> None:
                if path in host.refused:
                    raise host.refused[path]
                host.entered.append(path)
                host.inside += 1

            def leave(self) -> None:
                host.inside -= 1

        class Tables(FakeTables):
            """Tables that note from where they are closed."""

            def close(self) -> None:
                """Note it."""
                super().close()
                host.closed_inside.append(host.inside)

        host = self
        self.tables = Tables(self.scripts)
        monkeypatch.setattr("zabbix_sockets.readers.proc.namespaces.Stay", Stay)
        monkeypatch.setattr("zabbix_sockets.collector.visits.NetlinkTables", maker(self.tables))

    def add_netns(self, name: str, *pids: int, secret: bool = False) -> Path:
        """Add a namespace with processes, which hold the sockets PID * 10 to PID * 10 + 9."""
        netns = self.proc.add_netns(name)
        for pid in pids:
            self.proc.add(pid, b"nginx", range(pid * 10, pid * 10 + 10))
            self.proc.join(pid, netns, secret=secret)
        return netns

    def collect(self, *, netlink: bool = True, **query: Any) -> Snapshot:
        """Return the Snapshot."""
        visibility = Visibility("sock_diag")
        snapshot = Snapshot(1, visibility, PORTS, HostCounters())
        made: Any = self.tables if netlink else None
        readers = TableReaders(ProcTables(f"{self.proc}/net"), made)
        plan = Plan(visibility, readers)
        asked = Query(proc=str(self.proc), **query)
        TableCollection(plan, asked, CallContext(str(self.proc), self.deadline), snapshot).collect()
        assert not self.inside
        return snapshot

    def path(self, pid: int) -> str:
        """Return by which file a process's namespace is entered."""
        return f"{self.proc}/{pid}/ns/net"


def counts(snapshot: Snapshot) -> dict[int, int]:
    """Return how many sockets each namespace has."""
    found: dict[int, int] = {}
    for listener in snapshot.listeners:
        found[listener.netns] = found.get(listener.netns, 0) + 1
    for connection, count in snapshot.connections.items():
        found[connection.netns] = found.get(connection.netns, 0) + count
    return found


def holders(snapshot: Snapshot, netns: int) -> set[int]:
    """Return the pids of those who hold a namespace's sockets."""
    owners = {each.owner for each in snapshot.connections if each.netns == netns}
    return {
        snapshot.processes[index].pid
        for owner in owners
        for index in snapshot.owners.get(owner, ())
    }
