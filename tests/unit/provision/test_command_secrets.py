"""Whom the command asks for a secret, and what it needs to be installed."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ..commands import COMMAND  # noqa: TID252  # a test folder is no installed package
from .calls import SECRET, SERVER, parameters, provision
from .frontends import frontend


def test_nobody_to_ask() -> None:
    """Without a terminal, and without a word who, the ways to say it are told."""
    with frontend(SERVER) as asked:
        for environment in ({}, {"ZABBIX_USER": "Admin"}):
            answer = provision(asked.url, environment=environment)
            assert answer.returncode == 1
            assert b"--token-file FILE" in answer.stderr
        assert "user.login" not in asked.methods


def test_plain_http() -> None:
    """A note says that others can read along, when the way leads off this machine."""
    answer = provision("http://nowhere.invalid")
    assert answer.stderr.startswith(b"note: plain http: ")
    assert not provision("https://nowhere.invalid").stderr.startswith(b"note")


def test_readable_secret(tmp_path: Path) -> None:
    """A note says that everybody can read a file of a secret."""
    path = tmp_path / "password"
    path.write_text(SECRET)
    path.chmod(0o644)
    with frontend(SERVER) as asked:
        answer = provision(asked.url, "--user", "Admin", "--password-file", str(path))
    assert answer.returncode == 0
    assert b"is readable by every user" in answer.stderr
    assert parameters(asked, "user.login") == [{"username": "Admin", "password": SECRET}]


def test_asked_at_the_terminal() -> None:
    """At a terminal user and password are asked for; the password isn't shown."""
    ours, theirs = pty.openpty()
    with (
        frontend(SERVER) as asked,
        subprocess.Popen(
            ["setsid", "--ctty", *COMMAND, "provision", asked.url],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"PATH": os.environ["PATH"]},
        ) as process,
    ):
        os.close(theirs)
        shown = read_until(ours, b"Zabbix user: ")
        os.write(ours, b"me\n")
        shown += read_until(ours, b"Password of me: ")
        os.write(ours, f"{SECRET}\n".encode())
        shown += read_until(ours, b"trapper")
        assert process.wait(60) == 0
    os.close(ours)
    assert parameters(asked, "user.login") == [{"username": "me", "password": SECRET}]
    assert SECRET.encode() not in shown


def read_until(fd: int, words: bytes) -> bytes:
    """Return what a terminal shows, up to these words."""
    shown = b""
    while words not in shown:
        shown += os.read(fd, 1000)
    return shown


WITHOUT = """
import sys
sys.modules[{absent!r}] = None
from zabbix_sockets.command.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("absent", ["pyzabbix", "requests", "urllib3", "packaging"])
def test_without_the_extra(absent: str) -> None:
    """An installation without the extra says how to add it, and its other verbs work."""
    start = [*COMMAND[:2], "-c", WITHOUT.format(absent=absent)]
    answer = subprocess.run(
        [*start, "provision", "http://127.0.0.1:1"], capture_output=True, check=False
    )
    assert answer.returncode == 1
    message, hint = answer.stderr.decode().splitlines()
    assert message == (
        f"zabbix-sockets: provision needs {absent}, which zabbix-sockets[provision] brings"
    )
    install, by_hand = hint.split("; ")
    assert install == (
        f"in the folder of zabbix-sockets' source: {sys.executable} -m pip install '.[provision]'"
    )
    templates = by_hand.removeprefix("or import the YAML files in ").split()[0]
    assert list(Path(templates).glob("*/*.yaml"))
    for arguments in (["provision", "--help"], ["files"]):
        assert subprocess.run([*start, *arguments], capture_output=True, check=True).stdout


OTHER = """
import sys, types
for name in ("pyzabbix", "pyzabbix.api"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["pyzabbix.api"].ZabbixAPI = sys.modules["pyzabbix.api"].ZabbixAPIException = object
from zabbix_sockets.command.cli import main
main(sys.argv[1:])
"""


def test_another_package_of_the_name() -> None:
    """An abandoned package has the same name and is not taken for the one that is needed."""
    start = [*COMMAND[:2], "-c", OTHER, "provision", "http://127.0.0.1:1"]
    answer = subprocess.run(start, capture_output=True, check=False)
    assert answer.returncode == 1
    message, hint = answer.stderr.decode().splitlines()
    assert message.startswith("zabbix-sockets: provision needs the pyzabbix of zabbix-sockets[pro")
    assert "py-zabbix has put another, abandoned package" in message
    assert f"{sys.executable} -m pip uninstall py-zabbix pyzabbix, then" in hint
