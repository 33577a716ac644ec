"""NETLINK_SOCK_DIAG: the kernel's TCP and UDP tables in binary, without privilege.

A dump shows every socket of the network namespace in which the netlink socket was made,
whoever owns it. Source: sock_diag(7); inet_diag has the messages.
"""

import _socket
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import (
    LISTENING_MASK,
    Encoding,
    Row,
    Table,
    TableRead,
    TcpState,
)
from zabbix_sockets.readers.sock_diag.attributes import INET_DIAG_CONG, INET_DIAG_INFO
from zabbix_sockets.readers.sock_diag.messages import (
    ENCODING,
    MeasuredBatch,
    Noted,
    decode_both,
    decode_datagram,
    decode_measured,
    decode_whole,
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

_TCP_INFO = (INET_DIAG_INFO, INET_DIAG_CONG)

# The kernel fills at most 32 KB of a larger buffer.
_BUFFER = 65536

Batch = TypeVar("Batch")


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
    """Yield the batches of one dump, from as many datagrams as *receive* fills buffers with."""
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
    """Reads tables of the network namespace that the thread is in when this is made.

    *stays*: the thread is there for as long as tables are read.
    """

    name = "sock_diag"

    def __init__(self, *, stays: bool = True) -> None:
        self._stays = stays
        self._socket = open_socket()
        self._is_dumping = False

    def close(self) -> None:
        """Give the netlink socket back; a second time does nothing."""
        self._socket.close()

    def read(self, table: Table, deadline: Deadline, states: int | None = None) -> TableRead:
        """Start reading *table*; errors come while it is iterated (see decode_datagram).

        *states*: a mask of the TCP states that matter; None: all.
        """
        return TableRead(ENCODING, self._batches(table, deadline, states))

    def read_with_cgroups(self, table: Table, deadline: Deadline, noted: Noted) -> TableRead:
        """Start reading *table* in all states, as read(); *noted* sees the cgroups."""
        return TableRead(ENCODING, self._batches(table, deadline, None, noted))

    def _batches(
        self,
        table: Table,
        deadline: Deadline,
        wanted: int | None,
        noted: Noted | None = None,
    ) -> Iterator[Iterable[Row]]:
        decode = partial(decode_datagram, family=table.family, noted=noted)
        return self._dump(table, deadline, decode, wanted=wanted)

    def read_measured(
        self, table: Table, deadline: Deadline, noted: Noted | None = None
    ) -> tuple[Encoding, Iterator[MeasuredBatch]]:
        """Start reading *table* with figures of tcp_info, as read(); *noted* sees the cgroups."""
        decode = partial(decode_measured, family=table.family, noted=noted)
        return ENCODING, self._dump(table, deadline, decode, (INET_DIAG_INFO,))

    def read_whole(
        self, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> tuple[Encoding, Iterator[list[tuple[Row, bytes]]]]:
        """Start reading *table* with each row's whole message, as read()."""
        decode = partial(decode_whole, family=table.family)
        extensions = _TCP_INFO if tcp_info else ()
        return ENCODING, self._dump(table, deadline, decode, extensions)

    def _dump(
        self,
        table: Table,
        deadline: Deadline,
        decode: Callable[[memoryview], Iterator[Batch | None]],
        extensions: tuple[int, ...] = (),
        wanted: int | None = None,
    ) -> Iterator[Batch]:
        for states in STATES[table.protocol]:
            if wanted is not None and table.protocol == "tcp":
                states &= wanted  # noqa: PLW2901
            yield from self._ask(encode_request(table, states, extensions), deadline, decode)

    def read_both(self, deadline: Deadline, states: int) -> Iterator[tuple[int, Iterable[Row]]]:
        """Yield batches of TCP sockets of both families, with the family, listeners first."""
        yield from self._ask(encode_request_for_both(states), deadline, decode_both)

    def select(
        self,
        table: Table,
        deadline: Deadline,
        states: int,
        program: bytes,
        *,
        tcp_info: bool = False,
    ) -> Iterator[list[tuple[Row, bytes]]]:
        """Yield batches of the sockets in *states* that bytecode (empty: nothing) accepts.

        As read_whole(); with CAP_NET_ADMIN the messages have the sockets' marks.
        """
        extensions = _TCP_INFO if tcp_info else ()
        request = encode_request(table, states, extensions, program)
        yield from self._ask(request, deadline, partial(decode_whole, family=table.family))

    def _ask(
        self,
        request: bytes,
        deadline: Deadline,
        decode: Callable[[memoryview], Iterator[Batch | None]],
    ) -> Iterator[Batch]:
        """Yield the batches of one dump.

        What is left of a dump that was not read to its end would come before the next one's
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
