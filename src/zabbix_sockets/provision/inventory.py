"""Reader of the actual state of hosts on the server; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import Api, ApiObject
from zabbix_sockets.provision.interfaces import Interface, decode_interface
from zabbix_sockets.provision.macros import identity
from zabbix_sockets.provision.options import DesiredState
from zabbix_sockets.provision.plan import PROXY_OBJECTS, Inventory, ServerHost, group_of
from zabbix_sockets.provision.templates import NAMES

_DISCOVERED = 4
_SECRET = 1


class _Template(NamedTuple):
    name: str
    parents: Mapping[str, str]  # names by id


class _Found(NamedTuple):
    """A host whose templates, or the templates that these are linked to, may be of ours."""

    name: str
    host: ServerHost
    templates: Mapping[str, str]  # names by id


def read_inventory(api: Api, desired: DesiredState) -> Inventory:
    """Return the state of the hosts of *desired*, and all that is needed to plan their changes.

    Raises:
        SocketsError: the server refuses or can't be reached; there is no such proxy; the API user
            may not put hosts into the group.
    """
    proxyid = _read_proxyid(api, desired.proxy) if desired.proxy else None
    hosts = _read_hosts(api, desired)
    missing = [name for name in desired.hosts if name not in hosts]
    return Inventory(
        api.version,
        hosts,
        _read_taken(api, missing) if missing else {},
        _read_writable_groupid(api, group_of(desired)) if missing else None,
        proxyid,
    )


def read_groupid(api: Api, name: str, **only: bool) -> str | None:
    """Return the id of the host group *name*; None if the API user sees none.

    *only* are further parameters of hostgroup.get, such as editable=True.
    """
    return _exact(api, "hostgroup.get", "groupid", "name", name, **only)


def _read_writable_groupid(api: Api, name: str) -> str | None:
    found = read_groupid(api, name)
    if found and not read_groupid(api, name, editable=True):
        raise SocketsError(f"host group {name}: the API user may not put hosts into it")
    return found


def read_templateid(api: Api, name: str) -> str | None:
    """Return the id of the template *name*; None if the API user sees none."""
    return _exact(api, "template.get", "templateid", "host", name)


def _read_proxyid(api: Api, name: str) -> str:
    field = "name" if api.version >= PROXY_OBJECTS else "host"
    found = _exact(api, "proxy.get", "proxyid", field, name)
    if found is None:
        raise SocketsError(f"no proxy {name} on the server", "its name is case-sensitive")
    return found


def read_linked(api: Api, host: str) -> list[str]:
    """Return the names of our templates that the host is linked to, also by way of others.

    *host* is its technical name. None are returned for a host that the API user doesn't see.
    """
    found = api.rows(
        "host.get",
        lambda row: _names_by_id(row["parentTemplates"]),
        output=["hostid"],
        selectParentTemplates=["templateid", "host"],
        filter={"host": [host]},
    )
    known = _read_ancestors(api, found)
    return [name for templates in found for name in _ours(templates, known)]


def _exact(api: Api, method: str, key: str, field: str, name: str, **only: bool) -> str | None:
    rows = api.rows(
        method,
        lambda row: (str(row[field]), str(row[key])),
        output=[key, field],
        filter={field: [name]},
        **only,
    )
    return dict(rows).get(name)


def _read_taken(api: Api, names: list[str]) -> dict[str, str]:
    """Return those of *names* that no host can be created with, and in words why."""
    templates = api.rows(
        "template.get", lambda row: str(row["host"]), output=["host"], filter={"host": names}
    )
    hosts = api.rows(
        "host.get",
        lambda row: (str(row["name"]), str(row["host"])),
        output=["host", "name"],
        filter={"name": names},
    )
    shown = {name: f"it is the visible name of host {technical}" for name, technical in hosts}
    return {**shown, **dict.fromkeys(templates, "a template has this name")}


def _read_hosts(api: Api, desired: DesiredState) -> dict[str, ServerHost]:
    of_new = api.version >= PROXY_OBJECTS
    only = {"filter": {"host": desired.hosts}}
    found = api.rows(
        "host.get",
        _decode_host,
        output=["hostid", "host", "flags", *(["proxyid"] if of_new else ["proxy_hostid"])],
        selectParentTemplates=["templateid", "host"],
        selectInterfaces=["type", "main", "useip", "ip", "dns", "port"],
        selectMacros=["macro", "value", "type"],
        **{api.select_host_groups: ["name"]},
        **only,
    )
    writable = api.rows("host.get", _decode_hostid, output=["hostid"], editable=True, **only)
    known = _read_ancestors(api, [each.templates for each in found])
    return {
        name: host._replace(linked=_ours(templates, known), is_writable=host.hostid in writable)
        for name, host, templates in found
        if name in desired.hosts
    }


def _read_ancestors(api: Api, linked: Sequence[Mapping[str, str]]) -> dict[str, _Template]:
    """Return by id the templates that hosts are linked to, and all that these are linked to."""
    known: dict[str, _Template] = {}
    asked = {templateid for templates in linked for templateid in templates}
    while asked:
        rows = api.rows(
            "template.get",
            _decode_template,
            templateids=sorted(asked),
            output=["templateid", "host"],
            selectParentTemplates=["templateid", "host"],
        )
        known.update(rows)
        parents = {templateid for _, template in rows for templateid in template.parents}
        asked = parents - known.keys()
    return known


def _ours(templates: Mapping[str, str], known: Mapping[str, _Template]) -> dict[str, str]:
    """Return the names of our templates among *templates* and those that these are linked to.

    Each has the name of the one by way of which it is linked; empty if it is one of *templates*.
    """
    ours = {}
    for templateid, name in templates.items():
        waiting, seen = {templateid: name}, set[str]()
        while waiting:
            ancestor, title = waiting.popitem()
            if title in NAMES:
                ours[title] = "" if title == name else name
            if ancestor not in seen and ancestor in known:
                waiting.update(known[ancestor].parents)
            seen.add(ancestor)
    return ours


def _decode_host(row: ApiObject) -> _Found:
    proxyid = str(row["proxyid"] if "proxyid" in row else row["proxy_hostid"])
    groups = row["hostgroups"] if "hostgroups" in row else row["groups"]
    host = ServerHost(
        str(row["hostid"]),
        {},
        dict(map(_decode_macro, row["macros"])),
        _main_interface(row["interfaces"]),
        frozenset(str(group["name"]) for group in groups),
        "" if proxyid == "0" else proxyid,
        int(row["flags"]) == _DISCOVERED,
    )
    return _Found(str(row["host"]), host, _names_by_id(row["parentTemplates"]))


def _decode_hostid(row: ApiObject) -> str:
    return str(row["hostid"])


def _decode_macro(row: ApiObject) -> tuple[tuple[str, ...], str | None]:
    value = None if int(row["type"]) == _SECRET else str(row["value"])
    return identity(str(row["macro"])), value


def _decode_template(row: ApiObject) -> tuple[str, _Template]:
    return str(row["templateid"]), _Template(str(row["host"]), _names_by_id(row["parentTemplates"]))


def _main_interface(rows: list[dict[str, Any]]) -> Interface | None:
    return next(filter(None, map(decode_interface, rows)), None)


def _names_by_id(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {str(row["templateid"]): str(row["host"]) for row in rows}
