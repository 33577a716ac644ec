"""What people see of a host: each widget of its dashboard, and its latest data."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from playwright.sync_api import Page

from zabbix_sockets.document.document import ROWS
from zabbix_templates.generator.traffic import HANDSHAKES

from . import scenery, templates
from .alarms.replay import KEY, settle
from .browser import Browser
from .documents import Row, document, encoded, listener, process, upstream
from .pages import PAGES, dashboard, latest_data, turn
from .servers import Host, Server

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

HOURS = 1

# Wide enough to be a line of a graph, and wider than the square of its colour in the legend.
LINE = 60

HOSTILE = (
    *("<b>bold</b>", "<script>alert(1)", "&lt;", "(%)", "[url]", "zs\N{PILE OF POO}"),
    *("žluťoučký", "進程", "and 50 more", "x" * 15),
)
"""Names of processes as documents may have them, forged ones among them."""

COMPLAINTS = re.compile(
    r"no data|no permissions|cannot|can't|not found|error|unknown|failed to|failure", re.IGNORECASE
)

# Each widget of a page as a person sees it: its words; by colour how many columns of pixels of
# its images have it; the lines of graphs that the browser itself draws.
WIDGETS = """colors => {
    const all = (selector, within) => [...within.querySelectorAll(selector)];
    const columns = image => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        if (!canvas.width || !canvas.height) { return {}; }
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
        const found = Object.fromEntries(colors.map(color => [color, new Set()]));
        const wanted = colors.map(color => [color, parseInt(color, 16)]);
        for (let at = 0; at < data.length; at += 4) {
            for (const [name, color] of wanted) {
                if (Math.abs(data[at] - (color >> 16)) + Math.abs(data[at + 1] - (color >> 8 & 255))
                        + Math.abs(data[at + 2] - (color & 255)) < 60) {
                    found[name].add(at / 4 % canvas.width);
                }
            }
        }
        return Object.fromEntries(colors.map(color => [color, found[color].size]));
    };
    const contents = '.dashboard-grid-widget-content, .dashboard-grid-widget-body';
    return all('.dashboard-grid-widget', document).map(widget => ({
        name: widget.querySelector('h4').textContent,
        text: all(contents, widget)[0].innerText,
        messages: all('.dashboard-grid-widget-messages', widget).map(each => each.innerText).join(),
        images: all('img', widget).map(columns),
        lines: Object.fromEntries(all('.svg-graph-line', widget).map(line => [
            line.getAttribute('data-metric'),
            Math.max(0, ...all('path', line).map(path => path.getBoundingClientRect().width))])),
    }));
}"""

_IN_WORDS = re.compile(r"\s|\.0(?= MB)")
"""What says nothing in a tile: 6.0 leaves out a decimal place that is 0."""

LATEST = """() => [...document.querySelectorAll('table.list-table tbody tr')]
    .map(row => [...row.cells].map(cell => cell.innerText.trim()))
    .filter(cells => cells.length > 5)"""


@dataclass(frozen=True, slots=True)
class Widget:
    """A widget as it is seen."""

    name: str
    text: str
    messages: str
    images: list[dict[str, int]]
    lines: dict[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """A host whose documents are known, and the pages of its dashboard."""

    server: Server
    host: Host
    told: list[Row]
    pages: dict[str, list[Widget]]

    @property
    def last(self) -> Row:
        """The last document."""
        return self.told[-1]

    def widget(self, page: str, name: str) -> Widget:
        """Return the widget of that name, which the page has once."""
        (found,) = (each for each in self.pages[page] if each.name == name)
        return found

    def ranked(self, kind: str) -> tuple[str, str]:
        """Return a list's ranked text as it is stored, and the words of its widget."""
        (words,) = (
            each.text
            for widgets in self.pages.values()
            for each in widgets
            if each.name.startswith(f"{kind.title()}: in trouble")
        )
        return self.server.last_values(self.host.hostid)[f"sockets.{kind}.top"], words

    def texts(self, page: str) -> list[str]:
        """Return the words of the page's widgets, without line breaks."""
        return [" ".join(each.text.split()) for each in self.pages[page]]

    def rows(self, kind: str) -> list[Row]:
        """Return the rows of a list, but for the one that stands for those that are not there."""
        return [row for row in self.last[kind] if row["id"] != "(absent)"]


@pytest.fixture(scope="module")
def seen(server: Server, browser: Browser) -> Iterator[Seen]:
    """Everything that the dashboard shows of a made-up host, looked at once."""
    template = templates.template(server, "trapper")
    host = server.create_host("seen", templates=[template], macros=scenery.MACROS)
    server.reload()
    told = scenery.tell(server, host, HOURS)
    colors = sorted({line["color"] for graph in graphs(server, host) for line in graph["gitems"]})
    with dashboard(browser, server, host.hostid, HOURS) as page:
        pages = {name: widgets(page, name, colors) for name in PAGES}
    yield Seen(server, host, told, pages)
    server.disable_host(host)


@pytest.fixture(scope="module")
def crowd(server: Server, browser: Browser) -> Iterator[Seen]:
    """A host of 60 processes and listeners: the worst are the last by name, and hostile."""
    names = [*(f"-{number:02}" for number in range(50)), *HOSTILE]
    made = document(
        time.time(),
        {
            "processes": [
                process(name, listen=1, close_wait=90 + at if name in HOSTILE else 0)
                for at, name in enumerate(names)
            ],
            "listeners": [
                listener(f"tcp/0.0.0.0:{1000 + at}", name, queue=500 if name in HOSTILE else 0)
                for at, name in enumerate(names)
            ],
            "upstreams": [upstream(name, "tcp/[::1]:1", syn_sent=9) for name in HOSTILE],
        },
        partial=["upstreams"],
    )
    yield from shown(server, browser, "crowd", made, macros=_NO_ROWS)


@pytest.fixture(scope="module")
def nobody(server: Server, browser: Browser) -> Iterator[Seen]:
    """A host without any socket."""
    yield from shown(server, browser, "nobody", document(time.time(), {}))


_NO_ROWS = [
    {"macro": f"{{$SOCKETS.LLD.FILTER.{kind}.MATCHES}}", "value": "^$"}
    for kind in ("PROCESS", "LISTENER", "UPSTREAM")
]
"""Macros that have nothing discovered."""


def shown(
    server: Server,
    browser: Browser,
    name: str,
    made: Row,
    macros: Sequence[Mapping[str, str]] = (),
) -> Iterator[Seen]:
    """Yield the dashboard of a host that has sent one document, and that twice."""
    template = templates.template(server, "trapper")
    host = server.create_host(name, templates=[template], macros=macros)
    server.reload()
    told = [made | {"time": made["time"] - after} for after in (60, 0)]
    rows = [(host.name, KEY, encoded(each), each["time"]) for each in told]
    assert server.send(rows) == (2, 0)
    settle(server)
    with dashboard(browser, server, host.hostid, HOURS) as page:
        pages = {name: widgets(page, name, [], rows=False) for name in PAGES}
    yield Seen(server, host, told, pages)
    server.disable_host(host)


def graphs(server: Server, host: Host) -> list[dict[str, Any]]:
    """Return the host's graphs with their lines."""
    found = server.api.graph.get(
        hostids=host.hostid, output=["name"], selectGraphItems=["color", "itemid"]
    )
    assert isinstance(found, list)
    return found


def widgets(page: Page, name: str, colors: list[str], *, rows: bool = True) -> list[Widget]:
    """Return the widgets of a page of the dashboard, with the graphs of *rows* that it has."""
    turn(page, name, rows=rows)
    return [Widget(**each) for each in page.evaluate(WIDGETS, colors)]


@pytest.mark.parametrize("page", PAGES)
def test_every_widget_shows_something(seen: Seen, page: str) -> None:
    """Each has words, a picture or lines; none says that something is wrong."""
    for each in seen.pages[page]:
        assert not each.messages, each
        assert not COMPLAINTS.search(each.text), each
        assert each.text.strip() or each.images or each.lines, each


@pytest.mark.parametrize("page", PAGES)
def test_graphs_have_lines(seen: Seen, page: str) -> None:
    """The colours of a graph's lines go across its picture, or else the browser draws them."""
    known = {graph["name"]: graph for graph in graphs(seen.server, seen.host)}
    drawn = [each for each in seen.pages[page] if each.images or each.lines]
    assert drawn
    for each in drawn:
        assert all(width > LINE for width in each.lines.values()), each
        for image in each.images:
            # A widget's title may say more than the name of the graph.
            graph = known.get(each.name) or known[each.name.partition(":")[0]]
            if graph["name"].endswith(f": {HANDSHAKES.name}"):
                continue  # the server calculates it, and only from now on
            lines = {line["color"]: image[line["color"]] for line in graph["gitems"]}
            assert max(lines.values()) > LINE, (each.name, lines)


def test_states_are_apart(seen: Seen) -> None:
    """Each graph of TCP states has a line for each of them."""
    names = {"TCP connections": 2, "TCP states": 6}
    known = {graph["name"]: graph for graph in graphs(seen.server, seen.host)}
    for name, count in names.items():
        widget = seen.widget("Overview", name)
        colors = [line["color"] for line in known[name]["gitems"]]
        assert len(colors) == count
        if seen.server.version == "6.0":
            (image,) = widget.images
            assert all(image[color] > LINE for color in colors), image
        else:
            assert len(widget.lines) == count


def test_tiles(seen: Seen) -> None:
    """They show the figures of the last document."""
    tcp = seen.last["host"]["tcp"]
    before, now = (each["host"]["listen_overflows"] for each in seen.told[-2:])
    memory = seen.last["host"]["tcp_memory_bytes"] / 2**20
    overview = [
        f"{tcp['established']} Established",
        f"{tcp['close_wait']} CLOSE_WAIT",
        f"{tcp['syn_sent']} SYN_SENT",
        f"{(now - before) / 60:.2f} Refused per second",
        f"{seen.last['host']['ephemeral']['worst_pct']:.1f} % Ephemeral ports, worst",
        f"{memory:.1f} MB TCP memory",
    ]
    collector = [
        "bpf Source",
        f"{seen.last['collector']['seconds'] * 1000:.1f} ms Time",
        "Yes (1) Complete",
        "No (0) Degraded",
        f"{seen.last['collector']['unowned']} Without owner",
        "0 Processes denied",
    ]
    for page, expected in (("Overview", overview), ("Collector", collector)):
        shown = [_IN_WORDS.sub("", text) for text in seen.texts(page)]
        assert shown[:6] == [_IN_WORDS.sub("", text) for text in expected]


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("processes", "java"),
        ("listeners", "tcp/[::]:8080 java"),
        ("upstreams", "java>tcp/203.0.113.40:443"),
    ],
)
def test_ranked_texts(seen: Seen, kind: str, first: str) -> None:
    """Each list has its ten worst rows in lines as they are stored, java's in front."""
    text, shown = seen.ranked(kind)
    _, *lines = text.split("\n")
    assert len(lines) == min(10, len(seen.rows(kind))) + (len(seen.rows(kind)) > 10)
    assert lines[0].endswith(f" {first}")
    assert text in shown  # with all its spaces


@pytest.mark.short_form
def test_hostile_names(crowd: Seen) -> None:
    """The worst rows are shown whatever they are called, with all of it: nothing becomes HTML."""
    ends = {
        "processes": [*reversed(HOSTILE)],  # the last has most
        "listeners": [f"tcp/0.0.0.0:{1050 + at} {name}" for at, name in enumerate(HOSTILE)],
        "upstreams": [f"{name}>tcp/[::1]:1" for name in sorted(HOSTILE)],
    }
    for kind, expected in ends.items():
        text, shown = crowd.ranked(kind)
        head, *lines = text.split("\n")
        begin = len(head) - len(ROWS[kind].SINGULAR)
        assert [line[begin:] for line in lines[: len(HOSTILE)]] == expected
        assert all("!" in line[:begin] for line in lines[: len(HOSTILE)])
        assert (
            lines[len(HOSTILE)]
            == {
                "processes": "and 50 more",
                "listeners": "and 50 more",
                "upstreams": "This list is not complete: what it lacks may be worse.",
            }[kind]
        )
        assert unescape(text) in unescape(shown)  # 6.0 shows an entity as what it stands for


@pytest.mark.short_form
def test_nobody(nobody: Seen) -> None:
    """A host without sockets says so, with zeros; only its graphs of rows and problems are none."""
    texts = {
        "processes": "No process has sockets.",
        "listeners": "Nothing listens.",
        "upstreams": "No process connects to anything.",
    }
    for kind, text in texts.items():
        stored, shown = nobody.ranked(kind)
        assert stored == text
        assert shown.endswith(text)
    tiles = nobody.texts("Overview")[:6]
    assert {re.sub(r"[^0-9]", "", each).strip("0") for each in tiles} == {""}
    for page, listed in nobody.pages.items():
        for each in listed:
            assert not each.messages, (page, each)
            assert each.name == "Problems" or not COMPLAINTS.search(each.text), (page, each)
            assert each.text.strip() or each.images or each.lines, (page, each)


def test_leak_is_seen(seen: Seen) -> None:
    """The process that forgets to close is marked, and has a line of its own in a graph."""
    (leaked,) = (row["tcp"]["close_wait"] for row in seen.rows("processes") if row["id"] == "java")
    assert f" {leaked}! " in seen.ranked("processes")[1]
    worst = seen.widget("Overview", "Worst process: CLOSE_WAIT, fds (right)")
    if seen.server.version == "6.0":
        assert worst.images[0]["F63100"] > LINE
        shown = seen.widget("Overview", "Process java: TCP connections")
        assert shown.images[0]["F63100"] > LINE
        return
    assert len(worst.lines) == 2
    assert "java" in seen.widget("Overview", "Problems").text
    assert "CLOSE_WAIT" in seen.widget("Overview", "Problems").text


def test_graphs_of_rows(seen: Seen) -> None:
    """The graphs of discovered rows are there, the first of them by name."""
    known = sorted(graph["name"] for graph in graphs(seen.server, seen.host))
    for page, ending, least in (
        ("Overview", ": TCP connections", 3),
        ("Listeners", ": Accept queue used", 3),
        ("Listeners", ": Connections", 3),
        ("Quality", ": Round-trip time", 2),
        ("Quality", ": Connections", 2),
        ("Traffic", ": Bytes", 3),
        ("Traffic", ": Connections accepted", 3),
    ):
        of_rows = [each.name for each in seen.pages[page] if each.name.endswith(ending)]
        assert len(of_rows) >= least
        assert set(of_rows) <= set(known)


@pytest.mark.short_form
def test_latest_data(seen: Seen, browser: Browser) -> None:
    """Processes' items are listed, a page of 50; all but rates with the last document's figures."""
    with latest_data(browser, seen.server, seen.host.hostid, "processes") as page:
        found = {name: value for _, _, name, _, value, *_ in page.evaluate(LATEST)}
    assert len(found) == 50
    listed = {name: found[name] for name in found if not name.endswith(" per second")}
    expected: dict[str, str] = {}
    for row in seen.rows("processes"):
        title = f"Process {row['name']}"
        expected |= {
            f"{title}: Sockets": str(row["sockets"]),
            f"{title}: TCP ESTABLISHED": str(row["tcp"]["established"]),
            f"{title}: TCP CLOSE_WAIT": str(row["tcp"]["close_wait"]),
            f"{title}: TCP SYN_SENT": str(row["tcp"]["syn_sent"]),
            f"{title}: File descriptors used": f"{row['fds_max_pct']:g} %",
            f"{title}: Remote end in trouble": row.get("worst_remote", ""),
            f"{title}: Connections retransmitting": str(row["retransmitting"]),
            f"{title}: Connections retransmitting, share": f"{row['retransmitting_pct']:g} %",
        }
    assert listed.items() <= expected.items()
