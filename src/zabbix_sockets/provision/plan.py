"""Plan of the changes to hosts, from the desired and the actual state. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.failures import in_one_line
from zabbix_sockets.provision.interfaces import Interface
from zabbix_sockets.provision.macros import Macro, identity
from zabbix_sockets.provision.options import DEFAULT_GROUP, DesiredState
from zabbix_sockets.provision.templates import Version

PROXY_OBJECTS: Version = (7, 0)
"""The version from which proxies are no hosts any more, with other names in the API."""

_OWN_OF_DISCOVERED: Version = (7, 0)
"""The version from which a host made by a host prototype may have templates and macros of its own:
6.0 links a template too, and its next discovery takes it away again."""


class ServerHost(NamedTuple):
    """A host as the server has it.

    Attributes:
        linked: our templates that it is linked to, each with the name of the other template by
            way of which it is; empty: directly.
        macros: the values of its macros by macros.identity(); None: the value is secret.
        interface: the agent's main one.
        groups: the names of its host groups.
        proxyid: empty for the server itself, and for a proxy group.
        is_discovered: it was made by a host prototype.
        is_writable: the API user may change it.
    """

    hostid: str
    linked: Mapping[str, str]
    macros: Mapping[tuple[str, ...], str | None]
    interface: Interface | None
    groups: frozenset[str] = frozenset()
    proxyid: str = ""
    is_discovered: bool = False
    is_writable: bool = True


class Inventory(NamedTuple):
    """The actual state of the server, as far as it matters to the desired hosts.

    Attributes:
        hosts: those of the desired hosts that are there, by technical name.
        taken: names that no host can be created with, and in words why.
        groupid: the id of the group of hosts that are created; None: it is missing or not needed.
        proxyid: the id of the desired proxy; None: none is desired.
    """

    version: Version
    hosts: Mapping[str, ServerHost]
    taken: Mapping[str, str] = {}
    groupid: str | None = None
    proxyid: str | None = None


class Ids(NamedTuple):
    """The ids of the linked template and of the new hosts' group, once both are there."""

    template: str
    group: str


class Change(NamedTuple):
    """One change: in words, and as a call of the API.

    Attributes:
        verb: create, update, link or add.
        what: its object in words, such as "host web1".
        method: the API's method.
        parameters: returns the parameters of that call.
        details: words that follow when the change is printed.
    """

    verb: str
    what: str
    method: str
    parameters: Callable[[Ids], dict[str, object]]
    details: str = ""


class HostPlan(NamedTuple):
    """The changes to one host.

    Attributes:
        notes: in words, what stays as it is though it is not as desired.
        unmet: the host can't be changed to what is desired, and nothing is done to it.
    """

    name: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    unmet: bool = False


class ProvisionPlan(NamedTuple):
    """The changes to all hosts; *new_group* is the host group to create first, empty for none."""

    hosts: tuple[HostPlan, ...]
    new_group: str = ""


def group_of(desired: DesiredState) -> str:
    """Return the name of the host group of hosts that are created."""
    return desired.group or DEFAULT_GROUP


def make_plan(desired: DesiredState, inventory: Inventory) -> ProvisionPlan:
    """Return the changes that bring *inventory*, the actual state, to *desired*.

    Raises:
        SocketsError: something can't be done, and so nothing should be.
    """
    missing = [name for name in desired.hosts if name not in inventory.hosts]
    for name in missing:
        if name in inventory.taken:
            raise SocketsError(f"host {name} can't be created: {inventory.taken[name]}")
    for name, host in inventory.hosts.items():
        if not host.is_writable:
            raise SocketsError(
                f"host {name}: the API user may not change it",
                "give the user's group read-write access to one of the host's groups",
            )
    _check_interfaces(desired, inventory)
    plans = (_plan_host(name, desired, inventory) for name in desired.hosts)
    new_group = group_of(desired) if missing and inventory.groupid is None else ""
    return ProvisionPlan(tuple(plans), new_group)


def _check_interfaces(desired: DesiredState, inventory: Inventory) -> None:
    names = [name for name in desired.hosts if _lacks_interface(name, desired, inventory)]
    shown = f"host {names[0]}" if len(names) == 1 else f"hosts {', '.join(names)}"
    if names and not desired.interface:
        raise SocketsError(
            f"{shown}: no agent interface, which {desired.linked.name} needs",
            "--interface ADDRESS:PORT gives it one; --template active and trapper need none",
        )
    if len(names) > 1:
        raise SocketsError(
            f"{shown}: they can't all have the interface {desired.interface}",
            "create the hosts one by one, each with its own",
        )


def _lacks_interface(name: str, desired: DesiredState, inventory: Inventory) -> bool:
    """Whether the host needs an agent's interface that only the caller can name."""
    if not desired.linked.needs_interface:
        return False
    host = inventory.hosts.get(name)
    return not host or not (host.interface or host.linked or host.is_discovered)


def _plan_host(name: str, desired: DesiredState, inventory: Inventory) -> HostPlan:
    host = inventory.hosts.get(name)
    if not host:
        return HostPlan(name, (_create(name, desired, inventory),))
    if why := _obstacle(host, desired, inventory.version):
        return HostPlan(name, notes=(f"host {name} {why}",), unmet=True)
    link = () if desired.linked.name in host.linked else (_link(name, host, desired),)
    macros = [*_macros(name, host, desired)]
    added = tuple(each for each in macros if isinstance(each, Change))
    kept = tuple(each for each in macros if isinstance(each, str))
    return HostPlan(name, (*link, *added), (*_kept(name, host, desired, inventory), *kept))


def _obstacle(host: ServerHost, desired: DesiredState, version: Version) -> str:
    """Return in words why the host can't become as desired; empty: it can."""
    is_linked = desired.linked.name in host.linked
    if host.linked and not is_linked:
        other, way = next(iter(host.linked.items()))
        through = f", by way of {way}" if way else ""
        return f"is linked to {other} already{through}: left as it is"
    lacks = not is_linked or any(
        identity(macro.name) not in host.macros for macro in desired.macros
    )
    if host.is_discovered and version < _OWN_OF_DISCOVERED and lacks:
        return "was made by a host prototype and can't be changed: change the prototype instead"
    if (
        host.is_discovered
        and not is_linked
        and desired.linked.needs_interface
        and not host.interface
    ):
        return "was made by a host prototype without an agent interface, and can't be given one"
    return ""


def _create(name: str, desired: DesiredState, inventory: Inventory) -> Change:
    parts = [f"template {desired.linked.name}", f"group {group_of(desired)}"]
    fixed: dict[str, object] = {"host": name}
    if desired.interface:
        parts.append(f"interface {desired.interface}")
        fixed["interfaces"] = [desired.interface.parameters()]
    if inventory.proxyid is not None:
        parts.append(f"proxy {desired.proxy}")
        fixed |= _proxy_parameters(inventory.proxyid, inventory.version)
    if desired.macros:
        parts += [f"macro {_shown(macro)}" for macro in desired.macros]
        fixed["macros"] = [macro.parameters() for macro in desired.macros]

    def parameters(ids: Ids) -> dict[str, object]:
        links = {"templates": [{"templateid": ids.template}], "groups": [{"groupid": ids.group}]}
        return {**fixed, **links}

    details = f": {', '.join(parts)}"
    return Change("create", f"host {name}", "host.create", parameters, details)


def _proxy_parameters(proxyid: str, version: Version) -> dict[str, object]:
    if version >= PROXY_OBJECTS:
        return {"monitored_by": 1, "proxyid": proxyid}
    return {"proxy_hostid": proxyid}


def _link(name: str, host: ServerHost, desired: DesiredState) -> Change:
    adds = desired.linked.needs_interface and not host.interface and desired.interface

    def parameters(ids: Ids) -> dict[str, object]:
        fixed = {"hosts": [{"hostid": host.hostid}], "templates": [{"templateid": ids.template}]}
        return {**fixed, **({"interfaces": [adds.parameters()]} if adds else {})}

    what = f"host {name} to template {desired.linked.name}"
    details = f", with a new interface {adds}" if adds else ""
    return Change("link", what, "host.massadd", parameters, details)


def _macros(name: str, host: ServerHost, desired: DesiredState) -> Iterator[Change | str]:
    """Yield the changes that add macros, and a note on each macro that has another value."""
    for macro in desired.macros:
        key = identity(macro.name)
        if key not in host.macros:
            yield _add_macro(name, host, macro)
        elif (value := host.macros[key]) is None:
            yield f"macro {macro.name} of host {name} is secret, and stays as it is"
        elif value != macro.value:
            yield f"macro {macro.name} of host {name} stays {in_one_line(value)!r}"


def _add_macro(name: str, host: ServerHost, macro: Macro) -> Change:
    request: dict[str, object] = {"hostid": host.hostid, **macro.parameters()}
    what = f"macro {_shown(macro)} to host {name}"
    return Change("add", what, "usermacro.create", lambda _ids: request)


def _kept(
    name: str, host: ServerHost, desired: DesiredState, inventory: Inventory
) -> Iterator[str]:
    """Yield a note on each setting that is not as desired, and that stays as it is."""
    if inventory.proxyid is not None and host.proxyid != inventory.proxyid:
        yield f"host {name} is not monitored by proxy {desired.proxy}: left as it is"
    if desired.group and desired.group not in host.groups:
        yield f"host {name} is not in group {desired.group}: left as it is"
    if desired.interface and host.interface and host.interface != desired.interface:
        yield f"host {name} has the interface {host.interface}: left as it is"


def _shown(macro: Macro) -> str:
    return f"{macro.name}={in_one_line(macro.value)}"
