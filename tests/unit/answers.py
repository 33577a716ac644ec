"""Verbs without a host: what they collect is given."""

import os

import pytest

import zabbix_sockets.collector.single  # noqa: F401  # so that it has the real choose()
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.command.arguments import parse
from zabbix_sockets.command.call import Call
from zabbix_sockets.model.snapshot import Query, Snapshot, Visibility
from zabbix_sockets.readers.proc.net_tables import ProcTables


def run(*arguments: str) -> None:
    """Run a verb in this process."""
    parse(list(arguments)).answer(Call())


def answer_with(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> list[Query]:
    """Let every collection give *snapshot*; return the queries as they come."""
    queries: list[Query] = []

    def choose(query: Query) -> Plan:
        queries.append(query)
        return Plan(Visibility("procfs"), TableReaders(ProcTables("/nowhere")))

    def collect(query: Query, plan: Plan) -> Snapshot:
        assert os.getpid() in query.excluded_pids
        assert query._replace(excluded_pids=queries[-1].excluded_pids) == queries[-1]
        assert plan.open_iterator is None
        queries[-1] = query
        return snapshot

    monkeypatch.setattr("zabbix_sockets.collector.sources.choose", choose)
    monkeypatch.setattr("zabbix_sockets.collector.collect.collect", collect)
    return queries
