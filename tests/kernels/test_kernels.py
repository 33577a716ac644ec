"""On the kernels of Debian's releases, in a virtual machine: tests/kernels/run.sh.

It is emulated, and so slow that only `make test-all` does it. Its programs are this machine's, with
this libbpf.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.short_form]

RUN = Path(__file__).with_name("run.sh")
UNAVAILABLE = 77

TOO_OLD = "bullseye"
RELEASES = ("bookworm", "trixie", "forky")
"""Linux 5.10; and 6.1, 6.12 and a newer one, which change."""

LOADING = [
    "tests/kernel/test_pins.py::test_exactly_two_capabilities_load",
    "tests/kernel/test_totals_loading.py::test_two_capabilities_load",
]
READING = [f"tests/kernel/test_{name}.py" for name in ("drops", "clients", "unix", "descriptors")]
COUNTING = [
    *(f"tests/kernel/test_totals{part}.py" for part in ("", "_loading", "_times")),
    "tests/kernels/kernel_threads.py",
]
TESTED = {"bookworm": READING + COUNTING, "trixie": READING + COUNTING}
"""What most hosts have is tried at most length."""

TOO_SLOW = "tests/kernel/test_unix.py::test_command"  # has the time that an agent gives

# A long time limit: what a call does takes many times as long there.
TRY = f"""
set -e
zabbix_sockets() {{ {sys.executable} -m zabbix_sockets "$@"; }}
zabbix_sockets load 2>&1 || echo "load: $?"
zabbix_sockets get --timeout 25
"""


def on_kernel(release: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as root on the kernel of a release, and return what it printed."""
    done = subprocess.run(
        ["sh", str(RUN), release, *command], capture_output=True, text=True, check=False
    )
    if done.returncode == UNAVAILABLE:
        pytest.skip(f"no kernel of {release}: {done.stderr.strip()}")
    return done


@pytest.mark.parametrize("release", RELEASES)
def test_programs(release: str) -> None:
    """What is loaded there says and counts what it does here, with two capabilities as well."""
    pytest_there = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    tested = [*LOADING, *TESTED.get(release, READING), "--deselect", TOO_SLOW]
    done = on_kernel(release, "env", "REQUIRE_KERNEL=1", *pytest_there, *tested)
    assert done.returncode == 0, done.stdout


def test_too_old() -> None:
    """Without the iterators a call says why, and sock_diag answers."""
    done = on_kernel(TOO_OLD, "sh", "-c", TRY)
    assert "the kernel is too old: 5.11 is needed" in done.stdout
    assert '"source":"sock_diag"' in done.stdout, done.stdout
