"""What all tests share: skips that CI must not take for success."""

import os
import signal
from collections.abc import Generator

import pytest

REQUIRED_BY = {"kernel": "REQUIRE_KERNEL", "zabbix": "REQUIRE_ZABBIX"}
"""A marker, and the environment variable whose value 1 makes its skips failures."""


def pytest_configure() -> None:
    """Hear SIGINT, and let what tests start hear it: a shell ignores it in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips where its marker's variable promises that it can run.

    Only skips of tests and fixtures come here: a module that skips while it is imported
    has no marker yet, so nothing below tests/ should do that.
    """
    report = yield
    required = [
        variable
        for marker, variable in REQUIRED_BY.items()
        if os.environ.get(variable) == "1" and item.get_closest_marker(marker)
    ]
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{' and '.join(required)}=1, but: {reason}"
    return report
