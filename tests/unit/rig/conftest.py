"""Says how much the rig has tried."""

from collections.abc import Iterable

import pytest
from rounds import EACH_STEP

from .tally import PROPERTY, lines


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
