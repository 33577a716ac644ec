"""Every figure of a real agent's document, in the item that it belongs to."""

import re
from collections.abc import Iterator, Mapping

import pytest

from zabbix_templates.generator import quality

from .agents import Agent
from .processes import TCP, UDP, Holder
from .servers import Server
from .watched import FAST, Watched, watch

pytestmark = pytest.mark.zabbix

ALL_METRICS = {
    "{$SOCKETS.LLD.MORE.PROCESS.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.LISTENER.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.UPSTREAM.MATCHES}": ".*",
}

LACKED_BY_UDP = {
    *("accept_queue", "accept_queue_pct", "backlog"),
    *(metric.key for metric in quality.metrics(())),
}


@pytest.fixture(scope="module")
def watched(server: Server, local: Agent, hostile: Mapping[str, Holder]) -> Iterator[Watched]:
    """A host with every metric of every row, and the upstreams of the known processes."""
    ports = "|".join(str(port) for each in hostile.values() for port in (each.busy, each.bound))
    upstreams = {"{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": f">(tcp|udp)/127.0.0.1:({ports})$"}
    watched = watch(server, "agent", FAST | ALL_METRICS | upstreams, agent=local.port)
    expected = expected_keys(watched, hostile)
    watched.wait_for_rows(expected)
    yield watched
    server.delete_host(watched.host)


def metrics(watched: Watched, kind: str) -> set[str]:
    """Return what the prototypes of `process`, `listener` or `upstream` measure."""
    prototypes = watched.server.api.itemprototype.get(hostids=watched.host.hostid, output=["key_"])
    key = re.compile(rf'sockets\.{kind}\.(.+)\["\{{#ID\}}"\]')
    return {found[1] for each in prototypes if (found := key.fullmatch(each["key_"]))}


def expected_keys(watched: Watched, rows: Mapping[str, Holder]) -> set[str]:
    """Return the keys of every prototype for every row of these processes."""
    of_process, of_listener = metrics(watched, "process"), metrics(watched, "listener")
    keys = {f'sockets.process.{metric}["{row}"]' for metric in of_process for row in rows}
    for holder in rows.values():
        for port in (holder.busy, holder.idle):
            keys |= {f'sockets.listener.{metric}["tcp/127.0.0.1:{port}"]' for metric in of_listener}
        bound = f'["udp/127.0.0.1:{holder.bound}"]'
        keys |= {f"sockets.listener.{metric}{bound}" for metric in of_listener - LACKED_BY_UDP}
    upstreams = [f"{row}>tcp/127.0.0.1:{holder.busy}" for row, holder in rows.items()]
    upstreams += [f"{row}>udp/127.0.0.1:{holder.bound}" for row, holder in rows.items()]
    of_upstream = metrics(watched, "upstream")
    return keys | {
        f'sockets.upstream.{metric}["{each}"]' for metric in of_upstream for each in upstreams
    }


def test_every_prototype(watched: Watched, hostile: Mapping[str, Holder]) -> None:
    """All of them are discovered, but for the accept queues of UDP; and no other upstream."""
    assert len(metrics(watched, "process")) > 20
    keys = watched.item_keys()
    assert expected_keys(watched, hostile) <= keys
    udp = {key for key in watched.item_keys("listener") if '["udp/' in key}
    assert not {key for metric in LACKED_BY_UDP for key in udp if f".{metric}[" in key}
    assert len(watched.rows("upstream")) == 2 * len(hostile)


def test_every_value(watched: Watched) -> None:
    """What each item has stored by the time of a document is what that document says.

    Rates are the change since the document before; what a document doesn't have, no item has.
    No item and no rule has an error.
    """
    watched.wait_for_truth()
    watched.wait_for_no_faults()


def test_values_of_a_known_process(watched: Watched, hostile: Mapping[str, Holder]) -> None:
    """The figures are those of the sockets that it really holds."""
    row = "zs %22quoted%22"
    port = hostile[row].busy
    values = {f'sockets.process.tcp.{state}["{row}"]': str(TCP[state]) for state in TCP}
    values |= {f'sockets.process.udp.{state}["{row}"]': str(UDP[state]) for state in UDP}
    values |= {
        f'sockets.process.sockets["{row}"]': "10",
        f'sockets.process.instances["{row}"]': "1",
        f'sockets.listener.accept_queue["tcp/127.0.0.1:{port}"]': "1",
        f'sockets.listener.accept_queue_pct["tcp/127.0.0.1:{port}"]': "11.1",
        f'sockets.listener.backlog["tcp/127.0.0.1:{port}"]': "8",
        f'sockets.upstream.established["{row}>tcp/127.0.0.1:{port}"]': "3",
        f'sockets.upstream.close_wait["{row}>tcp/127.0.0.1:{port}"]': "1",
    }
    watched.wait_for_values(values)
