"""Clients by the rows of a table: each new established connection counts for its listener."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from zabbix_sockets.collector.row_clients import FoldWithClients
from zabbix_sockets.model.clients import ClientSums
from zabbix_sockets.model.snapshot import INBOUND, PortRange
from zabbix_sockets.model.wire import AddressToken, Encoding, SocketRow, Table
from zabbix_sockets.readers.proc import net_tables
from zabbix_sockets.readers.sock_diag import messages

from ..snapshots import snapshot_of  # noqa: TID252  # a test folder is no package

PORTS = PortRange(32768, 60999, 28232)
LISTEN, CLOSE_WAIT = 10, 8
ENCODINGS = (messages.ENCODING, net_tables.ENCODING)


def token(encoding: Encoding, text: str) -> AddressToken:
    """Return an address as a reader of that encoding has it."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    if encoding is messages.ENCODING:
        return packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    swap = net_tables.decode_address(b"01000000") == b"\0\0\0\1"
    return b"".join((word[::-1] if swap else word).hex().upper().encode() for word in words)


class Folded:
    """The fold of one table, whose rows are told by addresses as texts."""

    def __init__(self, encoding: Encoding, family: int = socket.AF_INET) -> None:
        self.encoding = encoding
        owners = dict.fromkeys(range(1, 1000), 2)
        self.fold = FoldWithClients(Table("tcp", family), encoding, PORTS, owners)

    def row(self, local: str, remote: str, inode: int, state: int = 1, port: int = 80) -> SocketRow:
        """Return a row."""
        ends = token(self.encoding, local), token(self.encoding, remote)
        ports = self.encoding.port(port), self.encoding.port(40_000 if state != LISTEN else 0)
        return (state, *ports, *ends, 0, 0, 0, 0, inode)

    def clients(self) -> dict[str, tuple[int, Counter[str]]]:
        """Return established connections, and clients, by the listener's address and port."""
        snapshot = snapshot_of()
        snapshot.clients = ClientSums()
        self.fold.move(snapshot, lambda _netns, index: "eth0" if index else "")
        established = Counter[str]()
        for each, count in snapshot.connections.items():
            if each.direction == INBOUND and each.state == 1 and each.address is not None:
                family = socket.AF_INET6 if len(each.address) == 16 else socket.AF_INET
                established[f"{socket.inet_ntop(family, each.address)}:{each.port}"] += count
        found = {}
        for (_, address, port, _), clients in snapshot.clients.by_end.items():
            family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
            name = f"{socket.inet_ntop(family, address)}:{port}"
            assert clients.connections == established[name]
            found[name] = clients
        return {name: (each.distinct, Counter(_counts(each))) for name, each in found.items()}


def _counts(clients: object) -> dict[str, int]:
    counts = clients._sample | clients._others  # type: ignore[attr-defined]
    return {
        socket.inet_ntop(socket.AF_INET6 if len(each) == 16 else socket.AF_INET, each): count
        for each, count in counts.items()
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_of_each_listener(encoding: Encoding) -> None:
    """A listener on an address has its own clients, that on the wildcard all others'."""
    folded = Folded(encoding)
    row = folded.row
    folded.fold.add([row("0.0.0.0", "0.0.0.0", 1, LISTEN), row("127.0.0.1", "0.0.0.0", 2, LISTEN)])
    folded.fold.add(
        [
            row("192.0.2.1", "198.51.100.7", 3),
            row("192.0.2.1", "198.51.100.7", 4),
            row("192.0.2.2", "198.51.100.8", 5),
            row("127.0.0.1", "127.0.0.1", 6),
        ]
    )
    assert folded.clients() == {
        "0.0.0.0:80": (2, Counter({"198.51.100.7": 2, "198.51.100.8": 1})),
        "127.0.0.1:80": (1, Counter({"127.0.0.1": 1})),
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_mapped_addresses(encoding: Encoding) -> None:
    """A client over IPv4 of a listener on :: has its IPv4 address."""
    folded = Folded(encoding, socket.AF_INET6)
    folded.fold.add([folded.row("::", "::", 1, LISTEN)])
    folded.fold.add(
        [
            folded.row("::ffff:192.0.2.1", "::ffff:198.51.100.7", 2),
            folded.row("2001:db8::1", "2001:db8::7", 3),
        ]
    )
    assert folded.clients() == {":::80": (2, Counter({"198.51.100.7": 1, "2001:db8::7": 1}))}


def test_others_are_no_clients() -> None:
    """Neither upstreams, nor connections whose listener has closed or that are in other states."""
    folded = Folded(messages.ENCODING)
    row = folded.row
    folded.fold.add([row("0.0.0.0", "0.0.0.0", 1, LISTEN)])
    folded.fold.add(
        [
            row("192.0.2.1", "198.51.100.7", 2, CLOSE_WAIT),
            row("192.0.2.1", "198.51.100.7", 3, port=50_000),
            row("192.0.2.1", "198.51.100.7", 4, port=81),
        ]
    )
    assert folded.clients() == {}


@pytest.mark.parametrize("inode", [5, 5000])
def test_what_comes_twice_counts_once(inode: int) -> None:
    """Within a batch or in two, whether its owner is known or not."""
    folded = Folded(net_tables.ENCODING)
    again = folded.row("192.0.2.1", "198.51.100.7", inode)
    folded.fold.add([folded.row("0.0.0.0", "0.0.0.0", 1, LISTEN)])
    folded.fold.add([again, folded.row("192.0.2.1", "198.51.100.8", 6), again])
    folded.fold.add([again])
    assert folded.clients() == {"0.0.0.0:80": (2, Counter({"198.51.100.7": 1, "198.51.100.8": 1}))}


def test_not_yet_accepted() -> None:
    """Connections without an inode are as many as there are rows."""
    folded = Folded(messages.ENCODING)
    waiting = folded.row("192.0.2.1", "198.51.100.7", 0)
    folded.fold.add([folded.row("0.0.0.0", "0.0.0.0", 1, LISTEN)])
    folded.fold.add([waiting, waiting])
    assert folded.clients() == {"0.0.0.0:80": (1, Counter({"198.51.100.7": 2}))}


def test_batches_are_settled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for its listener doesn't grow with the table."""
    monkeypatch.setattr("zabbix_sockets.collector.row_clients.MAX_DISTINCT", 10)
    folded = Folded(messages.ENCODING)
    folded.fold.add([folded.row("0.0.0.0", "0.0.0.0", 1, LISTEN)])
    for at in range(100):
        folded.fold.add([folded.row("192.0.2.1", f"198.51.100.{at}", 2 + at)])
        assert folded.fold._clients
        assert len(folded.fold._clients._counted) <= 10
    assert folded.clients()["0.0.0.0:80"][0] == 100
