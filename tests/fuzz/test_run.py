"""The fuzzer finds what was planted, and says how often it tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .planted import GREEDY, MAGIC

ROOT = Path(__file__).parents[2]


def test_planted_faults(tmp_path: Path) -> None:
    """A magic number by the coverage of code, and who takes too much memory.

    That takes the fuzzer a second, or several of them: a later run goes on with its corpus.
    """
    pytest.importorskip("atheris", reason="no atheris for this Python, or this machine")
    command = [sys.executable, "-m", "tests.fuzz.run", "--of", "tests.fuzz.planted"]
    for _ in range(5):
        done = subprocess.run(
            [*command, "--seconds", "2"],
            cwd=ROOT,
            env={**os.environ, "FUZZ_CACHE": str(tmp_path), "PYTHONPATH": "tests/support"},
            capture_output=True,
            text=True,
            check=False,
        )
        if "ZeroDivisionError" in done.stdout:
            break
    assert done.returncode == 1, done.stderr
    name, count, _ = done.stdout.splitlines()[0].split()
    assert name == "planted"
    assert int(count.replace(",", "")) > 1000
    assert "ZeroDivisionError planted.py" in done.stdout
    assert "more than 262144 KB" in done.stdout
    findings = {each.read_bytes()[: len(MAGIC)] for each in tmp_path.glob("planted/findings/*[!t]")}
    assert findings == {MAGIC, GREEDY[: len(MAGIC)]}
