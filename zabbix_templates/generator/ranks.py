"""Ranked texts: the ten rows of a list that matter most, as lines of fixed columns.

No widget of a host's dashboard ranks items, and graphs take the first 50 by name. So preprocessing
of the document ranks: what is in trouble comes first, then what is largest. Names are hostile:
they come last in their line, shortened, and widgets show them as plain text. What is worst of all
rows is an item of its own, for graphs.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import macros as m
from .model import Kind, Macro, Metric, Object

_SCRIPT = (Path(__file__).parent / "ranks.js").read_text("utf-8")
_HISTORY = "1d"
"""Each text is as long as a dozen figures, and of use as long as somebody looks for a cause."""


def _limit(path: str, macro: Macro) -> Object:
    """Return the least value at *path* that is over the limit of an alarm, of no row's context."""
    return {"path": path.split("."), "macro": str(macro.without_context())}


def _column(title: str, path: str, *limits: Object, per: str = "", **shown: bool) -> Object:
    """Return a figure of each line, which is marked where all *limits* are reached.

    The first limit is the figure's own. With *per* it is divided by another one. It is *shown* as a
    `percent`, of microseconds as `milliseconds`, as `bytes` with a prefix, or as it is.
    """
    made: Object = {"title": title, "path": path.split(".")}
    divided: Object = {"per": per.split(".")} if per else {}
    return made | divided | ({"limits": limits} if limits else {}) | shown


def _full(title: str, path: str, macro: Macro, *limits: Object) -> Object:
    return _column(title, path, _limit(path, macro), *limits, percent=True)


def _retransmitting() -> Object:
    return _column(
        "retrans",
        "retransmitting",
        _limit("retransmitting", m.RETRANSMITTING_MIN),
        _limit("retransmitting_pct", m.RETRANSMITTING_PCT),
    )


def _script(
    *columns: Object,
    size: tuple[str, ...],
    names: tuple[str, ...],
    heading: str,
    none: str,
    needs: str = "",
) -> str:
    """Return the JavaScript that makes the text of a list.

    *size* are the fields by whose sum rows are ranked that are not in trouble; *names* are those at
    the end of each line, below *heading*. *none* is said of a complete list without rows. With
    *needs*, a field, there are only rows that have it, and *none* is said without any of them.
    """
    paths = [each.split(".") for each in size]
    rank = {"columns": columns, "size": paths, "names": names, "heading": heading, "none": none}
    if needs:
        rank["needs"] = needs
    return f"var RANK = {json.dumps(rank)};\n{_SCRIPT}"


_RANKED = " Those with a figure over the limit of its alarm (!) come first, then those with most"
_SHOWN = " A list that is not complete says so."
_SINCE = "All is since the counting began."
_MOVED = "totals.bytes_sent", "totals.bytes_received"
_BYTES = (
    _column("sent", "totals.bytes_sent", bytes=True),
    _column("received", "totals.bytes_received", bytes=True),
)

TEXTS = (
    Metric(
        "processes.top",
        "processes",
        "Top 10 processes",
        f"The ten processes that matter most, a line each.{_RANKED} sockets.{_SHOWN}",
        kind=Kind.TEXT,
        script=_script(
            _column("sockets", "sockets"),
            _column("estab", "tcp.established"),
            _column("CLOSE_WAIT", "tcp.close_wait", _limit("tcp.close_wait", m.CLOSE_WAIT_MIN)),
            _column("SYN_SENT", "tcp.syn_sent", _limit("tcp.syn_sent", m.SYN_SENT)),
            _retransmitting(),
            _full("fds %", "fds_max_pct", m.FDS_WARN),
            size=("sockets",),
            names=("name",),
            heading="process",
            none="No process has sockets.",
        ),
        history=_HISTORY,
    ),
    Metric(
        "listeners.top",
        "listeners",
        "Top 10 listeners",
        f"The ten listeners that matter most, a line each.{_RANKED} connections.{_SHOWN}",
        kind=Kind.TEXT,
        script=_script(
            _full(
                "queue %",
                "accept_queue_pct",
                m.ACCEPT_WARN,
                _limit("accept_queue", m.ACCEPT_MIN),
            ),
            _column("waiting", "accept_queue"),
            _column("backlog", "backlog"),
            _column("estab", "established"),
            size=("established",),
            names=("id", "process"),
            heading="listener",
            none="Nothing listens.",
        ),
        history=_HISTORY,
    ),
    Metric(
        "upstreams.top",
        "upstreams",
        "Top 10 upstreams",
        f"The ten upstreams that matter most, discovered or not, a line each.{_RANKED}"
        f" connections.{_SHOWN}",
        kind=Kind.TEXT,
        script=_script(
            _column("estab", "established"),
            _column("SYN_SENT", "syn_sent", _limit("syn_sent", m.SYN_SENT_UPSTREAM)),
            _column("CLOSE_WAIT", "close_wait", _limit("close_wait", m.CLOSE_WAIT_MIN)),
            _retransmitting(),
            _full("ports %", "ephemeral_pct", m.EPHEMERAL_WARN),
            _column("rtt ms", "rtt_us.p50", milliseconds=True),
            size=("established",),
            names=("id",),
            heading="upstream",
            none="No process connects to anything.",
        ),
        history=_HISTORY,
    ),
    Metric(
        "processes.traffic",
        "processes",
        "Top 10 processes by traffic",
        f"The ten processes that sent and received most, a line each. {_SINCE}{_SHOWN}",
        kind=Kind.TEXT,
        script=_script(
            _column("opened", "totals.opened"),
            _column("failed", "totals.failed"),
            _column("accepted", "totals.accepted"),
            _column("resets", "totals.resets"),
            *_BYTES,
            size=_MOVED,
            names=("name",),
            heading="process",
            none="Nothing counts here: zabbix-sockets load.",
            needs="totals",
        ),
        history=_HISTORY,
    ),
    Metric(
        "upstreams.traffic",
        "upstreams",
        "Top 10 upstreams by traffic",
        "The ten upstreams, discovered or not, to which most was sent, and from which most was"
        f" received, a line each. {_SINCE}{_SHOWN}",
        kind=Kind.TEXT,
        script=_script(
            _column("opened", "totals.opened"),
            _column("failed", "totals.failed"),
            _column("shake ms", "totals.handshake_us", per="totals.opened", milliseconds=True),
            *_BYTES,
            size=_MOVED,
            names=("id",),
            heading="upstream",
            none="No process has connected to anything, or nothing counts here.",
            needs="totals",
        ),
        history=_HISTORY,
    ),
)

WORST = (
    Metric(
        "processes.worst.close_wait",
        "processes[*].tcp.close_wait.max()",
        "CLOSE_WAIT, worst process",
        "Most connections that one process should have closed; the ranked text says which.",
    ),
    Metric(
        "processes.worst.fds_pct",
        "processes[*].fds_max_pct.max()",
        "Descriptors used, worst process",
        "Of the process that is nearest to its limit; the ranked text says which.",
    ),
    Metric(
        "listeners.worst.accept_queue_pct",
        "listeners[*].accept_queue_pct.max()",
        "Accept queue used, worst listener",
        "Of the fullest accept queue; the ranked text says which.",
    ),
)
"""The greatest figures of all rows that the document has, whether they are discovered or not."""
