"""`show clients`: the remote ends of listeners' connections, added up by address, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from zabbix_sockets.document.row import end_id
from zabbix_sockets.model.addresses import format_address, unmapped
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.model.wire import TcpState, state_name
from zabbix_sockets.terminal.layout import (
    Column,
    Style,
    columns_that_fit,
    render_table,
    shown_bytes,
    shown_us,
    sorted_by,
)
from zabbix_sockets.terminal.sockets import change_mark

ClientKey = tuple[str, bytes]
"""The id of a listener, and a remote address."""

_MAPPED = {"fin_wait1": "fin_wait", "fin_wait2": "fin_wait", "closing": "fin_wait"}
"""The states that a listener's row adds up, by the kernel's names."""


class Carried(NamedTuple):
    """The payload that a connection has carried since it began, in bytes."""

    sent: int
    received: int


class Client:
    """One remote address with connections to one listener.

    Attributes:
        states: the number of connections by state, as rows of listeners call it.
        rtts_us: the round-trip times of those established, in microseconds, as far as known.
        carried: what each connection has carried, by the kernel's cookie of its socket.
    """

    __slots__ = ("carried", "rtts_us", "states")

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.rtts_us: list[int] = []
        self.carried: dict[int, Carried] = {}

    def add(self, socket: Socket) -> None:
        """Add a connection."""
        name = state_name(socket.protocol, socket.state)
        name = _MAPPED.get(name, name)
        self.states[name] = self.states.get(name, 0) + 1
        info = socket.tcp_info
        if info is None:
            return
        if info.rtt_us is not None and socket.state == TcpState.ESTABLISHED:
            self.rtts_us.append(info.rtt_us)
        if socket.cookie and info.bytes_sent is not None and info.bytes_received is not None:
            self.carried[socket.cookie] = Carried(info.bytes_sent, info.bytes_received)

    def rates_since(self, before: Client | None, seconds: float) -> dict[str, float]:
        """Return the bytes per second that its connections have carried since *before*.

        Those that it didn't have then began later, so all of theirs count. Empty where nothing is
        known of any.
        """
        if seconds <= 0 or not self.carried:
            return {}
        sent = received = 0
        for cookie, now in self.carried.items():
            earlier = before.carried.get(cookie, Carried(0, 0)) if before else Carried(0, 0)
            sent += now.sent - earlier.sent
            received += now.received - earlier.received
        return {
            "sent_bytes_per_s": round(sent / seconds, 3),
            "received_bytes_per_s": round(received / seconds, 3),
        }


class ClientsByAddress:
    """The clients of listeners, of single sockets.

    Attributes:
        by_key: the clients by listener and remote address.
        listeners: the ids of the listeners among the sockets.
    """

    def __init__(self) -> None:
        self.by_key: dict[ClientKey, Client] = {}
        self.listeners: set[str] = set()

    def add(self, socket: Socket) -> None:
        """Add a socket: a TCP listener, or a connection that one has accepted; leave out others.

        The listeners of a namespace come before its connections.
        """
        if socket.protocol != "tcp":
            return
        port, netns, device = socket.local_port, socket.netns, socket.device or ""
        if socket.state == TcpState.LISTEN:
            self.listeners.add(end_id("tcp", socket.local_address, port, device, netns))
        elif socket.listener is not None:
            found = end_id("tcp", socket.listener, port, device, netns)
            if device and found not in self.listeners:  # a listener on all devices
                found = end_id("tcp", socket.listener, port, "", netns)
            key = found, unmapped(socket.remote_address)
            client = self.by_key.get(key)
            if client is None:
                client = self.by_key[key] = Client()
            client.add(socket)


class Wanted(NamedTuple):
    """The listeners whose clients are asked for: one by its id, those on a port, or all.

    Attributes:
        id: the id; empty: any.
        port: the port; 0: any.
    """

    id: str = ""
    port: int = 0

    def matches(self, listener: str) -> bool:
        """Whether the listener of that id is meant."""
        if self.id:
            return listener == self.id
        endpoint, _, _ = listener.partition("@")
        return not self.port or endpoint.endswith(f":{self.port}")


def parse_listener(text: str) -> Wanted:
    """Return the listeners that an argument names: `tcp/0.0.0.0:443`, `:443` or `443`; empty: all.

    Raises:
        UsageError: it is none of these.
    """
    hint = "zabbix-sockets show listeners has their ids; a port alone is all that listen on it"
    if not text:
        return Wanted()
    if text.startswith("tcp/") and len(text) > len("tcp/"):
        return Wanted(id=text)
    if text.startswith("udp/"):
        raise UsageError(f"{text!r}: only of TCP it is known who comes to a listener", hint)
    digits = text.removeprefix(":")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) <= 65535:  # noqa: PLR2004  # a port's
        return Wanted(port=int(digits))
    raise UsageError(f"{text[:100]!r} is no listener's id, and no port", hint)


class RoundTripTimes(NamedTuple):
    """The quantiles of round-trip times, and the longest, in microseconds."""

    p50: int
    p95: int
    max: int


class ClientRow(NamedTuple):
    """A row of the table, and an object of `show clients --json`.

    Attributes:
        listener: the id of the listener.
        address: the remote address as text.
        connections: their number, *states* by state.
        rtt_us: of those established; None where unknown.
        bytes_sent, bytes_received: what its open connections have carried; None where unknown.
        change: NEW or GONE (terminal.monitor), compared with the moment before; else None.
        rates: bytes per second since the moment before, by name; None where unknown.
    """

    listener: str
    address: str
    connections: int
    states: dict[str, int]
    rtt_us: RoundTripTimes | None = None
    bytes_sent: int | None = None
    bytes_received: int | None = None
    change: str | None = None
    rates: Mapping[str, float] | None = None


def client_rows(clients: Mapping[ClientKey, Client]) -> dict[ClientKey, ClientRow]:
    """Return the rows of the clients, most connections first."""
    rows = {(listener, at): _row(listener, at, each) for (listener, at), each in clients.items()}
    return dict(sorted(rows.items(), key=lambda item: _usual(item[1])))


def _row(listener: str, address: bytes, client: Client) -> ClientRow:
    states = dict(sorted(client.states.items()))
    row = ClientRow(listener, format_address(address), sum(states.values()), states)
    if client.rtts_us:
        times = sorted(client.rtts_us)
        p50, p95 = times[(len(times) - 1) // 2], times[(len(times) * 95 - 1) // 100]
        row = row._replace(rtt_us=RoundTripTimes(p50, p95, times[-1]))
    if client.carried:
        sent = sum(each.sent for each in client.carried.values())
        received = sum(each.received for each in client.carried.values())
        row = row._replace(bytes_sent=sent, bytes_received=received)
    return row


def _usual(row: ClientRow) -> tuple[int, str, str]:
    return -row.connections, row.listener, row.address


def client_json(row: ClientRow) -> dict[str, object]:
    """Return a row as the object of `show clients --json`; what is unknown is not in it."""
    content = {name: value for name, value in row._asdict().items() if value is not None}
    if row.rtt_us:
        content["rtt_us"] = row.rtt_us._asdict()
    return content


def _in_state(title: str, state: str, optional: int = 0) -> Column[ClientRow]:
    """Return the column of the connections in a state."""
    return Column(title, lambda row: row.states.get(state, 0), right=True, optional=optional)


def _round_trips(title: str, name: str, optional: int) -> Column[ClientRow]:
    """Return the column of one of the figures of RoundTripTimes."""

    def value(row: ClientRow) -> int | None:
        return getattr(row.rtt_us, name, None)

    def cell(row: ClientRow) -> str:
        microseconds = value(row)
        return "-" if microseconds is None else shown_us(microseconds)

    return Column(title, cell, right=True, optional=optional, value=lambda row: value(row) or 0)


def _rate(title: str, name: str) -> Column[ClientRow]:
    """Return the column of a rate of bytes."""

    def value(row: ClientRow) -> float | None:
        return row.rates.get(name) if row.rates else None

    def cell(row: ClientRow) -> str:
        rate = value(row)
        return "-" if rate is None else shown_bytes(rate)

    return Column(title, cell, right=True, optional=1, value=lambda row: value(row) or 0)


_LISTENER = Column[ClientRow](
    "LISTENER", lambda row: row.listener, shrinks=True, port=True, readable=24
)
_COLUMNS = (
    Column[ClientRow]("CLIENT", lambda row: row.address, shrinks=True, readable=24),
    Column[ClientRow]("CONNS", lambda row: row.connections, right=True),
    _in_state("ESTAB", "established"),
    _in_state("SYN-RECV", "syn_recv", optional=5),
    _in_state("CLOSE-WAIT", "close_wait", optional=3),
    _in_state("FIN-WAIT", "fin_wait", optional=6),
    _in_state("LAST-ACK", "last_ack", optional=7),
    _in_state("TIME-WAIT", "time_wait", optional=4),
)
_ROUND_TRIPS = (_round_trips("RTT-P50", "p50", 2), _round_trips("RTT-MAX", "max", 8))
_RATES = (_rate("SENT/S", "sent_bytes_per_s"), _rate("RECV/S", "received_bytes_per_s"))
_CHANGE = Column[ClientRow]("", lambda row: change_mark(row.change))


def client_sort_words(*, has_rates: bool = True) -> tuple[str, ...]:
    """Return the titles of the columns that clients may be sorted by, in lower case."""
    columns = (_LISTENER, *_COLUMNS, *_ROUND_TRIPS, *(_RATES if has_rates else ()))
    return tuple(column.title.lower() for column in columns)


def check_client_sort(title: str, *, has_rates: bool) -> None:
    """Check that *title* is that of a column of clients, whatever its case.

    Raises:
        UsageError: it is not; only with *has_rates* it may be one of bytes per second.
    """
    if title.lower() in client_sort_words(has_rates=has_rates):
        return
    if title.lower() in client_sort_words():
        raise UsageError(f"--sort {title} is for --interval")
    known = ", ".join(client_sort_words(has_rates=has_rates))
    raise UsageError(f"--sort: no column {title!r} of clients: it is one of {known}")


def clients_in_order(rows: Iterable[ClientRow], sort: str) -> list[ClientRow]:
    """Return the rows by the column *sort*, and equal ones as they came; empty: all of them."""
    columns = (_LISTENER, *_COLUMNS, *_ROUND_TRIPS, *_RATES)
    found = [column for column in columns if column.title == sort.upper()]
    return sorted_by(found[0], rows) if found else list(rows)


def render_clients(rows: Sequence[ClientRow], style: Style, *, with_listener: bool) -> str:
    """Return the rows of clients as the text of a table; *with_listener* they say whose."""
    return render_table(_columns(rows, with_listener=with_listener), rows, style)


def omitted_client_columns(
    rows: Sequence[ClientRow], style: Style, *, with_listener: bool
) -> list[str]:
    """Return the titles of the columns that render_clients() leaves out for want of room."""
    columns = _columns(rows, with_listener=with_listener)
    kept = columns_that_fit(columns, rows, style.width)
    return [column.title for column in columns if column not in kept]


def _columns(rows: Sequence[ClientRow], *, with_listener: bool) -> list[Column[ClientRow]]:
    """Return the columns that these rows fill."""
    return [
        *([_CHANGE] if any(row.change for row in rows) else ()),
        *([_LISTENER] if with_listener else ()),
        *_COLUMNS,
        *(_ROUND_TRIPS if any(row.rtt_us for row in rows) else ()),
        *(_RATES if any(row.rates for row in rows) else ()),
    ]
