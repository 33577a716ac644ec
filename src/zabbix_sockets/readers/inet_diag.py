"""NETLINK_SOCK_DIAG's messages: requests, and rows of the answers' bytes.

Source: sock_diag(7), include/uapi/linux/{netlink,sock_diag,inet_diag}.h and, for what the
fields mean, net/ipv4/{inet_diag,tcp_diag,udp_diag}.c.
"""

import _socket
import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import groupby, repeat

from zabbix_sockets.errors import (
    DumpInterruptedError,
    ParseError,
    SourceUnavailableError,
)
from zabbix_sockets.model import Encoding, Row, Table

SOCK_DIAG_BY_FAMILY = 20
TCPDIAG_GETSOCK = 18  # the first interface, still the only one for both families at once
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x10, 0x300

NLMSGHDR = struct.Struct("=IHHII")  # len, type, flags, seq, pid
NLMSGERR = struct.Struct("=i")  # NLMSG_ERROR's and NLMSG_DONE's negative errno
INET_DIAG_REQ_V2 = struct.Struct("=BBBBI48x")  # family, protocol, ext, pad, states, id
INET_DIAG_REQ = struct.Struct("=BBBB48xII")  # family, src_len, dst_len, ext, id, states, dbs
FAMILY_AT = 16  # idiag_family, behind nlmsghdr
MESSAGE_MIN = 16 + 72  # nlmsghdr, inet_diag_msg
NLATTR = struct.Struct("=HH")  # nla_len, nla_type
INET_DIAG_REQ_BYTECODE = 1  # attribute of a request
INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_MARK, INET_DIAG_CGROUP_ID = 2, 4, 15, 21
CGROUP_ID = struct.Struct("=Q")
_MARK = struct.Struct("=I")
COOKIE_AT = 16 + 4 + 40  # idiag_cookie, in nlmsghdr, inet_diag_msg, inet_diag_sockid

CgroupRow = tuple[int, Row]
"""The id of the cgroup in which a socket was made, and its Row; 0 where that is not told."""

Noted = Callable[[Iterable[CgroupRow]], Iterable[Row]]
"""Takes note of the cgroups, and gives the rows."""

Figures = tuple[int, ...]
"""Of a socket's tcp_info: tcpi_retransmits, tcpi_lost, tcpi_retrans, tcpi_last_data_sent,
tcpi_last_data_recv, tcpi_rtt, tcpi_total_retrans; from Linux 4.10 on tcpi_rwnd_limited and
tcpi_sndbuf_limited. Empty for a socket without."""

MeasuredBatch = tuple[Iterable[Row], Iterable[Figures]]
"""Rows, and the figures of each."""

# The beginning of struct tcp_info, as Figures: all of them, and without the last two.
_FIGURES = "2x B 29x II 4x I 4x I 12x I 28x I"
_WITH_LIMITS = struct.Struct(f"={_FIGURES} 72x QQ")
_WITHOUT_LIMITS = struct.Struct(f"={_FIGURES}")

IPPROTO = {"tcp": _socket.IPPROTO_TCP, "udp": _socket.IPPROTO_UDP}

_MAX_ERRNO = 4095  # include/linux/err.h

ENCODING = Encoding(
    address=lambda token: token if isinstance(token, bytes) else b"",
    port=_socket.ntohs,
    wildcard={_socket.AF_INET: bytes(4), _socket.AF_INET6: bytes(16)},
)


@cache
def row_struct(family: int, stride: int) -> struct.Struct:
    """Return the layout of a message of *stride* bytes, as a Row.

    Skipped: nlmsghdr, idiag_family, timer, retrans, cookie, expires and what follows
    idiag_inode. Ports stay in network order, as tokens.
    """
    address = "4s12x" if family == _socket.AF_INET else "16s"
    return struct.Struct(f"=16x x B 2x HH {address} {address} I 8x 4x IIII {stride - MESSAGE_MIN}x")


@cache
def _figures_struct(stride: int, place: int, size: int) -> struct.Struct | None:
    """Return the layout of Figures in messages with *size* bytes of tcp_info at *place*."""
    for figures in (_WITH_LIMITS, _WITHOUT_LIMITS):
        if place and figures.size <= size:
            form = figures.format.removeprefix("=")
            return struct.Struct(f"={place}x {form} {stride - place - figures.size}x")
    return None


def encode_request(
    table: Table, states: int, extensions: tuple[int, ...] = (), program: bytes = b""
) -> bytes:
    """Return a dump request for the sockets of *table* in the *states* of a bit mask.

    *extensions*: attributes that come only when asked for. *program*: bytecode that chooses
    among the sockets (see filters.bytecode); empty: all.
    """
    bytecode = b""
    if program:
        bytecode = NLATTR.pack(NLATTR.size + len(program), INET_DIAG_REQ_BYTECODE) + program
    header = NLMSGHDR.pack(
        NLMSGHDR.size + INET_DIAG_REQ_V2.size + len(bytecode),
        SOCK_DIAG_BY_FAMILY,
        NLM_F_REQUEST | NLM_F_DUMP,
        1,
        0,
    )
    ext = sum(1 << number - 1 for number in extensions)
    request = INET_DIAG_REQ_V2.pack(table.family, IPPROTO[table.protocol], ext, 0, states)
    return header + request + bytecode


def encode_request_for_both(states: int) -> bytes:
    """Return a dump request for the TCP sockets of both families: one scan instead of two."""
    size = NLMSGHDR.size + INET_DIAG_REQ.size
    header = NLMSGHDR.pack(size, TCPDIAG_GETSOCK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    return header + INET_DIAG_REQ.pack(_socket.AF_INET, 0, 0, 0, states, 0)


def decode_datagram(
    data: memoryview, family: int, noted: Noted | None = None
) -> Iterator[Iterable[Row] | None]:
    """Yield a batch of rows for each run of equally long messages, and None for DONE.

    A batch reads *data* while it is iterated: use it up before *data* is filled again.
    *noted* sees the cgroups.

    Raises:
        ParseError: a length that can't be.
        SourceUnavailableError: the kernel answered with an error.
        DumpInterruptedError: with DONE: the table changed too much; ask again.
    """
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        messages, stride, length = run
        rows = row_struct(family, stride).iter_unpack(messages)
        if noted:
            yield noted(zip(_cgroups(messages, stride, length), rows, strict=True))
        else:
            yield rows


def decode_measured(
    data: memoryview, family: int, noted: Noted | None = None
) -> Iterator[MeasuredBatch | None]:
    """Yield batches with the figures of INET_DIAG_INFO; else as decode_datagram()."""
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        for messages, place, size in _alike(*run):
            _, stride, length = run
            rows: Iterable[Row] = row_struct(family, stride).iter_unpack(messages)
            if noted:
                rows = noted(zip(_cgroups(messages, stride, length), rows, strict=True))
            figures = _figures_struct(stride, place, size)
            yield rows, figures.iter_unpack(messages) if figures else repeat(())


def decode_whole(data: memoryview, family: int) -> Iterator[list[tuple[Row, bytes]] | None]:
    """Yield batches of rows with their whole messages; else as decode_datagram()."""
    for run in _runs(data, SOCK_DIAG_BY_FAMILY):
        if run is None:
            yield None
            continue
        messages, stride, length = run
        rows = row_struct(family, stride).iter_unpack(messages)
        starts = range(0, len(messages), stride)
        wholes = (bytes(messages[at : at + length]) for at in starts)
        yield list(zip(rows, wholes, strict=True))


def decode_both(data: memoryview) -> Iterator[tuple[int, Iterable[Row]] | None]:
    """Yield batches with their family from an answer for both; else as decode_datagram()."""
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
            yield family, row_struct(family, stride).iter_unpack(messages[at:end])
            at = end


def _runs(data: memoryview, wanted: int) -> Iterator[tuple[memoryview, int, int] | None]:
    """Yield runs of equally long messages with their stride and length, and None for DONE.

    *wanted* is the type of messages that hold sockets.
    """
    at, size = 0, len(data)
    while at < size:
        if size - at < NLMSGHDR.size:
            raise ParseError("netlink datagram", bytes(data[at:]))
        length, kind, flags, _seq, _pid = NLMSGHDR.unpack_from(data, at)
        stride = (length + 3) & ~3
        if kind == wanted and length >= MESSAGE_MIN and at + stride <= size:
            end = at + stride * _run(data[at:], stride)
            yield data[at:end], stride, length
            at = end
        elif kind in (NLMSG_DONE, NLMSG_ERROR) and NLMSGHDR.size + 4 <= min(length, size - at):
            (error,) = NLMSGERR.unpack_from(data, at + NLMSGHDR.size)
            if error > 0 or error < -_MAX_ERRNO:
                raise ParseError("netlink error", bytes(data[at : at + stride]))
            if error:
                raise _refusal(-error)
            if flags & NLM_F_DUMP_INTR:
                raise DumpInterruptedError("the socket table changed while it was dumped")
            yield None
            at += stride
        else:
            raise ParseError("netlink message", bytes(data[at : at + MESSAGE_MIN]))


def _alike(messages: memoryview, stride: int, length: int) -> Iterator[tuple[memoryview, int, int]]:
    """Yield parts of equally long messages with the place and size of their INET_DIAG_INFO.

    Nearly all have the same attributes, so each one's headers are compared in one go: they are
    words, as in _run().
    """
    place = size = 0
    for kind, at, length_of in _attributes(messages[:length]):
        headers = messages[at - NLATTR.size :].cast("I")[:: stride // 4].tolist()
        if headers.count(headers[0]) != len(headers):
            for start in range(0, len(messages), stride):
                yield from _alike(messages[start : start + stride], stride, length)
            return
        if kind == INET_DIAG_INFO:
            place, size = at, length_of
            break
    yield messages, place, size


def _cgroups(data: memoryview, stride: int, length: int) -> Iterator[int]:
    """Yield the cgroup id of each of equally long messages; it is mostly at the same place."""
    place = MESSAGE_MIN
    for at in range(0, len(data), stride):
        if not _is_cgroup(data, at + place, at + length):
            place = _find_cgroup(data[at : at + length])
        yield CGROUP_ID.unpack_from(data, at + place + NLATTR.size)[0] if place else 0
        place = place or MESSAGE_MIN


def _is_cgroup(data: memoryview, at: int, end: int) -> bool:
    if at + NLATTR.size + CGROUP_ID.size > end:
        return False
    return NLATTR.unpack_from(data, at) == (NLATTR.size + CGROUP_ID.size, INET_DIAG_CGROUP_ID)


def _find_cgroup(message: memoryview) -> int:
    """Return where the attribute with the cgroup's id begins; 0 without one."""
    wanted = INET_DIAG_CGROUP_ID, CGROUP_ID.size
    places = (at for kind, at, size in _attributes(message) if (kind, size) == wanted)
    return next(places, NLATTR.size) - NLATTR.size


def figures_of(message: bytes) -> Figures:
    """Return the figures of INET_DIAG_INFO in one whole message; empty without."""
    place, size = find_attribute(memoryview(message), INET_DIAG_INFO)
    figures = _figures_struct(len(message), place, size)
    return figures.unpack(message) if figures else ()


def facts_of(message: bytes) -> tuple[int, int]:
    """Return the cgroup's id and the mark in one whole message; 0 where that is not told."""
    view = memoryview(message)
    facts = []
    for wanted, form in ((INET_DIAG_CGROUP_ID, CGROUP_ID), (INET_DIAG_MARK, _MARK)):
        at, size = find_attribute(view, wanted)
        facts.append(form.unpack_from(view, at)[0] if size == form.size else 0)
    return facts[0], facts[1]


def find_attribute(message: memoryview, wanted: int) -> tuple[int, int]:
    """Return place and size of the attribute's value in a message of inet_diag; 0, 0 without.

    Raises:
        ParseError: an attribute that can't be.
    """
    return next(((at, size) for kind, at, size in _attributes(message) if kind == wanted), (0, 0))


def _attributes(message: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield type, place and size of the value of each attribute that is whole."""
    at = MESSAGE_MIN
    while at + NLATTR.size <= len(message):
        size, kind = NLATTR.unpack_from(message, at)
        if size < NLATTR.size:
            raise ParseError("netlink attribute", bytes(message[at:]))
        if at + size <= len(message):
            yield kind, at + NLATTR.size, size - NLATTR.size
        at += (size + 3) & ~3


def _run(data: memoryview, stride: int) -> int:
    """Return how many messages from the start of *data* are *stride* bytes long.

    Nearly all are, so the lengths are compared in one go: nlmsg_len is the first word of
    each message, and a strided view of the words holds them all.
    """
    whole = len(data) // stride
    lengths = data[: whole * stride].cast("I")[:: stride // 4].tolist()
    first = lengths[0]
    if lengths.count(first) == whole:
        return whole
    return next(at for at, length in enumerate(lengths) if length != first)


def _refusal(number: int) -> SourceUnavailableError:
    if number == errno.ENOENT:
        return SourceUnavailableError("the kernel has no diag module for it")
    return SourceUnavailableError(f"the kernel refused the dump: {os.strerror(number)}")
