"""The monitor on real connections: new, gone, and bytes per second as they were sent."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zoo
from counted import loaded
from terminals import Terminal

SOURCES = ("bpf", "sock_diag")


@pytest.mark.parametrize("source", SOURCES)
def test_monitor(source: str) -> None:
    """What is sent between two snapshots is what the rates say; new and gone are marked."""
    server = zoo.listener("127.0.0.1", 7400)
    client, accepted = zoo.pair(server)
    port = client.getsockname()[1]
    what = ["show", "sockets", "--tcp-info", "--json", "--interval", "0.5", "--count", "3"]
    command = [sys.executable, "-m", "zabbix_sockets", *what, "--source", source]
    with subprocess.Popen([*command, "--timeout", "30"], stdout=subprocess.PIPE) as process:
        assert process.stdout

        def read() -> dict[str, Any]:
            assert process.stdout
            line = json.loads(process.stdout.readline())
            assert isinstance(line, dict)
            return line

        first = read()
        client.sendall(bytes(100_000))
        received = 0
        while received < 100_000:
            received += len(accepted.recv(1 << 17))
        other, _ = zoo.pair(server)
        second = read()
        client.close()
        accepted.close()
        third = read()
        assert process.wait(30) == 0
    assert first["seconds"] is None
    assert all(row.get("change") is None for row in first["sockets"])
    (sender,) = (row for row in second["sockets"] if row["local_port"] == port)
    assert sender["rates"]["sent_bytes_per_s"] * second["seconds"] == pytest.approx(100_000, 0.01)
    (receiver,) = (row for row in second["sockets"] if row["remote_port"] == port)
    assert receiver["rates"]["received_bytes_per_s"] > 0
    ends = {row["local_port"] for row in second["sockets"] if row.get("change") == "new"}
    assert other.getsockname()[1] in ends
    gone = {row["local_port"] for row in third["sockets"] if row.get("change") == "gone"}
    assert port in gone


def test_nothing_to_tell() -> None:
    """Where the kernel's words have no tcp_info, people hear so once; the rows are there."""
    zoo.pair(zoo.listener("127.0.0.1", 7401))
    what = ["show", "sockets", "--tcp-info", "--source", "procfs", "--json"]
    command = [sys.executable, "-m", "zabbix_sockets", *what, "--interval", "0.1", "--count", "2"]
    answer = subprocess.run(
        [*command, "--timeout", "30"], capture_output=True, text=True, check=True
    )
    assert answer.stderr == "note: no tcp_info: the sockets are read from /proc/net\n"
    rows = [row for line in answer.stdout.splitlines() for row in json.loads(line)["sockets"]]
    assert len(rows) == 6
    assert not any("tcp_info" in row or "rates" in row for row in rows)


COMMAND = (sys.executable, "-m", "zabbix_sockets", "show")
PATIENT = ("--netns", "own", "--timeout", "30")
PAYLOAD = 3000
BY_BOTH = "attempts_per_s", "closed_per_s", "sent_bytes_per_s", "received_bytes_per_s"


class Traffic:
    """A listener, and connections to it that are opened, carry 3 kB there and back, and end."""

    def __init__(self) -> None:
        self._server = zoo.listener("127.0.0.1", 7410)
        self._nobody = zoo.listener("127.0.0.1", 7411)
        self._nobody.close()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def once(self) -> None:
        """Make one connection, and one attempt that is refused."""
        with socket.create_connection(self._server.getsockname()) as client:
            accepted, _ = self._server.accept()
            with accepted:
                client.sendall(bytes(PAYLOAD))
                accepted.sendall(accepted.recv(PAYLOAD, socket.MSG_WAITALL))
                client.recv(PAYLOAD, socket.MSG_WAITALL)
        with socket.socket() as client:
            client.connect_ex(("127.0.0.1", 7411))

    @contextmanager
    def all_the_time(self) -> Iterator[None]:
        """Make connections until this ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _go_on(self) -> None:
        while not self._stop.is_set():
            self.once()


def by_id(line: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the rows of a line by their ids."""
    return {row["id"]: row for row in line[kind]}


@pytest.mark.usefixtures("pins")
def test_rates_of_rows() -> None:
    """What came and went between two snapshots is what the rates say, for each of the lists."""
    traffic = Traffic()
    with loaded() as folder:
        traffic.once()  # so that there are rows
        for kind in ("processes", "listeners", "upstreams"):
            what = (*COMMAND, kind, "--json", "--interval", "1", "--count", "2", "--pins", folder)
            with subprocess.Popen((*what, *PATIENT), stdout=subprocess.PIPE) as process:
                assert process.stdout
                first = json.loads(process.stdout.readline())
                for _ in range(20):
                    traffic.once()
                second = json.loads(process.stdout.readline())
                assert process.wait(30) == 0
            assert first["seconds"] is None
            assert not any("rates" in row for row in first[kind])
            # A process has both ends, and both upstreams: the one that answers and the other.
            ends = 2 if kind == "processes" else 1
            rows, counted = by_id(second, kind), set[str]()
            for row_id in by_id(first, kind):
                for name, rate in rows[row_id].get("rates", {}).items():
                    if name.endswith("_per_s") and rate:
                        counted.add(name)
                        number = 20 * (PAYLOAD if "bytes" in name else 1)
                        number *= ends if name in BY_BOTH else 1
                        assert rate * second["seconds"] == pytest.approx(number, 0.01)
            both = {"closed_per_s", "sent_bytes_per_s", "received_bytes_per_s"}
            outbound = {"attempts_per_s", "opened_per_s", "failed_per_s"}
            wanted = {
                "processes": both | outbound | {"accepted_per_s"},
                "listeners": both | {"accepted_per_s"},
                "upstreams": both | outbound,
            }
            assert counted == wanted[kind]


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("ending", ["q", "Ctrl-C", "SIGTERM"])
def test_a_table_that_renews_itself(ending: str) -> None:
    """In a terminal it fits, also when that gets narrow, and leaves it as it was."""
    with loaded() as folder:
        traffic = Traffic()
        traffic.once()
        what = (*COMMAND, "processes", "--interval", "0.3", "--sort", "accepted/s")
        with (
            traffic.all_the_time(),
            Terminal((*what, "--pins", folder, *PATIENT), 10, 100) as terminal,
        ):

            def columns() -> dict[str, str]:
                lines = terminal.shown()
                if len(lines) < 3 or "FAILED/S" not in lines[1]:
                    return {}
                return dict(zip(lines[1].split(), lines[2].split(), strict=True))

            terminal.wait_for(lambda: columns().get("FAILED/S", "-") not in ("-", "0"))
            shown = columns()
            assert shown["ACCEPTED/S"] not in ("-", "0")
            assert shown["RECV/S"][-1] in "kM"
            terminal.resize(6, 70)
            frames = terminal.frames
            terminal.wait_for(lambda: terminal.frames > frames + 1)
            assert "; no room for " in terminal.shown()[0]
            assert columns()["FAILED/S"] not in ("-", "0")
            if ending == "SIGTERM":
                os.kill(terminal.pid, signal.SIGTERM)
            else:
                terminal.type("q" if ending == "q" else "\x03")
            assert terminal.end() == (-signal.SIGTERM if ending == "SIGTERM" else 0)
            assert terminal.is_as_before()


def test_rows_without_totals() -> None:
    """What snapshots tell is there, and what they can't see is said."""
    zoo.pair(zoo.listener("127.0.0.1", 7412))
    what = (*COMMAND, "processes", "--interval", "0.2", "--source", "sock_diag", *PATIENT)
    with Terminal(what, 12, 150) as terminal:
        terminal.wait_for(lambda: terminal.frames > 3)
        lines = terminal.shown()
        assert "ESTAB" in lines[1]
        assert "/S" not in lines[1]
        assert lines[-1].startswith("note: connections that come and go between two looks")
        terminal.type("q")
        assert terminal.end() == 0
    both = [*what, "--count", "2"]
    answer = subprocess.run(both, capture_output=True, text=True, check=True)
    assert answer.stderr.count("come and go between two looks") == 1
    assert answer.stdout.count(" new (+)") == 2
