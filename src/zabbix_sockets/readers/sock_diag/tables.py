"""Dumps of the kernel's TCP and UDP tables by NETLINK_SOCK_DIAG, without privilege.

A dump shows every socket of the network namespace in which the netlink socket was made,
whoever owns it. Source: sock_diag(7).
"""

from __future__ import annotations

import _socket
import os
from _collections_abc import Callable, Iterable, Iterator
from itertools import repeat

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import partial
from zabbix_sockets.model.light_typing import TypeVar
from zabbix_sockets.model.wire import LISTENING_MASK, Drops, SocketRow, Table, TcpState, UnixRow
from zabbix_sockets.readers.sock_diag.attributes import (
    INET_DIAG_CONG,
    INET_DIAG_INFO,
    INET_DIAG_SKMEMINFO,
)
from zabbix_sockets.readers.sock_diag.endpoints import Endpoints, decode_endpoints
from zabbix_sockets.readers.sock_diag.messages import (
    CgroupObserver,
    MeasuredBatch,
    decode_both,
    decode_datagram,
    decode_measured,
    decode_with_drops,
    decode_with_messages,
    encode_request,
    encode_request_for_both,
)

NETLINK_SOCK_DIAG = 4

# A listener is needed before the connections that it accepted, so listeners are asked for
# first. TCP has a table of its own for them, and only their messages have drops. TCP's CLOSE
# and BOUND_INACTIVE (bound, neither connected nor listening) are left out: no other source
# has them.
_CONNECTIONS = ~(1 << TcpState.LISTEN | 1 << TcpState.CLOSE | 1 << 13 | 1) & 0xFFFF
STATES = {
    "tcp": (LISTENING_MASK["tcp"], _CONNECTIONS),
    "udp": (LISTENING_MASK["udp"], 1 << TcpState.ESTABLISHED),
}
"""The dumps that read a protocol's table, each as a mask of the states of its sockets."""

_TCP_INFO = (INET_DIAG_INFO, INET_DIAG_CONG)
_MEMORY = (INET_DIAG_SKMEMINFO,)

# The kernel fills at most 32 KB of a larger buffer.
_BUFFER = 65536

Batch = TypeVar("Batch")
"""The rows of a run of messages, in the form that a decoder yields."""


def open_socket() -> _socket.socket:
    """Return a NETLINK_SOCK_DIAG socket of the caller's network namespace.

    Raises:
        SourceUnavailableError: the kernel or a sandbox forbids it.
    """
    try:
        sock = _socket.socket(
            _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
        )
    except OSError as error:
        raise SourceUnavailableError(
            f"no netlink socket: {os.strerror(error.errno or 0)}"
        ) from error
    return sock


def receive_dump(
    receive: Callable[[bytearray], int],
    decode: Callable[[memoryview], Iterator[Batch | None]],
) -> Iterator[Batch]:
    """Yield the batches that *decode* finds in the datagrams of one dump, up to its end.

    *receive* fills a buffer with a datagram and returns its size, 0 for none; *decode* yields None
    where the dump ends.

    Raises:
        ParseError: there are no more datagrams, and the dump has no end.
    """
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    while True:
        size = receive(buffer)
        if not size:
            raise ParseError("netlink dump", "it ended without NLMSG_DONE")
        for batch in decode(view[:size]):
            if batch is None:
                return
            yield batch


def _failed(error: OSError) -> SourceUnavailableError:
    return SourceUnavailableError(f"netlink failed: {os.strerror(error.errno or 0)}")


def _masks(table: Table, states: int | None) -> Iterator[int]:
    """Yield the mask of each dump of *table*; *states* as of NetlinkTables.read()."""
    chosen = -1 if states is None or table.protocol != "tcp" else states
    for mask in STATES[table.protocol]:
        if mask & chosen:
            yield mask & chosen


def _have_drops(table: Table, states: int) -> bool:
    """Whether drops are asked for of the sockets of *table* in *states*, a mask of one dump.

    Nobody asks for those of connections, of which there may be a million.
    """
    return table.protocol == "udp" or not states & ~LISTENING_MASK["tcp"]


class NetlinkTables:
    """The socket tables of the network namespace that the thread is in when this is made.

    Batches of rows that its methods yield raise ParseError and SourceUnavailableError as
    decode_datagram() does, and DeadlineError.

    Args:
        stays: the thread is in that namespace as long as tables are read, so that a further
            netlink socket can be made after a dump that was not read to its end.

    Raises:
        SourceUnavailableError: the kernel or a sandbox forbids the netlink socket.
    """

    name = "sock_diag"

    def __init__(self, *, stays: bool = True) -> None:
        self._stays = stays
        self._socket = open_socket()
        self._is_dumping = False

    def close(self) -> None:
        """Close the netlink socket; a second time does nothing."""
        self._socket.close()

    def read(
        self,
        table: Table,
        deadline: Deadline,
        drops: Drops,
        states: int | None = None,
        observer: CgroupObserver | None = None,
    ) -> Iterator[Iterable[SocketRow]]:
        """Yield batches of *table*'s rows, listeners (UDP: bound sockets) first.

        Of a TCP table only sockets with states in the mask *states* are read; None: all. Rows go
        through *observer*, if there is one. What was dropped at them is added to *drops*.

        Raises:
            SourceUnavailableError, DeadlineError, ParseError: while they are iterated; see
                decode_datagram().
        """
        for mask in _masks(table, states):
            if _have_drops(table, mask):
                request = encode_request(table, mask, _MEMORY)
                decode = partial(
                    decode_with_drops, family=table.family, drops=drops, observer=observer
                )
            else:
                request = encode_request(table, mask)
                decode = partial(decode_datagram, family=table.family, observer=observer)
            yield from self._ask(request, deadline, decode)

    def read_measured(
        self,
        table: Table,
        deadline: Deadline,
        drops: Drops,
        states: int | None = None,
        observer: CgroupObserver | None = None,
    ) -> Iterator[MeasuredBatch]:
        """Yield batches of a TCP table's rows as read() does, with the figures of tcp_info of each.

        Listeners have none.
        """
        mask = -1 if states is None else states
        for rows in self.read(table, deadline, drops, mask & LISTENING_MASK["tcp"], observer):
            yield rows, repeat(())
        decode = partial(decode_measured, family=table.family, observer=observer)
        request = encode_request(table, mask & _CONNECTIONS, (INET_DIAG_INFO,))
        yield from self._ask(request, deadline, decode)

    def read_with_messages(
        self, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> Iterator[list[tuple[SocketRow, bytes]]]:
        """Yield batches of *table*'s rows, each with its message, from its nlmsghdr on.

        With *tcp_info* the messages have that attribute, and the name of the congestion control.
        Those of listeners and UDP sockets have the drops.
        """
        for mask in STATES[table.protocol]:
            yield from self.select(table, deadline, mask, b"", tcp_info=tcp_info)

    def read_both(
        self, deadline: Deadline, states: int, drops: Drops
    ) -> Iterator[tuple[int, Iterable[SocketRow]]]:
        """Yield family and rows of batches of TCP sockets, listeners first.

        *states* is the mask of their states. What was dropped at listeners is added to *drops*.
        """
        listening = states & LISTENING_MASK["tcp"]
        if listening:
            request = encode_request_for_both(listening, _MEMORY)
            yield from self._ask(request, deadline, partial(decode_both, drops=drops))
        if states & ~listening:
            yield from self._ask(
                encode_request_for_both(states & ~listening), deadline, decode_both
            )

    def read_endpoints(self, deadline: Deadline, states: int) -> Iterator[Endpoints]:
        """Yield the endpoints of TCP sockets of both families, as columns of many messages.

        *states* is the mask of their states. Each is valid until the next one is fetched.
        """
        yield from self._ask(encode_request_for_both(states), deadline, decode_endpoints)

    def read_unix(self, deadline: Deadline, *, with_peers: bool) -> Iterator[list[UnixRow]]:
        """Yield batches of the unix sockets that listen, then of those that are connected.

        *with_peers* the latter have peers, queues and uids.
        """
        from zabbix_sockets.readers.sock_diag import unix  # noqa: PLC0415  # not where the iterator reads them

        named = unix.UDIAG_SHOW_NAME | unix.UDIAG_SHOW_VFS
        told = unix.UDIAG_SHOW_RQLEN | unix.UDIAG_SHOW_UID
        of_connected = named | (unix.UDIAG_SHOW_PEER | told if with_peers else 0)
        for request in (
            unix.encode_request(unix.LISTENING, named | told),
            unix.encode_request(unix.CONNECTED, of_connected),
        ):
            yield from self._ask(request, deadline, unix.decode_unix)

    def select(
        self,
        table: Table,
        deadline: Deadline,
        states: int,
        program: bytes,
        *,
        tcp_info: bool = False,
    ) -> Iterator[list[tuple[SocketRow, bytes]]]:
        """Yield batches of the sockets of *table* that the bytecode *program* accepts.

        Their states are in the mask *states*; an empty *program* accepts all of these. Each row
        comes with its message, from its nlmsghdr on; with CAP_NET_ADMIN that has the socket's mark,
        with *tcp_info* that attribute and the name of the congestion control. Those of listeners
        have the drops, and so have those of UDP sockets.
        """
        extensions: tuple[int, ...] = _TCP_INFO if tcp_info else ()
        if _have_drops(table, states):
            extensions += _MEMORY
        request = encode_request(table, states, extensions, program)
        yield from self._ask(request, deadline, partial(decode_with_messages, family=table.family))

    def _ask(
        self,
        request: bytes,
        deadline: Deadline,
        decode: Callable[[memoryview], Iterator[Batch | None]],
    ) -> Iterator[Batch]:
        """Yield the batches of the dump that *request* asks for.

        The leftover of a dump that was not read to its end would come before the next one's
        answer, and the kernel would refuse that (EBUSY): the next one takes another socket.
        """
        deadline.check()  # which may be why the dump before it wasn't read to its end
        if self._is_dumping:
            if not self._stays:
                raise SourceUnavailableError("the dump before it failed")
            self._socket.close()
            self._socket = open_socket()
        self._is_dumping = True
        try:
            self._socket.send(request)
        except OSError as error:
            raise _failed(error) from error
        yield from receive_dump(self._receiver(deadline), decode)
        self._is_dumping = False

    def _receiver(self, deadline: Deadline) -> Callable[[bytearray], int]:
        def receive(buffer: bytearray) -> int:
            deadline.check()
            self._socket.settimeout(max(0.001, deadline.remaining()))
            try:
                size, _, flags, _ = self._socket.recvmsg_into([buffer])
            except OSError as error:
                deadline.check()  # it may have waited until then
                raise _failed(error) from error
            if flags & _socket.MSG_TRUNC:
                raise ParseError("netlink datagram", "it is larger than the buffer")
            return size

        return receive
