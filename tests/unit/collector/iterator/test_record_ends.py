"""Whose connection a BPF record is of, and where it goes to: each kind, family and direction."""

from __future__ import annotations

import socket
from functools import partial
from typing import NoReturn
from unittest import mock

import pytest

from zabbix_sockets.collector.iterator import record_fold
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.snapshot import INBOUND, OUTBOUND, UNKNOWN, Connection, ListenerSocket
from zabbix_sockets.readers.bpf import records as bpf

from .folded import NETNS, OTHER, fold, moved, new_fold, pack

ESTABLISHED, CLOSE_WAIT, LISTEN, CLOSE = 1, 8, 10, 7
EPHEMERAL, FIXED = 150, 22  # the kernel picks 100 to 199 here (folded.PORTS)


def packed(text: str) -> bytes:
    """Return an address as the kernel has it."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


LOCAL, REMOTE = packed("10.0.0.1"), packed("192.0.2.9")
LOCAL6, REMOTE6 = packed("fd00::1"), packed("2001:db8::9")
MAPPED = packed("::ffff:192.0.2.9")
SOURCE = fold_address(LOCAL)
V4_LOCAL = LOCAL + bytes(12)
V4_ENDS = REMOTE + LOCAL + bytes(8)

inbound = partial(pack, kind=bpf.KIND_INBOUND, local_port=FIXED)
outbound = partial(pack, kind=bpf.KIND_OUTBOUND, remote_port=443)
undecided = partial(pack, kind=bpf.KIND_UNDECIDED)
listening = partial(pack, kind=bpf.KIND_LISTENER, state=LISTEN, local_port=FIXED, inode=1)
LISTENING = (
    listening(address=V4_LOCAL),
    listening(address=LOCAL6, flags=bpf.IPV6, inode=2),
    listening(address=bytes(16), flags=bpf.IPV6, local_port=80, inode=3),
)


def device_name(netns: int, index: int) -> str:
    """Tell which namespace's device was asked for."""
    return f"{netns}/{index}" if index else ""


def connections(*data: bytes) -> dict[Connection, int]:
    """Return the connections of records, each with their owner's number set to 1."""
    found = moved(fold([*data]), device_name).connections
    return {each._replace(owner=1): count for each, count in found.items()}


made = partial(Connection, "tcp", 0, 1)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (inbound(address=V4_LOCAL), made(ESTABLISHED, INBOUND, LOCAL, FIXED)),
        (inbound(address=V4_LOCAL, bound=3), made(ESTABLISHED, INBOUND, LOCAL, FIXED, "0/3")),
        (inbound(address=LOCAL6, flags=bpf.IPV6), made(ESTABLISHED, INBOUND, LOCAL6, FIXED)),
        (
            inbound(address=LOCAL6, flags=bpf.IPV6, local_port=80, bound=4),
            made(ESTABLISHED, INBOUND, bytes(16), 80, "0/4"),
        ),
        (inbound(address=REMOTE + bytes(12)), made(ESTABLISHED, INBOUND)),  # none listens there
        (inbound(address=V4_LOCAL, local_port=80), made(ESTABLISHED, INBOUND)),  # nor over IPv4
        (
            inbound(address=V4_ENDS, state=CLOSE_WAIT, requests_or_device=5),
            made(CLOSE_WAIT, INBOUND, LOCAL, FIXED, "0/5", remote=REMOTE),
        ),
        (
            inbound(address=REMOTE6, bound=fold_address(LOCAL6), flags=bpf.IPV6, state=CLOSE_WAIT),
            made(CLOSE_WAIT, INBOUND, LOCAL6, FIXED, remote=REMOTE6),
        ),
        (
            inbound(address=MAPPED, bound=77, flags=bpf.IPV6, state=CLOSE_WAIT, local_port=80),
            made(CLOSE_WAIT, INBOUND, bytes(16), 80, remote=REMOTE),
        ),
        (
            inbound(address=V4_ENDS, state=CLOSE_WAIT, local_port=81),
            made(CLOSE_WAIT, INBOUND, remote=REMOTE),
        ),
        (
            outbound(address=V4_ENDS, requests_or_device=6),
            made(
                ESTABLISHED,
                OUTBOUND,
                REMOTE,
                443,
                "0/6",
                source=SOURCE,
                ephemeral=True,
            ),
        ),
        (
            outbound(address=V4_ENDS, state=CLOSE_WAIT),
            made(CLOSE_WAIT, OUTBOUND, REMOTE, 443, source=SOURCE, ephemeral=True),
        ),
        (
            outbound(address=REMOTE6, bound=77, flags=bpf.IPV6),
            made(ESTABLISHED, OUTBOUND, REMOTE6, 443, source=77, ephemeral=True),
        ),
        (
            outbound(address=MAPPED, bound=77, flags=bpf.IPV6),
            made(ESTABLISHED, OUTBOUND, REMOTE, 443, source=77, ephemeral=True),
        ),
        (
            undecided(address=V4_ENDS, local_port=EPHEMERAL, remote_port=EPHEMERAL),
            made(ESTABLISHED, OUTBOUND, REMOTE, EPHEMERAL, source=SOURCE, ephemeral=True),
        ),
        (
            undecided(address=V4_ENDS, local_port=21, remote_port=443),
            made(ESTABLISHED, OUTBOUND, REMOTE, 443, source=SOURCE),
        ),
        (
            undecided(address=V4_ENDS, local_port=21, remote_port=EPHEMERAL),
            made(ESTABLISHED, UNKNOWN),
        ),
        (
            undecided(address=V4_ENDS, local_port=21, remote_port=EPHEMERAL, state=CLOSE_WAIT),
            made(CLOSE_WAIT, UNKNOWN, remote=REMOTE),
        ),
        (
            undecided(address=V4_ENDS, local_port=FIXED, remote_port=443),
            made(ESTABLISHED, INBOUND, LOCAL, FIXED),
        ),
        (
            undecided(
                address=REMOTE6,
                bound=fold_address(LOCAL6),
                flags=bpf.IPV6,
                local_port=FIXED,
                remote_port=443,
            ),
            made(ESTABLISHED, INBOUND, LOCAL6, FIXED),
        ),
    ],
)
def test_connection(record: bytes, expected: Connection) -> None:
    """A record comes to this connection, beside listeners on two addresses and the wildcard."""
    assert connections(*LISTENING, record, record) == {expected: 2}


def test_ends_of_another_namespace() -> None:
    """Its listeners and devices are its own."""
    data = [
        listening(address=V4_LOCAL, netns=OTHER),
        inbound(address=V4_LOCAL, bound=3, netns=OTHER),
        outbound(address=V4_ENDS, requests_or_device=4, netns=OTHER),
    ]
    assert connections(*data) == {
        Connection("tcp", OTHER, 1, ESTABLISHED, INBOUND, LOCAL, FIXED, f"{OTHER}/3"): 1,
        Connection(
            "tcp", OTHER, 1, ESTABLISHED, OUTBOUND, REMOTE, 443, f"{OTHER}/4",
            source=SOURCE, ephemeral=True,
        ): 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (  # a proxy that takes any address
            [inbound(address=bytes((10, 0, 0, last)) + bytes(12)) for last in (7, 8, 9)],
            made(ESTABLISHED, INBOUND),
        ),
        (
            [
                inbound(address=bytes((10, 9, 9, last)) + LOCAL + bytes(8), state=CLOSE_WAIT)
                for last in (7, 8, 9)
            ],
            made(CLOSE_WAIT, INBOUND),
        ),
        (
            [
                inbound(
                    address=REMOTE6[:15] + bytes((last,)),
                    bound=fold_address(LOCAL6),
                    flags=bpf.IPV6,
                    state=CLOSE_WAIT,
                )
                for last in (7, 8, 9)
            ],
            made(CLOSE_WAIT, INBOUND),
        ),
        (
            [outbound(address=bytes((10, 9, 9, last)) + LOCAL + bytes(8)) for last in (7, 8, 9)],
            made(ESTABLISHED, OUTBOUND),
        ),
        (
            [
                undecided(
                    address=bytes((10, 9, 9, last)) + LOCAL + bytes(8),
                    local_port=FIXED,
                    remote_port=last,
                )
                for last in (7, 8, 9)
            ],
            made(ESTABLISHED, INBOUND, LOCAL, FIXED),
        ),
        (
            [
                undecided(
                    address=REMOTE6[:15] + bytes((last,)),
                    bound=fold_address(LOCAL6),
                    flags=bpf.IPV6,
                    local_port=FIXED,
                    remote_port=last,
                )
                for last in (7, 8, 9)
            ],
            made(ESTABLISHED, INBOUND, LOCAL6, FIXED),
        ),
        (
            [
                undecided(
                    address=bytes((10, 9, 9, last)) + LOCAL + bytes(8),
                    local_port=21,
                    remote_port=EPHEMERAL + last,
                )
                for last in (7, 8, 9)
            ],
            made(ESTABLISHED, UNKNOWN),
        ),
        (
            [
                undecided(
                    address=bytes((10, 9, 9, last)) + LOCAL + bytes(8),
                    local_port=21,
                    remote_port=last,
                )
                for last in (7, 8, 9)
            ],
            made(ESTABLISHED, OUTBOUND),
        ),
    ],
)
def test_beyond_the_bound_on_endpoints(records: list[bytes], expected: Connection) -> None:
    """What has no room counts with its direction; what the kernel leaves open is its listener's."""
    with mock.patch.object(record_fold, "MAX_ENDPOINTS", 0):
        found = connections(*LISTENING, *records)
    assert {each._replace(remote=None): count for each, count in found.items()} == {expected: 3}


def test_listeners() -> None:
    """Address, device and queues of each family and protocol."""
    data = [
        listening(address=V4_LOCAL, bound=3, recv=2, send=5),
        listening(address=LOCAL6, flags=bpf.IPV6, netns=OTHER, bound=4, inode=2, recv=1, send=9),
        pack(
            kind=bpf.KIND_LISTENER,
            protocol=17,
            state=CLOSE,
            local_port=53,
            address=V4_LOCAL,
            recv=700,
            inode=3,
        ),
    ]
    found = [each._replace(owner=1) for each in moved(fold(data), device_name).listeners]
    assert sorted(found) == [
        ListenerSocket("tcp", 0, LOCAL, FIXED, "0/3", 1, 2, 5, None, 0),
        ListenerSocket("tcp", OTHER, LOCAL6, FIXED, f"{OTHER}/4", 1, 1, 9, None, 0),
        ListenerSocket("udp", 0, LOCAL, 53, "", 1, None, None, 700, 0),
    ]


def test_requests_of_other_namespaces() -> None:
    """Each TCP listener there tells its own; those of the own namespace are asked for apart."""
    udp = partial(pack, kind=bpf.KIND_LISTENER, protocol=17, state=CLOSE, local_port=53)
    data = [
        listening(address=V4_LOCAL, requests_or_device=7),
        listening(address=V4_LOCAL, netns=OTHER, inode=2, requests_or_device=4),
        listening(address=LOCAL6, flags=bpf.IPV6, netns=OTHER, inode=3),
        udp(netns=OTHER, inode=4, requests_or_device=9),
    ]
    folded = fold(data)
    moved(folded)
    assert [(each.netns, each.address, count) for each, count in folded.requests] == [
        (OTHER, LOCAL, 4)
    ]


def test_uid_of_an_owner() -> None:
    """It is the lowest of what it holds, whatever that is."""
    for data in (
        [listening(uid=1000)],
        [inbound(address=V4_ENDS, state=CLOSE_WAIT, uid=1000)],
        [outbound(uid=1000)],
        [listening(uid=2000), inbound(address=V4_ENDS, state=CLOSE_WAIT, uid=1000)],
        [outbound(uid=1000), listening(uid=2000)],
    ):
        assert list(moved(fold(data)).uids.values()) == [1000]


def test_equal_listeners() -> None:
    """Descriptors of one process, each a socket of its own: SO_REUSEPORT."""
    assert len(moved(fold([listening(address=V4_LOCAL)] * 3)).listeners) == 3


def refuses(program: str) -> NoReturn:
    """Be a host on which nobody tells how many descriptors a process has."""
    raise SourceUnavailableError(program)


def test_descriptor_limits() -> None:
    """Each process has its own; one without a limit has none."""
    data = [pack(pid=1, limit=64), pack(pid=2), pack(pid=3, limit=1024)]
    folded = new_fold(bpf.Processes(refuses, Deadline(1e6)))
    folded.add(data)
    limits = {folded.owners.processes[at].pid: each for at, each in folded.fds_limits.items()}
    assert limits == {1: 64, 3: 1024}


def test_drops_of_another_namespace() -> None:
    """They are that namespace's."""
    udp = partial(
        pack, kind=bpf.KIND_LISTENER, protocol=17, state=CLOSE, local_port=53, netns=OTHER
    )
    data = [udp(inode=4), udp(netns=OTHER, flags=bpf.DROPS, recv=6, requests_or_device=3)]
    snapshot = moved(fold(data))
    (owner,) = snapshot.uids
    assert snapshot.drops == {(owner, OTHER): 6}


def test_own_namespace_has_no_number() -> None:
    """Whatever number the kernel gives it."""
    assert {each.netns for each in connections(outbound(netns=NETNS))} == {0}
