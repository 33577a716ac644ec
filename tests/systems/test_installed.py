"""A host where README.md's commands were typed: what its units do, and what its agent answers."""

import json

import pytest

from .asking import ask, ask_document, asking, wait_for_agent
from .conftest import HOSTS, on
from .installing import LOAD, MOUNT, PINS, Host

pytestmark = [pytest.mark.kernel, on(HOSTS), pytest.mark.short_form("*-agentd")]

ADMITTED_LISTS = ("processes", "listeners")

SOCKET_UNITS = (
    "systemd-run --unit=tried --socket-property=ListenStream=127.0.0.1:7777"
    " --socket-property=ListenStream=/run/tried.sock --socket-property=ListenDatagram=7778"
    " /bin/sleep infinity"
)
HANG = """[Service]
ExecStart=
ExecStart=/bin/sleep infinity
TimeoutStartSec=3
"""


def test_the_agent_answers_without_privilege(installed: Host) -> None:
    """The answer comes from the iterators and is complete, though the agent has no capability."""
    process = installed.main_process(installed.agent_unit)
    assert process["Uid"].split()[0] == installed.user_id("zabbix")
    assert int(process["CapEff"], 16) == 0
    found = installed.collector()
    assert (found["source"], found["degraded"], found["denied_processes"]) == ("bpf", 0, 0)
    assert installed.system.state() == "running"


def test_the_other_keys(installed: Host) -> None:
    """The agent finds itself in the discovery, and counts what it listens on."""
    name = {"agentd": "zabbix_agentd", "agent2": "zabbix_agent2"}[installed.agent]
    rows = json.loads(ask(installed.system, "sockets.discovery[listeners]"))
    own = [row for row in rows if (row["{#PROCESS}"], row["{#PROTOCOL}"]) == (name, "tcp")]
    assert {row["{#PORT}"] for row in own} == {10050}
    assert ask(installed.system, f"sockets.count[{name},tcp,listen]") == str(len(own))


def test_units_for_which_systemd_listens(installed: Host) -> None:
    """A listener that systemd holds has its unit's name, as the agent answers."""
    installed.system.do(SOCKET_UNITS)
    found = {
        row["id"]: row.get("socket_unit") for row in ask_document(installed.system)["listeners"]
    }
    tried = {"tcp/127.0.0.1:7777", "unix//run/tried.sock", "udp/[::]:7778"}
    assert {row_id for row_id, unit in found.items() if unit == "tried.socket"} == tried
    assert found["unix//run/dbus/system_bus_socket"] == "dbus.socket"
    own = [unit for row_id, unit in found.items() if row_id.endswith(":10050")]
    assert own
    assert not any(own)
    installed.system.do("systemctl stop tried.socket")


def admitted(host: Host) -> dict[str, int]:
    """Return the numbers of the rows that are admitted to discovery, as the agent answers."""
    document = ask_document(host.system)
    return {
        f"{name} {row['id']}": row["admitted"]
        for name in ADMITTED_LISTS
        for row in document[name]
        if row.get("admitted")  # (absent) has none
    }


def test_what_discovery_remembers(installed: Host) -> None:
    """The agent's own question leaves the file in the folder that `setup` has made for its user."""
    assert admitted(installed)
    assert installed.agent_remembers
    name = {"agentd": "zabbix_agentd", "agent2": "zabbix_agent2"}[installed.agent]
    assert f"processes {name}" in admitted(installed)


def test_check_is_green(installed: Host) -> None:
    """`check` finds nothing to say, as root and as the agent's user.

    Totals begin anew: what others on this machine do may have taken all of their room.
    """
    installed.system.do(f"systemctl reload {LOAD}")
    assert {line["state"] for line in installed.checks()} == {"ok"}
    as_agent = installed.system.run("runuser -u zabbix -- zabbix-sockets check")
    assert as_agent.returncode == 0, as_agent.stdout


def test_setup_again(installed: Host) -> None:
    """A second `setup` changes nothing, and restarts no agent."""
    before = installed.main_process(installed.agent_unit)["Pid"]
    said = installed.system.do("zabbix-sockets setup --restart")
    assert "nothing was changed" in said
    assert installed.main_process(installed.agent_unit)["Pid"] == before


def test_stop_and_start(installed: Host) -> None:
    """A stop of the load unit ends well, says what it has unloaded, and leaves no pin.

    However often it is restarted, it goes on.
    """
    system = installed.system
    system.do(f"systemctl stop {LOAD}")
    assert system.show(LOAD, "Result", "ActiveState") == {
        "Result": "success",
        "ActiveState": "inactive",
    }
    assert f"unloaded {PINS}/own_sockets" in system.journal(LOAD)
    assert system.run(f"ls {PINS}/*-v*").stdout == ""
    assert system.state() == "running"
    assert installed.collector()["source"] == "sock_diag"
    system.do(f"for _ in 1 2 3 4 5 6 7; do systemctl restart {LOAD}; done")
    assert installed.collector()["source"] == "bpf"


def test_no_question_fails_while_it_is_loaded_anew(installed: Host) -> None:
    """A reload leaves no question without the iterators; a restart none without an answer."""
    system = installed.system
    with asking(system) as asked:
        for _ in range(4):
            system.do(f"systemctl reload {LOAD}")
    assert not asked.failures()
    assert not asked.lacking()
    with asking(system) as asked:
        for _ in range(3):
            system.do(f"systemctl restart {LOAD}")
    assert not asked.failures()
    assert system.state() == "running"


def test_reboot(installed: Host) -> None:
    """After a reboot all comes up by itself, the iterators before the agent.

    What was admitted to discovery is so still, by the same numbers.
    """
    before = admitted(installed)
    installed.system.reboot()
    wait_for_agent(installed.system)
    assert installed.system.state() == "running"
    assert installed.collector()["source"] == "bpf"
    times = [
        int(installed.system.show(unit, "ActiveEnterTimestampMonotonic").popitem()[1])
        for unit in (MOUNT, LOAD, installed.agent_unit)
    ]
    assert times == sorted(times)
    after = admitted(installed)
    both = before.keys() & after.keys()
    assert {row.partition(" ")[0] for row in both} == {*ADMITTED_LISTS}
    assert {row: after[row] for row in both} == {row: before[row] for row in both}


def test_a_load_that_hangs(installed: Host) -> None:
    """The agent starts at last, and answers with what it sees by itself."""
    system = installed.system
    assert system.show(LOAD, "TimeoutStartUSec") == {"TimeoutStartUSec": "30s"}
    folder = f"/etc/systemd/system/{LOAD}.d"
    system.do(f"mkdir -p {folder}\ncat >{folder}/hang.conf <<'END'\n{HANG}END")
    try:
        system.reboot()
        wait_for_agent(system)
        assert system.state() == f"degraded: {LOAD}"
        assert system.show(LOAD, "Result")["Result"] == "timeout"
        assert installed.collector()["source"] == "sock_diag"
    finally:
        system.do(f"rm {folder}/hang.conf\nsystemctl daemon-reload")
        system.do(f"systemctl reset-failed {LOAD}\nsystemctl start {LOAD}")
    assert installed.collector()["source"] == "bpf"


def test_security(installed: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of `systemd-analyze security`, printed: what a unit could still do, of 10."""
    units = installed.system.do(
        "systemctl list-unit-files --no-legend 'zabbix-*.service' | cut -d' ' -f1"
    ).split()
    assert LOAD in units
    for unit in units:
        said = installed.system.run(f"systemd-analyze security --no-pager {unit}").stdout
        with capsys.disabled():
            print(f"\n{said.splitlines()[-1]}")  # noqa: T201
