"""What was measured: the shape of the JSON file, and the ratios that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

Status = Literal["ok", "failed", "slow", "missing"]


@dataclass(frozen=True, slots=True)
class Figures:
    """One candidate at one level: medians over its runs.

    Attributes:
        name: The candidate.
        status: "slow" was ended at the limit or, having been slow at a lower level, not run;
            "missing" can't be run here.
        bounds: The candidates whose sum it can't beat.
        runs: How many runs the medians are of.
        wall_s: Seconds; None unless the status is "ok".
        at_least_s: Seconds that a slow candidate needs more than; None when it wasn't run.
        cpu_s: User and system seconds.
        peak_bytes: The largest resident set.
        walls_s: The seconds of each run, in order.
        cpus_s: The user and system seconds of each run, in order.
        note: What a reader of the table must know about this row.
    """

    name: str
    status: Status
    bounds: tuple[str, ...] = ()
    runs: int = 0
    wall_s: float | None = None
    at_least_s: float | None = None
    cpu_s: float | None = None
    peak_bytes: int | None = None
    walls_s: tuple[float, ...] = ()
    cpus_s: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """A candidate as a multiple of what it is compared with, each round by itself.

    Attributes:
        ratio: The median of the rounds' ratios.
        low: Their lower quartile; of fewer than two rounds the ratio.
        high: Their upper quartile; likewise.
    """

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Level:
    """All candidates at one number of sockets.

    Attributes:
        sockets: Connected sockets of the load.
        processes: Processes that hold them.
        slab_bytes: By how much the first walk over all descriptors made the kernel's caches grow.
        others_cpus: How many processors were busy with something else meanwhile.
        figures: By the candidates' names, in the order of the table.
        scenario: The name of a load of another shape; empty for a plain level.
        time_wait: How many sockets in TIME_WAIT there were beside it.
    """

    sockets: int
    processes: int
    slab_bytes: int
    others_cpus: float
    figures: Mapping[str, Figures]
    scenario: str = ""
    time_wait: int = 0

    def wall(self, *names: str) -> float | None:
        """The sum of the seconds of *names*; None when one is missing."""
        found = [self.figures[name].wall_s for name in names if name in self.figures]
        walls = [wall for wall in found if wall is not None]
        return sum(walls) if names and len(walls) == len(names) else None

    def ratio(self, name: str, to: Sequence[str]) -> float | None:
        """How many times as long as the candidates *to* together *name* takes."""
        return divide(self.wall(name), self.wall(*to))


def pairs(now: Sequence[float], before: Sequence[float]) -> Pairs | None:
    """What the rounds say, of which each is one run of both; None: one of the two has none."""
    if not (now and before):
        return None
    ratios = [ours / theirs for ours, theirs in zip(now, before, strict=True) if theirs]
    if not ratios:
        return None
    middle = median(ratios)
    if len(ratios) == 1:
        return Pairs(middle, middle, middle)
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return Pairs(middle, low, high)


def divide(dividend: float | None, divisor: float | None) -> float | None:
    """The ratio, if both were measured."""
    return dividend / divisor if dividend is not None and divisor else None


def cost_us(levels: Sequence[Level], level: Level, name: str) -> float | None:
    """Microseconds per socket beyond what the call takes without any."""
    idle = next((each.wall(name) for each in levels if each.sockets == 0), None)
    wall = level.wall(name)
    if idle is None or wall is None or not level.sockets:
        return None
    return (wall - idle) / level.sockets * 1e6
