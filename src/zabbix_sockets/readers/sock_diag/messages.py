"""Encoder and decoder of NETLINK_SOCK_DIAG's messages: dump requests, and rows of their answers.

A dump resumes by bucket and position, and the kernel never says that a table changed meanwhile:
NLM_F_DUMP_INTR is set where a dumper counts its table's changes in netlink_callback.seq
(nl_dump_check_consistent() in include/net/netlink.h), which inet_diag.c does not.

Source: sock_diag(7), include/uapi/linux/{netlink,sock_diag,inet_diag}.h and, for what the
fields mean, net/ipv4/{inet_diag,tcp_diag,udp_diag}.c.
"""

from __future__ import annotations

import _socket
import struct
from _collections_abc import Callable, Iterable, Iterator
from itertools import groupby, repeat

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.light_library import cache, itemgetter
from zabbix_sockets.model.wire import (
    INODE,
    PROTOCOL_NUMBERS,
    Drops,
    Encoding,
    SocketRow,
    Table,
)
from zabbix_sockets.readers.netlink import NLATTR, NLMSGHDR, aligned, encode_dump, is_end
from zabbix_sockets.readers.sock_diag.attributes import (
    INET_DIAG_SKMEMINFO,
    MESSAGE_MIN,
    TcpInfoFigures,
    cgroup_ids,
    drops_struct,
    equal_layouts,
    figures_struct,
)

SOCK_DIAG_BY_FAMILY = 20
TCPDIAG_GETSOCK = 18  # the first interface, still the only one for both families at once

INET_DIAG_REQ_V2 = struct.Struct("=BBBBI48x")  # family, protocol, ext, pad, states, id
INET_DIAG_REQ = struct.Struct("=BBBB48xII")  # family, src_len, dst_len, ext, id, states, dbs
FAMILY_AT = 16  # idiag_family, behind nlmsghdr
INET_DIAG_REQ_BYTECODE = 1  # attribute of a request

CgroupRow = tuple[int, SocketRow]
"""The id of the cgroup in which a socket was made, and its SocketRow; 0 where that is not told."""

CgroupObserver = Callable[[Iterable[CgroupRow]], Iterable[SocketRow]]
"""Sees each row with the id of its cgroup, and yields the rows in their order."""

MeasuredBatch = tuple[Iterable[SocketRow], Iterable[TcpInfoFigures]]
"""Rows, and for each of them the figures of its tcp_info (empty without)."""

ENCODING = Encoding(
    address=lambda token: token if isinstance(token, bytes) else b"",
    port=_socket.ntohs,
    wildcard={_socket.AF_INET: bytes(4), _socket.AF_INET6: bytes(16)},
)
"""Addresses of rows are packed bytes, ports are in network order."""


@cache
def row_struct(family: int, stride: int) -> struct.Struct:
    """Return the layout by which a message of *stride* bytes is unpacked to a SocketRow.

    The socket is of *family*. Skipped: nlmsghdr, idiag_family, timer, retrans, cookie, expires and
    what follows idiag_inode. Ports stay in network order, as tokens.
    """
    address = "4s12x" if family == _socket.AF_INET else "16s"
    return struct.Struct(f"=16x x B 2x HH {address} {address} I 8x 4x IIII {stride - MESSAGE_MIN}x")


def encode_request(
    table: Table, states: int, extensions: tuple[int, ...] = (), program: bytes = b""
) -> bytes:
    """Return a dump request for the sockets of *table* whose states are in the mask *states*.

    *extensions* are the types of attributes that come only when asked for. *program* is the
    bytecode, as filters.bytecode makes it, by which the kernel chooses sockets; empty for all.
    """
    bytecode = b""
    if program:
        bytecode = NLATTR.pack(NLATTR.size + len(program), INET_DIAG_REQ_BYTECODE) + program
    ext = _mask_of(extensions)
    request = INET_DIAG_REQ_V2.pack(table.family, PROTOCOL_NUMBERS[table.protocol], ext, 0, states)
    return encode_dump(SOCK_DIAG_BY_FAMILY, request + bytecode)


def _mask_of(extensions: tuple[int, ...]) -> int:
    return sum(1 << number - 1 for number in extensions)


def encode_request_for_both(states: int, extensions: tuple[int, ...] = ()) -> bytes:
    """Return a dump request for TCP sockets of both families with states in the mask *states*.

    Only the first interface, TCPDIAG_GETSOCK, has it: one scan of the table instead of two.
    *extensions* are as of encode_request().
    """
    ext = _mask_of(extensions)
    request = INET_DIAG_REQ.pack(_socket.AF_INET, 0, 0, ext, states, 0)
    return encode_dump(TCPDIAG_GETSOCK, request)


def decode_datagram(
    data: memoryview, family: int, observer: CgroupObserver | None = None
) -> Iterator[Iterable[SocketRow] | None]:
    """Yield a batch of rows for each run of equally long messages, and None for NLMSG_DONE.

    *data* is a datagram of an answer with sockets of *family*. A batch reads it while it is
    iterated: use it up before *data* is filled again. Rows go through *observer*, if there is one.

    Raises:
        ParseError: a message is of an unknown type or an impossible length.
        SourceUnavailableError: the kernel answered with an error.
    """
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        messages, stride, length = run
        rows = row_struct(family, stride).iter_unpack(messages)
        if observer:
            yield observer(zip(cgroup_ids(messages, stride, length), rows))
        else:
            yield rows


def decode_with_drops(
    data: memoryview, family: int, drops: Drops, observer: CgroupObserver | None = None
) -> Iterator[Iterable[SocketRow] | None]:
    """Yield batches of rows, and add their drops to *drops*; else as decode_datagram()."""
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        messages, stride, length = run
        rows = _rows_with_drops(messages, family, stride, drops)
        if observer:
            yield observer(zip(cgroup_ids(messages, stride, length), rows))
        else:
            yield rows


def _rows_with_drops(
    messages: memoryview, family: int, stride: int, drops: Drops
) -> list[SocketRow]:
    """Return the rows of messages that are *stride* bytes apart; add their drops to *drops*."""
    rows: list[SocketRow] = []
    for same, offset, size in equal_layouts(messages, stride, stride, INET_DIAG_SKMEMINFO):
        found = list(row_struct(family, stride).iter_unpack(same))
        layout = drops_struct(stride, offset, size)
        if layout:
            numbers = (number for (number,) in layout.iter_unpack(same))
            drops.update(zip(map(itemgetter(INODE), found), numbers))
        rows += found
    return rows


def decode_measured(
    data: memoryview, family: int, observer: CgroupObserver | None = None
) -> Iterator[MeasuredBatch | None]:
    """Yield batches of rows with the figures of their tcp_info; else as decode_datagram()."""
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        for messages, offset, size in equal_layouts(*run):
            _, stride, length = run
            rows: Iterable[SocketRow] = row_struct(family, stride).iter_unpack(messages)
            if observer:
                rows = observer(zip(cgroup_ids(messages, stride, length), rows))
            figures = figures_struct(stride, offset, size)
            yield rows, figures.iter_unpack(messages) if figures else repeat(())


def decode_with_messages(
    data: memoryview, family: int
) -> Iterator[list[tuple[SocketRow, bytes]] | None]:
    """Yield batches of rows, each with a copy of its message; else as decode_datagram()."""
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        messages, stride, length = run
        rows = row_struct(family, stride).iter_unpack(messages)
        starts = range(0, len(messages), stride)
        copies = (bytes(messages[at : at + length]) for at in starts)
        yield list(zip(rows, copies))


def decode_both(
    data: memoryview, drops: Drops | None = None
) -> Iterator[tuple[int, Iterable[SocketRow]] | None]:
    """Yield the family and the rows of each batch of an answer for both families.

    The drops in the messages are added to *drops*; None: nobody asked for any. None and errors are
    as of decode_datagram().
    """
    for run in decode_runs_of_both(data):
        if run is None:
            yield None
            continue
        family, messages, stride = run
        if drops is None:
            yield family, row_struct(family, stride).iter_unpack(messages)
        else:
            yield family, _rows_with_drops(messages, family, stride, drops)


def decode_runs_of_both(data: memoryview) -> Iterator[tuple[int, memoryview, int] | None]:
    """Yield runs of messages of an answer for both families: their family, bytes and stride.

    None and errors are as of decode_datagram().
    """
    for run in _runs(data, TCPDIAG_GETSOCK):
        if run is None:
            yield None
            continue
        messages, stride, _ = run
        at = 0
        for family, same in groupby(bytes(messages[FAMILY_AT::stride])):
            if family not in (_socket.AF_INET, _socket.AF_INET6):
                raise ParseError("netlink message", bytes(messages[at : at + stride]))
            end = at + stride * sum(1 for _ in same)
            yield family, messages[at:end], stride
            at = end


def _runs(data: memoryview, socket_type: int) -> Iterator[tuple[memoryview, int, int] | None]:
    """Yield runs of equally long messages: their bytes, stride and length; None for NLMSG_DONE.

    *socket_type* is the type of the messages that hold sockets. Errors are those of
    decode_datagram().
    """
    at, size = 0, len(data)
    while at < size:
        if size - at < NLMSGHDR.size:
            raise ParseError("netlink datagram", bytes(data[at:]))
        length, kind, _flags, _seq, _pid = NLMSGHDR.unpack_from(data, at)
        stride = aligned(length)
        if kind == socket_type and length >= MESSAGE_MIN and at + stride <= size:
            end = at + stride * _run(data[at:], stride)
            yield data[at:end], stride, length
            at = end
        elif is_end(data, at):
            yield None
            at += stride
        else:
            raise ParseError("netlink message", bytes(data[at : at + MESSAGE_MIN]))


def _run(data: memoryview, stride: int) -> int:
    """Return how many messages in a row, from the start of *data*, are *stride* bytes long.

    Nearly all are, so the lengths are compared in one go: nlmsg_len is the first word of
    each message, and a strided view of the words holds them all.
    """
    most = len(data) // stride
    lengths = data[: most * stride].cast("I")[:: stride // 4].tolist()
    first = lengths[0]
    if lengths.count(first) == most:
        return most
    return next(at for at, length in enumerate(lengths) if length != first)
