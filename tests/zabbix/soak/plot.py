"""Draws what a soak has noted: python -m tests.zabbix.soak.plot SOAK.json SOAK.png."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend without a display

from .punctual import delays

MB = 1 << 20
WORDS = {"send": "send --interval 1", "agent": "the agent", "show": "show processes --interval 1"}


def draw(soak: dict[str, Any], target: Path) -> None:
    """Write the picture: memory, descriptors, the maps, and how punctual everything was."""
    picture, axes = plt.subplots(2, 2, figsize=(14, 8), layout="constrained", sharex=True)
    (memory, descriptors), (maps, late) = axes
    for name, samples in soak["samples"].items():
        seconds, own, held, _ = zip(*samples, strict=True)
        memory.plot(seconds, [each / MB for each in own], label=WORDS[name])
        descriptors.plot(seconds, held, label=WORDS[name])
    moments, sizes = zip(*soak["maps"], strict=True)
    maps.plot(moments, [each / MB for each in sizes], color="C3")
    for number, name in enumerate(("made", "printed")):
        words = WORDS["send" if name == "made" else "show"]
        since, off = zip(*delays(soak[name]), strict=True)
        late.plot(since, [1000 * each for each in off], ".", ms=3, c=f"C{2 * number}", label=words)
    for axis, title in (
        (memory, "memory of its own, MB (USS)"),
        (descriptors, "descriptors"),
        (maps, "kernel memory of the BPF maps, MB"),
        (late, "milliseconds after the second of the first one"),
    ):
        axis.set_title(title)
        axis.grid(visible=True, alpha=0.3)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        for moment, _ in soak["events"]:
            axis.axvline(moment, color="grey", linewidth=0.8, linestyle=":")
    for axis in axes[1]:
        axis.set_xlabel("seconds")
    memory.legend()
    late.legend()
    events = ", ".join(f"{moment:.0f} s {event}" for moment, event in soak["events"])
    picture.suptitle(f"2,000 connections a second; {events}")
    picture.savefig(target, dpi=110)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
