"""The trial is run once, for all tests of it; at the end pytest prints what came of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..servers import Servers  # noqa: TID252  # no installed package
from ..stage import Stage, UnavailableError  # noqa: TID252
from . import course
from .course import BLINDNESSES_TRIED, FAULTS_TRIED, VERSIONS_TRIED, Trial
from .hosts import Problem

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="package")
def trial(request: pytest.FixtureRequest, servers: Servers, stage: Stage) -> Trial:
    """What was done and what the servers have raised."""
    begun = time.monotonic()
    try:
        stage.load()
        with tempfile.TemporaryDirectory(prefix="zabbix-trial-") as folder:
            Path(folder).chmod(0o755)
            trial = course.run(servers, stage, Path(folder))
    except UnavailableError as exc:
        pytest.skip(str(exc))
    request.config.stash[_LINES] = [*_table(trial), f"{time.monotonic() - begun:.0f} s"]
    return trial


def _table(trial: Trial) -> Iterator[str]:
    for version in VERSIONS_TRIED:
        for fault in FAULTS_TRIED:
            yield from _lines(trial, version, fault.name, trial.of(version, fault))
        for blindness in BLINDNESSES_TRIED:
            yield from _lines(trial, version, blindness.name, trial.during(version, blindness))


def _lines(trial: Trial, version: str, name: str, found: list[Problem]) -> Iterator[str]:
    yield f"{version} {name}: {len(found)} problems"
    for each in found:
        after = f"{each.opened - trial.began[name]:.0f} s"
        closed = each.closed and each.closed - trial.mended[name]
        yield f"    {after}, {closed and round(closed)} s: {each.name}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each fault with its problems, after how long they were raised and recovered."""
    for line in terminalreporter.config.stash.get(_LINES, []):
        terminalreporter.line(line)
