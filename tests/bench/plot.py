"""Draws the result of a run: python tests/bench/plot.py BENCH.json BENCH.png."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend without a display

OURS = ("sock_diag", "procfs", "bpf")
PEERS = ("ss", "netstat", "lsof", "psutil")
PANELS = (("wall_s", "seconds", 1.0), ("peak_bytes", "peak memory, MB", 1e-6))


def _style(name: str) -> dict[str, Any]:
    if name in OURS:
        return {"linewidth": 2.5, "marker": "o"}
    if name in PEERS:
        return {"linewidth": 1.2, "marker": "s", "markersize": 4}
    return {"linewidth": 1.2, "linestyle": ":", "color": None}


def draw(results: dict[str, Any], target: Path) -> None:
    """Write the picture; a candidate that was not measured at a level has no point there."""
    names = list(dict.fromkeys(name for level in results["levels"] for name in level["figures"]))
    picture, axes = plt.subplots(1, len(PANELS), figsize=(13, 6), layout="constrained")
    for axis, (field, label, factor) in zip(axes, PANELS, strict=True):
        for name in names:
            points = [
                (level["sockets"], value * factor)
                for level in results["levels"]
                if (value := level["figures"].get(name, {}).get(field)) is not None
            ]
            axis.plot(*zip(*points, strict=True), label=name, **_style(name)) if points else None
        axis.set_xscale("symlog", linthresh=1000)
        axis.set_yscale("log")
        axis.set_xlabel("sockets")
        axis.set_ylabel(label)
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    machine = results["machine"]
    picture.suptitle(f"Linux {machine['kernel']}, {machine['cpus']} CPUs, {results['time']}")
    picture.savefig(target, dpi=120)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
