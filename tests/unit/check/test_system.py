"""Programs that are asked, whatever they say."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from zabbix_sockets.check.system import Output

from .trees import Tree


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("echo out; echo err >&2; exit 3", Output(3, "out\nerr")),
        ("printf '\\303'", Output(0, "\\xc3")),
        ("exec >&- 2>&-; exit 2", Output(2, "")),
        ("head -c 500000 /dev/zero | tr '\\0' x", Output(0, 500_000 * "x")),
        ("head -c 1300000 /dev/zero | tr '\\0' x", Output(0, 1_000_000 * "x")),
        ("echo first; sleep 60", Output(-9, "first", in_time=False)),
        ("exec >&- 2>&-; sleep 60", Output(-9, "", in_time=False)),
    ],
)
def test_output(tmp_path: Path, script: str, output: Output) -> None:
    """Both outputs are there, up to a length, with the status; who goes on is killed."""
    seconds = 30.0 if output.in_time else 0.5
    assert Tree(tmp_path)().run("/bin/sh", "-c", script, seconds=seconds) == output


def test_endless_output(tmp_path: Path) -> None:
    """A program that never stops talking costs no more memory than what is kept of it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    output = Tree(tmp_path)().run("/bin/sh", "-c", "exec yes 12345678901234567890", seconds=0.5)
    assert not output.in_time
    assert len(output.text) <= 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
