"""In the place of a server: takes what zabbix_sender sends, and misbehaves when asked to."""

import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_HEADER = struct.Struct("<4sBII")  # "ZBXD", flags, length, length before compression
_COMPRESSED = 0x02
_LINGER = struct.pack("ii", 1, 0)  # close() resets the connection


class Mood(Enum):
    """What the server does with a request that it has read."""

    TAKE = "takes it"
    REFUSE = "says success, and that it took none"
    FAIL = "says that it failed, and took all of it"
    HALF = "takes it, and ends in the middle of the answer"
    RESET = "takes it, and resets the connection"
    SILENT = "never answers"
    RUBBISH = "answers something else"


@dataclass(slots=True)
class Recorder:
    """A server on loopback; *taken* are the values that it has in its history."""

    listener: socket.socket
    mood: Mood = Mood.TAKE
    taken: list[dict[str, Any]] = field(default_factory=list)
    offered: list[dict[str, Any]] = field(default_factory=list)
    """All that came, also what it refused."""
    requests: int = 0
    halves: int = 0
    """Values that it took and never confirmed: they come again."""

    @property
    def address(self) -> str:
        """What --server takes."""
        host, port = self.listener.getsockname()
        return f"{host}:{port}"

    def serve(self) -> None:
        """Serve one connection after the other until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, suppress(OSError, EOFError):
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        values = _read(connection)["data"]
        self.requests += 1
        self.offered += values
        mood = self.mood
        if mood is Mood.SILENT:
            connection.recv(1)  # until the other side gives up
            return
        if mood not in (Mood.REFUSE, Mood.RUBBISH, Mood.FAIL):
            self.taken += values
            self.halves += len(values) * (mood is not Mood.TAKE)
        counts = (0, len(values)) if mood is Mood.REFUSE else (len(values), 0)
        info = f"processed: {counts[0]}; failed: {counts[1]}; total: {len(values)}"
        response = "failed" if mood is Mood.FAIL else "success"
        answer = json.dumps({"response": response, "info": info + "; seconds spent: 0.000001"})
        packet = _HEADER.pack(b"ZBXD", 1, len(answer), 0) + answer.encode()
        if mood is Mood.RUBBISH:
            packet = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        if mood is Mood.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            return
        connection.sendall(packet[: len(packet) // 2] if mood is Mood.HALF else packet)


def _read(connection: socket.socket) -> Any:
    magic, flags, length, _ = _HEADER.unpack(_receive(connection, _HEADER.size))
    assert magic == b"ZBXD"
    body = _receive(connection, length)
    return json.loads(zlib.decompress(body) if flags & _COMPRESSED else body)


def _receive(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


@contextmanager
def recording(port: int = 0) -> Iterator[Recorder]:
    """Run a server on loopback, on a free port or the given one."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        recorder = Recorder(listener)
        thread = threading.Thread(target=recorder.serve, daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
