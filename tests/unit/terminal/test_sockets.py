"""Single sockets: their table, their objects, which are shown."""

import socket

import pytest

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.snapshot import INBOUND
from zabbix_sockets.model.socket import Owner, Socket
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.sockets import (
    ALL_STATES,
    ShownSocket,
    check_states,
    render_sockets,
    socket_json,
    socket_order,
    wants_state,
)

PIPED = Style(colours=False, width=None)
LOCAL4, LOCAL6 = socket.inet_aton("127.0.0.1"), socket.inet_pton(socket.AF_INET6, "::1")
LISTENER = Socket(
    *("tcp", 2, "", 10, None, LOCAL4, 80, bytes(4), 0, ""),
    (Owner(7, "nginx"), Owner(9, "cache")),
    *(0, 500, None, None, 3, 128),
)
ACCEPTED = LISTENER._replace(
    state=1,
    direction=INBOUND,
    remote_address=LOCAL4,
    remote_port=40000,
    inode=501,
    recv_queue=11,
    send_queue=0,
    accept_queue=None,
    backlog=None,
)
UDP6 = Socket("udp", 10, "", 7, None, LOCAL6, 53, bytes(16), 0, "eth0", (), 33, 502, 0, 0)


def test_sockets_table() -> None:
    """Each socket shows its ends and every owner; a listener its accept queue and backlog."""
    sockets = [LISTENER, ACCEPTED, UDP6, LISTENER._replace(backlog=None)]
    rows = [ShownSocket(each) for each in sockets]
    lines = [line.split() for line in render_sockets(rows, PIPED).splitlines()]
    assert lines[1][:4] == ["tcp", "listen", "3", "128"]
    assert lines[1][4:] == ["127.0.0.1:80", "0.0.0.0:*", "nginx:7,cache:9"]
    assert lines[2][1:6] == ["established", "11", "0", "127.0.0.1:80", "127.0.0.1:40000"]
    assert lines[3] == ["udp", "bound", "0", "0", "[::1%eth0]:53", "[::]:*", "-"]
    assert lines[4][2:4] == ["3", "-"]


def test_socket_json() -> None:
    """A socket's object has the documented fields; a listener has no byte queues."""
    listener, accepted = socket_json(ShownSocket(LISTENER)), socket_json(ShownSocket(ACCEPTED))
    common = {
        *("protocol", "family", "state", "direction", "device", "netns", "owners", "uid"),
        *("local_address", "local_port", "remote_address", "remote_port"),
    }
    assert listener.keys() == common | {"accept_queue", "backlog"}
    assert accepted.keys() == common | {"recv_queue", "send_queue"}
    assert (listener["family"], socket_json(ShownSocket(UDP6))["family"]) == ("ipv4", "ipv6")
    assert (listener["direction"], accepted["direction"]) == (None, "inbound")
    assert listener["owners"] == [{"pid": 7, "name": "nginx"}, {"pid": 9, "name": "cache"}]


def test_unknown_device() -> None:
    """Where the source doesn't tell it, it is left out; empty is "not bound"."""
    unknown = ShownSocket(UDP6._replace(device=None))
    assert "device" not in socket_json(unknown)
    assert socket_json(ShownSocket(LISTENER))["device"] == ""
    row = render_sockets([unknown], PIPED).splitlines()[1].split()
    assert row[4:] == ["[::1]:53", "[::]:*", "-"]


def test_mapped_address_stays_as_it_is() -> None:
    """An IPv4-mapped address is shown as the IPv6 address that the socket has."""
    mapped = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1")
    row = socket_json(ShownSocket(UDP6._replace(local_address=mapped)))
    assert (row["family"], row["local_address"]) == ("ipv6", "::ffff:192.0.2.1")


def test_order() -> None:
    """TCP comes first, and listeners before connections."""
    listed = sorted([UDP6, ACCEPTED, LISTENER], key=socket_order)
    assert listed == [LISTENER, ACCEPTED, UDP6]


@pytest.mark.parametrize(
    ("protocol", "state", "wanted", "shown"),
    [
        ("tcp", 10, [], True),
        ("tcp", 1, [], True),
        ("tcp", 6, [], False),
        ("udp", 7, [], True),
        ("udp", 1, [], True),
        ("tcp", 6, ["time_wait"], True),
        ("tcp", 1, ["time_wait", "listen"], False),
        ("tcp", 10, ["time_wait", "listen"], True),
        ("udp", 1, ["established"], False),
        ("udp", 1, ["connected"], True),
        ("tcp", 13, ["all"], True),
    ],
)
def test_state_filter(protocol: str, state: int, wanted: list[str], shown: bool) -> None:
    """By default listening, established and UDP sockets are shown, else the states asked for."""
    check_states(wanted)
    assert wants_state(LISTENER._replace(protocol=protocol, state=state), wanted) == shown


@pytest.mark.parametrize("state", ["LISTEN", "", "state_13", "listen,established"])
def test_unknown_state(state: str) -> None:
    """A state that does not exist is wrong usage, and the message names those that do."""
    with pytest.raises(UsageError, match="it is one of all, established"):
        check_states(["listen", state])
    assert state not in ALL_STATES


OWN = Socket(
    *("tcp", 2, "", 10, None, bytes(4), 80, bytes(4), 0, ""),
    (Owner(7, "nginx"),),
    *(0, 500, None, None, 3, 128),
)


def test_column_of_sockets() -> None:
    """A socket's namespace is shown as soon as one is not the own."""
    other = OWN._replace(netns="net:[5]")
    assert "NETNS" not in render_sockets([ShownSocket(OWN)], PIPED)
    assert "NETNS" not in render_sockets([], PIPED)
    titles, *rows = (
        line.split()
        for line in render_sockets([ShownSocket(OWN), ShownSocket(other)], PIPED).splitlines()
    )
    assert titles[-2:] == ["NETNS", "PROCESS"]
    assert [row[-2:] for row in rows] == [["-", "nginx:7"], ["net:[5]", "nginx:7"]]


def test_own_sockets_come_first() -> None:
    """Sockets are listed namespace by namespace, the own one first."""
    sockets = [
        OWN._replace(netns=netns, protocol=protocol)
        for netns in ("web", "", "db")
        for protocol in ("udp", "tcp")
    ]
    listed = [(each.netns, each.protocol) for each in sorted(sockets, key=socket_order)]
    assert listed == [(netns, each) for netns in ("", "db", "web") for each in ("tcp", "udp")]
