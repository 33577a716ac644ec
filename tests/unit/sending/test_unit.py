"""The systemd unit of `send`: valid, and as closed as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "conf/systemd/zabbix-sockets-send.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze"
)


def test_valid(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing against it, where its interpreter is."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/zabbix-sockets/bin/python3", "/bin/sh"))
    analyze = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    answer = subprocess.run(analyze, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_exposure() -> None:
    """`systemd-analyze security` finds it as exposed as 1.5 at most, of 10."""
    analyze = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    answer = subprocess.run(analyze, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", answer.stdout)
    assert found, answer.stdout + answer.stderr
    assert float(found[1]) <= 1.5


def test_no_capability() -> None:
    """It has none, and can get none."""
    lines = UNIT.read_text().splitlines()
    assert {"CapabilityBoundingSet=", "AmbientCapabilities=", "NoNewPrivileges=yes"} <= set(lines)
