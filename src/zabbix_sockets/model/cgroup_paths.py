r"""Parser of cgroup paths: the systemd unit and the container of a process, by names alone.

Source: cgroups(7), kernel/cgroup/cgroup.c (proc_cgroup_show, cgroup_mkdir); systemd's
CONTROL_GROUP_INTERFACE, systemd.unit(5) and socket.c; the cgroup drivers of docker, podman,
containerd, CRI-O, the kubelet, lxc, systemd-nspawn and libvirt.

A unit's name is given in a form that survives restarts: what changes with each start is "*".
Whoever a cgroup is delegated to names what is below it: a user can imitate a container, not
a system's unit. Patterns are strings, and a plain look comes before most: re compiles only
those that a host needs; all of them take milliseconds, and so does re. So a call imports this when
it meets the first path.
"""

import re

from zabbix_sockets.model.light_typing import Optional
from zabbix_sockets.model.placement import Container, Placement

_HEX = "[0-9a-fA-F]"
_ID = "[0-9a-f]{12,64}"
_SHORTEST_WITH_ID = len("crio-") + 12
_DELETED = b" (deleted)"  # cgroup v2 only: the cgroup was removed, its process is a zombie

# What can't last: UUIDs, and 12 or more hex digits with a decimal one among them. systemd's
# escapes come before the latter: the "2d" of "\x2d" is no part of what follows it.
_UUID = rf"{_HEX}{{8}}(?:(?:[-_]|\\x2d){_HEX}{{4}}){{3}}(?:[-_]|\\x2d){_HEX}{{12,}}"
_CHANGING = rf"({_UUID})|\\x[0-9a-f]{{2}}|((?=[a-fA-F]*[0-9]){_HEX}{{12,}})"

_UNIT = r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)"
_USER_SLICE = r"user-([0-9]{1,10})\.slice"
_USER_MANAGER = r"user@\d+\.service"
_SYSTEMD_RUN = r"run-(?:u\d+|p\d+-i\d+|\d+)\.service"
# A connection's own instance (Accept=yes): its count, then addresses, or PID and UID.
_ACCEPTED = r"@\d+-(?:[^@]*:\d+-[^@]*:\d+|\d+(?:_\d+)?-\d+)\.service$"
_BUS_ACTIVATED = r"dbus-:\d+\.\d+-(.+)@\d+\.service"

_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "crio",
    "libpod": "podman",
    "libpod-payload": "podman",
}
_NAMED_ID = rf"(?:[^:]*\.slice:)?({'|'.join(_RUNTIMES)})[-:]({_ID})(?:\.scope)?"
_POD_UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
_POD = rf"(?:[^:]*-)?pod({_POD_UID})(?:\.slice(?::.*)?)?"
_MACHINE = r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service"
_DOMAIN = r"(?s:qemu-(?:\d+-)?(.+)|(?:lxc|ch)-\d+-(.+))"
_LIBVIRT = r"(?:(?:qemu|lxc)-\d+-)?(.+)\.libvirt-(?:qemu|lxc|ch)"
# Monitors, builders: they are there for containers, but in none.
_NO_CONTAINER = ("libpod-conmon-", "crio-conmon-", "lxc.monitor", "lxc.pivot", "buildkit")

# k8s.io/apimachinery/pkg/util/rand: String and, of a decimal hash, SafeEncodeString.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]{5}"
_HASH = "[456789bcdf]"
_OLD_HASH = "(?=[a-f]*[0-9])[0-9a-f]{6,10}"
_MADE_BY_CRONJOB = r"(.+)-\d{8}(?:\d\d)?(?:-\d+)?-[0-9a-z]{5}"
_MADE_BY_DEPLOYMENT = rf"(.+)-(?:{_HASH}{{6,10}}|{_OLD_HASH})-{_RANDOM}"
_MADE_WITH_LONG_NAME = rf"(.{{40,}}?)(?:-{_HASH}{{1,10}})?{_RANDOM}"
_MADE_BY_OTHERS = rf"(.+)-({_RANDOM})"
_LONGEST_POD = 63
_WORDS = frozenset(  # of the random ones' alphabet and length
    ("dhcp4", "dhcp6", "dhcpd", "http2", "https", "lldpd", "mqtts", "pgsql", "rtmps")
)


def choose_path(data: bytes) -> str:
    """Return the cgroup path that places a process, of *data*, the bytes of /proc/PID/cgroup.

    It is "/" for the root, and empty if there is none. It is cgroup v2's, else systemd's v1
    hierarchy; but another's that tells a container comes before one that tells none: docker's and
    the kubelet's cgroupfs drivers make theirs beside systemd's. The kernel escapes nothing here and
    refuses names with a newline. A path that begins with "/.." is seen from a cgroup namespace that
    it is not in.
    """
    unified, systemd = "", ""
    others: list[str] = []
    for line in data.split(b"\n"):
        number, _, behind = line.partition(b":")
        controllers, _, raw = behind.partition(b":")
        if not raw.startswith(b"/"):
            continue
        if number == b"0" and not controllers:
            unified = _normal(raw.removesuffix(_DELETED))
        elif controllers == b"name=systemd":
            systemd = _normal(raw)
        else:
            others.append(_normal(raw))
    first = next((path for path in (unified, systemd) if path not in ("", "/")), "")
    if systemd or others:
        for path in dict.fromkeys((first, systemd, *others)):
            if parse_path(path).container:
                return path
    return first or ("/" if unified or systemd or others else "")


def parse_path(path: str) -> Placement:
    """Return the unit and the outermost container of the cgroup *path*, as of choose_path()."""
    parts = _split(path)
    container = _find_container(parts)
    if container and parts[0] == "user.slice" and len(parts) > 1:
        container = container._replace(user=_user_of(parts[1]))
    return Placement(_find_unit(parts), container)


def workload_name(pod: str) -> str:
    """Return the name of a pod's workload: the pod's without what its controller added to it.

    Removed are the hash and the random letters of Deployments, the random letters of
    DaemonSets and Jobs, the time of CronJobs. A StatefulSet's number stays. What looks
    random and is a word ("-https") stays, unless a hash is before it.
    """
    for pattern in (_MADE_BY_CRONJOB, _MADE_BY_DEPLOYMENT):
        if found := re.fullmatch(pattern, pod):
            return found[1]
    if found := re.fullmatch(_MADE_BY_OTHERS, pod):
        return pod if found[2] in _WORDS else found[1]
    if len(pod) == _LONGEST_POD and (found := re.fullmatch(_MADE_WITH_LONG_NAME, pod)):
        return found[1]  # cut at 58 characters, maybe within the hash, to have room
    return pod


def is_lasting(name: str) -> bool:
    """Whether the bearer of a name has it again when it is made anew: no UUID or id is in it."""
    return bool(name) and not any(found.lastindex for found in re.finditer(_CHANGING, name))


def _normal(raw: bytes) -> str:
    return "/" + "/".join(_split(raw.decode("utf-8", "surrogateescape")))


def _split(path: str) -> list[str]:
    """Return the components of a path, without the ".." that lead out of a namespace."""
    parts = [part for part in path.split("/") if part]
    while parts and parts[0] == "..":
        del parts[0]
    return parts


def _find_unit(parts: list[str]) -> str:
    at, unit = _first_unit(parts, 0)
    if unit.startswith("user@") and re.fullmatch(_USER_MANAGER, unit):
        _, inner = _first_unit(parts, at + 1)
        if inner.endswith(".service"):
            return f"{unit}/{_without_changing(inner)}"
    return _without_changing(unit)


def _first_unit(parts: list[str], start: int) -> tuple[int, str]:
    """Return the first component that is no slice, and where; empty if it is no unit."""
    for at in range(start, len(parts)):
        if not parts[at].endswith(".slice"):
            # systemd puts "_" before what could be a file of the kernel: "_cpu.service"
            name = parts[at].removeprefix("_")
            return at, name if re.fullmatch(_UNIT, name) else ""
    return len(parts), ""


def _without_changing(unit: str) -> str:
    """Put "*" for what changes when a unit is started again.

    Nearly all scopes are named by a number or an id at their end. Machines' names may well
    end so and stay, but for the number that libvirt gives at each start of a domain.
    """
    unit = re.sub(_CHANGING, lambda found: "*" if found.lastindex else found[0], unit)
    if unit.startswith("machine-"):
        return re.sub(r"^(machine-(?:qemu|lxc|ch)\\x2d)\d+(\\x2d)", r"\1*\2", unit)
    if unit.startswith("session-") and unit.endswith(".scope"):
        return "session-*.scope"
    if unit.endswith(".scope"):
        unit = re.sub(r"-(?:([a-z]?)\d+|(?=[a-f]*[0-9])[0-9a-f]{8,})\.scope$", r"-\1*.scope", unit)
        return re.sub(r"^run-p\d+-i\*", "run-p*-i*", unit)
    if unit.startswith("run-") and re.fullmatch(_SYSTEMD_RUN, unit):
        return re.sub(r"\d+", "*", unit)
    if "@" in unit:
        unit = re.sub(_ACCEPTED, "@*.service", unit)
        unit = re.sub(rf"^{_BUS_ACTIVATED}$", r"dbus-:*-\1@*.service", unit)
    return unit


def _find_container(parts: list[str]) -> Optional[Container]:
    pod = ""
    for at, part in enumerate(parts):
        if part.startswith(_NO_CONTAINER):
            return None
        if "pod" in part and not pod and (found := re.fullmatch(_POD, part)):
            pod = found[1].replace("_", "-")
        if parts[at + 1 : at + 2] == ["supervisor"] and _machine(part):
            return None
        if container := _by_id(parts, at, pod) or _by_name(parts, at):
            return container
    return Container("", "", pod) if pod else None


def _user_of(slice_name: str) -> Optional[int]:
    """Return the uid of the user whose slice it is; None for root's and for no user's slice."""
    found = re.fullmatch(_USER_SLICE, slice_name)
    return (int(found[1]) or None) if found else None


def _by_id(parts: list[str], at: int, pod: str) -> Optional[Container]:
    part, above = parts[at], parts[at - 1] if at else ""
    if len(part) < _SHORTEST_WITH_ID:
        return None
    if found := re.fullmatch(_NAMED_ID, part):
        return Container(_RUNTIMES[found[1]], found[2], pod)
    if above == "libpod_parent" or not re.fullmatch("[0-9a-f]{64}", part):
        return None  # podman's pods are named like that
    if above == "docker" or parts[0] == "ecs":  # /ecs/TASK/ID
        return Container("docker", part, pod)
    # containerd's own namespaces
    return Container("containerd" if above in ("default", "k8s.io") else "", part, pod)


def _by_name(parts: list[str], at: int) -> Optional[Container]:
    part = parts[at]
    if part in ("lxc", "lxc.payload") and at + 1 < len(parts):
        return Container("lxc", parts[at + 1])
    if part.startswith("lxc.payload.") and (name := part.removeprefix("lxc.payload.")):
        return Container("lxc", name)
    if ".libvirt-" in part and (found := re.fullmatch(_LIBVIRT, part)):
        return Container("libvirt", found[1])
    return _machine(part)


def _machine(part: str) -> Optional[Container]:
    is_one = part.startswith(("machine-", "systemd-nspawn@"))
    if not is_one or not (found := re.fullmatch(_MACHINE, part)):
        return None
    name = _unescape(found[1] or found[2])
    if found[1] and (domain := re.fullmatch(_DOMAIN, name)):
        return Container("libvirt", domain[1] or domain[2])
    return Container("nspawn", name)


def _unescape(name: str) -> str:
    r"""Undo systemd's "\x2d" in a machine's name; each byte of UTF-8 has its own."""

    def decode(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8", "surrogateescape")

    return re.sub(r"(?:\\x[0-9a-f]{2})+", decode, name)
