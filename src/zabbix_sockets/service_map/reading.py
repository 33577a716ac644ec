"""Reader of what a map is drawn of: hosts, what they tell, items, triggers, images and maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import Api, ApiObject
from zabbix_sockets.service_map.drawing import RowId
from zabbix_sockets.service_map.matching import MapHost
from zabbix_sockets.service_map.told import LISTENERS, NOTHING, UPSTREAMS, parse_told
from zabbix_sockets.service_map.zabbix_map import Icons, Trigger

TOP = "sockets.upstreams.top"
"""The key of the item with the ten upstreams that matter most."""
_ESTABLISHED = "sockets.upstream.established["
_OF_LISTENERS = ("sockets.listener.sockets[", "sockets.listener.accept_queue_pct[")
_ROW_OF_KEY = re.compile(r'[^\[]*\["(.*)"\]', re.DOTALL)
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{3,45}")

_SLOWER = (
    *("Upstream has become slow", "Connections retransmit", "Handshakes have become slow"),
    *("Ephemeral ports run low", "Accept queue fills", "Connections wait to be accepted"),
)
"""The ends of names of triggers that say less than that something fails."""

_PAGE = 100
"""So many hosts are asked for at a time."""
_IMAGES = ("Server_(48)", "Cloud_(48)", "Network_(48)")
"""The images of hosts, of ends and of groups, as every new server has them."""

Progress = Callable[[str, int, int], None]
"""Is told what is read, how many of it are, and how many there are."""


class HostSelection(NamedTuple):
    """Which hosts are to be drawn, by names of groups and hosts and by tags; all if empty."""

    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether it is of no part of the hosts."""
        return not (self.groups or self.hosts or self.tags)


class Found(NamedTuple):
    """The hosts that the API user may see, the ids of the selected ones, and what they tell.

    *counted* are connections by upstreams' rows, from the lists of the ten that matter most.
    """

    hosts: tuple[MapHost, ...]
    selected: frozenset[str]
    counted: Mapping[RowId, int]


class RowItems(NamedTuple):
    """Items and triggers of rows.

    Attributes:
        live: the host's technical name and the key of the item with an upstream's connections.
        triggers: those of each row of upstreams and listeners.
    """

    live: Mapping[RowId, tuple[str, str]]
    triggers: Mapping[RowId, tuple[Trigger, ...]]


def read_hosts(api: Api, selection: HostSelection, progress: Progress) -> Found:
    """Return all monitored hosts, with what those tell that have the items.

    Raises:
        SocketsError: there is no such group or host, or nobody tells anything; or as of Api.
    """
    selected = _read_selected(api, selection)
    hosts = {host.hostid: host for host in _read_all(api)}
    counted: dict[RowId, int] = {}
    done = 0
    tellers = 0
    for page in _pages(sorted(hosts)):
        texts: dict[str, dict[str, str]] = {}
        for hostid, key, value in _read_texts(api, page):
            texts.setdefault(hostid, {})[key] = value
        for hostid in page:  # whatever others the server answers
            if hostid not in texts:
                continue
            values = texts[hostid]
            told = parse_told(values.get(LISTENERS, ""), values.get(UPSTREAMS, ""))
            hosts[hostid] = hosts[hostid]._replace(told=told)
            tellers += told != NOTHING
            counted |= parse_top(hostid, values.get(TOP, ""), [each.row for each in told.upstreams])
        done += len(page)
        progress("hosts", done, len(hosts))
    if not tellers:
        raise SocketsError(
            f"none of {len(hosts)} hosts that the API user may see has told of itself",
            f"that takes the templates of today (items {LISTENERS} and {UPSTREAMS}), some minutes,"
            " and read access to the hosts' groups",
        )
    chosen = frozenset(hosts) if selected is None else selected & hosts.keys()
    return Found(tuple(hosts.values()), chosen, counted)


def _read_selected(api: Api, selection: HostSelection) -> frozenset[str] | None:
    """Return the ids of the hosts of a selection; None: all."""
    if selection.is_all:
        return None
    found: set[str] = set()
    if selection.groups:
        groups = api.rows(
            "hostgroup.get",
            lambda row: (str(row["name"]), str(row["groupid"])),
            output=["groupid", "name"],
            filter={"name": list(selection.groups)},
        )
        _require("host group", selection.groups, dict(groups))
        ids = [groupid for _, groupid in groups]
        found.update(_read_ids(api, groupids=ids))
    if selection.hosts:
        hosts = dict(
            api.rows(
                "host.get",
                lambda row: (str(row["host"]), str(row["hostid"])),
                output=["hostid", "host"],
                filter={"host": list(selection.hosts)},
            )
        )
        _require("host", selection.hosts, hosts)
        found.update(hosts.values())
    for name, value in selection.tags:
        tag: dict[str, str] = {"tag": name, "operator": "4"}  # exists
        if value is not None:
            tag = {"tag": name, "value": value, "operator": "1"}  # equals
        found.update(_read_ids(api, tags=[tag], inheritedTags=True))
    return frozenset(found)


def _require(what: str, names: Sequence[str], found: Collection[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise SocketsError(
            f"no {what} {', '.join(missing)}, as far as the API user may see",
            "names are case-sensitive, those of hosts are the technical ones",
        )


def _read_ids(api: Api, **only: object) -> list[str]:
    return api.rows("host.get", lambda row: str(row["hostid"]), output=["hostid"], **only)


def _read_all(api: Api) -> list[MapHost]:
    return api.rows(
        "host.get",
        _decode_host,
        output=["hostid", "host", "name"],
        monitored_hosts=True,
        selectInterfaces=["ip", "dns", "useip"],
        selectInventory=["host_networks"],
        **{api.select_host_groups: ["name"]},
    )


def _decode_host(row: ApiObject) -> MapHost:
    groups = row["hostgroups"] if "hostgroups" in row else row["groups"]
    inventory = row["inventory"] or {}  # an empty array without one
    networks = str(inventory.get("host_networks", "")) if isinstance(inventory, dict) else ""
    return MapHost(
        str(row["hostid"]),
        str(row["host"]),
        str(row["name"]),
        tuple(sorted(str(each["name"]) for each in groups)),
        NOTHING,
        tuple(sorted({str(each["ip"]) for each in row["interfaces"] if each["ip"]})),
        tuple(_ADDRESS.findall(networks)),
        dns=tuple(sorted({str(each["dns"]) for each in row["interfaces"] if each["dns"]})),
    )


def _read_texts(api: Api, hostids: Sequence[str]) -> list[tuple[str, str, str]]:
    return api.rows(
        "item.get",
        lambda row: (str(row["hostid"]), str(row["key_"]), str(row["lastvalue"])),
        output=["hostid", "key_", "lastvalue"],
        hostids=list(hostids),
        filter={"key_": [LISTENERS, UPSTREAMS, TOP]},
    )


def parse_top(hostid: str, text: str, rows: Sequence[str]) -> dict[RowId, int]:
    """Return the connections of those of *rows*, ids of upstreams, that a list of the top has."""
    known = set(rows)
    found = {}
    for line in text.splitlines():
        count = line.split(maxsplit=1)[:1]
        number = count[0].rstrip("!") if count else ""
        if number.isdecimal():
            row = next((each for each in _endings(line) if each in known), None)
            if row is not None:
                found[hostid, row] = int(number[:9])
    return found


def _endings(line: str) -> Iterator[str]:
    """Yield the ends of a line that begin with a word, but for the whole line."""
    words = line.split(" ")
    for start in range(1, len(words)):
        yield " ".join(words[start:])


def read_row_items(api: Api, rows: Collection[RowId], progress: Progress) -> RowItems:
    """Return the items and triggers of those of *rows* that are discovered."""
    live: dict[RowId, tuple[str, str]] = {}
    triggers: dict[RowId, dict[str, Trigger]] = {}
    hostids = sorted({hostid for hostid, _ in rows})
    done = 0
    for page in _pages(hostids):
        for item in _read_items(api, page):
            found = _ROW_OF_KEY.fullmatch(item.key)
            row = (item.hostid, found[1] if found else "")
            if row in rows:
                if item.key.startswith(_ESTABLISHED):
                    live[row] = (item.host, item.key)
                for trigger in item.triggers:
                    triggers.setdefault(row, {})[trigger.triggerid] = trigger
        done += len(page)
        progress("items", done, len(hostids))
    ordered = {row: tuple(sorted(found.values())) for row, found in triggers.items()}
    return RowItems(live, ordered)


class _Item(NamedTuple):
    """An item of a row: its host's id and technical name, its key, and its enabled triggers."""

    hostid: str
    host: str
    key: str
    triggers: tuple[Trigger, ...]


def _decode_item(row: ApiObject) -> _Item:
    triggers = filter(None, map(_decode_trigger, row["triggers"]))
    host = str(row["hosts"][0]["host"])
    return _Item(str(row["hostid"]), host, str(row["key_"]), tuple(triggers))


def _read_items(api: Api, hostids: Sequence[str]) -> list[_Item]:
    return api.rows(
        "item.get",
        _decode_item,
        output=["itemid", "hostid", "key_"],
        hostids=list(hostids),
        search={"key_": ["sockets.upstream.", *_OF_LISTENERS]},
        searchByAny=True,
        startSearch=True,
        filter={"status": "0"},
        selectHosts=["host"],
        selectTriggers=["triggerid", "description", "status"],
    )


def _decode_trigger(row: dict[str, Any]) -> Trigger | None:
    if str(row["status"]) != "0":
        return None
    return Trigger(str(row["triggerid"]), not str(row["description"]).endswith(_SLOWER))


def read_icons(api: Api) -> Icons:
    """Return the ids of the images of elements.

    Raises:
        SocketsError: the server has none that is an icon.
    """
    images = dict(
        api.rows(
            "image.get",
            lambda row: (str(row["name"]), str(row["imageid"])),
            output=["imageid", "name"],
            filter={"imagetype": "1"},
        )
    )
    if not images:
        raise SocketsError("the server has no icon that an element of a map could have")
    any_other = images[min(images)]
    return Icons(*(images.get(name, any_other) for name in _IMAGES))


def read_map_ids(api: Api, names: Sequence[str]) -> dict[str, str]:
    """Return the ids of those of the maps *names* that there are, as far as the API user sees them.

    Raises:
        SocketsError: the API user may see one of them, and not change it.
    """
    found: dict[str, str] = {}
    for page in _pages(names):
        asked = {"output": ["sysmapid", "name"], "filter": {"name": list(page)}}
        seen, writable = (
            dict(
                api.rows(
                    "map.get", lambda row: (str(row["name"]), str(row["sysmapid"])), **asked, **only
                )
            )
            for only in ({}, {"editable": True})
        )
        for name in seen.keys() - writable.keys():
            raise SocketsError(
                f"map {name}: the API user may not change it",
                "its owner, or somebody it is shared with for writing, can; or give another name",
            )
        found |= seen
    return found


def read_map(api: Api, sysmapid: str) -> ApiObject:
    """Return a map with its elements and lines.

    Raises:
        SocketsError: the API user doesn't see it.
    """
    asked = {"output": "extend", "selectSelements": "extend", "selectLinks": "extend"}
    found = api.rows("map.get", dict, sysmapids=[sysmapid], **asked)
    if not found:
        raise SocketsError(f"the API user may not see the map with the id {sysmapid}")
    return found[0]


def _pages(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]
