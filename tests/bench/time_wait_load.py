"""Sockets in TIME_WAIT of the caller's network namespace, which has to be the bench's own."""

import socket
from pathlib import Path

_SETTINGS = {"tcp_max_tw_buckets": "400000", "tcp_tw_reuse": "0"}
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: connect(2) chooses the port
_SERVICE, _UPSTREAM = 1080, 1081  # below the ports of the load
_CLIENTS = 0x7FC00000  # 127.192.0.0
_PER_CLIENT = 50  # connections from each address, before the next one


class TimeWait:
    """Connections in TIME_WAIT: those that a service has closed, and as many to an upstream.

    The clients of the service have thousands of addresses, as the Internet's have; the upstream is
    one address and port.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        for name, value in _SETTINGS.items():
            Path("/proc/sys/net/ipv4", name).write_text(value)
        self._service, self._upstream = _listener("", _SERVICE), _listener("127.0.0.1", _UPSTREAM)
        self._made = 0

    def fill(self) -> None:
        """Make connections until as many as wanted are in TIME_WAIT, where each stays a minute."""
        while (lacking := self._wanted - in_time_wait()) > 0:
            for _ in range(lacking):
                self._connect(by_service=self._made % 2 == 0)
                self._made += 1

    def _connect(self, *, by_service: bool) -> None:
        server = self._service if by_service else self._upstream
        number = _CLIENTS + self._made // (_PER_CLIENT if by_service else 20_000)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((socket.inet_ntoa(number.to_bytes(4, "big")), 0))
            client.connect(("127.0.0.1", server.getsockname()[1]))
            accepted, _ = server.accept()
            with accepted:
                (accepted if by_service else client).shutdown(socket.SHUT_WR)


def _listener(address: str, port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(128)
    return server


def in_time_wait() -> int:
    """Return the number of sockets in TIME_WAIT of this network namespace."""
    (line,) = (each for each in Path("/proc/net/sockstat").read_text().splitlines() if "tw" in each)
    words = line.split()
    return int(words[words.index("tw") + 1])
