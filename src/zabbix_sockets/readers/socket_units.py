"""Reader of systemd's socket units: at which addresses they have systemd listen.

Source: systemd.socket(5), systemd.unit(5), systemd.syntax(7); socket_address_parse() of systemd's
src/basic/socket-util.c. The files are read, as anybody may, and systemd isn't asked: it answers
over D-Bus alone. Only root can put a file there, so names and texts are an administrator's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.snapshot import ListeningEnd
from zabbix_sockets.model.wire import UNIX
from zabbix_sockets.readers.files import read_regular

UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""The folders of units of the host's own manager; in the first one that has it a unit's file is."""

_RUNS = "/run/systemd/system"
"""It is there where systemd is pid 1: sd_booted(3)."""
_MAX_BYTES = 1 << 16
_MAX_UNITS = 1000
_SUFFIX = ".socket"
_OF_SOCKETS = _SUFFIX, "socket.d"
"""The ends of names of units' files, and of folders of drop-ins: socket.d is for all units."""
_WANTED = "sockets.target.wants"
"""The folder, in those of units, of links to what is enabled: instances of a template are there."""
_PROTOCOLS = {"ListenStream": "tcp", "ListenDatagram": "udp", "ListenSequentialPacket": "seqpacket"}
"""By a setting: what it makes of an address of IP, where it takes one."""
_WILDCARDS = bytes(16), bytes(4)
_PORTS = range(1, 65_536)
_FORMER_RUN = "/var/run/"


def read_socket_units(deadline: Deadline, root: str = "") -> dict[ListeningEnd, str]:
    """Return the name of the socket unit, such as ssh.socket, of each end that just one has.

    The ends of units that aren't started are among them. There are none of units whose files can't
    be read, nor of an address with a specifier that is neither a part of the unit's name nor %t.
    The files are below *root*; none are read where systemd doesn't run, nor once *deadline* has
    passed.
    """
    if not os.path.isdir(root + _RUNS):
        return {}
    folders = _Folders(root)
    found: dict[ListeningEnd, set[str]] = {}
    for name in folders.units():
        if deadline.passed():
            break
        for end in _ends_of(name, folders):
            found.setdefault(end, set()).add(name)
    return {
        end: safe_name(os.fsencode(name))
        for end, names in found.items()
        if len(names) == 1
        for name in names
    }


class _Folders:
    """The folders of units below *root*: what of socket units is in each of them."""

    def __init__(self, root: str) -> None:
        is_merged = os.path.islink(f"{root}/lib")  # with /usr/lib
        self._names: dict[str, list[str]] = {}
        for folder in UNIT_FOLDERS:
            path = root + folder
            names = [] if is_merged and folder.startswith("/lib/") else _listed(path)
            if names:
                self._names[path] = [each for each in names if each.endswith(_OF_SOCKETS)]

    def units(self) -> list[str]:
        """Return the names of the units, without templates, but with instances that are enabled."""
        names = [each for of_folder in self._names.values() for each in of_folder]
        names += [each for path in self._names for each in _listed(f"{path}/{_WANTED}")]
        return sorted(
            {each for each in names if each.endswith(_SUFFIX) and not each.endswith(f"@{_SUFFIX}")}
        )[:_MAX_UNITS]

    def file(self, name: str) -> str:
        """Return the path of a unit's file; empty: none, it is masked, or a link to another unit's.

        An instance without a file of its own has the template's.
        """
        prefix, at, _ = name.partition("@")
        for each in (name, f"{prefix}@{_SUFFIX}") if at else (name,):
            for path, names in self._names.items():
                if each in names:
                    return "" if _is_alias(path, each) else f"{path}/{each}"
        return ""

    def drop_ins(self, name: str) -> list[str]:
        """Return the paths of a unit's drop-ins in the order in which they count.

        Of those with one file name in several folders it is the first one's, of which the unit's
        own folders come before those of all units with the beginning of its name.
        """
        stem = name[: -len(_SUFFIX)]
        prefix, at, _ = stem.partition("@")
        parts = prefix.split("-")
        owners = [name, *([f"{prefix}@{_SUFFIX}"] if at else ())]
        owners += [f"{'-'.join(parts[:end])}-{_SUFFIX}" for end in range(len(parts) - 1, 0, -1)]
        found: dict[str, str] = {}
        for owner in (*owners, "socket"):
            for path, names in self._names.items():
                for each in _listed(f"{path}/{owner}.d") if f"{owner}.d" in names else ():
                    if each.endswith(".conf"):
                        found.setdefault(each, f"{path}/{owner}.d/{each}")
        return [path for _, path in sorted(found.items())]


def _ends_of(name: str, folders: _Folders) -> Iterator[ListeningEnd]:
    """Yield at what the unit *name* listens; an address may come twice."""
    path = folders.file(name)
    if not path:
        return
    listed: list[tuple[str, str]] = []
    device = ""
    for each in (path, *folders.drop_ins(name)):
        for setting, value in _settings(_text(each)):
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


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of the section Socket with their values."""
    section = ""
    for each in text.replace("\\\n", " ").split("\n"):
        line = each.strip()
        if line.startswith("["):
            section = line
        elif section == "[Socket]" and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


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


def _ends(protocol: str, address: str, device: str) -> Iterator[ListeningEnd]:
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


def _is_alias(folder: str, name: str) -> bool:
    """Whether the file *name* in *folder* is a link to that of a unit of another name."""
    path = f"{folder}/{name}"
    if not os.path.islink(path):
        return False
    target = os.path.basename(os.path.realpath(path))
    return target != name and target.endswith(_SUFFIX)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        shortage.note(error)
        return []  # it isn't there, or may not be read


def _text(path: str) -> str:
    """Return the text of a unit's file; empty: it is /dev/null, is too long, or can't be read."""
    try:
        return os.fsdecode(read_regular(path, _MAX_BYTES))
    except OSError as error:
        shortage.note(error)
        return ""
