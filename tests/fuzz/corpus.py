"""Choice of the few inputs that the tree has of a target: the smallest ones that cover most."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from .target import CORPUS, Target, attempt

MAX_BYTES = 4000
"""The most bytes that the inputs of one target have together."""
_LONGEST = 600
_MOST = 3000

_Step = tuple[str, int, int]
"""A file, and two lines of it of which the second one was executed after the first one."""


def keep(name: str, target: Target, folder: Path) -> None:
    """Write the corpus of a target anew, of the inputs in *folder*."""
    known = set().union(*(_covered(target, each) for each in target.seeds()))
    files = sorted(folder.iterdir(), key=lambda each: (each.stat().st_size, each.name))
    kept: list[bytes] = []
    room = MAX_BYTES
    for path in files[:_MOST]:
        data = path.read_bytes()
        if len(data) > min(room, _LONGEST):
            break
        new = _covered(target, data) - known
        if new:
            known |= new
            kept.append(data)
            room -= len(data)
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / name).write_text("".join(f"{data!r}\n" for data in kept), "ascii")


def _covered(target: Target, data: bytes) -> set[_Step]:
    """Return the steps of the package's code that an input takes."""
    steps: set[_Step] = set()

    def within(frame: FrameType, event: str, _argument: Any) -> Any:
        if "zabbix_sockets" not in frame.f_code.co_filename:
            return None
        before = frame.f_lineno if event == "call" else 0

        def line(inner: FrameType, _event: str, _argument: Any) -> Any:
            nonlocal before
            steps.add((inner.f_code.co_filename, before, inner.f_lineno))
            before = inner.f_lineno
            return line

        return line

    sys.settrace(within)
    try:
        attempt(target, data)
    finally:
        sys.settrace(None)
    return steps
