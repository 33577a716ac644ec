"""The verb setup as root on this machine, above an overlay, and what real agents make of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .agents import KINDS, Kind
from .overlay import Overlay, overlay
from .stage import HOME, Stage, UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*", "*-7.0")]

COMMAND = (f"{HOME}/bin/python3", "-I", "-m", "zabbix_sockets", "setup")
FOLDERS = {
    "zabbix_agentd": "/etc/zabbix/zabbix_agentd.conf.d",
    "zabbix_agent2": "/etc/zabbix/zabbix_agent2.d",
}


@pytest.fixture(params=["6.0", "7.0"])
def host(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[Overlay]:
    """A machine with both agents of a version, as their packages leave them."""
    kinds = [each for each in KINDS if each.version == request.param]
    try:
        with overlay(stage, tmp_path, kinds) as made:
            yield made
    except UnavailableError as exc:
        pytest.skip(str(exc))


def ask(host: Overlay, program: str, key: str) -> str:
    """Return what the agent says of a key by -t, run as its user."""
    answer = host.run(program, "-t", key, user="zabbix")
    assert not answer.returncode, answer.stderr
    return answer.stdout


def labels(text: str) -> list[str]:
    """Return the first word of each line of setup's own, which ends before the lines of check."""
    return [line.split()[0] for line in text.partition("\n\n")[0].splitlines()]


def of_setup(changes: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Return the changes without what each question may change: whom the collector admitted."""
    return {path: found for path, found in changes.items() if ".admitted-" not in path}


def test_agents_answer(host: Overlay) -> None:
    """After one command both agents answer; twice changes nothing; remove leaves nothing."""
    before = host.changes()
    first = host.run(*COMMAND)
    assert labels(first.stdout)[:2] == ["done", "done"], first.stdout + first.stderr
    after = host.changes()
    for program, folder in FOLDERS.items():
        assert f"{folder[1:]}/zabbix_sockets.conf" in after
        assert re.search(r"\[[ts]\|0\]", ask(host, program, "sockets.count[nobody-has-it]"))
    second = host.run(*COMMAND)
    assert labels(second.stdout)[:2] == ["ok", "ok"]
    assert of_setup(host.changes()) == of_setup(after)
    removed = host.run(*COMMAND, "--remove")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert host.changes() == before
    for program in FOLDERS:
        assert "sockets" not in ask(host, program, "agent.ping")


def test_dry_run_is_what_a_person_types(host: Overlay) -> None:
    """It changes nothing, and its lines, typed into a shell, do what setup does."""
    before = host.changes()
    shown = host.run(*COMMAND, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert host.changes() == before
    typed = host.run("sh", "-ec", shown.stdout)
    assert "not found" not in typed.stderr
    by_hand = {name: each for name, each in host.changes().items() if name not in before}
    assert {name for name in by_hand if name.startswith("etc/")} == {
        f"{folder[1:]}/zabbix_sockets.conf" for folder in FOLDERS.values()
    }
    answer = host.run(*COMMAND)
    assert labels(answer.stdout)[:2] == ["ok", "ok"]
    assert {name: host.changes()[name] for name in by_hand} == by_hand


@pytest.mark.parametrize("options", [("--dry-run",), ("--dry-run", "--push"), ()])
def test_not_root(host: Overlay, options: tuple[str, ...]) -> None:
    """Anybody may look; only root may do it, and is told so in one line."""
    answer = host.run(*COMMAND, *options, user="zabbix")
    if options:
        assert "/etc/zabbix/zabbix_agent2.d/zabbix_sockets.conf" in answer.stdout
        assert (answer.returncode, answer.stderr) == (0, "")
    else:
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "only root may set this host up" in answer.stderr


def test_link_in_the_agents_folder(host: Overlay) -> None:
    """Where the agent's user has put a link, nothing is written through it; it is said."""
    folder = host.path(FOLDERS["zabbix_agent2"])
    os.symlink("/etc/passwd", folder / "zabbix_sockets.conf")
    answer = host.run(*COMMAND)
    assert "zabbix_sockets.conf is kept: Too many levels of symbolic links" in answer.stdout
    assert "etc/passwd" not in host.changes()
    assert os.readlink(folder / "zabbix_sockets.conf") == "/etc/passwd"


@pytest.mark.parametrize(
    ("mode", "message"),
    [(0o777, "others than root may change"), (0o750, "the agent's user may not read")],
)
def test_installation_that_will_not_do(host: Overlay, mode: int, message: str) -> None:
    """Root runs nothing that others may change, and the agent nothing that it may not read."""
    host.path(str(HOME)).chmod(mode)
    before = host.changes()
    answer = host.run(*COMMAND)
    assert answer.returncode == 1
    assert f"{message} {HOME}" in answer.stderr
    assert host.changes() == before


RELATIVE = Kind("zabbix_agentd", "6.0"), Kind("zabbix_agentd", "7.0")


@pytest.mark.parametrize("kind", RELATIVE, ids=str)
def test_relative_folder(stage: Stage, tmp_path: Path, kind: Kind) -> None:
    """The folder that a version of agentd takes a relative path from is the one that is found."""
    try:
        with overlay(stage, tmp_path, [kind]) as host:
            config = "Include=./parts/*.conf\nLogType=console\nServer=127.0.0.1\n"
            host.path("/etc/zabbix/zabbix_agentd.conf").write_text(config)
            for folder in ("/parts", "/etc/zabbix/parts"):
                host.path(folder).mkdir()
            host.run(*COMMAND)
            home = {"6.0": "/parts", "7.0": "/etc/zabbix/parts"}[kind.version]
            assert host.path(f"{home}/zabbix_sockets.conf").exists()
            assert "[t|0]" in ask(host, "zabbix_agentd", "sockets.count[nobody-has-it]")
    except UnavailableError as exc:
        pytest.skip(str(exc))
