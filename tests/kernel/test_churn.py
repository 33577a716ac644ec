"""While thousands of sockets and processes come and go, what stays is seen exactly once."""

import sys

import pytest
import rounds
from stable import ROWS, sockets_under_churn, wrong_counts

from zabbix_sockets import Query, collect
from zabbix_sockets.document.completeness import unread_protocols

pytestmark = pytest.mark.rounds


def test_iterators_see_each_once(pins: str) -> None:
    """They miss or double no stable socket in any round."""
    assert not _mistakes("bpf", pins)


def test_netlink_misses_few(pins: str) -> None:
    """A dump that goes on within a bucket can miss one (docs/sources.md): one in 100,000 rows."""
    assert sum(_mistakes("sock_diag", pins).values()) <= rounds.CHURN * ROWS // 100_000


def _mistakes(source: str, pins: str) -> dict[str, int]:
    """Return how many stable sockets were missed or doubled, by round and protocol."""
    mistakes = {}
    with sockets_under_churn():
        for number in range(rounds.CHURN):
            snapshot = collect(Query(source=source, netns="own", timeout=30, pins=pins))
            assert snapshot.visibility.source == source
            for protocol, count in wrong_counts(snapshot).items():
                if count:
                    mistakes[f"round {number}, {protocol}"] = count
    return mistakes


def test_procfs_says_when_it_is_approximate(capsys: pytest.CaptureFixture[str]) -> None:
    """TCP is exact; UDP is exact, or its lists are not called complete."""
    looks, approximate, missed = max(rounds.CHURN // 10, 20), 0, 0
    with sockets_under_churn():
        for number in range(looks):
            snapshot = collect(Query(source="procfs", netns="own", timeout=30))
            wrong = wrong_counts(snapshot)
            assert wrong["tcp"] == 0, f"round {number}"
            if "udp" in unread_protocols(snapshot.visibility.gaps):
                approximate += 1
                missed += wrong["udp"]
            else:
                assert wrong["udp"] == 0, f"round {number}"
    with capsys.disabled():
        sys.stdout.write(
            f"\nprocfs, {looks} rounds: UDP approximate in {approximate}, rows wrong: {missed}\n"
        )
