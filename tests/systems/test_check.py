"""`check` on a booted host: its units as systemd tells of them, and what it says of each fault."""

from __future__ import annotations

import json

import pytest

from tests.zabbix.programs import wait_for

from .asking import wait_for_agent
from .conftest import on, with_agent
from .installing import LOAD, SEND, Host

pytestmark = [pytest.mark.kernel, on(with_agent("agentd"))]

NO_GROUP = """[Service]
Environment=PINS_GROUP=no-such-group
"""
PROTECTED = """[Service]
ProtectProc=invisible
"""


def checks(host: Host, *before: str) -> dict[str, dict[str, str]]:
    """Return the lines of `check` by name, which is run by the command *before*."""
    command = " ".join([*before, "zabbix-sockets check --json --timeout 60"])
    return {each["name"]: each for each in json.loads(host.system.run(command).stdout)}


def not_ok(lines: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the states of the lines that are not ok, by name."""
    return {name: line["state"] for name, line in lines.items() if line["state"] != "ok"}


def lasting(host: Host) -> dict[str, str]:
    """Return the states of the lines that are not ok, unless the next checks say otherwise.

    On a busy machine an agent's call may be slow for once.
    """
    found = not_ok(checks(host))
    for _ in range(3):
        if set(found) == {f"{host.agent} call"}:
            found = not_ok(checks(host))
    return found


def test_all_is_well(installed: Host) -> None:
    """As root nothing is wrong; as anybody nothing is broken or degraded."""
    assert lasting(installed) == {}
    lines = checks(installed, "setpriv --reuid 65534 --regid 65534 --clear-groups")
    assert "broken" not in not_ok(lines).values(), lines
    assert lines["caller"]["state"] == "unknown"


@pytest.mark.short_form
def test_load_is_stopped(installed: Host) -> None:
    """It is named, and so is what the agent sees without; the command mends both."""
    installed.system.do(f"systemctl stop {LOAD}")
    lines = checks(installed)
    assert not_ok(lines) == {
        "load unit": "broken",
        "pins": "degraded",
        f"{installed.agent} call": "degraded",
    }
    installed.system.do(lines["load unit"]["next"])
    assert lasting(installed) == {}


def test_load_has_failed(installed: Host) -> None:
    """What the unit said in the journal is the reason."""
    system = installed.system
    installed.drop_in(LOAD, NO_GROUP)
    system.run(f"systemctl restart {LOAD}")
    line = checks(installed)["load unit"]
    system.path(f"/run/systemd/system/{LOAD}.d/tested.conf").unlink()
    system.do("systemctl daemon-reload")
    assert line["state"] == "broken"
    assert "no group no-such-group" in line["message"]
    system.do(line["next"])
    assert lasting(installed) == {}


@pytest.mark.short_form
def test_load_is_disabled(installed: Host) -> None:
    """A host that would boot without it is named."""
    installed.system.do(f"systemctl disable {LOAD}")
    line = checks(installed)["load unit"]
    assert line["state"] == "degraded"
    installed.system.do(line["next"])
    assert lasting(installed) == {}


def test_setup_is_taken_back(installed: Host) -> None:
    """Units that were never started since are not skipped: `setup` is what the host needs."""
    installed.system.do("zabbix-sockets setup --remove")
    line = checks(installed)["load unit"]
    assert (line["state"], line["next"]) == ("degraded", "zabbix-sockets setup")
    installed.system.do(f"{line['next']} --restart")
    assert checks(installed)["load unit"]["state"] == "ok"


def test_servers_of_the_push_service(installed: Host) -> None:
    """What systemd shows of its command names the server that is pushed to."""
    installed.drop_in(
        SEND,
        "[Service]\nExecStart=\nExecStart=/usr/bin/zabbix-sockets send --interval 60"
        ' --server 127.0.0.7:7 --host "web 1"\n',
    )
    installed.system.run(f"systemctl start --no-block {SEND}")
    said: dict[str, str] = {}

    def has_asked() -> bool:
        said.clear()
        said.update((each["message"], each["state"]) for each in installed.checks())
        return "127.0.0.7 port 7: Connection refused" in said

    wait_for(has_asked, lambda: said)  # the service begins in its own time
    assert said["127.0.0.7 port 7: Connection refused"] == "broken"


def test_processes_are_hidden_from_the_agent(installed: Host) -> None:
    """ProtectProc= in the agent's unit is named, and the command takes it back."""
    system = installed.system
    installed.drop_in(installed.agent_unit, PROTECTED)
    system.do(f"systemctl restart {installed.agent_unit}")
    wait_for_agent(system)  # until then it may still be a process of systemd's, which sees all
    line = checks(installed)["hidepid"]
    assert line["state"] == "degraded"
    assert "ProtectProc" in line["message"]
    system.do(line["next"])
    assert checks(installed)["hidepid"]["state"] == "ok"
