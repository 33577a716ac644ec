"""The sender's unit under a real systemd: its user, its folder, its watchdog, and its stop."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netns
import pytest

from tests.zabbix.recorder import Mood, Recorder, recording
from zabbix_sockets.sending import schedule

from .booted import BOOT_SECONDS
from .conftest import HOSTS, on, or_skipped
from .installing import SEND, Host, booted_host

pytestmark = pytest.mark.kernel

INTERVAL = 60.0
"""Seconds between two pushes, as the unit has it."""

DYNAMIC_USERS = range(61184, 65520)
"""The numbers of users that systemd makes for a unit alone (DynamicUser= in systemd.exec(5))."""

TRAPPER_PORT = 10051
WATCHDOG_SECONDS = 10


SENDERS = [host for host in HOSTS if host[1] == "agentd"]
WITHOUT_SENDER = [host for host in HOSTS if host == ("bookworm", "agent2")]


@pytest.fixture(scope="module")
def sending(where: tuple[str, str], package: Path) -> Iterator[Host]:
    """A host with what zabbix_sender comes with; the tests of this module share it."""
    with or_skipped(), booted_host(*where, package) as host:
        if where[1] == "agentd":
            host.system.do("command -v zabbix_sender || apt install zabbix-sender")
        host.install()
        host.system.do(f"systemctl stop {host.agent_unit}")  # it would ask the server, too
        yield host


@contextmanager
def serving(host: Host) -> Iterator[Recorder]:
    """Have a server in the host's own network, where its agent's file says it is."""
    started: list[Recorder] = []
    ready, over = threading.Event(), threading.Event()

    def serve() -> None:
        netns.enter(f"/proc/{host.system.leader}/ns/net")  # for good: the thread has no other work
        with recording(TRAPPER_PORT) as recorder:
            started.append(recorder)
            ready.set()
            over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(BOOT_SECONDS)
        yield started[0]
    finally:
        over.set()
        thread.join()


def wait_for(condition: Callable[[], bool], host: Host, seconds: float = 2 * INTERVAL) -> None:
    """Return when it is so; fail with the unit's journal when it isn't in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, host.system.journal(SEND)
        time.sleep(0.1)


def start_soon(host: Host) -> None:
    """Start the unit, as a host whose moment to push is a few seconds ahead."""
    name = next(
        name
        for name in (f"host {number}" for number in range(1000))
        if 3 < schedule.seconds_to_first(time.time(), INTERVAL, schedule.offset(name, INTERVAL)) < 5
    )
    host.system.do(
        f"sed -i '/^Hostname=/d' /etc/zabbix/zabbix_agentd.conf\n"
        f"echo 'Hostname={name}' >>/etc/zabbix/zabbix_agentd.conf\n"
        f"systemctl start {SEND}"
    )


@on(SENDERS)
def test_pushes(sending: Host) -> None:
    """It is ready at once, and pushes all that the iterators tell, without any privilege."""
    with serving(sending) as server:
        start_soon(sending)
        assert sending.system.show(SEND, "ActiveState")["ActiveState"] == "active"
        wait_for(lambda: bool(server.taken), sending)
        assert '"source":"bpf"' in server.taken[0]["value"]
        process = sending.main_process(SEND)
        assert int(process["Uid"].split()[0]) in DYNAMIC_USERS
        assert int(process["CapEff"], 16) == 0
        group = sending.system.do("getent group zabbix").split(":")[2]
        assert process["Gid"].split()[0] == group
        folder = sending.system.path("/var/lib/private/zabbix-sockets").stat()
        assert (oct(folder.st_mode), folder.st_uid) == ("0o40700", int(process["Uid"].split()[0]))
        assert sending.remembers("/var/lib/private/zabbix-sockets", process["Uid"].split()[0])
        begun = time.monotonic()
        sending.system.do(f"systemctl stop {SEND}")
        assert time.monotonic() - begun < BOOT_SECONDS
    assert sending.system.show(SEND, "Result") == {"Result": "success"}


@on(SENDERS)
def test_a_stop_keeps_what_a_server_has_not_taken(sending: Host) -> None:
    """A stop while a server hangs ends in time, and the document goes out after the next start."""
    with serving(sending) as server:
        server.mood = Mood.SILENT
        start_soon(sending)
        wait_for(lambda: bool(server.offered), sending)
        sending.system.do(f"systemctl stop {SEND}")
        assert sending.system.show(SEND, "Result") == {"Result": "success"}
        (kept,) = {value["clock"] for value in server.offered}
        server.mood = Mood.TAKE
        start_soon(sending)
        wait_for(lambda: kept in {value["clock"] for value in server.taken}, sending)
        sending.system.do(f"systemctl stop {SEND}")


@on(SENDERS)
def test_the_watchdog(sending: Host) -> None:
    """One that doesn't go on is started anew; one that does never is."""
    system = sending.system
    sending.drop_in(SEND, f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\nRestartSec=1\n")
    with serving(sending):
        system.do(f"systemctl start {SEND}")
        time.sleep(1.5 * WATCHDOG_SECONDS)
        assert system.show(SEND, "NRestarts", "ActiveState") == {
            "NRestarts": "0",
            "ActiveState": "active",
        }
        system.do(
            f"systemctl kill --kill-whom=main -s STOP {SEND} || systemctl kill -s STOP {SEND}"
        )
        system.wait(f"systemctl show -p NRestarts {SEND} | grep -x NRestarts=1")
        system.wait(f"systemctl is-active {SEND}")
        system.do(f"systemctl stop {SEND}")


@pytest.mark.short_form
@on(WITHOUT_SENDER)
def test_without_zabbix_sender(sending: Host) -> None:
    """Where the agent's package has no zabbix_sender it fails at once, and says what to install."""
    assert sending.system.run("command -v zabbix_sender").returncode == 1
    assert sending.system.run(f"systemctl start {SEND}").returncode != 0
    system = sending.system
    shown = system.show(SEND, "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "zabbix-agent" in system.journal(SEND)


def of_server(host: Host) -> dict[str, str]:
    """Return the line of `check` about the one server."""
    found = json.loads(host.system.run("zabbix-sockets check --json --timeout 60").stdout)
    (line,) = (each for each in found if each["name"] == "server")
    assert isinstance(line, dict)
    return line


def is_document(taken: Mapping[str, Any]) -> bool:
    """Whether it is a document of that host; others may have waited for the server, too."""
    return (taken["host"], taken["key"]) == ("web 1", "sockets.get")


@on(SENDERS)
def test_setup_has_it_pushed(sending: Host) -> None:
    """`setup --push` is all that it takes: documents arrive, and `check` has asked the server."""
    system = sending.system
    with serving(sending) as server:
        # The agent, which the fixture has stopped, is broken for the check at the end.
        system.do("zabbix-sockets setup --push --server 127.0.0.1 --host 'web 1' || [ $? = 1 ]")
        assert system.show(SEND, "ActiveState") == {"ActiveState": "active"}
        line = of_server(sending)
        assert line["message"] == "127.0.0.1 port 10051 answers zabbix_sender, without TLS"
        wait_for(lambda: any(map(is_document, server.taken)), sending)
    document = next(filter(is_document, server.taken))
    assert '"source":"bpf"' in document["value"]
    system.do("zabbix-sockets setup --remove")
    assert system.show(SEND, "ActiveState") == {"ActiveState": "inactive"}


STRANGER = f"""import socket
with socket.create_server(("127.0.0.1", {TRAPPER_PORT})) as server:
    while True:
        server.accept()[0].close()
"""
"""A service that takes connections and ends them, as a server ends a handshake that it refuses."""


@on(SENDERS)
def test_check_asks_with_the_credentials_of_the_service(sending: Host) -> None:
    """A key that systemd hands to the service alone is what the server is asked with."""
    system, config = sending.system, "/etc/zabbix/zabbix_agentd.conf"
    system.path("/root/stranger.py").write_text(STRANGER)
    system.do(
        f"cp -p {config} /root/agentd.conf\n"
        "printf '%064d' 7 >/etc/zabbix/psk && chmod 400 /etc/zabbix/psk\n"
        f"printf 'TLSConnect=psk\\nTLSPSKIdentity=a\\nTLSPSKFile=/etc/zabbix/psk\\n' >>{config}\n"
        "systemd-run --unit=stranger python3 /root/stranger.py\n"
        "zabbix-sockets setup --push --server 127.0.0.1 --host 'web 1' || [ $? = 1 ]"
    )
    line = of_server(sending)
    system.do(
        f"zabbix-sockets setup --remove; systemctl stop stranger; mv /root/agentd.conf {config}"
    )
    assert line["state"] == "broken"
    assert "takes connections, and no TLS as TLSConnect=psk has it" in line["message"]
    assert f"--tls-psk-file /run/credentials/{SEND}/tls-psk-file" in line["next"]
