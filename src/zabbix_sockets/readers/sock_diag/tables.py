"""Dumps of the kernel's TCP and UDP tables by NETLINK_SOCK_DIAG, without privilege.

A dump shows every socket of the network namespace in which the netlink socket was made,
whoever owns it. Source: sock_diag(7).
"""

import _socket
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import LISTENING_MASK, SocketRow, Table, TcpState
from zabbix_sockets.readers.sock_diag.attributes import INET_DIAG_CONG, INET_DIAG_INFO
from zabbix_sockets.readers.sock_diag.messages import (
    CgroupObserver,
    MeasuredBatch,
    decode_both,
    decode_datagram,
    decode_measured,
    decode_with_messages,
    encode_request,
    encode_request_for_both,
)

NETLINK_SOCK_DIAG = 4

# A listener is needed before the connections that it accepted. The kernel dumps the TCP
# listening table first by itself; UDP has one table, so its bound sockets are asked for
# first. TCP's CLOSE and BOUND_INACTIVE (bound, neither connected nor listening) are left
# out: no other source has them.
_ALL_BUT_CLOSE = ~(1 << TcpState.CLOSE | 1 << 13 | 1) & 0xFFFF
STATES = {
    "tcp": (_ALL_BUT_CLOSE,),
    "udp": (LISTENING_MASK["udp"], 1 << TcpState.ESTABLISHED),
}
"""The dumps that read a protocol's table, each as a mask of the states of its sockets."""

_TCP_INFO = (INET_DIAG_INFO, INET_DIAG_CONG)

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


class NetlinkTables:
    """The socket tables of the network namespace that the thread is in when this is made.

    Batches of rows that its methods return raise ParseError, SourceUnavailableError and
    DumpInterruptedError as decode_datagram() does, and DeadlineError.

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
        states: int | None = None,
        observer: CgroupObserver | None = None,
    ) -> Iterator[Iterable[SocketRow]]:
        """Yield batches of *table*'s rows, listeners (UDP: bound sockets) first.

        Of a TCP table only sockets with states in the mask *states* are read; None: all. Rows go
        through *observer*, if there is one.

        Raises:
            SourceUnavailableError, DeadlineError, ParseError: while they are iterated; see
                decode_datagram().
        """
        decode = partial(decode_datagram, family=table.family, observer=observer)
        return self._dump(table, deadline, decode, states=states)

    def read_measured(
        self, table: Table, deadline: Deadline, observer: CgroupObserver | None = None
    ) -> Iterator[MeasuredBatch]:
        """Yield batches of rows as read() does, with the figures of each row's tcp_info."""
        decode = partial(decode_measured, family=table.family, observer=observer)
        return self._dump(table, deadline, decode, (INET_DIAG_INFO,))

    def read_with_messages(
        self, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> Iterator[list[tuple[SocketRow, bytes]]]:
        """Yield batches of *table*'s rows, each with its message, from its nlmsghdr on.

        With *tcp_info* the messages have that attribute, and the name of the congestion control.
        """
        decode = partial(decode_with_messages, family=table.family)
        extensions = _TCP_INFO if tcp_info else ()
        return self._dump(table, deadline, decode, extensions)

    def _dump(
        self,
        table: Table,
        deadline: Deadline,
        decode: Callable[[memoryview], Iterator[Batch | None]],
        extensions: tuple[int, ...] = (),
        states: int | None = None,
    ) -> Iterator[Batch]:
        chosen = -1 if states is None or table.protocol != "tcp" else states
        for mask in STATES[table.protocol]:
            yield from self._ask(encode_request(table, mask & chosen, extensions), deadline, decode)

    def read_both(
        self, deadline: Deadline, states: int
    ) -> Iterator[tuple[int, Iterable[SocketRow]]]:
        """Yield family and rows of batches of TCP sockets, listeners first.

        *states* is the mask of their states.
        """
        yield from self._ask(encode_request_for_both(states), deadline, decode_both)

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
        with *tcp_info* that attribute and the name of the congestion control.
        """
        extensions = _TCP_INFO if tcp_info else ()
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
