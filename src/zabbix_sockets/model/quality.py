"""How good connections are: what samples of them add up to, and what is said of the sums.

A Quality is one number with a place for each sum: how many samples fell into which bucket of
the round-trip times, segments, milliseconds. The places are so wide that none overflows into
the next one, so `+` adds up all of them at once; 0 is no sample, and equal samples are one object.
"""

from collections.abc import Iterable
from typing import TypeVar

Quality = int

Key = TypeVar("Key")

_STEP_BITS = 3
_STEPS = 1 << _STEP_BITS
_MAX_VALUE = 0xFFFFFFFF

_COUNT_BITS, _COUNT = 28, (1 << 28) - 1  # more sockets than a host can have
_SUM_BITS, _SUM = 64, (1 << 64) - 1
_SUMS = ("retransmits", "lost", "receiver_limited_ms", "sender_buffer_limited_ms")
_RETRANSMITTING = _SUM_BITS * len(_SUMS)
_HISTOGRAM = _RETRANSMITTING + _COUNT_BITS

LIMITED_TIMES = _SUMS[2:]
"""What the kernel tells from 4.10 on."""


def bucket_of(value: int) -> int:
    """Return the bucket of *value*: itself below 8, then 8 buckets for each power of two.

    The BPF program has the same. Values of more than 32 bits are in the last bucket.
    """
    if value < _STEPS:
        return value
    value = min(value, _MAX_VALUE)
    octave = value.bit_length() - 1 - _STEP_BITS
    return octave * _STEPS + (value >> octave)


def _middle(bucket: int) -> int:
    octave = bucket // _STEPS - 1
    if octave <= 0:
        return bucket
    return (_STEPS + bucket % _STEPS << octave) + (1 << octave >> 1)


VALUES = tuple(_middle(bucket) for bucket in range(256))
"""The middle of each bucket: at most 6.25 % from any value in it."""

ONE = tuple(1 << _HISTOGRAM + bucket * _COUNT_BITS for bucket in range(256))
"""A sample of which nothing but the bucket of its round-trip time is to be said."""


def sample(
    bucket: int, retransmitting: bool, retransmits: int, lost: int, limited: Iterable[int] = ()
) -> Quality:
    """Return one socket's Quality, by the bucket of its round-trip time in microseconds.

    *limited*: milliseconds in which the receiver's window, and the own buffer, held it up.
    """
    quality = ONE[bucket] | retransmitting << _RETRANSMITTING
    for place, value in enumerate((retransmits, lost, *limited)):
        quality |= value << place * _SUM_BITS
    return quality


def add_to(sums: dict[Key, Quality], key: Key, quality: Quality) -> None:
    """Add to one of many sums; one of a single sample stays the object that equal ones share."""
    before = sums.get(key)
    sums[key] = quality if before is None else before + quality


class Sampler:
    """Makes samples of tcp_info's figures, as readers.inet_diag has them.

    Args:
        active_within: seconds; sockets that neither sent nor received data since don't count.

    Attributes:
        lacks_limited_times: the kernel doesn't tell them.
    """

    def __init__(self, active_within: int) -> None:
        self._longest = active_within * 1000
        self.lacks_limited_times = False

    def __call__(self, figures: tuple[int, ...]) -> Quality:
        """Return a socket's Quality, 0 if it doesn't count."""
        if not figures:
            return 0
        timeouts, lost, in_flight, sent, received, rtt, retransmits, *limited = figures
        if not rtt or (sent > self._longest and received > self._longest):
            return 0
        if not limited:
            self.lacks_limited_times = True
        bucket = bucket_of(rtt)
        if not (timeouts or lost or in_flight or retransmits or any(limited)):
            return ONE[bucket]
        times = (VALUES[bucket_of(each // 1000)] for each in limited)
        return sample(bucket, bool(timeouts or in_flight), retransmits, lost, times)


def figures_of(quality: Quality) -> dict[str, object]:
    """Return the document's fields: sums, and percentiles where a socket counts."""
    counts = list(_counts(quality >> _HISTOGRAM))
    measured = sum(count for _, count in counts)
    retransmitting = quality >> _RETRANSMITTING & _COUNT
    figures: dict[str, object] = {
        "measured": measured,
        "retransmitting": retransmitting,
        "retransmitting_pct": round(100 * retransmitting / max(1, measured), 1),
    }
    if measured:
        figures["rtt_us"] = {
            "p50": _percentile(counts, -(-measured * 50 // 100)),
            "p95": _percentile(counts, -(-measured * 95 // 100)),
            "max": VALUES[counts[-1][0]],
        }
    for place, name in enumerate(_SUMS):
        figures[name] = quality >> place * _SUM_BITS & _SUM
    return figures


def _counts(histogram: int) -> Iterable[tuple[int, int]]:
    """Yield the buckets that have samples, with how many, in order."""
    bucket = 0
    while histogram:
        empty = ((histogram & -histogram).bit_length() - 1) // _COUNT_BITS
        bucket += empty
        histogram >>= empty * _COUNT_BITS
        yield bucket, histogram & _COUNT
        bucket += 1
        histogram >>= _COUNT_BITS


def _percentile(counts: Iterable[tuple[int, int]], rank: int) -> int:
    """Return the value at *rank*, from 1, of all in order."""
    for bucket, count in counts:
        rank -= count
        if rank <= 0:
            return VALUES[bucket]
    raise AssertionError("the rank is beyond the last one")
