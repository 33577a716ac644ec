"""What all tests share: skips that CI must not take for success, and a short form."""

import gc
import os
import signal
import time
from collections.abc import Generator, Iterator
from fnmatch import fnmatchcase

import pytest
import rounds
from admitted import forget_who_was_admitted

REQUIRED_BY = {"kernel": "REQUIRE_KERNEL", "zabbix": "REQUIRE_ZABBIX"}
"""A marker, and the environment variable whose value 1 makes its skips failures."""


KEPT = ("HOME", "LOGNAME", "PATH", "TMPDIR", "USER")
KEPT_PREFIXES = ("HYPOTHESIS_", "MUTANT_", "PLAYWRIGHT_", "PYTEST_", "REQUIRE_", "TEST_")
"""What tests and the programs they start have of the environment; and the locale below. What
begins with MUTANT_ says which one of mutmut's is alive."""

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
    gc.set_threshold(100_000, 50, 100)


def pytest_collection_finish() -> None:
    """Have Python go through what thousands of tests are made of no more, in search of garbage.

    It did so again and again: that was a sixth of the processor time of tests/unit.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def _forget_who_was_admitted() -> None:
    """Let each test begin with room for whatever it has discovered."""
    forget_who_was_admitted()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the short form, unless all rounds are wanted or a test is named.

    Raises:
        pytest.UsageError: a marker has a pattern that no test's parameters match.
    """
    if not rounds.IS_SHORT or any("::" in argument for argument in config.args):
        return
    unmatched = set()
    matched = set()
    left_out = []
    for item in items:
        marker = item.get_closest_marker("short_form")
        parameters = item.callspec.id if hasattr(item, "callspec") else None
        if marker is None or parameters == "NOTSET" or (marker.args and parameters is None):
            continue  # NOTSET: there are no parameters on this machine
        uses = {(marker.args, item.path, each) for each in marker.args}
        hits = {use for use in uses if fnmatchcase(parameters or "", use[2])}
        unmatched |= uses - hits
        matched |= hits
        if not hits:
            left_out.append(item)
    if unmatched - matched:
        raise pytest.UsageError(f"short_form has patterns of no test: {unmatched - matched}")
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


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


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """No test leaves a signal blocked: the next one's programs would inherit that."""
    yield
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, [])
    assert not blocked, f"blocked: {blocked}"
