"""Children: whatever hangs or fails in one, what it has said is there in time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psutil

from zabbix_sockets.check.children import gather, start
from zabbix_sockets.model.deadline import Deadline


def _says(*values: object, last: str = "") -> Iterator[object]:
    yield from values
    if last == "hang":
        time.sleep(600)
    if last == "fail":
        raise ValueError("no \udcff number")
    if last == "die":
        os._exit(3)


def test_values_come_in_order() -> None:
    """Each child's values are told, however long they are."""
    long = "x" * 1_000_000
    first, second = gather([start(lambda: _says(1, long)), start(_says)], Deadline(60))
    assert first == ([1, long], True, "")
    assert second == ([], True, "")


def test_one_that_hangs() -> None:
    """It is killed at the deadline, and what it has said is there; others are not held up."""
    started = time.monotonic()
    children = [start(lambda: _says("a", last="hang")), start(lambda: _says("b"))]
    hanging, other = gather(children, Deadline(0.3))
    assert hanging == (["a"], False, "")
    assert other == (["b"], True, "")
    assert time.monotonic() - started < 60
    assert not _runs(children[0].pid)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_one_that_fails() -> None:
    """Its error is told in words; one that dies has not said all."""
    failed, died = gather(
        [start(lambda: _says("a", last="fail")), start(lambda: _says("b", last="die"))],
        Deadline(60),
    )
    assert failed.values == ["a"]
    assert failed.fault.startswith("ValueError: no ")
    assert died == (["b"], False, "")
