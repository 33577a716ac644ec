"""What --filter, and the filter of the configuration file, do to a verb's answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.filters import parser
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process, Query, Snapshot
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.model.wire import TcpState

from ..answers import answer_with, run  # noqa: TID252  # a test folder is no package
from ..commands import run as run_command  # noqa: TID252  # a test folder is no package
from ..commands import run_by_hand  # noqa: TID252  # a test folder is no package
from ..snapshots import snapshot_of, tcp_listener  # noqa: TID252  # a test folder is no package

A = FIRST_OWNER
EXPRESSION = "sport = :80"

pytestmark = pytest.mark.usefixtures("config")


@pytest.fixture
def snapshot() -> Snapshot:
    """A Snapshot of a process with a listener."""
    return snapshot_of([Process(1, "nginx", 9.0, unit="www.service")], [tcp_listener(A, 80)])


VERBS = [("get",), ("discover", "listeners"), ("count", "nginx"), ("show", "processes")]


@pytest.mark.parametrize("verb", VERBS)
def test_filter_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, verb: tuple[str, ...]
) -> None:
    """The expression is a part of the query."""
    queries = answer_with(monkeypatch, snapshot)
    run(*verb, "--filter", EXPRESSION)
    assert [query.filter for query in queries] == [EXPRESSION]


@pytest.mark.parametrize("verb", [*VERBS, ("show", "sockets"), ("send",)])
def test_wrong_expression(verb: tuple[str, ...]) -> None:
    """It is told before anything is read, also by a service at its start."""
    with pytest.raises(UsageError) as raised:
        run(*verb, "--filter", "sport = x y")
    assert raised.value.hint.endswith("^")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("grouping", ["process", "unit"])
def test_filter_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
    snapshot: Snapshot,
    config: Path,
    verb: tuple[str, ...],
    grouping: str,
) -> None:
    """It is for the agent's verbs and send, whatever the grouping; arguments go before it."""
    config.write_text(f"filter = '{EXPRESSION}'\n", "utf-8")
    queries = answer_with(monkeypatch, snapshot)
    run(*verb, "--group-by", grouping)
    run(*verb, "--group-by", grouping, "--filter", "dport 1")
    run(*verb, "--group-by", grouping, "--filter", "")
    expected = "" if verb[0] == "show" else EXPRESSION
    assert [query.filter for query in queries] == [expected, "dport 1", ""]


def test_wrong_filter_of_the_file(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, config: Path
) -> None:
    """The message has the file's line, the hint the place in the expression."""
    config.write_text('[[group]]\nname = "x"\nprocess = "y"\n', "utf-8")
    text = config.read_text("utf-8")
    answer_with(monkeypatch, snapshot)
    config.write_text(f'\nfilter = "sport = x"\n{text}', "utf-8")
    with pytest.raises(SocketsError, match=r"line 2: filter, at character 9, ") as raised:
        run("get")
    assert raised.value.hint == "  sport = x\n          ^"
    config.write_text("filter = 1", "utf-8")
    with pytest.raises(SocketsError, match=r'line 1: "filter" must be a string'):
        run("get")


def socket_in(state: int, protocol: str = "tcp") -> Socket:
    """Return a socket in a state."""
    return Socket(
        protocol, 2, "", state, None, bytes(4), state, bytes(4), 0, "", (), 0, 1, 0, 0, None, None
    )


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        (("--filter", "sport > 0"), {1, 10}),
        (("--filter", "not state listen"), {1, 6, 10}),
        (("--filter", "state all"), {1, 6, 10}),
        (("--filter", "state all", "--state", "time_wait"), {6}),
    ],
)
def test_states_of_show_sockets(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    states: set[int],
) -> None:
    """An expression that names states chooses them all; --state chooses among what fits."""
    queries: list[Query] = []
    found = [socket_in(state) for state in (TcpState.LISTEN, TcpState.ESTABLISHED, 6)]

    def iter_sockets(query: Query, _tell: object) -> list[Socket]:
        queries.append(query)
        return found

    monkeypatch.setattr("zabbix_sockets.command.show.iter_sockets", iter_sockets)
    run("show", "sockets", "--json", *arguments)
    rows: Any = json.loads(capsys.readouterr().out)
    assert {row["local_port"] for row in rows} == states
    assert [query.netns for query in queries] == ["own"]


@pytest.mark.parametrize("table", ["sockets", "clients"])
def test_netns_of_single_sockets(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """An expression about network namespaces is about all of them, unless one is asked for."""
    queries: list[Query] = []
    module = "show" if table == "sockets" else table

    def iter_sockets(query: Query, _tell: object) -> list[Socket]:
        queries.append(query)
        return []

    monkeypatch.setattr(f"zabbix_sockets.command.{module}.iter_sockets", iter_sockets)
    run("show", table, "--filter", "netns shop")
    run("show", table, "--filter", "netns shop", "--netns", "own")
    run("show", table, "--filter", "sport = :80")
    assert [query.netns for query in queries] == ["all", "own", "own"]


def test_messages() -> None:
    """People see the place, an agent one line of JSON."""
    shown = run_command("show", "sockets", "--filter", "sport = x")
    assert shown.returncode == 2
    assert shown.stderr.decode().endswith("\n  sport = x\n          ^\n")
    told = run_command("get", "--filter", "sport = \nx")
    assert told.returncode == 2
    assert json.loads(told.stdout)["error"].startswith("filter, at character 10, ")
    assert not told.stderr
    assert run_by_hand("get", "--filter", "sport = \nx") == (
        told.stdout,
        "  sport = ?x\n           ^\n",
    )
    not_utf8 = run_command("get", "--filter", b"process \xff")
    assert "not UTF-8" in json.loads(not_utf8.stdout)["error"]


@pytest.mark.parametrize("by_file", [True, False])
@pytest.mark.parametrize("verb", [("get",), ("show", "sockets")])
def test_expression_is_parsed_once(
    monkeypatch: pytest.MonkeyPatch, config: Path, verb: tuple[str, ...], by_file: bool
) -> None:
    """Wherever it comes from, and however many look at it."""
    parsed: list[str] = []

    class Parser(parser._Parser):  # what parse() makes of a text
        def __init__(self, text: str) -> None:
            parsed.append(text)
            super().__init__(text)

    monkeypatch.setattr(parser, "_Parser", Parser)
    config.write_text(f"filter = '{EXPRESSION}'\n" if by_file else "", "utf-8")
    given = () if by_file else ("--filter", EXPRESSION)
    run(*verb, "--source", "procfs", "--netns", "own", "--timeout", "60", *given)
    assert parsed == ([] if by_file and verb[0] == "show" else [EXPRESSION])
