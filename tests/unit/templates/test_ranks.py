"""The ranked texts of the dashboards, as their JavaScript makes them of rows of the document.

Node runs what servers run in an older engine; tests/zabbix/test_dashboards.py reads their texts.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from zabbix_sockets.model.names import safe_name

from .exports import Export, export_of
from .expressions import resolved

driver = pytest.importorskip("playwright._impl._driver")  # which brings a node

Row = dict[str, Any]

ABSENT: Row = {"id": "(absent)"}
LINE = 88

HOSTILE = {
    name: safe_name(name.encode())
    for name in (
        *("<script>alert(1)</script>", "<b>&amp;", 'a "b" c', "$(reboot)", "{$SOCKETS.HEARTBEAT}"),
        *(
            "{#ID}",
            "a\nb\tc",
            "(absent)",
            "and 9 more",
            "98!",
            "進程",
            "\N{PILE OF POO}",
            "e\u0301",
        ),
    )
}


@pytest.fixture(scope="module")
def export() -> Export:
    """One of the files, which all have the same scripts."""
    return export_of("sockets_by_zabbix_trapper", "7.0")


def ranked(
    export: Export, text: str, rows: list[Row], macros: Mapping[str, str] | None = None
) -> list[str]:
    """Return the lines of that text of a list, such as processes.top."""
    steps = export.host.keys[f"sockets.{text}"]["preprocessing"]
    (script,) = (each["parameters"][0] for each in steps if each["type"] == "JAVASCRIPT")
    script = resolved(script, export.macros | dict(macros or {}))
    node, _ = driver.compute_driver_executable()
    program = f"(function (value) {{{script}}})(require('fs').readFileSync(0, 'utf8'))"
    made = subprocess.run(
        [node, "-p", program], input=json.dumps(rows).encode(), capture_output=True, check=True
    )
    return made.stdout.decode("utf-8", "strict").removesuffix("\n").split("\n")


def process(name: str, sockets: int = 1, **figures: Any) -> Row:
    """Return a row of processes."""
    tcp = {"established": sockets, "close_wait": 0, "syn_sent": 0} | figures.pop("tcp", {})
    retransmits = {"retransmitting": 0, "retransmitting_pct": 0.0}
    return {"id": name, "name": name, "sockets": sockets, "tcp": tcp, "fds_max_pct": 1.9} | (
        retransmits | figures
    )


def listener(name: str, owner: str = "", established: int = 0, **figures: Any) -> Row:
    """Return a row of listeners."""
    return {"id": name, "process": owner, "established": established} | figures


def last_words(lines: list[str]) -> list[str]:
    """Return who each line is about."""
    return [line.split()[-1] for line in lines[1:]]


def test_trouble_comes_first(export: Export) -> None:
    """Then what is largest; figures over a limit are marked, and what is full comes before all."""
    rows = [
        process("large", 900),
        process("larger", 2000),
        process("leaks", 60, tcp={"close_wait": 50}),
        process("leaks_more", 3, tcp={"close_wait": 500}),
        process("hangs", 2, tcp={"syn_sent": 44}),
        process("full", fds_max_pct=100.0),
        process("fills", fds_max_pct=80.4),
        process("resends", retransmitting=10, retransmitting_pct=20.0),
        process("resends_little", 8, retransmitting=10, retransmitting_pct=19.9),
    ]
    lines = ranked(export, "processes.top", [*rows, ABSENT])
    assert lines == [
        " sockets   estab  CLOSE_WAIT  SYN_SENT  retrans   fds %  process",
        "       1       1           0         0        0     100! full",
        "       3       3         500!        0        0       1  leaks_more",
        "       2       2           0        44!       0       1  hangs",
        "       1       1           0         0        0      80! fills",
        "      60      60          50!        0        0       1  leaks",
        "       1       1           0         0       10!      1  resends",
        "    2000    2000           0         0        0       1  larger",
        "     900     900           0         0        0       1  large",
        "       8       8           0         0       10       1  resends_little",
    ]


def test_ten_rows(export: Export) -> None:
    """Of more it is said how many there are, and how many of those are in trouble."""
    rows = [process(f"p{number:02}", number) for number in range(30)]
    lines = ranked(export, "processes.top", [*rows, ABSENT])
    assert last_words(lines[:-1]) == [f"p{number:02}" for number in range(29, 19, -1)]
    assert lines[-1] == "and 20 more"
    rows += [process(f"leaks{number}", tcp={"close_wait": 50 + number}) for number in range(13)]
    lines = ranked(export, "processes.top", [*rows, ABSENT])
    assert last_words(lines[:-1]) == [f"leaks{number}" for number in range(12, 2, -1)]
    assert lines[-1] == "and 33 more, 3 of them over a limit (!)"


def test_equal_figures(export: Export) -> None:
    """Rows that differ by nothing else come by their ids, whatever order they have."""
    names = ["c", "B", "a", "d", "A"]
    for order in (names, names[::-1]):
        lines = ranked(export, "processes.top", [*map(process, order), ABSENT])
        assert last_words(lines) == ["A", "B", "a", "c", "d"]


@pytest.mark.parametrize(
    ("text", "none"),
    [
        ("processes.top", "No process has sockets."),
        ("listeners.top", "Nothing listens."),
        ("upstreams.top", "No process connects to anything."),
    ],
)
def test_none(export: Export, text: str, none: str) -> None:
    """A complete list without rows says so; of one that is not complete nothing is said."""
    incomplete = "This list is not complete: what it lacks may be worse."
    assert ranked(export, text, [ABSENT]) == [none]
    assert ranked(export, text, []) == [incomplete]


def test_incomplete(export: Export) -> None:
    """A list that is not complete says so behind its rows."""
    lines = ranked(export, "processes.top", [process("x")])
    assert last_words(lines[:2]) == ["x"]
    assert lines[2:] == ["This list is not complete: what it lacks may be worse."]


def test_hostile_names(export: Export) -> None:
    """Each name is in a line of its own, unchanged behind all figures, and in none else."""
    rows = [process(name, 100 - at) for at, name in enumerate(HOSTILE.values())]
    for part in (rows[:7], rows[7:]):
        head, *lines = ranked(export, "processes.top", [*part, ABSENT])
        assert [line[len(head) - len("process") :] for line in lines] == [
            row["name"] for row in part
        ]


def test_long_names(export: Export) -> None:
    """They are cut in the middle, between characters, so that no line wraps on a dashboard."""
    names = [
        *(letter * 64 for letter in ("x", "\N{PILE OF POO}", "進")),
        *(letter + "\N{PILE OF POO}" * 63 for letter in "yz"),
    ]
    lines = ranked(export, "processes.top", [*map(process, names), ABSENT])
    assert {"..." in line for line in lines[1:]} == {True}
    assert max(map(len, lines)) == LINE
    address = "tcp/[2001:db8:1234:5678:9abc:def0:1234:5678%a-long-device]:65535@a-long-namespace"
    rows = [listener(address, "x" * 64), listener("tcp/[2001:db8::1]:443", "nginx")]
    _, long, short = ranked(export, "listeners.top", [*rows, ABSENT])
    assert len(long) == LINE
    assert f" {address[:28]}" in long
    assert long.endswith("..." + "x" * 20)
    assert short.endswith(" tcp/[2001:db8::1]:443 nginx")


def test_columns(export: Export) -> None:
    """Figures end below their titles, however many digits they have up to seven."""
    for figure in (0, 98_765, 1_234_567):
        row = listener("tcp/0.0.0.0:1", "x", figure, accept_queue=figure, backlog=figure)
        head, line = ranked(export, "listeners.top", [row | {"accept_queue_pct": 9.0}, ABSENT])
        ends = [found.end() for found in re.finditer(r"\S+( %)?", head)]
        for end, shown in zip(ends, (9, figure, figure, figure)):
            assert line[:end].split()[-1] == str(shown)
            assert line[end] in " !"


def test_unknown_figures(export: Export) -> None:
    """What a row doesn't have is a dash, which is less than any limit; percentages round down."""
    rows = [
        listener("udp/0.0.0.0:53", "dns", 5),
        listener("tcp/0.0.0.0:80", "web", accept_queue=69, backlog=99, accept_queue_pct=69.9),
        listener("tcp/0.0.0.0:81", "web", accept_queue=9, backlog=9, accept_queue_pct=100.0),
        listener("tcp/0.0.0.0:82", "web", accept_queue=90, backlog=99, accept_queue_pct=90.9),
    ]
    assert ranked(export, "listeners.top", [*rows, ABSENT])[1:] == [
        "      90!      90       99       0  tcp/0.0.0.0:82 web",
        "       -        -        -       5  udp/0.0.0.0:53 dns",
        "      69       69       99       0  tcp/0.0.0.0:80 web",
        "     100        9        9       0  tcp/0.0.0.0:81 web",
    ]
    measured = {"syn_sent": 1, "close_wait": 0, "ephemeral_pct": 85.55, "retransmitting": 0}
    rows = [
        {"id": "a>tcp/192.0.2.1:1", "established": 3, "rtt_us": {"p50": 12_345}} | measured,
        {"id": "b>udp/192.0.2.1:1", "established": 4},
    ]
    assert ranked(export, "upstreams.top", [*rows, ABSENT]) == [
        "  estab  SYN_SENT  CLOSE_WAIT  retrans  ports %  rtt ms  upstream",
        "      3         1           0        0       85!   12.3  a>tcp/192.0.2.1:1",
        "      4         -           -        -        -       -  b>udp/192.0.2.1:1",
    ]


def test_limits_are_macros(export: Export) -> None:
    """A host's own limit decides what is in trouble; what is no number marks nothing."""
    rows = [process("x", 1, tcp={"close_wait": 3}), process("y", 9)]
    for value, first in (("3", "x"), ("4", "y"), ("none", "y"), ("0", "x")):
        lines = ranked(
            export, "processes.top", [*rows, ABSENT], {"{$SOCKETS.CLOSE_WAIT.MIN}": value}
        )
        assert last_words(lines)[0] == first
        assert ("!" in lines[1]) == (first == "x")


def totals(sent: int, received: int, **figures: int) -> dict[str, Any]:
    """Return a row's totals."""
    zeros = dict.fromkeys(("opened", "failed", "accepted", "resets", "handshake_us"), 0)
    return {"totals": {**zeros, "bytes_sent": sent, "bytes_received": received, **figures}}


def test_traffic(export: Export) -> None:
    """Those that moved most come first, whatever they hold; bytes have a prefix."""
    rows = [
        process("idle", 900, **totals(0, 0)),
        process("sends", 1, **totals(5_000_000, 9_949, opened=5, failed=1)),
        process("receives", 1, **totals(999, 7_250_000_000_000, accepted=1_234_567, resets=3)),
        process("old", 1),
    ]
    assert ranked(export, "processes.traffic", [*rows, ABSENT]) == [
        " opened  failed  accepted  resets    sent  received  process",
        "      0       0   1234567       3     999      7.3T  receives",
        "      5       1         0       0    5.0M      9.9k  sends",
        "      0       0         0       0       0         0  idle",
    ]
    rows = [
        {"id": "a>tcp/192.0.2.1:1", **totals(99_960, 9_999, opened=4, handshake_us=10_000)},
        {"id": "b>tcp/192.0.2.1:1", **totals(0, 999_600, failed=4)},
    ]
    assert ranked(export, "upstreams.traffic", [*rows, ABSENT]) == [
        " opened  failed  shake ms    sent  received  upstream",
        "      0       4         -       0      1.0M  b>tcp/192.0.2.1:1",
        "      4       0       2.5    100k       10k  a>tcp/192.0.2.1:1",
    ]


@pytest.mark.parametrize("rows", [[ABSENT], [], [process("web"), ABSENT], [process("web")]])
def test_nothing_counts(export: Export, rows: list[Row]) -> None:
    """Where no row has totals it is said how they come, and nothing is 0."""
    lines = ranked(export, "processes.traffic", rows)
    assert lines == ["Nothing counts here: zabbix-sockets load."]
