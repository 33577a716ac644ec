"""All checks: side by side, in time, as lines for people and as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from zabbix_sockets.check import registry
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line, broken, degraded, ok, unknown
from zabbix_sockets.check.report import Job, check_host, render, to_json
from zabbix_sockets.check.system import System
from zabbix_sockets.command.arguments import parse
from zabbix_sockets.command.call import Call
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.setup import command as setup_command
from zabbix_sockets.terminal.layout import Style

from .test_documentation import heading_of
from .trees import Tree

PLAIN = Style(colours=False, width=None)


def _job(*lines: Line, then: str = "") -> Iterator[Line]:
    yield from lines
    if then == "hang":
        time.sleep(600)
    if then:
        raise ValueError(then)


def test_no_agent(tmp_path: Path) -> None:
    """A host without an agent has a line that says so, and those of the host."""
    lines = check_host(Tree(tmp_path)())
    (line,) = (each for each in lines if each.name == "agents")
    assert line == degraded(
        "agents",
        "no Zabbix agent is installed here, as far as can be seen",
        "apt install zabbix-agent2 && zabbix-sockets setup",
    )
    assert {"caller", "kernel", "pins", "push unit", "server"} <= {each.name for each in lines}
    assert {each.name for each in lines} <= set(registry.names())


def test_an_agent_is_found(tmp_path: Path) -> None:
    """An agent that doesn't run is looked at by its file, in the place of its package."""
    tree = Tree(tmp_path)
    tree.write("/etc/passwd", "zabbix:x:4242:4242::/:/usr/sbin/nologin\n")
    tree.write("/etc/zabbix/zabbix_agentd.conf", "Include=/etc/zabbix/zabbix_agentd.d/*.conf\n")
    lines = {each.name: each for each in check_host(tree())}
    assert lines["agentd config"].message.endswith("2 files; runs as zabbix")
    assert lines["agentd keys"].state == "ok"
    assert lines["agentd restart"].state == "broken"


def test_commands_of_a_caller_who_is_not_root(tmp_path: Path) -> None:
    """They are typed with sudo, as a whole; where there is none, it is said who has to."""
    tree = Tree(tmp_path)
    tree.euid = 65534
    jobs = [
        Job("a", lambda: [broken("a", "", "systemctl restart x")]),
        Job("b", lambda: [broken("b", "", "mkdir '/a b' && systemctl restart x")]),
        Job("c", lambda: [broken("c", "", "sudo zabbix-sockets check")]),
        Job("d", lambda: [broken("d", "")]),
    ]
    assert [line.next for line in check_host(tree(), jobs)[-4:]] == [
        "as root: systemctl restart x",
        "as root: mkdir '/a b' && systemctl restart x",
        "as root: zabbix-sockets check",
        "",
    ]
    tree.program("sudo", "")
    assert [line.next for line in check_host(tree(), jobs)[-4:]] == [
        "sudo systemctl restart x",
        """sudo sh -c 'mkdir '"'"'/a b'"'"' && systemctl restart x'""",
        "sudo zabbix-sockets check",
        "",
    ]


def test_agents_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where looking for agents hangs, the host is looked at all the same."""

    def hang(_: System) -> tuple[Agent, ...]:
        time.sleep(600)
        return ()

    monkeypatch.setattr("zabbix_sockets.check.report.found_agents", hang)
    monkeypatch.setattr("zabbix_sockets.check.report._TO_FIND", 0.01)
    tree = Tree(tmp_path)
    tree.seconds = 30.0
    lines = check_host(tree())
    line = unknown("agents", "it took too long to look for agents", "zabbix-sockets check")
    assert line in lines
    assert "kernel" in {each.name for each in lines}


def test_a_check_hangs_or_fails(tmp_path: Path) -> None:
    """It costs its own lines; what it has said by then is there."""
    tree = Tree(tmp_path)
    tree.seconds = 5.0
    jobs = [
        Job("slow", partial(_job, ok("slow", "so far"), then="hang")),
        Job("wrong", partial(_job, then="no number")),
    ]
    lines = check_host(tree(), jobs)
    said = "slow: it did not end in time; a file, a mount or a name server hangs"
    assert lines[-3:] == [
        ok("slow", "so far"),
        unknown("check", said),
        unknown("check", "wrong: ValueError: no number"),
    ]


LINES = [
    ok("pins", "loaded"),
    degraded("libbpf", "word " * 30, "apt install libbpf1"),
    broken("agent2 keys", "none", "x" * 120),
]


def test_plain() -> None:
    """Without colours: state, name and reason; a message is wrapped, a command never is."""
    text = render(LINES, Style(colours=False, width=60))
    first, second, *more = text.splitlines()
    assert first == "ok        pins         loaded"
    assert second.startswith("degraded  libbpf       word word")
    assert max(map(len, [first, second, *more[:-4]])) <= 60
    assert "          # apt install libbpf1" in more
    assert "          # " + "x" * 120 in more
    assert text.endswith("\n\n1 broken, 1 degraded, 1 ok\n")
    assert "\x1b" not in text


def test_colours() -> None:
    """On a terminal the states have colours."""
    text = render(LINES, Style(colours=True, width=80))
    assert "\x1b[32mok" in text
    assert "\x1b[33mdegraded" in text
    assert "\x1b[31mbroken" in text


def test_json() -> None:
    """An array of objects with four strings each."""
    assert json.loads(to_json(LINES)) == [
        {"name": each.name, "state": each.state, "message": each.message, "next": each.next}
        for each in LINES
    ]
    assert json.loads(to_json([])) == []


def _check(*arguments: str) -> int | None:
    return parse(["check", *arguments]).answer(Call())


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (("ok", "ok"), 0),
        (("unknown", "ok"), 0),
        (("ok", "degraded", "unknown"), 1),
        (("broken", "degraded", "ok"), 2),
        (("degraded", "broken", "broken"), 2),
        ((), 0),
    ],
)
def test_exit_status_is_that_of_the_worst(
    states: tuple[str, ...],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is unknown could not be looked at, and counts as ok."""
    lines = [Line("pins", state, "", "") for state in states]
    monkeypatch.setattr("zabbix_sockets.command.check.check_host", lambda *_: lines)
    assert _check("--json") == status
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == list(states)


@pytest.mark.parametrize("state", ["ok", "unknown", "degraded", "broken"])
def test_setup_ends_with_check(
    state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fails by what is broken, and by nothing else that check says."""
    lines = [Line("pins", state, "", "")]
    monkeypatch.setattr("zabbix_sockets.command.check.check_host", lambda *_: lines)
    monkeypatch.setattr(setup_command, "setup", lambda _options, check: check())
    request = parse(["setup"])
    if state == "broken":
        with pytest.raises(SocketsError, match=r"^1 thing is broken here$"):
            request.answer(Call())
    else:
        assert request.answer(Call()) is None
    assert capsys.readouterr().out == render(lines, PLAIN)


def test_options_of_the_login_need_a_frontend() -> None:
    """They are for --api."""
    for options in (["--host", "web1"], ["--user", "Admin"]):
        with pytest.raises(UsageError, match="are for --api"):
            _check(*options)


def test_this_host(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the host of the tests is, each line has a heading, and the answer comes in time."""
    started = time.monotonic()
    status = _check("--json", "--pins", "/nonexistent", "--timeout", "30")
    assert time.monotonic() - started < 60
    lines = json.loads(capsys.readouterr().out)
    assert {heading_of(each["name"]) for each in lines} <= set(registry.names())
    assert status == max({"degraded": 1, "broken": 2}.get(each["state"], 0) for each in lines)
    caller = next(each for each in lines if each["name"] == "caller")
    assert (caller["state"] == "unknown") == bool(os.geteuid())


def test_deadline_is_one_of_seconds() -> None:
    """A deadline that has passed leaves no time, and raises nothing."""
    system = System("", "/proc", Deadline(-1), "/nonexistent", os.geteuid())
    assert system.run("true").in_time in (True, False)
