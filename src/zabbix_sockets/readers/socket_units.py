"""Reader of systemd's socket units: at which addresses they have systemd listen.

Source: systemd.socket(5); socket_address_parse() of systemd's src/basic/socket-util.c.
"""

from __future__ import annotations

import os
from _collections_abc import Iterator

from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.snapshot import UnitEndpoint
from zabbix_sockets.model.wire import UNIX
from zabbix_sockets.readers.unit_files import UnitFolders, settings_of

_RUNS = "/run/systemd/system"
"""It is there where systemd is pid 1: sd_booted(3)."""
_MAX_UNITS = 1000
_SUFFIX = ".socket"
_WANTED = "sockets.target.wants"
"""The folder, in those of units, of links to what is enabled: instances of a template are there."""
_PROTOCOLS = {"ListenStream": "tcp", "ListenDatagram": "udp", "ListenSequentialPacket": "seqpacket"}
"""By a setting: what it makes of an address of IP, where it takes one."""
_WILDCARDS = bytes(16), bytes(4)
_PORTS = range(1, 65_536)
_FORMER_RUN = "/var/run/"


def read_socket_units(deadline: Deadline, root: str = "") -> dict[UnitEndpoint, str]:
    """Return the name of the socket unit, such as ssh.socket, of each end that just one has.

    The ends of units that aren't started are among them. There are none of units whose files can't
    be read, nor of an address with a specifier that is neither a part of the unit's name nor %t.
    The files are below *root*; none are read where systemd doesn't run, nor once *deadline* has
    passed.
    """
    if not os.path.isdir(root + _RUNS):
        return {}
    folders = UnitFolders(_SUFFIX, root)
    found: dict[UnitEndpoint, set[str]] = {}
    for name in _units(folders):
        if deadline.passed():
            break
        for end in _ends_of(name, folders, root):
            found.setdefault(end, set()).add(name)
    return {
        end: safe_name(os.fsencode(name))
        for end, names in found.items()
        if len(names) == 1
        for name in names
    }


def _units(folders: UnitFolders) -> list[str]:
    """Return the names of the units, without templates, but with instances that are enabled."""
    names = [each for of_folder in folders.names.values() for each in of_folder]
    names += [each for folder in folders.names for each in folders.listed(f"{folder}/{_WANTED}")]
    return sorted(
        {each for each in names if each.endswith(_SUFFIX) and not each.endswith(f"@{_SUFFIX}")}
    )[:_MAX_UNITS]


def _ends_of(name: str, folders: UnitFolders, root: str) -> Iterator[UnitEndpoint]:
    """Yield at what the unit *name* listens; an address may come twice.

    That is nothing of one that is masked, or a link to another unit's file.
    """
    path = folders.file(name)
    if not path or _is_alias(root + path):
        return
    listed: list[tuple[str, str]] = []
    device = ""
    for each in (path, *folders.drop_ins(name)):
        for setting, value in settings_of(folders.text(each), "Socket"):
            if setting == "BindToDevice":
                device = value
            elif setting.startswith("Listen") and not value:
                listed.clear()  # of each kind
            elif setting in _PROTOCOLS:
                listed.append((_PROTOCOLS[setting], value))
    for protocol, value in listed:
        address = _expanded(value, name)
        if address:
            yield from _ends(protocol, address, device)


def _expanded(value: str, name: str) -> str:
    """Return *value* with its specifiers replaced; empty if there is another one than these."""
    if "%" not in value:
        return value
    stem = name[: -len(_SUFFIX)]
    prefix, _, instance = stem.partition("@")
    parts = {"n": name, "N": stem, "p": prefix, "i": instance, "t": "/run"}
    text, *pieces = value.replace("%%", "\0").split("%")
    for piece in pieces:
        if piece[:1] not in parts:
            return ""
        text += parts[piece[0]] + piece[1:]
    return text.replace("\0", "%")


def _ends(protocol: str, address: str, device: str) -> Iterator[UnitEndpoint]:
    """Yield the ends of an address as of socket_address_parse(); none if it is not understood."""
    if address[0] in "/@":
        if protocol != "udp":
            yield UNIX, _unix_address(address), 0, ""
        return
    if protocol == "seqpacket":
        return
    if address.isdecimal():
        host, port = "", address
    else:
        host, _, port = address.rpartition(":")
        host, _, scope = host.strip("[]").partition("%")
        device = scope or device
    try:
        packed = (parse_address(host),) if host else _WILDCARDS
        number = int(port)
    except ValueError:
        return
    if number in _PORTS:
        yield from ((protocol, each, number, device) for each in packed)


def _unix_address(address: str) -> bytes:
    """Return the name of a unix socket as the kernel has it: an abstract one behind a NUL."""
    if address[0] == "@":
        return b"\0" + os.fsencode(address[1:])
    path = os.path.normpath(address)
    if path.startswith(_FORMER_RUN):  # as patch_var_run() of systemd does
        path = path[len("/var") :]
    return os.fsencode(path)


def _is_alias(path: str) -> bool:
    """Whether a unit's file is a link to that of a unit of another name."""
    if not os.path.islink(path):
        return False
    target = os.path.basename(os.path.realpath(path))
    return target != os.path.basename(path) and target.endswith(_SUFFIX)
