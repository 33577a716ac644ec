"""Documents made by hand, in the shape of docs/document.md: every field, any figure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from zabbix_sockets import __version__
from zabbix_sockets.document.document import ROWS
from zabbix_sockets.document.record import Record, absent_row, fields_of, sum_of
from zabbix_sockets.document.row import accept_queue_pct
from zabbix_sockets.document.totals import ListenerTotals, ProcessTotals, UpstreamTotals
from zabbix_sockets.model.snapshot import LISTS

Row = dict[str, Any]

PORTS = 28_232
"""Of the kernel's own ip_local_port_range."""

_EPHEMERAL = range(32_768, 61_000)

TOTALS = (
    "active_opens",
    "passive_opens",
    "attempt_fails",
    "estab_resets",
    "out_rsts",
    "syn_cookies_sent",
    "udp_in_errors",
    "udp_rcvbuf_errors",
    "udp_no_ports",
)
"""The counters in `host.totals`."""

WITHIN = ("ephemeral", "totals", "unseen")
"""The objects in `host` of which some figures alone may be given."""

_STATES = (
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "close_wait",
    "last_ack",
    "closing",
)


def quality(*, measured: int = 0, retransmitting: int = 0, rtt: float = 0.0) -> Row:
    """Return a row's round-trip times and retransmissions; *rtt* in seconds is the median."""
    row: Row = {"measured": measured, "retransmitting": retransmitting}
    row["retransmitting_pct"] = round(100 * retransmitting / max(1, measured), 1)
    row |= dict.fromkeys(
        ("retransmits", "lost", "receiver_limited_ms", "sender_buffer_limited_ms"), 0
    )
    if measured:
        times = {"p50": rtt, "p95": 1.5 * rtt, "max": 3 * rtt}
        row["rtt_us"] = {name: round(seconds * 1e6) for name, seconds in times.items()}
    return row


def _counted(kind: type[Record], counted: Mapping[str, int] | None) -> Row:
    """Return the totals of a row of TCP: these, and 0."""
    return dict.fromkeys(fields_of(kind), 0) | dict(counted or {})


def process(name: str, *, settled: int = 1, fds: float = 1.0, **counts: Any) -> Row:
    """Return a row of processes[].

    *counts* are TCP states, the directions of those established (outbound, if nothing is said),
    `bound` and `connected` of UDP, `unix_listen` and `unix_connected`, and whatever else a row has;
    *fds* is `fds_max_pct`.
    """
    tcp = dict.fromkeys(("listen", *_STATES, "inbound", "outbound", "unknown"), 0)
    tcp |= {key: counts.pop(key) for key in list(counts) if key in tcp}
    if not any(tcp[way] for way in ("inbound", "outbound", "unknown")):
        tcp["outbound"] = tcp["established"]
    udp = {key: counts.pop(key, 0) for key in ("bound", "connected")}
    unix = {"listen": counts.pop("unix_listen", 0), "connected": counts.pop("unix_connected", 0)}
    sockets = sum(tcp[state] for state in ("listen", *_STATES)) + sum(udp.values())
    return {
        "id": name,
        "name": name,
        "instances": 1,
        "denied_instances": 0,
        "settled": settled,
        "netns": "",
        "sockets": sockets,
        "tcp": tcp,
        "udp": udp,
        "unix": unix,
        "recv_queue_bytes": 0,
        "send_queue_bytes": 0,
        "accept_queue": 0,
        "accept_queue_max_pct": 0.0,
        "drops": 0,
        "fds_max_pct": round(fds, 1),
        **quality(),
        "totals": _counted(ProcessTotals, counts.pop("totals", None)),
        **counts,
    }


def clients(
    *, distinct: int = 0, top: int = 0, pct: float = 0.0, address: str = "198.51.100.7"
) -> Row:
    """Return the clients of a listener: *address* has most connections, *top*, *pct* of all."""
    row: Row = {"distinct": distinct, "distinct_error_pct": 0.0}
    if distinct:
        row["top_address"] = address
    return row | {"top_connections": top, "top_error": 0, "top_pct": round(pct, 1)}


def listener(row_id: str, owner: str = "", *, queue: int = 0, **counts: Any) -> Row:
    """Return a row of listeners[] with the parts that its id says; *queue* connections wait."""
    protocol, _, place = row_id.partition("/")
    if protocol == "unix":
        return _unix_listener(row_id, place, owner, queue, **counts)
    endpoint, _, netns = place.partition("@")
    address, _, number = endpoint.rpartition(":")
    address, _, device = address.strip("[]").partition("%")
    port = int(number)
    row = {
        "id": row_id,
        "protocol": protocol,
        "address": address,
        "port": port,
        "device": device,
        "netns": netns,
        "ephemeral": int(port in _EPHEMERAL),
        "process": owner,
        "sockets": 1,
        "processes": 1,
        "established": 0,
        "drops": 0,
    }
    if protocol == "udp":
        row["recv_queue_bytes"] = 0
    if protocol == "tcp":
        backlog = counts.get("backlog", 511)
        row |= dict.fromkeys(("syn_recv", "close_wait", "fin_wait", "last_ack", "time_wait"), 0)
        row |= {"accept_queue": queue, "backlog": backlog}
        row["accept_queue_pct"] = accept_queue_pct(queue, backlog)
        row |= quality()
        row["totals"] = _counted(ListenerTotals, counts.pop("totals", None))
        row["clients"] = clients(**counts.pop("clients", {}))
    return row | counts


def _unix_listener(row_id: str, place: str, owner: str, queue: int, **counts: Any) -> Row:
    """Return the row of a unix listener; *place* is its name, and no namespace behind that."""
    backlog = counts.get("backlog", 511)
    return {
        "id": row_id,
        "protocol": "unix",
        "address": place,
        "device": "",
        "netns": "",
        "ephemeral": 0,
        "process": owner,
        "sockets": 1,
        "processes": 1,
        "established": queue,
        "accept_queue": queue,
        "backlog": backlog,
        "accept_queue_pct": accept_queue_pct(queue, backlog),
        **counts,
    }


def upstream(owner: str, place: str, *, taken: float = 0.0, **counts: Any) -> Row:
    """Return a row of upstreams[], `tcp/192.0.2.5:5432` of *owner*; *taken* is in percent."""
    protocol, _, endpoint = place.partition("/")
    address, _, port = endpoint.rpartition(":")
    tcp: Row = {}
    if protocol == "tcp":
        totals = _counted(UpstreamTotals, counts.pop("totals", None))
        tcp = {"ephemeral_pct": round(taken, 2), **quality(), "totals": totals}
    return {
        "id": f"{owner}>{place}",
        "process": owner,
        "protocol": protocol,
        "address": address.strip("[]"),
        "port": int(port),
        "netns": "",
        "established": 0,
        "syn_sent": 0,
        "close_wait": 0,
        **tcp,
        **counts,
    }


_FACTS = {field.needs for row in ROWS.values() for field in fields_of(row).values()}
"""Every fact that fields need: see facts_of()."""
ABSENT: Mapping[str, Row] = {name: absent_row(row, _FACTS) for name, row in ROWS.items()}
"""The row of each complete list that stands for all that it has not."""


def _summed(rows: Iterable[Row], part: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for key, value in row[part].items():
            total[key] = total.get(key, 0) + value
    return total


def _host(processes: Collection[Row]) -> Row:
    tcp = _summed(processes, "tcp")
    udp = _summed(processes, "udp")
    return {
        "tcp": {state: tcp.get(state, 0) for state in ("listen", *_STATES)} | {"time_wait": 0},
        "udp": {state: udp.get(state, 0) for state in ("bound", "connected")},
        "orphans": 0,
        "tcp_memory_bytes": 0,
        "tcp_memory_limit_bytes": 2_358_484_992,
        "listen_overflows": 0,
        "listen_drops": 0,
        "retransmitted_segments": 0,
        "ephemeral": {
            "size": PORTS,
            "worst_used": 0,
            "worst_pct": 0.0,
            "worst_endpoint": "",
        },
        "tcp_max_orphans": 65_536,
        "tcp_max_tw_buckets": 131_072,
        "totals": dict.fromkeys(TOTALS, 0),
        "uptime": 0,  # by which no listener is new
        "unseen": {"id": "", "stuck": 0, "close_wait": 0, "syn_sent": 0},
    }


def _collector(processes: Collection[Row]) -> Row:
    return {
        "source": "bpf",
        "reason": "",
        "degraded": 0,
        "grouping": "process",
        "ownership": "descriptors",
        "seconds": 0.05,
        "sockets": sum(row["sockets"] for row in processes),
        "unowned": 0,
        "unaccepted": 0,
        "denied_processes": 0,
        "vanished_processes": 0,
        "namespaces": 1,
        "namespaces_skipped": 0,
        "warnings": [],
        "not_admitted": 0,
    }


def _id_of(row: Row) -> str:
    return str(row["id"])


def document(
    clock: float,
    lists: Mapping[str, Collection[Row]],
    *,
    host: Mapping[str, Any] | None = None,
    collector: Mapping[str, Any] | None = None,
    partial: Collection[str] = (),
    truncated: Mapping[str, int] | None = None,
) -> Row:
    """Return the document of that time with these rows.

    All rows are admitted to discovery, unless they say otherwise. *host* and *collector* replace
    some of their figures. The lists *partial* are not complete, for whatever reason; of those
    *truncated* that many rows were left out.
    """
    left_out = dict.fromkeys(LISTS, 0) | dict(truncated or {})
    whole = {name: name not in partial and not left_out[name] for name in LISTS}
    rows = {
        name: [
            {"admitted": number, **row}
            for number, row in enumerate(sorted(lists.get(name, ()), key=_id_of), 1)
        ]
        for name in LISTS
    }
    # Of an object within the host's some figures may be given, too.
    within = {name: _host(())[name] | dict((host or {}).get(name, {})) for name in WITHIN}
    return {
        "version": __version__,
        "time": int(clock),
        "complete": int(all(whole.values())),
        "lists": {name: int(complete) for name, complete in whole.items()},
        "collector": _collector(rows["processes"])
        | dict(collector or {})
        | {"truncated": left_out},
        "host": _host(rows["processes"]) | dict(host or {}) | within,
        **{name: [*rows[name], *[ABSENT[name]] * whole[name]] for name in LISTS},
        "other": {
            name: {"rows": left_out[name]} | sum_of(row, (), _FACTS) for name, row in ROWS.items()
        },
    }


def encoded(made: Row) -> str:
    """Return the document as the command prints it: one line."""
    return json.dumps(made, separators=(",", ":"))
