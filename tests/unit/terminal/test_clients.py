"""`show clients`: single sockets added up by listener and remote address."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.socket import Socket, TcpInfo
from zabbix_sockets.terminal.client_changes import ClientChanges
from zabbix_sockets.terminal.clients import (
    Client,
    ClientKey,
    ClientsByAddress,
    Wanted,
    check_client_sort,
    client_json,
    client_rows,
    clients_in_order,
    omitted_client_columns,
    parse_listener,
    render_clients,
)
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import Moment

PLAIN = Style(colours=False, width=None)
LISTEN, CLOSE_WAIT, FIN_WAIT2, CLOSING = 10, 8, 5, 11


def ip(text: str) -> bytes:
    """Return a packed address."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def connection(
    remote: str, cookie: int, local: str = "0.0.0.0", state: int = 1, **fields: Any
) -> Socket:
    """Return a connection to port 80 of the listener on *local*; *fields* are of tcp_info too."""
    info = {name: fields.pop(name) for name in list(fields) if name in TcpInfo._fields}
    address = ip(local)
    return Socket(
        protocol="tcp",
        family=socket.AF_INET,
        netns=fields.pop("netns", ""),
        state=state,
        direction="inbound",
        local_address=address,
        local_port=80,
        remote_address=ip(remote),
        remote_port=40_000 + cookie,
        device=fields.pop("device", ""),
        owners=(),
        uid=0,
        inode=cookie,
        cookie=cookie,
        listener=address,
        tcp_info=TcpInfo(**info) if info else None,
        **fields,
    )


def listening(local: str = "0.0.0.0", **fields: Any) -> Socket:
    """Return the listener on *local*."""
    return connection("0.0.0.0", 1, local, LISTEN, **fields)._replace(listener=None)


def by_key(*sockets: Socket) -> dict[ClientKey, Client]:
    """Return the clients of these sockets."""
    clients = ClientsByAddress()
    for each in sockets:
        clients.add(each)
    return clients.by_key


def test_by_listener_and_address() -> None:
    """Most connections first; states are called as a listener's row calls them."""
    rows = map(
        client_json,
        client_rows(
            by_key(
                listening(),
                listening("127.0.0.1"),
                connection("192.0.2.1", 2),
                connection("192.0.2.2", 3, rtt_us=100, bytes_sent=5, bytes_received=7),
                connection("192.0.2.2", 4, rtt_us=300, bytes_sent=50, bytes_received=70),
                connection("192.0.2.2", 5, state=FIN_WAIT2, rtt_us=9),
                connection("192.0.2.2", 6, state=CLOSING),
                connection("127.0.0.9", 7, "127.0.0.1", CLOSE_WAIT),
            )
        ).values(),
    )
    assert list(rows) == [
        {
            "listener": "tcp/0.0.0.0:80",
            "address": "192.0.2.2",
            "connections": 4,
            "states": {"established": 2, "fin_wait": 2},
            "rtt_us": {"p50": 100, "p95": 300, "max": 300},
            "bytes_sent": 55,
            "bytes_received": 77,
        },
        {
            "listener": "tcp/0.0.0.0:80",
            "address": "192.0.2.1",
            "connections": 1,
            "states": {"established": 1},
        },
        {
            "listener": "tcp/127.0.0.1:80",
            "address": "127.0.0.9",
            "connections": 1,
            "states": {"close_wait": 1},
        },
    ]


def test_others_are_left_out() -> None:
    """Upstreams, UDP, and connections whose listener has closed are nobody's clients."""
    upstream = connection("192.0.2.1", 2)._replace(listener=None, direction="outbound")
    udp = connection("192.0.2.1", 3)._replace(protocol="udp")
    assert by_key(listening(), upstream, udp) == {}


def test_ids() -> None:
    """They are those of `show listeners`: with device, namespace, and mapped clients as IPv4."""
    found = by_key(
        listening(device="red"),
        connection("192.0.2.1", 2, device="red"),
        connection("192.0.2.1", 3, device="blue"),
        connection("::ffff:192.0.2.1", 4, "::", netns="shop (net:[1])"),
    )
    assert set(found) == {
        ("tcp/0.0.0.0%red:80", ip("192.0.2.1")),
        ("tcp/0.0.0.0:80", ip("192.0.2.1")),
        ("tcp/[::]:80@shop (net:[1])", ip("192.0.2.1")),
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Wanted()),
        ("443", Wanted(port=443)),
        (":443", Wanted(port=443)),
        ("tcp/[::]:443@web", Wanted(id="tcp/[::]:443@web")),
    ],
)
def test_listeners_by_name(text: str, wanted: Wanted) -> None:
    """An id, a port, or all."""
    assert parse_listener(text) == wanted


@pytest.mark.parametrize("text", ["::443", "-1", "+443", "4 4", "0", "65536", "x", "tcp/", "udp/x"])
def test_what_is_no_listener(text: str) -> None:
    """Anything else is wrong usage, and the hint says what is right."""
    with pytest.raises(UsageError) as caught:
        parse_listener(text)
    assert "show listeners" in str(caught.value.hint)


def test_which_are_wanted() -> None:
    """A port is that of any address and namespace; an id is one listener's alone."""
    ids = ["tcp/0.0.0.0:443", "tcp/[::]:443@web", "tcp/0.0.0.0:8443", "tcp/1.2.3.4:80@x:443"]
    assert [each for each in ids if Wanted(port=443).matches(each)] == ids[:2]
    assert [each for each in ids if Wanted(id=ids[1]).matches(each)] == ids[1:2]
    assert all(map(Wanted().matches, ids))


def changes(before: dict[ClientKey, Client], now: dict[ClientKey, Client]) -> ClientChanges:
    """Return what has changed within two seconds."""
    return ClientChanges("", True, Moment(1, 1, before), Moment(3, 3, now))


def test_bytes_per_second() -> None:
    """What known connections carried since, and all of new ones; nothing of what is gone."""
    before = by_key(
        connection("192.0.2.1", 2, bytes_sent=1000, bytes_received=10),
        connection("192.0.2.1", 3, bytes_sent=9999, bytes_received=9999),
        connection("192.0.2.9", 4, bytes_sent=1, bytes_received=1),
    )
    now = by_key(
        connection("192.0.2.1", 2, bytes_sent=3000, bytes_received=10),
        connection("192.0.2.1", 5, bytes_sent=500, bytes_received=100),
        connection("192.0.2.3", 6, bytes_sent=20, bytes_received=0),
        connection("192.0.2.4", 7),
    )
    changed = changes(before, now)
    rows = {row["address"]: row for row in changed.json_rows()}
    assert rows["192.0.2.1"]["rates"] == {"sent_bytes_per_s": 1250, "received_bytes_per_s": 50}
    assert rows["192.0.2.3"]["change"] == "new"
    assert rows["192.0.2.3"]["rates"] == {"sent_bytes_per_s": 10, "received_bytes_per_s": 0}
    assert "rates" not in rows["192.0.2.4"]
    assert (rows["192.0.2.9"]["change"], rows["192.0.2.9"].get("rates")) == ("gone", None)
    assert changed.counts() == (3, 2, 1)


def test_the_first_moment() -> None:
    """Nothing is new before there was another one."""
    now = by_key(connection("192.0.2.1", 2, bytes_sent=1, bytes_received=1))
    (row,) = ClientChanges("", False, None, Moment(1, 1, now)).json_rows()
    assert not row.keys() & {"change", "rates"}


def test_table_within_its_room() -> None:
    """The first rows, and how many have none."""
    now = by_key(*(connection(f"192.0.2.{at}", at) for at in range(1, 10)))
    table = changes({}, now).table(PLAIN, 4)
    assert (len(table.text.splitlines()), table.left_out) == (5, 5)
    assert table.text.splitlines()[1].startswith("+  tcp/0.0.0.0:80  192.0.2.1")


def test_columns() -> None:
    """They say what the rows have; a narrow terminal drops those that tell least."""
    rows = list(
        client_rows(
            by_key(connection("192.0.2.1", 2, rtt_us=1500, bytes_sent=1, bytes_received=2))
        ).values()
    )
    text = render_clients(rows, PLAIN, with_listener=False)
    assert text.splitlines()[0].split() == [
        *("CLIENT", "CONNS", "ESTAB", "SYN-RECV", "CLOSE-WAIT", "FIN-WAIT", "LAST-ACK"),
        *("TIME-WAIT", "RTT-P50", "RTT-MAX"),
    ]
    assert text.splitlines()[1].split() == ["192.0.2.1", *"1100000", "1.5ms", "1.5ms"]
    narrow = omitted_client_columns(rows, Style(colours=False, width=45), with_listener=False)
    assert {"LAST-ACK", "FIN-WAIT", "RTT-MAX"} <= set(narrow)
    assert "ESTAB" not in narrow


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("", "192.0.2.2"),
        ("time-wait", "192.0.2.1"),
        ("RTT-P50", "192.0.2.3"),
        ("client", "192.0.2.1"),
    ],
)
def test_sort(sort: str, first: str) -> None:
    """By any column, the greatest first, texts as in a dictionary."""
    rows = client_rows(
        by_key(
            connection("192.0.2.2", 2),
            connection("192.0.2.2", 3),
            connection("192.0.2.1", 4, state=6),
            connection("192.0.2.3", 5, rtt_us=7),
        )
    )
    assert clients_in_order(rows.values(), sort)[0].address == first


def test_columns_to_sort_by() -> None:
    """One that there is not, or only with --interval, is wrong usage."""
    check_client_sort("SENT/S", has_rates=True)
    check_client_sort("close-wait", has_rates=False)
    with pytest.raises(UsageError, match="is for --interval"):
        check_client_sort("sent/s", has_rates=False)
    with pytest.raises(UsageError, match="no column 'bogus' of clients: it is one of listener, "):
        check_client_sort("bogus", has_rates=True)
