"""What is to be done to the hosts, decided from how things are; pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.failures import in_one_line
from zabbix_sockets.provision.interfaces import Interface
from zabbix_sockets.provision.macros import Macro, identity
from zabbix_sockets.provision.options import DEFAULT_GROUP, Wanted
from zabbix_sockets.provision.templates import Version

PROXY_OBJECTS: Version = (7, 0)
"""Since then proxies are no hosts any more, with other names in the API."""

_OWN_OF_DISCOVERED: Version = (7, 0)
"""Since then a host made by a host prototype may have templates and macros of its own: 6.0 links
a template too, and its next discovery takes it away again."""


class Host(NamedTuple):
    """A host as the server has it."""

    hostid: str
    linked: Mapping[str, str]  # templates of ours, each by way of which other one ("": directly)
    macros: Mapping[tuple[str, ...], str | None]  # by identity; None: the value is secret
    interface: Interface | None  # the agent's main one
    groups: frozenset[str] = frozenset()
    proxyid: str = ""  # "": the server itself, or a proxy group
    is_discovered: bool = False
    is_writable: bool = True


class Inventory(NamedTuple):
    """The part of the server that matters to the hosts wanted."""

    version: Version
    hosts: Mapping[str, Host]
    taken: Mapping[str, str] = {}  # names that no host can be created with, and why
    groupid: str | None = None
    proxyid: str | None = None


class Ids(NamedTuple):
    """What is known only after the templates were imported and the group was created."""

    template: str
    group: str


class Change(NamedTuple):
    """One thing to do: in words, and as a call of the API."""

    verb: str
    what: str
    method: str
    parameters: Callable[[Ids], dict[str, object]]
    details: str = ""  # what follows in words when it is done


class HostPlan(NamedTuple):
    """What is to be done to a host, and what is not."""

    name: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    left: bool = False  # it is not as the caller asks, and nothing is done to it


class Plan(NamedTuple):
    """What is to be done to all hosts."""

    hosts: tuple[HostPlan, ...]
    new_group: str = ""


def group_of(wanted: Wanted) -> str:
    """Return the group of hosts that are created."""
    return wanted.group or DEFAULT_GROUP


def make_plan(wanted: Wanted, inventory: Inventory) -> Plan:
    """Decide what is to be done.

    Raises:
        SocketsError: something can't be done, and so nothing should be.
    """
    missing = [name for name in wanted.hosts if name not in inventory.hosts]
    for name in missing:
        if name in inventory.taken:
            raise SocketsError(f"host {name} can't be created: {inventory.taken[name]}")
    for name, host in inventory.hosts.items():
        if not host.is_writable:
            raise SocketsError(
                f"host {name}: the API user may not change it",
                "give the user's group read-write access to one of the host's groups",
            )
    _check_interfaces(wanted, inventory)
    plans = (_plan_host(name, wanted, inventory) for name in wanted.hosts)
    new_group = group_of(wanted) if missing and inventory.groupid is None else ""
    return Plan(tuple(plans), new_group)


def _check_interfaces(wanted: Wanted, inventory: Inventory) -> None:
    names = [name for name in wanted.hosts if _lacks_interface(name, wanted, inventory)]
    shown = f"host {names[0]}" if len(names) == 1 else f"hosts {', '.join(names)}"
    if names and not wanted.interface:
        raise SocketsError(
            f"{shown}: no agent interface, which {wanted.linked.name} needs",
            "--interface ADDRESS:PORT gives it one; --template active and trapper need none",
        )
    if len(names) > 1:
        raise SocketsError(
            f"{shown}: they can't all have the interface {wanted.interface}",
            "create the hosts one by one, each with its own",
        )


def _lacks_interface(name: str, wanted: Wanted, inventory: Inventory) -> bool:
    """Whether the host needs an interface that only the caller can name."""
    if not wanted.linked.needs_interface:
        return False
    host = inventory.hosts.get(name)
    return not host or not (host.interface or host.linked or host.is_discovered)


def _plan_host(name: str, wanted: Wanted, inventory: Inventory) -> HostPlan:
    host = inventory.hosts.get(name)
    if not host:
        return HostPlan(name, (_create(name, wanted, inventory),))
    if why := _obstacle(host, wanted, inventory.version):
        return HostPlan(name, notes=(f"host {name} {why}",), left=True)
    link = () if wanted.linked.name in host.linked else (_link(name, host, wanted),)
    macros = [*_macros(name, host, wanted)]
    added = tuple(each for each in macros if isinstance(each, Change))
    kept = tuple(each for each in macros if isinstance(each, str))
    return HostPlan(name, (*link, *added), (*_kept(name, host, wanted, inventory), *kept))


def _obstacle(host: Host, wanted: Wanted, version: Version) -> str:
    """Return why the host can't become as wanted, or nothing."""
    is_linked = wanted.linked.name in host.linked
    if host.linked and not is_linked:
        other, way = next(iter(host.linked.items()))
        through = f", by way of {way}" if way else ""
        return f"is linked to {other} already{through}: left as it is"
    lacks = not is_linked or any(identity(macro.name) not in host.macros for macro in wanted.macros)
    if host.is_discovered and version < _OWN_OF_DISCOVERED and lacks:
        return "was made by a host prototype and can't be changed: change the prototype instead"
    if (
        host.is_discovered
        and not is_linked
        and wanted.linked.needs_interface
        and not host.interface
    ):
        return "was made by a host prototype without an agent interface, and can't be given one"
    return ""


def _create(name: str, wanted: Wanted, inventory: Inventory) -> Change:
    parts = [f"template {wanted.linked.name}", f"group {group_of(wanted)}"]
    fixed: dict[str, object] = {"host": name}
    if wanted.interface:
        parts.append(f"interface {wanted.interface}")
        fixed["interfaces"] = [wanted.interface.parameters()]
    if inventory.proxyid is not None:
        parts.append(f"proxy {wanted.proxy}")
        fixed |= _proxy_parameters(inventory.proxyid, inventory.version)
    if wanted.macros:
        parts += [f"macro {_shown(macro)}" for macro in wanted.macros]
        fixed["macros"] = [macro.parameters() for macro in wanted.macros]

    def parameters(ids: Ids) -> dict[str, object]:
        links = {"templates": [{"templateid": ids.template}], "groups": [{"groupid": ids.group}]}
        return {**fixed, **links}

    details = f": {', '.join(parts)}"
    return Change("create", f"host {name}", "host.create", parameters, details)


def _proxy_parameters(proxyid: str, version: Version) -> dict[str, object]:
    if version >= PROXY_OBJECTS:
        return {"monitored_by": 1, "proxyid": proxyid}
    return {"proxy_hostid": proxyid}


def _link(name: str, host: Host, wanted: Wanted) -> Change:
    adds = wanted.linked.needs_interface and not host.interface and wanted.interface

    def parameters(ids: Ids) -> dict[str, object]:
        fixed = {"hosts": [{"hostid": host.hostid}], "templates": [{"templateid": ids.template}]}
        return {**fixed, **({"interfaces": [adds.parameters()]} if adds else {})}

    what = f"host {name} to template {wanted.linked.name}"
    details = f", with a new interface {adds}" if adds else ""
    return Change("link", what, "host.massadd", parameters, details)


def _macros(name: str, host: Host, wanted: Wanted) -> Iterator[Change | str]:
    """Yield what is to be added, and a note on each that somebody gave another value."""
    for macro in wanted.macros:
        key = identity(macro.name)
        if key not in host.macros:
            yield _add_macro(name, host, macro)
        elif (value := host.macros[key]) is None:
            yield f"macro {macro.name} of host {name} is secret, and stays as it is"
        elif value != macro.value:
            yield f"macro {macro.name} of host {name} stays {in_one_line(value)!r}"


def _add_macro(name: str, host: Host, macro: Macro) -> Change:
    request: dict[str, object] = {"hostid": host.hostid, **macro.parameters()}
    what = f"macro {_shown(macro)} to host {name}"
    return Change("add", what, "usermacro.create", lambda _ids: request)


def _kept(name: str, host: Host, wanted: Wanted, inventory: Inventory) -> Iterator[str]:
    """Yield a note on what is as somebody set it, and not as it would be of a new host."""
    if inventory.proxyid is not None and host.proxyid != inventory.proxyid:
        yield f"host {name} is not monitored by proxy {wanted.proxy}: left as it is"
    if wanted.group and wanted.group not in host.groups:
        yield f"host {name} is not in group {wanted.group}: left as it is"
    if wanted.interface and host.interface and host.interface != wanted.interface:
        yield f"host {name} has the interface {host.interface}: left as it is"


def _shown(macro: Macro) -> str:
    return f"{macro.name}={in_one_line(macro.value)}"
