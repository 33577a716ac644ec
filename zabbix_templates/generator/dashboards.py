"""Dashboards for a screen of 1920x1080, as each version allows.

About 13 rows are seen at once. What 6.0 has no widget for (honeycombs, all rows in one graph,
problems), it shows as a text and as graphs of one row each, page by page.
"""

from . import macros as m
from .alarms import BLIND_SPOTS, COLLECTOR, CONNECTIONS, STATES, TROUBLE
from .listeners import RULE as LISTENERS
from .model import Line, Macro, Object, Template
from .processes import RULE as PROCESSES
from .upstreams import RULE as UPSTREAMS
from .uuids import uuid_of
from .widgets import (
    BAD,
    GOOD,
    NEITHER_IS_BAD,
    OLD,
    RISES_ARE_BAD,
    WARN,
    Level,
    Page,
    Place,
    Tile,
    integer,
    string,
    thresholds,
)

_NEXT_SCREEN = 14
"""The first row that is only seen by scrolling."""

_TROUBLE = f"{TROUBLE.name}: refused, dropped (left), retransmitted (right)"


def dashboard(template: Template, version: str) -> Object:
    """Return the template's dashboard: overview, listeners, collector, quality."""
    pages = []
    for number, (name, lay_out) in enumerate(
        (
            ("Overview", _overview),
            ("Listeners", _listeners),
            ("Collector", _collector),
            ("Quality", _quality),
        )
    ):
        page = Page(template, version, name, number)
        lay_out(page)
        pages.append(page.made())
    return {
        "uuid": uuid_of(template.way.name, "dashboard", "Sockets"),
        "name": "Sockets",
        "auto_start": "NO",  # whoever reads a page is not taken to the next
        "pages": pages,
    }


def _levels(warn: Macro, high: Macro) -> tuple[Level, Level]:
    """Return the colours at an alarm's thresholds, as they are by default."""
    return Level(warn.value, WARN), Level(high.value, BAD)


def _overview(page: Page) -> None:
    page.tiles(
        Tile("tcp.established", "Established", arrows=NEITHER_IS_BAD),
        Tile("tcp.close_wait", "CLOSE_WAIT", arrows=RISES_ARE_BAD),
        Tile("tcp.syn_sent", "SYN_SENT", arrows=RISES_ARE_BAD),
        Tile(
            "tcp.listen_overflows.rate",
            "Refused per second",
            2,
            levels=(Level(m.DROPS_WARN.value, BAD),),
        ),
        Tile(
            "ephemeral.worst_pct",
            "Ephemeral ports, worst",
            1,
            RISES_ARE_BAD,
            _levels(m.EPHEMERAL_WARN, m.EPHEMERAL_HIGH),
        ),
        Tile("tcp.memory", "TCP memory", 1, RISES_ARE_BAD),
    )
    if page.version == OLD:
        _old_overview(page)
    else:
        _new_overview(page)


def _old_overview(page: Page) -> None:
    page.graph(CONNECTIONS, Place(0, 2, 8, 5))
    page.graph(STATES, Place(8, 2, 8, 5))
    page.text(
        "processes.top",
        "Top 10 processes: sockets, established, CLOSE_WAIT",
        Place(16, 2, 8, 5),
    )
    page.graphs(PROCESSES, PROCESSES.graphs[0], Place(0, 7, 24, 6), 3, 1)


def _new_overview(page: Page) -> None:
    page.graph(CONNECTIONS, Place(0, 2, 7, 5), 2)
    page.graph(STATES, Place(7, 2, 7, 5), 2)
    page.problems(Place(14, 2, 10, 5))
    page.honeycomb(
        "Established connections by process",
        Place(0, 7, 7, 6),
        PROCESSES,
        "tcp.established",
        ["^Process (.*)"],
        integer("interpolation", 1),
        *thresholds((Level("0", "E8F1F5"), Level("1000", "6AC8FF"))),
    )
    page.honeycomb(
        "File descriptors used by process",
        Place(7, 7, 7, 6),
        PROCESSES,
        "fds_max_pct",
        ["^Process (.*)"],
        *thresholds((Level("0", GOOD), *_levels(m.FDS_WARN, m.FDS_HIGH))),
    )
    page.lines(
        "CLOSE_WAIT by process", Place(14, 7, 10, 6), PROCESSES, Line("tcp.close_wait", "C00000")
    )
    page.graphs(PROCESSES, PROCESSES.graphs[0], Place(0, _NEXT_SCREEN, 24, 5), 3, 1)


def _listeners(page: Page) -> None:
    queue, connections = LISTENERS.graphs
    without_legend = integer("show_legend", 0)
    if page.version == OLD:
        page.graph(TROUBLE, Place(0, 0, 24, 5), name=_TROUBLE)
        page.graphs(LISTENERS, queue, Place(0, 5, 12, 8), 2, 2, without_legend)
        page.graphs(LISTENERS, connections, Place(12, 5, 12, 8), 2, 2, without_legend)
        return
    page.honeycomb(
        "Accept queues used",
        Place(0, 0, 8, 6),
        LISTENERS,
        "accept_queue_pct",
        ["^Listener [^ ]*:([0-9]+.*)", "^Listener [a-z]+.([^ ]*):[0-9]+.*"],
        *thresholds((Level("0", GOOD), *_levels(m.ACCEPT_WARN, m.ACCEPT_HIGH))),
    )
    page.lines(
        "Accept queues used over time",
        Place(8, 0, 16, 6),
        LISTENERS,
        Line("accept_queue_pct", "C00000", peaks=True),
        string("lefty_max", "100"),
    )
    page.graph(TROUBLE, Place(0, 6, 8, 7), name=_TROUBLE)
    page.lines(
        "Connections by listener", Place(8, 6, 16, 7), LISTENERS, Line("established", "1A7C11")
    )
    page.graphs(LISTENERS, queue, Place(0, _NEXT_SCREEN, 24, 5), 4, 1, without_legend)


def _collector(page: Page) -> None:
    page.tiles(
        Tile("collector.source", "Source"),
        Tile("collector.seconds", "Time", 1, levels=(Level(m.SECONDS_WARN.value, WARN),)),
        Tile("complete", "Complete", levels=(Level("0", WARN), Level("1", GOOD))),
        Tile("collector.degraded", "Degraded", levels=(Level("0", GOOD), Level("1", WARN))),
        Tile("collector.unowned", "Without owner"),
        Tile("collector.denied", "Processes denied", levels=(Level("1", WARN),)),
    )
    page.graph(COLLECTOR, Place(0, 2, 12, 7))
    page.graph(BLIND_SPOTS, Place(12, 2, 12, 7))
    page.text("collector.warnings", "Warnings (empty: none)", Place(0, 9, 12, 3))
    page.text(
        "collector.reason", "Why no better source (empty: it is the best)", Place(12, 9, 12, 3)
    )


def _quality(page: Page) -> None:
    page.graph(TROUBLE, Place(0, 0, 24, 5), name=_TROUBLE)
    connections, round_trips = UPSTREAMS.graphs
    if page.version == OLD:
        page.graphs(UPSTREAMS, round_trips, Place(0, 5, 12, 8), 2, 2)
        page.graphs(UPSTREAMS, connections, Place(12, 5, 12, 8), 2, 2)
        return
    page.lines(
        "Connections that retransmit, by process",
        Place(0, 5, 12, 8),
        PROCESSES,
        Line("retransmitting", "C00000", peaks=True),
    )
    page.lines(
        "Median round-trip time, by upstream",
        Place(12, 5, 12, 8),
        UPSTREAMS,
        Line("rtt.p50", "2774A4"),
    )
    page.graphs(UPSTREAMS, round_trips, Place(0, _NEXT_SCREEN, 24, 5), 4, 1)
