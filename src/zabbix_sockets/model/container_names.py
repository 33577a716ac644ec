"""The file of containers' names: its place and units, its lines, and the names that last.

`zabbix-sockets names`, which may read the files of docker and podman, writes it; the collector,
which mostly may not, reads it. After a line with the version of the format and the moment of the
look at the runtimes' files (Unix seconds), each container of the system's docker, podman and CRI-O
has a line of six fields, separated by tabs: its id, its name, the compose project and service (of
swarm the service alone), the pod, and the ports of the host that are published for it. All but the
id may be empty.
"""

import re
from _collections_abc import Iterable

from zabbix_sockets.model.addresses import IPV4_LENGTH, format_address, parse_address
from zabbix_sockets.model.cgroup_paths import workload_name
from zabbix_sockets.model.light_typing import NamedTuple

NAMES_FOLDER = "/run/zabbix-sockets-names"
"""The folder of the file, root's; the agent's group may read it, and root's other files in it are
temporary."""
NAMES_FILE = f"{NAMES_FOLDER}/containers"
NAMES_SERVICE = "zabbix-sockets-names.service"
NAMES_PATH_UNIT = "zabbix-sockets-names.path"
NAMES_TIMER = "zabbix-sockets-names.timer"
"""The units that keep it up to date: the path unit and the timer are enabled, and start the
service."""

MAX_BYTES = 1 << 20
"""The greatest length of the file."""
MAX_ENTRIES = 5_000
"""The most containers in it."""
MAX_PORTS = 64
"""The most published ports, or ranges of them, of one container."""

_HEAD = "zabbix-sockets names 1 "
_ID = "[0-9a-f]{12,64}"
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}"
_POD = rf"{_NAME}(?:/{_NAME})?"
_ADDRESS = r"\*|[0-9.]{7,15}|\[[0-9a-f:.]{2,45}\]"
_PORT = rf"(?:{_ADDRESS}):[0-9]{{1,5}}(?:-[0-9]{{1,5}})?/(?:tcp|udp)"
_LINE = (
    rf"({_ID})\t((?:{_NAME})?)\t((?:{_NAME})?)\t((?:{_NAME})?)\t((?:{_POD})?)"
    rf"\t((?:{_PORT}(?:,{_PORT}){{0,{MAX_PORTS - 1}}})?)"
)
_GENERATED = "[a-z]+_[a-z]+[0-9]?"  # "eager_curie": docker's and podman's for want of a name
_LAST_PORT = 65_535


class PublishedPorts(NamedTuple):
    """Ports of the host, from *first* to *last*, that lead to a container.

    *address* is the packed one of the host that they are published on; empty: all of both families.
    """

    protocol: str
    address: bytes
    first: int
    last: int


class ContainerEntry(NamedTuple):
    """What the runtimes' files say of one container; texts are empty where they say nothing.

    Attributes:
        name: the name that the runtime calls it by.
        project: the compose project.
        service: the service of compose, or of swarm.
        pod: the pod: "namespace/name" of Kubernetes, "name" of podman.
        ports: the published ports, of a container that runs.
    """

    name: str = ""
    project: str = ""
    service: str = ""
    pod: str = ""
    ports: tuple[PublishedPorts, ...] = ()

    @property
    def lasting_name(self) -> str:
        """The name that the container keeps when it is made anew; empty if it has none."""
        namespace, slash, pod = self.pod.partition("/")
        if self.project and self.service:
            return f"{self.project}/{self.service}"
        if self.service:
            return self.service
        return f"{namespace}/{workload_name(pod)}" if slash else chosen_name(self.name)


def chosen_name(name: str) -> str:
    """Return *name* if a person chose it; empty for a generated one, and for what is no name."""
    return name if re.fullmatch(_NAME, name) and not re.fullmatch(_GENERATED, name) else ""


def lines_of(entries: Iterable[tuple[str, ContainerEntry]], seconds: int) -> bytes:
    """Return the content of the file: a line for each id and entry, as far as its bounds allow.

    The first ones stay. *seconds* is the moment of the look, in Unix seconds.
    """
    lines = [f"{_HEAD}{seconds}\n".encode("ascii")]
    size = len(lines[0])
    for number, entry in entries:
        ports = ",".join(map(_format_ports, entry.ports[:MAX_PORTS]))
        line = "\t".join((number, *_safe_names(entry), ports)).encode("ascii") + b"\n"
        size += len(line)
        if size > MAX_BYTES or len(lines) > MAX_ENTRIES:
            break
        lines.append(line)
    return b"".join(lines)


def parse_lines(data: bytes) -> dict[str, ContainerEntry]:
    """Return the entries of the content of the file, by the containers' ids.

    Raises:
        ValueError: it is not as lines_of() makes it.
    """
    if len(data) > MAX_BYTES or not data.endswith(b"\n"):
        raise ValueError("too long, or cut off")
    head, *lines = data.decode("ascii")[:-1].split("\n")
    if not re.fullmatch(rf"{_HEAD}[0-9]{{1,18}}", head) or len(lines) > MAX_ENTRIES:
        raise ValueError("no file of containers' names of this version")
    entries = {}
    for line in lines:
        found = re.fullmatch(_LINE, line)
        if not found:
            raise ValueError(f"no container: {line[:100]!r}")
        number, name, project, service, pod, ports = found.groups()
        published = tuple(map(_parse_ports, ports.split(","))) if ports else ()
        entries[number] = ContainerEntry(name, project, service, pod, published)
    return entries


def _safe_names(entry: ContainerEntry) -> tuple[str, str, str, str]:
    """Return the texts of an entry, empty where they are no names: labels may hold anything.

    If the project or the service is none, both are empty.
    """
    name, project, service, pod, _ = entry
    if not (re.fullmatch(_NAME, service) and (re.fullmatch(_NAME, project) or not project)):
        project = service = ""
    name = name if re.fullmatch(_NAME, name) else ""
    return name, project, service, pod if re.fullmatch(_POD, pod) else ""


def _format_ports(ports: PublishedPorts) -> str:
    protocol, address, first, last = ports
    host = format_address(address) if address else "*"
    bracketed = host if len(address) <= IPV4_LENGTH else f"[{host}]"
    return f"{bracketed}:{first}{'' if last == first else f'-{last}'}/{protocol}"


def _parse_ports(text: str) -> PublishedPorts:
    """Return the ports of a text such as "0.0.0.0:80/tcp", "[::1]:9000-9003/udp", "*:80/tcp".

    Raises:
        ValueError: it says no address, or no range of ports.
    """
    endpoint, _, protocol = text.rpartition("/")
    host, _, numbers = endpoint.rpartition(":")
    first, _, last = numbers.partition("-")
    address = b"" if host == "*" else parse_address(host.strip("[]"))
    ports = PublishedPorts(protocol, address, int(first), int(last or first))
    if not 0 < ports.first <= ports.last <= _LAST_PORT:
        raise ValueError(f"no ports: {text!r}")
    return ports
