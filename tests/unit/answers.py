"""Verbs without a host: what they collect is given."""

from collections.abc import Callable

import pytest

from zabbix_sockets.collector.ahead import Ahead
from zabbix_sockets.model import Query, Snapshot
from zabbix_sockets.supervisor import Answer, Make


def answer_with(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> list[Query]:
    """Let every collection give *snapshot*, in this process; return the queries as they come."""
    queries: list[Query] = []

    def collect(query: Query, meanwhile: Callable[[], None], _ahead: Ahead | None) -> Snapshot:
        queries.append(query)
        meanwhile()
        return snapshot

    monkeypatch.setattr("zabbix_sockets.collector.snapshot.collect", collect)
    answer_here(monkeypatch)
    return queries


def answer_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let verbs work in this process: what a child does can't be seen from here."""

    def answer_within(_seconds: float, make: Make, *, close: int = -1) -> Answer:
        assert close == -1  # no lock: the fixtures leave no place for one
        return make()

    monkeypatch.setattr("zabbix_sockets.verbs.answer_within", answer_within)
