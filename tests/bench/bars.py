"""The bars that the project sets itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.candidates import INTERPRETER, MILLION, RECORDS, REST, SOURCES, WITHOUT
from tests.bench.results import Level, cost_us, divide

FLAT = 1.25
OF_INTERPRETER = 4.5  # without a socket
TIMEOUT_SECONDS = 2.5  # of `get`, unless told otherwise
OF_BOUNDS = {  # at so many sockets, by source
    100_000: {"bpf": 1.5, "sock_diag": 1.8, "procfs": 1.8},
    MILLION: {"bpf": 1.3, "sock_diag": 1.6, "procfs": 1.6},
}
MEGABYTES = {
    100_000: {"bpf": 64, "sock_diag": 100, "procfs": 100},
    MILLION: {"bpf": 64, "sock_diag": 300, "procfs": 300},
}
OF_WITHOUT_TCP_INFO = {"bpf": 1.3, "sock_diag": 2}
FASTER_THAN_SS = {"bpf": 50, "sock_diag": 6}


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure to reach; *measured* is None where nothing was."""

    what: str
    limit: float
    measured: float | None
    at_least: bool = False
    unit: str = "x"

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        wanted = f"{self.what}: {sign} {self.limit:g} {self.unit}"
        if self.measured is None:
            return f"{wanted}: not measured"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return f"{wanted}: {self.measured:.3g}: {'met' if met else 'missed'}"


def bars(levels: Iterable[Level]) -> Iterator[Bar]:
    """The bars of this project, each with what was measured."""
    measured = list(levels)
    plain = {level.sockets: level for level in measured if not level.scenario}
    if 0 in plain:
        yield from _idle_bars(plain[0])
    for sockets, limits in OF_BOUNDS.items():
        if sockets in plain:
            yield from _bound_bars(plain[sockets], limits)
    if 100_000 in plain:
        yield from _bars_against_ss(plain[100_000])
    if MILLION in plain:
        yield from _million_bars(plain[MILLION])
    for level in measured:
        yield from _memory_bars(level)
        if level.scenario == "traffic":
            yield from _traffic_bars(level)
    yield from _flat_bars(list(plain.values()))


def _idle_bars(level: Level) -> Iterator[Bar]:
    for source in SOURCES:
        ratio = level.ratio(source, [INTERPRETER])
        yield Bar(f"{source}, idle, against a bare interpreter", OF_INTERPRETER, ratio)
    yield Bar("bpf, idle, against sock_diag", 1, level.ratio("bpf", ["sock_diag"]))


def _bound_bars(level: Level, limits: Mapping[str, float]) -> Iterator[Bar]:
    for source, limit in limits.items():
        bounds = level.figures[source].bounds if source in level.figures else ()
        what = f"{source} at {level.sockets:,} against {' + '.join(bounds) or 'its bounds'}"
        yield Bar(what, limit, level.ratio(source, bounds))


def _memory_bars(level: Level) -> Iterator[Bar]:
    """Of plain levels, and of a million distinct endpoints; other loads have no bar."""
    if level.scenario not in {"", "distinct"}:
        return
    for source, limit in MEGABYTES.get(level.sockets, {}).items():
        peak = level.figures[source].peak_bytes if source in level.figures else None
        measured = None if peak is None else peak / 1e6
        at = f"at {level.sockets:,}{' ' if level.scenario else ''}{level.scenario}"
        yield Bar(f"{source} {at}, peak memory", limit, measured, unit="MB")


def _traffic_bars(level: Level) -> Iterator[Bar]:
    """The cost of round-trip times and retransmissions, where connections have carried data."""
    for source, limit in OF_WITHOUT_TCP_INFO.items():
        ratio = level.ratio(source, [f"{source}{WITHOUT}"])
        yield Bar(f"{source} at {level.sockets:,} traffic, against {source}{WITHOUT}", limit, ratio)


def _bars_against_ss(level: Level) -> Iterator[Bar]:
    """In each round; an ss that was ended early gives what it is slower than."""
    ss = level.figures.get("ss")
    for source, limit in FASTER_THAN_SS.items():
        ours = level.figures[source].walls_s if source in level.figures else ()
        slowest = max(ours, default=None)
        least = min(ss.walls_s, default=ss.at_least_s) if ss else None
        what = (
            f"{source} at {level.sockets:,}, times faster than ss, the slowest against the fastest"
        )
        yield Bar(what, limit, divide(least, slowest), at_least=True)


def _million_bars(level: Level) -> Iterator[Bar]:
    """Of the iterator: its netlink part by itself, and in time for the agent."""
    at = f"bpf at {level.sockets:,}"
    wall, rest = level.wall("bpf"), level.wall(REST)
    iterating = None if wall is None or rest is None else wall - rest
    apart = divide(iterating, level.wall(RECORDS))
    yield Bar(f"{at} less {REST}, against {RECORDS}", 1.3, apart)
    yield Bar(f"{at}, whole get", TIMEOUT_SECONDS, wall, unit="s")


def _flat_bars(levels: Sequence[Level]) -> Iterator[Bar]:
    """From 10,000 sockets on, the dearest further socket against the cheapest."""
    for source in SOURCES:
        counted = [cost_us(levels, level, source) for level in levels if level.sockets >= 10_000]
        costs = [cost for cost in counted if cost is not None]
        spread = divide(max(costs), min(costs)) if len(costs) > 1 else None
        yield Bar(f"{source}, cost per further socket from 10,000 on, flat", FLAT, spread)
