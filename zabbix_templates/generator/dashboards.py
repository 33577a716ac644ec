"""Dashboards for a screen of 1920x1080, as each version allows.

About 13 rows are seen at once. No widget ranks items, and graphs and honeycombs of all rows take
the first by name: ranked texts have the worst rows, and graphs the worst figure of all. 6.0 has no
widget for problems.
"""

from . import macros as m
from .host_graphs import (
    BLIND_SPOTS,
    BREAKS,
    COLLECTOR,
    CONNECTIONS,
    MEMORY,
    OPENS,
    PORTS,
    STATES,
    TROUBLE,
    WORST_LISTENER,
    WORST_PROCESS,
)
from .listeners import RULE as LISTENERS
from .model import Macro, Object, Template
from .processes import RULE as PROCESSES
from .traffic import ACCEPTED, ATTEMPTS, BYTES, HANDSHAKES, OPENED
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
)

_NEXT_SCREEN = 14
"""The first row that is only seen by scrolling."""

_TROUBLE = f"{TROUBLE.name}: refused, dropped, retransmitted (right)"
_WORST_PROCESS = f"{WORST_PROCESS.name}: CLOSE_WAIT, fds (right)"
_WORST_LISTENER = f"{WORST_LISTENER.name}: used, refused/s (right)"
_PORTS = f"{PORTS.name}: share taken to one destination"
_MEMORY = f"{MEMORY.name}: buffers, orphans (right)"
_MOST_TRAFFIC = "most bytes since the counting began"
_RANKED = "in trouble (!) first, then most"


def dashboard(template: Template, version: str) -> Object:
    """Return the template's dashboard: overview, listeners, collector, quality, traffic."""
    pages = []
    for number, (name, lay_out) in enumerate(
        (
            ("Overview", _overview),
            ("Listeners", _listeners),
            ("Collector", _collector),
            ("Quality", _quality),
            ("Traffic", _traffic),
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
    page.text("processes.top", f"Processes: {_RANKED} sockets", Place(0, 2, 14, 5))
    if page.version == OLD:
        page.graph(WORST_PROCESS, Place(14, 2, 10, 5), name=_WORST_PROCESS)
        page.graph(CONNECTIONS, Place(0, 7, 12, 6))
        page.graph(STATES, Place(12, 7, 12, 6))
    else:
        page.problems(Place(14, 2, 10, 5))
        page.graph(WORST_PROCESS, Place(0, 7, 8, 6), name=_WORST_PROCESS)
        page.graph(CONNECTIONS, Place(8, 7, 8, 6), 2)
        page.graph(STATES, Place(16, 7, 8, 6), 2)
    page.graphs(PROCESSES, PROCESSES.graphs[0], Place(0, _NEXT_SCREEN, 24, 5), 3, 1)


def _listeners(page: Page) -> None:
    queue, connections, *_ = LISTENERS.graphs
    without_legend = integer("show_legend", 0)
    page.text("listeners.top", f"Listeners: {_RANKED} connections", Place(0, 0, 14, 5))
    page.graph(WORST_LISTENER, Place(14, 0, 10, 5), name=_WORST_LISTENER)
    page.graphs(LISTENERS, queue, Place(0, 5, 24, 4), 3, 1, without_legend)
    page.graphs(LISTENERS, connections, Place(0, 9, 24, 4), 3, 1, without_legend)


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
    connections, round_trips, *_ = UPSTREAMS.graphs
    page.text("upstreams.top", f"Upstreams: {_RANKED} connections", Place(0, 0, 14, 5))
    page.graph(TROUBLE, Place(14, 0, 10, 5), name=_TROUBLE)
    page.graph(PORTS, Place(0, 5, 12, 8), name=_PORTS)
    page.graph(MEMORY, Place(12, 5, 12, 8), name=_MEMORY)
    # Hosts have none until they are asked for.
    page.graphs(UPSTREAMS, round_trips, Place(0, _NEXT_SCREEN, 24, 4), 3, 1)
    page.graphs(UPSTREAMS, connections, Place(0, _NEXT_SCREEN + 4, 24, 4), 3, 1)


def _traffic(page: Page) -> None:
    page.tiles(
        Tile("tcp.active_opens.rate", "Attempts per second", 1, NEITHER_IS_BAD),
        Tile("tcp.passive_opens.rate", "Accepted per second", 1, NEITHER_IS_BAD),
        Tile("tcp.attempt_fails.rate", "Attempts failed per second", 1, RISES_ARE_BAD),
        Tile("tcp.estab_resets.rate", "Reset per second", 1, RISES_ARE_BAD),
        Tile("tcp.retransmitted.rate", "Retransmitted per second", 1, RISES_ARE_BAD),
        Tile("tcp.established", "Established", arrows=NEITHER_IS_BAD),
    )
    page.text("processes.traffic", f"Processes: {_MOST_TRAFFIC}", Place(0, 2, 14, 5))
    page.graph(OPENS, Place(14, 2, 10, 5))
    page.text("upstreams.traffic", f"Upstreams: {_MOST_TRAFFIC}", Place(0, 7, 14, 5))
    page.graph(BREAKS, Place(14, 7, 10, 5))
    page.graphs(PROCESSES, OPENED, Place(0, _NEXT_SCREEN, 24, 5), 3, 1)
    page.graphs(PROCESSES, BYTES, Place(0, _NEXT_SCREEN + 5, 24, 5), 3, 1)
    page.graphs(LISTENERS, ACCEPTED, Place(0, _NEXT_SCREEN + 10, 24, 4), 3, 1)
    # Hosts have none until they are asked for.
    page.graphs(UPSTREAMS, ATTEMPTS, Place(0, _NEXT_SCREEN + 14, 24, 4), 3, 1)
    page.graphs(UPSTREAMS, HANDSHAKES, Place(0, _NEXT_SCREEN + 18, 24, 4), 3, 1)
