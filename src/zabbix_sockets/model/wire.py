"""The words of the readers: the kernel's states and tables, and rows of sockets. No I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple


class TcpState(IntEnum):
    """The kernel's socket states (include/net/tcp_states.h); UDP uses two of them."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


TCP_STATES = {int(state): state.name.lower() for state in TcpState}
UDP_STATES = {TcpState.ESTABLISHED.value: "connected", TcpState.CLOSE.value: "bound"}
PROTOCOLS = ("tcp", "udp")


def state_name(protocol: str, state: int) -> str:
    """Return the name of *state*; kernel enums grow, so an unknown one is `state_13`."""
    names = TCP_STATES if protocol == "tcp" else UDP_STATES
    return names.get(state) or f"state_{state}"


LISTENING = {"tcp": TcpState.LISTEN.value, "udp": TcpState.CLOSE.value}
"""By protocol, the state of listeners: listening TCP sockets, and UDP sockets that are bound and
not connected."""

LISTENING_MASK = {protocol: 1 << state for protocol, state in LISTENING.items()}
"""The same as masks of states."""

OWN_NETNS = 0
"""The caller's own network namespace; others have a number of the kernel's."""


class Table(NamedTuple):
    """One of the kernel's socket tables: a protocol and a family in a network namespace."""

    protocol: str
    family: int  # socket.AF_INET or AF_INET6
    netns: int = 0  # OWN_NETNS, or the number of another one

    def __str__(self) -> str:
        """Return the table's name in /proc/net."""
        return self.protocol if self.family == 2 else f"{self.protocol}6"  # noqa: PLR2004


TABLES = tuple(Table(protocol, family) for protocol in PROTOCOLS for family in (2, 10))
"""All that are read of a namespace; 2 and 10 are AF_INET and AF_INET6."""

AddressToken = bytes | str

Row = tuple[int, int, int, AddressToken, AddressToken, int, int, int, int, int]
"""A socket as readers yield it: state, local port, remote port, local address, remote
address, interface index (0: not bound to a device), receive queue, send queue, uid, inode.

Ports and addresses are tokens of the reader's own encoding: hashing them needs no decoding,
and only distinct ones are ever decoded. A listener's queues are the accept queue and its
backlog, in connections; backlog -1 is unknown."""


ListeningEnd = tuple[int, AddressToken]
"""Port and address of a listener."""

WholeRow = tuple[Row, bytes]
"""A row, and the netlink message that it is from; empty from procfs."""

ChosenRows = tuple[Iterable[ListeningEnd], Iterable[WholeRow]]
"""Listeners, chosen or not, for the directions of what comes; and the rows that are chosen."""


class Encoding(NamedTuple):
    """How a reader writes addresses and ports in its rows."""

    address: Callable[[AddressToken], bytes]  # to 4 or 16 bytes in network order
    port: Callable[[int], int]  # to the port's number; its own inverse
    wildcard: Mapping[int, AddressToken]  # family: the token of 0.0.0.0 or ::


class TableRead(NamedTuple):
    """A table being read: batches of rows, listeners (UDP: bound sockets) first."""

    encoding: Encoding
    batches: Iterator[Iterable[Row]]
