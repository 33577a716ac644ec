"""Quality of connections: sums of their round-trip times, retransmissions, losses and limits.

A Quality is one integer that holds all sums, so that `+` adds them up at once: a million samples
need no object each. From the lowest bit on it has these fields:

    bits  0-63    retransmits: segments sent again
         64-127   lost: segments taken for lost
        128-191   receiver_limited_ms: time in which the receiver's window held data up
        192-255   sender_buffer_limited_ms: time in which the own send buffer did
        256-283   retransmitting: connections with an unanswered timeout, or segments sent again
        284-311   connections whose round-trip time is in bucket 0 of bucket_of(), in microseconds
        312-339   in bucket 1, and so on up to bucket 255: 28 bits each

The fields are so wide that none overflows into the next one. 0 is no connection, and equal
samples of one connection are one object.
"""

from _collections_abc import Iterable

from zabbix_sockets.model.light_typing import TypeVar

Quality = int
"""The sums of any number of connections, as the module describes them."""

Key = TypeVar("Key")
"""The key by which sums are told apart."""

_STEP_BITS = 3
_STEPS = 1 << _STEP_BITS
_MAX_VALUE = 0xFFFFFFFF

_COUNT_BITS, _COUNT = 28, (1 << 28) - 1  # more sockets than a host can have
_SUM_BITS, _SUM = 64, (1 << 64) - 1
_SUMS = ("retransmits", "lost", "receiver_limited_ms", "sender_buffer_limited_ms")
_RETRANSMITTING = _SUM_BITS * len(_SUMS)
_HISTOGRAM = _RETRANSMITTING + _COUNT_BITS

LIMITED_TIMES = _SUMS[2:]
"""The sums for which kernels before 4.10 have no figures."""


def bucket_of(value: int) -> int:
    """Return the bucket, 0 to 255, of a value that is not negative.

    Values below 8 are their own buckets; from there on each power of two has 8 of them. Values of
    more than 32 bits are in the bucket of the last one that has 32. The BPF program computes the
    same.
    """
    if value < _STEPS:
        return value
    value = min(value, _MAX_VALUE)
    octave = value.bit_length() - 1 - _STEP_BITS
    return octave * _STEPS + (value >> octave)


def _middle(bucket: int) -> int:
    """Return the value in the middle of a bucket."""
    octave = bucket // _STEPS - 1
    if octave <= 0:
        return bucket
    return (_STEPS + bucket % _STEPS << octave) + (1 << octave >> 1)


VALUES = tuple(_middle(bucket) for bucket in range(256))
"""For each bucket the value in its middle, from which no value in it differs by over 6.25 %."""

ONE = tuple(1 << _HISTOGRAM + bucket * _COUNT_BITS for bucket in range(256))
"""For each bucket the Quality of a connection in it, all of whose sums are 0."""


def sample(
    bucket: int, retransmitting: bool, retransmits: int, lost: int, limited: Iterable[int] = ()
) -> Quality:
    """Return the Quality of one connection.

    *bucket* is that of its round-trip time in microseconds; *retransmits* and *lost* are segments;
    *limited* none, or the milliseconds in which the receiver's window, and then those in which the
    own send buffer, held data up.
    """
    quality = ONE[bucket] | retransmitting << _RETRANSMITTING
    for index, value in enumerate((retransmits, lost, *limited)):
        quality |= value << index * _SUM_BITS
    return quality


def add_to(sums: dict[Key, Quality], key: Key, quality: Quality) -> None:
    """Add *quality* to the entry *key* of *sums*.

    An entry of one sample stays the object that equal samples share.
    """
    before = sums.get(key)
    sums[key] = quality if before is None else before + quality


class Sampler:
    """Makes the Quality of a connection of its figures of struct tcp_info.

    Args:
        active_within: seconds; a connection that has neither sent nor received data for longer
            doesn't count.

    Attributes:
        lacks_limited_times: the kernel has no figures of LIMITED_TIMES.
    """

    def __init__(self, active_within: int) -> None:
        self._longest = active_within * 1000
        self.lacks_limited_times = False

    def __call__(self, figures: tuple[int, ...]) -> Quality:
        """Return the Quality of the connection with these *figures*; 0 if it doesn't count.

        Figures are those of readers.sock_diag.attributes: empty, or seven or nine fields of
        tcp_info.
        """
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
    """Return the document's fields of *quality*: the sums and, unless it is 0, percentiles.

    docs/document.md describes them.
    """
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
    for index, name in enumerate(_SUMS):
        figures[name] = quality >> index * _SUM_BITS & _SUM
    return figures


def _counts(histogram: int) -> Iterable[tuple[int, int]]:
    """Yield the buckets with connections in rising order, each with their number.

    *histogram* is a Quality without the sums below its buckets.
    """
    bucket = 0
    while histogram:
        empty = ((histogram & -histogram).bit_length() - 1) // _COUNT_BITS
        bucket += empty
        histogram >>= empty * _COUNT_BITS
        yield bucket, histogram & _COUNT
        bucket += 1
        histogram >>= _COUNT_BITS


def _percentile(counts: Iterable[tuple[int, int]], rank: int) -> int:
    """Return the value of the connection with the *rank*, from 1, in the order of *counts*.

    *counts* are buckets in rising order, each with the number of its connections.
    """
    for bucket, count in counts:
        rank -= count
        if rank <= 0:
            return VALUES[bucket]
    raise AssertionError("the rank is beyond the last one")
