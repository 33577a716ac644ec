"""Data over a load's connections, so that they have round-trip times that differ."""

import socket
import time
from collections.abc import Sequence

ROUNDS = 6
DELAY_SECONDS = 0.06  # longer than the kernel puts off an acknowledgement
LARGE_EVERY = 32
SMALL, LARGE = b"x" * 100, b"x" * 100_000  # LARGE: so many segments that the last is sent again

Pair = tuple[socket.socket, socket.socket]


def exchange(pairs: Sequence[Pair]) -> None:
    """Send from one end of each pair as often as its number says, 0 to ROUNDS times.

    The other end puts off its acknowledgement by 40 ms, so each time the round-trip time is
    nearer to that.
    """
    ends = [pair if number % 2 else pair[::-1] for number, pair in enumerate(pairs)]
    for _, receiver in ends:
        receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    for turn in range(ROUNDS):
        busy = [at for at in range(len(ends)) if at // 2 % (ROUNDS + 1) > turn]
        for at in busy:
            sender = ends[at][0]
            sender.setblocking(False)
            sender.send(SMALL if at % LARGE_EVERY else LARGE)
        time.sleep(DELAY_SECONDS)
        for at in busy:
            _drain(ends[at][1])


def _drain(receiver: socket.socket) -> None:
    receiver.setblocking(False)
    try:
        while receiver.recv(len(LARGE)):
            pass
    except BlockingIOError:
        pass  # all is read
