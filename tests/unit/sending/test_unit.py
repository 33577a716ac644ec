"""The systemd unit of `send`: valid, and as closed as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "conf/systemd/zabbix-sockets-send.service"
DROP_IN = UNIT.with_name("sys-ptrace.conf")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze"
)


@pytest.mark.parametrize("drop_ins", [(), (DROP_IN,)])
def test_valid(tmp_path: Path, drop_ins: tuple[Path, ...]) -> None:
    """`systemd-analyze verify` has nothing against it, where its interpreter is."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/zabbix-sockets/bin/python3", "/bin/sh"))
    for each in drop_ins:
        (tmp_path / f"{UNIT.name}.d").mkdir()
        shutil.copy(each, tmp_path / f"{UNIT.name}.d")
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


def test_drop_in() -> None:
    """It gives the two capabilities for other users' processes, and nothing else."""
    lines = [line for line in DROP_IN.read_text().splitlines() if not line.startswith("#")]
    both = "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"
    assert lines == ["[Service]", f"CapabilityBoundingSet={both}", f"AmbientCapabilities={both}"]
