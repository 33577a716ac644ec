"""Tables for people."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.document import NO_LIMITS, build_document
from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.model.snapshot import FIRST_OWNER, LISTS, Process
from zabbix_sockets.model.text_width import text_width
from zabbix_sockets.terminal.layout import Column, Style, render_table, style_of
from zabbix_sockets.terminal.tables import in_order, render

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    ANY,
    inbound,
    outbound,
    processes,
    snapshot_of,
    tcp_listener,
    udp_bound,
)

A = FIRST_OWNER
PIPED = Style(colours=False, width=None)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("nginx", 5),
        ("naïve", 5),
        ("日本", 4),
        ("\uff4e", 2),
        ("\uff8a", 1),
        ("e\u0301", 1),
        ("\u0928\u0941", 1),  # Devanagari: a vowel sign takes no cell of its own
        ("\u2764\ufe0f", 1),  # a variation selector neither
        ("\U0001f600", 2),
    ],
)
def test_text_width(text: str, width: int) -> None:
    """Wide characters take two cells of a terminal, marks on another character none."""
    assert text_width(text) == width


COLUMNS = (
    Column[JsonObject]("NAME", lambda row: row["name"], shrinks=True),
    Column[JsonObject]("N", lambda row: row["n"], right=True),
    Column[JsonObject]("PLACE", lambda row: row["place"], shrinks=True),
)
CELLS = st.text("abcé日本\u0301 ", max_size=40)
ROWS = st.lists(
    st.fixed_dictionaries({"name": CELLS, "n": st.integers(0, 99999), "place": CELLS}), max_size=5
)


@given(ROWS, st.integers(12 + 2 + 5 + 2 + 12, 120))
def test_lines_fit_a_terminal(rows: list[JsonObject], width: int) -> None:
    """No line is wider than the terminal as long as columns can give way."""
    lines = render_table(COLUMNS, rows, Style(colours=False, width=width)).splitlines()
    assert len(lines) == 1 + len(rows)
    assert all(text_width(line) <= width for line in lines)


@given(ROWS)
def test_columns_are_aligned(rows: list[JsonObject]) -> None:
    """The right edge of a number is in the same cell on each line."""
    lines = render_table(COLUMNS[:2], rows, PIPED).splitlines()
    assert len({text_width(line) for line in lines}) == 1
    assert len(lines) == 1 + len(rows)
    assert all(line.endswith(str(row["n"])) for line, row in zip(lines[1:], rows))


def test_narrow_terminal() -> None:
    """The widest text is cut, with an ellipsis; where that is not enough the line is."""
    rows: list[JsonObject] = [{"name": "short", "n": 123456, "place": "x" * 50}]
    lines = render_table(COLUMNS, rows, Style(colours=False, width=40)).splitlines()
    assert lines[1] == "short  123456  " + "x" * 24 + "…"
    tiny = render_table(COLUMNS, rows, Style(colours=False, width=5)).splitlines()
    assert tiny[1] == "shor…"


def test_wide_character_at_the_cut() -> None:
    """A character that takes two cells is not cut in half."""
    rows: list[JsonObject] = [{"name": "日" * 20, "n": 1, "place": "here"}]
    lines = render_table(COLUMNS, rows, Style(colours=False, width=12 + 2 + 1 + 2 + 5)).splitlines()
    assert lines[1] == "日" * 5 + "…" + " " + "  1  here"


def test_piped_tables_are_whole() -> None:
    """Without a terminal nothing is cut and nothing is coloured."""
    rows: list[JsonObject] = [{"name": "n" * 300, "n": 1, "place": "listen"}]
    assert render_table(COLUMNS, rows, PIPED).splitlines()[1] == "n" * 300 + "  1  listen"


def test_colours() -> None:
    """Titles are bold, states have colours, and each coloured line ends its own."""
    rows: list[JsonObject] = [
        {"name": "a", "n": 1, "place": "listen"},
        {"name": "b", "n": 2, "place": "close_wait"},
        {"name": "c", "n": 3, "place": "established"},
    ]
    columns = (*COLUMNS[:2], COLUMNS[2].titled("STATE"))
    text = render_table(columns, rows, Style(colours=True, width=80))
    title, listen, close_wait, established = text.splitlines()
    assert title.startswith("\x1b[1m")
    assert listen.startswith("\x1b[32m")
    assert close_wait.startswith("\x1b[33m")
    assert all(line.endswith("\x1b[0m") for line in (title, listen, close_wait))
    assert established == "c     3  established"
    assert "\x1b[32m" not in render_table(COLUMNS, rows, Style(colours=True, width=80))


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_style_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colours: bool
) -> None:
    """A terminal has colours unless NO_COLOR or TERM say no, and the width of COLUMNS."""
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "COLUMNS": "57"}.items():
        monkeypatch.setenv(name, value)
    assert style_of(Terminal()) == Style(colours=colours, width=57)


@pytest.mark.parametrize(
    ("variables", "ellipsis"),
    [
        ({}, "…"),
        ({"LANG": "de_DE.UTF-8"}, "…"),
        ({"LANG": "de_DE.utf8@euro", "LC_ALL": ""}, "…"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "..."),
        ({"LANG": "de_DE.UTF-8", "LC_CTYPE": "de_DE.ISO-8859-1"}, "..."),
        ({"LC_ALL": "C.UTF-8", "LC_CTYPE": "POSIX"}, "…"),
    ],
)
def test_ellipsis_of_the_locale(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], ellipsis: str
) -> None:
    """What is cut has a mark that the locale's encoding has."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert style_of(Terminal()).ellipsis == ellipsis


def test_style_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no terminal has neither colours nor a width."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "57")
    assert style_of(io.StringIO()) == PIPED


def test_document_tables() -> None:
    """Each table shows its rows, the heaviest first, and never the reserved one."""
    snapshot = snapshot_of(
        processes("few", "many"),
        [tcp_listener(A, 80, queue=1, backlog=1), udp_bound(A + 1, 53)],
        {inbound(A, 80): 2, outbound(A + 1, 5432): 30},
    )
    document = build_document(snapshot, NO_LIMITS)
    for kind in LISTS:
        rows = document.rows_of(kind)
        text = render(kind, rows, PIPED)
        assert "(absent)" not in text
        assert len(text.splitlines()) == 1 + len(rows)
    rows = document.processes
    text = render("processes", in_order("processes", rows), PIPED)
    words = [line.split() for line in text.splitlines()]
    assert words[1][:7] == ["many", "1", "31", "0", "30", "0", "30"]
    assert words[2][:7] == ["few", "1", "3", "1", "2", "2", "0"]
    assert words[2][-2:] == ["50.0", "-"]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", ["many", "few", "idle"]),
        ("sockets", ["many", "few", "idle"]),
        ("LISTEN", ["few", "idle", "many"]),
        ("in", ["few", "many", "idle"]),
        ("process", ["few", "idle", "many"]),
        ("rtt-p50", ["many", "few", "idle"]),
    ],
)
def test_order(sort: str, names: list[str]) -> None:
    """The greatest number first, texts by their letters, equal ones as ever."""
    snapshot = snapshot_of(
        processes("few", "many", "idle"),
        [tcp_listener(A, 80), tcp_listener(A, 81), tcp_listener(A + 2, 82)],
        {inbound(A, 80): 2, outbound(A + 1, 5432): 30},
    )
    rows = build_document(snapshot, NO_LIMITS).processes
    assert [row.id for row in in_order("processes", rows, sort)] == names


def test_order_of_listeners() -> None:
    """They go by their ids, as long as nobody asks for something else."""
    listeners = [tcp_listener(A, port, queue=port % 3) for port in (80, 81, 83)]
    rows = build_document(snapshot_of(processes("web"), listeners), NO_LIMITS).listeners
    ids = [[row.id[-2:] for row in in_order("listeners", rows, sort)] for sort in ("", "accept-q")]
    assert ids == [["80", "81", "83"], ["80", "83", "81"]]


def test_column_of_socket_units() -> None:
    """There is one where systemd holds a listener for a unit."""
    members = [Process(1, "systemd", 9.0), *processes("nginx")]
    snapshot = snapshot_of(members, [tcp_listener(A, 22), tcp_listener(A + 1, 80)])
    assert "SOCKET-UNIT" not in render("listeners", build_document(snapshot).listeners, PIPED)
    snapshot.socket_units = {("tcp", ANY, 22, ""): "ssh.socket"}
    text = render("listeners", build_document(snapshot).listeners, PIPED)
    titles, first, second = (line.split() for line in text.splitlines())
    at = titles.index("SOCKET-UNIT")
    assert (first[at], second[at]) == ("ssh.socket", "-")
