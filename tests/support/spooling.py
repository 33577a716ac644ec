"""A spool of two destinations, for the tests of what uses one."""

from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool

A, B = "a.example.com", "b.example.com;c.example.com"
LARGE = 1 << 30


def packet(clock: int, text: str = "1") -> list[Value]:
    """Return a packet of one value."""
    return [Value("host", "key", clock, clock % 1000, text)]


def drained(spool: Spool, destination: str) -> list[int]:
    """Take all that waits, and return the clocks."""
    clocks = []
    while head := spool.oldest(destination):
        clocks.append(head.values[0].clock)
        spool.remove(head.number)
    return clocks
