"""The table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tests.bench.candidates import BEFORE, INTERPRETER
from tests.bench.results import Figures, Level, Pairs, cost_us, pairs

OURS = ("bpf", "sock_diag")  # what the others are compared with
COLUMNS = (
    "",
    "runs",
    "wall ms",
    "CPU ms",
    "peak MB",
    "x bound",
    "x bare",
    *(f"x {source}" for source in OURS),
    "us/socket",
)


def level_as_json(levels: Sequence[Level], level: Level) -> dict[str, object]:
    """One level with the ratios of the table."""
    document = asdict(level)
    for name, figures in level.figures.items():
        document["figures"][name] |= {
            "x_bound": level.ratio(name, figures.bounds),
            "x_interpreter": level.ratio(name, [INTERPRETER]),
            **{f"x_{source}": level.ratio(name, [source]) for source in OURS},
            "us_per_socket": cost_us(levels, level, name),
        }
    for name, wall, cpu in _compared(level):
        document["figures"][name] |= {"wall_x_before": asdict(wall), "cpu_x_before": asdict(cpu)}
    return document


def table(levels: Sequence[Level], level: Level) -> str:
    """One level as text."""
    rows = [_row(levels, level, figures) for figures in level.figures.values()]
    widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    title = f"{level.sockets:,} sockets in {level.processes:,} processes"
    if level.time_wait:
        title += f", {level.time_wait:,} more in TIME_WAIT"
    if level.scenario:
        title = f"{level.scenario}: {title}"
    title += f"; others kept {level.others_cpus:.1f} CPUs busy"
    slab = f"the first walk over them grew the kernel's caches by {_megabytes(level.slab_bytes)} MB"
    lines = [f"{title}; {slab}" if level.sockets else title]
    for row in [COLUMNS, *rows]:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]), *row[len(widths) :]]
        lines.append("  ".join(cells).rstrip())
    for name, wall, cpu in _compared(level):
        lines.append(f"{name} x {name}{BEFORE}: wall {_of_pairs(wall)}, CPU {_of_pairs(cpu)}")
    return "\n".join(lines)


def _compared(level: Level) -> Iterator[tuple[str, Pairs, Pairs]]:
    """Each candidate that ran beside the version before, with its wall and its CPU time."""
    for name, now in level.figures.items():
        if before := level.figures.get(f"{name}{BEFORE}"):
            wall, cpu = pairs(now.walls_s, before.walls_s), pairs(now.cpus_s, before.cpus_s)
            if wall and cpu:
                yield name, wall, cpu


def _of_pairs(of: Pairs) -> str:
    return f"{of.ratio:.3f} ({of.low:.3f} to {of.high:.3f})"


def _row(levels: Sequence[Level], level: Level, figures: Figures) -> tuple[str, ...]:
    """The cells of the columns, and the note."""
    name = figures.name
    if figures.status != "ok":
        cells = [name, "", _why_not(figures)]
        return (*cells, *[""] * (len(COLUMNS) - len(cells)), figures.note)
    return (
        name,
        str(figures.runs),
        _number(figures.wall_s, 1e3),
        _number(figures.cpu_s, 1e3),
        _megabytes(figures.peak_bytes),
        _number(level.ratio(name, figures.bounds)),
        _number(level.ratio(name, [INTERPRETER])),
        *(_number(level.ratio(name, [source])) for source in OURS),
        _number(cost_us(levels, level, name)),
        figures.note,
    )


def _why_not(figures: Figures) -> str:
    if figures.status == "slow":
        return f"> {figures.at_least_s * 1e3:,.0f}" if figures.at_least_s else "not run"
    if figures.status == "missing":
        return "not here" if figures.note else "not installed"
    return figures.status


def _number(value: float | None, factor: float = 1.0) -> str:
    if value is None:
        return "-"
    return f"{value * factor:,.0f}" if abs(value * factor) >= 1000 else f"{value * factor:.2f}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f}"
