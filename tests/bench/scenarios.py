"""What to measure: the levels, and loads of other shapes that have names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.load import MAX_PROCESSES, MAX_SOCKETS, Shape

NAMES = ("processes", "shared", "distinct", "namespaces", "traffic", "time_wait")
SOCKETS = 100_000  # of each of them, but for "distinct" with --million
SHARED = 4  # processes with the same sockets
TIME_WAIT = 50_000  # beside the others


@dataclass(frozen=True, slots=True)
class Stage:
    """One load to measure under.

    Attributes:
        scenario: Its name; empty for a level.
        shape: None for no load.
        time_wait: How many sockets in TIME_WAIT there are beside it.
    """

    scenario: str
    shape: Shape | None
    time_wait: int = 0

    @property
    def sockets(self) -> int:
        """How many sockets the load has."""
        return self.shape.sockets if self.shape else 0

    def __str__(self) -> str:
        sockets = f"{self.sockets:,} sockets"
        return f"{self.scenario}: {sockets}" if self.scenario else sockets


def stages(
    levels: Sequence[int], scenarios: Collection[str], processes: int, *, million: bool
) -> Iterator[Stage]:
    """Yield the levels, each over *processes*, then the scenarios."""
    for sockets in levels:
        yield Stage("", Shape(sockets, processes) if sockets else None)
    for name in NAMES:
        if name in scenarios:
            time_wait = TIME_WAIT if name == "time_wait" else 0
            yield Stage(name, _shape(name, processes, million=million), time_wait)


def _shape(name: str, processes: int, *, million: bool) -> Shape:
    distinct = MAX_SOCKETS if million else SOCKETS
    return {
        "processes": Shape(SOCKETS, MAX_PROCESSES),
        "shared": Shape(SOCKETS, max(1, processes // SHARED) * SHARED, shared=SHARED),
        "distinct": Shape(distinct, processes, distinct_upstreams=True),
        "namespaces": Shape(SOCKETS, processes, namespaces=True),
        "traffic": Shape(SOCKETS, processes, traffic=True),
        "time_wait": Shape(SOCKETS, processes),
    }[name]
