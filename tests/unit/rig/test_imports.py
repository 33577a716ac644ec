"""The command without one of its modules: half an installation, an upgrade under way, no memory.

Each import of a call fails once, in a fresh interpreter, with the real kernel below.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COLD = Path(__file__).parent / "cold.py"
OWN = ("--netns", "own", "--timeout", "20")
COMMANDS = {
    "procfs": [["get", "--source", "procfs", *OWN], ["get", "unit", *OWN]],
    "verbs": [
        ["discover", "processes", *OWN],
        ["count", "nginx", *OWN],
        ["show", "sockets", "--json", "--filter", "sport = :22", *OWN],
    ],
}
FOR_AGENTS = ("get", "discover", "count")
LEAST = {"procfs": 60, "verbs": 60}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_module_at_every_import(name: str) -> None:
    """There is one line that says so, or an answer without it."""
    done = subprocess.run(
        [sys.executable, "-I", str(COLD)],
        input=json.dumps(COMMANDS[name]).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) > LEAST[name]
    wrong = [f"{run['module']}: {run['what']}: {fault}" for run in runs for fault in faults_of(run)]
    assert not wrong, "\n".join(wrong)


def faults_of(run: dict[str, Any]) -> list[str]:
    """Return what is wrong with the way a call ended."""
    out, err, status = run["out"], run["err"], run["status"]
    if not run["module"]:
        return [] if status == 0 else [f"faultless, but status {status}: {out} {err}"]
    if status not in (0, 1):
        return [f"status {status}: {out[:200]!r} {err[-300:]!r}"]
    if "Traceback" in err:
        return [f"a traceback: {err[-300:]!r}"]
    if run["arguments"][0] in FOR_AGENTS:
        whole = out.count("\n") == 1 and not err
    else:
        whole = bool(out) if status == 0 else 1 <= err.count("\n") <= 2 and not out
    return [] if whole else [f"status {status}, no answer: {out[:200]!r} {err[-300:]!r}"]
