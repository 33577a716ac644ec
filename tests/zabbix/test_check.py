"""`check` beside real agents of both kinds and versions: what works, and each fault by its name."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from zabbix_sockets.check.access import DENY, KeyRule, deciding
from zabbix_sockets.check.line import BROKEN, DEGRADED, OK, UNKNOWN

from .agents import Kind, free_port
from .programs import wait_for
from .stage import HOME, Stage, UnavailableError, as_zabbix

pytestmark = pytest.mark.zabbix

ETC = Path("/etc/zabbix")
COMMAND = f"{HOME}/bin/python3 -I -m zabbix_sockets"
KEYS = f"""\
UserParameter=sockets.get[*],{COMMAND} get --timeout 20 -- "$1"
UserParameter=sockets.discovery[*],{COMMAND} discover -- "$1"
UserParameter=sockets.count[*],{COMMAND} count -- "$1" "$2" "$3"
"""

_SHOW_ETC = """
mount --bind "$1" /etc/zabbix && mount -t tmpfs tmpfs /var/lib &&
    install -d -m 700 -o zabbix -g zabbix /var/lib/zabbix-sockets-$(id -u zabbix) &&
    shift && exec "$@"
"""
"""The folder in /var/lib is the one that `setup` makes."""


class Host:
    """A host with one agent, whose /etc/zabbix is a folder of the test's."""

    def __init__(self, stage: Stage, kind: Kind, etc: Path) -> None:
        self._stage = stage
        self.kind = kind
        self.etc = etc
        self.port = free_port()
        self.name = "agentd" if kind.program == "zabbix_agentd" else "agent2"
        self.config = etc / f"{kind.program}.conf"
        self.keys = etc / f"{kind.program}.d" / "zabbix_sockets.conf"
        self.keys.parent.mkdir()
        self.keys.write_text(KEYS)
        lines = [
            "LogType=console",
            "Hostname=tested",
            "Server=127.0.0.1",
            "ListenIP=127.0.0.1",
            f"ListenPort={self.port}",
            "Timeout=30",
            f"Include={ETC}/{kind.program}.d/*.conf",
            f"PidFile={etc.parent}/pid",
        ]
        if self.name == "agent2":
            lines += [f"PluginSocket={etc.parent}/plugin", f"ControlSocket={etc.parent}/control"]
        self.config.write_text("".join(f"{line}\n" for line in lines))

    def add(self, *lines: str) -> None:
        """Add lines to the agent's configuration."""
        with self.config.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def drop(self, setting: str) -> None:
        """Take a setting out of it."""
        lines = self.config.read_text().splitlines(keepends=True)
        self.config.write_text("".join(each for each in lines if not each.startswith(setting)))

    def _inside(self, command: Sequence[str]) -> list[str]:
        shown = ["sh", "-c", _SHOW_ETC, "sh", str(self.etc), *command]
        return self._stage.inside(shown, pins=True)

    @contextmanager
    def agent(
        self, *user: str, ready: Callable[[], bool] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the agent as user zabbix, or as setpriv's options *user* say.

        It is waited for until it is *ready*: None: until it answers.
        """
        command = [str(self.kind.path(self.kind.program)), "-f", "-c", str(ETC / self.config.name)]
        started = ["setpriv", *user, *command] if user else as_zabbix(command)
        log = self.etc.parent / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(self._inside(started), cwd="/", stdout=output, stderr=output)
        try:
            is_ready = ready or self._listens
            wait_for(lambda: process.poll() is not None or is_ready(), log.read_bytes)
            assert process.poll() is None, log.read_text(errors="replace")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # 6.0 once waited so for a child that had hung
                for pid in _children(process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.kill()
                process.wait(60)

    def has_said_so(self) -> bool:
        """Whether the agent has written that it is started."""
        said = (self.etc.parent / "log").read_bytes()
        return b" started" in said or b"Press Ctrl+C" in said

    def _listens(self) -> bool:
        return self.ask("agent.ping") == "1"

    def check(self, *, uid: int = 0, seconds: int = 60) -> dict[str, dict[str, str]]:
        """Return the lines of `check` by name, as root or as another user."""
        command = [f"{HOME}/bin/python3", "-I", "-m", "zabbix_sockets", "check", "--json"]
        command += ["--timeout", str(seconds)]
        if uid:
            command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]
        result = subprocess.run(
            self._inside(command), capture_output=True, text=True, check=False, cwd="/"
        )
        assert result.stdout, result.stderr
        lines = json.loads(result.stdout)
        states = {each["state"] for each in lines}
        assert result.returncode == (2 if BROKEN in states else 1 if DEGRADED in states else 0)
        assert all(each.keys() == {"name", "state", "message", "next"} for each in lines)
        return {each["name"]: each for each in lines}

    def ask(self, key: str) -> str:
        """Return what zabbix_get prints for *key*."""
        command = [str(self.kind.path("zabbix_get")), "-s", "127.0.0.1", "-p", str(self.port)]
        answer = subprocess.run(
            [*command, "-k", key], capture_output=True, encoding="utf-8", check=False
        )
        return answer.stdout.strip()


@pytest.fixture
def host(stage: Stage, kind: Kind) -> Iterator[Host]:
    """A host with an agent of a kind and version, which isn't started yet."""
    made = not ETC.exists()
    ETC.mkdir(exist_ok=True)
    try:
        stage.load()
        folder = stage.root / f"check-{time.monotonic_ns()}"
        (folder / "etc").mkdir(parents=True)
        folder.chmod(0o777)
        kind.path(kind.program)
        yield Host(stage, kind, folder / "etc")
        shutil.rmtree(folder)
    except UnavailableError as exc:
        pytest.skip(str(exc))
    finally:
        if made:
            ETC.rmdir()


def states(host: Host, lines: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the states of the agent's lines, by their names without the agent's."""
    prefix = f"{host.name} "
    return {
        name[len(prefix) :]: line["state"]
        for name, line in lines.items()
        if name.startswith(prefix)
    }


ALL = (
    "config",
    "keys",
    "command",
    "timeout",
    "access",
    "unsafe",
    "restart",
    "discovery",
    "call",
    "test",
    "port",
)


def test_all_is_well(host: Host) -> None:
    """Beside a healthy agent everything is ok, for root; for anybody nothing is broken."""
    with host.agent():
        lines = host.check()
        assert states(host, lines) == dict.fromkeys(ALL, OK), lines
        assert lines["pins"]["message"].endswith(f"{host.name}'s user may read them")
        assert lines[f"{host.name} call"]["message"].startswith("bpf in ")
        assert " as zabbix" in lines[f"{host.name} test"]["message"]
        of_nobody = host.check(uid=65534)
    assert of_nobody["caller"]["state"] == UNKNOWN
    assert BROKEN not in {each["state"] for each in of_nobody.values()}, of_nobody
    assert states(host, of_nobody)["port"] == OK


def test_denied(host: Host) -> None:
    """A DenyKey is found in the file, and by the agent's own answers."""
    host.add("DenyKey=sockets.*[*]")
    with host.agent():
        lines = host.check()
    found = states(host, lines)
    assert found == {**dict.fromkeys(ALL, OK), **dict.fromkeys(("access", "test", "port"), BROKEN)}
    assert lines[f"{host.name} access"]["next"].startswith("sed -i ")


def test_command_that_allows(host: Host) -> None:
    """The command that is named puts rules before the one that denies, and the agent obeys."""
    host.add("DenyKey=sockets.*[*]")
    with host.agent():
        command = host.check()[f"{host.name} access"]["next"].partition(" && ")[0]
    subprocess.run(host._inside(["sh", "-c", command]), check=True)  # the host's
    with host.agent():
        assert states(host, host.check()) == dict.fromkeys(ALL, OK)


def test_not_included(host: Host) -> None:
    """The file is there, and no Include reaches it."""
    host.drop("Include")
    with host.agent():
        lines = host.check()
    line = lines[f"{host.name} keys"]
    assert line["state"] == BROKEN
    assert line["message"].startswith(f"{ETC}/{host.kind.program}.d/zabbix_sockets.conf is there")
    assert line["next"].startswith(f"echo 'Include={ETC}/{host.kind.program}.d/*.conf' >> {ETC}/")


def test_keys_twice(host: Host) -> None:
    """An agent with a key twice doesn't start: the file to remove is named."""
    second = host.keys.with_name("copy.conf")
    shutil.copyfile(host.keys, second)
    with pytest.raises(AssertionError), host.agent():
        pass
    lines = host.check()
    found = states(host, lines)
    assert found["keys"] == found["restart"] == found["port"] == BROKEN
    assert lines[f"{host.name} keys"]["next"].startswith(
        f"rm {ETC}/{host.kind.program}.d/copy.conf"
    )


def test_low_timeout(host: Host) -> None:
    """A Timeout below a call's own is named, and the command raises it."""
    host.drop("Timeout")
    host.add("Timeout=1")
    with host.agent():
        lines = host.check()
        line = lines[f"{host.name} timeout"]
        assert line["state"] == DEGRADED
        subprocess.run(  # as a person would
            host._inside(["sh", "-c", line["next"].partition(" && ")[0]]),
            check=True,
        )
    assert "Timeout=3\n" in host.config.read_text()


def test_started_without_the_group(host: Host) -> None:
    """An agent that runs without the group of the pins, in which its user is, wants a restart."""
    with host.agent("--reuid", "zabbix", "--regid", "nogroup", "--clear-groups"):
        lines = host.check()
    assert lines["pins"]["state"] == BROKEN
    assert "it was started before it was in the group" in lines["pins"]["message"]
    assert lines[f"{host.name} call"]["state"] == DEGRADED  # as the agent is, not as its user


def test_changed_since(host: Host) -> None:
    """A file that was changed after the agent was started is named."""
    with host.agent():
        soon = time.time() + 2
        os.utime(host.keys, (soon, soon))
        lines = host.check()
    assert lines[f"{host.name} restart"]["state"] == BROKEN
    assert "zabbix_sockets.conf was changed" in lines[f"{host.name} restart"]["message"]


def test_port_hangs(host: Host) -> None:
    """An agent that takes the question and says nothing is named; it may just have been started."""
    with host.agent() as process:
        for pid in [process.pid, *_children(process.pid)]:
            os.kill(pid, signal.SIGSTOP)
        try:
            lines = host.check(seconds=10)
        finally:
            for pid in [process.pid, *_children(process.pid)]:
                os.kill(pid, signal.SIGCONT)
    line = lines[f"{host.name} port"]
    assert "no answer in " in line["message"]
    is_new = line["message"].endswith("it has just been started")
    assert line["state"] == (UNKNOWN if is_new else BROKEN)  # where it took long until it was asked


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_port_is_for_others(host: Host) -> None:
    """Where the agent only refuses this host, its port is unknown, and nothing is broken."""
    host.drop("Server=")
    host.add("Server=192.0.2.1")
    with host.agent(ready=host.has_said_so):
        lines = host.check()
    assert lines[f"{host.name} port"]["state"] == UNKNOWN
    assert "doesn't let 127.0.0.1 ask" in lines[f"{host.name} port"]["message"]
    assert states(host, lines)["test"] == OK


def test_port_is_not_meant(host: Host) -> None:
    """An agent that is to listen on no port is not broken."""
    host.add("ServerActive=127.0.0.1:9")
    if host.name == "agent2":
        host.drop("Server=")
    else:
        host.add("StartAgents=0")
    with host.agent(ready=host.has_said_so):
        lines = host.check()
    assert lines[f"{host.name} port"]["state"] == UNKNOWN
    assert lines[f"{host.name} port"]["message"].endswith("it listens on no port")


PATTERNS = ("KEY", "KEY[]", "KEY[*]", "KEY*", "KEY*[*]", "*KEY[pro*]", "KEY[*,x]", "KEY[x,*]",
            "KEY[*,*]", 'KEY["a,b"]', "KEY[a, b]", "KEY[**x]", "KEY[,]", "KEY[*,]")  # fmt: skip
ASKED = ("KEY", "KEY[]", "KEY[process]", "KEY[x,y]", "KEY[x]", "KEY[,]", 'KEY["a,b"]', "KEY[a,b]",
         "KEY[y,x]", "KEY[a,b,c]")  # fmt: skip


def test_rules_are_evaluated_as_the_agent_does(host: Host) -> None:
    """Each pattern, here of a key of its own, denies what the agent doesn't answer."""
    rules = [KeyRule(DENY, each.replace("KEY", f"k{at}.get")) for at, each in enumerate(PATTERNS)]
    keys = [f"k{at}.get" for at in range(len(PATTERNS))]
    host.keys.write_text("".join(f"UserParameter={key}[*],echo answered\n" for key in keys))
    host.add(*map(str, rules))
    asked = [each.replace("KEY", key) for key in keys for each in ASKED]
    with host.agent():
        answered = {key for key in asked if host.ask(key) == "answered"}
    assert set(asked) - answered == {key for key in asked if deciding(key, rules)}


def test_all_keys_are_denied(host: Host) -> None:
    """A rule for all keys denies ours, but for what is allowed before it."""
    host.add("AllowKey=agent.ping", "AllowKey=sockets.count[*]", "DenyKey=*")
    with host.agent():
        assert host.check()[f"{host.name} access"]["message"].startswith("DenyKey=* forbids ")
