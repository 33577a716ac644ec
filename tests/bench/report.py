"""The table, and the bars that the project sets itself."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from tests.bench.candidates import INTERPRETER, SOURCES
from tests.bench.results import Figures, Level, cost_us, divide

OURS = "sock_diag"  # what the peers are compared with
FLAT = 1.25
COLUMNS = (
    "",
    "runs",
    "wall ms",
    "CPU ms",
    "peak MB",
    "x bound",
    "x bare",
    f"x {OURS}",
    "us/socket",
)


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


def level_as_json(levels: Sequence[Level], level: Level) -> dict[str, object]:
    """One level with the ratios of the table."""
    document = asdict(level)
    for name, figures in level.figures.items():
        document["figures"][name] |= {
            "x_bound": level.ratio(name, figures.bounds),
            "x_interpreter": level.ratio(name, [INTERPRETER]),
            f"x_{OURS}": level.ratio(name, [OURS]),
            "us_per_socket": cost_us(levels, level, name),
        }
    return document


def table(levels: Sequence[Level], level: Level) -> str:
    """One level as text."""
    rows = [_row(levels, level, figures) for figures in level.figures.values()]
    widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    title = f"{level.sockets:,} sockets in {level.processes:,} processes"
    slab = f"the first walk over them grew the kernel's caches by {_megabytes(level.slab_bytes)} MB"
    lines = [f"{title}; {slab}" if level.sockets else title]
    for row in [COLUMNS, *rows]:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]), *row[len(widths) :]]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(levels: Sequence[Level], level: Level, figures: Figures) -> tuple[str, ...]:
    """The cells of the columns, and the note."""
    name = figures.name
    if figures.status != "ok":
        return (name, "", _why_not(figures), "", "", "", "", "", "", figures.note)
    return (
        name,
        str(figures.runs),
        _number(figures.wall_s, 1e3),
        _number(figures.cpu_s, 1e3),
        _megabytes(figures.peak_bytes),
        _number(level.ratio(name, figures.bounds)),
        _number(level.ratio(name, [INTERPRETER])),
        _number(level.ratio(name, [OURS])),
        _number(cost_us(levels, level, name)),
        figures.note,
    )


def _why_not(figures: Figures) -> str:
    if figures.status == "slow":
        return f"> {figures.at_least_s * 1e3:,.0f}" if figures.at_least_s else "not run"
    return {"missing": "not installed"}.get(figures.status, figures.status)


def _number(value: float | None, factor: float = 1.0) -> str:
    if value is None:
        return "-"
    return f"{value * factor:,.0f}" if abs(value * factor) >= 1000 else f"{value * factor:.2f}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f}"


def bars(levels: Iterable[Level]) -> Iterator[Bar]:
    """The bars of this project, each with what was measured."""
    by_sockets = {level.sockets: level for level in levels}
    if 0 in by_sockets:
        yield from _idle_bars(by_sockets[0])
    if 100_000 in by_sockets:
        yield from _busy_bars(by_sockets[100_000], ratio=1.8, megabytes=100)
        yield _bar_against_ss(by_sockets[100_000])
    if 1_000_000 in by_sockets:
        yield from _busy_bars(by_sockets[1_000_000], ratio=1.6, megabytes=300)
    yield from _flat_bars(list(by_sockets.values()))


def _idle_bars(level: Level) -> Iterator[Bar]:
    for source in SOURCES:
        ratio = level.ratio(source, [INTERPRETER])
        yield Bar(f"{source}, idle, against a bare interpreter", 6, ratio)


def _busy_bars(level: Level, ratio: float, megabytes: float) -> Iterator[Bar]:
    at = f"at {level.sockets:,}"
    for source, bounds in SOURCES.items():
        yield Bar(f"{source} {at} against its bounds", ratio, level.ratio(source, bounds))
        peak = level.figures[source].peak_bytes if source in level.figures else None
        measured = None if peak is None else peak / 1e6
        yield Bar(f"{source} {at}, peak memory", megabytes, measured, unit="MB")


def _bar_against_ss(level: Level) -> Bar:
    """An ss that was ended early gives what it is slower than, which can only meet the bar."""
    ss = level.figures.get("ss")
    wall = (ss.wall_s or ss.at_least_s) if ss else None
    faster = divide(wall, level.wall(OURS))
    return Bar(f"{OURS} at {level.sockets:,}, times faster than ss", 6, faster, at_least=True)


def _flat_bars(levels: Sequence[Level]) -> Iterator[Bar]:
    """From 10,000 sockets on, the dearest further socket against the cheapest."""
    for source in SOURCES:
        counted = [cost_us(levels, level, source) for level in levels if level.sockets >= 10_000]
        costs = [cost for cost in counted if cost is not None]
        spread = divide(max(costs), min(costs)) if len(costs) > 1 else None
        yield Bar(f"{source}, cost per further socket from 10,000 on, flat", FLAT, spread)
