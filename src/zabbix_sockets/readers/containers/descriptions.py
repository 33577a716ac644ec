"""Decoders of what docker, containers/storage and podman write of a container: to a ContainerEntry.

Source: docker's config.v2.json (moby, daemon/container; NetworkSettings.Ports of go-connections'
nat.PortMap), containers/storage's containers.json, podman's ContainerConfig
(libpod/container_config.go; newPortMappings since podman 4.0, portMappings before). The fields are
as the runtime has them: they are not safe to print.
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator

from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.model.container_names import ContainerEntry, PublishedPorts
from zabbix_sockets.readers.containers.runtime_files import load_json, member, text_member

_PROTOCOLS = ("tcp", "udp")
_LAST_PORT = 65_535
_MAX_BINDINGS = 4096
"""The most bindings of a container that are looked at: each port of a range is one of docker's."""
_MAPPING = ("host_ip", "host_port", "range", "protocol")
_OLD_MAPPING = ("hostIP", "hostPort", "length", "protocol")
_KUBERNETES_LABELS = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name")


def docker_entry(config: object) -> ContainerEntry:
    """Return the entry of a container from the value of its config.v2.json, without its ports."""
    labels = member(member(config, "Config"), "Labels")
    project, service = _compose(labels)
    namespace, pod = (text_member(labels, key) for key in _KUBERNETES_LABELS)
    return ContainerEntry(
        text_member(config, "Name").removeprefix("/"),
        project,
        service or text_member(labels, "com.docker.swarm.service.name"),
        f"{namespace}/{pod}" if namespace and pod else "",
    )


def docker_is_running(config: object) -> bool:
    """Whether a container runs, as its config.v2.json has it."""
    return member(member(config, "State"), "Running") is True


def docker_ports(config: object) -> tuple[PublishedPorts, ...]:
    """Return the ports that are published for a container, from the value of its config.v2.json."""
    ports = member(member(config, "NetworkSettings"), "Ports")
    found = []
    for key, bindings in ports.items() if isinstance(ports, dict) else ():
        protocol = str(key).rpartition("/")[2]
        for binding in bindings if isinstance(bindings, list) else ():
            first = _port(text_member(binding, "HostPort"))
            found.append((protocol, text_member(binding, "HostIp"), first, 1))
    return _ports(found)


def stored_entries(data: bytes) -> Iterator[tuple[str, ContainerEntry]]:
    """Yield id and entry of each container of the bytes of a store's containers.json."""
    entries = load_json(data)
    for entry in entries if isinstance(entries, list) else ():
        names = member(entry, "names")
        name = names[0] if isinstance(names, list) and names else ""
        if (number := text_member(entry, "id")) and isinstance(name, str):
            pod = _crio_pod(name)
            yield number, ContainerEntry(pod=pod) if pod else ContainerEntry(name)


def podman_entry(config: object, pods: dict[str, str]) -> ContainerEntry:
    """Return the entry of a container from the value of its ContainerConfig, with its ports.

    *pods* are the names of pods by their ids. The container that holds a pod's namespaces open, and
    its published ports, is called as the pod.
    """
    project, service = _compose(member(config, "labels"))
    pod = pods.get(text_member(config, "pod"), "")
    name = pod if pod and member(config, "isInfra") is True else text_member(config, "name")
    return ContainerEntry(name, project, service, pod, _podman_ports(config))


def _compose(labels: object) -> tuple[str, str]:
    """Return the compose project and service that labels tell; two empty texts if not both."""
    for prefix in ("com.docker.compose", "io.podman.compose"):
        project, service = (
            text_member(labels, f"{prefix}.{key}") for key in ("project", "service")
        )
        if project and service:
            return project, service
    return "", ""


def _crio_pod(name: str) -> str:
    """Return "namespace/pod" of CRI-O's k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT; else empty."""
    parts = name.split("_")
    named = len(parts) == 6 and parts[0] == "k8s" and parts[2] and parts[3]  # noqa: PLR2004
    return f"{parts[3]}/{parts[2]}" if named else ""


def _podman_ports(config: object) -> tuple[PublishedPorts, ...]:
    mappings = member(config, "newPortMappings") or member(config, "portMappings")
    found: list[tuple[str, str, int, int]] = []
    for mapping in mappings if isinstance(mappings, list) else ():
        is_old = member(mapping, "hostPort") is not None
        keys = _OLD_MAPPING if is_old else _MAPPING
        address, first, count, protocols = (member(mapping, key) for key in keys)
        ports = _text(address, ""), _port(first), _port(count) or 1
        found += ((protocol, *ports) for protocol in _text(protocols, "tcp").split(","))
    return _ports(found)


def _text(value: object, default: str) -> str:
    """Return a text as it is, *default* for an empty value, and "?" for what is no text."""
    if not value:
        return default
    return value if isinstance(value, str) else "?"


def _port(value: object) -> int:
    """Return a number from 0 to 65535 that *value* is, or says as a text; else 0."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:6])
    is_port = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LAST_PORT
    return int(value) if is_port else 0  # type: ignore[call-overload]


def _ports(found: Iterable[tuple[str, str, int, int]]) -> tuple[PublishedPorts, ...]:
    """Return the published ports of protocols, addresses, first ports and numbers of ports.

    Adjacent ones are one range. Those without a port, of other protocols, or with an address that
    is none are left out.
    """
    bindings = set()
    for protocol, host, first, count in list(found)[:_MAX_BINDINGS]:
        try:
            address = parse_address(host) if host else b""
        except ValueError:
            continue
        if protocol in _PROTOCOLS and first:
            last = min(first + count - 1, _LAST_PORT)
            bindings.add(PublishedPorts(protocol, address, first, last))
    joined: list[PublishedPorts] = []
    for each in sorted(bindings):
        before = joined[-1] if joined else None
        if before and before[:2] == each[:2] and each.first <= before.last + 1:
            joined[-1] = before._replace(last=max(before.last, each.last))
        else:
            joined.append(each)
    return tuple(joined)
