"""A question to a running agent through its port: Zabbix's protocol of passive checks.

Source: Zabbix manual, "Header" and "Passive and active agent checks". A request is the key behind a
header; agents of 7.0, which otherwise take JSON, still understand it.
"""

from __future__ import annotations

import socket
import struct

from zabbix_sockets.model.deadline import Deadline

_MAGIC = b"ZBXD"
_PLAIN, _LARGE = 0x01, 0x04
_HEADER = struct.Struct("<4sBII")
_LARGE_HEADER = struct.Struct("<4sBQQ")
_NOT_SUPPORTED = "ZBX_NOTSUPPORTED"
_MAX_BYTES = 20_000_000
_PIECE = 1 << 16


class NoAnswerError(Exception):
    """The agent took the connection, and ended it without an answer.

    Attributes:
        address: the address that the question came from.
    """

    def __init__(self, address: str) -> None:
        super().__init__("the agent ended the connection without an answer")
        self.address = address


class NotSupportedError(Exception):
    """The agent answered that it doesn't answer this key; the message says why."""


def ask(address: str, port: int, key: str, deadline: Deadline) -> str:
    """Return the answer of the agent at *address* to *key*.

    Raises:
        NotSupportedError: it has no answer to this key (ZBX_NOTSUPPORTED).
        NoAnswerError: it doesn't answer the caller.
        ValueError: what it says isn't of the protocol.
        TimeoutError, OSError: nobody listens there, or nothing came before the deadline.
    """
    with socket.create_connection((address, port), max(0.001, deadline.remaining())) as connection:
        own = str(connection.getsockname()[0])
        try:
            request = key.encode()
            connection.sendall(_HEADER.pack(_MAGIC, _PLAIN, len(request), 0) + request)
            data = _received(connection, deadline)
        except (ConnectionResetError, BrokenPipeError):
            raise NoAnswerError(own) from None
    if not data:
        raise NoAnswerError(own)
    return _value(decode(data).decode("utf-8", "replace"))


def _received(connection: socket.socket, deadline: Deadline) -> bytes:
    """Return all that comes until the other end closes, or a whole message is there."""
    data = b""
    while len(data) <= _MAX_BYTES:
        remaining = deadline.remaining()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)
        piece = connection.recv(_PIECE)
        if not piece:
            break
        data += piece
        if _is_whole(data):
            break
    return data


def _is_whole(data: bytes) -> bool:
    try:
        decode(data)
    except ValueError:
        return False
    return True


def decode(data: bytes) -> bytes:
    """Return the content of a message.

    Raises:
        ValueError: it has no such header, or is cut.
    """
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise ValueError("its answer has no header of Zabbix")
    flags = data[len(_MAGIC)]
    if flags not in (_PLAIN, _PLAIN | _LARGE):
        raise ValueError(f"its answer has unknown flags ({flags})")
    header = _LARGE_HEADER if flags & _LARGE else _HEADER
    if len(data) < header.size:
        raise ValueError("its answer is cut")
    length = header.unpack_from(data)[2]
    content = data[header.size : header.size + length]
    if len(content) < length:
        raise ValueError("its answer is cut")
    return content


def _value(answer: str) -> str:
    if not answer.startswith(_NOT_SUPPORTED):
        return answer
    _, _, reason = answer.partition("\0")
    raise NotSupportedError(reason or "unsupported item key")
