"""What docker and podman write of a container, as entries: real files, and any other JSON."""

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.container_names import ContainerEntry, PublishedPorts
from zabbix_sockets.readers.containers.descriptions import (
    docker_entry,
    docker_is_running,
    docker_ports,
    podman_entry,
    stored_entries,
)
from zabbix_sockets.readers.containers.runtime_files import load_json

CAPTURES = Path(__file__).parents[2] / "captures"
DOCKER = json.loads((CAPTURES / "docker-20.10/config.v2.json").read_text())
ANY, LOOPBACK = bytes(4), bytes((127, 0, 0, 1))

KEYS = st.sampled_from(
    [
        *("Config", "Labels", "Name", "State", "Running", "NetworkSettings", "Ports", "80/tcp"),
        *("HostIp", "HostPort", "id", "names", "name", "labels", "pod", "isInfra", "host_port"),
        *("newPortMappings", "portMappings", "hostPort", "range", "protocol", "host_ip"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("1.2.3.4"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


def test_docker() -> None:
    """The names and the ports of a real container."""
    assert docker_entry(DOCKER) == ContainerEntry("web1", "shop", "cart")
    assert docker_is_running(DOCKER)
    assert docker_ports(DOCKER) == (
        PublishedPorts("tcp", ANY, 8080, 8080),
        PublishedPorts("tcp", ANY, 9000, 9003),
        PublishedPorts("tcp", bytes(16), 8080, 8080),
        PublishedPorts("tcp", bytes(16), 9000, 9003),
        PublishedPorts("udp", LOOPBACK, 5353, 5353),
    )


@pytest.mark.parametrize(
    ("labels", "entry"),
    [
        ({}, ContainerEntry("web")),
        ({"com.docker.compose.project": "shop"}, ContainerEntry("web")),
        ({"com.docker.swarm.service.name": "s_web"}, ContainerEntry("web", service="s_web")),
        (
            {"io.kubernetes.pod.namespace": "ns", "io.kubernetes.pod.name": "cart"},
            ContainerEntry("web", pod="ns/cart"),
        ),
    ],
)
def test_docker_labels(labels: dict[str, str], entry: ContainerEntry) -> None:
    """Labels name the service or the pod; a project alone is nothing."""
    assert docker_entry({"Name": "/web", "Config": {"Labels": labels}}) == entry


@pytest.mark.parametrize(
    ("mapping", "ports"),
    [
        (
            {"host_ip": "", "host_port": 8080, "range": 1, "protocol": "tcp"},
            [PublishedPorts("tcp", b"", 8080, 8080)],
        ),
        (
            {"host_ip": "::1", "host_port": 9000, "range": 4, "protocol": "tcp,udp"},
            [
                PublishedPorts("tcp", socket.inet_pton(socket.AF_INET6, "::1"), 9000, 9003),
                PublishedPorts("udp", socket.inet_pton(socket.AF_INET6, "::1"), 9000, 9003),
            ],
        ),
        ({"host_port": 65535, "range": 9}, [PublishedPorts("tcp", b"", 65535, 65535)]),
        ({"host_port": 80, "protocol": "sctp"}, []),
        ({"host_port": 80, "host_ip": "localhost"}, []),
        ({"host_port": 0}, []),
        ({"host_port": True}, []),
        (
            {"hostPort": 53, "hostIP": "127.0.0.1", "protocol": "udp"},
            [PublishedPorts("udp", LOOPBACK, 53, 53)],
        ),
    ],
)
def test_podman_ports(mapping: dict[str, object], ports: list[PublishedPorts]) -> None:
    """Those of podman 4, and of podman before."""
    key = "portMappings" if "hostPort" in mapping else "newPortMappings"
    assert podman_entry({"name": "web", key: [mapping]}, {}).ports == tuple(ports)


def test_podman_pod() -> None:
    """A container of a pod has the pod; the one that holds its namespaces has its name."""
    pods = {"abc": "mypod"}
    assert podman_entry({"name": "web", "pod": "abc"}, pods) == ContainerEntry("web", pod="mypod")
    infra = {"name": "abc-infra", "pod": "abc", "isInfra": True}
    assert podman_entry(infra, pods).lasting_name == "mypod"
    assert podman_entry(infra, {}).name == "abc-infra"


def test_stored() -> None:
    """Podman's and CRI-O's containers by their names."""
    data = (CAPTURES / "podman-4.3/containers.json").read_bytes()
    assert [entry.name for _, entry in stored_entries(data)] == ["inpod", "web1"]
    crio = [{"id": "1", "names": ["k8s_nginx_cart-x_ns_123_0"]}, {"id": "2", "names": [7]}]
    assert dict(stored_entries(json.dumps(crio).encode())) == {"1": ContainerEntry(pod="ns/cart-x")}


@given(JSON)
def test_any_json(value: object) -> None:
    """Any other JSON is an entry, too."""
    docker_entry(value)
    docker_is_running(value)
    docker_ports(value)
    podman_entry(value, {})
    list(stored_entries(json.dumps(value).encode()))


@pytest.mark.parametrize("key", ["host_ip", "protocol"])
def test_nested_where_a_text_should_be(key: str) -> None:
    """However deep it is: what is no address, or no protocol, publishes nothing."""
    mapping = {"host_ip": "192.0.2.1", "host_port": 80, "protocol": "tcp", key: "here"}
    text = json.dumps({"newPortMappings": [mapping]})
    config = load_json(text.replace('"here"', "[" * 1000 + "]" * 1000).encode())
    assert podman_entry(config, {}).ports == ()
