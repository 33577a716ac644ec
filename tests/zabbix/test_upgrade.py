"""A newer YAML over an older one: items stay the same ones, with their history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .documents import document, encoded, listener, process, upstream
from .programs import wait_for
from .servers import SERVER_VERSIONS, Host, Server, Servers
from .templates import NAMES, current, find, frozen, import_yaml, rules

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0 YAML*")]

UPGRADES = {
    "6.0": ("6.0", "6.0", "6.0"),
    "7.0": ("7.0", "7.0", "7.0"),
    "6.0 YAML to 7.0 YAML": ("7.0", "6.0", "7.0"),
}
"""The server, the YAML that it has, and the YAML that it gets."""

COLUMNS = {"6.0": 24, "7.0": 72}

MACROS = {
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.PROCESS.MATCHES}": "^nginx$",
    "{$SOCKETS.NODATA.CONTROL}": "0",  # 1 is the default since
}

# What a widget's field refers to, as the API numbers it.
ITEM, GRAPH, GRAPH_PROTOTYPE = "4", "6", "7"


def made(established: int) -> str:
    """Return a document with a few rows of each kind."""
    lists = {
        "processes": [
            process("nginx", listen=1, established=established, inbound=established),
            process("worker", established=3, close_wait=1),
        ],
        "listeners": [
            listener("tcp/0.0.0.0:443", "nginx", established=established),
            listener("udp/[::1]:53", "worker"),
            listener("unix//run/nginx.sock", "nginx", queue=established),
        ],
        "upstreams": [upstream("worker", "tcp/192.0.2.5:5432", established=3)],
    }
    return encoded(document(clock=time.time(), lists=lists))


ROWS = {
    *("nginx", "worker", "tcp/0.0.0.0:443", "udp/[::1]:53", "unix//run/nginx.sock"),
    "worker>tcp/192.0.2.5:5432",
}


def rows_of(server: Server, host: Host, *, lost: bool | None = None) -> set[str]:
    """Return the rows that discovery has made items for, or those that are *lost* or not."""
    found = server.items(host.hostid, output=["key_"], selectItemDiscovery=["ts_delete"])
    return {
        key[1].removesuffix('"]')
        for item in found
        if len(key := item["key_"].split('["')) > 1
        if lost is None or (item["itemDiscovery"]["ts_delete"] != "0") is lost
    }


@dataclass(frozen=True, slots=True)
class State:
    """What an import could lose of a host."""

    items: dict[str, str]
    """Ids by key."""
    triggers: dict[str, str]
    graphs: dict[str, str]
    """Ids by name."""
    history: dict[str, list[str]]
    """All values by item."""


def state_of(server: Server, host: Host) -> State:
    """Return what there is now."""
    items = {item["key_"]: item["itemid"] for item in server.items(host.hostid)}
    triggers = server.api.trigger.get(hostids=host.hostid, output=["description"])
    graphs = server.api.graph.get(hostids=host.hostid, output=["name"])
    tables = ("history", "history_uint", "history_str", "history_text")
    rows = server.sql(
        " UNION ALL ".join(
            f"SELECT itemid, clock || '.' || ns || ' ' || value AS entry FROM {table}"
            for table in tables
        )
        + " ORDER BY entry"
    )
    history: dict[str, list[str]] = {itemid: [] for itemid in items.values()}
    for row in rows:
        history.setdefault(row["itemid"], []).append(row["entry"])
    state = State(
        items,
        {each["description"]: each["triggerid"] for each in triggers},
        {each["name"]: each["graphid"] for each in graphs},
        history,
    )
    assert (len(state.triggers), len(state.graphs)) == (len(triggers), len(graphs))
    return state


def common(new: State, old: State) -> set[str]:
    """Return the graphs that there are still: they keep no data, so some may go."""
    return new.graphs.keys() & old.graphs.keys()


def send(server: Server, host: Host, established: int) -> None:
    """Send documents until nginx has that many connections.

    6.0 takes until it reads its configuration again to know items for which it has read that twice
    in one second, as these tests make it do.
    """
    key = 'sockets.process.tcp.established["nginx"]'

    def has_come() -> bool:
        assert server.send([(host.name, "sockets.get", made(established))]) == (1, 0)
        return server.last_values(host.hostid).get(key) == str(established)

    wait_for(has_come, pause=0.5)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A server with hosts of the older templates, which have got the newer ones."""

    server: Server
    trapped: Host
    polled: Host
    states: dict[Host, list[State]]
    """Before, after an import that deletes nothing, and after one that deletes what is missing."""

    def look(self) -> None:
        """Add the states of now."""
        for host in (self.trapped, self.polled):
            self.states.setdefault(host, []).append(state_of(self.server, host))


@pytest.fixture(scope="module", params=UPGRADES)
def upgrade(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Upgrade]:
    """A server of its own where the older templates were in use, with rows and values."""
    version, old, new = UPGRADES[request.param]
    with servers.fresh(version) as server:
        for way in ("trapper", "agent"):
            import_yaml(server, frozen(way, old))
        macros = [{"macro": name, "value": value} for name, value in MACROS.items()]
        ids = {way: found for way in ("trapper", "agent") if (found := find(server, way))}
        trapped = server.create_host("trapped", templates=[ids["trapper"]], macros=macros)
        polled = server.create_host("polled", agent=1, templates=[ids["agent"]])
        server.reload()
        assert server.send([(trapped.name, "sockets.get", made(1))]) == (1, 0)
        wait_for(lambda: rows_of(server, trapped) >= ROWS)
        server.reload()
        for number in (2, 3):
            send(server, trapped, number)
        upgrade = Upgrade(server, trapped, polled, {})
        upgrade.look()
        for delete in (False, True):
            for way in ("trapper", "agent"):
                import_yaml(server, current(way, new), delete=delete)
            upgrade.look()
        server.reload()
        yield upgrade


def test_history_is_kept(upgrade: Upgrade) -> None:
    """Items, triggers and graphs are the same ones, and no value is lost."""
    for old, *later in upgrade.states.values():
        for new in later:
            assert old.items.items() <= new.items.items()
            assert set(old.triggers.values()) <= set(new.triggers.values())  # some by other names
            assert {new.graphs[name] == old.graphs[name] for name in common(new, old)} == {True}
            for itemid, values in old.history.items():  # others may have come meanwhile
                assert set(values) <= set(new.history[itemid])
    before = upgrade.states[upgrade.trapped][0]
    assert sum(map(bool, before.history.values())) > 80


def test_macros_stay(upgrade: Upgrade) -> None:
    """What a person has set on a host holds, whatever the newer template's default is."""
    found = upgrade.server.api.usermacro.get(hostids=upgrade.trapped.hostid, output="extend")
    assert {each["macro"]: each["value"] for each in found} == MACROS


def test_values_go_on(upgrade: Upgrade) -> None:
    """New values come to the same items, and discovery by the newer rules finds the same rows."""
    server, host = upgrade.server, upgrade.trapped
    send(server, host, 7)
    # The first template also discovered the row that stands for those that are not there.
    wait_for(lambda: rows_of(server, host, lost=True) == {"(absent)"})
    assert rows_of(server, host, lost=False) == ROWS
    before, now = upgrade.states[host][0], state_of(server, host)
    assert before.items.items() <= now.items.items()
    itemid = before.items['sockets.process.tcp.established["nginx"]']
    assert now.history[itemid][: len(before.history[itemid])] == before.history[itemid]
    found = server.items(host.hostid)
    assert [item["error"] for item in found if item["state"] != "0" or item["error"]] == []


def test_dashboards_show_what_there_is(upgrade: Upgrade) -> None:
    """Each widget lies on the grid, and what it refers to exists."""
    server = upgrade.server
    for way in ("trapper", "agent"):
        templateid = find(server, way)
        (dashboard,) = server.api.templatedashboard.get(
            templateids=templateid, output="extend", selectPages="extend"
        )
        widgets = [widget for page in dashboard["pages"] for widget in page["widgets"]]
        columns = COLUMNS[server.version]
        assert all(int(each["x"]) + int(each["width"]) <= columns for each in widgets)
        assert max(int(each["x"]) + int(each["width"]) for each in widgets) == columns
        api = server.api
        existing = {
            ITEM: api.item.get(templateids=templateid, output=["itemid"]),
            GRAPH: api.graph.get(templateids=templateid, output=["graphid"]),
            GRAPH_PROTOTYPE: api.graphprototype.get(templateids=templateid, output=["graphid"]),
        }
        ids = {
            kind: {next(iter(each.values())) for each in found} for kind, found in existing.items()
        }
        fields = [field for widget in widgets for field in widget["fields"]]
        assert any(field["type"] in ids for field in fields)
        for field in fields:
            assert field["type"] not in ids or field["value"] in ids[field["type"]]


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def fresh(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """A server that has none of the templates."""
    with servers.fresh(request.param) as server:
        yield server


@pytest.mark.short_form("6.0-trapper")
@pytest.mark.parametrize("way", NAMES)
def test_import_of_the_same_file_changes_nothing(fresh: Server, way: str) -> None:
    """The server finds no difference between a template and the file that it was made of."""
    source = current(way, fresh.version)
    import_yaml(fresh, source)
    wanted: dict[str, Any] = rules(fresh.version, delete=True)
    compare = fresh.api.configuration.importcompare
    assert compare(format="yaml", source=source, rules=wanted) == []
