"""Matching: whose a remote end is, and who answers there."""

from __future__ import annotations

import pytest
from hypothesis import given

from zabbix_sockets.service_map.matching import Flow, MapHost, flows

from .worlds import EXTERNAL, host, shop, worlds


def servers(hosts: list[MapHost]) -> dict[tuple[str, str], str]:
    """Return the host, or nothing, by client and each upstream's row."""
    return {(flow.client, flow.upstream.row): flow.server for flow in flows(hosts)}


def flow_to(target: MapHost, end: str, *others: MapHost) -> Flow:
    """Return the flow of a client to an end, where there is this target."""
    client = host(9, upstreams=[f"app\t{end}"])
    return next(each for each in flows([client, target, *others]) if each.client == client.hostid)


def test_shop() -> None:
    """Processes are matched with hosts and listeners; others are nobody's."""
    found = {flow.upstream.row: flow for flow in flows(shop())}
    web = found["nginx>tcp/10.0.0.2:9000"]
    assert (web.server, web.listener and web.listener.process) == ("1002", "php-fpm")
    database = found["php-fpm>tcp/10.0.0.3:5432"]
    assert (database.server, database.listener and database.listener.container) == ("1003", "db")
    inside = found["php-fpm>tcp/127.0.0.1:6379"]
    assert inside.is_inside
    assert inside.listener
    assert inside.listener.process == "redis"
    assert found["php-fpm>tcp/198.51.100.7:443"].server == ""


def test_interface_and_inventory() -> None:
    """A host that tells nothing is known by what the server has of it; 127.0.0.1 is everybody's."""
    silent = MapHost("5", "router", "router", interfaces=("192.0.2.7", "127.0.0.1", "not one"))
    assert flow_to(silent, "tcp/192.0.2.7:80").server == "5"
    silent = MapHost("5", "router", "router", inventory=("192.0.2.8",), resolved=("192.0.2.9",))
    assert flow_to(silent, "tcp/192.0.2.8:80").server == "5"
    assert flow_to(silent, "tcp/192.0.2.9:80").server == "5"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::1", "169.254.1.1", "fe80::1"])
def test_addresses_of_no_host_in_particular(address: str) -> None:
    """What each host may have, or none, leads nowhere, whatever the server has of it."""
    end = f"tcp/[{address}]:80" if ":" in address else f"tcp/{address}:80"
    named = MapHost("5", "router", "router", interfaces=(address,))
    client = host(1, upstreams=[f"app\t{end}"])
    assert {flow.server for flow in flows([named, client])} <= {"", client.hostid}


def test_what_a_host_tells_is_surer_than_an_interface() -> None:
    """An old address in an interface doesn't take another host's connections."""
    old = MapHost("5", "old", "old", interfaces=("10.0.0.1",))
    assert flow_to(old, "tcp/10.0.0.1:80", host(1)).server == "1001"


def test_several_hosts_with_an_address() -> None:
    """That one has it which listens at the port; if several do, or none, nobody is guessed."""
    same = ["192.0.2.1"]
    one = host(1, addresses=same, listeners=["tcp/0.0.0.0:80\tnginx", "tcp/0.0.0.0:22\tsshd"])
    other = host(2, addresses=same, listeners=["tcp/0.0.0.0:22\tsshd"])
    assert flow_to(one, "tcp/192.0.2.1:80", other).server == "1001"
    assert flow_to(one, "tcp/192.0.2.1:22", other).server == ""
    assert flow_to(one, "tcp/192.0.2.1:9", other).server == ""


def test_bridges() -> None:
    """A container's address, and its bridge's, lead to the own host, though others have them."""
    lines = ["172.17.0.1/16\tbridge", "172.17.0.2\t\tshop"]
    used = ["app\ttcp/172.17.0.1:80", "app\ttcp/172.17.0.9:81", "app\ttcp/172.17.0.2:82"]
    both = [host(number, addresses=lines, upstreams=used) for number in (1, 2)]
    assert all(flow.is_inside for flow in flows(both))
    assert flow_to(both[0], "tcp/172.17.0.1:80").server == ""
    assert flow_to(both[0], "tcp/172.17.0.2:80").server == ""


def test_bridges_without_a_network() -> None:
    """Where a prefix is missing or longer than an address, the bridge's own address is all."""
    for told in ("172.17.0.1", "172.17.0.1/33"):
        client = host(1, addresses=[f"{told}\tbridge"], upstreams=["app\ttcp/172.17.0.9:80"])
        assert not any(flow.is_inside for flow in flows([client]))
    alone = host(1, addresses=["172.17.0.1/32\tbridge"], upstreams=["app\ttcp/172.17.0.1:80"])
    assert all(flow.is_inside for flow in flows([alone]))


def test_routed_namespaces() -> None:
    """A pod's own address is its host's, and the listener is the one in its namespace."""
    pod = ["10.42.0.7\t\tshop/web"]
    served = ["tcp/0.0.0.0:80\tother", "tcp/0.0.0.0:80@shop/web\tnginx\tshop/web"]
    found = flow_to(host(1, addresses=pod, listeners=served), "tcp/10.42.0.7:80")
    assert found.listener
    assert (found.server, found.listener.process) == ("1001", "nginx")


@pytest.mark.parametrize("kind", ["loopback", ""])
def test_an_address_on_loopback_is_the_last_choice(kind: str) -> None:
    """Real servers behind a balancer have its address on lo."""
    balancer = host(1, addresses=["192.0.2.1"])
    real = host(2, addresses=[f"192.0.2.1\t{kind}".rstrip()])
    assert flow_to(balancer, "tcp/192.0.2.1:80", real).server == ("1001" if kind else "")


def test_listener_at_the_address_comes_first() -> None:
    """Of two that may answer it is the more special one."""
    served = ["tcp/0.0.0.0:80\tnginx", "tcp/10.0.0.1:80\thaproxy", "udp/10.0.0.1:80\tother"]
    found = flow_to(host(1, listeners=served), "tcp/10.0.0.1:80")
    assert found.listener
    assert found.listener.process == "haproxy"


@given(worlds())
def test_any_installation(hosts: list[MapHost]) -> None:
    """Each upstream has one flow, and a server that has its address, or none has."""
    found = list(flows(hosts))
    told = [(each.hostid, row) for each in hosts for row in each.told.upstreams]
    assert [(flow.client, flow.upstream) for flow in found] == told
    for flow in found:
        address = flow.upstream.end.address
        assert (flow.server == "") == (address in EXTERNAL)
        if flow.server and address != "127.0.0.1":
            assert flow.server == f"10{int(address.rpartition('.')[2]):02}"
        if flow.listener:
            assert flow.listener.end.port == flow.upstream.end.port


@given(worlds())
def test_the_order_of_hosts_means_nothing(hosts: list[MapHost]) -> None:
    """As the API may return them in any."""
    assert servers(hosts) == servers(hosts[::-1])
