"""Schedule of pushes: each host has its own moment of each interval, without drift."""

import hashlib
import math


def offset(host: str, interval: float) -> float:
    """Return the host's offset within an interval of *interval* seconds, by a hash of its name.

    It is from 0 to below *interval*, in seconds, and spread evenly over a fleet.
    """
    digest = hashlib.sha256(host.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * interval


def seconds_to_first(now: float, interval: float, own: float) -> float:
    """Return the seconds from *now* (Unix seconds) to the next moment with the offset *own*.

    The moments are the same before and after a restart.
    """
    return (own - now) % interval


def next_tick(start: float, now: float, interval: float) -> float:
    """Return the first moment after *now* that is a multiple of *interval* seconds from *start*.

    All are of the monotonic clock. So moments that passed are left out, and none drifts.
    """
    return start + (math.floor((now - start) / interval) + 1) * interval
