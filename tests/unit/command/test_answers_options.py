"""What --netns, --group-by and --config do to a verb's answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process, Query, Snapshot
from zabbix_sockets.model.socket import Socket

from ..answers import answer_with, run  # noqa: TID252  # a test folder is no package
from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    UNNAMED,
    processes,
    snapshot_of,
    tcp_listener,
)

RULES = "[[group]]\nname = 'web'\nprocess = '^nginx$'\ncommand = 'daemon'\n"
A = FIRST_OWNER

pytestmark = pytest.mark.usefixtures("config")


@pytest.fixture
def snapshot() -> Snapshot:
    """A Snapshot of a process of which every field is known, in two namespaces."""
    process = Process(
        1, "nginx", 9.0, unit="www.service", container="shop/www", user="www", command="daemon"
    )
    listeners = [tcp_listener(A, 80), tcp_listener(A, 80)._replace(netns=UNNAMED)]
    made = snapshot_of([process], listeners)
    made.namespaces = dict(NAMESPACES)
    return made


def groups_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the groups in the document that was printed."""
    document: Any = json.loads(capsys.readouterr().out)
    return [row["id"] for row in document["processes"] if row["id"] != "(absent)"]


GROUPS = [
    ("process", "nginx"),
    ("unit", "www.service"),
    ("container", "shop/www"),
    ("user", "www"),
]


@pytest.mark.parametrize(("grouping", "name"), GROUPS)
@pytest.mark.parametrize("positional", [True, False])
def test_grouping_of_get(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Snapshot,
    positional: bool,
    grouping: str,
    name: str,
) -> None:
    """The grouping may be an argument, as an item key has it, or an option."""
    queries = answer_with(monkeypatch, snapshot)
    run("get", *([grouping] if positional else ["--group-by", grouping]))
    assert groups_of(capsys) == [name]
    (query,) = queries
    assert query.needs == (set() if grouping == "process" else {grouping})


def test_argument_outweighs_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Snapshot
) -> None:
    """An empty parameter of an item key is none; another one counts."""
    answer_with(monkeypatch, snapshot)
    run("get", "unit", "--group-by", "user")
    assert groups_of(capsys) == ["www.service"]
    run("get", "", "--group-by", "user")
    assert groups_of(capsys) == ["www"]


@pytest.mark.parametrize(
    ("by_file", "options", "wanted"),
    [
        (False, [], False),
        (False, ["--clients"], True),
        (True, [], True),
        (True, ["--group-by", "unit"], True),
        (True, ["--group-by", "unit", "--filter", "sport 1"], True),
        (True, ["--no-clients"], False),
    ],
)
def test_clients(
    monkeypatch: pytest.MonkeyPatch,
    snapshot: Snapshot,
    tmp_path: Path,
    by_file: bool,
    options: list[str],
    wanted: bool,
) -> None:
    """They are counted if an option or the file says so, for documents alone."""
    queries = answer_with(monkeypatch, snapshot)
    path = tmp_path / "file.toml"
    path.write_text("clients = true\n" if by_file else "")
    file = "--config", str(path)
    run("get", *options, *file)
    assert queries[-1].clients == wanted
    for verb in (["discover", "listeners"], ["count", "nginx"], ["show", "listeners"]):
        run(*verb, *file)
        assert not queries[-1].clients


def test_unknown_grouping(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> None:
    """A grouping that does not exist is wrong usage, before anything is read."""
    queries = answer_with(monkeypatch, snapshot)
    with pytest.raises(UsageError, match="no grouping 'pod': it is one of process, unit"):
        run("get", "pod")
    assert queries == []


@pytest.mark.parametrize(("grouping", "name"), GROUPS)
def test_grouping_of_other_verbs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Snapshot,
    grouping: str,
    name: str,
) -> None:
    """Every verb that names processes names groups; a table's title says which."""
    answer_with(monkeypatch, snapshot)
    run("count", name, "tcp", "--group-by", grouping)
    assert capsys.readouterr().out == "2\n"
    run("discover", "processes", "--group-by", grouping)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["{#ID}"], row["{#PROCESS}"]) == (name, name)
    run("show", "processes", "--group-by", grouping)
    title, line = capsys.readouterr().out.splitlines()
    assert (title.split()[0], line.split()[0]) == (grouping.upper(), name)


@pytest.mark.parametrize(
    ("given", "default"),
    [
        (["--netns", "web"], "web"),
        (["--netns", "own"], "own"),
        (["--netns", "all"], "all"),
        ([], ""),
    ],
)
def test_namespaces(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Snapshot,
    given: list[str],
    default: str,
) -> None:
    """All namespaces are asked for, but the own one alone for the list of all sockets."""
    queries = answer_with(monkeypatch, snapshot)
    for arguments in (["get"], ["discover", "listeners"], ["count", "a"], ["show", "listeners"]):
        run(*arguments, *given)
    assert [query.netns for query in queries] == [default or "all"] * 4
    queries.clear()

    def iter_sockets(query: Query, _tell: object) -> Iterator[Socket]:
        queries.append(query)
        return iter(())

    monkeypatch.setattr("zabbix_sockets.command.show.iter_sockets", iter_sockets)
    run("show", "sockets", *given)
    assert [query.netns for query in queries] == [default or "own"]
    assert capsys.readouterr().out


def test_people_read_more_of_namespaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Snapshot
) -> None:
    """A document's ids last; a table tells namespaces apart."""
    answer_with(monkeypatch, snapshot)
    run("discover", "listeners")
    assert "tcp/0.0.0.0:80@(unnamed)" in capsys.readouterr().out
    run("show", "listeners")
    assert "tcp/0.0.0.0:80@net:[4026532202]" in capsys.readouterr().out


@pytest.mark.parametrize("by_option", [True, False])
def test_rules(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Snapshot,
    config: Path,
    tmp_path: Path,
    by_option: bool,
) -> None:
    """Rules name processes: of the file that is always read if it is there, or another one."""
    queries = answer_with(monkeypatch, snapshot)
    path = tmp_path / "other.toml" if by_option else config
    path.write_text(RULES)
    given = ("--config", str(path)) if by_option else ()
    run("get", *given)
    assert groups_of(capsys) == ["web"]
    assert queries[-1].needs == {"command", "uid"}
    run("count", "web", *given)
    assert capsys.readouterr().out == "2\n"
    run("get", "unit", *given)
    assert groups_of(capsys) == ["www.service"]


def test_option_outweighs_the_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Snapshot,
    config: Path,
    tmp_path: Path,
) -> None:
    """A file without rules names nothing anew, whatever the other one says."""
    queries = answer_with(monkeypatch, snapshot)
    config.write_text(RULES)
    empty = tmp_path / "empty.toml"
    empty.touch()
    run("get", "--config", str(empty))
    assert groups_of(capsys) == ["nginx"]
    assert queries[-1].needs == set()


def test_wrong_file(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, config: Path, tmp_path: Path
) -> None:
    """A file that is asked for must be there, and one that is there must be right."""
    queries = answer_with(monkeypatch, snapshot)
    with pytest.raises(SocketsError, match=r"gone\.toml: No such file"):
        run("get", "--config", str(tmp_path / "gone.toml"))
    config.write_text("[[group]]\nnme = 'x'\n")
    with pytest.raises(SocketsError, match=r"zabbix-sockets\.toml line 2: unknown key"):
        run("get")
    assert queries == []


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("get", True),
        ("get --no-tcp-info", False),
        ("discover upstreams", False),
        ("count nginx", False),
        ("show listeners", True),
        ("show listeners --no-tcp-info", False),
    ],
)
def test_who_asks_for_tcp_info(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, arguments: str, asked: bool
) -> None:
    """Verbs that print round-trip times and retransmissions ask for them, unless told not to."""
    queries = answer_with(monkeypatch, snapshot)
    run(*arguments.split())
    (query,) = queries
    assert (query.tcp_info, query.active_within) == (asked, 60)


@pytest.mark.parametrize("asked", [True, False])
def test_sockets_with_tcp_info(monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    """Single sockets have it only if it is asked for."""
    queries: list[Query] = []

    def remember(query: Query, _tell: object) -> list[Socket]:
        queries.append(query)
        return []

    monkeypatch.setattr("zabbix_sockets.command.show.iter_sockets", remember)
    run("show", "sockets", *(["--tcp-info"] if asked else []))
    assert [query.tcp_info for query in queries] == [asked]


def test_active_within(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> None:
    """It takes what a BPF record can tell apart."""
    queries = answer_with(monkeypatch, snapshot)
    run("get", "--active-within", "300")
    assert queries[0].active_within == 300
    with pytest.raises(UsageError, match=r"invalid choice: '?61"):
        run("get", "--active-within", "61")


def test_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A key of each process can be copied into an item; the one with most sockets is first."""
    names = ("a few", "(x)")
    listeners = [tcp_listener(A, 80), tcp_listener(A + 1, 81), tcp_listener(A + 1, 82)]
    shown = snapshot_of(processes(*map(safe_name, map(str.encode, names))), listeners)
    answer_with(monkeypatch, shown)
    run("show", "processes", "--keys")
    assert capsys.readouterr().out == "sockets.count[%28x%29]\nsockets.count[a%20few]\n"


@pytest.mark.parametrize("arguments", [["listeners"], ["processes", "--group-by", "unit"]])
def test_keys_of_processes_only(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, arguments: list[str]
) -> None:
    """The item key counts for processes by name: there is none for others."""
    answer_with(monkeypatch, snapshot)
    with pytest.raises(UsageError, match="--keys is for show processes"):
        run("show", *arguments, "--keys")
