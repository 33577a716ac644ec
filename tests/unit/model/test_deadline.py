"""Deadlines on a clock that the test moves."""

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time, as time.monotonic() does."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let deadlines live by a clock of the test's own."""
    clock = Clock()
    monkeypatch.setattr("zabbix_sockets.model.deadline.monotonic", clock)
    return clock


def test_before_the_end(clock: Clock) -> None:
    """Until its seconds are over a deadline says what is left, and raises nothing."""
    deadline = Deadline(2.5)
    clock.now += 2
    assert deadline.remaining() == 0.5
    assert not deadline.passed()
    deadline.check()


@pytest.mark.parametrize("late", [0, 1, 1e6])
def test_after_the_end(clock: Clock, late: float) -> None:
    """From its very end on a deadline has passed, and its error names the seconds."""
    deadline = Deadline(2.5)
    clock.now += 2.5 + late
    assert deadline.passed()
    assert deadline.remaining() == -late
    with pytest.raises(DeadlineError, match=r"^timed out after 2\.5 s$"):
        deadline.check()


def test_since(clock: Clock) -> None:
    """The seconds may have begun before."""
    deadline = Deadline(2.5, since=clock.now - 1)
    assert deadline.remaining() == 1.5


def test_part_is_a_share_of_what_is_left(clock: Clock) -> None:
    """A part ends after its share of the time that remains, not of the whole."""
    deadline = Deadline(10)
    clock.now += 6
    part = deadline.part(0.5)
    assert part.seconds == 2
    assert part.end == clock.now + 2
    assert deadline.remaining() == 4


def test_part_of_nothing(clock: Clock) -> None:
    """A part of a deadline that has passed has passed too, with no negative seconds."""
    deadline = Deadline(1)
    clock.now += 5
    part = deadline.part(0.5)
    assert part.passed()
    assert part.seconds == 0
