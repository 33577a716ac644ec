"""Draws the result of a run into a folder: python tests/bench/plot.py BENCH.json FOLDER."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend without a display

OURS = ("bpf", "sock_diag", "procfs")
BEFORE = "_before"
PEERS = ("ss", "netstat", "lsof", "psutil", "lsfd")
PANELS = (("wall_s", "seconds", 1.0), ("peak_bytes", "peak memory, MB", 1e-6))
COLORS = tuple(f"C{number}" for number in range(10))


def _style(name: str, bounds: list[str]) -> dict[str, Any]:
    if name in OURS:
        return {"linewidth": 2.5, "marker": "o", "color": COLORS[OURS.index(name)]}
    if name.removesuffix(BEFORE) in OURS:
        return _style(name.removesuffix(BEFORE), bounds) | {"linewidth": 1.2, "linestyle": "--"}
    if name in PEERS:
        color = COLORS[len(OURS) + PEERS.index(name)]
        return {"linewidth": 1.2, "marker": "s", "markersize": 4, "color": color}
    color = COLORS[bounds.index(name) % len(COLORS)]
    return {"linewidth": 1.2, "linestyle": ":", "marker": "x", "markersize": 4, "color": color}


def draw_levels(results: dict[str, Any], target: Path) -> None:
    """Draw the curves; a candidate that was not measured at a level has no point there."""
    levels = [level for level in results["levels"] if not level["scenario"]]
    names = list(dict.fromkeys(name for level in levels for name in level["figures"]))
    bounds = [name for name in names if name.removesuffix(BEFORE) not in OURS + PEERS]
    picture, axes = plt.subplots(1, len(PANELS), figsize=(15, 6.5), layout="constrained")
    for axis, (field, label, factor) in zip(axes, PANELS, strict=True):
        for name in names:
            points = [
                (level["sockets"], value * factor)
                for level in levels
                if (value := level["figures"].get(name, {}).get(field)) is not None
            ]
            if points:
                axis.plot(*zip(*points, strict=True), label=name, **_style(name, bounds))
        axis.set_xscale("symlog", linthresh=1000)
        axis.set_yscale("log")
        axis.set_xticks([level["sockets"] for level in levels])
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.set_xlabel("sockets")
        axis.set_ylabel(label)
        axis.grid(visible=True, alpha=0.3)
    picture.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    picture.suptitle(_title(results))
    picture.savefig(target, dpi=100)


def draw_loads(results: dict[str, Any], target: Path) -> None:
    """Draw a group of bars for each scenario; what was ended has an open bar of the limit."""
    levels = [level for level in results["levels"] if level["scenario"]]
    names = [each for each in (*OURS, *PEERS) if any(each in level["figures"] for level in levels)]
    picture, axis = plt.subplots(figsize=(15, 6), layout="constrained")
    width = 0.85 / len(names)
    for number, name in enumerate(names):
        figures = [level["figures"].get(name, {}) for level in levels]
        for place, each in enumerate(figures):
            seconds, least = each.get("wall_s"), each.get("at_least_s")
            if seconds is None and least is None:
                continue
            axis.bar(
                place + number * width,
                seconds or least,
                width,
                label=name if place == 0 else None,
                color=_style(name, [])["color"] if seconds else "none",
                edgecolor=_style(name, [])["color"],
            )
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylabel("seconds (open: ended)")
    axis.set_xticks(
        [place + width * (len(names) - 1) / 2 for place in range(len(levels))],
        [f"{level['scenario']}\n{level['sockets']:,} sockets" for level in levels],
    )
    axis.grid(visible=True, axis="y", alpha=0.3)
    picture.legend(loc="outside right upper")
    picture.suptitle(_title(results))
    picture.savefig(target, dpi=100)


def _title(results: dict[str, Any]) -> str:
    machine = results["machine"]
    return f"Linux {machine['kernel']}, {machine['cpus']} CPUs, {results['time'][:10]}"


def main() -> None:
    """Run as a program."""
    result, folder = map(Path, sys.argv[1:])
    results = json.loads(result.read_text(encoding="utf-8"))
    draw_levels(results, folder / "benchmarks.png")
    if any(level["scenario"] for level in results["levels"]):
        draw_loads(results, folder / "benchmarks-loads.png")


if __name__ == "__main__":
    main()
