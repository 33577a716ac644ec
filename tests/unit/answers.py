"""Verbs without a host: what they collect is given."""

from collections.abc import Callable

import pytest

from zabbix_sockets.collector.iterator.early_read import Ahead
from zabbix_sockets.model.snapshot import Query, Snapshot


def answer_with(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> list[Query]:
    """Let every collection give *snapshot*; return the queries as they come."""
    queries: list[Query] = []

    def collect(query: Query, meanwhile: Callable[[], None], _ahead: Ahead | None) -> Snapshot:
        queries.append(query)
        meanwhile()
        return snapshot

    monkeypatch.setattr("zabbix_sockets.collector.collect.collect", collect)
    return queries
