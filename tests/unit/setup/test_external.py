"""External checks, set up for a host with a server or a proxy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.host.trees import ACCOUNTS, plant
from zabbix_sockets.host.own_files import COMMAND
from zabbix_sockets.model.errors import SocketsError

from .hosts import CONF, PACKAGE, SYSTEMD, Host, to_do

SERVER = {
    **ACCOUNTS,
    **SYSTEMD,
    "lib/systemd/system/zabbix-server.service": "[Service]\nUser=zabbix\nGroup=zabbix\n"
    "ExecStart=/usr/sbin/zabbix_server --foreground\n",
    "etc/zabbix/zabbix_server.conf": "DBName=zabbix\nExternalScripts=/srv/scripts\n",
    "usr/sbin/zabbix_server": "\0ELF\0ExternalScripts\0/usr/lib/zabbix/externalscripts\0more\0",
    "srv/scripts/.keep": "",
    "var/lib/.keep": "",
}


def server(tmp_path: Path, **changed: str) -> Host:
    """Return a host with a Zabbix server; of *changed* config is its configuration."""
    tree = dict(SERVER)
    if "config" in changed:
        tree["etc/zabbix/zabbix_server.conf"] = changed["config"]
    return Host(Path(plant(tmp_path, tree)), own=PACKAGE)


def test_server(tmp_path: Path) -> None:
    """The script goes where the server looks for it; all goes again."""
    host = server(tmp_path)
    before = host.files()
    host.set_up(external_check=True)
    script = tmp_path / "srv/scripts/zabbix-sockets"
    assert script.read_bytes() == (CONF / "external_check/zabbix-sockets").read_bytes()
    assert script.stat().st_mode & 0o777 == 0o755
    assert host.systemd.calls == [
        host.remembering,
        "systemctl enable --now zabbix-sockets-load.service",
    ]
    host.take_back()
    assert host.files() == before


def test_folder_that_others_name(tmp_path: Path) -> None:
    """Who may change the server's file does not choose where root puts a program."""
    host = server(tmp_path)
    (tmp_path / "etc/zabbix/zabbix_server.conf").chmod(0o666)
    (fault,) = host.plan(external_check=True).faults
    assert "names /srv/scripts as the folder of external scripts" in fault
    host.set_up(external_check=True)
    assert not (tmp_path / "srv/scripts/zabbix-sockets").exists()


def test_folder_that_is_compiled_in(tmp_path: Path) -> None:
    """Without the setting it is the folder that the executable has; it has to be there."""
    host = server(tmp_path, config="DBName=zabbix\n")
    (fault,) = host.plan(external_check=True).faults
    assert "external scripts of /etc/zabbix/zabbix_server.conf is not there" in fault
    (tmp_path / "usr/lib/zabbix/externalscripts").mkdir(parents=True)
    assert (
        "/usr/lib/zabbix/externalscripts/zabbix-sockets" in to_do(host.plan(external_check=True))[0]
    )


def test_user_joins_the_group(tmp_path: Path) -> None:
    """The server's user has to read the pins that are an agent's: it joins, and is restarted."""
    host = server(tmp_path)
    plant(
        tmp_path,
        {
            "etc/passwd": f"{ACCOUNTS['etc/passwd']}zabbixsrv:x:130:130::/:/bin/sh\n",
            "etc/group": f"{ACCOUNTS['etc/group']}zabbixsrv:x:130:\n",
            "lib/systemd/system/zabbix-server.service": "[Service]\nUser=zabbixsrv\n"
            "ExecStart=/usr/sbin/zabbix_server -f\n",
            "lib/systemd/system/zabbix-agent.service": "[Service]\nUser=zabbix\n"
            "ExecStart=/usr/sbin/zabbix_agentd -f\n",
            "etc/zabbix/zabbix_agentd.conf": "Include=/srv/scripts/*.conf\n",
        },
    )
    found = to_do(host.plan(external_check=True))
    assert "usermod -aG zabbix zabbixsrv" in found
    assert "systemctl try-restart zabbix-server.service" in found


def test_no_server(host: Host) -> None:
    """Where none is the option is in the way."""
    assert host.plan(external_check=True).faults == [
        "there is no Zabbix server or proxy here for --external-check"
    ]


def test_server_that_is_not_asked_for(tmp_path: Path) -> None:
    """Nothing is done to a server unless that is wanted; that it is possible is said."""
    host = server(tmp_path)
    with pytest.raises(SocketsError) as caught:
        host.plan()
    assert "setup --external-check" in caught.value.hint


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        (["get"], "get --"),
        (["get", "unit"], "get -- unit"),
        (["discovery", "listeners"], "discover -- listeners"),
        (["count", "a b", "tcp"], "count -- a b tcp"),
        (["count", "--help"], "count -- --help"),
        ([], None),
        ([""], None),
        (["discover", "listeners"], None),
        (["send"], None),
        (["--version"], None),
        (["get unit"], None),
        (["get\n"], None),
    ],
)
def test_script(tmp_path: Path, parameters: list[str], answer: str | None) -> None:
    """It takes three words, and the parameters never become options."""
    text = (CONF / "external_check/zabbix-sockets").read_text()
    script = tmp_path / "zabbix-sockets"
    script.write_text(text.replace(COMMAND, "echo"))
    found = subprocess.run(
        ["/bin/sh", str(script), *parameters], capture_output=True, text=True, check=False
    )
    wanted = answer or '{"error":"the first parameter is get, discovery or count"}'
    assert (found.stdout, found.stderr) == (f"{wanted}\n", "")
