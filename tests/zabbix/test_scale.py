"""The largest document with every metric kept: what a server makes of it, and what it costs."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pytest

from zabbix_sockets.document.document import Limits
from zabbix_sockets.document.record import Record, fields_of
from zabbix_sockets.document.totals import ListenerTotals, ProcessTotals, UpstreamTotals

from .documents import Row, document, encoded, listener, process, quality, upstream
from .programs import wait_for
from .servers import Host, Server, Servers
from .templates import template
from .test_values import ALL_METRICS
from .watched import Document, Item, differences

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form]

MOST_DEPENDENTS = 29_999
"""As many as Zabbix lets a master item have, on all levels together."""

DEPENDENT = "18"

_log = logging.getLogger(__name__)


def good(number: int) -> Row:
    """Return round-trip times and retransmissions: others for each number, in every field."""
    made = quality(measured=number, rtt=number / 1000)
    return made | {key: number for key, value in made.items() if not isinstance(value, dict)}


def counted(kind: type[Record], number: int) -> Row:
    """Return totals of that kind, whose rate is another one with each number."""
    return {"totals": dict.fromkeys(fields_of(kind), 10**number)}


PLACES = ("tcp/192.0.2.1:{}", "tcp/[2001:db8::1]:{}", "udp/0.0.0.0:{}", "unix//run/service-{}.sock")
"""Of listeners, as many of each."""
STATES = ("syn_recv", "close_wait", "fin_wait", "last_ack", "time_wait")


def made(clock: int, number: int) -> Row:
    """Return a document with as many rows as there may be, all figures others than before."""
    limits = Limits()
    names = [f"process {at} ".ljust(64, "x") for at in range(limits.processes)]
    figures = (
        *("listen", "established", "inbound", "outbound", "unknown", "syn_sent", "syn_recv"),
        *("fin_wait1", "fin_wait2", "close_wait", "last_ack", "closing", "bound", "connected"),
        *("instances", "denied_instances", "recv_queue_bytes", "send_queue_bytes"),
        *("accept_queue", "accept_queue_max_pct", "unix_listen", "unix_connected"),
    )
    counts = {name: number + at for at, name in enumerate(figures)}
    places = [PLACES[at % len(PLACES)].format(at + 1) for at in range(limits.listeners)]
    busiest = {"distinct": number, "top": number, "pct": number, "address": f"198.51.100.{number}"}
    of_tcp = dict.fromkeys(STATES, number) | good(number) | counted(ListenerTotals, number)
    drops = {"drops": 10**number}
    of_protocol: dict[str, Row] = {
        "tcp": {**drops, **of_tcp, "clients": busiest},
        "udp": {**drops, "recv_queue_bytes": number},
        "unix": {},
    }
    lists = {
        "processes": [
            process(name, fds=number, worst_remote=f"tcp/198.51.100.1:{number}", **drops, **counts,
                    **good(number), **counted(ProcessTotals, number))
            for name in names
        ],
        "listeners": [
            listener(place, names[at % len(names)], queue=number, backlog=100 + number,
                     established=number, sockets=number, processes=number,
                     **of_protocol[place.partition("/")[0]])
            for at, place in enumerate(places)
        ],
        "upstreams": [
            upstream(name, "tcp/198.51.100.1:5432", taken=number, established=number,
                     syn_sent=number, close_wait=number, **good(number),
                     **counted(UpstreamTotals, number))
            for name in names[: limits.upstreams]
        ],
    }  # fmt: skip
    return document(clock=clock, lists=lists)


@dataclass(frozen=True, slots=True)
class Large:
    """A host that has all items that it can have."""

    server: Server
    host: Host
    items: dict[str, Item]

    def send(self, number: int) -> Document:
        """Send a document; its figures come from *number*."""
        clock = int(time.time())
        content = made(clock, number)
        sent = self.server.send([(self.host.name, "sockets.get", encoded(content), clock)])
        assert sent == (1, 0)
        return Document((clock, 0), content)

    def errors(self) -> list[str]:
        """Return the errors of its items."""
        return [item["error"] for item in self.server.items(self.host.hostid) if item["error"]]

    def updated(self, now: Document) -> int:
        """Return how many items of rows have a value of that document."""
        tables = " UNION ALL ".join(
            f"SELECT itemid FROM {table} WHERE clock = {now.moment[0]} AND ns = 0"
            for table in ("history", "history_uint", "history_str")
        )
        (row,) = self.server.sql(
            f"SELECT count(*) FROM ({tables}) AS stored JOIN items USING (itemid)"
            f" WHERE hostid = {self.host.hostid} AND flags = 4"
        )
        return int(row["count"])


class Scale(NamedTuple):
    """How much a host has of each row, the item that takes the row out among them."""

    version: str
    macros: dict[str, str]
    process: int
    listener: int
    udp_listener: int
    unix_listener: int
    upstream: int

    @property
    def items(self) -> int:
        """How many items all rows together have; half of the listeners are of TCP."""
        limits = Limits()
        of_places = self.listener, self.listener, self.udp_listener, self.unix_listener
        listeners = sum(of_places) * limits.listeners // len(PLACES)
        return self.process * limits.processes + listeners + self.upstream * limits.upstreams


# Each new item costs 6.0 the square of how many dependents there are already: with every metric
# that many rows take it two minutes of CPU, once.
SCALES = [Scale("6.0", {}, 14, 7, 4, 5, 16), Scale("7.0", ALL_METRICS, 50, 33, 6, 7, 29)]


@pytest.fixture(params=SCALES, ids=lambda scale: scale.version)
def large(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Large]:
    """A server of its own."""
    scale = request.param
    with servers.fresh(scale.version, CacheUpdateFrequency=3600) as server:
        wanted = scale.macros | {"{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*"}
        macros = [{"macro": name, "value": value} for name, value in wanted.items()]
        linked = [template(server, "trapper")]
        host = server.create_host("large", templates=linked, macros=macros)
        server.reload()
        large = Large(server, host, {})
        begun, cpu = time.monotonic(), server.cpu_seconds()
        large.send(1)
        wait_for(lambda: count(server, host) == scale.items, lambda: count(server, host))
        _log.info(
            "%s: discovery of %s items: %.1f s, %.1f s of CPU",
            server.version,
            scale.items,
            time.monotonic() - begun,
            server.cpu_seconds() - cpu,
        )
        begun = time.monotonic()
        server.reload()
        _log.info("%s: configuration read: %.1f s", server.version, time.monotonic() - begun)
        found = server.items(host.hostid, selectPreprocessing=["type", "params"])
        large.items.update((item["key_"], item) for item in found)
        yield large


def count(server: Server, host: Host) -> int:
    """Return how many items discovery has made."""
    query = f"SELECT count(*) FROM items WHERE hostid = {host.hostid} AND flags = 4"
    return int(server.sql(query)[0]["count"])


def _is(found: Callable[[], int], expected: int) -> bool:
    return found() == expected


def test_every_item_is_updated(large: Large) -> None:
    """Each document brings each item its own value, well within what Zabbix allows."""
    dependents = [item for item in large.items.values() if item["type"] == DEPENDENT]
    assert len(dependents) + 3 < MOST_DEPENDENTS
    rows = {
        item["key_"] for item in dependents if '["' in item["key_"] and '.get["' not in item["key_"]
    }
    rates = {key for key in rows if ".totals." in key or ".drops.rate[" in key}
    documents: list[Document] = []
    for number in range(2, 5):
        # A rate takes two documents.
        expected = len(rows) if documents else len(rows - rates)
        begun, cpu = time.monotonic(), large.server.cpu_seconds()
        documents.append(large.send(number))
        updated = partial(large.updated, documents[-1])
        wait_for(partial(_is, updated, expected), updated)
        _log.info(
            "%s: %s values of a document of %s bytes: %.2f s, %.2f s of CPU",
            large.server.version,
            len(rows),
            len(encoded(documents[-1].content)),
            time.monotonic() - begun,
            large.server.cpu_seconds() - cpu,
        )
        time.sleep(1)  # of which the next one has its time
    *_, before, now = documents
    assert not differences(large.server, large.items, before, now, large.items)
    # One that is calculated may have an error until its next minute: a rate takes two documents.
    wait_for(lambda: not large.errors(), large.errors)
