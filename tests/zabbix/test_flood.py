"""A container that runs thousands of names: the server lives, and services keep their alarms.

The documents are those that the collector makes of it, which admits rows to discovery.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from rounds import FLOOD, FLOOD_MINUTES

from zabbix_sockets.document.admission import QUOTAS, Admission, AdmissionTable, CallMoment
from zabbix_sockets.document.document import build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.model.snapshot import (
    INBOUND,
    SYSTEM_UNIT,
    USER,
    Connection,
    HostCounters,
    ListenerSocket,
    PortRange,
    Process,
    Snapshot,
    Standing,
    Visibility,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from .alarms.conftest import ONE_OF_EACH, template_source
from .alarms.replay import Replay, import_template, new_replay, server_stats
from .documents import Row
from .servers import SERVER_VERSIONS, Servers
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0*")]

CACHE = "32M"
"""The default of Zabbix, which a thousand rows of processes fill."""

SERVICES = [f"service {number}" for number in range(30)]
MINUTES = range(FLOOD_MINUTES)
TROUBLE = range(3, MINUTES.stop)
"""Minutes in which each service has 100 connections in CLOSE_WAIT."""

_log = logging.getLogger(__name__)


class Collector:
    """A host with services of root's, and a container with the host's network."""

    def __init__(self) -> None:
        self._table: bytes | None = None

    def document(self, minute: int, names: Collection[str]) -> Row:
        """Return the document of a minute in which the container runs processes of these names."""
        members = [*SERVICES, *names]
        snapshot = Snapshot(
            1_700_000_000 + 60 * minute,
            Visibility("bpf"),
            PortRange(32_768, 60_999, 28_232),
            HostCounters(),
        )
        snapshot.processes = [Process(100 + at, name, 3600.0) for at, name in enumerate(members)]
        snapshot.owners = {2 + at: (at,) for at in range(len(members))}
        snapshot.uids = dict.fromkeys(snapshot.owners, 0)
        snapshot.listeners = [
            ListenerSocket("tcp", OWN_NETNS, bytes(4), 1024 + at, "", 2 + at, 0, 128)
            for at in range(len(members))
        ]
        stuck = TcpState.CLOSE_WAIT if minute in TROUBLE else TcpState.ESTABLISHED
        snapshot.connections = {
            Connection("tcp", OWN_NETNS, 2 + at, stuck, INBOUND, bytes(4), 1024 + at): 100
            for at in range(len(SERVICES))
        }
        now = CallMoment(snapshot.time, 1000 + 60 * minute, b"b" * 16)
        admission = Admission(AdmissionTable(self._table, now), _standing, self._keep)
        content: Row = json.loads(to_json(build_document(snapshot, admission=admission)))
        return content

    def _keep(self, data: bytes) -> str:
        self._table = data
        return ""


def _standing(members: Collection[int]) -> Standing:
    is_service = min(members) < len(SERVICES)
    return Standing(SYSTEM_UNIT, "") if is_service else Standing(USER, "container")


@pytest.fixture(params=SERVER_VERSIONS)
def replay(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Replay]:
    """A host of a server with the cache that is Zabbix's default."""
    try:
        with servers.fresh(request.param, CacheSize=CACHE, **ONE_OF_EACH) as server:
            template = import_template(server, template_source(request.param))
            yield new_replay(server, template, len(MINUTES))
    except UnavailableError as exc:
        pytest.skip(str(exc))


def rows_of(replay: Replay) -> set[str]:
    """Return the processes that have items."""
    prefix = 'sockets.process.get["'
    keys = {item["key_"] for item in replay.server.items(replay.host.hostid)}
    return {key.removeprefix(prefix)[:-2] for key in keys if key.startswith(prefix)}


def test_server_lives(replay: Replay) -> None:
    """However many names come, few get items; and what is wrong with a service is told."""
    collector = Collector()
    replay.discover(-1, collector.document(-1, ()))
    assert rows_of(replay) == set(SERVICES)
    cache = [server_stats(replay.server.port)["rcache"]["free"]]
    share = FLOOD // len(MINUTES)
    told = []
    for minute in MINUTES:
        names = [f"flood {number}" for number in range(share * minute, share * (minute + 1))]
        told.append((minute, collector.document(minute, names)))
    replay.play(told)
    replay.server.reload()
    rows = rows_of(replay)
    cache.append(server_stats(replay.server.port)["rcache"]["free"])
    flood = len(rows - set(SERVICES))
    _log.info(
        "%s: %s names: %s rows, %s bytes of cache", replay.server.version, FLOOD, flood, cache
    )
    assert rows >= set(SERVICES)
    assert 0 < flood <= QUOTAS["processes"].first // 4
    problems = [problem.name for problem in replay.problems() if problem.closed is None]
    for name in SERVICES:
        assert any(each.startswith(f"Process {name}: 100 connections stay") for each in problems)
    assert sum("left out of discovery" in each for each in problems) == 1


def test_template_agrees() -> None:
    """The macro lets all rows through that a collector admits."""
    text = Path(__file__).parents[2].joinpath("docs", "document.md").read_text("utf-8")
    for kind, quota in QUOTAS.items():
        assert f"| {kind} | {quota.first} | {quota.daily} | {quota.slots} |" in text
    assert max(quota.slots for quota in QUOTAS.values()) == 400
