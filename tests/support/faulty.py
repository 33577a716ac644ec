"""A path between two network namespaces that takes time and loses packets.

A TUN device at each end, and a process between them: what netem does, where a kernel has it.
"""

import fcntl
import heapq
import os
import selectors
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import netns
from children import Child

DELAY_SECONDS = 0.02  # each way
HERE, THERE = "198.51.100.1", "198.51.100.2"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
_DEVICE = "faulty0"
_TCP, _IPV4_HEADER, _OFFSET = 6, 20, 32


def _open(address: str, peer: str) -> int:
    """Return the descriptor of a new device of the namespace that this thread is in."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(fd, _TUNSETIFF, request)
    netns.ip("address", "add", address, "peer", peer, "dev", _DEVICE)
    netns.ip("link", "set", _DEVICE, "up")
    return fd


class Faulty:
    """Forwards between two devices, in threads of the process that runs it.

    Of the packets with data each *lose_each*-th is lost; all are, for as long as the file
    *broken* is there.
    """

    def __init__(self, ends: tuple[int, int], lose_each: int, broken: str) -> None:
        self._ends = ends
        self._lose_each = lose_each
        self._broken = broken
        self._seen = 0

    def start(self) -> object:
        """Begin."""
        threading.Thread(target=self._forward, daemon=True).start()
        return self

    def _forward(self) -> None:
        there = dict(zip(self._ends, reversed(self._ends)))
        waiting: list[tuple[float, int, int, bytes]] = []
        number = 0
        with selectors.DefaultSelector() as selector:
            for end in self._ends:
                selector.register(end, selectors.EVENT_READ)
            while True:
                pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
                for key, _ in selector.select(pause):
                    packet = os.read(key.fd, 65536)
                    if not self._loses(packet):
                        number += 1
                        due = time.monotonic() + DELAY_SECONDS
                        heapq.heappush(waiting, (due, number, there[key.fd], packet))
                while waiting and waiting[0][0] <= time.monotonic():
                    *_, end, packet = heapq.heappop(waiting)
                    os.write(end, packet)

    def _loses(self, packet: bytes) -> bool:
        if packet[9] != _TCP or len(packet) == _IPV4_HEADER + (packet[_OFFSET] >> 4) * 4:
            return False
        self._seen += 1
        return not self._seen % self._lose_each or os.path.exists(self._broken)


@contextmanager
def path_to(name: str, broken: str, lose_each: int = 7) -> Iterator[None]:
    """Have a path from the namespace of this thread to a new one below /run/netns.

    Needs root. HERE and THERE are the addresses of its ends.

    Raises:
        OSError: the kernel has no TUN devices.
    """
    with netns.named(name):
        ends = [_open(HERE, THERE)]
        try:
            with netns.inside(name):
                ends.append(_open(THERE, HERE))
            faulty = Faulty((ends[0], ends[1]), lose_each, broken)
            with Child(faulty.start, b"faulty"):
                yield
        finally:
            for end in ends:
                os.close(end)
