"""The command without one of its modules: half an installation, an upgrade under way, no memory.

Each import of a call fails once, in a fresh interpreter, with the real kernel below.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rounds import EACH_STEP

from .faults import Step
from .plan import chosen, pair
from .tally import Record, Tally

COLD = Path(__file__).parent / "cold.py"
OWN = ("--netns", "own", "--timeout", "20")
COMMANDS = [
    ["get", "--source", "procfs", *OWN],
    ["get", "unit", *OWN],
    ["discover", "processes", *OWN],
    ["count", "nginx", *OWN],
    ["show", "sockets", "--json", "--filter", "sport = :22", *OWN],
]
EFFECTS = ("no module", "no memory")
FOR_AGENTS = ("get", "discover", "count")
LEAST = 300


class Cold:
    """An interpreter that has imported nothing, and runs a command in a fork of itself."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(COLD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Cold:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, arguments: list[str], at: int = 0, what: str = "") -> dict[str, Any]:
        """Return what becomes of a command whose import number *at* fails; 0: none does."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, at, what]).encode() + b"\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


def trials(runs: list[dict[str, Any]]) -> Iterator[tuple[list[str], Step, str]]:
    """Yield the command, the import as a step, and what goes wrong with it.

    In the short form a module that a command before imports, too, need not fail again.
    """
    known: set[object] = set()
    for run in runs:
        steps = [
            Step("import", module, number, place=place)
            for number, (module, place) in enumerate(run["imports"], 1)
        ]
        for step in chosen(steps, known):
            whats = EFFECTS if EACH_STEP else EFFECTS[step.occurrence % 2 :][:1]
            yield from ((run["arguments"], step, what) for what in whats)
        known |= {pair(step) for step in steps}


def test_no_module_at_every_import(record_property: Record) -> None:
    """There is one line that says so, or an answer without it."""
    with Cold() as cold:
        whole = [cold.run(arguments) for arguments in COMMANDS]
        tried = list(trials(whole))
        runs = [cold.run(arguments, step.occurrence, what) for arguments, step, what in tried]
    assert not [fault for run in whole for fault in faults_of(run)]
    steps = sum(len(run["imports"]) for run in whole)
    assert steps > LEAST
    failed = len({(*arguments, step) for arguments, step, _ in tried})
    kinds = Counter("one error" if run["status"] else "whole" for run in runs)
    Tally("imports", steps, failed, kinds).record(record_property)
    wrong = [
        f"{step}: {run['what']}: {fault}"
        for (_, step, _), run in zip(tried, runs)
        for fault in faults_of(run)
    ]
    assert not wrong, "\n".join(wrong)


def faults_of(run: dict[str, Any]) -> list[str]:
    """Return what is wrong with the way a call ended."""
    module, out, err, status = (run[name] for name in ("module", "out", "err", "status"))
    if not run["what"]:
        return [] if status == 0 else [f"faultless, but status {status}: {out} {err}"]
    if not module:
        return ["the import did not come"]
    if status not in (0, 1):
        return [f"status {status}: {out[:200]!r} {err[-300:]!r}"]
    if "Traceback" in err:
        return [f"a traceback: {err[-300:]!r}"]
    if run["arguments"][0] in FOR_AGENTS:
        whole = out.count("\n") == 1 and not err
    else:
        said = [line for line in err.splitlines() if not line.startswith("note: ")]
        whole = bool(out) if status == 0 else 1 <= len(said) <= 2 and not out
    return [] if whole else [f"status {status}, no answer: {out[:200]!r} {err[-300:]!r}"]
