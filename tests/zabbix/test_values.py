"""Every figure of a real agent's document, in the item that it belongs to."""

import re
import socket
import tempfile
from collections.abc import Iterator, Mapping

import pytest

from zabbix_templates.generator import clients, quality, traffic

from .agents import Agent
from .processes import TCP, UDP, Holder
from .servers import Server
from .stage import Stage
from .watched import FAST, Watched, watch

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

ALL_METRICS = {
    "{$SOCKETS.LLD.MORE.PROCESS.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.LISTENER.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.UPSTREAM.MATCHES}": ".*",
}

LACKED_BY_UDP = {
    *("accept_queue", "accept_queue_pct", "backlog"),
    *("syn_recv", "close_wait", "fin_wait", "last_ack", "time_wait"),
    *(metric.key for metric in (*quality.metrics(()), *traffic.metrics(), *clients.METRICS)),
}
LACKED_BY_TCP = {"recv_queue"}
LACKED_BY_UNIX = {*LACKED_BY_UDP, *LACKED_BY_TCP, "drops.rate"} - {
    *("accept_queue", "accept_queue_pct", "backlog")
}
LACKED = {"tcp": LACKED_BY_TCP, "udp": LACKED_BY_UDP, "unix": LACKED_BY_UNIX}


@pytest.fixture(scope="module")
def unix_row() -> Iterator[str]:
    """The id of a unix socket that listens, and to which two connect that nobody accepts."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/x"
        listener.bind(path)
        listener.listen(7)
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            one.connect(path)
            other.connect(path)
            yield f"unix/{path}"


@pytest.fixture(scope="module")
def watched(
    server: Server, stage: Stage, local: Agent, hostile: Mapping[str, Holder], unix_row: str
) -> Iterator[Watched]:
    """A host with every metric of every row, and the upstreams of the known processes.

    Totals begin anew: what others on this machine do may have taken all of their room.
    """
    stage.load()
    ports = "|".join(str(port) for each in hostile.values() for port in (each.busy, each.bound))
    upstreams = {"{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": f">(tcp|udp)/127.0.0.1:({ports})$"}
    watched = watch(server, "agent", FAST | ALL_METRICS | upstreams, agent=local.port)
    expected = expected_keys(watched, hostile, unix_row)
    watched.wait_for_rows(expected)
    yield watched
    server.disable_host(watched.host)


def metrics(watched: Watched, kind: str) -> set[str]:
    """Return what the prototypes of `process`, `listener` or `upstream` measure."""
    prototypes = watched.server.api.itemprototype.get(hostids=watched.host.hostid, output=["key_"])
    key = re.compile(rf'sockets\.{kind}\.(.+)\["\{{#ID\}}"\]')
    return {found[1] for each in prototypes if (found := key.fullmatch(each["key_"]))}


def expected_keys(watched: Watched, rows: Mapping[str, Holder], unix_row: str) -> set[str]:
    """Return the keys of every prototype for every row of these processes, and a unix listener."""
    of_process, of_listener = metrics(watched, "process"), metrics(watched, "listener")
    keys = {f'sockets.process.{metric}["{row}"]' for metric in of_process for row in rows}
    for holder in rows.values():
        places = [f"tcp/127.0.0.1:{port}" for port in (holder.busy, holder.idle)]
        for place in (*places, f"udp/127.0.0.1:{holder.bound}", unix_row):
            kept = of_listener - LACKED[place.partition("/")[0]]
            keys |= {f'sockets.listener.{metric}["{place}"]' for metric in kept}
    upstreams = [f"{row}>tcp/127.0.0.1:{holder.busy}" for row, holder in rows.items()]
    upstreams += [f"{row}>udp/127.0.0.1:{holder.bound}" for row, holder in rows.items()]
    of_upstream = metrics(watched, "upstream")
    return keys | {
        f'sockets.upstream.{metric}["{each}"]' for metric in of_upstream for each in upstreams
    }


def test_every_prototype(watched: Watched, hostile: Mapping[str, Holder], unix_row: str) -> None:
    """All of them are discovered, but for those that a protocol lacks; and no other upstream."""
    assert len(metrics(watched, "process")) > 20
    keys = watched.item_keys()
    assert expected_keys(watched, hostile, unix_row) <= keys
    for protocol, lacked in LACKED.items():
        found = {key for key in watched.item_keys("listener") if f'["{protocol}/' in key}
        assert found
        assert not {key for metric in lacked for key in found if f".{metric}[" in key}
    assert len(watched.rows("upstream")) == 2 * len(hostile)


def test_every_value(watched: Watched) -> None:
    """What each item has stored by the time of a document is what that document says.

    Rates are the change since the document before; what a document doesn't have, no item has.
    No item and no rule has an error.
    """
    watched.wait_for_truth()
    watched.wait_for_no_faults()


def test_values_of_a_known_process(
    watched: Watched, hostile: Mapping[str, Holder], unix_row: str
) -> None:
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
        f'sockets.listener.accept_queue["{unix_row}"]': "2",
        f'sockets.listener.accept_queue_pct["{unix_row}"]': "25",
        f'sockets.listener.backlog["{unix_row}"]': "7",
        f'sockets.upstream.established["{row}>tcp/127.0.0.1:{port}"]': "3",
        f'sockets.upstream.close_wait["{row}>tcp/127.0.0.1:{port}"]': "1",
    }
    watched.wait_for_values(values)
