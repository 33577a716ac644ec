"""What all tests share: skips that CI must not take for success."""

import os
import signal
import time
from collections.abc import Generator

import pytest

REQUIRED_BY = {"kernel": "REQUIRE_KERNEL", "zabbix": "REQUIRE_ZABBIX"}
"""A marker, and the environment variable whose value 1 makes its skips failures."""


KEPT = ("HOME", "LOGNAME", "PATH", "TMPDIR", "USER")
KEPT_PREFIXES = ("HYPOTHESIS_", "PLAYWRIGHT_", "PYTEST_", "REQUIRE_", "TEST_")
"""What tests and the programs they start have of the environment; and the locale below."""

LOCALE = {"LC_ALL": "C.UTF-8"}


def pytest_configure() -> None:
    """Start all tests the same way, however pytest was started.

    A shell ignores SIGINT in what it runs in the background, nohup(1) ignores SIGHUP, and both
    are inherited; so are a umask, a time zone, and whatever a user exports for programs.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python ignores these
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    os.umask(0o022)
    for name in set(os.environ) - set(KEPT):
        if not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    os.environ.update(LOCALE)
    time.tzset()


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
