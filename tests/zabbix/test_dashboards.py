"""What people see of a host: each widget of its dashboard, and its latest data."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page

from . import scenery, templates
from .browser import Browser
from .documents import Row
from .pictures import PAGES, dashboard, latest_data, turn
from .servers import Host, Server

pytestmark = pytest.mark.zabbix

HOURS = 1

# Wide enough to be a line of a graph, and wider than the square of its colour in the legend.
LINE = 60

COMPLAINTS = re.compile(
    r"no data|no permissions|cannot|can't|not found|error|unknown|fail", re.IGNORECASE
)

# Each widget of a page as a person sees it: its words; by colour how many columns of pixels of
# its images have it; the lines of graphs that the browser itself draws; the cells of honeycombs.
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
        cells: all('.svg-honeycomb-cell', widget).map(cell => all('.svg-honeycomb-label', cell)
            .map(label => all('div', label).map(line => line.textContent.trim()))),
    }));
}"""

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
    cells: list[list[list[str]]]


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

    def texts(self, page: str) -> list[str]:
        """Return the words of the page's widgets, without line breaks."""
        return [" ".join(each.text.split()) for each in self.pages[page]]

    def rows(self, kind: str) -> list[Row]:
        """Return the rows of a list, but for the one that stands for those that are not there."""
        return [row for row in self.last[kind] if row["id"] != "(absent)"]


@pytest.fixture(scope="module")
def seen(server: Server, browser: Browser) -> Iterator[Seen]:
    """Everything that the dashboard shows of a made-up host, looked at once."""
    templates.import_yaml(server, templates.current("trapper", server.version), delete=True)
    templateid = templates.find(server, "trapper")
    assert templateid
    host = server.create_host("seen", templates=[templateid], macros=scenery.MACROS)
    server.reload()
    told = scenery.tell(server, host, HOURS)
    colors = sorted({line["color"] for graph in graphs(server, host) for line in graph["gitems"]})
    with dashboard(browser, server, host.hostid, HOURS) as page:
        pages = {name: widgets(page, name, colors) for name in PAGES}
    yield Seen(server, host, told, pages)
    server.delete_host(host)


def graphs(server: Server, host: Host) -> list[dict[str, Any]]:
    """Return the host's graphs with their lines."""
    found = server.api.graph.get(
        hostids=host.hostid, output=["name"], selectGraphItems=["color", "itemid"]
    )
    assert isinstance(found, list)
    return found


def widgets(page: Page, name: str, colors: list[str]) -> list[Widget]:
    """Return the widgets of a page of the dashboard."""
    turn(page, name)
    return [Widget(**each) for each in page.evaluate(WIDGETS, colors)]


@pytest.mark.parametrize("page", PAGES)
def test_every_widget_shows_something(seen: Seen, page: str) -> None:
    """Each has words, a picture, lines or cells; none says that something is wrong."""
    for each in seen.pages[page]:
        assert not each.messages, each
        assert not COMPLAINTS.search(each.text), each
        assert each.text.strip() or each.images or each.lines or each.cells, each


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
        shown = [re.sub(r"\s", "", text) for text in seen.texts(page)]
        assert shown[:6] == [re.sub(r"\s", "", text) for text in expected]


def test_top_processes(seen: Seen) -> None:
    """6.0 has the ten with most sockets as a text, 7.0 all of them as cells."""
    rows = seen.rows("processes")
    if seen.server.version == "6.0":
        shown = seen.widget("Overview", "Top 10 processes: sockets, established, CLOSE_WAIT")
        lines = [line.split()[-4:] for line in shown.text.splitlines()[-10:]]
        top = sorted(rows, key=lambda row: (-row["sockets"], row["id"]))[:10]
        assert lines == [
            [*map(str, (row["sockets"], tcp["established"], tcp["close_wait"])), row["name"]]
            for row in top
            for tcp in [row["tcp"]]
        ]
        return
    shown = seen.widget("Overview", "Established connections by process")
    cells = {name: value for ((name,), (value,)) in shown.cells}
    assert cells == {row["name"]: str(row["tcp"]["established"]) for row in rows}
    shown = seen.widget("Overview", "File descriptors used by process")
    cells = {name: value for ((name,), (value,)) in shown.cells}
    assert cells == {row["name"]: f"{row['fds_max_pct'] + 0.001:.0f} %" for row in rows}


def test_leak_is_seen(seen: Seen) -> None:
    """The process that forgets to close has a line of its own, and in 7.0 its problem is listed."""
    if seen.server.version == "6.0":
        shown = seen.widget("Overview", "Process java: TCP connections")
        assert shown.images[0]["F63100"] > LINE
        return
    shown = seen.widget("Overview", "CLOSE_WAIT by process")
    assert len(shown.lines) == len(seen.rows("processes"))
    assert "java" in seen.widget("Overview", "Problems").text
    assert "CLOSE_WAIT" in seen.widget("Overview", "Problems").text


def test_accept_queues(seen: Seen) -> None:
    """All of them are seen at once in 7.0; each listener has a graph in 6.0."""
    rows = [row for row in seen.rows("listeners") if row["protocol"] == "tcp"]
    if seen.server.version == "6.0":
        names = {each.name for each in seen.pages["Listeners"]}
        assert "Listener tcp/0.0.0.0:443 nginx: Accept queue used" in names
        assert "Listener tcp/0.0.0.0:443 nginx: Connections" in names
        return
    shown = seen.widget("Listeners", "Accept queues used")
    assert sorted((*name, *value) for name, value in shown.cells) == sorted(
        (
            f"{row['port']} {row['process']}",
            row["id"].removeprefix("tcp/").rpartition(":")[0],
            f"{row['accept_queue_pct'] + 0.001:.0f} %",
        )
        for row in rows
    )
    assert len(seen.widget("Listeners", "Accept queues used over time").lines) == len(rows)


def test_quality(seen: Seen) -> None:
    """All processes and upstreams have a line in 7.0; each upstream has a graph in 6.0."""
    if seen.server.version == "6.0":
        names = {each.name for each in seen.pages["Quality"]}
        assert {f"Upstream {row['id']}: Round-trip time" for row in seen.rows("upstreams")} <= names
        return
    shown = seen.widget("Quality", "Connections that retransmit, by process")
    assert len(shown.lines) == len(seen.rows("processes"))
    shown = seen.widget("Quality", "Median round-trip time, by upstream")
    assert len(shown.lines) == len(seen.rows("upstreams"))


def test_graphs_of_rows(seen: Seen) -> None:
    """The graphs of discovered rows are there, the first of them by name."""
    known = sorted(graph["name"] for graph in graphs(seen.server, seen.host))
    for page, ending in (("Overview", ": TCP connections"), ("Listeners", ": Accept queue used")):
        of_rows = [each.name for each in seen.pages[page] if each.name.endswith(ending)]
        assert len(of_rows) >= 3
        assert set(of_rows) <= set(known)


def test_latest_data(seen: Seen, browser: Browser) -> None:
    """Processes' items are listed, a page of 50, with the figures of the last document."""
    with latest_data(browser, seen.server, seen.host.hostid, "processes") as page:
        listed = {name: value for _, _, name, _, value, *_ in page.evaluate(LATEST)}
    expected: dict[str, str] = {}
    for row in seen.rows("processes"):
        title = f"Process {row['name']}"
        expected |= {
            f"{title}: Sockets": str(row["sockets"]),
            f"{title}: TCP ESTABLISHED": str(row["tcp"]["established"]),
            f"{title}: TCP CLOSE_WAIT": str(row["tcp"]["close_wait"]),
            f"{title}: TCP SYN_SENT": str(row["tcp"]["syn_sent"]),
            f"{title}: File descriptors used": f"{row['fds_max_pct']:g} %",
            f"{title}: Connections retransmitting": str(row["retransmitting"]),
            f"{title}: Connections retransmitting, share": f"{row['retransmitting_pct']:g} %",
        }
    assert len(listed) == 50
    assert listed.items() <= expected.items()
