"""What is said of many round-trip times: within the error that is documented."""

from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.quality import ONE, VALUES, Sampler, bucket_of, figures_of, sample

U32 = st.integers(0, 0xFFFFFFFF)
TIMES = st.integers(1, 1 << 26) | st.integers(1, 200)


@given(U32, U32)
def test_buckets_are_in_order(one: int, other: int) -> None:
    """A larger value is in no lower bucket, and each bucket fits one byte."""
    assert (bucket_of(one) <= bucket_of(other)) == (one <= other) or (
        bucket_of(one) == bucket_of(other)
    )
    assert 0 <= bucket_of(one) <= 255


def test_no_bucket_is_left_out() -> None:
    """From one value to the next the bucket is the same or the next one."""
    steps = {bucket_of(value + 1) - bucket_of(value) for value in range(1 << 16)}
    assert steps == {0, 1}


@given(U32)
@example(0)
@example(15)
@example(16)
@example(0xFFFFFFFF)
def test_error(value: int) -> None:
    """A bucket's middle is within a sixteenth of each of its values; up to 15 it is exact."""
    error = abs(VALUES[bucket_of(value)] - value)
    assert error * 16 <= value
    if value < 16:
        assert error == 0


def test_values_beyond_32_bits_are_in_the_last_bucket() -> None:
    """As the BPF program has it."""
    assert bucket_of(1 << 40) == bucket_of(0xFFFFFFFF)


def exact(values: Sequence[int], percent: int) -> int:
    """Return a percentile by the nearest rank."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


@given(st.lists(TIMES, min_size=1, max_size=60))
def test_percentiles(times: list[int]) -> None:
    """Each is the exact one's bucket, so within a sixteenth of it; in whatever order they come."""
    figures = figures_of(sum(ONE[bucket_of(each)] for each in times))
    assert figures["measured"] == len(times)
    expected = {name: exact(times, percent) for name, percent in (("p50", 50), ("p95", 95))}
    expected["max"] = max(times)
    assert figures["rtt_us"] == {name: VALUES[bucket_of(value)] for name, value in expected.items()}


SAMPLES = st.tuples(
    *(TIMES, st.booleans(), U32, U32, st.tuples(U32, U32), st.integers(1, 1000)),
)


@given(st.lists(SAMPLES, max_size=30))
def test_sums_never_run_into_each_other(
    samples: list[tuple[int, bool, int, int, tuple[int, int], int]],
) -> None:
    """Adding two qualities adds each of their sums, whatever the others are."""
    total = 0
    sums = dict.fromkeys(
        (
            "measured",
            "retransmitting",
            "retransmits",
            "lost",
            "receiver_limited_ms",
            "sender_buffer_limited_ms",
        ),
        0,
    )
    for rtt, again, retransmits, lost, limited, times in samples:
        total += times * sample(bucket_of(rtt), again, retransmits, lost, limited)
        for name, value in zip(sums, (1, again, retransmits, lost, *limited)):
            sums[name] += times * value
    figures = figures_of(total)
    pct = figures.pop("retransmitting_pct")
    figures.pop("rtt_us", None)
    assert figures == sums
    measured, retransmitting = sums["measured"], sums["retransmitting"]
    assert pct == (round(100 * retransmitting / measured, 1) if measured else 0)


def test_nothing_measured() -> None:
    """Sums are 0, and there are no round trips."""
    assert figures_of(0) == {
        "measured": 0,
        "retransmitting": 0,
        "retransmitting_pct": 0,
        "retransmits": 0,
        "lost": 0,
        "receiver_limited_ms": 0,
        "sender_buffer_limited_ms": 0,
    }


def test_a_million_of_one_kind() -> None:
    """Counts of a large host stay apart."""
    many = sample(0, False, 0, 0) * 0 + ONE[10] * 50_000_000 + ONE[11] * 50_000_000
    figures = figures_of(many)
    assert figures["measured"] == 100_000_000
    assert figures["rtt_us"] == {"p50": 10, "p95": 11, "max": 11}


FIGURES = (0, 0, 0, 5_000, 70_000, 1000, 0, 0, 0)
"""tcpi_retransmits, lost, retrans, last sent, last received, rtt, total_retrans, limited."""


def with_figures(**changed: int) -> tuple[int, ...]:
    """Return FIGURES with some of them changed."""
    names = (
        *("timeouts", "lost", "in_flight", "sent", "received", "rtt", "retransmits"),
        *("receiver", "sender"),
    )
    found = dict(zip(names, FIGURES))
    return tuple((found | changed).values())


@pytest.mark.parametrize(
    ("sent", "received", "counts"),
    [
        (0, 0, True),
        (60_000, 70_000, True),
        (70_000, 60_000, True),
        (60_001, 60_001, False),
        (0xFFFFFFFF, 0, True),
    ],
)
def test_idle_sockets_do_not_count(sent: int, received: int, counts: bool) -> None:
    """Neither sent nor received within the time: not counted."""
    found = Sampler(60)(with_figures(sent=sent, received=received))
    assert bool(found) == counts


def test_without_an_rtt_or_tcp_info() -> None:
    """Sockets that have no sample don't count."""
    sampler = Sampler(60)
    assert sampler(with_figures(rtt=0)) == 0
    assert sampler(()) == 0


@given(st.tuples(*[U32] * 7), st.tuples(*[st.integers(0, 1 << 63)] * 2))
def test_sampler(figures: tuple[int, ...], limited: tuple[int, int]) -> None:
    """A socket's figures come back: counts exactly, times within their error."""
    sampler = Sampler(3600)
    timeouts, lost, in_flight, sent, received, rtt, retransmits = figures
    found = figures_of(sampler((*figures, *limited)))
    if not rtt or min(sent, received) > 3_600_000:
        assert found["measured"] == 0
        return
    assert found["measured"] == 1
    assert (found["retransmits"], found["lost"]) == (retransmits, lost)
    assert found["retransmitting_pct"] == (100.0 if timeouts or in_flight else 0.0)
    names = ("receiver_limited_ms", "sender_buffer_limited_ms")
    for name, exactly in zip(names, limited):
        value = found[name]
        assert isinstance(value, int)
        milliseconds = min(exactly // 1000, 0xFFFFFFFF)
        assert abs(value - milliseconds) * 16 <= milliseconds
    assert not sampler.lacks_limited_times


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("timeouts", "retransmitting", 1),
        ("in_flight", "retransmitting", 1),
        ("lost", "lost", 7),
        ("retransmits", "retransmits", 7),
        ("receiver", "receiver_limited_ms", 7),
        ("sender", "sender_buffer_limited_ms", 7),
    ],
)
def test_one_figure_alone(name: str, field: str, value: int) -> None:
    """None needs another one to be seen, and none changes another one."""
    nothing = dict.fromkeys(("timeouts", "lost", "in_flight", "retransmits"), 0)
    nothing |= {"receiver": 0, "sender": 0}
    alone = with_figures(**nothing | {name: 7000 if field.endswith("_ms") else 7})
    usual = figures_of(Sampler(60)(with_figures(**nothing)))
    found = figures_of(Sampler(60)(alone))
    share = {"retransmitting_pct": 100.0} if field == "retransmitting" else {}
    assert found == usual | {field: value} | share


def test_older_kernels_tell_no_limited_times() -> None:
    """Before 4.10 there are none, which the sampler remembers."""
    sampler = Sampler(60)
    assert figures_of(sampler(FIGURES[:7]))["measured"] == 1
    assert sampler.lacks_limited_times
