"""The systemd unit of `send`: valid, and as closed as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from zabbix_sockets.command.cli import USAGE
from zabbix_sockets.sending.options import FILES

UNIT = Path(__file__).parents[3] / "conf/systemd/zabbix-sockets-send.service"
DROP_IN = UNIT.with_name("sys-ptrace.conf")
CREDENTIALS = UNIT.with_name("credentials.conf")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze"
)


@pytest.mark.parametrize("drop_ins", [(), (DROP_IN,), (CREDENTIALS,), (DROP_IN, CREDENTIALS)])
def test_valid(tmp_path: Path, drop_ins: tuple[Path, ...]) -> None:
    """`systemd-analyze verify` has nothing against it, where its interpreter is."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/zabbix-sockets", "/bin/true"))
    for each in drop_ins:
        (tmp_path / f"{UNIT.name}.d").mkdir(exist_ok=True)
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


def test_credentials() -> None:
    """Each is called as an option of `send` for a file: such a one it uses."""
    lines = [line.lstrip("#") for line in CREDENTIALS.read_text().splitlines()]
    names = [line.partition("=")[2].partition(":")[0] for line in lines if line[:4] == "Load"]
    assert names == ["tls-psk-file", "tls-key-file"]
    assert {f"--{name}" for name in names} <= set(FILES)


def test_usage_is_not_tried_again() -> None:
    """What only a person can mend ends with a status for which it is not started again."""
    lines = UNIT.read_text().splitlines()
    assert {"Restart=on-failure", f"RestartPreventExitStatus={USAGE}"} <= set(lines)
