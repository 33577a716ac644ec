"""Values that readers yield: the kernel's states and tables, and rows of sockets. No I/O."""

from _collections_abc import Callable, Mapping

from zabbix_sockets.model.light_typing import Final, NamedTuple, Union


class TcpState:
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


TCP_STATES: dict[int, str] = {
    number: name.lower() for name, number in vars(TcpState).items() if name.isupper()
}
UDP_STATES = {TcpState.ESTABLISHED: "connected", TcpState.CLOSE: "bound"}
UNIX_STATES = {TcpState.ESTABLISHED: "connected", TcpState.LISTEN: "listen"}
"""The names of states in the document, by the kernel's numbers."""
PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}
"""The kernel's numbers (IPPROTO_*, include/uapi/linux/in.h) of the protocols that are read, by
their names in Table."""
PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_NUMBERS.items()}
PROTOCOLS = tuple(PROTOCOL_NUMBERS)
"""The names of the protocols that are read."""


_STATES = {"tcp": TCP_STATES, "udp": UDP_STATES, "unix": UNIX_STATES}


def state_name(protocol: str, state: int) -> str:
    """Return the name of the kernel's *state* of a socket of *protocol*, tcp, udp or unix.

    Kernel enums grow: a number without a name is called such as `state_13`.
    """
    names = _STATES.get(protocol, UDP_STATES)
    return names.get(state) or f"state_{state}"


LISTENING = {
    "tcp": TcpState.LISTEN,
    "udp": TcpState.CLOSE,
    "unix": TcpState.LISTEN,
}
"""By protocol, the state of listeners: listening TCP sockets, and UDP sockets that are bound and
not connected."""

LISTENING_MASK = {protocol: 1 << state for protocol, state in LISTENING.items()}
"""The same as masks of states."""

OWN_NETNS = 0
"""The number of the caller's own network namespace; others have inode numbers, never 0."""


class Table(NamedTuple):
    """One of the kernel's socket tables: a protocol and a family in a network namespace."""

    protocol: str
    family: int  # socket.AF_INET or AF_INET6
    netns: int = 0  # OWN_NETNS, or the number of another one

    def __str__(self) -> str:
        """Return the table's name in /proc/net."""
        return self.protocol if self.family == 2 else f"{self.protocol}6"  # noqa: PLR2004


TABLES = tuple(Table(protocol, family) for protocol in PROTOCOLS for family in (2, 10))
"""The tables of the caller's own namespace; 2 and 10 are AF_INET and AF_INET6."""

AddressToken = Union[bytes, str]
"""An address as a reader found it, in its own Encoding."""

SocketRow = tuple[int, int, int, AddressToken, AddressToken, int, int, int, int, int]
"""A socket as readers yield it: state, local port, remote port, local address, remote
address, interface index (0: not bound to a device), receive queue, send queue, uid, inode.

Ports and addresses are tokens of the reader's own encoding: hashing them needs no decoding,
and only distinct ones are ever decoded. A listener's queues are the accept queue and its
backlog, in connections; backlog -1 is unknown."""

UnixRow = tuple[int, int, int, bytes, bytes, int, int, int, int]
"""A unix socket as readers yield it: type (SOCK_STREAM or SOCK_SEQPACKET), state (LISTEN or
ESTABLISHED), inode (0: not accepted yet), name (a path, or an abstract name behind a NUL; empty:
none), bytes that tell one bound name from an equal one (empty: unknown), inode of the peer (0:
unknown), receive queue, send queue, uid (each -1: unknown). A listener's queues are the accept
queue and its backlog."""

UNIX = "unix"
"""The protocol of unix sockets: in rows, and where a protocol is asked for."""
UNIX_TYPES = {1: "stream", 5: "seqpacket"}
"""The types of unix sockets that are read, by the kernel's numbers (SOCK_*)."""

STATE: Final = 0
LOCAL_PORT: Final = 1
LOCAL_ADDRESS: Final = 3
RECV_QUEUE: Final = 6
INODE: Final = 9
"""The indices of fields in a SocketRow. Hot loops have the numbers: names are looked up."""


Drops = dict[int, int]
"""The number of packets that the kernel dropped at a socket since that was made, by its inode.
Readers tell it of listeners and UDP sockets; those that are not in it are unknown."""


class Encoding(NamedTuple):
    """The functions that decode the addresses and ports of one reader's rows.

    Attributes:
        address: decodes a token to 4 or 16 bytes in network order.
        port: decodes a token to the port's number, and is its own inverse.
        wildcard: the token of 0.0.0.0 or ::, by family (AF_INET or AF_INET6).
    """

    address: Callable[[AddressToken], bytes]
    port: Callable[[int], int]
    wildcard: Mapping[int, AddressToken]
