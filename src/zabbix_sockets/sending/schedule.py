"""When a host pushes: at its own moment of each interval, without drift."""

import hashlib
import math


def offset(host: str, interval: float) -> float:
    """Return the host's own moment within an interval, in seconds: spread evenly over a fleet."""
    digest = hashlib.sha256(host.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64 * interval


def seconds_to_first(now: float, interval: float, own: float) -> float:
    """Return the time from *now* (Unix seconds) to the next moment of the host, its *own* offset.

    The moments are the same before and after a restart.
    """
    return (own - now) % interval


def next_tick(start: float, now: float, interval: float) -> float:
    """Return the next moment after *now*; both on the monotonic clock that *start* is on.

    Moments that passed meanwhile are left out, and the grid stays where it was.
    """
    return start + (math.floor((now - start) / interval) + 1) * interval
