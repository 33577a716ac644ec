"""Says how much the rig has tried, and keeps it from the machine's own folders."""

from collections.abc import Iterable

import pytest
from rounds import EACH_STEP

from zabbix_sockets.command import lock

from .tally import PROPERTY, lines


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls have no folder that isn't faked, as /tmp."""
    monkeypatch.setattr(lock, "_SHARED_FOLDERS", ("/dev/shm", "/run/lock"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the numbers of the trials."""
    reports: Iterable[object] = (
        each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])
    )
    tallies = [
        value
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == PROPERTY
    ]
    if tallies:
        form = "each step" if EACH_STEP else "a sample: TEST_ROUNDS=full lets each step fail"
        terminalreporter.section(f"faults at the steps of calls, {form}")
        for line in lines(tallies):
            terminalreporter.write_line(line)
