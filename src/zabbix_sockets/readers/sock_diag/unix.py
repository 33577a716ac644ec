"""Encoder and decoder of NETLINK_SOCK_DIAG's messages about unix sockets.

Only stream and seqpacket sockets are decoded that listen or are connected. A connection that waits
to be accepted is a connected socket without an inode, which bears the listener's name.

Source: sock_diag(7), include/uapi/linux/unix_diag.h and net/unix/diag.c.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterator
from _socket import AF_UNIX, SOCK_SEQPACKET, SOCK_STREAM

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.light_library import lru_cache
from zabbix_sockets.model.wire import LISTENING_MASK, UNIX, TcpState, UnixRow
from zabbix_sockets.readers.netlink import NLMSGHDR, aligned, attributes, encode_dump, is_end
from zabbix_sockets.readers.sock_diag.messages import SOCK_DIAG_BY_FAMILY

UNIX_DIAG_REQ = struct.Struct("=BB2xIIIII")  # family, protocol, states, ino, show, cookie
_HEAD = struct.Struct("=IH10xBBBxI8x")
"""struct nlmsghdr and struct unix_diag_msg: nlmsg_len, nlmsg_type, family, type, state, ino."""
UDIAG_SHOW_NAME, UDIAG_SHOW_VFS, UDIAG_SHOW_PEER = 0x1, 0x2, 0x4
UDIAG_SHOW_RQLEN, UDIAG_SHOW_UID = 0x10, 0x40
_NAME, _VFS, _PEER, _RQLEN, _UID = 0, 1, 2, 4, 7  # UNIX_DIAG_*
_QUEUES = struct.Struct("=II")
_WORD = struct.Struct("=I")
_TYPES = (SOCK_STREAM, SOCK_SEQPACKET)
_ANY_COOKIE = 0xFFFFFFFF

LISTENING = LISTENING_MASK[UNIX]
CONNECTED = 1 << TcpState.ESTABLISHED
"""Masks of the states of unix sockets that are read."""


def encode_request(states: int, show: int) -> bytes:
    """Return a dump request for the unix sockets in *states* (a mask).

    *show* is a mask of UDIAG_SHOW_*, for what the answer shall tell of each.
    """
    request = UNIX_DIAG_REQ.pack(AF_UNIX, 0, states, 0, show, _ANY_COOKIE, _ANY_COOKIE)
    return encode_dump(SOCK_DIAG_BY_FAMILY, request)


def decode_unix(data: memoryview) -> Iterator[list[UnixRow] | None]:
    """Yield the rows of the datagram *data*, and None for NLMSG_DONE.

    Raises:
        ParseError: a message is of an unknown type or an impossible length.
        SourceUnavailableError: the kernel answered with an error; it has no module unix_diag, say.
    """
    rows: list[UnixRow] = []
    at, size, unpack = 0, len(data), _HEAD.unpack_from
    while at < size:
        if size - at < _HEAD.size:
            length, kind = 0, None
        else:
            length, kind, family, sock_type, state, inode = unpack(data, at)
        if kind == SOCK_DIAG_BY_FAMILY and length >= _HEAD.size and at + length <= size:
            if family == AF_UNIX and sock_type in _TYPES:
                told = _values(bytes(data[at + _HEAD.size : at + length]))
                rows.append((sock_type, state, inode, *told))
        elif size - at >= NLMSGHDR.size and is_end(data, at):
            yield rows
            yield None
            return
        else:
            raise ParseError("netlink message", bytes(data[at : at + _HEAD.size]))
        at += aligned(length)
    yield rows


@lru_cache(1024)  # of all that one listener has accepted they are the same bytes
def _values(message: bytes) -> tuple[bytes, bytes, int, int, int, int]:
    """Return the values of a message's attributes: the last items of UnixRow.

    Raises:
        ParseError: an attribute is shorter than its header, or than what it has to hold, or longer
            than the message.
    """
    name = vfs = b""
    peer, receive, send, uid = 0, -1, -1, -1
    try:
        for kind, at, size in attributes(message, 0):
            value = message[at : at + size]
            if kind == _NAME:  # of a path with the NUL at its end
                name = value
                name = name if name[:1] == b"\0" else name.partition(b"\0")[0]
            elif kind == _VFS:
                vfs = value
            elif kind == _PEER:
                (peer,) = _WORD.unpack_from(value)
            elif kind == _RQLEN:
                receive, send = _QUEUES.unpack_from(value)
            elif kind == _UID:
                (uid,) = _WORD.unpack_from(value)
    except struct.error as error:
        raise ParseError("netlink attribute", message) from error
    return name, vfs, peer, receive, send, uid
