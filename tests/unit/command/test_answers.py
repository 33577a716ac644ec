"""What keeps a call from running on or giving half an answer."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.command import call
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.model.gaps import DENIED, Gap
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.model.socket import Owner, Socket
from zabbix_sockets.model.wire import Table

from ..answers import answer_with, run  # noqa: TID252  # a test folder is no package
from ..snapshots import (  # noqa: TID252  # a test folder is no package
    processes,
    snapshot_of,
    tcp_listener,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Don't wait for other calls of this user, nor read this host's configuration file."""
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(call, "CONFIG", "/nowhere/zabbix-sockets.toml")


def test_query(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The source and what is left of the timeout are passed on."""
    queries = answer_with(monkeypatch, snapshot_of())
    run(*["get", "--source", "procfs", "--timeout", "50"])
    (query,) = queries
    assert query.source == "procfs"
    assert 0 < query.timeout <= 50
    assert (query.netns, query.needs) == ("all", frozenset())
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["count", "nginx"], "1\n"),
        (["count", "nginx", "tcp", "listen"], "1\n"),
        (["count", "absent", "udp", "bound"], "0\n"),
        (
            ["discover", "processes"],
            '[{"{#ID}":"nginx","{#PROCESS}":"nginx","{#SETTLED}":1,"{#NETNS}":"","{#ADMITTED}":1}]\n',
        ),
        (["discover", "upstreams"], "[]\n"),
    ],
)
def test_answers(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    answer: str,
) -> None:
    """Each verb prints one line, its answer."""
    answer_with(monkeypatch, snapshot_of(processes("nginx"), [tcp_listener(2, 80)]))
    run(*arguments)
    assert capsys.readouterr() == (answer, "")


def test_notes_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be seen is told on stderr, beside the table."""
    snapshot = snapshot_of(processes("nginx"), [tcp_listener(2, 80)])
    snapshot.visibility.add_gap(DENIED, "sshd", 2)
    answer_with(monkeypatch, snapshot)
    run(*["show", "processes"])
    shown = capsys.readouterr()
    assert shown.err.startswith("note: 2 processes may not be inspected")
    assert "nginx" in shown.out


NO_GROUP = "bpf: this user may not read /run/zabbix-sockets: add it to the group zabbix"


@pytest.mark.parametrize(
    ("degraded", "denied", "found", "told"),
    [
        (True, {"sshd": 2}, [], [NO_GROUP, "2 processes", "no processes to show: what there may"]),
        (True, {}, ["nginx"], [NO_GROUP]),
        (False, {}, ["nginx"], []),  # the kernel has no BPF: nothing to be done about it
        (False, {}, [], ["no processes to show"]),
    ],
)
def test_what_would_help_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    degraded: bool,
    denied: dict[str, int],
    found: list[str],
    told: list[str],
) -> None:
    """`show` says what would make it see more, and why an empty table is empty."""
    snapshot = snapshot_of(processes(*found), [tcp_listener(2, 80)] if found else [])
    snapshot.visibility.gaps = [Gap(DENIED, name, count) for name, count in denied.items()]
    snapshot.visibility.reason, snapshot.visibility.degraded = NO_GROUP, degraded
    for arguments in ([], ["--json"]):
        answer_with(monkeypatch, snapshot)
        run(*["show", "processes", *arguments])
        notes = capsys.readouterr().err.splitlines()
        assert len(notes) == len(told)
        assert all(note.startswith(f"note: {each}") for note, each in zip(notes, told))


def test_why_owners_of_sockets_are_not_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`show sockets` tells it beside a "-", once, and not where all owners are known."""
    known = Socket(
        *("udp", 2, "", 7, None, bytes(4), 53, bytes(4), 0, "", (Owner(7, "named"),)),
        *(0, 9, 0, 0),
    )
    visibility = Visibility("sock_diag", NO_GROUP)
    visibility.degraded = True

    def told_of(
        sockets: Sequence[Socket],
    ) -> Callable[[Query, Callable[[Visibility], None]], Iterator[Socket]]:
        def read(_: Query, tell: Callable[[Visibility], None]) -> Iterator[Socket]:
            yield from sockets
            tell(visibility)

        return read

    for found, told in (((known, known._replace(owners=())), True), ((known,), False)):
        monkeypatch.setattr("zabbix_sockets.command.show.iter_sockets", told_of(found))
        run("show", "sockets")
        wanted = f"note: not all owners are seen: {NO_GROUP}\n"
        assert capsys.readouterr().err == (wanted if told else "")
        run("show", "sockets", "--interval", "0.001", "--count", "3")
        assert capsys.readouterr().err == (wanted if told else "")


def test_warnings_of_single_sockets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the collection of single sockets and of clients warns of is told, once."""
    monkeypatch.setattr("zabbix_sockets.collector.sources.Plan.is_exact", approximate)
    for arguments in (["sockets"], ["sockets", "--interval", "0.001", "--count", "2"], ["clients"]):
        run("show", *arguments, "--source", "procfs", "--netns", "own")
        assert capsys.readouterr().err.count("note: udp: approximate\n") == 1, arguments


def approximate(plan: Plan, table: Table) -> bool:
    """Warn as Plan.is_exact() where /proc/net/udp changed all the time."""
    if table.protocol == "udp":
        plan.warn("udp: approximate")
    return table.protocol != "udp"


def test_time_that_a_person_gave_is_told() -> None:
    """Where it is over, the message has it, and not what of it was left for the sockets."""
    with pytest.raises(DeadlineError, match=r"^timed out after 1e-09 s$"):
        run("show", "sockets", "--source", "procfs", "--timeout", "1e-9")
