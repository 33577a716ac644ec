"""The monitor on real connections: new, gone, and bytes per second as they were sent."""

import json
import subprocess
import sys
from typing import Any

import pytest
import zoo

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
