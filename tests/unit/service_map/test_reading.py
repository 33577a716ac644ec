"""What is read of a server: connections of upstreams out of the list of the top ten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import connected
from zabbix_sockets.provision.failures import UnreachableError
from zabbix_sockets.provision.frontend import parse_frontend
from zabbix_sockets.service_map.reading import (
    HostSelection,
    parse_top,
    read_hosts,
    read_row_items,
)
from zabbix_sockets.service_map.told import LISTENERS

from ..provision.frontends import frontend  # noqa: TID252  # a test folder is no package

TOP = """\
   estab   SYN_SENT  CLOSE_WAIT  retrans  ports %  rtt ms  upstream
      40          0           0        0        0     0.8   haproxy>tcp/192.0.2.11:80
      12!         9!          0        0        -       -   my app>tcp/192.0.2.12:80
       3          0           0        0        0     0.8   not asked>tcp/192.0.2.13:80
and 3 more
This list is not complete: what it lacks may be worse.
"""


def test_figures_of_the_top() -> None:
    """The first column has the connections; names with spaces are whole."""
    rows = ["haproxy>tcp/192.0.2.11:80", "my app>tcp/192.0.2.12:80", "else>tcp/192.0.2.9:1"]
    assert parse_top("7", TOP, rows) == {("7", rows[0]): 40, ("7", rows[1]): 12}


@given(st.text(), st.lists(st.text(min_size=1)))
def test_any_text(text: str, rows: list[str]) -> None:
    """Whatever an item has, it is numbers of rows that are known, or nothing."""
    found = parse_top("7", text, rows)
    assert {row for _, row in found} <= set(rows)
    assert all(count >= 0 for count in found.values())


def test_item_of_a_host_that_was_not_asked_for() -> None:
    """Whatever a server answers, it says something of the hosts that it was asked for alone."""
    host = {"hostid": "7", "host": "web", "name": "web", "groups": [], "inventory": []}
    host |= {"interfaces": []}
    items = [{"hostid": "8", "key_": LISTENERS, "lastvalue": "{}"}]
    with (
        frontend({"host.get": [host], "item.get": items}) as asked,
        connected(parse_frontend(asked.url), 5, None) as api,
        pytest.raises(SocketsError, match="none of 1 hosts"),
    ):
        read_hosts(api, HostSelection(), lambda *_: None)


@pytest.mark.parametrize("lacks", ["hostid", "hosts", "key_", "triggers"])
def test_items_of_another_shape(lacks: str) -> None:
    """An answer that lacks something is none of a Zabbix API."""
    item = {"hostid": "7", "hosts": [{"host": "web"}], "key_": "k", "triggers": []}
    del item[lacks]
    with (
        frontend({"item.get": [item]}) as asked,
        connected(parse_frontend(asked.url), 5, None) as api,
        pytest.raises(UnreachableError, match=r"answer to item\.get can't be understood"),
    ):
        read_row_items(api, [("7", "nginx>tcp/192.0.2.5:443")], lambda *_: None)
