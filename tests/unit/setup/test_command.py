"""What setup prints, asks, and ends with."""

import errno
import os
import shlex
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import NoReturn

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup import command
from zabbix_sockets.setup.actions import Action
from zabbix_sockets.setup.options import SetupOptions
from zabbix_sockets.setup.plan import make_plan
from zabbix_sockets.setup.record import DIRECTORY, Entry, SetupRecord
from zabbix_sockets.setup.scene import Part

from .hosts import Host

RESTART = "systemctl try-restart zabbix-agent.service"


class Typed:
    """A terminal at which somebody types an answer."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        """Return True: it is one."""
        return True

    def readline(self) -> str:
        """Return what is typed."""
        return self._answer


def first(text: str) -> list[str]:
    """Return the label of each line."""
    return [line[:9].strip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("answer", "is_done"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)],
)
def test_asks_before_a_restart(
    host: Host, monkeypatch: pytest.MonkeyPatch, answer: str, is_done: bool
) -> None:
    """On a terminal a person decides; no answer is none."""
    scene = host.scene()
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    wanted = command._restarts(SetupOptions())
    assert command.carry_out(make_plan(scene), scene.record, restart=wanted) == []
    assert ("systemctl try-restart zabbix-agent.service" in host.systemd.calls) == is_done


def test_prints_the_restart_elsewhere(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is asked, and the line is printed."""
    scene = host.scene()
    wanted = command._restarts(SetupOptions())
    command.carry_out(make_plan(scene), scene.record, restart=wanted)
    said = capsys.readouterr().out
    assert "to do    systemctl try-restart zabbix-agent.service\n" in said
    assert first(said)[:2] == ["done", "done"]
    assert command._restarts(SetupOptions(restart=True))(scene_restart(host))


def scene_restart(host: Host) -> Action:
    """Return the restart that the host's plan has."""
    return make_plan(host.scene()).restarts[0]


def test_hostile_name_stays_one_line(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in a configuration can't forge a line, or speak to the terminal."""
    config = host.root / "etc/zabbix/zabbix_agentd.conf"
    config.write_text("Include=/etc/zabbix/\x1b[2Jx\x85ok  all/*.conf\n")
    command.print_plan(host.plan())
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "which /etc/zabbix/zabbix_agentd.conf includes, is not there" in said


def test_dry_run_has_nothing_that_is_done(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """After setup it has only the restart of the agent that doesn't run."""
    host.set_up()
    capsys.readouterr()
    command.print_plan(host.plan())
    assert capsys.readouterr().out == "systemctl try-restart zabbix-agent.service\n"


def test_dry_run_with_nothing_to_do(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, beside what a person is to know; not where something is missing."""
    plan = Part()
    command.print_plan(plan)
    assert capsys.readouterr().out == "# all is as it should be\n"
    plan.notes.append("x")
    command.print_plan(plan)
    assert capsys.readouterr().out == "# nothing is to be changed\n# x\n"
    plan.faults.append("y")
    command.print_plan(plan)
    assert capsys.readouterr().out == "# y\n# x\n"
    command.print_plan(host.plan())
    assert "as it should be" not in capsys.readouterr().out


@pytest.fixture
def running(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host, set up, with an agent that runs."""
    host.set_up()
    agent = SimpleNamespace(unit="zabbix-agent.service", pid=7)
    monkeypatch.setattr(command, "find_agents", lambda _: [agent])
    return host


def test_dry_run_of_the_way_back(running: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """It changes nothing, and has each command that the way back has, restarts among them."""
    before = running.files()
    capsys.readouterr()
    command._remove(running.machine, SetupOptions(remove=True, dry_run=True))
    lines = capsys.readouterr().out.splitlines()
    assert running.files() == before
    assert lines[-1] == RESTART
    assert "systemctl disable --now zabbix-sockets-load.service" in lines
    running.systemd.calls.clear()
    command._remove(running.machine, SetupOptions(remove=True))
    said = capsys.readouterr().out
    assert f"to do    {RESTART}\n" in said
    typed = {" ".join(shlex.split(line)) for line in lines if line.startswith("systemctl")}
    assert typed - {RESTART} <= {*running.systemd.calls}


@pytest.mark.parametrize(("failing", "label"), [("", "done"), ("try-restart", "failed")])
def test_restarts_on_the_way_back(
    running: Host, capsys: pytest.CaptureFixture[str], failing: str, label: str
) -> None:
    """With --restart agents are restarted when their keys are gone; that may fail."""
    running.systemd.failing = failing
    capsys.readouterr()
    with pytest.raises(SocketsError, match="1 steps failed") if failing else nullcontext():
        command._remove(running.machine, SetupOptions(remove=True, restart=True))
    assert capsys.readouterr().out.splitlines()[-1].startswith(label)


def test_folder_in_which_something_is(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept; where it can't be removed for another reason, the step has failed."""
    folder = host.root / "etc/zabbix/made"
    for content, refuse, label in ((True, False, "kept"), (False, True, "failed")):
        folder.mkdir(exist_ok=True)
        (folder / "x").write_text("")
        if not content:
            (folder / "x").unlink()
        SetupRecord(str(host.root)).add(Entry(DIRECTORY, "/etc/zabbix/made"))
        if refuse:
            monkeypatch.setattr(os, "rmdir", busy)
        with pytest.raises(SocketsError) if refuse else nullcontext():
            command._remove(host.machine, SetupOptions(remove=True))
        line = capsys.readouterr().out.splitlines()[0]
        assert line.split()[0] == label
        assert ("/etc/zabbix/made stays, as something is in it" in line) == content
        assert folder.exists()


def busy(path: str) -> NoReturn:
    """Refuse, as the kernel does where something is mounted."""
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
