"""While thousands of sockets and processes come and go, what stays is seen exactly once."""

import sys

import pytest
import rounds
from stable import sockets_under_churn, wrong_counts

from zabbix_sockets import Query, collect
from zabbix_sockets.document.completeness import unread_protocols

pytestmark = pytest.mark.rounds


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_stable_sockets_are_seen_once(source: str, pins: str) -> None:
    """No stable socket is missed or doubled in any round."""
    with sockets_under_churn():
        for number in range(rounds.CHURN):
            snapshot = collect(Query(source=source, netns="own", timeout=30, pins=pins))
            assert snapshot.visibility.source == source
            wrong = wrong_counts(snapshot)
            assert wrong == {"tcp": 0, "udp": 0}, f"round {number}"


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
