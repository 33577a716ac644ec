"""The moments of pushes: spread over a fleet, the same after a restart, without drift."""

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.sending.schedule import next_tick, offset, seconds_to_first

INTERVALS = st.integers(1, 86400)


@given(st.text(), INTERVALS)
def test_offset_is_the_hosts(host: str, interval: int) -> None:
    """It lies within the interval, and only the name decides."""
    assert 0 <= offset(host, interval) < interval
    assert offset(host, interval) == offset(host, interval)


def test_a_fleet_is_spread() -> None:
    """No second of a minute has far more than its share of a thousand hosts."""
    seconds = [int(offset(f"web{number}.example.com", 60)) for number in range(1000)]
    assert max(seconds.count(second) for second in range(60)) < 40
    assert len(set(seconds)) == 60


@given(st.floats(0, 4e9), INTERVALS, st.floats(0, 1, exclude_max=True))
def test_first(now: float, interval: int, share: float) -> None:
    """It comes within an interval, at the host's moment."""
    own = share * interval
    wait = seconds_to_first(now, interval, own)
    assert 0 <= wait <= interval
    difference = (now + wait - own) % interval
    assert min(difference, interval - difference) < 1e-3


@given(st.floats(0, 1e6), st.floats(0, 1e6), INTERVALS)
def test_no_drift(start: float, late: float, interval: int) -> None:
    """However late it is, the next moment is on the grid, ahead, and not skipped."""
    now = start + late
    tick = next_tick(start, now, interval)
    assert now < tick + 1e-6
    assert tick <= now + interval + 1e-6
    steps = (tick - start) / interval
    assert abs(steps - round(steps)) < 1e-6
